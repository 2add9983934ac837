/*
 * cancel_task.c
 *	  A task is called off.
 *
 * A change of a task's shape: it locks every queue row of the task in order,
 * until none is new, then the task row.  From then on no worker can end a step
 * of it: the claims are gone, and with them the right to report.
 */
#include "postgres.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "ops/tasks.h"
#include "store/step_store.h"

static void
cancel_claims(const TcQueueRow *rows, int n, const char *reason)
{
	TcQueueRow *claimed = palloc(sizeof(TcQueueRow) * Max(n, 1));
	int			nclaimed = 0;

	for (int i = 0; i < n; i++)
	{
		tc_event_step(TC_EVENT_STEP_CANCELLED, rows[i].key.task_id, rows[i].key.step_no);
		if (rows[i].phase == TC_PHASE_CLAIMED)
			claimed[nclaimed++] = rows[i];
	}
	tc_step_record_moves(claimed, nclaimed, TC_STEP_CANCELLED, reason);
}

bool
tc_cancel_task(int64 task_id, const char *reason)
{
	TcTaskMove	move = {.task_id = task_id, .to = TC_TASK_CANCELLED};
	TcQueueRow *rows;
	int			nrows = tc_queue_lock_task(task_id, &rows);
	TcTaskRow  *task;

	if (tc_task_lock(&task_id, 1, false, &task) != 1)
		tc_raise_task_not_found(task_id);
	move.from = task->state;
	if (tc_task_move(move.from, move.to) == TC_MOVE_NOOP)
		return false;
	if (tc_task_move(move.from, move.to) == TC_MOVE_ILLEGAL)
		tc_raise_task_not_active(task_id, task->state, "cancelled");

	cancel_claims(rows, nrows, reason);
	tc_queue_clear(task_id);
	tc_task_write_moves(&move, 1, reason);
	tc_event_task(TC_EVENT_TASK_CANCELLED, task_id);
	return true;
}
