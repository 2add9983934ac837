/*
 * claim_store.h
 *	  Finding and locking what a worker may claim, and all it needs to run it.
 */
#ifndef TC_CLAIM_STORE_H
#define TC_CLAIM_STORE_H

#include "store/lane_store.h"
#include "store/step_store.h"

/* SQL for queue rows q: a claim that, once its lease ran out, cannot be taken again. */
#define TC_EXHAUSTED "(q.phase = 'c' AND q.attempts + 1 >= q.max_attempts)"

/* What a claim looks at: lanes, highest priority first, of one shard. */
typedef struct TcClaimScope
{
	int32		shard_key;
	int64		task_id;		/* 0 = any task */
	const TcLane **lanes;
	int			nlanes;
} TcClaimScope;

/* A step that could be claimed, seen without a lock. */
typedef struct TcCandidate
{
	TcStepKey	key;
	int32		lane_id;
	char		phase;			/* ready, or claimed with an expired lease */
	int32		priority;
	TimestampTz visible_at;
} TcCandidate;

/*
 * The first max_steps candidates by priority, then age.  An expired lease that
 * was the last attempt is no candidate: tc_claim_find_exhausted() finds those.
 */
extern int	tc_claim_peek(const TcClaimScope *scope, int max_steps, TcCandidate **candidates);

/* Some of the steps whose last attempt's lease ran out. */
extern int	tc_claim_find_exhausted(const TcClaimScope *scope, int max_steps, TcStepKey **keys);

/*
 * Locks as many steps as there are candidates, of the same lanes and phases, in
 * the same order, leaving out what others hold.
 */
extern int	tc_claim_lock(const TcClaimScope *scope, const TcCandidate *candidates, int n,
						  TcQueueRow **rows);

/* Locks these steps and no others, as far as they still are what they were and nobody holds them; sorted. */
extern int	tc_claim_lock_exactly(const TcClaimScope *scope, const TcCandidate *candidates, int n,
								  TcQueueRow **rows);

/* The part of a task that its workers see. */
typedef struct TcClaimTask
{
	int64		task_id;
	TcTaskState state;
	struct varlena *context;
	Datum		correlation_id;
	int32		priority;
	bool		started;		/* by this claim */
} TcClaimTask;

/* Reads tasks in their newest version; sorted by (shard_key, task_id) as given.  Returns how many there are. */
extern int	tc_claim_read_tasks(const int64 *task_ids, int n, TcClaimTask **tasks);

/* One result that a claimed step depends on. */
typedef struct TcParentResult
{
	int			claim;			/* position among the claimed steps */
	TcStepKey	parent;
	int16		slot;			/* of the task's history */
	const char *parent_name;
} TcParentResult;

/* The result of one step, NULL where it has none. */
extern struct varlena *tc_claim_read_result(TcStepKey key);

/*
 * One jsonb object per claim: parent name -> result; `{}` without parents.
 * parents is grouped by claim.
 */
extern void tc_claim_read_results(const TcParentResult *parents, int nparents,
								  struct varlena **results, int nclaims);

#endif							/* TC_CLAIM_STORE_H */
