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

/*
 * From here on no worker can end a step of the task, and nobody else can change
 * it.  What the task looks like is read after the locks, with a new snapshot.
 */
void
tc_hold_task(int64 task_id, TcHeldTask *held)
{
	TcTaskRow  *task;
	bool		found;

	held->nrows = tc_queue_lock_task(task_id, &held->rows);
	if (tc_task_lock(&task_id, 1, false, &task) != 1)
		tc_raise_task_not_found(task_id);

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	found = tc_view_load(task_id, &held->view);
	PopActiveSnapshot();
	if (!found)
		tc_raise_task_not_found(task_id);
}
