/*
 * task_api.c
 *	  SQL entry points: tasks.
 */
#include "postgres.h"


#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "ops/tasks.h"

PG_FUNCTION_INFO_V1(tasker_create_task);
PG_FUNCTION_INFO_V1(tasker_create_tasks);
PG_FUNCTION_INFO_V1(tasker_create_task_from_definition);

static Datum
tags_arg(FunctionCallInfo fcinfo, int argno)
{
	char	  **tags;

	if (tc_arg_text_array(fcinfo, argno, "tags", &tags) < 0)
		return 0;
	return PG_GETARG_DATUM(argno);
}

/* The arguments that create_task and create_task_from_definition share, from `first` on. */
static void
read_task_args(FunctionCallInfo fcinfo, int first, TcNewTask *task)
{
	task->idempotency_key = tc_arg_text(fcinfo, first);
	task->priority = tc_arg_int32(fcinfo, first + 1, 0);
	task->has_run_at = !PG_ARGISNULL(first + 2);
	task->run_at = task->has_run_at ? PG_GETARG_TIMESTAMPTZ(first + 2) : TC_NO_TIME;
	task->initiator = tc_arg_text(fcinfo, first + 3);
	task->source_system = tc_arg_text(fcinfo, first + 4);
	task->reason = tc_arg_text(fcinfo, first + 5);
	task->tags = tags_arg(fcinfo, first + 6);
	task->correlation_id = PG_ARGISNULL(first + 7) ? 0 : PG_GETARG_DATUM(first + 7);
	task->parent_correlation_id = PG_ARGISNULL(first + 8) ? 0 : PG_GETARG_DATUM(first + 8);
}

static void
emit_created(TcEmit *emit, const TcCreateResult *result)
{
	tc_emit_int64(emit, result->task_id);
	tc_emit_bool(emit, result->created);
	if (result->dropped)
	{
		tc_emit_null(emit);
		tc_emit_null(emit);
		return;
	}
	tc_emit_int32(emit, result->step_count);
	tc_emit_text(emit, tc_task_state_name(result->state));
}

Datum
tasker_create_task(PG_FUNCTION_ARGS)
{
	TcCreateRequest request = {0};
	TcCreateResult result;
	TcEmit		emit;

	request.name = tc_arg_required_text(fcinfo, 0, "name");
	request.task.context = tc_arg_jsonb(fcinfo, 1);
	request.namespace_name = tc_arg_text(fcinfo, 2);
	request.version = tc_arg_text(fcinfo, 3);
	read_task_args(fcinfo, 4, &request.task);

	tc_session_begin(fcinfo);
	tc_create_task(&request, &result);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	emit_created(&emit, &result);
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

Datum
tasker_create_tasks(PG_FUNCTION_ARGS)
{
	struct varlena *json;
	TcCreateResult *results;
	TcEmit		emit;
	int			n;

	tc_arg_require(fcinfo, 0, "requests");
	json = tc_arg_jsonb(fcinfo, 0);
	tc_session_begin(fcinfo);
	n = tc_create_tasks(json, &results);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
	{
		emit_created(&emit, &results[i]);
		tc_emit_int32(&emit, i + 1);
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}

Datum
tasker_create_task_from_definition(PG_FUNCTION_ARGS)
{
	TcNewTask	task = {0};
	TcCreateResult result;
	TcEmit		emit;

	tc_arg_require(fcinfo, 0, "template");
	task.context = tc_arg_jsonb(fcinfo, 1);
	read_task_args(fcinfo, 2, &task);

	tc_session_begin(fcinfo);
	tc_create_task_from_definition(tc_arg_jsonb(fcinfo, 0), &task, &result);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	emit_created(&emit, &result);
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}
