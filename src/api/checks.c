/*
 * checks.c
 *	  Checks of arguments that several entry points share.
 */
#include "postgres.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/order.h"
#include "errors.h"
#include "store/access_store.h"

void
tc_check_count(const char *name, int32 count, int32 min)
{
	if (count < min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least %d", name, min),
				 errdetail("It is %d.", count),
				 errhint("Pass a number from %d to %d.", min, TC_MAX_BATCH)));
	if (count > TC_MAX_BATCH)
		tc_raise_limit(name, count, TC_MAX_BATCH, "Ask for less at a time.");
}

void
tc_check_worker_id(const char *worker_id)
{
	if (worker_id[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("worker_id must not be empty"),
				 errdetail("History records which worker held a claim."),
				 errhint("Pass a name that tells the process, such as host and pid.")));
}

static bool
possible_step_id(int64 workflow_step_id)
{
	return workflow_step_id > 0 && tc_step_id_no(workflow_step_id) > 0 &&
		tc_step_id_task(workflow_step_id) > 0;
}

TcStepKey
tc_check_step_id(int64 workflow_step_id)
{
	if (!possible_step_id(workflow_step_id))
		tc_raise_step_not_found(workflow_step_id);
	return tc_batch_step_key(workflow_step_id);
}

TcStepKey
tc_batch_step_key(int64 workflow_step_id)
{
	TcStepKey	key = {tc_step_id_task(workflow_step_id), tc_step_id_no(workflow_step_id)};

	return key;
}

static void
refuse_duplicates(const int64 *ids, int n)
{
	int64	   *sorted = palloc(sizeof(int64) * Max(n, 1));

	memcpy(sorted, ids, sizeof(int64) * n);
	qsort(sorted, n, sizeof(int64), tc_int64_compare);
	for (int i = 1; i < n; i++)
	{
		if (sorted[i] == sorted[i - 1])
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("step " INT64_FORMAT " stands twice in the batch", sorted[i]),
					 errdetail("A batch holds each workflow_step_id once."),
					 errhint("Remove the repetition.")));
	}
	pfree(sorted);
}

void
tc_check_claim_arrays(FunctionCallInfo fcinfo, int ids_argno, int tokens_argno,
					  TcClaimArrays *arrays)
{
	int			ntokens;

	tc_arg_require(fcinfo, ids_argno, "workflow_step_ids");
	tc_arg_require(fcinfo, tokens_argno, "claim_tokens");
	arrays->n = tc_arg_int64_array(fcinfo, ids_argno, "workflow_step_ids",
								   &arrays->workflow_step_ids);
	ntokens = tc_arg_int64_array(fcinfo, tokens_argno, "claim_tokens", &arrays->claim_tokens);
	tc_check_same_length(arrays, ntokens, "claim_tokens");
	if (arrays->n > TC_MAX_BATCH)
		tc_raise_limit("the number of steps in one call", arrays->n, TC_MAX_BATCH,
					   "Split the batch.");
	refuse_duplicates(arrays->workflow_step_ids, arrays->n);
}

void
tc_check_same_length(const TcClaimArrays *arrays, int n, const char *name)
{
	if (n != arrays->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow_step_ids and %s must be of equal length", name),
				 errdetail("workflow_step_ids has %d elements, %s has %d.", arrays->n, name, n),
				 errhint("Pass one element of %s for each step.", name)));
}

int
tc_set_foreign_aside(void *items, size_t size, int n)
{
	char	   *from = items;
	char	   *foreign;
	int64	   *task_ids;
	bool	   *own;
	int			nown = 0;
	int			nforeign = 0;

	if (!tc_scope_is_limited() || n == 0)
		return n;
	foreign = palloc(size * n);
	task_ids = palloc(sizeof(int64) * n);
	own = palloc(sizeof(bool) * n);
	for (int i = 0; i < n; i++)
		task_ids[i] = ((TcStepKey *) (from + size * i))->task_id;
	tc_scope_has_tasks(task_ids, n, own);
	for (int i = 0; i < n; i++)
	{
		if (own[i])
			memmove(from + size * nown++, from + size * i, size);
		else
			memcpy(foreign + size * nforeign++, from + size * i, size);
	}
	memcpy(from + size * nown, foreign, size * nforeign);
	return nown;
}
