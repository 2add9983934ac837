/*
 * view_store.c
 *	  One task as it is: every step with its state, whether it has a row or not.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "domain/retry.h"
#include "domain/states.h"
#include "domain/step_status.h"
#include "schema/decision.h"
#include "store/history_table.h"
#include "store/instance_store.h"
#include "store/pause_store.h"
#include "store/plans.h"
#include "store/queue_table.h"
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
read_queue_row(TcScan *scan, TcStepView *step)
{
	step->live = true;
	step->lane_id = tc_scan_int32(scan, TC_QUEUE_lane_id);
	step->paused = step->lane_id < 0;
	step->phase = tc_scan_char(scan, TC_QUEUE_phase);
	step->waits_for_retry = tc_scan_bool(scan, TC_QUEUE_waits_for_retry);
	step->visible_at = tc_scan_timestamptz(scan, TC_QUEUE_visible_at);
	step->claimed_at = tc_scan_timestamptz(scan, TC_QUEUE_claimed_at);
	step->remaining_parents = tc_scan_int32(scan, TC_QUEUE_remaining_parents);
	step->satisfied_parents = tc_scan_int32(scan, TC_QUEUE_satisfied_parents);
	step->attempts = tc_scan_int32(scan, TC_QUEUE_attempts);
	step->attempt_no = tc_scan_int32(scan, TC_QUEUE_attempt_no);
	step->has_token = !tc_scan_isnull(scan, TC_QUEUE_claim_token);
}

static void
read_queue(TcTaskView *view, StepRange range)
{
	TcScan		scan;

	tc_queue_seek_steps(&scan, TC_READ, view->task.task_id, range.first, range.last);
	while (tc_scan_next(&scan))
	{
		int32		position;

		CHECK_FOR_INTERRUPTS();
		tc_scan_take_apart(&scan);
		position = tc_view_position(view, tc_scan_int32(&scan, TC_QUEUE_step_no));
		view->live_rows++;
		if (position < 0)
			view->foreign_rows++;
		else
			read_queue_row(&scan, &view->steps[position]);
	}
	tc_scan_end(&scan);
}

/* ---- history --------------------------------------------------------------- */

static void
read_end(TcScan *scan, int state_column, int time_column, TimestampTz claimed_at, TcStepView *step)
{
	step->recorded = true;
	step->last_recorded = tc_history_state(scan, state_column);
	step->finished_at = tc_scan_timestamptz(scan, time_column);
	if (claimed_at != TC_NO_TIME &&
		(step->last_attempted_at == TC_NO_TIME || claimed_at > step->last_attempted_at))
		step->last_attempted_at = claimed_at;
}

static void
read_attempt(TcScan *scan, TcStepView *step)
{
	bool		completed = tc_scan_text_is(scan, TC_ATTEMPT_outcome, "completed");

	read_end(scan, TC_ATTEMPT_to_state, TC_ATTEMPT_finished_at,
			 tc_scan_timestamptz(scan, TC_ATTEMPT_claimed_at), step);
	step->ended_by_move = false;
	step->history_rows++;
	step->numbering_broken = step->numbering_broken ||
		tc_scan_int32(scan, TC_ATTEMPT_attempt_no) != step->history_rows;
	step->continued_after_end = step->continued_after_end || step->completions > 0;
	step->contradicts_itself = step->contradicts_itself ||
		completed != (step->last_recorded == TC_STEP_COMPLETE) ||
		completed == tc_scan_isnull(scan, TC_ATTEMPT_results);
	step->history_attempts = tc_scan_int32(scan, TC_ATTEMPT_attempt);
	step->backoff_request_seconds = tc_scan_isnull(scan, TC_ATTEMPT_backoff_request_seconds) ? -1
		: tc_scan_int32(scan, TC_ATTEMPT_backoff_request_seconds);
	if (completed)
		step->completions++;
	else
		step->last_failure_at = step->finished_at;
}

static void
read_move(TcScan *scan, TcStepView *step)
{
	bool		of_worker = !tc_scan_isnull(scan, TC_MOVE_worker_id);

	read_end(scan, TC_MOVE_to_state, TC_MOVE_moved_at,
			 of_worker ? tc_scan_timestamptz(scan, TC_MOVE_claimed_at) : TC_NO_TIME, step);
	step->ended_by_move = true;
	if (tc_history_is_reset(scan))
		step->history_attempts = 0;
	step->backoff_request_seconds = -1;
	if (step->last_recorded == TC_STEP_ERROR)
		step->last_failure_at = step->finished_at;
}

/* The next row of either scan, as (step, attempts before it); false at the end. */
typedef struct Place
{
	bool		there;
	int32		step_no;
	int32		attempt_no;
} Place;

static Place
next_place(TcScan *scan, int step_column, int attempt_column)
{
	Place		place = {.there = tc_scan_next(scan)};

	if (place.there)
	{
		tc_scan_take_apart(scan);
		place.step_no = tc_scan_int32(scan, step_column);
		place.attempt_no = tc_scan_int32(scan, attempt_column);
	}
	return place;
}

/* A move comes after the attempt that it names. */
static bool
is_first(Place attempt, Place move)
{
	if (!attempt.there || !move.there)
		return attempt.there;
	if (attempt.step_no != move.step_no)
		return attempt.step_no < move.step_no;
	return attempt.attempt_no <= move.attempt_no;
}

/* Attempts and moves in the order in which they happened to each step. */
static void
read_history(TcTaskView *view, StepRange range)
{
	TcScan		attempts;
	TcScan		moves;
	Place		attempt;
	Place		move;

	tc_attempts_seek(&attempts, TC_READ, view->task.task_id, view->task.slot, range.first, range.last);
	tc_moves_seek(&moves, TC_READ, view->task.task_id, view->task.slot, range.first, range.last);
	attempt = next_place(&attempts, TC_ATTEMPT_step_no, TC_ATTEMPT_attempt_no);
	move = next_place(&moves, TC_MOVE_step_no, TC_MOVE_after_attempt_no);
	while (attempt.there || move.there)
	{
		bool		is_attempt = is_first(attempt, move);
		int32		position = tc_view_position(view, is_attempt ? attempt.step_no : move.step_no);

		CHECK_FOR_INTERRUPTS();
		if (is_attempt)
		{
			if (position >= 0)
				read_attempt(&attempts, &view->steps[position]);
			attempt = next_place(&attempts, TC_ATTEMPT_step_no, TC_ATTEMPT_attempt_no);
		}
		else
		{
			if (position >= 0)
				read_move(&moves, &view->steps[position]);
			move = next_place(&moves, TC_MOVE_step_no, TC_MOVE_after_attempt_no);
		}
	}
	tc_scan_end(&moves);
	tc_scan_end(&attempts);
}

static void
derive_states(TcTaskView *view)
{
	for (int32 i = 0; i < view->nsteps; i++)
	{
		TcStepView *step = &view->steps[i];
		TcStepFacts facts = {
			.live = step->live && step->phase != TC_PHASE_ENDED,
			.claimed = step->live && (step->phase == TC_PHASE_CLAIMED || step->phase == TC_PHASE_TASK ||
									  step->phase == TC_PHASE_MAP),
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

/* How many instances there are says where each of them is in the view. */
static void
read_maps(TcTaskView *view)
{
	int32	   *counts;

	view->nsteps = view->template->nsteps;
	if (view->template->nmaps == 0)
		return;
	counts = palloc(sizeof(int32) * view->template->nmaps);
	view->maps = palloc(sizeof(TcMapView) * view->template->nmaps);
	tc_instances_count(view->task.task_id, view->template, counts);
	for (int32 map = 0; map < view->template->nmaps; map++)
	{
		view->maps[map].first = tc_map_first(view->template, view->template->map_nodes[map]);
		view->maps[map].count = counts[map];
		view->maps[map].position = view->nsteps;
		view->nsteps += counts[map];
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
	read_maps(view);
	view->steps = MemoryContextAllocExtended(CurrentMemoryContext, sizeof(TcStepView) * view->nsteps,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int32 i = 0; i < view->nsteps; i++)
	{
		TcStepView *step = &view->steps[i];

		step->max_attempts = view->template->steps[tc_view_node(view, i)].max_attempts;
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

/* ---- steps and instances ------------------------------------------------- */

int32
tc_view_position(const TcTaskView *view, int32 step_no)
{
	const TcMapView *map;
	int32		node = tc_node_of(view->template, step_no);
	int32		index;

	if (node < 0 || !tc_is_instance(view->template, step_no))
		return node;
	map = tc_view_map(view, node);
	index = tc_instance_index(view->template, step_no);
	return index < map->count ? map->position + index : -1;
}

/* The map that has the instance at a position; they stand in ascending order. */
static int32
map_at(const TcTaskView *view, int32 position)
{
	int32		map = view->template->nmaps - 1;

	while (view->maps[map].position > position)
		map--;
	return map;
}

int32
tc_view_step_no(const TcTaskView *view, int32 position)
{
	const TcMapView *map;

	if (!tc_view_is_instance(view, position))
		return position + 1;
	map = &view->maps[map_at(view, position)];
	return map->first + position - map->position;
}

int32
tc_view_node(const TcTaskView *view, int32 position)
{
	return tc_view_is_instance(view, position) ? view->template->map_nodes[map_at(view, position)] : position;
}

TcTriggerRule
tc_view_trigger_rule(const TcTaskView *view, int32 position)
{
	return view->template->steps[tc_view_node(view, position)].trigger_rule;
}

const char *
tc_view_name(const TcTaskView *view, int32 position)
{
	if (!tc_view_is_instance(view, position))
		return view->template->steps[position].name;
	return tc_step_display_name(view->template, tc_view_step_no(view, position), palloc(TC_STEP_NAME_BYTES));
}

const struct varlena *
tc_view_name_text(const TcTaskView *view, int32 position)
{
	if (!tc_view_is_instance(view, position))
		return view->template->steps[position].name_text;
	return cstring_to_text(tc_view_name(view, position));
}

const TcMapView *
tc_view_map(const TcTaskView *view, int32 node)
{
	if (!tc_step_is_map(&view->template->steps[node]))
		return NULL;
	return &view->maps[(tc_map_first(view->template, node) - view->template->nsteps - 1) / view->template->map_room];
}

TcMapProgress
tc_view_map_progress(const TcTaskView *view, const TcMapView *map)
{
	TcMapProgress progress = {.total = map->count};

	for (int32 i = map->position; i < map->position + map->count; i++)
	{
		TcStepState state = view->steps[i].state;

		progress.completed += tc_step_state_satisfies(state) ? 1 : 0;
		progress.failed += state == TC_STEP_ERROR ? 1 : 0;
		progress.blocking += tc_view_blocks(view, i) ? 1 : 0;
		progress.waited_for += !tc_step_state_is_ended(state) ? 1 : 0;
	}
	progress.waited_for += progress.blocking;
	return progress;
}

bool
tc_view_blocks(const TcTaskView *view, int32 position)
{
	return view->steps[position].state == TC_STEP_ERROR &&
		tc_failure_rule_of(view->template, tc_view_step_no(view, position)) == TC_ON_FAILURE_FAIL;
}

/* ---- parents ------------------------------------------------------------- */

TcParentFate
tc_view_fate(const TcTaskView *view, int32 parent, int32 node)
{
	const bool *taken = view->steps[parent].taken;

	return tc_parent_fate(view->steps[parent].state, view->template->steps[parent].on_failure,
						  taken == NULL || taken[tc_dag_child_position(&view->template->dag, parent, node)]);
}

TcParents
tc_view_parents(const TcTaskView *view, int32 position)
{
	const TcDag *dag = &view->template->dag;
	TcParents	parents = {{0}};

	if (tc_view_is_instance(view, position))
		return parents;
	for (int p = dag->parent_start[position]; p < dag->parent_start[position + 1]; p++)
		parents.fates[tc_view_fate(view, dag->parents[p], position)]++;
	return parents;
}

TcVerdict
tc_view_verdict(const TcTaskView *view, int32 position)
{
	TcParents	parents = tc_view_parents(view, position);

	return tc_trigger_verdict(tc_view_trigger_rule(view, position), &parents);
}

int32
tc_view_remaining_parents(const TcTaskView *view, int32 position)
{
	TcParents	parents = tc_view_parents(view, position);

	return tc_trigger_remaining(tc_view_trigger_rule(view, position), &parents);
}

bool
tc_view_is_triggered(const TcStepView *step)
{
	return step->live && (tc_phase_is_live(step->phase) || step->phase == TC_PHASE_MAP);
}

bool
tc_view_is_ready(const TcTaskView *view, int32 position)
{
	const TcStepView *step = &view->steps[position];

	return step->live && step->phase == TC_PHASE_READY && !step->paused && !view->held_above &&
		step->visible_at <= tc_session_now() &&
		tc_retry_eligible(false, view->template->steps[tc_view_node(view, position)].retryable,
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
	" + " ELSEWHERE("step_checkpoints") " + " ELSEWHERE("task_extra_steps") " + " ELSEWHERE("task_transitions") " + " ELSEWHERE("task_pauses"),
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
