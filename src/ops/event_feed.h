/*
 * event_feed.h
 *	  Events of one's own go in; all events come out, in order.
 */
#ifndef TC_EVENT_FEED_H
#define TC_EVENT_FEED_H

#include "store/event_store.h"

/* Checks and stores an event, and tells listeners; returns its event_id. */
extern int64 tc_publish_event(TcNewEvent *event);

typedef struct TcReadRequest
{
	const TcEventCursor *after; /* NULL = from the first */
	int32		max_events;
	const char *pattern;
} TcReadRequest;

typedef struct TcReadEvent
{
	TcEventCursor cursor;
	const char *name;
	const TcEventRow *row;
} TcReadEvent;

/* Returns how many events there are, at most max_events. */
extern int	tc_read_events(const TcReadRequest *request, TcReadEvent **events);

#endif							/* TC_EVENT_FEED_H */
