/*
 * events.c
 *	  What listeners are told, and when.
 *
 * A transaction that notifies takes a lock of the whole cluster at commit, so
 * tasker_core.notify decides how much is worth it, and nothing is sent unless
 * something ended or became ready.
 */
#include "postgres.h"

#include "commands/async.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "events/events.h"
#include "guc.h"

#define CHANNEL_READY "tasker_ready"
#define CHANNEL_EVENTS "tasker_events"

/* A listener that idles in a transaction keeps the queue from being emptied. */
#define QUEUE_TOO_FULL 0.5
#define QUEUE_CHECK_INTERVAL USECS_PER_SEC

/*
 * A full queue makes every NOTIFY fail, and with it the transaction that
 * completes a step.  Well before that we stop sending: workers poll anyway.
 * Looked at once a second a backend.
 */
static bool
queue_has_room(void)
{
	static TimestampTz checked_at = 0;
	static bool has_room = true;
	TimestampTz now = GetCurrentTimestamp();
	double		usage;

	if (now >= checked_at && now < checked_at + QUEUE_CHECK_INTERVAL)
		return has_room;
	usage = DatumGetFloat8(DirectFunctionCall1(pg_notification_queue_usage, (Datum) 0));
	if (usage >= QUEUE_TOO_FULL && has_room)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("notifications of tasker_core are paused"),
				 errdetail("The notification queue of the server is %.0f%% full.", usage * 100),
				 errhint("A session that executed LISTEN stays in a transaction; end it. Workers go on by polling.")));
	has_room = usage < QUEUE_TOO_FULL;
	checked_at = now;
	return has_room;
}

static bool
wanted(TcNotifyLevel level)
{
	return tc_guc_notify >= level && queue_has_room();
}

/*
 * Ids only, and a name: at most 200 bytes, and valid JSON whatever the name.
 */
static void
notify_event(const char *name, int64 task_id, int32 step_no)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfoString(&payload, "{\"event\": ");
	escape_json(&payload, name);
	if (task_id != 0)
		appendStringInfo(&payload, ", \"task_id\": " INT64_FORMAT, task_id);
	if (step_no != 0)
		appendStringInfo(&payload, ", \"workflow_step_id\": " INT64_FORMAT,
						 tc_step_id(task_id, step_no));
	appendStringInfoChar(&payload, '}');
	Async_Notify(CHANNEL_EVENTS, payload.data);
	pfree(payload.data);
}

void
tc_event_task(TcEvent event, int64 task_id)
{
	if (wanted(TC_NOTIFY_TASKS))
		notify_event(tc_event_name(event), task_id, 0);
}

void
tc_event_step(TcEvent event, int64 task_id, int32 step_no)
{
	if (wanted(TC_NOTIFY_STEPS))
		notify_event(tc_event_name(event), task_id, step_no);
}

void
tc_event_published(const char *name, int64 task_id, int32 step_no)
{
	if (wanted(TC_NOTIFY_TASKS))
		notify_event(name, task_id, step_no);
}

void
tc_event_ready(const char *namespace_name)
{
	if (wanted(TC_NOTIFY_READY))
		Async_Notify(CHANNEL_READY, namespace_name);
}
