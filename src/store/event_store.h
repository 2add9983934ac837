/*
 * event_store.h
 *	  Events in the order in which they can be read: rows of the history, events
 *	  of one's own, and the epochs that make transaction ids comparable.
 */
#ifndef TC_EVENT_STORE_H
#define TC_EVENT_STORE_H

#include "domain/event_order.h"
#include "store/session.h"

/* ---- writing: what the defaults of event_xact and event_seq call ---------- */

/*
 * The id of this transaction behind the number of the epoch, which is recorded
 * first if nobody did.  Runs inside the statements of others, in any state of
 * the session.
 */
extern int64 tc_event_current_xact(void);

/* Counts from 1 in each transaction. */
extern int32 tc_event_next_seq(void);

typedef struct TcNewEvent
{
	const char *name;
	const struct varlena *payload;
	int64		task_id;		/* 0 = none */
	int32		step_no;		/* 0 = none */
} TcNewEvent;

/* Returns its event_id. */
extern int64 tc_event_insert(const TcNewEvent *event);

/* ---- reading -------------------------------------------------------------- */

/* How far the caller's snapshot can be read. */
typedef struct TcEventHorizon
{
	TcEventEra	era;
	int64		oldest_running; /* every transaction before it is over, and seen if it committed */
} TcEventHorizon;

extern void tc_event_horizon(TcEventHorizon *horizon);

/* The cursor of a reader that has read all there is. */
extern TcEventCursor tc_event_head(const TcEventHorizon *horizon);

/* A row that stands for one event, or several. */
typedef struct TcEventRow
{
	TcEventSource source;
	const char *kind;			/* of one's own: the name */
	int64		event_xact;
	int32		event_seq;
	int64		task_id;		/* 0 = none */
	int32		step_no;		/* 0 = none */
	struct varlena *payload;
	TimestampTz occurred_at;
} TcEventRow;

/*
 * Rows from the cursor's on, its own included, up to the horizon, that hold an
 * event whose name matches and that the caller may see; in order, at most `limit`.
 */
extern int	tc_event_rows(const TcEventHorizon *horizon, TcEventCursor from, const char *pattern,
						  int limit, TcEventRow **rows);

/* ---- what was dropped ----------------------------------------------------- */

/*
 * The newest event that retention dropped, and so the oldest cursor from which
 * nothing is missed; false when none was.  In whatever isolation level: what was
 * dropped before the caller locked the tables is told.
 */
extern bool tc_event_oldest(TcEventCursor *cursor);

/* The events of these tasks, and those of one's own in a slot, can be read no more. */
extern void tc_event_note_dropped(int32 shard, int16 slot, const int64 *task_ids, int n);
extern void tc_event_note_dropped_own(int16 slot);

/* What keeps the horizon where it is. */
typedef struct TcEventHolder
{
	int32		pid;			/* 0 = no session */
	char	   *prepared_as;	/* or a prepared transaction; NULL = none */
	TimestampTz since;
	TimestampTz oldest_waiting_at;	/* the oldest event beyond the horizon */
} TcEventHolder;

extern void tc_event_holder(const TcEventHorizon *horizon, TcEventHolder *holder);

/* Has no transaction of this server an id as high as the cursor's? */
extern bool tc_event_cursor_is_ahead(const TcEventHorizon *horizon, TcEventCursor cursor);

#endif							/* TC_EVENT_STORE_H */
