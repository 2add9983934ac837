/*
 * final_failure.c
 *	  What follows when a step has failed for good.
 *
 * Most of it is what follows whenever a step ends (progress.c).  But a fail_fast
 * template makes the failure a change of the task's shape, so all rows of the task
 * are locked before any other.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/instances.h"
#include "events/events.h"
#include "ops/children.h"
#include "ops/final_failure.h"
#include "ops/flow.h"
#include "ops/progress.h"
#include "store/lane_store.h"
#include "store/task_store.h"
#include "store/template_store.h"

static bool
ends_the_task(const TcTemplate *template, int32 step_no)
{
	return template->fail_fast && tc_failure_rule_of(template, step_no) == TC_ON_FAILURE_FAIL;
}

/* A row's lane names the template, and that never changes: no lock is needed to read it. */
void
tc_final_failure_prepare(TcStepKey key)
{
	int32		lane_id = tc_queue_peek_lane(key);

	if (lane_id != 0 && ends_the_task(tc_template_of_lane(lane_id), key.step_no))
		tc_queue_lock_live(key.task_id);
}

/* Does nothing wait for this failure, so that it touches no row but its own and its task's? */
static bool
only_blocks(const TcTemplate *template, int32 step_no)
{
	const TcDag *dag = &template->dag;

	if (template->fail_fast || tc_failure_rule_of(template, step_no) != TC_ON_FAILURE_FAIL)
		return false;
	if (tc_is_instance(template, step_no))
		return tc_step_of(template, step_no)->parallelism == 0;	/* else another takes its place */
	for (int c = dag->child_start[step_no - 1]; c < dag->child_start[step_no]; c++)
	{
		if (tc_trigger_counts(template->steps[dag->children[c]].trigger_rule, TC_PARENT_FAILED))
			return false;
	}
	return true;
}

/* With every row locked, whatever follows later is not waited for either. */
bool
tc_final_failure_prepare_nowait(TcStepKey key)
{
	int32		lane_id = tc_queue_peek_lane(key);
	TcQueueRow *rows;
	int			n;

	if (lane_id == 0)
		return false;
	if (only_blocks(tc_template_of_lane(lane_id), key.step_no))
		return true;
	return tc_queue_lock_task_nowait(key.task_id, &rows, &n);
}

/* ---- fail_fast ----------------------------------------------------------- */

/*
 * Fences the claims: their steps are pending again, should the task be retried.
 * While it is in error its steps that did not end count as cancelled.
 */
static void
stop_task(int64 task_id, const TcQueueRow *rows, int n)
{
	TcStepMove *moves = palloc(sizeof(TcStepMove) * Max(n, 1));
	int			nmoves = 0;

	for (int i = 0; i < n; i++)
	{
		if (rows[i].phase == TC_PHASE_CLAIMED || rows[i].phase == TC_PHASE_TASK)
			moves[nmoves++] = tc_move_of_claim(&rows[i], TC_VERB_CASCADE, TC_STEP_PENDING, "fail_fast");
		if (rows[i].phase != TC_PHASE_ENDED)
			tc_event_step(TC_EVENT_STEP_CANCELLED, task_id, rows[i].key.step_no);
	}
	tc_step_record_moves(moves, nmoves);
	tc_queue_clear(task_id);
}

/* ---- the story ----------------------------------------------------------- */

TcTaskState
tc_final_failure(const TcQueueRow *row)
{
	TcEnded		ended = tc_ended_of(row, TC_STEP_ERROR);
	int32		one = 1;
	TcQueueRow *rows;
	int			n;

	if (!ends_the_task(tc_template_of_lane(row->lane_id), row->key.step_no))
	{
		tc_progress(&ended, 1);
		tc_flow_release(row, 1);
		return ended.task_state;
	}
	n = tc_queue_read_task(row->key.task_id, &rows);
	stop_task(row->key.task_id, rows, n);
	tc_progress_close(&row->key.task_id, &one, 1, &ended.task_state);
	tc_children_disown(row->key.task_id, tc_template_of_lane(row->lane_id), NULL, true, "fail_fast");
	rows = repalloc(rows, sizeof(TcQueueRow) * (n + 1));
	rows[n] = *row;
	tc_flow_release(rows, n + 1);
	return ended.task_state;
}

void
tc_fail_by_itself(const TcQueueRow *row, const TcStart *start)
{
	TcEnded		ended;

	if (!ends_the_task(tc_template_of_lane(row->lane_id), row->key.step_no))
	{
		tc_end_by_itself(row, start, &ended);
		return;
	}
	tc_leave_by_itself(row, start);
	tc_final_failure(row);
}
