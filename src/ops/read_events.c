/*
 * read_events.c
 *	  The events after a cursor, in an order that later commits do not change.
 *
 * Locks nothing and writes nothing: it works on a standby and in a transaction
 * that is read only.
 */
#include "postgres.h"

#include "compat.h"
#include "errors.h"
#include "ops/event_feed.h"

static void
refuse_if_ahead(const TcEventHorizon *horizon, TcEventCursor cursor)
{
	char		buf[TC_EVENT_CURSOR_SIZE];

	if (tc_event_cursor_is_ahead(horizon, cursor))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cursor \"%s\" is ahead of this database",
						tc_event_cursor_format(cursor, buf)),
				 errdetail("No transaction of this server has come that far: the cursor is another database's."),
				 errhint("Use a cursor that tasker.read_events() of this database returned, or null to read from the first event.")));
}

/*
 * Asked after the rows were read: nothing can be dropped then that was not told
 * before, since reading locks the history.
 */
static void
refuse_if_dropped(TcEventCursor cursor)
{
	TcEventCursor oldest;
	char		buf[TC_EVENT_CURSOR_SIZE];
	char		oldest_buf[TC_EVENT_CURSOR_SIZE];

	if (tc_event_oldest(&oldest) && tc_event_is_after(oldest, cursor))
		ereport(ERROR,
				(errcode(TC_ERRCODE_EVENTS_DROPPED),
				 errmsg("events after cursor \"%s\" were dropped", tc_event_cursor_format(cursor, buf)),
				 errdetail("The oldest valid cursor is %s.", tc_event_cursor_format(oldest, oldest_buf)),
				 errhint("Go on from that cursor, and find out by other means what happened before it. Retention is longer with tasker.configure('retention_days', ...).")));
}

/* The events of a row that are after the cursor and asked for. */
static int
events_of_row(const TcEventRow *row, TcEventCursor after, const char *pattern, TcReadEvent *events)
{
	const TcEventRule *rule = NULL;
	int			n = 0;

	if (row->source != TC_SOURCE_DOMAIN_EVENTS)
		rule = tc_event_rule(row->source, row->kind);
	for (int position = 0; position < (rule == NULL ? 1 : TC_EVENTS_PER_ROW); position++)
	{
		TcReadEvent event = {.row = row, .name = row->kind};

		if (rule != NULL && rule->events[position] == TC_EVENT_NONE)
			break;
		if (rule != NULL)
			event.name = tc_event_name(rule->events[position]);
		event.cursor = tc_event_cursor(row->event_xact, row->event_seq, position);
		if (tc_event_is_after(event.cursor, after) && tc_event_matches(pattern, event.name))
			events[n++] = event;
	}
	return n;
}

int
tc_read_events(const TcReadRequest *request, TcReadEvent **events)
{
	TcEventCursor after = {0, 0};
	TcEventHorizon horizon;
	TcEventRow *rows;
	int			nrows;
	int			n = 0;

	tc_event_horizon(&horizon);
	if (request->after != NULL)
	{
		after = *request->after;
		refuse_if_ahead(&horizon, after);
	}

	else
		tc_event_oldest(&after);

	/* one more, since the row of the cursor itself may have no event left */
	nrows = tc_event_rows(&horizon, after, request->pattern, request->max_events + 1, &rows);
	refuse_if_dropped(after);
	*events = palloc(sizeof(TcReadEvent) * Max(nrows, 1) * TC_EVENTS_PER_ROW);
	for (int i = 0; i < nrows && n < request->max_events; i++)
		n += events_of_row(&rows[i], after, request->pattern, *events + n);
	return Min(n, request->max_events);
}
