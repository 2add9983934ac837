/*
 * worker_store.h
 *	  Who is alive, and what they claim.
 */
#ifndef TC_WORKER_STORE_H
#define TC_WORKER_STORE_H

#include "store/lane_store.h"
#include "store/session.h"

/* What a worker asked for when it claimed. */
typedef struct TcWorkerScope
{
	TcLaneFilter filter;
	const int32 *shard_keys;	/* NULL = all */
	int			nshard_keys;
} TcWorkerScope;

/*
 * Notes that the worker was seen, and, with a scope, what it claims; without one
 * what is known of that stays.  Writes at most every ten seconds a backend and
 * never waits, so that many threads of one worker cost one row write now and
 * then.
 */
extern void tc_worker_touch(const char *worker_id, const TcWorkerScope *scope);

typedef struct TcWorkerRow
{
	const char *worker_id;
	TimestampTz last_seen_at;
	bool		claims;			/* it claimed, and scope says what */
	TcWorkerScope scope;
} TcWorkerRow;

/* The workers seen since then, the last seen first. */
extern int	tc_worker_read_live(TimestampTz since, TcWorkerRow **workers);

/* Forgets workers that were not seen for a day; passes over what is locked.  Returns how many. */
extern int	tc_workers_forget(int max_workers);

#endif							/* TC_WORKER_STORE_H */
