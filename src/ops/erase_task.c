/*
 * erase_task.c
 *	  The data of a task goes, what happened to it stays on record.
 */
#include "postgres.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/bulk.h"
#include "ops/changes.h"
#include "store/erase_store.h"

bool
tc_erase_task_payload(int64 task_id)
{
	TcHeldTask	held;

	tc_hold_task(task_id, &held);
	if (!tc_task_state_is_final(held.view.task.state))
		ereport(ERROR,
				(errcode(TC_ERRCODE_TASK_NOT_ACTIVE),
				 errmsg("task " INT64_FORMAT " is not final, and its data cannot be erased", task_id),
				 errdetail("It is %s: steps of it may still need them.",
						   tc_task_state_name(held.view.task.state)),
				 errhint("Let it complete, cancel it with tasker.cancel_task(), or resolve it with tasker.transition_task().")));
	return tc_erase_payload(task_id, held.view.task.slot);
}
