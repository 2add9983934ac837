/*
 * stale_store.h
 *	  Which tasks have stood still for longer than their template allows.
 */
#ifndef TC_STALE_STORE_H
#define TC_STALE_STORE_H

#include "store/session.h"
#include "tasker_core.h"

typedef struct TcStaleTask
{
	int64		task_id;
	const char *namespace_name;
	const char *task_name;
	TcTaskState state;
	TimestampTz stale_since;	/* when the limit was reached */
	int32		minutes;		/* how long it has stood still */
	int32		limit_minutes;
	const char *limit_name;		/* the template's key for it */
	bool		ends;			/* the template wants the task ended in error */
	bool		dead_letter;	/* the template wants a person to look at it */
	const char *explanation;
	struct varlena *details;	/* the same for programs, jsonb */
} TcStaleTask;

/* The next tasks of a shard with live steps, from an id on; returns how many. */
extern int	tc_stale_next_tasks(int32 shard, int64 from_task_id, int max_tasks, int64 **task_ids);

/*
 * The stale ones among tasks of one shard, the longest overdue first.  Left out
 * is one whose entry among the dead letters is all that is wanted of it; with
 * actionable also one that nothing is to be done about.
 */
extern int	tc_stale_find(const int64 *task_ids, int n, bool actionable, int max_tasks,
						  TcStaleTask **stale);

#endif							/* TC_STALE_STORE_H */
