/*
 * checks.h
 *	  Checks of arguments that several entry points share.
 */
#ifndef TC_CHECKS_H
#define TC_CHECKS_H

#include "fmgr.h"

#include "store/step_store.h"

/* The most items that one call takes. */
#define TC_MAX_BATCH 10000

/* Refuses a number of items below min (22023) or above TC_MAX_BATCH (TC023). */
extern void tc_check_count(const char *name, int32 count, int32 min);

/* Refuses an empty name (22023). */
extern void tc_check_worker_id(const char *worker_id);

/* The step an id means; TC003 for ids that no step can have. */
extern TcStepKey tc_check_step_id(int64 workflow_step_id);

/* Ids and tokens of a batch. */
typedef struct TcClaimArrays
{
	int			n;
	int64	   *workflow_step_ids;
	int64	   *claim_tokens;
} TcClaimArrays;

/*
 * Reads two required arrays of equal length.  Refuses the whole batch where one
 * is null or has nulls (22004), lengths differ or an id stands twice (22023), or
 * it is too long (TC023).
 */
extern void tc_check_claim_arrays(FunctionCallInfo fcinfo, int ids_argno, int tokens_argno,
								  TcClaimArrays *arrays);

/* A third array of such a batch has to be as long. */
extern void tc_check_same_length(const TcClaimArrays *arrays, int n, const char *name);

/*
 * Moves the items whose step is in none of the caller's namespaces behind the others, both
 * in their order; returns how many others there are.  Items begin with their TcStepKey.
 */
extern int	tc_set_foreign_aside(void *items, size_t size, int n);

/*
 * The key of an id in a batch, where an impossible id is only an item that is
 * not found.
 */
extern TcStepKey tc_batch_step_key(int64 workflow_step_id);

#endif							/* TC_CHECKS_H */
