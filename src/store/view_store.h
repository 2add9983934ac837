/*
 * view_store.h
 *	  One task as it is: every step with its state, whether it has a row or not.
 *
 * Read under the caller's snapshot, so all parts belong together.
 */
#ifndef TC_VIEW_STORE_H
#define TC_VIEW_STORE_H

#include "domain/trigger.h"
#include "store/step_store.h"
#include "store/task_store.h"

typedef struct TcStepView
{
	TcStepState state;
	bool		live;			/* has a queue row */
	char		phase;			/* of the queue row */
	bool		paused;
	bool		waits_for_retry;
	int32		lane_id;
	TimestampTz visible_at;
	TimestampTz claimed_at;
	int32		remaining_parents;
	int32		satisfied_parents;
	int32		attempts;		/* since the last reset */
	int32		max_attempts;
	int32		attempt_no;		/* by the queue row */

	/* from the history */
	int32		history_rows;
	int32		history_attempts;	/* attempts since the last reset */
	int32		completions;
	bool		has_token;		/* of the queue row */
	bool		contradicts_itself; /* an attempt's outcome, state and results do not agree */
	bool		numbering_broken;	/* attempt_no is not 1, 2, 3, ... */
	bool		continued_after_end;	/* a row follows a completion */
	bool		recorded;		/* it has attempts or moves */
	bool		ended_by_move;	/* the newest of them is a move */
	TcStepState last_recorded;	/* the state that the newest of them led to */
	TimestampTz last_failure_at;
	TimestampTz last_attempted_at;
	TimestampTz finished_at;
	int32		backoff_request_seconds;	/* the server's wish at the newest failure, -1 = none */
	const bool *taken;			/* of a decision that was made: which of its children; else NULL */
} TcStepView;

/* The instances of a map. */
typedef struct TcMapView
{
	int32		first;			/* number of the first */
	int32		count;			/* 0 = it has not begun, or had nothing to run for */
	int32		position;		/* of the first among the steps of the view */
} TcMapView;

typedef struct TcTaskView
{
	TcTaskRow	task;
	const TcTemplate *template;
	TcStepView *steps;			/* by step_no: those of the template, which are its nodes, then instances */
	int32		nsteps;			/* all of them */
	TcMapView  *maps;			/* template->nmaps of them, in their order */
	int32		live_rows;
	int32		foreign_rows;	/* queue rows with a step_no outside the template */
	bool		held_above;		/* its namespace or template is paused */
} TcTaskView;

/* False when there is no such task. */
extern bool tc_view_load(int64 task_id, TcTaskView *view);

/* Only this step is read; the other steps of the view say nothing. */
extern bool tc_view_load_step(TcStepKey key, TcTaskView *view);

/*
 * A step of the view is known by its position among them; that of a step of the
 * template is its node.  -1 = the task has no step of that number.
 */
extern int32 tc_view_position(const TcTaskView *view, int32 step_no);
extern int32 tc_view_step_no(const TcTaskView *view, int32 position);

/* The node of the step, of an instance that of its map. */
extern int32 tc_view_node(const TcTaskView *view, int32 position);

static inline bool
tc_view_is_instance(const TcTaskView *view, int32 position)
{
	return position >= view->template->nsteps;
}

extern TcTriggerRule tc_view_trigger_rule(const TcTaskView *view, int32 position);

/* The name of the step, in the current context where it is an instance. */
extern const char *tc_view_name(const TcTaskView *view, int32 position);
extern const struct varlena *tc_view_name_text(const TcTaskView *view, int32 position);

/* The instances of a node, NULL where it is no map. */
extern const TcMapView *tc_view_map(const TcTaskView *view, int32 node);

/* How a map is doing. */
typedef struct TcMapProgress
{
	int32		total;
	int32		completed;		/* complete or resolved_manually */
	int32		failed;			/* in error */
	int32		waited_for;		/* those that its map waits for: not ended, or failed */
	int32		blocking;		/* those that failed and keep it from going on */
} TcMapProgress;

extern TcMapProgress tc_view_map_progress(const TcTaskView *view, const TcMapView *map);

/* The step failed for good, and that blocks its children and its task. */
extern bool tc_view_blocks(const TcTaskView *view, int32 position);

/* What a parent means to a step. */
extern TcParentFate tc_view_fate(const TcTaskView *view, int32 parent, int32 node);

/* The same of all its parents, counted; an instance has none: it is there because its map runs. */
extern TcParents tc_view_parents(const TcTaskView *view, int32 position);

/* What its trigger rule makes of them. */
extern TcVerdict tc_view_verdict(const TcTaskView *view, int32 position);

/* How many of them it waits for; those count that a person could still change. */
extern int32 tc_view_remaining_parents(const TcTaskView *view, int32 position);

/* Its rule has let it run: it is ready or claimed, waits for a signal, or its instances run. */
extern bool tc_view_is_triggered(const TcStepView *step);

/* The step's time has come, and everything else that it takes to be claimed. */
extern bool tc_view_is_ready(const TcTaskView *view, int32 position);

/* The time before which a waiting step will not run, TC_NO_TIME = it waits for no time. */
extern TimestampTz tc_view_next_retry_at(const TcStepView *step);

/* The chain of the task's state changes, oldest first. */
typedef struct TcTransition
{
	TcTaskState from;
	TcTaskState to;
	bool		stale;			/* a deadline ended the task, not a step of it */
} TcTransition;

extern int	tc_view_transitions(const TcTaskRow *task, TcTransition **transitions);

/* Rows of the task that are in another slot than its own, where nothing finds them. */
extern int64 tc_view_rows_elsewhere(const TcTaskRow *task);

/* Ids for verify_all: every unfinished task, then the newest finished ones up to max_tasks (-1 = all). */
extern int	tc_view_task_ids(int64 max_tasks, int64 **task_ids);

#endif							/* TC_VIEW_STORE_H */
