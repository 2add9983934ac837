/*
 * step_api.c
 *	  SQL entry points: the verbs of workers.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "domain/template.h"
#include "errors.h"
#include "ops/limits.h"
#include "ops/schemas.h"
#include "ops/steps.h"

PG_FUNCTION_INFO_V1(tasker_claim_steps);
PG_FUNCTION_INFO_V1(tasker_complete_step);
PG_FUNCTION_INFO_V1(tasker_complete_steps);
PG_FUNCTION_INFO_V1(tasker_fail_step);
PG_FUNCTION_INFO_V1(tasker_heartbeat);
PG_FUNCTION_INFO_V1(tasker_release_steps);
PG_FUNCTION_INFO_V1(tasker_complete_and_claim);
PG_FUNCTION_INFO_V1(tasker_checkpoint_step);

#define MIN_LEASE_SECONDS 0.1
#define MAX_LEASE_SECONDS 86400.0
#define DEFAULT_LEASE_SECONDS 60.0
#define MAX_DELAY_SECONDS 31536000.0

/* ---- claim_steps --------------------------------------------------------- */

static int
max_steps_arg(FunctionCallInfo fcinfo, int argno)
{
	int32		max_steps = tc_arg_int32(fcinfo, argno, 1);

	if (max_steps < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_steps must not be negative"),
				 errdetail("It is %d.", max_steps),
				 errhint("Pass how many steps the worker can run now.")));
	if (max_steps > TC_MAX_BATCH)
		tc_raise_limit("max_steps", max_steps, TC_MAX_BATCH, "Claim fewer steps at a time.");
	return max_steps;
}

/* No id asks for any task, which is 0 from here on; an id of 0 is as unknown as any below it. */
static int64
task_id_arg(FunctionCallInfo fcinfo, int argno)
{
	if (PG_ARGISNULL(argno))
		return 0;
	return PG_GETARG_INT64(argno) == 0 ? -1 : PG_GETARG_INT64(argno);
}

static void
check_shard_keys(const int32 *shard_keys, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (shard_keys[i] < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard key %d does not exist", shard_keys[i]),
					 errdetail("Shard keys count from 0."),
					 errhint("Leave shard_keys out to claim from all shards.")));
	}
}

static void
emit_claim(TcEmit *emit, const TcClaim *claim)
{
	const TcQueueRow *row = &claim->row;
	const TcStep *step = claim->step;

	tc_emit_int64(emit, tc_step_id(row->key.task_id, row->key.step_no));
	tc_emit_int64(emit, row->key.task_id);
	tc_emit_int64(emit, claim->claim_token);
	tc_emit_int32(emit, row->attempts + 1);
	tc_emit_int32(emit, step->max_attempts);
	tc_emit_text(emit, claim->lane->namespace_name);
	tc_emit_text(emit, claim->lane->task_name);
	tc_emit_text(emit, claim->lane->task_version);
	tc_emit_text(emit, claim->step_name);
	tc_emit_text(emit, step->handler_class);
	tc_emit_jsonb(emit, step->handler_config);
	tc_emit_jsonb(emit, claim->task_context);
	tc_emit_jsonb(emit, claim->dependency_results);
	tc_emit_jsonb(emit, claim->inputs);
	tc_emit_jsonb(emit, row->checkpoint);
	tc_emit_int32(emit, claim->priority);
	tc_emit_datum(emit, claim->correlation_id);
	if (step->timeout_seconds > 0)
		tc_emit_int32(emit, step->timeout_seconds);
	else
		tc_emit_null(emit);
	tc_emit_timestamptz(emit, claim->lease_until);
	tc_emit_text(emit, step->handler_method);
	tc_emit_text(emit, step->handler_resolver);
	tc_emit_text(emit, step->queue);
}

/* The arguments of claim_steps, from `first` on. */
static TcClaimRequest
read_claim_request(FunctionCallInfo fcinfo, int first)
{
	TcClaimRequest request = {0};
	int32	   *shard_keys;

	request.worker_id = tc_arg_required_text(fcinfo, first, "worker_id");
	tc_check_worker_id(request.worker_id);
	request.max_steps = max_steps_arg(fcinfo, first + 1);
	request.filter.nnamespaces = tc_arg_text_array(fcinfo, first + 2, "namespaces",
												   &request.filter.namespaces);
	request.lease_seconds = tc_arg_seconds(fcinfo, first + 3, "lease_seconds", DEFAULT_LEASE_SECONDS,
										   MIN_LEASE_SECONDS, MAX_LEASE_SECONDS);
	request.task_id = task_id_arg(fcinfo, first + 4);
	request.filter.ntask_names = tc_arg_text_array(fcinfo, first + 5, "task_names",
												   &request.filter.task_names);
	request.filter.nqueues = tc_arg_text_array(fcinfo, first + 6, "queues", &request.filter.queues);
	request.nshard_keys = tc_arg_int32_array(fcinfo, first + 7, "shard_keys", &shard_keys);
	check_shard_keys(shard_keys, request.nshard_keys);
	request.shard_keys = shard_keys;
	return request;
}

Datum
tasker_claim_steps(PG_FUNCTION_ARGS)
{
	TcClaimRequest request = read_claim_request(fcinfo, 0);
	TcClaim    *claims;
	TcEmit		emit;
	int			n;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_claim_steps(&request, &claims);
	for (int i = 0; i < n; i++)
	{
		emit_claim(&emit, &claims[i]);
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

/* ---- complete_step, complete_steps --------------------------------------- */

static const char *
status_name(TcCompletionStatus status)
{
	switch (status)
	{
		case TC_COMPLETED:
			return "completed";
		case TC_ALREADY_COMPLETED:
			return "already_completed";
		case TC_LEASE_LOST:
			return "lease_lost";
		case TC_NOT_FOUND:
			return "not_found";
		case TC_INVALID_RESULT:
			return "invalid_result";
	}
	pg_unreachable();
}

Datum
tasker_complete_step(PG_FUNCTION_ARGS)
{
	int64		step_id = tc_arg_required_int64(fcinfo, 0, "workflow_step_id");
	TcCompletion item = {.key = tc_check_step_id(step_id)};
	TcEmit		emit;

	item.claim_token = tc_arg_required_int64(fcinfo, 1, "claim_token");
	tc_arg_require(fcinfo, 2, "results");
	item.results = tc_arg_jsonb(fcinfo, 2);
	tc_limit_payload(item.results, "results");

	tc_session_begin(fcinfo);
	tc_complete_steps(&item, 1);
	tc_session_end();

	if (item.status == TC_NOT_FOUND)
		tc_raise_step_not_found(step_id);
	if (item.status == TC_LEASE_LOST)
		tc_raise_lease_lost(step_id);
	if (item.status == TC_INVALID_RESULT)
		tc_raise_invalid_results(step_id, item.invalid);
	tc_emit_begin(fcinfo, &emit);
	tc_emit_int64(&emit, item.key.task_id);
	tc_emit_text(&emit, tc_task_state_name(item.task_state));
	tc_emit_int32(&emit, item.steps_ready);
	tc_emit_text(&emit, status_name(item.status));
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

static TcCompletion *
read_completions(FunctionCallInfo fcinfo, int *n)
{
	TcClaimArrays arrays;
	TcCompletion *items;
	struct varlena **results;

	tc_check_claim_arrays(fcinfo, 0, 1, &arrays);
	tc_arg_require(fcinfo, 2, "results");
	tc_check_same_length(&arrays, tc_arg_jsonb_array(fcinfo, 2, "results", &results), "results");

	*n = arrays.n;
	items = palloc0(sizeof(TcCompletion) * Max(arrays.n, 1));
	for (int i = 0; i < arrays.n; i++)
	{
		tc_limit_payload(results[i], "results");
		items[i].key = tc_batch_step_key(arrays.workflow_step_ids[i]);
		items[i].claim_token = arrays.claim_tokens[i];
		items[i].results = results[i];
		items[i].ordinal = i;
	}
	return items;
}

static int
compare_ordinals(const void *a, const void *b)
{
	return ((const TcCompletion *) a)->ordinal - ((const TcCompletion *) b)->ordinal;
}

/* Why an item was not completed, as the single call would raise it; NULL when it was. */
static struct varlena *
error_of(const TcCompletion *item)
{
	int64		step_id = tc_step_id(item->key.task_id, item->key.step_no);
	char	   *json;

	if (item->status == TC_INVALID_RESULT)
		return tc_invalid_results_json(step_id, item->invalid);
	if (item->status == TC_LEASE_LOST)
		json = psprintf("{\"sqlstate\": \"TC011\", \"message\": \"the claim on step " INT64_FORMAT
						" is no longer held\"}", step_id);
	else if (item->status == TC_NOT_FOUND)
		json = psprintf("{\"sqlstate\": \"TC003\", \"message\": \"step " INT64_FORMAT " not found\"}",
						step_id);
	else
		return NULL;
	return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}

/* Completes those that the caller may see; the others are not found. */
static void
complete_items(TcCompletion *items, int n)
{
	int			nown = tc_set_foreign_aside(items, sizeof(TcCompletion), n);

	for (int i = nown; i < n; i++)
		items[i].status = TC_NOT_FOUND;
	tc_complete_steps(items, nown);
}

static void
emit_completion(TcEmit *emit, const TcCompletion *item)
{
	bool		found = item->status != TC_NOT_FOUND;

	tc_emit_int64(emit, tc_step_id(item->key.task_id, item->key.step_no));
	tc_emit_text(emit, status_name(item->status));
	if (found)
		tc_emit_int64(emit, item->key.task_id);
	else
		tc_emit_null(emit);
	tc_emit_text(emit, found ? tc_task_state_name(item->task_state) : NULL);
	tc_emit_jsonb(emit, error_of(item));
	tc_emit_int32(emit, item->steps_ready);
	tc_emit_row(emit);
}

Datum
tasker_complete_steps(PG_FUNCTION_ARGS)
{
	int			n;
	TcCompletion *items = read_completions(fcinfo, &n);
	TcEmit		emit;

	tc_session_begin(fcinfo);
	complete_items(items, n);
	tc_session_end();

	qsort(items, n, sizeof(TcCompletion), compare_ordinals);
	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
		emit_completion(&emit, &items[i]);
	PG_RETURN_NULL();
}

/* ---- complete_and_claim -------------------------------------------------- */

#define CLAIM_COLUMNS 22

static void
emit_uncompleted(TcEmit *emit, const TcCompletion *item)
{
	for (int i = 0; i < CLAIM_COLUMNS; i++)
		tc_emit_null(emit);
	tc_emit_int64(emit, tc_step_id(item->key.task_id, item->key.step_no));
	tc_emit_text(emit, status_name(item->status));
	tc_emit_jsonb(emit, error_of(item));
	tc_emit_row(emit);
}

Datum
tasker_complete_and_claim(PG_FUNCTION_ARGS)
{
	int			nitems;
	TcCompletion *items = read_completions(fcinfo, &nitems);
	TcClaimRequest request = read_claim_request(fcinfo, 3);
	TcClaim    *claims;
	TcEmit		emit;
	int			nclaims;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	complete_items(items, nitems);
	nclaims = tc_claim_steps(&request, &claims);
	for (int i = 0; i < nclaims; i++)
	{
		emit_claim(&emit, &claims[i]);
		for (int c = 0; c < 3; c++)
			tc_emit_null(&emit);
		tc_emit_row(&emit);
	}
	tc_session_end();

	qsort(items, nitems, sizeof(TcCompletion), compare_ordinals);
	for (int i = 0; i < nitems; i++)
	{
		if (items[i].status != TC_COMPLETED)
			emit_uncompleted(&emit, &items[i]);
	}
	PG_RETURN_NULL();
}

/* ---- fail_step ----------------------------------------------------------- */

static double
retry_after_arg(FunctionCallInfo fcinfo, int argno)
{
	return tc_arg_seconds(fcinfo, argno, "retry_after_seconds", -1.0, 0.0, PG_INT32_MAX);
}

Datum
tasker_fail_step(PG_FUNCTION_ARGS)
{
	TcFailRequest request = {0};
	TcFailResult result;
	TcEmit		emit;

	request.key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id"));
	request.claim_token = tc_arg_required_int64(fcinfo, 1, "claim_token");
	tc_arg_require(fcinfo, 2, "error");
	request.error = tc_arg_jsonb(fcinfo, 2);
	tc_limit_payload(request.error, "error");
	request.retryable = tc_arg_bool(fcinfo, 3, true);
	request.retry_after = retry_after_arg(fcinfo, 4);

	tc_session_begin(fcinfo);
	tc_fail_step(&request, &result);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	tc_emit_text(&emit, tc_step_state_name(result.step_state));
	tc_emit_timestamptz(&emit, result.next_retry_at);
	tc_emit_text(&emit, tc_task_state_name(result.task_state));
	tc_emit_row(&emit);
	PG_RETURN_NULL();
}

/* ---- heartbeat, release_steps -------------------------------------------- */

static TcHold *
read_holds(FunctionCallInfo fcinfo, int ids_argno, int tokens_argno, int *n)
{
	TcClaimArrays arrays;
	TcHold	   *holds;

	tc_check_claim_arrays(fcinfo, ids_argno, tokens_argno, &arrays);
	*n = arrays.n;
	holds = palloc0(sizeof(TcHold) * Max(arrays.n, 1));
	for (int i = 0; i < arrays.n; i++)
	{
		holds[i].key = tc_batch_step_key(arrays.workflow_step_ids[i]);
		holds[i].claim_token = arrays.claim_tokens[i];
	}
	return holds;
}

Datum
tasker_heartbeat(PG_FUNCTION_ARGS)
{
	char	   *worker_id = tc_arg_required_text(fcinfo, 0, "worker_id");
	int			n;
	TcHold	   *holds = read_holds(fcinfo, 1, 2, &n);
	double		lease_seconds = tc_arg_seconds(fcinfo, 3, "lease_seconds", DEFAULT_LEASE_SECONDS,
											   MIN_LEASE_SECONDS, MAX_LEASE_SECONDS);
	TcEmit		emit;

	tc_check_worker_id(worker_id);
	tc_session_begin(fcinfo);
	tc_heartbeat(worker_id, holds, tc_set_foreign_aside(holds, sizeof(TcHold), n), lease_seconds);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
	{
		if (holds[i].held)
			continue;
		tc_emit_int64(&emit, tc_step_id(holds[i].key.task_id, holds[i].key.step_no));
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}

Datum
tasker_release_steps(PG_FUNCTION_ARGS)
{
	int			n;
	TcHold	   *holds = read_holds(fcinfo, 0, 1, &n);
	double		delay_seconds = tc_arg_seconds(fcinfo, 2, "delay_seconds", 0.0, 0.0, MAX_DELAY_SECONDS);
	int			released;

	tc_session_begin(fcinfo);
	released = tc_release_steps(holds, tc_set_foreign_aside(holds, sizeof(TcHold), n), delay_seconds);
	tc_session_end();
	PG_RETURN_INT32(released);
}

Datum
tasker_checkpoint_step(PG_FUNCTION_ARGS)
{
	int64		step_id = tc_arg_required_int64(fcinfo, 0, "workflow_step_id");
	TcStepKey	key = tc_check_step_id(step_id);
	int64		claim_token = tc_arg_required_int64(fcinfo, 1, "claim_token");
	bool		yield = tc_arg_bool(fcinfo, 3, false);
	struct varlena *checkpoint;

	tc_arg_require(fcinfo, 2, "checkpoint");
	checkpoint = tc_arg_jsonb(fcinfo, 2);
	tc_limit_payload(checkpoint, "checkpoint");

	tc_session_begin(fcinfo);
	if (!tc_checkpoint_step(key, claim_token, checkpoint, yield))
	{
		tc_require_step(key);
		tc_raise_lease_lost(step_id);
	}
	tc_session_end();
	PG_RETURN_BOOL(true);
}
