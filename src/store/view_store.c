/*
 * view_store.c
 *	  One task as it is: every step with its state, whether it has a row or not.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/retry.h"
#include "domain/states.h"
#include "domain/step_status.h"
#include "schema/decision.h"
#include "store/pause_store.h"
#include "store/plans.h"
#include "store/slot_store.h"
#include "store/template_store.h"
#include "store/view_store.h"

/* Which steps to read. */
typedef struct StepRange
{
	int32		first;
	int32		last;
} StepRange;

static void
bind_range(Datum *values, int64 task_id, StepRange range)
{
	values[0] = Int64GetDatum(task_id);
	values[1] = Int32GetDatum(tc_shard_key(task_id));
	values[2] = Int32GetDatum(range.first);
	values[3] = Int32GetDatum(range.last);
}

static TcPlan plan_queue = {
	.sql =
	"SELECT q.step_no, q.lane_id, q.phase, q.waits_for_retry, q.visible_at, q.claimed_at,"
	" q.remaining_parents, q.attempts, q.attempt_no, q.claim_token IS NOT NULL,"
	" q.satisfied_parents"
	" FROM tasker.step_queue q WHERE q.task_id = $1 AND q.shard_key = $2"
	" AND q.step_no BETWEEN $3 AND $4 ORDER BY q.step_no",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID},
};

static void
read_queue(TcTaskView *view, StepRange range)
{
	Datum		values[4];
	uint64		count;

	bind_range(values, view->task.task_id, range);
	count = tc_plan_run(&plan_queue, values, NULL);
	view->live_rows = (int32) count;
	for (uint64 i = 0; i < count; i++)
	{
		int32		step_no = tc_row_int32(i, 1);
		TcStepView *step;

		if (step_no < 1 || step_no > view->template->nsteps)
		{
			view->foreign_rows++;
			continue;
		}
		step = &view->steps[step_no - 1];
		step->live = true;
		step->lane_id = tc_row_int32(i, 2);
		step->paused = step->lane_id < 0;
		step->phase = tc_row_char(i, 3);
		step->waits_for_retry = tc_row_bool(i, 4);
		step->visible_at = tc_row_timestamptz(i, 5);
		step->claimed_at = tc_row_timestamptz(i, 6);
		step->remaining_parents = tc_row_int32(i, 7);
		step->attempts = tc_row_int32(i, 8);
		step->attempt_no = tc_row_int32(i, 9);
		step->has_token = tc_row_bool(i, 10);
		step->satisfied_parents = tc_row_int32(i, 11);
	}
}

/* Attempts and moves in the order in which they happened to each step. */
#define HISTORY_PLAN(slot) { \
	.sql = \
	"SELECT h.step_no, h.kind, h.attempt_no, h.attempt, h.outcome, h.to_state, h.claimed_at," \
	" h.finished_at, h.backoff_request_seconds, h.consistent FROM (" \
	" SELECT a.step_no, 'a'::\"char\" AS kind, a.attempt_no, 0::bigint AS move_id, a.attempt, a.outcome," \
	"  a.to_state, a.claimed_at, a.finished_at, a.backoff_request_seconds," \
	"  (a.outcome = 'completed') = (a.to_state = 'complete')" \
	"   AND (a.outcome = 'completed') = (a.results IS NOT NULL) AS consistent" \
	" FROM tasker.step_attempts_" slot " a WHERE a.task_id = $1 AND a.shard_key = $2" \
	"  AND a.step_no BETWEEN $3 AND $4" \
	" UNION ALL" \
	" SELECT m.step_no, 'm', m.after_attempt_no, m.move_id, 0, m.verb, m.to_state," \
	"  CASE WHEN m.worker_id IS NOT NULL THEN m.claimed_at END," \
	"  m.moved_at, NULL, true" \
	" FROM tasker.step_moves_" slot " m WHERE m.task_id = $1 AND m.shard_key = $2" \
	"  AND m.step_no BETWEEN $3 AND $4) h" \
	" ORDER BY h.step_no, h.attempt_no, h.move_id", \
	.kind = TC_READ, \
	.expect = SPI_OK_SELECT, \
	.nargs = 4, \
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID}, \
}

static TcPlan plans_history[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(HISTORY_PLAN);

static void
read_attempt(uint64 row, TcStepView *step)
{
	step->history_rows++;
	step->numbering_broken = step->numbering_broken || tc_row_int32(row, 3) != step->history_rows;
	step->continued_after_end = step->continued_after_end || step->completions > 0;
	step->history_attempts = tc_row_int32(row, 4);
	step->backoff_request_seconds = tc_row_isnull(row, 9) ? -1 : tc_row_int32(row, 9);
	if (strcmp(tc_row_text(row, 5), "completed") == 0)
		step->completions++;
	else
		step->last_failure_at = tc_row_timestamptz(row, 8);
}

static void
read_move(uint64 row, TcStepView *step)
{
	const char *verb = tc_row_text(row, 5);

	if (strcmp(verb, "reset") == 0 || strcmp(verb, "retry_task") == 0)
		step->history_attempts = 0;
	step->backoff_request_seconds = -1;
	if (strcmp(tc_row_text(row, 6), "error") == 0)
		step->last_failure_at = tc_row_timestamptz(row, 8);
}

static void
read_event(uint64 row, TcStepView *step)
{
	TimestampTz claimed_at = tc_row_timestamptz(row, 7);

	if (tc_row_char(row, 2) == 'a')
		read_attempt(row, step);
	else
		read_move(row, step);
	step->recorded = true;
	step->ended_by_move = tc_row_char(row, 2) == 'm';
	step->contradicts_itself = step->contradicts_itself || !tc_row_bool(row, 10);
	if (!tc_step_state_parse(tc_row_text(row, 6), &step->last_recorded))
		elog(ERROR, "unknown step state in the history");
	step->finished_at = tc_row_timestamptz(row, 8);
	if (claimed_at != TC_NO_TIME &&
		(step->last_attempted_at == TC_NO_TIME || claimed_at > step->last_attempted_at))
		step->last_attempted_at = claimed_at;
}

static void
read_history(TcTaskView *view, StepRange range)
{
	Datum		values[4];
	uint64		count;

	bind_range(values, view->task.task_id, range);
	count = tc_plan_run(&plans_history[view->task.slot], values, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		int32		step_no = tc_row_int32(i, 1);

		CHECK_FOR_INTERRUPTS();
		if (step_no >= 1 && step_no <= view->template->nsteps)
			read_event(i, &view->steps[step_no - 1]);
	}
}

static void
derive_states(TcTaskView *view)
{
	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		TcStepView *step = &view->steps[node];
		TcStepFacts facts = {
			.live = step->live && step->phase != TC_PHASE_ENDED,
			.claimed = step->live && (step->phase == TC_PHASE_CLAIMED || step->phase == TC_PHASE_TASK),
			.waits_for_retry = step->waits_for_retry,
			.recorded = step->recorded,
			.last_recorded = step->last_recorded,
			.task_state = view->task.state,
			.fail_fast = view->template->fail_fast,
		};

		step->state = tc_step_state_of(&facts);
		if (facts.claimed)
			step->last_attempted_at = step->claimed_at;
		if (!step->live)
			step->attempts = step->history_attempts;
		if (!tc_step_state_is_ended(step->state))
			step->finished_at = TC_NO_TIME;
		else if (!step->recorded || step->state != step->last_recorded)
			step->finished_at = view->task.finished_at; /* it ended with its task */
	}
}

/* What decisions decided: a step that was not taken knows it from nowhere else. */
#define DECISIONS_PLAN(slot) { \
	.sql = \
	"SELECT d.step_no, coalesce(" \
	"  (SELECT a.results FROM tasker.step_attempts_" slot " a WHERE a.task_id = $1 AND a.step_no = d.step_no" \
	"   AND a.shard_key = $2 AND a.outcome = 'completed' LIMIT 1)," \
	"  (SELECT m.results FROM tasker.step_moves_" slot " m WHERE m.task_id = $1 AND m.step_no = d.step_no" \
	"   AND m.shard_key = $2 AND m.to_state = 'resolved_manually' LIMIT 1))" \
	" FROM unnest($3::int[]) AS d(step_no)", \
	.kind = TC_READ, \
	.expect = SPI_OK_SELECT, \
	.nargs = 3, \
	.argtypes = {INT8OID, INT4OID, INT4ARRAYOID}, \
}

static TcPlan plans_decisions[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(DECISIONS_PLAN);

static void
read_decisions(TcTaskView *view)
{
	int32	   *made = palloc(sizeof(int32) * view->template->nsteps);
	int			n = 0;
	Datum		values[3];
	uint64		count;

	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		if (view->template->steps[node].type == TC_TYPE_DECISION &&
			tc_step_state_satisfies(view->steps[node].state))
			made[n++] = node + 1;
	}
	if (n == 0)
		return;
	values[0] = Int64GetDatum(view->task.task_id);
	values[1] = Int32GetDatum(tc_shard_key(view->task.task_id));
	values[2] = tc_array_int32(made, n);
	count = tc_plan_run(&plans_decisions[view->task.slot], values, NULL);
	for (uint64 i = 0; i < count; i++)
	{
		int32		node = tc_row_int32(i, 1) - 1;
		bool	   *taken = palloc(sizeof(bool) * (tc_dag_child_count(&view->template->dag, node) + 1));
		struct varlena *results = tc_row_varlena(i, 2);
		const char *path;

		/* they were refused if they did not say */
		if (results == NULL || tc_decision_read(view->template, node, results, taken, &path) != NULL)
			memset(taken, false, sizeof(bool) * tc_dag_child_count(&view->template->dag, node));
		view->steps[node].taken = taken;
	}
}

static bool
load(int64 task_id, StepRange range, TcTaskView *view)
{
	memset(view, 0, sizeof(*view));
	if (!tc_task_read(task_id, &view->task))
		return false;
	view->template = tc_template_get(view->task.named_task_id);
	view->held_above = tc_is_paused(view->template->namespace_name, view->template->name);
	view->steps = palloc0(sizeof(TcStepView) * view->template->nsteps);
	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		TcStepView *step = &view->steps[node];

		step->max_attempts = view->template->steps[node].max_attempts;
		step->visible_at = step->claimed_at = TC_NO_TIME;
		step->last_failure_at = step->last_attempted_at = step->finished_at = TC_NO_TIME;
		step->backoff_request_seconds = -1;
	}
	read_queue(view, range);
	read_history(view, range);
	derive_states(view);
	read_decisions(view);
	return true;
}

bool
tc_view_load(int64 task_id, TcTaskView *view)
{
	StepRange	all = {PG_INT32_MIN, PG_INT32_MAX};

	return load(task_id, all, view);
}

bool
tc_view_load_step(TcStepKey key, TcTaskView *view)
{
	StepRange	one = {key.step_no, key.step_no};

	return load(key.task_id, one, view);
}

bool
tc_view_blocks(const TcTaskView *view, int32 node)
{
	return view->steps[node].state == TC_STEP_ERROR &&
		view->template->steps[node].on_failure == TC_ON_FAILURE_FAIL;
}

TcParentFate
tc_view_fate(const TcTaskView *view, int32 parent, int32 node)
{
	const bool *taken = view->steps[parent].taken;

	return tc_parent_fate(view->steps[parent].state, view->template->steps[parent].on_failure,
						  taken == NULL || taken[tc_dag_child_position(&view->template->dag, parent, node)]);
}

TcParents
tc_view_parents(const TcTaskView *view, int32 node)
{
	const TcDag *dag = &view->template->dag;
	TcParents	parents = {{0}};

	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
		parents.fates[tc_view_fate(view, dag->parents[p], node)]++;
	return parents;
}

TcVerdict
tc_view_verdict(const TcTaskView *view, int32 node)
{
	TcParents	parents = tc_view_parents(view, node);

	return tc_trigger_verdict(view->template->steps[node].trigger_rule, &parents);
}

int32
tc_view_remaining_parents(const TcTaskView *view, int32 node)
{
	TcParents	parents = tc_view_parents(view, node);

	return tc_trigger_remaining(view->template->steps[node].trigger_rule, &parents);
}

bool
tc_view_is_triggered(const TcStepView *step)
{
	return step->live && tc_phase_is_live(step->phase);
}

bool
tc_view_is_ready(const TcTaskView *view, int32 node)
{
	const TcStepView *step = &view->steps[node];

	return step->live && step->phase == TC_PHASE_READY && !step->paused && !view->held_above &&
		step->visible_at <= tc_session_now() &&
		tc_retry_eligible(false, view->template->steps[node].retryable,
						  step->attempts, step->max_attempts);
}

TimestampTz
tc_view_next_retry_at(const TcStepView *step)
{
	if (!step->live || step->phase != TC_PHASE_READY)
		return TC_NO_TIME;
	if (step->state == TC_STEP_WAITING_FOR_RETRY || step->visible_at > tc_session_now())
		return step->visible_at;
	return TC_NO_TIME;
}

#define TRANSITIONS_PLAN(slot) { \
	.sql = \
	"SELECT t.from_state, t.to_state, coalesce(t.metadata ? 'stale', false) FROM tasker.task_transitions_" slot " t" \
	" WHERE t.task_id = $1 AND t.shard_key = $2 ORDER BY t.transition_id", \
	.kind = TC_READ, \
	.expect = SPI_OK_SELECT, \
	.nargs = 2, \
	.argtypes = {INT8OID, INT4OID}, \
}

static TcPlan plans_transitions[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(TRANSITIONS_PLAN);

int
tc_view_transitions(const TcTaskRow *task, TcTransition **transitions)
{
	Datum		values[2] = {Int64GetDatum(task->task_id), Int32GetDatum(tc_shard_key(task->task_id))};
	int			count = (int) tc_plan_run(&plans_transitions[task->slot], values, NULL);

	*transitions = palloc(sizeof(TcTransition) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		if (!tc_task_state_parse(tc_row_text(i, 1), &(*transitions)[i].from) ||
			!tc_task_state_parse(tc_row_text(i, 2), &(*transitions)[i].to))
			elog(ERROR, "unknown task state in the history of task " INT64_FORMAT, task->task_id);
		(*transitions)[i].stale = tc_row_bool(i, 3);
	}
	return count;
}

#define ELSEWHERE(table) \
	"(SELECT count(*) FROM tasker." table " h WHERE h.task_id = $1 AND h.shard_key = $2 AND h.slot <> $3)"

static TcPlan plan_elsewhere = {
	.sql =
	"SELECT " ELSEWHERE("step_queue") " + " ELSEWHERE("step_attempts") " + " ELSEWHERE("step_moves")
	" + " ELSEWHERE("step_checkpoints") " + " ELSEWHERE("task_transitions") " + " ELSEWHERE("task_pauses"),
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT2OID},
};

int64
tc_view_rows_elsewhere(const TcTaskRow *task)
{
	Datum		values[3] = {
		Int64GetDatum(task->task_id), Int32GetDatum(tc_shard_key(task->task_id)),
		Int16GetDatum(task->slot)
	};

	tc_plan_run(&plan_elsewhere, values, NULL);
	return tc_row_int64(0, 1);
}

/* Looks at every task there is: for checks, not for the daily work. */
static TcPlan plan_task_ids = {
	.sql =
	"(SELECT t.task_id FROM tasker.tasks t WHERE t.finished_at IS NULL)"
	" UNION ALL"
	"(SELECT t.task_id FROM tasker.tasks t WHERE t.finished_at IS NOT NULL"
	"  ORDER BY t.task_id DESC LIMIT $1)",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT8OID},
};

int
tc_view_task_ids(int64 max_tasks, int64 **task_ids)
{
	Datum		values[1] = {Int64GetDatum(max_tasks)};
	uint64		count = tc_plan_run(&plan_task_ids, values, max_tasks < 0 ? "n" : NULL);

	*task_ids = palloc(sizeof(int64) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		(*task_ids)[i] = tc_row_int64(i, 1);
	return (int) count;
}
