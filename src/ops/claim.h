/*
 * claim.h
 *	  The parts of a claim (claim_steps.c, claim_limited.c).
 */
#ifndef TC_CLAIM_H
#define TC_CLAIM_H

#include "ops/steps.h"

/* The claims of one call as they accumulate. */
typedef struct TcClaimBatch
{
	const TcClaimRequest *request;
	TcClaim    *claims;
	int			n;
	int64	   *started;		/* tasks that it started */
	int			nstarted;
} TcClaimBatch;

/*
 * Locked rows become claims of the batch.  tc_claim_start_tasks() comes first: it
 * reads and starts their tasks, and returns how many rows remain.
 */
extern int	tc_claim_start_tasks(TcQueueRow *rows, int n, TcClaimTask **tasks, int *ntasks);
extern void tc_claim_take(TcClaimBatch *batch, TcQueueRow *rows, int n, TcClaimTask *tasks, int ntasks);

/* Of those that are claims whose lease ran out, the attempt is over, and on record. */
extern void tc_claim_record_lost(TcQueueRow *rows, int n);

/*
 * Locks and claims candidates without limits, or others in their stead.  Returns
 * whether another look may find more.
 */
extern bool tc_claim_catch(TcClaimBatch *batch, const TcClaimScope *scope, const TcCandidate *candidates, int n);

/* Rows that were parked and may start now are ready again. */
extern void tc_claim_let_out(void);

/* Claims from lanes of which some have limits, until the batch is full or nothing more may start. */
extern void tc_claim_limited(TcClaimBatch *batch, const TcClaimScope *scope);

#endif							/* TC_CLAIM_H */
