/*
 * final_failure.h
 *	  What follows when a step has failed for good.
 */
#ifndef TC_FINAL_FAILURE_H
#define TC_FINAL_FAILURE_H

#include "ops/start_step.h"
#include "store/step_store.h"

/*
 * Locks, before the row of the step itself, what its final failure may touch:
 * with fail_fast the whole task.  Any other step needs nothing in advance.
 */
extern void tc_final_failure_prepare(TcStepKey key);

/* The same without waiting: false when something is locked. */
extern bool tc_final_failure_prepare_nowait(TcStepKey key);

/*
 * The step is out of the queue, with state error.  By its rule the task counts
 * it, its children are skipped, or they run without its result; with fail_fast
 * the task ends.  Returns the state of the task afterwards.
 */
extern TcTaskState tc_final_failure(const TcQueueRow *row);

/* The step failed for good without a worker: it leaves the queue, and the same follows. */
extern void tc_fail_by_itself(const TcQueueRow *row, const TcStart *start);

#endif							/* TC_FINAL_FAILURE_H */
