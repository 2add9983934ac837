/*
 * schedule_api.c
 *	  SQL entry points: schedules.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/template.h"
#include "errors.h"
#include "ops/schedules.h"

PG_FUNCTION_INFO_V1(tasker_create_schedule);
PG_FUNCTION_INFO_V1(tasker_list_schedules);
PG_FUNCTION_INFO_V1(tasker_pause_schedule);
PG_FUNCTION_INFO_V1(tasker_resume_schedule);
PG_FUNCTION_INFO_V1(tasker_drop_schedule);

#define DEFAULT_TIMEZONE "UTC"
#define MAX_NAME_CHARACTERS 128

static const char *
text_or(FunctionCallInfo fcinfo, int argno, const char *otherwise)
{
	const char *value = tc_arg_text(fcinfo, argno);

	return value ? value : otherwise;
}

static TcCatchUp
catch_up_arg(FunctionCallInfo fcinfo, int argno)
{
	const char *name = tc_arg_text(fcinfo, argno);
	TcCatchUp	catch_up = TC_CATCH_UP_LATEST;

	if (name != NULL && !tc_catch_up_parse(name, &catch_up))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("catch_up is not known: \"%s\"", name),
				 errdetail("It says what is made up for when several times passed unnoticed."),
				 errhint("Use latest (the latest of them) or all (each of them).")));
	return catch_up;
}

static const char *
name_arg(FunctionCallInfo fcinfo, int argno)
{
	const char *name = tc_arg_required_text(fcinfo, argno, "name");
	int			length = pg_mbstrlen(name);

	if (length < 1 || length > MAX_NAME_CHARACTERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name of a schedule has to have 1 to %d characters", MAX_NAME_CHARACTERS),
				 errdetail("It has %d.", length),
				 errhint("Choose another name.")));
	return name;
}

Datum
tasker_create_schedule(PG_FUNCTION_ARGS)
{
	TcSchedule	schedule = {
		.paused_at = TC_NO_TIME,
		.last_due_at = TC_NO_TIME,
	};
	TcEmit		emit;
	bool		created;

	schedule.name = name_arg(fcinfo, 0);
	schedule.task_name = tc_arg_required_text(fcinfo, 1, "task_name");
	schedule.cron = tc_arg_required_text(fcinfo, 2, "cron");
	schedule.context = tc_arg_jsonb(fcinfo, 3);
	if (schedule.context == NULL)
		schedule.context = (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	schedule.namespace_name = text_or(fcinfo, 4, TC_DEFAULT_NAMESPACE);
	schedule.version = tc_arg_text(fcinfo, 5);
	schedule.timezone = text_or(fcinfo, 6, DEFAULT_TIMEZONE);
	schedule.priority = tc_arg_int32(fcinfo, 7, 0);

	tc_session_begin(fcinfo);
	schedule.catch_up = catch_up_arg(fcinfo, 8);
	created = tc_create_schedule(&schedule);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	tc_emit_int32(&emit, schedule.schedule_id);
	tc_emit_bool(&emit, created);
	tc_emit_timestamptz(&emit, schedule.next_due_at);
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

static void
emit_schedule(TcEmit *emit, const TcSchedule *schedule)
{
	tc_emit_int32(emit, schedule->schedule_id);
	tc_emit_text(emit, schedule->namespace_name);
	tc_emit_text(emit, schedule->name);
	tc_emit_text(emit, schedule->task_name);
	tc_emit_text(emit, schedule->version);
	tc_emit_text(emit, schedule->cron);
	tc_emit_text(emit, schedule->timezone);
	tc_emit_jsonb(emit, schedule->context);
	tc_emit_int32(emit, schedule->priority);
	tc_emit_text(emit, tc_catch_up_name(schedule->catch_up));
	tc_emit_timestamptz(emit, schedule->paused_at);
	tc_emit_timestamptz(emit, schedule->paused_at == TC_NO_TIME ? schedule->next_due_at : TC_NO_TIME);
	tc_emit_timestamptz(emit, schedule->last_due_at);
	if (schedule->last_task_id == 0)
		tc_emit_null(emit);
	else
		tc_emit_int64(emit, schedule->last_task_id);
	tc_emit_text(emit, schedule->last_error);
	tc_emit_timestamptz(emit, schedule->created_at);
	tc_emit_text(emit, schedule->created_by);
	tc_emit_row(emit);
}

Datum
tasker_list_schedules(PG_FUNCTION_ARGS)
{
	const char *namespace_name = tc_arg_text(fcinfo, 0);
	TcSchedule *schedules;
	TcEmit		emit;
	int			n;

	tc_session_begin(fcinfo);
	n = tc_list_schedules(namespace_name, &schedules);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
		emit_schedule(&emit, &schedules[i]);
	PG_RETURN_NULL();
}

/* The verbs that take a name and a namespace, and say whether they changed anything. */
static Datum
run_schedule_verb(FunctionCallInfo fcinfo, bool (*verb) (const char *namespace_name, const char *name))
{
	const char *name = tc_arg_required_text(fcinfo, 0, "name");
	bool		changed;

	tc_session_begin(fcinfo);
	changed = verb(text_or(fcinfo, 1, TC_DEFAULT_NAMESPACE), name);
	tc_session_end();
	PG_RETURN_BOOL(changed);
}

Datum
tasker_pause_schedule(PG_FUNCTION_ARGS)
{
	return run_schedule_verb(fcinfo, tc_pause_schedule);
}

Datum
tasker_resume_schedule(PG_FUNCTION_ARGS)
{
	return run_schedule_verb(fcinfo, tc_resume_schedule);
}

Datum
tasker_drop_schedule(PG_FUNCTION_ARGS)
{
	return run_schedule_verb(fcinfo, tc_drop_schedule);
}
