/*
 * history_table.c
 *	  What has happened to steps, tasker.step_attempts and tasker.step_moves: rows by
 *	  their key.
 *
 * Rows go to the member of their task's slot by its name: what is inserted by way of
 * the parent has to find its member first.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "compat.h"
#include "domain/states.h"
#include "store/event_store.h"
#include "store/history_table.h"

#define ATTEMPT_NAME(name) [TC_ATTEMPT_##name] = #name,
#define ATTEMPTS(slot) {.name = "step_attempts_" slot, .columns = {TC_ATTEMPT_COLUMNS(ATTEMPT_NAME)}}
#define MOVE_NAME(name) [TC_MOVE_##name] = #name,
#define MOVES(slot) {.name = "step_moves_" slot, .columns = {TC_MOVE_COLUMNS(MOVE_NAME)}}

static TcTable attempts_of_slot[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(ATTEMPTS);
static TcTable moves_of_slot[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(MOVES);

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

	values[TC_ATTEMPT_outcome] = CStringGetTextDatum(outcome);
	values[TC_ATTEMPT_to_state] = CStringGetTextDatum(tc_step_state_name(to_state));
	values[TC_ATTEMPT_results] = PointerGetDatum(attempt->results);
	nulls[TC_ATTEMPT_results] = attempt->results == NULL;
	values[TC_ATTEMPT_error] = PointerGetDatum(failure != NULL ? failure->error : NULL);
	nulls[TC_ATTEMPT_error] = failure == NULL || failure->error == NULL;
	values[TC_ATTEMPT_next_retry_at] = TimestampTzGetDatum(again ? failure->next_retry_at : 0);
	nulls[TC_ATTEMPT_next_retry_at] = !again;
	values[TC_ATTEMPT_backoff_request_seconds] = Int32GetDatum(asked ? failure->backoff_request_seconds : 0);
	nulls[TC_ATTEMPT_backoff_request_seconds] = !asked;
}

static void
fill_row(const void *rows, int i, Datum *values, bool *nulls)
{
	const Attempt *attempt = (const Attempt *) rows + i;
	const TcQueueRow *row = attempt->row;
	const char *acting_role = tc_session_acting_role();

	values[TC_ATTEMPT_task_id] = Int64GetDatum(row->key.task_id);
	values[TC_ATTEMPT_step_no] = Int32GetDatum(row->key.step_no);
	values[TC_ATTEMPT_attempt_no] = Int32GetDatum(row->attempt_no + 1);
	values[TC_ATTEMPT_shard_key] = Int32GetDatum(tc_shard_key(row->key.task_id));
	values[TC_ATTEMPT_slot] = Int16GetDatum(row->slot);
	values[TC_ATTEMPT_attempt] = Int32GetDatum(row->attempts + 1);
	values[TC_ATTEMPT_worker_id] = CStringGetTextDatum(row->worker_id);
	values[TC_ATTEMPT_claim_token] = Int64GetDatum(row->claim_token);
	values[TC_ATTEMPT_claimed_at] = TimestampTzGetDatum(row->claimed_at);
	values[TC_ATTEMPT_finished_at] = TimestampTzGetDatum(tc_session_now());
	fill_end(attempt, values, nulls);
	values[TC_ATTEMPT_recorded_by] = CStringGetTextDatum(tc_session_role());
	nulls[TC_ATTEMPT_recorded_as] = acting_role == NULL;
	values[TC_ATTEMPT_recorded_as] = acting_role == NULL ? (Datum) 0 : CStringGetTextDatum(acting_role);
	values[TC_ATTEMPT_event_xact] = Int64GetDatum(tc_event_current_xact());
	values[TC_ATTEMPT_event_seq] = Int32GetDatum(tc_event_next_seq());
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
		tc_direct_insert(&attempts_of_slot[slot], fill_row, attempts + start, end - start);
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

/* ---- reading ------------------------------------------------------------- */

#define NKEYS 3

/* Both primary keys begin with the task and the step; that of the shard stands fourth. */
static void
seek(TcScan *scan, TcTable *table, TcPlanKind kind, int64 task_id, int32 first, int32 last)
{
	char	   *index = psprintf("%s_pkey", table->name);
	ScanKeyData keys[NKEYS];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(task_id));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(first));
	ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT4LE, Int32GetDatum(last));
	tc_scan_begin(scan, table, index, kind, keys, NKEYS);
	pfree(index);
}

void
tc_attempts_seek(TcScan *scan, TcPlanKind kind, int64 task_id, int16 slot, int32 first, int32 last)
{
	seek(scan, &attempts_of_slot[slot], kind, task_id, first, last);
}

void
tc_moves_seek(TcScan *scan, TcPlanKind kind, int64 task_id, int16 slot, int32 first, int32 last)
{
	seek(scan, &moves_of_slot[slot], kind, task_id, first, last);
}

TcStepState
tc_history_state(TcScan *scan, int column)
{
	struct varlena *name = tc_scan_text_in_place(scan, column);
	TcStepState state;

	if (!tc_step_state_parse_bytes(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name), &state))
		elog(ERROR, "unknown step state in the history");
	return state;
}

bool
tc_history_is_reset(TcScan *scan)
{
	return tc_scan_text_is(scan, TC_MOVE_verb, "reset") || tc_scan_text_is(scan, TC_MOVE_verb, "retry_task");
}

/* A move comes after the attempts that it counts: at the same count it is the newer of the two. */
TcStepHistory
tc_history_read(TcStepKey key, int16 slot)
{
	TcStepHistory history = {0};
	TcScan		scan;

	tc_attempts_seek(&scan, TC_LATEST, key.task_id, slot, key.step_no, key.step_no);
	while (tc_scan_next(&scan))
	{
		history.attempt_no = tc_scan_int32(&scan, TC_ATTEMPT_attempt_no);
		history.attempts = tc_scan_int32(&scan, TC_ATTEMPT_attempt);
		history.begun = tc_step_state_is_ended(tc_history_state(&scan, TC_ATTEMPT_to_state));
	}
	tc_scan_end(&scan);
	tc_moves_seek(&scan, TC_LATEST, key.task_id, slot, key.step_no, key.step_no);
	while (tc_scan_next(&scan))
	{
		if (tc_scan_int32(&scan, TC_MOVE_after_attempt_no) < history.attempt_no)
			continue;
		history.begun = tc_step_state_is_ended(tc_history_state(&scan, TC_MOVE_to_state));
		if (tc_history_is_reset(&scan))
			history.attempts = 0;
	}
	tc_scan_end(&scan);
	return history;
}

/* Did it end with results that its children are given? */
static bool
is_done(TcStepState state)
{
	return state == TC_STEP_COMPLETE || state == TC_STEP_RESOLVED_MANUALLY;
}

static struct varlena *
results_of(TcScan *scan, int state_column, int results_column)
{
	struct varlena *results = NULL;

	while (results == NULL && tc_scan_next(scan))
	{
		if (is_done(tc_history_state(scan, state_column)))
			results = tc_scan_varlena(scan, results_column);
	}
	tc_scan_end(scan);
	return results;
}

struct varlena *
tc_history_results(TcStepKey key, int16 slot)
{
	struct varlena *results;
	TcScan		scan;

	tc_attempts_seek(&scan, TC_WRITE, key.task_id, slot, key.step_no, key.step_no);
	results = results_of(&scan, TC_ATTEMPT_to_state, TC_ATTEMPT_results);
	if (results != NULL)
		return results;
	tc_moves_seek(&scan, TC_WRITE, key.task_id, slot, key.step_no, key.step_no);
	return results_of(&scan, TC_MOVE_to_state, TC_MOVE_results);
}
