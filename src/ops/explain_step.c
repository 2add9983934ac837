/*
 * explain_step.c
 *	  Why a step is not running, in words that an operator can act on.
 *
 * Each reason is a function of its own; the list of them at the end is the order
 * in which they decide: what has ended runs no more whatever else holds, a step
 * below a failure waits for a person before it waits for anything else, and so
 * on.
 */
#include "postgres.h"

#include <stdarg.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/datetime.h"
#include "utils/json.h"

#include "compat.h"
#include "domain/priority.h"
#include "domain/states.h"
#include "events/board.h"
#include "guc.h"
#include "ops/flow.h"
#include "ops/graph.h"
#include "store/child_store.h"
#include "store/explain_store.h"
#include "store/pause_store.h"
#include "store/sql_role.h"
#include "store/worker_store.h"

#define WORKER_ALIVE (60 * USECS_PER_SEC)	/* last seen within that time */
#define MAX_POSITION 1000		/* steps in front are counted up to that */
#define MAX_NAMED 10			/* steps listed by name in one detail */

typedef struct Explanation
{
	const TcTaskView *view;
	int32		position;		/* in the view */
	int32		node;			/* of an instance: that of its map */
	const TcStepView *step;
	TcStepKey	key;
	int32		max_attempts;	/* that it really has */
	List	   *reasons;		/* of TcReason * */
} Explanation;

static void
because(Explanation *e, const char *reason, const char *format,...) pg_attribute_printf(3, 4);

/* In the caller's context, as everything that is handed back. */
static void
because(Explanation *e, const char *reason, const char *format,...)
{
	MemoryContext old = MemoryContextSwitchTo(tc_session_caller_context());
	TcReason   *entry = palloc(sizeof(TcReason));
	StringInfoData detail;
	va_list		args;

	initStringInfo(&detail);
	for (;;)
	{
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&detail, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&detail, needed);
	}
	entry->reason = reason;
	entry->detail = detail.data;
	e->reasons = lappend(e->reasons, entry);
	MemoryContextSwitchTo(old);
}

/* ---- words --------------------------------------------------------------- */

/* In UTC, so that an explanation reads the same in every session. */
static char *
time_text(TimestampTz time)
{
	char	   *text = palloc(MAXDATELEN + 1);
	int			utc = 0;

	return JsonEncodeDateTime(text, TimestampTzGetDatum(time), TIMESTAMPTZOID, &utc);
}

static char *
deed_text(const TcDeed *deed)
{
	return psprintf("at %s by role \"%s\"%s%s", time_text(deed->done_at), deed->role,
					deed->reason != NULL ? ": " : "", deed->reason != NULL ? deed->reason : "");
}

/* Another step in short: "charge" (waiting_for_retry until T). */
static char *
step_text(const TcTaskView *view, int32 node)
{
	const TcStepView *step = &view->steps[node];
	const char *name = view->template->steps[node].name;
	const char *state = tc_step_state_name(step->state);

	if (tc_view_is_ready(view, node))
		return psprintf("\"%s\" (%s, ready)", name, state);
	if (tc_view_next_retry_at(step) != TC_NO_TIME)
		return psprintf("\"%s\" (%s until %s)", name, state, time_text(step->visible_at));
	return psprintf("\"%s\" (%s)", name, state);
}

/* Several of them; `chosen` says which. */
static char *
steps_text(const TcTaskView *view, const bool *chosen)
{
	StringInfoData text;
	int			n = 0;

	initStringInfo(&text);
	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		if (!chosen[node])
			continue;
		if (n < MAX_NAMED)
			appendStringInfo(&text, "%s%s", n > 0 ? ", " : "", step_text(view, node));
		n++;
	}
	if (n > MAX_NAMED)
		appendStringInfo(&text, " and %d more", n - MAX_NAMED);
	return text.data;
}

/* What went wrong at the newest attempt of a step. */
static char *
failure_text(TcStepKey key)
{
	TcAttemptFacts attempt;
	TcDeed		deed;

	if (!tc_explain_attempt(key, &attempt))
		return tc_explain_move(key, &deed) ?
			psprintf("%s (%s, no attempt was made)", deed.reason, time_text(deed.done_at)) :
			pstrdup("no attempt is on record");
	if (attempt.lease_expired)
		return psprintf("the lease of worker \"%s\" expired, noticed at %s",
						attempt.worker_id, time_text(attempt.finished_at));
	return psprintf("%s (worker \"%s\", %s)", attempt.error != NULL ? attempt.error : "no error given",
					attempt.worker_id, time_text(attempt.finished_at));
}

/* ---- it has ended -------------------------------------------------------- */

/* Its own end, or with no move of its own that of its task. */
static void
explain_end_by_hand(Explanation *e)
{
	const char *state = tc_step_state_name(e->step->state);
	TcDeed		deed;

	if (e->step->recorded && e->step->last_recorded == e->step->state && tc_explain_move(e->key, &deed))
		because(e, state, "%s%s %s", state, strcmp(deed.what, "cascade") == 0 ? " with a step before it" : "",
				deed_text(&deed));
	else if (tc_explain_task_move(e->key.task_id, &deed))
		because(e, state, "%s with its task %s", state, deed_text(&deed));
}

static void
explain_end(Explanation *e)
{
	TcAttemptFacts attempt;

	if (e->step->state == TC_STEP_ERROR)
		because(e, "error", "failed for good after %d of %d attempts: %s%s", e->step->attempts,
				e->max_attempts, failure_text(e->key),
				tc_task_state_is_final(e->view->task.state) || !tc_view_blocks(e->view, e->position) ?
				"" : "; reset_step, resolve_step or skip_step lets its task go on");
	else if (e->step->state == TC_STEP_COMPLETE && !e->step->ended_by_move &&
			 tc_explain_attempt(e->key, &attempt))
		because(e, "complete", "completed at %s by worker \"%s\", attempt %d of %d",
				time_text(attempt.finished_at), attempt.worker_id, attempt.attempt, e->max_attempts);
	else if (tc_step_state_is_ended(e->step->state))
		explain_end_by_hand(e);
}

static void
explain_task_end(Explanation *e)
{
	TcTaskState state = e->view->task.state;
	TcDeed		deed;

	if (!tc_task_state_is_ended(state) || !tc_explain_task_move(e->key.task_id, &deed))
		return;
	because(e, "task_ended", "the task is %s%s since %s%s%s%s", state == TC_TASK_ERROR ? "in " : "",
			tc_task_state_name(state), time_text(deed.done_at), deed.reason != NULL ? ": " : "",
			deed.reason != NULL ? deed.reason : "",
			state == TC_TASK_ERROR ? "; retry_task lets it go on from its failed steps" : "");
}

/* ---- it is held ---------------------------------------------------------- */

static void
explain_claim(Explanation *e)
{
	const TcStepView *step = e->step;
	int32		attempt = step->attempts + 1;
	const char *worker_id;

	if (step->state != TC_STEP_IN_PROGRESS || step->phase == TC_PHASE_TASK || step->phase == TC_PHASE_MAP)
		return;
	worker_id = tc_explain_holder(e->key);
	if (step->visible_at > tc_session_now())
		because(e, "claimed", "claimed by worker \"%s\" since %s, lease until %s, attempt %d of %d",
				worker_id, time_text(step->claimed_at), time_text(step->visible_at), attempt,
				e->max_attempts);
	else
		because(e, "lease_expired", "the lease of worker \"%s\" expired at %s, and nobody has taken the step"
				" since; that was attempt %d of %d, %s", worker_id, time_text(step->visible_at),
				attempt, e->max_attempts, attempt < e->max_attempts ?
				"the next claim takes it" : "the next claim in its queue makes it fail");
}

/* ---- something is in the way --------------------------------------------- */

/* Is this parent why the step cannot go on: failed, or stuck itself? */
static bool
holds_up(const TcTaskView *view, int32 parent, int32 node, const bool *stuck)
{
	return tc_view_fate(view, parent, node) == TC_PARENT_FAILED || stuck[parent];
}

/* The instances of a map that failed, and keep it from going on. */
static int32
blocking_instances(const TcTaskView *view, int32 node)
{
	const TcMapView *map = tc_view_map(view, node);

	return map == NULL ? 0 : tc_view_map_progress(view, map).blocking;
}

static void
mark_blocking(const TcTaskView *view, int32 node, bool *failed)
{
	const TcMapView *map = tc_view_map(view, node);

	for (int32 i = 0; map != NULL && i < map->count; i++)
		failed[map->position + i] = tc_view_blocks(view, map->position + i);
}

/* Without a person it will never run: failures stand before it, as far as its trigger rule cares. */
static bool
is_stuck(const TcTaskView *view, int32 node, const bool *stuck)
{
	const TcDag *dag = &view->template->dag;
	TcTriggerRule rule = view->template->steps[node].trigger_rule;
	int32		missing = 0;
	int32		hopeless = 0;

	if (tc_step_state_is_ended(view->steps[node].state))
		return false;
	if (blocking_instances(view, node) > 0)
		return true;
	if (tc_view_is_triggered(&view->steps[node]))
		return false;
	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
	{
		if (tc_trigger_counts(rule, tc_view_fate(view, dag->parents[p], node)))
			continue;
		missing++;
		hopeless += holds_up(view, dag->parents[p], node, stuck) ? 1 : 0;
	}
	return rule == TC_TRIGGER_ONE_SATISFIED ? hopeless > 0 && hopeless == missing : hopeless > 0;
}

/* The failed steps that make it so. */
static bool *
failures_before(const TcTaskView *view, int32 node)
{
	const TcDag *dag = &view->template->dag;
	bool	   *stuck = palloc0(sizeof(bool) * dag->n);
	bool	   *failed = palloc0(sizeof(bool) * view->nsteps);
	bool	   *above = palloc0(sizeof(bool) * dag->n);

	for (int32 i = 0; i <= node; i++)
		stuck[i] = is_stuck(view, i, stuck);
	above[node] = stuck[node];
	for (int32 i = node; i >= 0; i--)
	{
		if (above[i])
			mark_blocking(view, i, failed);
		for (int p = dag->parent_start[i]; above[i] && p < dag->parent_start[i + 1]; p++)
		{
			if (tc_view_fate(view, dag->parents[p], i) == TC_PARENT_FAILED)
				failed[dag->parents[p]] = true;
			else if (stuck[dag->parents[p]])
				above[dag->parents[p]] = true;
		}
	}
	return failed;
}

static void
explain_failures(Explanation *e)
{
	bool	   *failed = tc_view_is_instance(e->view, e->position) ? NULL : failures_before(e->view, e->node);
	int			nfailed = 0;
	StringInfoData text;

	if (tc_view_is_instance(e->view, e->position))
		return;
	initStringInfo(&text);
	for (int32 i = 0; i < e->view->nsteps; i++)
	{
		TcStepKey	key = {e->key.task_id, tc_view_step_no(e->view, i)};

		if (!failed[i])
			continue;
		if (nfailed++ < MAX_NAMED)
			appendStringInfo(&text, "%s\"%s\" (" INT64_FORMAT "): %s", nfailed > 1 ? "; " : "",
							 tc_view_name(e->view, i),
							 tc_step_id(key.task_id, key.step_no), failure_text(key));
	}
	if (nfailed > 0)
		because(e, "blocked_by_failures", "%d of the steps before it failed for good: %s;"
				" reset_step, resolve_step or retry_task lets them go on", nfailed, text.data);
}

static void
explain_pause(Explanation *e)
{
	TcDeed		deed;

	if (e->view->task.paused_at == TC_NO_TIME || tc_task_state_is_final(e->view->task.state))
		return;
	if (tc_explain_pause(e->key.task_id, &deed))
		because(e, "task_paused", "the task was paused %s; resume_task lets it go on", deed_text(&deed));
}

/* What it belongs to. */
static void
explain_pauses_above(Explanation *e)
{
	TcPause    *pauses;
	int			n;

	if (!e->view->held_above || tc_task_state_is_ended(e->view->task.state))
		return;
	n = tc_pauses_of(e->view->template->namespace_name, e->view->template->name, &pauses);
	for (int i = 0; i < n; i++)
	{
		TcDeed		deed = {
			.role = pauses[i].paused_by, .reason = pauses[i].reason, .done_at = pauses[i].paused_at
		};

		if (pauses[i].task_name == NULL)
			because(e, "namespace_paused", "namespace \"%s\" was paused %s; resume_namespace lets it go on",
					pauses[i].namespace_name, deed_text(&deed));
		else
			because(e, "template_paused", "template \"%s\" of namespace \"%s\" was paused %s;"
					" resume_template lets it go on", pauses[i].task_name, pauses[i].namespace_name,
					deed_text(&deed));
	}
}

/* The steps that work towards this one now, where those are not its parents. */
static void
explain_front(Explanation *e, const bool *waited_for)
{
	int32		nsteps = e->view->template->nsteps;
	int32	   *distance = palloc(sizeof(int32) * nsteps);
	bool	   *front = palloc0(sizeof(bool) * nsteps);
	bool		further = false;

	tc_dag_ancestors(&e->view->template->dag, e->node, distance);
	for (int32 node = 0; node < nsteps; node++)
	{
		const TcStepView *step = &e->view->steps[node];

		front[node] = distance[node] > 0 && step->live &&
			(tc_phase_is_live(step->phase) && step->phase != TC_PHASE_SIGNAL);
		further = further || (front[node] && !waited_for[node]);
	}
	if (further)
		because(e, "held_up_by", "the work towards it is at %s", steps_text(e->view, front));
}

static void
explain_parents(Explanation *e)
{
	const TcDag *dag = &e->view->template->dag;
	TcTriggerRule rule = e->view->template->steps[e->node].trigger_rule;
	int32		parents = tc_dag_parent_count(dag, e->node);
	int32		missing = tc_view_remaining_parents(e->view, e->position);
	bool	   *waited_for = palloc0(sizeof(bool) * dag->n);

	if (missing == 0 || tc_view_is_triggered(e->step))
		return;
	for (int p = dag->parent_start[e->node]; p < dag->parent_start[e->node + 1]; p++)
		waited_for[dag->parents[p]] =
			!tc_trigger_counts(rule, tc_view_fate(e->view, dag->parents[p], e->node));
	because(e, "waiting_for_dependencies", "waits for %d of %d parents%s%s: %s", missing, parents,
			rule == TC_TRIGGER_ALL_SATISFIED ? "" : ", trigger_rule ",
			rule == TC_TRIGGER_ALL_SATISFIED ? "" : tc_trigger_rule_name(rule),
			steps_text(e->view, waited_for));
	explain_front(e, waited_for);
}

/* ---- its time has not come ----------------------------------------------- */

static void
explain_time(Explanation *e)
{
	const TcStepView *step = e->step;
	TcDeed		deed;

	if (!step->live || step->phase != TC_PHASE_READY || step->visible_at <= tc_session_now())
		return;
	if (step->state == TC_STEP_WAITING_FOR_RETRY)
		because(e, "waiting_for_retry", "retries at %s, %d of %d attempts failed; the last one: %s",
				time_text(step->visible_at), step->attempts, e->max_attempts, failure_text(e->key));
	else if (e->view->task.run_at != TC_NO_TIME && step->visible_at == e->view->task.run_at)
		because(e, "scheduled", "the task is to run at %s", time_text(step->visible_at));
	else if (tc_explain_move(e->key, &deed) && (strcmp(deed.what, "release") == 0 || strcmp(deed.what, "yield") == 0))
		because(e, "delayed", "a worker gave it back, not to be claimed before %s", time_text(step->visible_at));
	else if (e->view->template->steps[e->node].run_at != NULL)
		because(e, "scheduled", "its run_at keeps it until %s", time_text(step->visible_at));
	else
		because(e, "delayed", "its delay_seconds keep it until %s", time_text(step->visible_at));
}

/* It needs no worker, but somebody who sends the signal. */
static void
explain_signal(Explanation *e)
{
	const TcStepView *step = e->step;
	const char *name = e->view->template->steps[e->node].signal_name;

	if (!step->live || step->phase != TC_PHASE_SIGNAL)
		return;
	because(e, "waiting_for_signal", "waits for signal \"%s\" since %s%s%s; send_signal(" INT64_FORMAT
			", '%s') lets it go on", name, time_text(step->claimed_at),
			step->visible_at == DT_NOEND ? "" : ", until ",
			step->visible_at == DT_NOEND ? "" : time_text(step->visible_at), e->key.task_id, name);
}

/* It needs no worker either: another task runs for it. */
static void
explain_child(Explanation *e)
{
	const TcStepView *step = e->step;
	TcChild    *children;
	int			n;

	if (!step->live || step->phase != TC_PHASE_TASK)
		return;
	n = tc_children_read(e->key.task_id, false, &children);
	for (int i = 0; i < n; i++)
	{
		if (children[i].key.step_no != e->key.step_no)
			continue;
		because(e, "runs_as_task", "runs as task " INT64_FORMAT " (%s) since %s%s%s", children[i].task_id,
				tc_task_state_name(children[i].state), time_text(step->claimed_at),
				step->visible_at > tc_session_now() ? ", not before " : "",
				step->visible_at > tc_session_now() ? time_text(step->visible_at) : "");
		return;
	}
	because(e, "runs_as_task", "its turn came at %s; its task is not created yet%s", time_text(step->claimed_at),
			step->paused ? ", since it is paused" : "");
}

/* ---- too many of its kind run ------------------------------------------- */

/* The steps that hold its key, and how many wait behind it. */
static char *
holders_text(const TcFlowKey *key)
{
	TcStepKey  *holders;
	int			n = tc_flow_holders(key->flow_key_id, MAX_NAMED, &holders);
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < n; i++)
		appendStringInfo(&text, "%s" INT64_FORMAT, i == 0 ? n > 1 ? "steps " : "step " : ", ",
						 tc_step_id(holders[i].task_id, holders[i].step_no));
	if (key->used > n)
		appendStringInfo(&text, " and %d more", key->used - n);
	return text.data;
}

static char *
waiting_text(const TcFlowKey *key)
{
	int			n = tc_flow_count_parked(key->flow_key_id, MAX_POSITION + 1);

	return n > MAX_POSITION ? psprintf("more than %d steps wait", MAX_POSITION)
		: psprintf("%d step%s", n, n == 1 ? " waits" : "s wait");
}

static char *
limit_text(const TcFlowKey *key)
{
	return key->text[0] == '\0' ? pstrdup("") : psprintf(" for key \"%s\"", key->text);
}

/* Steps that no claim has met yet are not parked; their key may be held all the same. */
static void
explain_limit(Explanation *e)
{
	const TcStepView *step = e->step;
	bool		parked = step->live && step->phase == TC_PHASE_PARKED;
	TcFlowKey	key;
	TimestampTz next;

	if (!tc_step_is_limited(&e->view->template->steps[e->node]) || step->paused ||
		(!parked && !(step->live && step->phase == TC_PHASE_READY && step->visible_at <= tc_session_now())) ||
		!tc_flow_key_of(e->key, e->view->template, &key))
		return;
	next = tc_rate_next(&key.rate, tc_session_now());
	if (key.concurrency > 0 && key.used >= key.concurrency)
		because(e, "concurrency_limit", "%d may run at once%s, and %s %s it; the next starts when one of them ends, %s for that",
				key.concurrency, limit_text(&key), holders_text(&key), key.used == 1 ? "holds" : "hold", waiting_text(&key));
	else if (key.rate.limit > 0 && next > tc_session_now())
		because(e, "rate_limit", "%d may start in %g seconds%s; the next may at %s, %s for that", key.rate.limit,
				key.rate.period / (double) USECS_PER_SEC, limit_text(&key), time_text(next), waiting_text(&key));
	else if (parked)
		because(e, "waiting_for_turn", "waited for its turn%s; the next claim lets it go on", limit_text(&key));
}

/* It needs no worker either, but its instances do. */
static void
explain_map(Explanation *e)
{
	const TcMapView *map = tc_view_map(e->view, e->node);
	TcMapProgress progress;

	if (map == NULL || map->count == 0)
		return;
	if (tc_view_is_instance(e->view, e->position))
	{
		if (!e->step->live && !tc_step_state_is_ended(e->step->state) && !tc_task_state_is_ended(e->view->task.state))
			because(e, "waiting_for_its_turn", "at most %d of the %d instances of \"%s\" run at once; this one enters"
					" the queue when another ends", e->view->template->steps[e->node].parallelism, map->count,
					e->view->template->steps[e->node].name);
		return;
	}
	progress = tc_view_map_progress(e->view, map);
	because(e, "waiting_for_instances", "waits for %d of its %d instances: %d are complete, %d failed",
			progress.waited_for, progress.total, progress.completed, progress.failed);
}

/* ---- nobody takes it ----------------------------------------------------- */

static bool
serves(const TcWorkerRow *worker, const TcLane *lane, int32 shard_key)
{
	if (!worker->claims || !tc_lane_matches(lane, &worker->scope.filter))
		return false;
	if (worker->scope.shard_keys == NULL)
		return true;
	for (int i = 0; i < worker->scope.nshard_keys; i++)
	{
		if (worker->scope.shard_keys[i] == shard_key)
			return true;
	}
	return false;
}

/* Why no process of the background worker takes the SQL steps of a role; NULL = one will. */
static const char *
sql_worker_obstacle(const char *role)
{
	Oid			oid;
	TcSqlObstacle obstacle = tc_sql_role_obstacle(role, &oid);

	if (obstacle == TC_SQL_NO_ROLE)
		return "the role does not exist (any more, or by this name)";
	if (!tc_board_is_open())
		return "this database has no background worker";
	if (tc_guc_max_sql_workers == 0)
		return "tasker_core.max_sql_workers is 0";
	if (obstacle != TC_SQL_NO_OBSTACLE)
		return psprintf("the background worker does not run them, since the role %s",
						tc_sql_obstacle_text(obstacle));
	return NULL;
}

static void
explain_sql_workers(Explanation *e, const char *role)
{
	const char *obstacle = sql_worker_obstacle(role);

	if (obstacle != NULL)
		because(e, "no_live_worker", "it is a SQL step of role \"%s\", whose sessions have called"
				" run_sql_steps() not once in the last minute; %s", role, obstacle);
}

static void
explain_workers(Explanation *e, const TcLane *lane)
{
	TcWorkerRow *workers;
	int			live = tc_worker_read_live(tc_session_now() - WORKER_ALIVE, &workers);

	for (int i = 0; i < live; i++)
	{
		if (serves(&workers[i], lane, tc_shard_key(e->key.task_id)))
			return;
	}
	if (tc_queue_is_sql(lane->queue))
	{
		explain_sql_workers(e, lane->queue + strlen(TC_SQL_QUEUE));
		return;
	}
	because(e, "no_live_worker", "no worker that claims template \"%s\" of namespace \"%s\" from queue \"%s\""
			" was seen in the last minute; %d others were", lane->task_name, lane->namespace_name,
			lane->queue, live);
}

/* Within the queue of its namespace, since that is what a pool of workers takes from. */
static void
explain_position(Explanation *e, const TcLane *lane)
{
	char	   *namespace_name = unconstify(char *, lane->namespace_name);
	char	   *queue = unconstify(char *, lane->queue);
	TcLaneFilter pool = {
		.namespaces = &namespace_name, .nnamespaces = 1, .queues = &queue, .nqueues = 1
	};
	const TcLane **lanes;
	int			nlanes = tc_lane_select(&pool, &lanes);
	TcQueuePosition position = tc_ready_position(lanes, nlanes, lane, e->key, e->step->visible_at,
												 MAX_POSITION + 1);

	if (position.before == 0)
		because(e, "queue_position", "claimable since %s; it is the next in queue \"%s\" of namespace \"%s\"",
				time_text(e->step->visible_at), queue, namespace_name);
	else if (position.before > MAX_POSITION)
		because(e, "queue_position", "claimable since %s; ahead of it in queue \"%s\" of namespace \"%s\":"
				" more than %d", time_text(e->step->visible_at), queue, namespace_name, MAX_POSITION);
	else
		because(e, "queue_position", "claimable since %s; ahead of it in queue \"%s\" of namespace \"%s\": "
				INT64_FORMAT ", " INT64_FORMAT " of them with a priority above its %d",
				time_text(e->step->visible_at), queue, namespace_name, position.before,
				position.of_higher_priority,
				tc_priority_of_step(e->view->task.priority, e->view->template->steps[e->node].priority));
}

static void
explain_queue(Explanation *e)
{
	const TcStepView *step = e->step;
	bool		expired = step->live && step->phase == TC_PHASE_CLAIMED;
	const TcLane *lane;

	if (!step->live || step->paused || e->view->held_above || step->visible_at > tc_session_now() ||
		!(expired || step->phase == TC_PHASE_READY))
		return;
	lane = tc_lane_get(step->lane_id);
	explain_workers(e, lane);
	if (!expired || step->attempts + 1 < e->max_attempts)
		explain_position(e, lane);
}

/* ---- all of it ----------------------------------------------------------- */

static void (*const explainers[]) (Explanation *e) = {
	explain_end,
	explain_claim,
	explain_child,
	explain_failures,
	explain_task_end,
	explain_pause,
	explain_pauses_above,
	explain_parents,
	explain_time,
	explain_signal,
	explain_limit,
	explain_map,
	explain_queue,
};

List *
tc_explain_step(const TcTaskView *view, int32 position)
{
	Explanation e = {
		.view = view,
		.position = position,
		.node = tc_view_node(view, position),
		.step = &view->steps[position],
		.key = {view->task.task_id, tc_view_step_no(view, position)},
		.max_attempts = tc_step_attempt_limit(&view->template->steps[tc_view_node(view, position)]),
	};
	bool		ended = tc_step_state_is_ended(e.step->state);

	for (int i = 0; i < lengthof(explainers); i++)
	{
		/* of a step that has ended there is nothing more to say than that, and of its task */
		if (!ended || explainers[i] == explain_end || explainers[i] == explain_task_end)
			explainers[i] (&e);
	}
	return e.reasons;
}
