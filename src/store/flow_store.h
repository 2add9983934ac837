/*
 * flow_store.h
 *	  Flow keys: what limits how many steps run at once, and how often they start.
 *
 * A claim of a limited step holds its key from the claim to its end; a step whose
 * key lets nothing start is parked, out of every claim's way, until a claim lets it
 * out again.  Everything that is known of a key is written under the lock of its
 * row, so parked rows are never forgotten: while some wait and the key would let one
 * start, next_at says when.
 */
#ifndef TC_FLOW_STORE_H
#define TC_FLOW_STORE_H

#include "domain/rate.h"
#include "store/step_store.h"
#include "store/template_store.h"

typedef struct TcFlowKey
{
	int64		flow_key_id;	/* first: sorted by it */
	int32		named_task_id;	/* the version that its limits are of; 0 = none yet */
	int32		concurrency;	/* 0 = as many as you like */
	TcRate		rate;
	int32		used;			/* claims that hold it */
	bool		waiting;		/* rows are parked for it */
	TimestampTz next_at;		/* let them out then; TC_NO_TIME = there is nothing to let out */
	const char *text;			/* the key itself */
} TcFlowKey;

/* A key by what it is called. */
typedef struct TcFlowName
{
	int32		named_task_id;	/* any version */
	const char *step_name;		/* empty: of the template */
	const char *text;
} TcFlowName;

/* The ids of keys by name; 0 for those that there are none of. */
extern void tc_flow_find(const TcFlowName *names, int n, int64 *ids);

/* Adds keys that are missing.  Waits for whoever adds the same at the same time. */
extern void tc_flow_add(const TcFlowName *names, int n);

/* Keys by id (sorted, distinct), without a lock; returns how many there are. */
extern int	tc_flow_read(const int64 *ids, int n, TcFlowKey **keys);

/* The same locked, but for those that somebody else holds. */
extern int	tc_flow_lock_free(const int64 *ids, int n, TcFlowKey **keys);

/* Writes keys that are locked.  next_at stands where it is right, and is worked out where it is not. */
extern void tc_flow_write(TcFlowKey *keys, int n);

/* How many more steps may start under a key now. */
extern int32 tc_flow_room(const TcFlowKey *key);

/* Its limits, from that version on, if it is registered later than the one they are of. */
extern void tc_flow_adopt(TcFlowKey *key, const TcFlowLimits *limits, int32 named_task_id);

/* Claims ended: locks their keys (sorted, distinct), in order. */
extern void tc_flow_give_back(const int64 *ids, const int32 *counts, int n);

/*
 * Claims of paused tasks whose lease ran out: nobody can take them over, so they hold
 * their keys no more.  Returns rows as they were; what others hold is passed over.
 */
extern int	tc_flow_let_go(int32 shard_key, int max_rows, TcQueueRow **rows);

/* Keys under which parked rows may start now, the longest due first. */
extern int	tc_flow_find_due(int max_keys, int64 **ids);

/* Parks rows that are locked, for the keys that are in them. */
extern void tc_flow_park(const TcQueueRow *rows, int n);

/* The key for which a row is parked; 0 where it is not. */
extern int64 tc_flow_parked_for(TcStepKey key);

/*
 * Lets rows of a locked key go back to the others that are ready: of each lane up to
 * max_rows, the oldest tasks first.  Rows that somebody else holds are passed over.
 * Tells whether others remain.
 */
extern void tc_flow_let_out(const TcFlowKey *key, int max_rows, bool *remain);

/* Keys that were not used for so long are forgotten, unless somebody holds them. */
extern int	tc_flow_forget(TimestampTz before, int max_keys);

/* A key that does not agree with the queue. */
typedef struct TcFlowMismatch
{
	const char *namespace_name;
	const char *task_name;
	const char *text;
	int32		used;
	int64		claims;			/* that there are */
	bool		waiting;
	int64		parked;			/* that there are */
	bool		forgotten;		/* rows may start, and no time is set for them */
} TcFlowMismatch;

extern int	tc_flow_verify(TcFlowMismatch **mismatches);

/* The claims that hold a key, the first few. */
extern int	tc_flow_holders(int64 flow_key_id, int max_steps, TcStepKey **keys);

/* How many rows are parked for it, counted up to a limit. */
extern int	tc_flow_count_parked(int64 flow_key_id, int limit);

#endif							/* TC_FLOW_STORE_H */
