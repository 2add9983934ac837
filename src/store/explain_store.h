/*
 * explain_store.h
 *	  Who did what to a step or a task, and when: the facts behind an explanation.
 *
 * All of it is read under the caller's snapshot; texts live in the caller's
 * context.
 */
#ifndef TC_EXPLAIN_STORE_H
#define TC_EXPLAIN_STORE_H

#include "store/step_store.h"

/* The newest attempt of a step that ended. */
typedef struct TcAttemptFacts
{
	int32		attempt;		/* since the last reset */
	bool		lease_expired;
	const char *error;			/* in short, NULL = none */
	const char *worker_id;
	TimestampTz finished_at;
} TcAttemptFacts;

/* A change made by somebody, with the reason given (NULL = none). */
typedef struct TcDeed
{
	const char *what;
	const char *role;
	const char *reason;
	TimestampTz done_at;
} TcDeed;

/* False where there is no such thing. */
extern bool tc_explain_attempt(TcStepKey key, TcAttemptFacts *facts);
extern bool tc_explain_move(TcStepKey key, TcDeed *deed);	/* the newest; what = its verb */
extern bool tc_explain_pause(int64 task_id, TcDeed *deed);	/* the newest */
extern bool tc_explain_task_move(int64 task_id, TcDeed *deed);	/* the newest; what = the state */

/* The worker that holds the step, NULL = nobody. */
extern const char *tc_explain_holder(TcStepKey key);

#endif							/* TC_EXPLAIN_STORE_H */
