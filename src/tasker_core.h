/*
 * tasker_core.h
 *	  The vocabulary every layer shares: states, ids, limits.
 *
 * Nothing here needs more of PostgreSQL than c.h, so that the domain layer and
 * its unit tests can include it outside the server.
 */
#ifndef TC_TASKER_CORE_H
#define TC_TASKER_CORE_H

#define TC_VERSION "1.0"

/*
 * workflow_step_id = task_id * 1000000 + step_no.  A step's task is known from
 * its id, and the steps of a task are contiguous.
 */
#define TC_STEP_ID_FACTOR	INT64CONST(1000000)
#define TC_MAX_STEP_NO		999999
#define TC_MAX_TASK_ID		INT64CONST(9223372036853)

/* The states, with the spelling every result uses. */
#define TC_TASK_STATES(X) \
	X(PENDING, "pending") \
	X(IN_PROGRESS, "in_progress") \
	X(COMPLETE, "complete") \
	X(ERROR, "error") \
	X(CANCELLED, "cancelled") \
	X(RESOLVED_MANUALLY, "resolved_manually")

#define TC_STEP_STATES(X) \
	X(PENDING, "pending") \
	X(IN_PROGRESS, "in_progress") \
	X(WAITING_FOR_RETRY, "waiting_for_retry") \
	X(COMPLETE, "complete") \
	X(ERROR, "error") \
	X(CANCELLED, "cancelled") \
	X(SKIPPED, "skipped") \
	X(RESOLVED_MANUALLY, "resolved_manually")

typedef enum TcTaskState
{
#define X(id, name) TC_TASK_##id,
	TC_TASK_STATES(X)
#undef X
	TC_TASK_STATE_COUNT
} TcTaskState;

typedef enum TcStepState
{
#define X(id, name) TC_STEP_##id,
	TC_STEP_STATES(X)
#undef X
	TC_STEP_STATE_COUNT
} TcStepState;

static inline int64
tc_step_id(int64 task_id, int32 step_no)
{
	return task_id * TC_STEP_ID_FACTOR + step_no;
}

static inline int64
tc_step_id_task(int64 workflow_step_id)
{
	return workflow_step_id / TC_STEP_ID_FACTOR;
}

static inline int32
tc_step_id_no(int64 workflow_step_id)
{
	return (int32) (workflow_step_id % TC_STEP_ID_FACTOR);
}

#endif							/* TC_TASKER_CORE_H */
