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

#include "tasker_core.h"

#define TC_TASK_EVENTS(X) \
	X(CREATED, "task.created") \
	X(STARTED, "task.started") \
	X(COMPLETED, "task.completed") \
	X(FAILED, "task.failed") \
	X(CANCELLED, "task.cancelled") \
	X(PAUSED, "task.paused") \
	X(RESUMED, "task.resumed") \
	X(RESOLVED_MANUALLY, "task.resolved_manually")

#define TC_STEP_EVENTS(X) \
	X(COMPLETED, "step.completed") \
	X(FAILED, "step.failed") \
	X(RETRY_SCHEDULED, "step.retry_scheduled") \
	X(LEASE_EXPIRED, "step.lease_expired") \
	X(SKIPPED, "step.skipped") \
	X(CANCELLED, "step.cancelled") \
	X(RESOLVED_MANUALLY, "step.resolved_manually") \
	X(CHECKPOINTED, "step.checkpointed")

typedef enum TcTaskEvent
{
#define X(id, name) TC_EVENT_TASK_##id,
	TC_TASK_EVENTS(X)
#undef X
	TC_TASK_EVENT_COUNT
} TcTaskEvent;

typedef enum TcStepEvent
{
#define X(id, name) TC_EVENT_STEP_##id,
	TC_STEP_EVENTS(X)
#undef X
	TC_STEP_EVENT_COUNT
} TcStepEvent;

extern void tc_event_task(TcTaskEvent event, int64 task_id);
extern void tc_event_step(TcStepEvent event, int64 task_id, int32 step_no);

/* A step of this namespace can be claimed. */
extern void tc_event_ready(const char *namespace_name);

#endif							/* TC_EVENTS_H */
