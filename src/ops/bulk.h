/*
 * bulk.h
 *	  One change for many tasks, and what outlives a task's use.
 */
#ifndef TC_BULK_H
#define TC_BULK_H

#include "tasker_core.h"

typedef enum TcBulkVerb
{
	TC_BULK_CANCEL,
	TC_BULK_RETRY
} TcBulkVerb;

typedef struct TcBulkRequest
{
	TcBulkVerb	verb;
	const struct varlena *filters;	/* as list_tasks has them */
	int			max_tasks;
	bool		dry_run;
	const char *reason;
} TcBulkRequest;

typedef struct TcBulkItem
{
	int64		task_id;
	const char *outcome;
} TcBulkItem;

/*
 * Does to each task that matches, and for which it makes sense, what the verb
 * says, by ascending id.  Waits for nobody: a task that somebody has in hand is
 * left, with outcome "busy".  Returns how many there are.
 */
extern int	tc_change_tasks(const TcBulkRequest *request, TcBulkItem **items);

/*
 * Takes the data out of a task that is final, and out of its history and its
 * events; who did what and when stays.  False when that was done before.  TC002,
 * TC012.
 */
extern bool tc_erase_task_payload(int64 task_id);

#endif							/* TC_BULK_H */
