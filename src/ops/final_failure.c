/*
 * final_failure.c
 *	  What follows when a step has failed for good.
 *
 * Locks, after the row of the step: with on_failure skip the rows of its
 * descendants, with continue those of the joins behind it; the task row last.
 * A fail_fast template makes the failure a change of the task's shape, so all
 * rows of the task are locked before any other.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "events/events.h"
#include "ops/final_failure.h"
#include "ops/progress.h"
#include "store/lane_store.h"
#include "store/task_store.h"
#include "store/template_store.h"

static const TcTemplate *
template_of(int32 lane_id)
{
	return tc_template_get(tc_lane_get(lane_id)->named_task_id);
}

static bool
ends_the_task(const TcTemplate *template, int32 step_no)
{
	return template->fail_fast && template->steps[step_no - 1].on_failure == TC_ON_FAILURE_FAIL;
}

/* A row's lane names the template, and that never changes: no lock is needed to read it. */
void
tc_final_failure_prepare(TcStepKey key)
{
	int32		lane_id = tc_queue_peek_lane(key);

	if (lane_id != 0 && ends_the_task(template_of(lane_id), key.step_no))
		tc_queue_lock_live(key.task_id);
}

/* With every row locked, whatever the rule needs later is not waited for either. */
bool
tc_final_failure_prepare_nowait(TcStepKey key)
{
	int32		lane_id = tc_queue_peek_lane(key);
	TcQueueRow *rows;
	int			n;

	if (lane_id == 0)
		return false;
	if (!template_of(lane_id)->fail_fast &&
		template_of(lane_id)->steps[key.step_no - 1].on_failure == TC_ON_FAILURE_FAIL)
		return true;
	return tc_queue_lock_task_nowait(key.task_id, &rows, &n);
}

/* ---- on_failure: skip ---------------------------------------------------- */

/* The rows that descendants have: waiting joins, and places kept by steps that people ended. */
static int
lock_descendants(int64 task_id, const TcDag *dag, int32 from, bool *below, TcQueueRow **rows)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * dag->n);
	int			n = 0;

	below[from] = true;
	for (int32 node = from + 1; node < dag->n; node++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
			below[node] = below[node] || below[dag->parents[p]];
		if (!below[node])
			continue;
		keys[n].task_id = task_id;
		keys[n++].step_no = node + 1;
	}
	return tc_queue_lock(keys, n, rows);
}

/*
 * Which descendants are skipped now: each whose parent is, unless it ended
 * before.  A join that ended has a row that says so, or none; one that waits has
 * one.
 */
static int
choose_skipped(const TcDag *dag, int64 task_id, int32 from, const bool *below,
			   const TcQueueRow *rows, int nrows, int32 *nodes)
{
	bool	   *skipped = palloc0(sizeof(bool) * dag->n);
	int			n = 0;

	skipped[from] = true;
	for (int32 node = from + 1; node < dag->n; node++)
	{
		TcStepKey	key = {task_id, node + 1};
		const TcQueueRow *row;

		for (int p = dag->parent_start[node]; below[node] && p < dag->parent_start[node + 1]; p++)
			skipped[node] = skipped[node] || skipped[dag->parents[p]];
		if (!skipped[node])
			continue;
		row = bsearch(&key, rows, nrows, sizeof(TcQueueRow), tc_step_key_compare);
		skipped[node] = tc_dag_parent_count(dag, node) > 1
			? row != NULL && row->phase == TC_PHASE_WAITING : row == NULL;
		if (skipped[node])
			nodes[n++] = node;
	}
	return n;
}

static void
skip_descendants(const TcQueueRow *row, const TcDag *dag)
{
	int32		from = row->key.step_no - 1;
	bool	   *below = palloc0(sizeof(bool) * dag->n);
	int32	   *nodes = palloc(sizeof(int32) * dag->n);
	TcStepMove *moves = palloc0(sizeof(TcStepMove) * dag->n);
	TcStepKey  *joins = palloc(sizeof(TcStepKey) * dag->n);
	TcQueueRow *rows;
	int			nrows = lock_descendants(row->key.task_id, dag, from, below, &rows);
	int			n = choose_skipped(dag, row->key.task_id, from, below, rows, nrows, nodes);
	int			njoins = 0;

	for (int i = 0; i < n; i++)
	{
		moves[i].key.task_id = row->key.task_id;
		moves[i].key.step_no = nodes[i] + 1;
		moves[i].verb = TC_VERB_CASCADE;
		moves[i].from = TC_STEP_PENDING;
		moves[i].to = TC_STEP_SKIPPED;
		if (tc_dag_parent_count(dag, nodes[i]) > 1)
			joins[njoins++] = moves[i].key;
		tc_event_step(TC_EVENT_STEP_SKIPPED, moves[i].key.task_id, moves[i].key.step_no);
	}
	tc_step_record_moves(moves, n);
	tc_queue_end_waiting(joins, njoins);
}

/* ---- fail_fast ----------------------------------------------------------- */

/*
 * Fences the claims: their steps are pending again, should the task be retried.
 * While it is in error its steps that did not end count as cancelled.
 */
static void
stop_task(int64 task_id)
{
	TcQueueRow *rows;
	int			n = tc_queue_read_task(task_id, &rows);
	TcStepMove *moves = palloc(sizeof(TcStepMove) * Max(n, 1));
	int			nmoves = 0;

	for (int i = 0; i < n; i++)
	{
		if (rows[i].phase == TC_PHASE_CLAIMED)
			moves[nmoves++] = tc_move_of_claim(&rows[i], TC_VERB_CASCADE, TC_STEP_PENDING, "fail_fast");
		if (rows[i].phase != TC_PHASE_ENDED)
			tc_event_step(TC_EVENT_STEP_CANCELLED, task_id, rows[i].key.step_no);
	}
	tc_step_record_moves(moves, nmoves);
	tc_queue_clear(task_id);
}

/* ---- the story ----------------------------------------------------------- */

static TcTaskState
close_task(int64 task_id)
{
	TcTaskState state;

	tc_progress_close(&task_id, 1, &state);
	return state;
}

TcTaskState
tc_final_failure(const TcQueueRow *row)
{
	const TcTemplate *template = template_of(row->lane_id);
	int32		readied = 0;

	switch (template->steps[row->key.step_no - 1].on_failure)
	{
		case TC_ON_FAILURE_FAIL:
			if (template->fail_fast)
				stop_task(row->key.task_id);
			return tc_progress_failed(row->key.task_id);
		case TC_ON_FAILURE_SKIP:
			skip_descendants(row, &template->dag);
			return close_task(row->key.task_id);
		case TC_ON_FAILURE_CONTINUE:
			tc_progress_children(row, 1, &readied);
			return readied > 0 ? TC_TASK_IN_PROGRESS : close_task(row->key.task_id);
		case TC_FAILURE_RULE_COUNT:
			break;
	}
	pg_unreachable();
}
