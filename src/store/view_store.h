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

typedef struct TcTaskView
{
	TcTaskRow	task;
	const TcTemplate *template;
	TcStepView *steps;			/* template->nsteps of them, by step_no */
	int32		live_rows;
	int32		foreign_rows;	/* queue rows with a step_no outside the template */
	bool		held_above;		/* its namespace or template is paused */
} TcTaskView;

/* False when there is no such task. */
extern bool tc_view_load(int64 task_id, TcTaskView *view);

/* Only this step is read; the other steps of the view say nothing. */
extern bool tc_view_load_step(TcStepKey key, TcTaskView *view);

/* The step failed for good, and that blocks its children and its task. */
extern bool tc_view_blocks(const TcTaskView *view, int32 node);

/* What a parent means to a step. */
extern TcParentFate tc_view_fate(const TcTaskView *view, int32 parent, int32 node);

/* The same of all its parents, counted. */
extern TcParents tc_view_parents(const TcTaskView *view, int32 node);

/* What its trigger rule makes of them. */
extern TcVerdict tc_view_verdict(const TcTaskView *view, int32 node);

/* How many of them it waits for; those count that a person could still change. */
extern int32 tc_view_remaining_parents(const TcTaskView *view, int32 node);

/* Its rule has let it run: it is ready or claimed. */
extern bool tc_view_is_triggered(const TcStepView *step);

/* The step's time has come, and everything else that it takes to be claimed. */
extern bool tc_view_is_ready(const TcTaskView *view, int32 node);

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
