/*
 * hold_task.c
 *	  The locks of every change of a task's shape.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "ops/changes.h"
#include "store/attempt.h"

typedef struct Hold
{
	int64		task_id;
	TcHeldTask *held;
} Hold;

/*
 * Another change may commit live rows while we wait for the task row; they have
 * to be locked before it, so then all locks are given back.
 */
static bool
lock_all(void *arg)
{
	Hold	   *hold = arg;
	TcHeldTask *held = hold->held;
	int			nlocked = tc_queue_lock_live(hold->task_id);
	TcTaskRow  *task;

	if (tc_task_lock(&hold->task_id, 1, false, &task) != 1)
		tc_raise_task_not_found(hold->task_id);
	held->nrows = tc_queue_read_task(hold->task_id, &held->rows);
	for (int i = 0; i < held->nrows; i++)
	{
		if (tc_phase_is_live(held->rows[i].phase))
			nlocked--;
	}
	return nlocked == 0;
}

/* What the task looks like is read after the locks, with a new snapshot. */
static bool
load_held(int64 task_id, TcHeldTask *held)
{
	bool		found;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = tc_view_load(task_id, &held->view);
	PopActiveSnapshot();
	return found;
}

/*
 * From here on no worker can end a step of the task, and nobody else can change
 * it.
 */
void
tc_hold_task(int64 task_id, TcHeldTask *held)
{
	Hold		hold = {task_id, held};

	while (!tc_attempt(lock_all, &hold, TC_WAIT_AS_LONG_AS_IT_TAKES))
		CHECK_FOR_INTERRUPTS();
	if (!load_held(task_id, held))
		tc_raise_task_not_found(task_id);
}

bool
tc_hold_task_nowait(int64 task_id, TcHeldTask *held)
{
	TcTaskRow  *task;
	int			nlocked;

	return tc_queue_lock_task_nowait(task_id, &held->rows, &nlocked) &&
		tc_task_lock(&task_id, 1, true, &task) == 1 &&
		(held->nrows = tc_queue_read_task(task_id, &held->rows)) == nlocked &&
		load_held(task_id, held);
}
