/*
 * errors.c
 *	  One raiser per failure of the product's own SQLSTATE class.
 *
 * Message: what went wrong, with the id.  DETAIL: the facts.  HINT: the remedy.
 */
#include "postgres.h"

#include "domain/states.h"
#include "errors.h"

#define LEGAL_MOVES_SIZE 128

void
tc_raise_template_not_found(const char *namespace_name, const char *name,
							const char *version)
{
	if (version != NULL)
		ereport(ERROR,
				(errcode(TC_ERRCODE_TEMPLATE_NOT_FOUND),
				 errmsg("template \"%s\" version \"%s\" not found in namespace \"%s\"",
						name, version, namespace_name),
				 errdetail("No such version of this template is registered."),
				 errhint("Register it with tasker.register_task_template(), or leave the version out to use the highest one.")));

	ereport(ERROR,
			(errcode(TC_ERRCODE_TEMPLATE_NOT_FOUND),
			 errmsg("template \"%s\" not found in namespace \"%s\"", name, namespace_name),
			 errdetail("No version of this template is registered in that namespace."),
			 errhint("Register it with tasker.register_task_template(); tasker.list_task_templates() shows what is there.")));
}

void
tc_raise_template_retired(const char *namespace_name, const char *name, const char *version)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_TEMPLATE_NOT_FOUND),
			 errmsg("template \"%s\" version \"%s\" in namespace \"%s\" is retired",
					name, version, namespace_name),
			 errdetail("Tasks of it that exist go on, and no new ones are made."),
			 errhint("Use another version, or take it back with tasker.retire_task_template(..., retired => false).")));
}

void
tc_raise_task_not_found(int64 task_id)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_TASK_NOT_FOUND),
			 errmsg("task " INT64_FORMAT " not found", task_id),
			 errdetail("No task has the id " INT64_FORMAT ".", task_id),
			 errhint("Use the task_id that tasker.create_task() returned; a task whose transaction rolled back never existed.")));
}

void
tc_raise_step_not_found(int64 workflow_step_id)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_STEP_NOT_FOUND),
			 errmsg("step " INT64_FORMAT " not found", workflow_step_id),
			 errdetail("Step " INT64_FORMAT " would be step %d of task " INT64_FORMAT ", which does not exist.",
					   workflow_step_id, tc_step_id_no(workflow_step_id),
					   tc_step_id_task(workflow_step_id)),
			 errhint("Use the workflow_step_id that tasker.claim_steps() returned: task_id * 1000000 + step_no.")));
}

void
tc_raise_lease_lost(int64 workflow_step_id)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_LEASE_LOST),
			 errmsg("the claim on step " INT64_FORMAT " is no longer held", workflow_step_id),
			 errdetail("The claim token does not match the live claim of step %d of task " INT64_FORMAT
					   ": its lease expired and another worker took it, or it was released, cancelled or moved by hand.",
					   tc_step_id_no(workflow_step_id), tc_step_id_task(workflow_step_id)),
			 errhint("Drop this result and roll back what was done for it; claim again for more work. Send heartbeats, or ask for longer leases, if steps outlive theirs.")));
}

void
tc_raise_task_not_active(int64 task_id, TcTaskState state, const char *wanted)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_TASK_NOT_ACTIVE),
			 errmsg("task " INT64_FORMAT " is %s and cannot be %s",
					task_id, tc_task_state_name(state), wanted),
			 errdetail("Nothing leaves the state \"%s\".", tc_task_state_name(state)),
			 errhint("Create a new task to run the workflow again.")));
}

void
tc_raise_illegal_task_move(int64 task_id, TcTaskState from, TcTaskState to)
{
	char		moves[LEGAL_MOVES_SIZE];

	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("task " INT64_FORMAT " cannot go from %s to %s",
					task_id, tc_task_state_name(from), tc_task_state_name(to)),
			 errdetail("Task " INT64_FORMAT " is in state \"%s\".", task_id, tc_task_state_name(from)),
			 errhint("Legal moves from here: %s.", tc_task_legal_moves(from, moves, sizeof(moves)))));
}

void
tc_raise_illegal_step_move(int64 workflow_step_id, TcStepState from, TcStepState to)
{
	char		moves[LEGAL_MOVES_SIZE];

	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("step " INT64_FORMAT " cannot go from %s to %s",
					workflow_step_id, tc_step_state_name(from), tc_step_state_name(to)),
			 errdetail("Step " INT64_FORMAT " is in state \"%s\".",
					   workflow_step_id, tc_step_state_name(from)),
			 errhint("Legal moves from here: %s.", tc_step_legal_moves(from, moves, sizeof(moves)))));
}

void
tc_raise_limit(const char *what, int64 value, int64 limit, const char *hint)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_LIMIT_EXCEEDED),
			 errmsg("%s exceeds the limit", what),
			 errdetail("It is " INT64_FORMAT "; the limit is " INT64_FORMAT ".", value, limit),
			 errhint("%s", hint)));
}

/* A stored value that no code of ours writes: someone edited the tables. */
void
tc_raise_corrupt_state(const char *table_name, int64 id, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("row " INT64_FORMAT " of %s holds an impossible value", id, table_name),
			 errdetail("%s", what),
			 errhint("The tables of schema tasker are written by its functions alone; restore the row from a backup.")));
}
