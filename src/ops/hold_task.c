/*
 * hold_task.c
 *	  The locks of every change of a task's shape.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "errors.h"
#include "ops/changes.h"

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
	TcTaskRow  *task;

	held->nrows = tc_queue_lock_task(task_id, &held->rows);
	if (tc_task_lock(&task_id, 1, false, &task) != 1 || !load_held(task_id, held))
		tc_raise_task_not_found(task_id);
}

bool
tc_hold_task_nowait(int64 task_id, TcHeldTask *held)
{
	TcTaskRow  *task;

	return tc_queue_lock_task_nowait(task_id, &held->rows, &held->nrows) &&
		tc_task_lock(&task_id, 1, true, &task) == 1 && load_held(task_id, held);
}
