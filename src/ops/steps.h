/*
 * steps.h
 *	  What workers do with steps: requests and results of the operations.
 *
 * Operations run inside a session bracket.  Results live in the caller's
 * context.
 */
#ifndef TC_STEPS_H
#define TC_STEPS_H

#include "schema/json_schema.h"
#include "store/claim_store.h"
#include "store/step_store.h"

/* ---- claim --------------------------------------------------------------- */

typedef struct TcClaimRequest
{
	const char *worker_id;
	int			max_steps;
	double		lease_seconds;
	double		grace_seconds;	/* 0 = no lease is longer than its step's timeout; else the lease is that and these:
								 * the claimer sees to the timeout */
	int64		task_id;		/* 0 = any */
	TcLaneFilter filter;
	const int32 *shard_keys;	/* NULL = all */
	int			nshard_keys;
} TcClaimRequest;

typedef struct TcClaim
{
	TcQueueRow	row;
	int64		claim_token;
	TimestampTz lease_until;
	const TcLane *lane;
	const struct TcStep *step;	/* of an instance: that of its map */
	const char *step_name;
	struct varlena *task_context;
	struct varlena *dependency_results;
	struct varlena *inputs;		/* of an instance, or a batchable step; else NULL */
	Datum		correlation_id;
	int32		priority;
} TcClaim;

/* Claims up to max_steps steps for a worker; returns how many. */
extern int	tc_claim_steps(const TcClaimRequest *request, TcClaim **claims);

/* ---- complete ------------------------------------------------------------ */

typedef enum TcCompletionStatus
{
	TC_COMPLETED,
	TC_ALREADY_COMPLETED,		/* this very claim completed it before */
	TC_LEASE_LOST,
	TC_NOT_FOUND,
	TC_INVALID_RESULT			/* does not match the result_schema; the claim is still held */
} TcCompletionStatus;

typedef struct TcCompletion
{
	TcStepKey	key;			/* first: batches are sorted by it */
	int64		claim_token;
	const struct varlena *results;
	int			ordinal;		/* position in the caller's list */

	TcCompletionStatus status;
	TcTaskState task_state;		/* not for TC_NOT_FOUND */
	int32		steps_ready;	/* how many steps it made ready */
	const TcSchemaReport *invalid;	/* TC_INVALID_RESULT: why */
	bool	   *taken;			/* of a decision: which of its children */
} TcCompletion;

/*
 * Completes a batch, whatever tasks its steps belong to.  Sorts the items;
 * their ordinals tell where each came from.  No step stands twice.
 */
extern void tc_complete_steps(TcCompletion *items, int n);

/* ---- fail ---------------------------------------------------------------- */

typedef struct TcFailRequest
{
	TcStepKey	key;
	int64		claim_token;
	const struct varlena *error;
	bool		retryable;
	double		retry_after;	/* seconds a server asked for; negative = did not */
} TcFailRequest;

typedef struct TcFailResult
{
	TcStepState step_state;
	TimestampTz next_retry_at;
	TcTaskState task_state;
} TcFailResult;

/* Ends an attempt with a failure; the step is retried, or fails for good. */
extern void tc_fail_step(const TcFailRequest *request, TcFailResult *result);

/*
 * Fails for good a step whose last attempt's lease ran out.  Takes only locks
 * that are free; returns false, with nothing changed, when one is not or when
 * somebody else was faster.
 */
extern bool tc_fail_exhausted(TcStepKey key);

/* ---- hold and give back -------------------------------------------------- */

typedef struct TcHold
{
	TcStepKey	key;			/* first: batches are sorted by it */
	int64		claim_token;
	bool		held;
} TcHold;

/* Extends the leases that are still held, and says which are. */
extern void tc_heartbeat(const char *worker_id, TcHold *holds, int n, double lease_seconds);

/* Gives claims back, to be visible after the delay; returns how many were held. */
extern int	tc_release_steps(TcHold *holds, int n, double delay_seconds);

/*
 * Stores a checkpoint; yield gives the step back as well.  False when the claim
 * is not held.
 */
extern bool tc_checkpoint_step(TcStepKey key, int64 claim_token, const struct varlena *checkpoint,
							   bool yield);

/* The state of the step's task, in its newest version; TC003 when there is no such step. */
extern TcTaskState tc_require_step(TcStepKey key);

#endif							/* TC_STEPS_H */
