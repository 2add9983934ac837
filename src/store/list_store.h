/*
 * list_store.h
 *	  Tasks that match a filter, newest first.
 */
#ifndef TC_LIST_STORE_H
#define TC_LIST_STORE_H

#include "store/session.h"

#define TC_LIST_COLUMNS 20

/* The columns of list_tasks, as they are returned; the first is task_id. */
typedef struct TcListedTask
{
	Datum		values[TC_LIST_COLUMNS];
	bool		nulls[TC_LIST_COLUMNS];
} TcListedTask;

/*
 * Up to max_tasks tasks with ids below before_task_id.  filters is a JSON object;
 * an unknown key, or a value of the wrong kind, is refused (22023).
 */
extern int	tc_list_tasks(const struct varlena *filters, int max_tasks, int64 before_task_id,
						  TcListedTask **tasks);

/* Some of the tasks that match and are in one of these states, in no order. */
extern int	tc_list_task_ids(const struct varlena *filters, const char *const *states, int nstates,
							 int max_tasks, int64 **task_ids);

#endif							/* TC_LIST_STORE_H */
