/*
 * changes.h
 *	  What people do to the shape of a task: requests and results.
 *
 * A change of a task's shape locks every queue row of the task in order, until
 * a look with a new snapshot finds none that is new, then the task row.
 */
#ifndef TC_CHANGES_H
#define TC_CHANGES_H

#include "store/step_store.h"
#include "store/view_store.h"

typedef struct TcChangeRequest
{
	TcStepKey	key;
	TcStepState to;
	TcMoveVerb	verb;			/* follows from `to`, but for retry_task and what comes after a move */
	const TcStepState *expected;	/* NULL = whatever it is in */
	const struct varlena *results;	/* for resolved_manually */
	const bool *taken;			/* of a decision: which of its children */
	const char *reason;
	const struct varlena *metadata;
} TcChangeRequest;

typedef struct TcChangeResult
{
	bool		changed;		/* false: it was in that state already */
	TcTaskState task_state;
	int32		steps_ready;	/* how many steps became ready */
} TcChangeResult;

/* Moves one step by hand. */
extern void tc_change_step(const TcChangeRequest *request, TcChangeResult *result);

/* All steps in error of a task in error go on; returns how many. */
extern int32 tc_retry_task(int64 task_id, const char *reason, const struct varlena *metadata);

/* False when it is so already. */
extern bool tc_cancel_task(int64 task_id, const char *reason, const struct varlena *metadata);
extern bool tc_resolve_task(int64 task_id, const char *reason, const struct varlena *metadata);
extern bool tc_pause_task(int64 task_id, const char *reason);
extern bool tc_resume_task(int64 task_id, const char *reason);

/* ---- for the operations above -------------------------------------------- */

/* A task whose shape nobody else can change, read with a new snapshot. */
typedef struct TcHeldTask
{
	TcTaskView	view;
	TcQueueRow *rows;			/* its queue rows, by step_no */
	int			nrows;
} TcHeldTask;

/* Takes the locks; TC002 when there is no such task. */
extern void tc_hold_task(int64 task_id, TcHeldTask *held);

/* The same for a task with live steps, if nobody else holds any of it: else false. */
extern bool tc_hold_task_nowait(int64 task_id, TcHeldTask *held);

#endif							/* TC_CHANGES_H */
