/*
 * report_api.c
 *	  SQL entry points: reports about the system as a whole.
 *
 * A report is one statement of the store; its columns are those of the function.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "errors.h"
#include "store/access_store.h"
#include "store/report_store.h"

PG_FUNCTION_INFO_V1(tasker_get_system_health_counts);
PG_FUNCTION_INFO_V1(tasker_get_analytics_metrics);
PG_FUNCTION_INFO_V1(tasker_get_slowest_steps);
PG_FUNCTION_INFO_V1(tasker_get_slowest_tasks);
PG_FUNCTION_INFO_V1(tasker_get_slowest_steps_aggregated);
PG_FUNCTION_INFO_V1(tasker_get_slowest_tasks_aggregated);

#define DEFAULT_ROWS 10
#define DEFAULT_MIN_EXECUTIONS 5

static void
show(FunctionCallInfo fcinfo, TcReport report, const TcReportQuery *query)
{
	TcEmit		emit;
	uint64		rows;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	if (query->namespace_name == NULL)
		tc_scope_require_all("Pass one of your namespaces to have its report.");
	else
		tc_scope_require_namespace(query->namespace_name);
	rows = tc_report_run(report, query);
	for (uint64 row = 0; row < rows; row++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int column = 1; column <= emit.rsinfo->setDesc->natts; column++)
		{
			bool		isnull;
			Datum		value = tc_report_value(row, column, &isnull);

			if (isnull)
				tc_emit_null(&emit);
			else
				tc_emit_datum(&emit, value);
		}
		tc_emit_row(&emit);
	}
	tc_session_end();
}

static TimestampTz
since_arg(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return TC_NO_TIME;
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(argno)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("since must be a finite time"),
				 errdetail("The report covers the time from there until now."),
				 errhint("Pass an early date to cover everything.")));
	return PG_GETARG_TIMESTAMPTZ(argno);
}

static int32
count_arg(FunctionCallInfo fcinfo, int argno, const char *name, int32 otherwise)
{
	int32		count = tc_arg_int32(fcinfo, argno, otherwise);

	tc_check_count(name, count, 0);
	return count;
}

/* The arguments of all reports about what was slow: since, limit_count, ..., namespace, name, version. */
static TcReportQuery
slowest_query(FunctionCallInfo fcinfo, int filters)
{
	TcReportQuery query = {
		.since = since_arg(fcinfo, 0),
		.max_rows = count_arg(fcinfo, 1, "limit_count", DEFAULT_ROWS),
		.namespace_name = tc_arg_text(fcinfo, filters),
		.task_name = tc_arg_text(fcinfo, filters + 1),
		.version = tc_arg_text(fcinfo, filters + 2),
	};

	return query;
}

static TcReportQuery
aggregated_query(FunctionCallInfo fcinfo)
{
	TcReportQuery query = slowest_query(fcinfo, 3);

	query.min_executions = count_arg(fcinfo, 2, "min_executions", DEFAULT_MIN_EXECUTIONS);
	return query;
}

Datum
tasker_get_system_health_counts(PG_FUNCTION_ARGS)
{
	TcReportQuery query = {.since = TC_NO_TIME};

	show(fcinfo, TC_REPORT_HEALTH, &query);
	PG_RETURN_NULL();
}

Datum
tasker_get_analytics_metrics(PG_FUNCTION_ARGS)
{
	TcReportQuery query = {.since = since_arg(fcinfo, 0)};

	show(fcinfo, TC_REPORT_ANALYTICS, &query);
	PG_RETURN_NULL();
}

Datum
tasker_get_slowest_steps(PG_FUNCTION_ARGS)
{
	TcReportQuery query = slowest_query(fcinfo, 2);

	show(fcinfo, TC_REPORT_SLOWEST_STEPS, &query);
	PG_RETURN_NULL();
}

Datum
tasker_get_slowest_tasks(PG_FUNCTION_ARGS)
{
	TcReportQuery query = slowest_query(fcinfo, 2);

	show(fcinfo, TC_REPORT_SLOWEST_TASKS, &query);
	PG_RETURN_NULL();
}

Datum
tasker_get_slowest_steps_aggregated(PG_FUNCTION_ARGS)
{
	TcReportQuery query = aggregated_query(fcinfo);

	show(fcinfo, TC_REPORT_SLOWEST_STEPS_AGGREGATED, &query);
	PG_RETURN_NULL();
}

Datum
tasker_get_slowest_tasks_aggregated(PG_FUNCTION_ARGS)
{
	TcReportQuery query = aggregated_query(fcinfo);

	show(fcinfo, TC_REPORT_SLOWEST_TASKS_AGGREGATED, &query);
	PG_RETURN_NULL();
}
