/*
 * operator_api.c
 *	  SQL entry points: what people do to tasks and steps.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/changes.h"
#include "ops/limits.h"

PG_FUNCTION_INFO_V1(tasker_cancel_task);
PG_FUNCTION_INFO_V1(tasker_pause_task);
PG_FUNCTION_INFO_V1(tasker_resume_task);
PG_FUNCTION_INFO_V1(tasker_retry_task);
PG_FUNCTION_INFO_V1(tasker_transition_task);
PG_FUNCTION_INFO_V1(tasker_transition_step);
PG_FUNCTION_INFO_V1(tasker_reset_step);
PG_FUNCTION_INFO_V1(tasker_resolve_step);
PG_FUNCTION_INFO_V1(tasker_skip_step);

/* ---- tasks --------------------------------------------------------------- */

/* What is done to a task, and whether anything was. */
typedef bool (*TaskVerb) (int64 task_id, const char *reason);

static Datum
run_task_verb(FunctionCallInfo fcinfo, TaskVerb verb)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	char	   *reason = tc_arg_text(fcinfo, 1);
	bool		done;

	tc_session_begin(fcinfo);
	done = verb(task_id, reason);
	tc_session_end();
	PG_RETURN_BOOL(done);
}

static bool
cancel(int64 task_id, const char *reason)
{
	return tc_cancel_task(task_id, reason, NULL);
}

Datum
tasker_cancel_task(PG_FUNCTION_ARGS)
{
	return run_task_verb(fcinfo, cancel);
}

Datum
tasker_pause_task(PG_FUNCTION_ARGS)
{
	return run_task_verb(fcinfo, tc_pause_task);
}

Datum
tasker_resume_task(PG_FUNCTION_ARGS)
{
	return run_task_verb(fcinfo, tc_resume_task);
}

Datum
tasker_retry_task(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	char	   *reason = tc_arg_text(fcinfo, 1);
	int32		retried;

	tc_session_begin(fcinfo);
	retried = tc_retry_task(task_id, reason, NULL);
	tc_session_end();
	PG_RETURN_INT32(retried);
}

static TcTaskState
task_state_arg(FunctionCallInfo fcinfo, int argno, const char *name)
{
	char	   *text = tc_arg_required_text(fcinfo, argno, name);
	TcTaskState state;

	if (!tc_task_state_parse(text, &state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is no state of a task", name),
				 errdetail("There is no state \"%s\".", text),
				 errhint("States are pending, in_progress, complete, error, cancelled and resolved_manually.")));
	return state;
}

/* The states that people may ask for; the others a task reaches by its steps. */
static bool
transition_task(int64 task_id, TcTaskState from, TcTaskState to, const char *reason,
				const struct varlena *metadata)
{
	if (tc_task_move(from, to) == TC_MOVE_NOOP)
		return false;
	if (to == TC_TASK_CANCELLED)
		return tc_cancel_task(task_id, reason, metadata);
	if (to == TC_TASK_RESOLVED_MANUALLY)
		return tc_resolve_task(task_id, reason, metadata);
	if (from == TC_TASK_ERROR && to == TC_TASK_IN_PROGRESS)
		return tc_retry_task(task_id, reason, metadata) > 0;
	if (tc_task_state_is_final(from))
		tc_raise_task_not_active(task_id, from, "moved");
	tc_raise_illegal_task_move(task_id, from, to);
}

Datum
tasker_transition_task(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	TcTaskState to = task_state_arg(fcinfo, 1, "to_state");
	bool		expects = !PG_ARGISNULL(2);
	TcTaskState expected = expects ? task_state_arg(fcinfo, 2, "expected_state") : to;
	char	   *reason = tc_arg_text(fcinfo, 3);
	struct varlena *metadata = tc_arg_jsonb(fcinfo, 4);
	TcHeldTask	held;
	TcTaskState from;
	bool		done;

	tc_session_begin(fcinfo);
	tc_hold_task(task_id, &held);
	from = held.view.task.state;
	if (expects && from != expected)
		ereport(ERROR,
				(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
				 errmsg("task " INT64_FORMAT " is not in the expected state", task_id),
				 errdetail("It is in state \"%s\", expected was \"%s\".",
						   tc_task_state_name(from), tc_task_state_name(expected)),
				 errhint("Look at the task again and decide anew.")));
	done = transition_task(task_id, from, to, reason, metadata);
	tc_session_end();
	PG_RETURN_BOOL(done);
}

/* ---- steps --------------------------------------------------------------- */

static TcStepState
step_state_arg(FunctionCallInfo fcinfo, int argno, const char *name)
{
	char	   *text = tc_arg_required_text(fcinfo, argno, name);
	TcStepState state;

	if (!tc_step_state_parse(text, &state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is no state of a step", name),
				 errdetail("There is no state \"%s\".", text),
				 errhint("States are pending, in_progress, waiting_for_retry, complete, error, cancelled, skipped and resolved_manually.")));
	return state;
}

Datum
tasker_transition_step(PG_FUNCTION_ARGS)
{
	TcChangeRequest request = {
		.key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id"))
	};
	TcChangeResult result;
	TcStepState expected;

	request.to = step_state_arg(fcinfo, 1, "to_state");
	if (!PG_ARGISNULL(2))
	{
		expected = step_state_arg(fcinfo, 2, "expected_state");
		request.expected = &expected;
	}
	request.reason = tc_arg_text(fcinfo, 3);
	request.metadata = tc_arg_jsonb(fcinfo, 4);
	request.results = tc_arg_jsonb(fcinfo, 5);
	if (request.results != NULL && request.to != TC_STEP_RESOLVED_MANUALLY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("results go with resolved_manually alone"),
				 errdetail("A step that is %s has no results.", tc_step_state_name(request.to)),
				 errhint("Leave results out.")));
	if (request.results != NULL)
		tc_limit_payload(request.results, "results");

	tc_session_begin(fcinfo);
	tc_change_step(&request, &result);
	tc_session_end();
	PG_RETURN_BOOL(result.changed);
}

static Datum
change_and_tell(FunctionCallInfo fcinfo, TcChangeRequest *request)
{
	TcChangeResult result;
	TcEmit		emit;

	tc_session_begin(fcinfo);
	tc_change_step(request, &result);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	tc_emit_int64(&emit, request->key.task_id);
	tc_emit_text(&emit, tc_task_state_name(result.task_state));
	tc_emit_int32(&emit, result.steps_ready);
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

Datum
tasker_reset_step(PG_FUNCTION_ARGS)
{
	TcChangeRequest request = {
		.key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id")),
		.to = TC_STEP_PENDING,
		.reason = tc_arg_text(fcinfo, 1),
	};

	return change_and_tell(fcinfo, &request);
}

Datum
tasker_resolve_step(PG_FUNCTION_ARGS)
{
	TcChangeRequest request = {
		.key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id")),
		.to = TC_STEP_RESOLVED_MANUALLY,
		.reason = tc_arg_text(fcinfo, 2),
	};

	tc_arg_require(fcinfo, 1, "results");
	request.results = tc_arg_jsonb(fcinfo, 1);
	tc_limit_payload(request.results, "results");
	return change_and_tell(fcinfo, &request);
}

Datum
tasker_skip_step(PG_FUNCTION_ARGS)
{
	TcChangeRequest request = {
		.key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id")),
		.to = TC_STEP_SKIPPED,
		.reason = tc_arg_text(fcinfo, 1),
	};

	return change_and_tell(fcinfo, &request);
}
