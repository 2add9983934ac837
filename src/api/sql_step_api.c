/*
 * sql_step_api.c
 *	  SQL entry point: steps whose handler is a function in the database.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "ops/sql_steps.h"

PG_FUNCTION_INFO_V1(tasker_run_sql_steps);

#define DEFAULT_SQL_STEPS 100

Datum
tasker_run_sql_steps(PG_FUNCTION_ARGS)
{
	int32		max_steps = tc_arg_int32(fcinfo, 0, DEFAULT_SQL_STEPS);
	char	  **namespaces;
	int			nnamespaces = tc_arg_text_array(fcinfo, 1, "namespaces", &namespaces);
	TcSqlStepRun run;
	TcEmit		emit;

	tc_check_count("max_steps", max_steps, 0);
	tc_sql_steps_require_own_session();
	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < max_steps && tc_run_sql_step(fcinfo, namespaces, Max(nnamespaces, 0), &run); i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_emit_int64(&emit, run.workflow_step_id);
		tc_emit_text(&emit, run.status);
		tc_emit_jsonb(&emit, run.error);
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}
