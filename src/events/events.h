/*
 * events.h
 *	  What listeners are told, and when.
 *
 * Channel tasker_ready carries the namespace that has work; tasker_events a JSON
 * object of ids: {"event": ..., "task_id": ..., "workflow_step_id": ...}.  The
 * server sends them at commit, once per distinct payload, and drops them with a
 * rollback; a background worker does so a moment after the commit.
 */
#ifndef TC_EVENTS_H
#define TC_EVENTS_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "domain/event_names.h"

/* In _PG_init: the end-of-transaction callbacks. */
extern void tc_events_init(void);

extern void tc_event_task(TcEvent event, int64 task_id);
extern void tc_event_step(TcEvent event, int64 task_id, int32 step_no);

/* An event of one's own: 0 stands for no task, no step. */
extern void tc_event_published(const char *name, int64 task_id, int32 step_no);

/* A step of this namespace can be claimed. */
extern void tc_event_ready(const char *namespace_name);

/* A step's time comes then (a retry, a schedule, the end of a lease): a background worker is to look. */
extern void tc_event_timer(TimestampTz at);

/* For the background worker: what others left, lists of char *. */
extern void tc_events_send(const List *namespace_names, const List *event_payloads);

#endif							/* TC_EVENTS_H */
