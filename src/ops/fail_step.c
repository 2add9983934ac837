/*
 * fail_step.c
 *	  An attempt failed: the step is tried again, or has failed for good.
 *
 * Locks, in this order: the queue row of the step; when it failed for good, what
 * final_failure.c says.
 */
#include "postgres.h"

#include <math.h>

#include "port.h"

#include "compat.h"
#include "domain/instances.h"
#include "domain/retry.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "guc.h"
#include "ops/final_failure.h"
#include "ops/flow.h"
#include "ops/steps.h"
#include "store/attempt.h"
#include "store/lane_store.h"
#include "store/task_store.h"
#include "store/template_store.h"

static const TcStep *
step_of(const TcQueueRow *row)
{
	const TcTemplate *template = tc_template_get(tc_lane_get(row->lane_id)->named_task_id);

	return tc_step_of(template, row->key.step_no);
}

/* What a server asked for wins over the formula, up to a limit. */
static TimestampTz
next_retry(const TcQueueRow *row, const TcStep *step, double retry_after)
{
	uint64		random;

	if (retry_after >= 0)
		return tc_session_now() +
			(TimestampTz) (Min(retry_after, tc_guc_max_retry_after) * USECS_PER_SEC);
	if (!pg_strong_random(&random, sizeof(random)))
		random = (uint64) tc_session_now();
	return tc_session_now() + tc_backoff_delay_ms(&step->backoff, row->attempts + 1, &random) * 1000;
}

static TcFailure
decide(const TcQueueRow *row, const TcStep *step, const TcFailRequest *request)
{
	bool		again = tc_retry_allowed(request->retryable, step->retryable,
										 row->attempts + 1, row->max_attempts);
	TcFailure	failure = {
		.error = request->error,
		.lease_expired = false,
		.to_state = again ? TC_STEP_WAITING_FOR_RETRY : TC_STEP_ERROR,
		.next_retry_at = again ? next_retry(row, step, request->retry_after) : TC_NO_TIME,
		.backoff_request_seconds = -1,
	};

	if (again && request->retry_after >= 0)
		failure.backoff_request_seconds = (int32) ceil(Min(request->retry_after, PG_INT32_MAX));
	return failure;
}

/*
 * The claim is not live.  The same token again is quiet: the first outcome
 * stays.  Anything else is an error.
 */
static void
answer_repetition(const TcFailRequest *request, TcFailResult *result)
{
	int64		step_id = tc_step_id(request->key.task_id, request->key.step_no);
	TcTaskState task_state = tc_require_step(request->key);
	TcPastAttempt *past;

	if (tc_attempts_by_token(&request->key, &request->claim_token, 1, &past) == 0)
		tc_raise_lease_lost(step_id);
	result->step_state = past->to_state;
	result->next_retry_at = past->next_retry_at;
	result->task_state = task_state;
}

void
tc_fail_step(const TcFailRequest *request, TcFailResult *result)
{
	TcQueueRow *row;
	TcFailure	failure;

	tc_final_failure_prepare(request->key);
	if (tc_queue_lock_claims(&request->key, 1, &row) != 1 || row->phase != TC_PHASE_CLAIMED ||
		row->claim_token != request->claim_token)
	{
		answer_repetition(request, result);
		return;
	}

	failure = decide(row, step_of(row), request);
	tc_queue_fail(row, &failure);
	result->step_state = failure.to_state;
	result->next_retry_at = failure.next_retry_at;
	if (failure.to_state == TC_STEP_WAITING_FOR_RETRY)
	{
		result->task_state = TC_TASK_IN_PROGRESS;
		tc_flow_release(row, 1);
		tc_event_step(TC_EVENT_STEP_RETRY_SCHEDULED, row->key.task_id, row->key.step_no);
		if (failure.next_retry_at > tc_session_now())
			tc_event_timer(failure.next_retry_at);
		else if (row->lane_id > 0)
			tc_event_ready(tc_lane_get(row->lane_id)->namespace_name);
		return;
	}
	tc_event_step(TC_EVENT_STEP_FAILED, row->key.task_id, row->key.step_no);
	result->task_state = tc_final_failure(row);
}

static bool
fail_exhausted(void *arg)
{
	TcStepKey	key = *(TcStepKey *) arg;
	TcFailure	failure = {
		.lease_expired = true,
		.to_state = TC_STEP_ERROR,
		.next_retry_at = TC_NO_TIME,
		.backoff_request_seconds = -1,
	};
	TcTaskRow  *task;
	TcQueueRow	row;

	if (!tc_final_failure_prepare_nowait(key))
		return false;
	if (!tc_queue_lock_nowait(key, &row) || row.phase != TC_PHASE_CLAIMED ||
		row.visible_at > tc_session_now() || row.attempts + 1 < row.max_attempts)
		return false;
	if (tc_task_lock(&key.task_id, 1, true, &task) != 1)
		return false;

	tc_queue_fail(&row, &failure);
	tc_event_step(TC_EVENT_STEP_LEASE_EXPIRED, key.task_id, key.step_no);
	tc_event_step(TC_EVENT_STEP_FAILED, key.task_id, key.step_no);
	tc_final_failure(&row);
	return true;
}

bool
tc_fail_exhausted(TcStepKey key)
{
	return tc_attempt(fail_exhausted, &key, TC_WAIT_BRIEFLY);
}
