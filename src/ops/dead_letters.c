/*
 * dead_letters.c
 *	  A person takes note of a failure, or has dealt with one.
 *
 * Locks the row of the task, then that of the dead letter.  Neither starts a
 * task again: retry_task does, and settles the entry with it.
 */
#include "postgres.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/operations.h"
#include "store/access_store.h"
#include "store/task_store.h"

static TcTaskRow *
lock_task(int64 task_id)
{
	TcTaskRow  *task;

	if (tc_task_lock(&task_id, 1, false, &task) != 1)
		tc_raise_task_not_found(task_id);
	return task;
}

int64
tc_create_dead_letter(int64 task_id, const char *notes)
{
	TcTaskRow  *task = lock_task(task_id);

	if (tc_task_state_is_final(task->state))
		tc_raise_task_not_active(task_id, task->state, "looked into as a dead letter");
	return tc_dead_letter_record(task_id, "manual", notes, NULL);
}

bool
tc_resolve_dead_letter(int64 dead_letter_id, TcDeadLetterState state, const char *notes)
{
	int64		task_id = tc_dead_letter_task(dead_letter_id);
	TcDeadLetterState from;

	if (task_id == 0 || !tc_scope_has_task(task_id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dead letter " INT64_FORMAT " not found", dead_letter_id),
				 errdetail("No dead letter has the id " INT64_FORMAT ".", dead_letter_id),
				 errhint("Look at tasker.dead_letters for those that are pending.")));
	lock_task(task_id);
	from = tc_dead_letter_state(dead_letter_id, task_id);
	if (from == state)
		return false;
	if (from != TC_DEAD_LETTER_PENDING)
		ereport(ERROR,
				(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
				 errmsg("dead letter " INT64_FORMAT " is closed", dead_letter_id),
				 errdetail("It is in state \"%s\".", tc_dead_letter_state_name(from)),
				 errhint("A closed dead letter stays as it is; a task that fails again gets a new one.")));
	tc_dead_letter_settle(task_id, state, notes);
	return true;
}
