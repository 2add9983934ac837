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
#include "ops/start_step.h"
#include "store/step_store.h"
#include "store/task_store.h"

/* A step that has just ended, and is on record so. */
typedef struct TcEnded
{
	TcStepKey	key;			/* first: sorted by it */
	int32		lane_id;
	int16		slot;			/* of the task's history */
	TcStepState state;
	const bool *taken;			/* of a decision: which of its children; NULL = all */
	bool		by_itself;		/* no worker did it: the task may not have been started */
	TimestampTz not_before;		/* and may be scheduled: nothing in it runs before that (0 = now) */

	/* what followed */
	int32		steps_ready;	/* how many it made ready; a join counts for the last of its parents here */
	bool		waits;			/* a step began to wait for a signal */
	bool		launches;		/* a step began to run as a task, from now on */
	int32		failed;			/* steps to count as failed on the task, itself included */
	TcTaskState task_state;
} TcEnded;

/* The step whose queue row this was, in the state it ended in. */
static inline TcEnded
tc_ended_of(const TcQueueRow *row, TcStepState state)
{
	TcEnded		ended = {
		.key = row->key, .lane_id = row->lane_id, .slot = row->slot, .state = state
	};

	return ended;
}

/*
 * ended is sorted; their rows are locked, or gone.  Locks the rows of what waits
 * below them, then the rows of tasks in which nothing became ready.
 */
extern void tc_progress(TcEnded *ended, int n);

/*
 * A task was created: starts those of its roots that take more than a row for
 * workers, and what follows.  Returns the state of the task.
 */
extern TcTaskState tc_progress_roots(int64 task_id, const TcTemplate *template, int32 lane_id,
									 int16 slot, TimestampTz not_before);

/*
 * Ends the tasks in which nothing can run any more: complete, or error when a
 * step failed.  Locks the task rows, then looks again with a new snapshot, so
 * that of several that end steps at the same moment exactly one closes the
 * task.  task_ids are sorted and distinct; failed[i] steps are added to the
 * count of failed ones (NULL: none); states[i] is the state afterwards.
 */
extern void tc_progress_close(const int64 *task_ids, const int32 *failed, int n,
							  TcTaskState *states);

/* The step ended without a worker: it leaves the queue, on record. */
extern void tc_leave_by_itself(const TcQueueRow *row, const TcStart *start);

/* The same, and what follows follows. */
extern void tc_end_by_itself(const TcQueueRow *row, const TcStart *start, TcEnded *ended);

/* Looks once more for signals that these waits may have missed; the task rows are locked. */
extern void tc_look_for_signals(const TcStepKey *waits, int n);

/* ---- for tc_progress ----------------------------------------------------- */

extern const TcTemplate *tc_template_of_lane(int32 lane_id);

/* What a step that ended means to one of its children (a position in the dag's list). */
extern TcParentFate tc_fate_for_child(const TcEnded *ended, const TcTemplate *template, int child);

/* A row for a step of the task, of phase ready.  It inherits the lane's sign: a child of a paused task is born paused. */
extern TcQueueRow tc_child_row(const TcEnded *parent, int32 node);

/* The same for one with several parents, of which none is counted. */
extern TcJoin tc_join_of(const TcEnded *parent, const TcTemplate *template, int32 node);

extern void tc_event_end_by_itself(TcStepKey key, TcStepState state);

/* A child that runs whatever became of its parent may have done so before. */
extern bool tc_may_run_already(const TcStep *step);

/*
 * Rows for children whose one parent ended (sorted); inserted[i] tells which
 * are new.
 */
extern void tc_insert_children(TcQueueRow *rows, int n, bool *inserted);

/* May a child of this step end with it, or as soon as it starts? */
extern bool tc_may_cascade(const TcEnded *ended);

/* What has to be done when the locks are there. */
typedef struct TcFollowUp
{
	TcStepKey  *waits;			/* steps that began to wait for a signal */
	int			nwaits;
	TcStepKey  *launches;		/* steps that run as tasks of their own */
	int			nlaunches;
} TcFollowUp;

extern void tc_cascade(TcEnded *ended, int n, TcFollowUp *follow);

/* The same for the roots of a new task: `task` stands for what they come after. */
extern void tc_cascade_roots(TcEnded *task, TcFollowUp *follow);

#endif							/* TC_PROGRESS_H */
