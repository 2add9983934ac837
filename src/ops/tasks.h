/*
 * tasks.h
 *	  What is done to whole tasks: requests and results of the operations.
 */
#ifndef TC_TASKS_H
#define TC_TASKS_H

#include "store/task_store.h"

typedef struct TcCreateRequest
{
	const char *namespace_name;
	const char *name;
	const char *version;		/* NULL = highest */
	TcNewTask	task;			/* named_task_id is filled in */
} TcCreateRequest;

typedef struct TcCreateResult
{
	int64		task_id;
	bool		created;		/* false: the task that has this identity already */
	int32		step_count;
	TcTaskState state;
} TcCreateResult;

extern void tc_create_task(TcCreateRequest *request, TcCreateResult *result);

/* False when it is cancelled already. */
extern bool tc_cancel_task(int64 task_id, const char *reason);

#endif							/* TC_TASKS_H */
