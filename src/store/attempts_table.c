/*
 * attempts_table.c
 *	  Attempts that ended enter their history, tasker.step_attempts.
 *
 * Rows go to the member of their task's slot by its name: what is inserted by way of
 * the parent has to find its member first.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "domain/states.h"
#include "store/attempts_table.h"
#include "store/direct.h"
#include "store/event_store.h"
#include "store/slot_store.h"

#define COLUMNS(X) \
	X(task_id) X(step_no) X(attempt_no) X(shard_key) X(slot) X(attempt) X(outcome) X(to_state) X(worker_id) \
	X(claim_token) X(claimed_at) X(finished_at) X(results) X(error) X(next_retry_at) X(backoff_request_seconds) \
	X(recorded_by) X(recorded_as) X(event_xact) X(event_seq)

enum
{
#define X(name) ATTEMPT_##name,
	COLUMNS(X)
#undef X
};

#define NAME(name) [ATTEMPT_##name] = #name,
#define MEMBER(slot) {.name = "step_attempts_" slot, .columns = {COLUMNS(NAME)}}

static TcTable members[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(MEMBER);

/* One attempt: it completed with results, or failed. */
typedef struct Attempt
{
	const TcQueueRow *row;
	const struct varlena *results;
	const TcFailure *failure;	/* NULL = completed */
} Attempt;

static void
fill_end(const Attempt *attempt, Datum *values, bool *nulls)
{
	const TcFailure *failure = attempt->failure;
	bool		again = failure != NULL && failure->next_retry_at != TC_NO_TIME;
	bool		asked = failure != NULL && failure->backoff_request_seconds >= 0;
	const char *outcome = failure == NULL ? "completed" : failure->lease_expired ? "lease_expired" : "failed";
	TcStepState to_state = failure == NULL ? TC_STEP_COMPLETE : failure->to_state;

	values[ATTEMPT_outcome] = CStringGetTextDatum(outcome);
	values[ATTEMPT_to_state] = CStringGetTextDatum(tc_step_state_name(to_state));
	values[ATTEMPT_results] = PointerGetDatum(attempt->results);
	nulls[ATTEMPT_results] = attempt->results == NULL;
	values[ATTEMPT_error] = PointerGetDatum(failure != NULL ? failure->error : NULL);
	nulls[ATTEMPT_error] = failure == NULL || failure->error == NULL;
	values[ATTEMPT_next_retry_at] = TimestampTzGetDatum(again ? failure->next_retry_at : 0);
	nulls[ATTEMPT_next_retry_at] = !again;
	values[ATTEMPT_backoff_request_seconds] = Int32GetDatum(asked ? failure->backoff_request_seconds : 0);
	nulls[ATTEMPT_backoff_request_seconds] = !asked;
}

static void
fill_row(const void *rows, int i, Datum *values, bool *nulls)
{
	const Attempt *attempt = (const Attempt *) rows + i;
	const TcQueueRow *row = attempt->row;
	const char *acting_role = tc_session_acting_role();

	values[ATTEMPT_task_id] = Int64GetDatum(row->key.task_id);
	values[ATTEMPT_step_no] = Int32GetDatum(row->key.step_no);
	values[ATTEMPT_attempt_no] = Int32GetDatum(row->attempt_no + 1);
	values[ATTEMPT_shard_key] = Int32GetDatum(tc_shard_key(row->key.task_id));
	values[ATTEMPT_slot] = Int16GetDatum(row->slot);
	values[ATTEMPT_attempt] = Int32GetDatum(row->attempts + 1);
	values[ATTEMPT_worker_id] = CStringGetTextDatum(row->worker_id);
	values[ATTEMPT_claim_token] = Int64GetDatum(row->claim_token);
	values[ATTEMPT_claimed_at] = TimestampTzGetDatum(row->claimed_at);
	values[ATTEMPT_finished_at] = TimestampTzGetDatum(tc_session_now());
	fill_end(attempt, values, nulls);
	values[ATTEMPT_recorded_by] = CStringGetTextDatum(tc_session_role());
	nulls[ATTEMPT_recorded_as] = acting_role == NULL;
	values[ATTEMPT_recorded_as] = acting_role == NULL ? (Datum) 0 : CStringGetTextDatum(acting_role);
	values[ATTEMPT_event_xact] = Int64GetDatum(tc_event_current_xact());
	values[ATTEMPT_event_seq] = Int32GetDatum(tc_event_next_seq());
}

/* Mostly of one slot. */
static void
add(const Attempt *attempts, int n)
{
	int			end;

	for (int start = 0; start < n; start = end)
	{
		int16		slot = attempts[start].row->slot;

		for (end = start + 1; end < n && attempts[end].row->slot == slot; end++)
			continue;
		tc_direct_insert(&members[slot], fill_row, attempts + start, end - start);
	}
}

void
tc_attempts_add_completed(const TcQueueRow *rows, const struct varlena *const *results, int n)
{
	Attempt    *attempts = palloc(sizeof(Attempt) * Max(n, 1));

	for (int i = 0; i < n; i++)
		attempts[i] = (Attempt) {.row = &rows[i], .results = results[i]};
	add(attempts, n);
}

void
tc_attempts_add_failed(const TcQueueRow *row, const TcFailure *failure)
{
	Attempt		attempt = {.row = row, .failure = failure};

	add(&attempt, 1);
}
