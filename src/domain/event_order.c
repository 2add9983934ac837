/*
 * event_order.c
 *	  The order of events, and the cursors into it (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/event_order.h"

#define ORDINAL_LIMIT ((int64) PG_INT32_MAX * TC_EVENTS_PER_ROW + TC_EVENTS_PER_ROW)

bool
tc_event_is_after(TcEventCursor event, TcEventCursor cursor)
{
	if (event.xact != cursor.xact)
		return event.xact > cursor.xact;
	return event.ordinal > cursor.ordinal;
}

/* A number without sign, leading zeros or overflow; moves *text behind it. */
static bool
parse_number(const char **text, int64 limit, int64 *number)
{
	const char *p = *text;

	if (*p < '0' || *p > '9' || (*p == '0' && p[1] >= '0' && p[1] <= '9'))
		return false;
	for (*number = 0; *p >= '0' && *p <= '9'; p++)
	{
		*number = *number * 10 + (*p - '0');
		if (*number >= limit)
			return false;
	}
	*text = p;
	return true;
}

bool
tc_event_cursor_parse(const char *text, TcEventCursor *cursor)
{
	int64		epoch;
	int64		xid;

	if (!parse_number(&text, TC_EVENT_EPOCH_MAX + 1, &epoch) || epoch == 0 || *text++ != '.' ||
		!parse_number(&text, TC_EVENT_XID_LIMIT, &xid) || *text++ != '.' ||
		!parse_number(&text, ORDINAL_LIMIT, &cursor->ordinal) || *text != '\0')
		return false;
	cursor->xact = tc_event_xact((int32) epoch, xid);
	return true;
}

const char *
tc_event_cursor_format(TcEventCursor cursor, char buf[TC_EVENT_CURSOR_SIZE])
{
	snprintf(buf, TC_EVENT_CURSOR_SIZE, "%d." INT64_FORMAT "." INT64_FORMAT,
			 tc_event_xact_epoch(cursor.xact), tc_event_xact_xid(cursor.xact), cursor.ordinal);
	return buf;
}

/* ---- epochs --------------------------------------------------------------- */

static bool
same_server(const TcEventOrigin *a, const TcEventOrigin *b)
{
	return a->system_identifier == b->system_identifier && a->database_oid == b->database_oid;
}

static bool
same_origin(const TcEventOrigin *a, const TcEventOrigin *b)
{
	return same_server(a, b) && (a->timeline == b->timeline || b->timeline == 0);
}

/* The newest epoch of another server, 0 if there is none. */
static int32
newest_foreign(const TcEventEpoch *recorded, int n, const TcEventOrigin *here)
{
	int32		newest = 0;

	for (int i = 0; i < n; i++)
	{
		if (!same_server(&recorded[i].origin, here))
			newest = Max(newest, recorded[i].epoch);
	}
	return newest;
}

/* Several transactions may each have recorded the same epoch. */
TcEventEra
tc_event_era(const TcEventEpoch *recorded, int n, TcEventOrigin here)
{
	TcEventEra	era = {0};

	for (int i = 0; i < n; i++)
		era.epoch = Max(era.epoch, recorded[i].epoch);
	for (int i = 0; i < n; i++)
	{
		if (recorded[i].epoch == era.epoch && same_origin(&recorded[i].origin, &here))
			era.recorded = true;
	}
	if (!era.recorded)
		era.epoch++;
	era.first_epoch = newest_foreign(recorded, n, &here) + 1;
	return era;
}

bool
tc_event_is_settled(const TcEventEra *era, int64 event_xact, int64 oldest_running)
{
	return tc_event_xact_epoch(event_xact) < era->first_epoch ||
		tc_event_xact_xid(event_xact) < oldest_running;
}
