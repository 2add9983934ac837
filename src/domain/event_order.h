/*
 * event_order.h
 *	  The order of events, and the cursors into it (pure C).
 *
 * Every row that stands for an event carries event_xact and event_seq.
 * event_xact is the id of the transaction that wrote it, behind a number that
 * rises whenever those ids start to mean something else: the epoch.  Sorted by
 * both columns, events are in an order that never changes below the oldest
 * transaction still running.
 */
#ifndef TC_EVENT_ORDER_H
#define TC_EVENT_ORDER_H

#include "domain/event_names.h"

#define TC_EVENT_XID_BITS	48
#define TC_EVENT_XID_LIMIT	(INT64CONST(1) << TC_EVENT_XID_BITS)
#define TC_EVENT_EPOCH_MAX	32767

static inline int64
tc_event_xact(int32 epoch, int64 xid)
{
	return ((int64) epoch << TC_EVENT_XID_BITS) | xid;
}

static inline int32
tc_event_xact_epoch(int64 event_xact)
{
	return (int32) (event_xact >> TC_EVENT_XID_BITS);
}

static inline int64
tc_event_xact_xid(int64 event_xact)
{
	return event_xact & (TC_EVENT_XID_LIMIT - 1);
}

/* ---- cursors -------------------------------------------------------------- */

/*
 * The place of one event.  A row may stand for several: they are told apart by
 * the ordinal, event_seq * TC_EVENTS_PER_ROW + position in the row.
 */
typedef struct TcEventCursor
{
	int64		xact;
	int64		ordinal;
} TcEventCursor;

#define TC_EVENT_CURSOR_SIZE 64

static inline TcEventCursor
tc_event_cursor(int64 event_xact, int32 event_seq, int position)
{
	TcEventCursor cursor = {event_xact, (int64) event_seq * TC_EVENTS_PER_ROW + position};

	return cursor;
}

static inline int32
tc_event_cursor_seq(const TcEventCursor *cursor)
{
	return (int32) (cursor->ordinal / TC_EVENTS_PER_ROW);
}

extern bool tc_event_is_after(TcEventCursor event, TcEventCursor cursor);

/* "epoch.xid.ordinal"; parse says false for anything that format does not write. */
extern bool tc_event_cursor_parse(const char *text, TcEventCursor *cursor);
extern const char *tc_event_cursor_format(TcEventCursor cursor, char buf[TC_EVENT_CURSOR_SIZE]);

/* ---- epochs --------------------------------------------------------------- */

/*
 * Where transaction ids mean what they mean: a server, a database in it, and a
 * line of its history.  Dump and restore change the first two; failover and
 * recovery to an earlier time change the last, after which the ids of lost
 * transactions are given out again.
 */
typedef struct TcEventOrigin
{
	int64		system_identifier;
	int64		database_oid;
	int32		timeline;		/* 0 = whichever: a standby follows the one it is told */
} TcEventOrigin;

typedef struct TcEventEpoch
{
	int32		epoch;
	TcEventOrigin origin;
} TcEventEpoch;

typedef struct TcEventEra
{
	int32		epoch;			/* of what is written here now */
	bool		recorded;		/* false: nobody has written in it yet */
	int32		first_epoch;	/* from this one on, ids are ids of this server */
} TcEventEra;

/* What the recorded epochs mean for whoever is at `here`. */
extern TcEventEra tc_event_era(const TcEventEpoch *recorded, int n, TcEventOrigin here);

/*
 * Nothing that a running transaction may still write comes before this event:
 * oldest_running is the oldest id that may belong to one.
 */
extern bool tc_event_is_settled(const TcEventEra *era, int64 event_xact, int64 oldest_running);

#endif							/* TC_EVENT_ORDER_H */
