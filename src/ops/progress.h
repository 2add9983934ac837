/*
 * progress.h
 *	  What follows when steps end: children become ready, tasks close.
 *
 * Shared by the operations that end steps.
 */
#ifndef TC_PROGRESS_H
#define TC_PROGRESS_H

#include "store/step_store.h"
#include "store/task_store.h"

/*
 * The children of satisfied steps: those with one parent enter the queue, joins
 * count down.  parents are locked rows, sorted; readied[i] tells how many steps
 * parents[i] made ready (a join counts for the last of its parents here).
 * Locks the joins.
 */
extern void tc_progress_children(const TcQueueRow *parents, int n, int32 *readied);

/*
 * Ends the tasks in which nothing can run any more: complete, or error when a
 * step failed.  Locks the task rows, then looks again with a new snapshot, so
 * that of several that end steps at the same moment exactly one closes the
 * task.  task_ids are sorted and distinct; states[i] is the state afterwards.
 */
extern void tc_progress_close(const int64 *task_ids, int n, TcTaskState *states);

/* The same for a task one of whose steps has just failed for good; counts it. */
extern TcTaskState tc_progress_failed(int64 task_id);

#endif							/* TC_PROGRESS_H */
