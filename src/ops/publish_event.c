/*
 * publish_event.c
 *	  An event of one's own: stored with the transaction that it tells of.
 *
 * Takes no lock.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "compat.h"
#include "errors.h"
#include "events/events.h"
#include "ops/event_feed.h"
#include "ops/limits.h"
#include "ops/steps.h"
#include "store/access_store.h"
#include "store/task_store.h"

/* What a name may not be; NULL = it may be used. */
static const char *
name_problem(const char *name)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;
	size_t		length = strlen(name);

	if (length == 0)
		return "It is empty.";
	if (length > TC_EVENT_NAME_MAX)
		return psprintf("It has %zu bytes, at most %d are allowed.", length, TC_EVENT_NAME_MAX);
	if (name[0] == ' ' || name[length - 1] == ' ')
		return "It begins or ends with a space.";
	for (const unsigned char *c = (const unsigned char *) name; *c != '\0'; c++)
	{
		if (*c < 0x20 || *c == 0x7f || (utf8 && *c == 0xc2 && c[1] < 0xa0))
			return "It holds a control character.";
		if (strchr("*\"\\", *c) != NULL)
			return psprintf("It holds the character %c.", *c);
	}
	if (tc_event_name_is_reserved(name))
		return "Names that begin with " TC_EVENT_RESERVED_PREFIXES " are tasker_core's own.";
	return NULL;
}

static void
check_name(const char *name)
{
	const char *problem = name_problem(name);

	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" cannot be the name of an event", name),
				 errdetail("%s", problem),
				 errhint("Use up to %d printable bytes without *, quotes and backslashes, such as order.shipped.",
						 TC_EVENT_NAME_MAX)));
}

static void
raise_unknown(const TcNewEvent *event)
{
	if (event->step_no != 0)
		tc_raise_step_not_found(tc_step_id(event->task_id, event->step_no));
	tc_raise_task_not_found(event->task_id);
}

static void
check_subject(const TcNewEvent *event)
{
	TcStepKey	key = {event->task_id, event->step_no};
	TcTaskRow  *task;

	if (event->task_id == 0)
		tc_scope_require_all("Name a task of one of these namespaces: an event without one belongs to none.");
	else if (!tc_scope_has_task(event->task_id))
		raise_unknown(event);
	if (event->step_no != 0)
		tc_require_step(key);
	else if (event->task_id != 0 && tc_task_read_latest(&event->task_id, 1, &task) != 1)
		tc_raise_task_not_found(event->task_id);
}

int64
tc_publish_event(TcNewEvent *event)
{
	int64		event_id;

	check_name(event->name);
	tc_limit_payload(event->payload, "payload");
	check_subject(event);
	event_id = tc_event_insert(event);
	tc_event_published(event->name, event->task_id, event->step_no);
	return event_id;
}
