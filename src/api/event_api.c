/*
 * event_api.c
 *	  SQL entry points: events.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/xid8.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "errors.h"
#include "ops/event_feed.h"
#include "ops/signals.h"

PG_FUNCTION_INFO_V1(tasker_event_xact);
PG_FUNCTION_INFO_V1(tasker_event_seq);
PG_FUNCTION_INFO_V1(tasker_publish_event);
PG_FUNCTION_INFO_V1(tasker_send_signal);
PG_FUNCTION_INFO_V1(tasker_read_events);
PG_FUNCTION_INFO_V1(tasker_events_lag);

#define DEFAULT_MAX_EVENTS 100

/* ---- defaults of columns: no session, they run inside our own statements ---- */

Datum
tasker_event_xact(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(tc_event_current_xact());
}

Datum
tasker_event_seq(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(tc_event_next_seq());
}

/* ---- publish_event -------------------------------------------------------- */

static const struct varlena *
payload_arg(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
	return tc_arg_jsonb(fcinfo, argno);
}

/* A step names its task, too; both together have to agree. */
static void
read_subject(FunctionCallInfo fcinfo, int task_argno, int step_argno, TcNewEvent *event)
{
	if (!PG_ARGISNULL(task_argno))
	{
		event->task_id = PG_GETARG_INT64(task_argno);
		if (event->task_id <= 0)
			tc_raise_task_not_found(event->task_id);
	}
	if (!PG_ARGISNULL(step_argno))
	{
		int64		step_id = PG_GETARG_INT64(step_argno);
		TcStepKey	key = tc_check_step_id(step_id);

		if (event->task_id != 0 && event->task_id != key.task_id)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("workflow_step_id is not a step of task_id"),
					 errdetail("Step " INT64_FORMAT " is of task " INT64_FORMAT ", not of task " INT64_FORMAT ".",
							   step_id, key.task_id, event->task_id),
					 errhint("Leave task_id out: a step names its task.")));
		event->task_id = key.task_id;
		event->step_no = key.step_no;
	}
}

Datum
tasker_publish_event(PG_FUNCTION_ARGS)
{
	TcNewEvent	event = {.name = tc_arg_required_text(fcinfo, 0, "name")};
	int64		event_id;

	event.payload = payload_arg(fcinfo, 1);
	read_subject(fcinfo, 2, 3, &event);

	tc_session_begin(fcinfo);
	event_id = tc_publish_event(&event);
	tc_session_end();
	PG_RETURN_INT64(event_id);
}

/* ---- send_signal ---------------------------------------------------------- */

Datum
tasker_send_signal(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	char	   *name = tc_arg_required_text(fcinfo, 1, "name");
	struct varlena *payload = tc_arg_jsonb(fcinfo, 2);
	bool		taken;

	if (payload == NULL)
		payload = (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("null")));
	tc_session_begin(fcinfo);
	taken = tc_send_signal(task_id, name, payload);
	tc_session_end();
	PG_RETURN_BOOL(taken);
}

/* ---- read_events ---------------------------------------------------------- */

static bool
cursor_arg(FunctionCallInfo fcinfo, int argno, TcEventCursor *cursor)
{
	char	   *text = tc_arg_text(fcinfo, argno);

	if (text == NULL)
		return false;
	if (!tc_event_cursor_parse(text, cursor))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is no cursor", text),
				 errdetail("Cursors are made by tasker.read_events() and tasker.events_lag()."),
				 errhint("Pass the last cursor you were given, unchanged, or null to read from the first event.")));
	return true;
}

static int32
max_events_arg(FunctionCallInfo fcinfo, int argno)
{
	int32		max_events = tc_arg_int32(fcinfo, argno, DEFAULT_MAX_EVENTS);

	if (max_events < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_events must not be negative"),
				 errdetail("It is %d.", max_events),
				 errhint("Pass a number from 0 to %d.", TC_MAX_BATCH)));
	if (max_events > TC_MAX_BATCH)
		tc_raise_limit("max_events", max_events, TC_MAX_BATCH, "Read on from the last cursor.");
	return max_events;
}

static const char *
pattern_arg(FunctionCallInfo fcinfo, int argno)
{
	const char *pattern = PG_ARGISNULL(argno) ? "*" : tc_arg_text(fcinfo, argno);

	if (pattern[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("pattern must not be empty"),
				 errdetail("No event has an empty name."),
				 errhint("Pass * for all events, or the like of step.*.")));
	return pattern;
}

static void
emit_event(TcEmit *emit, const TcReadEvent *event)
{
	const TcEventRow *row = event->row;
	char		cursor[TC_EVENT_CURSOR_SIZE];

	tc_emit_text(emit, tc_event_cursor_format(event->cursor, cursor));
	tc_emit_text(emit, event->name);
	if (row->task_id == 0)
		tc_emit_null(emit);
	else
		tc_emit_int64(emit, row->task_id);
	if (row->step_no == 0)
		tc_emit_null(emit);
	else
		tc_emit_int64(emit, tc_step_id(row->task_id, row->step_no));
	tc_emit_jsonb(emit, row->payload);
	tc_emit_timestamptz(emit, row->occurred_at);
	tc_emit_row(emit);
}

Datum
tasker_read_events(PG_FUNCTION_ARGS)
{
	TcEventCursor after;
	TcReadRequest request;
	TcReadEvent *events;
	TcEmit		emit;
	int			n;

	request.after = cursor_arg(fcinfo, 0, &after) ? &after : NULL;
	request.max_events = max_events_arg(fcinfo, 1);
	request.pattern = pattern_arg(fcinfo, 2);
	tc_emit_begin(fcinfo, &emit);

	tc_session_begin(fcinfo);
	n = tc_read_events(&request, &events);
	for (int i = 0; i < n; i++)
		emit_event(&emit, &events[i]);
	tc_session_end();
	return (Datum) 0;
}

/* ---- events_lag ----------------------------------------------------------- */

Datum
tasker_events_lag(PG_FUNCTION_ARGS)
{
	TcEventHorizon horizon;
	TcEventHolder holder;
	char		head[TC_EVENT_CURSOR_SIZE];
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	tc_event_horizon(&horizon);
	tc_event_holder(&horizon, &holder);
	tc_emit_text(&emit, tc_event_cursor_format(tc_event_head(&horizon), head));
	tc_emit_datum(&emit, FullTransactionIdGetDatum(FullTransactionIdFromU64(horizon.oldest_running)));
	if (holder.pid == 0)
		tc_emit_null(&emit);
	else
		tc_emit_int32(&emit, holder.pid);
	tc_emit_text(&emit, holder.prepared_as);
	tc_emit_timestamptz(&emit, holder.since);
	tc_emit_timestamptz(&emit, holder.oldest_waiting_at);
	tc_emit_row(&emit);
	tc_session_end();
	return (Datum) 0;
}
