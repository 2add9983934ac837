/*
 * queries.h
 *	  Questions about tasks; nothing here changes a row.
 */
#ifndef TC_QUERIES_H
#define TC_QUERIES_H

#include "store/view_store.h"

/* The columns of get_task_execution_context. */
typedef struct TcExecutionContext
{
	int32		steps[TC_STEP_STATE_COUNT]; /* how many steps are in each state */
	int32		total;
	int32		idle;			/* of the steps in progress, those that wait for their instances, or for the time of their task */
	int32		ready;
	int32		throttled;		/* parked for their flow keys */
	int32		blocking;		/* of the steps in error, those that block the task */
	const char *execution_status;
	const char *recommended_action;
	const char *health_status;
} TcExecutionContext;

extern void tc_execution_context(const TcTaskView *view, TcExecutionContext *context);

/* round(100 * ended well / total, 2), as numeric */
extern Datum tc_completion_percentage(const TcExecutionContext *context);

/* One broken invariant. */
typedef struct TcViolation
{
	int64		workflow_step_id;	/* 0 = the task itself */
	const char *text;
} TcViolation;

/* What is wrong with a task; none when every invariant holds. */
extern int	tc_verify_task(const TcTaskView *view, TcViolation **violations);

/* What is wrong with the flow keys that the caller may see. */
extern int	tc_verify_flow_keys(const char ***violations);

#endif							/* TC_QUERIES_H */
