/*
 * progress.h
 *	  What follows when steps end: children become ready, or end with them; tasks
 *	  close.
 *
 * The one way down the graph, for every operation that ends steps without
 * holding the whole task.
 */
#ifndef TC_PROGRESS_H
#define TC_PROGRESS_H

#include "domain/trigger.h"
#include "store/step_store.h"
#include "store/task_store.h"

/* A step that has just ended, and is on record so. */
typedef struct TcEnded
{
	TcStepKey	key;			/* first: sorted by it */
	int32		lane_id;
	TcStepState state;

	/* what followed */
	int32		steps_ready;	/* how many it made ready; a join counts for the last of its parents here */
	int32		failed;			/* steps to count as failed on the task, itself included */
	TcTaskState task_state;
} TcEnded;

/*
 * ended is sorted; their rows are locked, or gone.  Locks the rows of what waits
 * below them, then the rows of tasks in which nothing became ready.
 */
extern void tc_progress(TcEnded *ended, int n);

/*
 * Ends the tasks in which nothing can run any more: complete, or error when a
 * step failed.  Locks the task rows, then looks again with a new snapshot, so
 * that of several that end steps at the same moment exactly one closes the
 * task.  task_ids are sorted and distinct; failed[i] steps are added to the
 * count of failed ones (NULL: none); states[i] is the state afterwards.
 */
extern void tc_progress_close(const int64 *task_ids, const int32 *failed, int n,
							  TcTaskState *states);

/* ---- for tc_progress ----------------------------------------------------- */

/* What a step that ended means to one of its children (a position in the dag's list). */
extern TcParentFate tc_fate_for_child(const TcEnded *ended, const TcTemplate *template, int child);

extern const TcTemplate *tc_template_of_lane(int32 lane_id);

/* A row for a child, of phase ready.  It inherits the lane's sign: a child of a paused task is born paused. */
extern TcQueueRow tc_child_row(const TcEnded *parent, int32 node);

/* A child that runs whatever became of its parent may have done so before. */
extern bool tc_may_run_already(const TcStep *step);

/*
 * Rows for children whose one parent ended (sorted); inserted[i] tells which
 * became ready by it.
 */
extern void tc_insert_children(TcQueueRow *rows, int n, bool *inserted);

/* May a child of this step end with it? */
extern bool tc_may_cascade(const TcEnded *ended);

/* What follows when one may: step by step, through all that follows from it. */
extern void tc_cascade(TcEnded *ended, int n);

#endif							/* TC_PROGRESS_H */
