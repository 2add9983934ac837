/*
 * verify_task.c
 *	  Does a task keep every invariant?
 *
 * Written against the rules, not against the code that keeps them: what must be
 * in the queue is worked out here from the history and the graph alone.
 */
#include "postgres.h"

#include <stdarg.h>

#include "miscadmin.h"

#include "compat.h"
#include "domain/priority.h"
#include "domain/states.h"
#include "ops/queries.h"
#include "store/child_store.h"
#include "store/flow_store.h"
#include "store/lane_store.h"

typedef struct Findings
{
	const TcTaskView *view;
	TcViolation *items;
	int			n;
	int			room;
} Findings;

static void
found(Findings *findings, int32 step_no, const char *format,...) pg_attribute_printf(3, 4);

static void
found(Findings *findings, int32 step_no, const char *format,...)
{
	char		text[512];
	va_list		args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (findings->n == findings->room)
	{
		findings->room *= 2;
		findings->items = repalloc(findings->items, sizeof(TcViolation) * findings->room);
	}
	findings->items[findings->n].workflow_step_id =
		step_no == 0 ? 0 : tc_step_id(findings->view->task.task_id, step_no);
	findings->items[findings->n++].text = pstrdup(text);
}

/* ---- a step -------------------------------------------------------------- */

/* Invariant 5, and the numbering of the history. */
static void
check_attempts(Findings *findings, int32 step_no, const TcStepView *step)
{
	if (step->numbering_broken)
		found(findings, step_no, "attempts in the history are not numbered 1 to %d", step->history_rows);
	if (step->attempts > step->max_attempts)
		found(findings, step_no, "%d attempts of at most %d", step->attempts, step->max_attempts);
	if (step->live && step->attempt_no != step->history_rows)
		found(findings, step_no, "the queue counts %d attempts, the history holds %d",
			  step->attempt_no, step->history_rows);
	if (step->live && step->attempts > 0 && step->attempts != step->history_attempts)
		found(findings, step_no, "the queue counts %d attempts since the last reset, the history %d",
			  step->attempts, step->history_attempts);
}

/* Invariant 2: a result is stored at most once, and ends the step. */
static void
check_results(Findings *findings, int32 step_no, const TcStepView *step)
{
	if (step->contradicts_itself)
		found(findings, step_no, "outcome, state and results of an attempt do not agree");
	if (step->completions > 1)
		found(findings, step_no, "%d results are stored", step->completions);
	if (step->continued_after_end)
		found(findings, step_no, "an attempt is on record after the step was complete");
	if (step->completions > 0 && step->live && step->phase != TC_PHASE_ENDED)
		found(findings, step_no, "complete, and still in the queue");
}

/* Invariant 1: in the queue when and only when it should be, counting right. */
static void
check_counts(Findings *findings, int32 node, const TcStepView *step)
{
	const TcTaskView *view = findings->view;
	TcParents	parents = tc_view_parents(view, node);
	int32		missing = tc_trigger_remaining(view->template->steps[node].trigger_rule, &parents);
	bool		waits = step->phase == TC_PHASE_WAITING;

	if (!step->live || step->phase == TC_PHASE_ENDED || step->phase == TC_PHASE_MAP)
		return;
	if (step->remaining_parents != (waits ? missing : 0))
		found(findings, node + 1, "counts %d remaining parents; %d are not satisfied",
			  step->remaining_parents, missing);
	if (waits && step->satisfied_parents != parents.fates[TC_PARENT_SATISFIED])
		found(findings, node + 1, "counts %d satisfied parents; there are %d",
			  step->satisfied_parents, parents.fates[TC_PARENT_SATISFIED]);
	if (waits && tc_dag_parent_count(&view->template->dag, node) < 2)
		found(findings, node + 1, "waits for parents, though it is no join");
}

/* The same for a map whose instances run: as many of them as it allows are in the queue, the first ones before others. */
static void
check_map(Findings *findings, int32 node, const TcStepView *step)
{
	const TcTaskView *view = findings->view;
	const TcMapView *map = tc_view_map(view, node);
	int32		parallelism = view->template->steps[node].parallelism;
	TcMapProgress progress;
	int32		queued = 0;

	if (!step->live || step->phase != TC_PHASE_MAP)
		return;
	if (map == NULL || map->count == 0)
	{
		found(findings, node + 1, "its row waits for instances, and there are none");
		return;
	}
	progress = tc_view_map_progress(view, map);
	if (step->remaining_parents != progress.waited_for)
		found(findings, node + 1, "counts %d remaining instances; %d are not satisfied",
			  step->remaining_parents, progress.waited_for);
	if (progress.waited_for == 0)
		found(findings, node + 1, "all its instances are satisfied, and it has not ended");
	for (int32 i = map->position; i < map->position + map->count; i++)
	{
		bool		entered = i - map->position < step->satisfied_parents;

		queued += view->steps[i].live ? 1 : 0;
		if (entered && !view->steps[i].live && !tc_step_state_is_ended(view->steps[i].state))
			found(findings, tc_view_step_no(view, i), "has entered the queue, and is not in it");
	}
	if (parallelism > 0 && queued > parallelism)
		found(findings, node + 1, "%d of its instances are in the queue, %d may be", queued, parallelism);
	if (parallelism == 0 && step->satisfied_parents != map->count)
		found(findings, node + 1, "%d of its %d instances have entered the queue", step->satisfied_parents,
			  map->count);
}

/* An instance runs when and only when its map does. */
static void
check_instance(Findings *findings, int32 position, const TcStepView *step)
{
	const TcTaskView *view = findings->view;
	const TcStepView *map = &view->steps[tc_view_node(view, position)];
	int32		step_no = tc_view_step_no(view, position);

	if (step->live && !(map->live && map->phase == TC_PHASE_MAP))
		found(findings, step_no, "is in the queue, and its map does not run");
	if (step->live && step->phase != TC_PHASE_READY && step->phase != TC_PHASE_CLAIMED && step->phase != TC_PHASE_PARKED)
		found(findings, step_no, "is an instance of a map, and its row has phase \"%c\"", step->phase);
	if (step->live && step->remaining_parents != 0)
		found(findings, step_no, "counts %d remaining parents; an instance has none", step->remaining_parents);
	if (!tc_step_state_is_ended(step->state) && tc_step_state_is_ended(map->state))
		found(findings, step_no, "has not ended, though its map has");
}

/* What a failure has let run stays so when the failed step is reset. */
static void
check_readiness(Findings *findings, int32 node, const TcStepView *step)
{
	const TcTaskView *view = findings->view;
	int32		step_no = node + 1;
	int32		missing = tc_view_remaining_parents(view, node);
	TcVerdict	verdict = tc_view_verdict(view, node);
	bool		may_run = verdict == TC_VERDICT_RUNS ||
		view->template->steps[node].trigger_rule == TC_TRIGGER_ALL_DONE;
	bool		waits = !step->live && !tc_step_state_is_ended(step->state);

	if (tc_view_is_triggered(step) && !may_run)
		found(findings, step_no, "ready or claimed, though %d parents are not satisfied", missing);
	if (step->history_rows > 0 && !may_run)
		found(findings, step_no, "was run, though %d parents are not satisfied", missing);
	if (tc_task_state_is_ended(view->task.state))
		return;
	if (waits && verdict == TC_VERDICT_RUNS)
		found(findings, step_no, "every parent is satisfied, and the step is not in the queue");
	if (waits && verdict == TC_VERDICT_WAITS && missing < tc_dag_parent_count(&view->template->dag, node))
		found(findings, step_no, "%d of its parents count, and it is not in the queue",
			  tc_dag_parent_count(&view->template->dag, node) - missing);
	if (step->state == TC_STEP_PENDING && !tc_view_is_triggered(step) &&
		(verdict == TC_VERDICT_SKIPPED || verdict == TC_VERDICT_CANCELLED))
		found(findings, step_no, "its parents ended without it, and it waits");
}

/* A row is ready, parked, claimed, waiting or ended, and has what that needs. */
static void
check_row(Findings *findings, int32 step_no, const TcStepView *step)
{
	bool		claimed = step->phase == TC_PHASE_CLAIMED;
	bool		begun = claimed || step->phase == TC_PHASE_SIGNAL || step->phase == TC_PHASE_TASK ||
		step->phase == TC_PHASE_MAP;

	if (!step->live)
		return;
	if (!begun && step->phase != TC_PHASE_READY && step->phase != TC_PHASE_PARKED && step->phase != TC_PHASE_WAITING &&
		step->phase != TC_PHASE_ENDED)
		found(findings, step_no, "its row has the unknown phase \"%c\"", step->phase);
	if (claimed != step->has_token)
		found(findings, step_no, claimed ? "is claimed without a token" : "has a token, but is not claimed");
	if (begun != (step->claimed_at != TC_NO_TIME))
		found(findings, step_no, begun ? "is claimed since no time" : "has a time of claim, but is not claimed");
	if (step->waits_for_retry && step->phase != TC_PHASE_READY && step->phase != TC_PHASE_PARKED)
		found(findings, step_no, "waits for a retry, but is not ready");
}

/*
 * A step that runs as a task has one that has not ended, or somebody has been told what to do.  A
 * task that failed and was passed over may be tried again, for nobody.
 */
static void
check_children(Findings *findings)
{
	const TcTaskView *view = findings->view;
	TcChild    *children;
	int32		begun = 0;
	bool		told = false;
	int			n;
	int			c = 0;

	if (!view->template->nests)
		return;
	n = tc_children_read(view->task.task_id, false, &children);
	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		const TcStepView *step = &view->steps[node];
		TcStepKey	key = {view->task.task_id, node + 1};
		bool		has_child;

		while (c < n && children[c].key.step_no < node + 1)
			c++;
		has_child = c < n && children[c].key.step_no == node + 1 && !tc_task_state_is_ended(children[c].state);
		if (!step->live || step->phase != TC_PHASE_TASK)
		{
			bool		passed_over = step->state == TC_STEP_ERROR && !tc_view_blocks(view, node);

			if (has_child && !passed_over && !tc_errand_waits(key))
				found(findings, node + 1, "task " INT64_FORMAT " runs for it, and it does not wait for that",
					  children[c].task_id);
			continue;
		}
		if (!has_child && !step->paused && !tc_errand_waits(key))
			found(findings, node + 1, "runs as a task, and there is none");
		if (has_child && children[c].state != TC_TASK_PENDING)
		{
			begun = node + 1;
			told = told || tc_errand_waits(key);
		}
	}
	if (begun != 0 && !told && view->task.state == TC_TASK_PENDING)
		found(findings, begun, "a task runs for it, and its own has not begun");
}

/* The claim index would not find a row with a wrong lane. */
static void
check_lane(Findings *findings, int32 position, const TcStepView *step)
{
	const TcTaskView *view = findings->view;
	const TcStep *definition = &view->template->steps[tc_view_node(view, position)];
	const TcLane *lane;

	if (!step->live)
		return;
	lane = tc_lane_get(step->lane_id);
	if (lane->named_task_id != view->task.named_task_id ||
		(lane->task_priority != view->task.priority &&
		 lane->task_priority != tc_priority_band(view->task.priority)) || strcmp(lane->queue, definition->queue) != 0)
		found(findings, tc_view_step_no(view, position), "is in lane %d, which is another's", step->lane_id);
}

/* ---- the task ------------------------------------------------------------ */

/*
 * Invariant 3: a chain of legal moves from pending to the present state.
 * Returns whether the last of them was made by a deadline.
 */
static bool
check_transitions(Findings *findings)
{
	TcTransition *transitions;
	int			n = tc_view_transitions(&findings->view->task, &transitions);
	TcTaskState state = TC_TASK_PENDING;

	for (int i = 0; i < n; i++)
	{
		if (transitions[i].from != state)
			found(findings, 0, "transition %d leaves %s, but the task was %s", i + 1,
				  tc_task_state_name(transitions[i].from), tc_task_state_name(state));
		if (tc_task_move(transitions[i].from, transitions[i].to) != TC_MOVE_LEGAL)
			found(findings, 0, "transition %d from %s to %s is not legal", i + 1,
				  tc_task_state_name(transitions[i].from), tc_task_state_name(transitions[i].to));
		state = transitions[i].to;
	}
	if (state != findings->view->task.state)
		found(findings, 0, "the task is %s, its history ends in %s",
			  tc_task_state_name(findings->view->task.state), tc_task_state_name(state));
	return n > 0 && transitions[n - 1].stale;
}

/* Invariant 4, from the counts. */
static void
check_task(Findings *findings, const int32 *steps, int32 entrusted, int32 blocking, bool runnable, bool stale)
{
	const TcTaskRow *task = &findings->view->task;
	int32		ended = steps[TC_STEP_COMPLETE] + steps[TC_STEP_RESOLVED_MANUALLY] +
		steps[TC_STEP_SKIPPED] + steps[TC_STEP_CANCELLED] + steps[TC_STEP_ERROR] - blocking;

	int64		elsewhere = tc_view_rows_elsewhere(task);

	if (elsewhere > 0)
		found(findings, 0, INT64_FORMAT " rows of it are in another slot than %d", elsewhere, task->slot);
	if (findings->view->foreign_rows > 0)
		found(findings, 0, "%d queue rows are of no step", findings->view->foreign_rows);
	if (tc_task_state_is_ended(task->state) != (task->finished_at != TC_NO_TIME))
		found(findings, 0, "the task is %s, and has %s finished_at", tc_task_state_name(task->state),
			  task->finished_at == TC_NO_TIME ? "no" : "a");
	if (task->failed_steps != blocking)
		found(findings, 0, "the task counts %d failed steps, there are %d",
			  task->failed_steps, blocking);
	if (tc_task_state_is_ended(task->state) && findings->view->live_rows > 0)
		found(findings, 0, "the task is %s and has %d rows in the queue",
			  tc_task_state_name(task->state), findings->view->live_rows);
	if (!tc_task_state_is_ended(task->state) && !runnable)
		found(findings, 0, "the task is %s and nothing in it can run", tc_task_state_name(task->state));
	if (task->state == TC_TASK_PENDING && steps[TC_STEP_PENDING] + entrusted != findings->view->nsteps)
		found(findings, 0, "the task is pending, but steps of it were claimed");
	if (task->state == TC_TASK_COMPLETE && ended != findings->view->nsteps)
		found(findings, 0, "the task is complete, but only %d of its %d steps are",
			  ended, findings->view->nsteps);
	if (task->state == TC_TASK_ERROR && blocking == 0 && !stale)
		found(findings, 0, "the task is in error, but no step is");
}

int
tc_verify_task(const TcTaskView *view, TcViolation **violations)
{
	Findings	findings = {view, palloc(sizeof(TcViolation) * 8), 0, 8};
	int32		steps[TC_STEP_STATE_COUNT] = {0};
	bool		runnable = false;
	int32		blocking = 0;
	int32		entrusted = 0;	/* in progress, by instances or another task */

	for (int32 i = 0; i < view->nsteps; i++)
	{
		const TcStepView *step = &view->steps[i];
		int32		step_no = tc_view_step_no(view, i);
		bool		runs_instances = step->live && step->phase == TC_PHASE_MAP;

		CHECK_FOR_INTERRUPTS();
		steps[step->state]++;
		entrusted += runs_instances || (step->live && step->phase == TC_PHASE_TASK) ? 1 : 0;
		blocking += tc_view_blocks(view, i) ? 1 : 0;
		runnable = runnable || (tc_view_is_triggered(step) && !runs_instances);
		check_attempts(&findings, step_no, step);
		check_results(&findings, step_no, step);
		check_row(&findings, step_no, step);
		check_lane(&findings, i, step);
		if (tc_view_is_instance(view, i))
		{
			check_instance(&findings, i, step);
			continue;
		}
		check_counts(&findings, i, step);
		check_map(&findings, i, step);
		check_readiness(&findings, i, step);
	}
	check_children(&findings);
	check_task(&findings, steps, entrusted, blocking, runnable, check_transitions(&findings));
	*violations = findings.items;
	return findings.n;
}

/* ---- limits -------------------------------------------------------------- */

static const char *
mismatch_text(const TcFlowMismatch *mismatch)
{
	const char *what = psprintf("key \"%s\" of template \"%s\" in namespace \"%s\"", mismatch->text,
								mismatch->task_name, mismatch->namespace_name);

	if (mismatch->used != mismatch->claims)
		return psprintf("%s counts %d claims, there are " INT64_FORMAT, what, mismatch->used, mismatch->claims);
	if (mismatch->forgotten)
		return psprintf("%s would let steps start, and " INT64_FORMAT " are parked for it", what, mismatch->parked);
	return psprintf("%s knows of none that waits, and " INT64_FORMAT " are parked for it", what, mismatch->parked);
}

int
tc_verify_flow_keys(const char ***violations)
{
	TcFlowMismatch *mismatches;
	int			n = tc_flow_verify(&mismatches);
	int			found = 0;

	*violations = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (tc_scope_has_namespace(mismatches[i].namespace_name))
			(*violations)[found++] = mismatch_text(&mismatches[i]);
	}
	return found;
}
