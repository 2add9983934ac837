/*
 * bulk_api.c
 *	  SQL entry points: one change for many tasks, and data erased.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "ops/bulk.h"

PG_FUNCTION_INFO_V1(tasker_cancel_tasks);
PG_FUNCTION_INFO_V1(tasker_retry_tasks);
PG_FUNCTION_INFO_V1(tasker_erase_task_payload);

#define DEFAULT_BULK_TASKS 1000

static Datum
change_tasks(FunctionCallInfo fcinfo, TcBulkVerb verb)
{
	TcBulkRequest request = {.verb = verb};
	TcBulkItem *items;
	TcEmit		emit;
	int			n;

	tc_arg_require(fcinfo, 0, "filters");
	request.filters = tc_arg_jsonb(fcinfo, 0);
	request.max_tasks = tc_arg_int32(fcinfo, 1, DEFAULT_BULK_TASKS);
	request.dry_run = tc_arg_bool(fcinfo, 2, true);
	request.reason = tc_arg_text(fcinfo, 3);
	tc_check_count("max_tasks", request.max_tasks, 0);

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_change_tasks(&request, &items);
	for (int i = 0; i < n; i++)
	{
		tc_emit_int64(&emit, items[i].task_id);
		tc_emit_text(&emit, items[i].outcome);
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

Datum
tasker_cancel_tasks(PG_FUNCTION_ARGS)
{
	return change_tasks(fcinfo, TC_BULK_CANCEL);
}

Datum
tasker_retry_tasks(PG_FUNCTION_ARGS)
{
	return change_tasks(fcinfo, TC_BULK_RETRY);
}

Datum
tasker_erase_task_payload(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	bool		erased;

	tc_session_begin(fcinfo);
	erased = tc_erase_task_payload(task_id);
	tc_session_end();
	PG_RETURN_BOOL(erased);
}
