/*
 * events.c
 *	  What listeners are told, and when.
 *
 * A transaction that notifies takes a lock of the whole cluster at commit, so
 * tasker_core.notify decides how much is worth it, and nothing is sent unless
 * something ended or became ready.  Where a background worker looks after the
 * database, a transaction takes no such lock: it collects what it has to tell,
 * and leaves it on the worker's board once it is committed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/async.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "events/board.h"
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

static void
notify(const char *channel, const char *payload)
{
	if (queue_has_room())
		Async_Notify(channel, payload);
}

/* ---- collecting ---------------------------------------------------------- */

/* What was collected, with the nest level of the subtransaction it depends on. */
typedef struct Notice
{
	int			nest_level;
	char	   *text;
} Notice;

/* Levels never fall along a list: what is added belongs to the innermost one. */
typedef struct NoticeList
{
	Notice	   *notices;
	int			n;
	int			size;
} NoticeList;

/* Of this transaction, in its memory; reset at its end. */
static NoticeList namespaces = {0};
static NoticeList payloads = {0};
static TimestampTz timer = TC_NEVER;

/* The same, made ready for the board before the commit. */
static TcPosting posting;

static void
collect(NoticeList *list, const char *text)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	if (list->n == list->size)
	{
		list->size = Max(list->size * 2, 8);
		if (list->notices == NULL)
			list->notices = palloc(sizeof(Notice) * list->size);
		else
			list->notices = repalloc_huge(list->notices, sizeof(Notice) * list->size);
	}
	list->notices[list->n].nest_level = GetCurrentTransactionNestLevel();
	list->notices[list->n].text = pstrdup(text);
	list->n++;
	MemoryContextSwitchTo(old);
}

static bool
is_collected(const NoticeList *list, const char *text)
{
	for (int i = 0; i < list->n; i++)
	{
		if (strcmp(list->notices[i].text, text) == 0)
			return true;
	}
	return false;
}

static void
forget(void)
{
	memset(&namespaces, 0, sizeof(namespaces));
	memset(&payloads, 0, sizeof(payloads));
	timer = TC_NEVER;
}

static void
send_collected(void)
{
	for (int i = 0; i < namespaces.n; i++)
		notify(CHANNEL_READY, namespaces.notices[i].text);
	for (int i = 0; i < payloads.n; i++)
		notify(CHANNEL_EVENTS, payloads.notices[i].text);
	namespaces.n = payloads.n = 0;
}

static Size
payload_bytes(void)
{
	Size		bytes = 0;

	for (int i = 0; i < payloads.n; i++)
		bytes += strlen(payloads.notices[i].text) + 1;
	return bytes;
}

/*
 * The last moment at which something may fail.  Where there is no room on the
 * board, or its worker has gone, this transaction notifies by itself.
 */
static void
before_commit(void)
{
	bool		can_post = payloads.n > 0 ? tc_board_reserve(payload_bytes()) : tc_board_is_open();

	if (!can_post)
		send_collected();
}

/* Lists for the board have to be made before the commit: memory may run out. */
static List *
texts(const NoticeList *list)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	List	   *result = NIL;

	for (int i = 0; i < list->n; i++)
		result = lappend(result, list->notices[i].text);
	MemoryContextSwitchTo(old);
	return result;
}

static void
transaction_ends(XactEvent event, void *arg)
{
	/* what was collected and dropped has left memory that goes with the transaction */
	if (namespaces.notices == NULL && payloads.notices == NULL && timer == TC_NEVER)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			posting.namespaces = texts(&namespaces);
			posting.payloads = texts(&payloads);
			posting.timer = timer;
			break;
		case XACT_EVENT_PRE_PREPARE:
			/* whoever commits it later has no part in this: the server refuses */
			send_collected();
			break;
		case XACT_EVENT_COMMIT:
			tc_board_post(&posting);
			forget();
			break;
		case XACT_EVENT_ABORT:
			tc_board_unreserve();
			forget();
			break;
		case XACT_EVENT_PREPARE:
			forget();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}

static void
hand_to_parent(NoticeList *list, int nest_level)
{
	for (int i = list->n - 1; i >= 0 && list->notices[i].nest_level == nest_level; i--)
		list->notices[i].nest_level--;
}

static void
drop_level(NoticeList *list, int nest_level)
{
	while (list->n > 0 && list->notices[list->n - 1].nest_level >= nest_level)
		list->n--;
}

/* A time that is rolled back stays: the worker looks once for nothing. */
static void
subtransaction_ends(SubXactEvent event, SubTransactionId my_subid,
					SubTransactionId parent_subid, void *arg)
{
	int			nest_level = GetCurrentTransactionNestLevel();

	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		hand_to_parent(&namespaces, nest_level);
		hand_to_parent(&payloads, nest_level);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		drop_level(&namespaces, nest_level);
		drop_level(&payloads, nest_level);
	}
}

void
tc_events_init(void)
{
	RegisterXactCallback(transaction_ends, NULL);
	RegisterSubXactCallback(subtransaction_ends, NULL);
}

/* ---- telling ------------------------------------------------------------- */

/*
 * Ids only, and a name: at most 200 bytes, and valid JSON whatever the name.
 */
static void
tell_event(const char *name, int64 task_id, int32 step_no)
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
	if (tc_board_is_open())
		collect(&payloads, payload.data);
	else
		notify(CHANNEL_EVENTS, payload.data);
	pfree(payload.data);
}

void
tc_event_task(TcEvent event, int64 task_id)
{
	if (tc_guc_notify >= TC_NOTIFY_TASKS)
		tell_event(tc_event_name(event), task_id, 0);
}

void
tc_event_step(TcEvent event, int64 task_id, int32 step_no)
{
	if (tc_guc_notify >= TC_NOTIFY_STEPS)
		tell_event(tc_event_name(event), task_id, step_no);
}

void
tc_event_published(const char *name, int64 task_id, int32 step_no)
{
	if (tc_guc_notify >= TC_NOTIFY_TASKS)
		tell_event(name, task_id, step_no);
}

void
tc_event_ready(const char *namespace_name)
{
	if (tc_guc_notify < TC_NOTIFY_READY)
		return;
	if (!tc_board_is_open())
		notify(CHANNEL_READY, namespace_name);
	else if (!is_collected(&namespaces, namespace_name))
		collect(&namespaces, namespace_name);
}

void
tc_event_timer(TimestampTz at)
{
	if (at < timer && tc_board_is_open())
		timer = at;
}

void
tc_events_send(const List *namespace_names, const List *event_payloads)
{
	const ListCell *cell;

	foreach(cell, namespace_names)
		notify(CHANNEL_READY, lfirst(cell));
	foreach(cell, event_payloads)
		notify(CHANNEL_EVENTS, lfirst(cell));
}
