/*
 * tasks.h
 *	  What is done to whole tasks: requests and results of the operations.
 */
#ifndef TC_TASKS_H
#define TC_TASKS_H

#include "store/task_store.h"

typedef struct TcCreateResult
{
	int64		task_id;
	bool		created;		/* false: the task that has this identity already */
	bool		dropped;		/* it existed, and retention dropped it: only its key is known */
	int32		step_count;
	TcTaskState state;
} TcCreateResult;

extern void tc_create_task(TcCreateRequest *request, TcCreateResult *result);

/* A task that runs for a step of another: its own whatever the identity strategy. */
extern void tc_create_child(TcNewTask *task);

/* One task for each object of a JSON array; returns how many. */
extern int	tc_create_tasks(const struct varlena *requests, TcCreateResult **results);

/* A task of a template that is registered by its content, if it is not yet. */
extern void tc_create_task_from_definition(const struct varlena *template, TcNewTask *task,
										   TcCreateResult *result);

#endif							/* TC_TASKS_H */
