/*
 * step_status.h
 *	  What state a step is in, from what is stored about it (pure C).
 *
 * A step is not written until it is ready, and leaves the queue when it ends,
 * so its state is derived: from its queue row while it is live, else from its
 * newest attempt or move, else from its task.
 */
#ifndef TC_STEP_STATUS_H
#define TC_STEP_STATUS_H

#include "tasker_core.h"

typedef struct TcStepFacts
{
	bool		live;			/* it has a queue row */
	bool		claimed;		/* the row is a claim */
	bool		waits_for_retry;	/* the row waits for a retry */
	bool		recorded;		/* it has history */
	TcStepState last_recorded;	/* the state that the newest attempt or move led to */
	TcTaskState task_state;
	bool		fail_fast;		/* a failure ends the whole task */
} TcStepFacts;

extern TcStepState tc_step_state_of(const TcStepFacts *facts);

#endif							/* TC_STEP_STATUS_H */
