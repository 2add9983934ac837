/*
 * task_api.c
 *	  SQL entry points: tasks.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/jsonb.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "domain/template.h"
#include "errors.h"
#include "ops/tasks.h"

PG_FUNCTION_INFO_V1(tasker_create_task);
PG_FUNCTION_INFO_V1(tasker_cancel_task);

static const struct varlena *
context_arg(FunctionCallInfo fcinfo, int argno)
{
	struct varlena *context = tc_arg_jsonb(fcinfo, argno);

	if (context == NULL)
		return tc_empty_jsonb_object();
	if (!JB_ROOT_IS_OBJECT((Jsonb *) context))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context must be a JSON object"),
				 errdetail("It is an array or a scalar."),
				 errhint("Wrap it: jsonb_build_object('value', ...).")));
	tc_check_payload(context, "context");
	return context;
}

static TimestampTz
run_at_arg(FunctionCallInfo fcinfo, int argno)
{
	TimestampTz run_at;

	if (PG_ARGISNULL(argno))
		return TC_NO_TIME;
	run_at = PG_GETARG_TIMESTAMPTZ(argno);
	if (TIMESTAMP_NOT_FINITE(run_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("run_at must be a finite time"),
				 errdetail("A task scheduled at infinity would never run."),
				 errhint("Leave run_at out to run at once.")));
	return run_at;
}

static Datum
tags_arg(FunctionCallInfo fcinfo, int argno)
{
	char	  **tags;

	if (tc_arg_text_array(fcinfo, argno, "tags", &tags) < 0)
		return 0;
	return PG_GETARG_DATUM(argno);
}

static char *
key_arg(FunctionCallInfo fcinfo, int argno)
{
	char	   *key = tc_arg_text(fcinfo, argno);

	if (key != NULL && key[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency_key must not be empty"),
				 errdetail("Every task with an empty key would be the same task."),
				 errhint("Leave it out, or pass a key that names the request.")));
	return key;
}

Datum
tasker_create_task(PG_FUNCTION_ARGS)
{
	TcCreateRequest request = {0};
	TcCreateResult result;
	TcEmit		emit;

	request.name = tc_arg_required_text(fcinfo, 0, "name");
	request.task.context = context_arg(fcinfo, 1);
	request.namespace_name = PG_ARGISNULL(2) ? TC_DEFAULT_NAMESPACE : tc_arg_text(fcinfo, 2);
	request.version = tc_arg_text(fcinfo, 3);
	request.task.idempotency_key = key_arg(fcinfo, 4);
	request.task.priority = tc_arg_int32(fcinfo, 5, 0);
	request.task.run_at = run_at_arg(fcinfo, 6);
	request.task.initiator = tc_arg_text(fcinfo, 7);
	request.task.source_system = tc_arg_text(fcinfo, 8);
	request.task.reason = tc_arg_text(fcinfo, 9);
	request.task.tags = tags_arg(fcinfo, 10);
	request.task.correlation_id = PG_ARGISNULL(11) ? 0 : PG_GETARG_DATUM(11);
	request.task.parent_correlation_id = PG_ARGISNULL(12) ? 0 : PG_GETARG_DATUM(12);

	tc_session_begin();
	tc_create_task(&request, &result);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	tc_emit_int64(&emit, result.task_id);
	tc_emit_bool(&emit, result.created);
	tc_emit_int32(&emit, result.step_count);
	tc_emit_text(&emit, tc_task_state_name(result.state));
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

Datum
tasker_cancel_task(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	char	   *reason = tc_arg_text(fcinfo, 1);
	bool		cancelled;

	tc_session_begin();
	cancelled = tc_cancel_task(task_id, reason);
	tc_session_end();
	PG_RETURN_BOOL(cancelled);
}
