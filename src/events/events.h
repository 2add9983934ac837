/*
 * events.h
 *	  What listeners are told, and when.
 *
 * Channel tasker_ready carries the namespace that has work; tasker_events a JSON
 * object of ids: {"event": ..., "task_id": ..., "workflow_step_id": ...}.  The
 * server sends them at commit, once per distinct payload, and drops them with a
 * rollback.
 */
#ifndef TC_EVENTS_H
#define TC_EVENTS_H

#include "domain/event_names.h"

extern void tc_event_task(TcEvent event, int64 task_id);
extern void tc_event_step(TcEvent event, int64 task_id, int32 step_no);

/* An event of one's own: 0 stands for no task, no step. */
extern void tc_event_published(const char *name, int64 task_id, int32 step_no);

/* A step of this namespace can be claimed. */
extern void tc_event_ready(const char *namespace_name);

#endif							/* TC_EVENTS_H */
