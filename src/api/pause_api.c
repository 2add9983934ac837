/*
 * pause_api.c
 *	  SQL entry points: pausing namespaces and templates.
 */
#include "postgres.h"

#include "api/args.h"
#include "compat.h"
#include "domain/template.h"
#include "ops/pauses.h"

PG_FUNCTION_INFO_V1(tasker_pause_namespace);
PG_FUNCTION_INFO_V1(tasker_resume_namespace);
PG_FUNCTION_INFO_V1(tasker_pause_template);
PG_FUNCTION_INFO_V1(tasker_resume_template);
PG_FUNCTION_INFO_V1(tasker_list_pauses);

static Datum
run_namespace_verb(FunctionCallInfo fcinfo, bool (*verb) (const char *namespace_name, const char *reason))
{
	const char *namespace_name = tc_arg_required_text(fcinfo, 0, "namespace");
	const char *reason = tc_arg_text(fcinfo, 1);
	bool		changed;

	tc_session_begin(fcinfo);
	changed = verb(namespace_name, reason);
	tc_session_end();
	PG_RETURN_BOOL(changed);
}

Datum
tasker_pause_namespace(PG_FUNCTION_ARGS)
{
	return run_namespace_verb(fcinfo, tc_pause_namespace);
}

Datum
tasker_resume_namespace(PG_FUNCTION_ARGS)
{
	return run_namespace_verb(fcinfo, tc_resume_namespace);
}

static Datum
run_template_verb(FunctionCallInfo fcinfo,
				  bool (*verb) (const char *namespace_name, const char *name, const char *reason))
{
	const char *name = tc_arg_required_text(fcinfo, 0, "name");
	const char *namespace_name = tc_arg_text(fcinfo, 1);
	const char *reason = tc_arg_text(fcinfo, 2);
	bool		changed;

	tc_session_begin(fcinfo);
	changed = verb(namespace_name ? namespace_name : TC_DEFAULT_NAMESPACE, name, reason);
	tc_session_end();
	PG_RETURN_BOOL(changed);
}

Datum
tasker_pause_template(PG_FUNCTION_ARGS)
{
	return run_template_verb(fcinfo, tc_pause_template);
}

Datum
tasker_resume_template(PG_FUNCTION_ARGS)
{
	return run_template_verb(fcinfo, tc_resume_template);
}

Datum
tasker_list_pauses(PG_FUNCTION_ARGS)
{
	const char *namespace_name = tc_arg_text(fcinfo, 0);
	TcPause    *pauses;
	TcEmit		emit;
	int			n;

	tc_session_begin(fcinfo);
	n = tc_list_pauses(namespace_name, &pauses);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
	{
		tc_emit_text(&emit, pauses[i].namespace_name);
		tc_emit_text(&emit, pauses[i].task_name);
		tc_emit_timestamptz(&emit, pauses[i].paused_at);
		tc_emit_text(&emit, pauses[i].paused_by);
		tc_emit_text(&emit, pauses[i].reason);
		tc_emit_timestamptz(&emit, pauses[i].resumed_at);
		tc_emit_text(&emit, pauses[i].resumed_by);
		tc_emit_text(&emit, pauses[i].resume_reason);
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}
