/*
 * queue_table.c
 *	  Rows of tasker.step_queue, reached by their key.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "compat.h"
#include "store/queue_table.h"

TcTable		tc_queue_table = {
	.name = "step_queue",
#define X(name) [TC_QUEUE_##name] = #name,
	.columns = {TC_QUEUE_COLUMNS(X)},
#undef X
	.nchecks = 1,
};

#define NKEYS 3

void
tc_queue_seek(TcScan *scan, TcPlanKind kind, TcStepKey key)
{
	ScanKeyData keys[NKEYS];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(key.task_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(key.step_no));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(tc_shard_key(key.task_id)));
	tc_scan_seek(scan, &tc_queue_table, "step_queue_pkey", kind, keys, NKEYS);
}

void
tc_queue_seek_steps(TcScan *scan, TcPlanKind kind, int64 task_id, int32 first, int32 last)
{
	ScanKeyData keys[NKEYS];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(task_id));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_INT4GE, Int32GetDatum(first));
	ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_INT4LE, Int32GetDatum(last));
	tc_scan_begin(scan, &tc_queue_table, "step_queue_pkey", kind, keys, NKEYS);
}

#define NRANGE_KEYS 5

static void
keys_of_range(const TcQueueRange *range, ScanKeyData *keys)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(range->shard_key));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(range->lane_id));
	ScanKeyInit(&keys[2], 3, BTEqualStrategyNumber, F_CHAREQ, CharGetDatum(range->phase));
	ScanKeyInit(&keys[3], 4, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE, TimestampTzGetDatum(range->low));
	ScanKeyInit(&keys[4], 4, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE, TimestampTzGetDatum(range->high));
}

void
tc_queue_seek_range(TcScan *scan, TcPlanKind kind, const TcQueueRange *range)
{
	ScanKeyData keys[NRANGE_KEYS];

	keys_of_range(range, keys);
	tc_scan_seek(scan, &tc_queue_table, "step_queue_claim_idx", kind, keys, NRANGE_KEYS);
}

void
tc_queue_read(TcScan *scan, TcQueueRow *row)
{
	row->key.task_id = tc_scan_int64(scan, TC_QUEUE_task_id);
	row->key.step_no = tc_scan_int32(scan, TC_QUEUE_step_no);
	row->slot = tc_scan_int16(scan, TC_QUEUE_slot);
	row->lane_id = tc_scan_int32(scan, TC_QUEUE_lane_id);
	row->phase = tc_scan_char(scan, TC_QUEUE_phase);
	row->waits_for_retry = tc_scan_bool(scan, TC_QUEUE_waits_for_retry);
	row->visible_at = tc_scan_timestamptz(scan, TC_QUEUE_visible_at);
	row->remaining_parents = tc_scan_int32(scan, TC_QUEUE_remaining_parents);
	row->satisfied_parents = tc_scan_int32(scan, TC_QUEUE_satisfied_parents);
	row->attempts = tc_scan_int32(scan, TC_QUEUE_attempts);
	row->max_attempts = tc_scan_int32(scan, TC_QUEUE_max_attempts);
	row->attempt_no = tc_scan_int32(scan, TC_QUEUE_attempt_no);
	row->claim_token = tc_scan_isnull(scan, TC_QUEUE_claim_token) ? 0 : tc_scan_int64(scan, TC_QUEUE_claim_token);
	row->claimed_at = tc_scan_timestamptz(scan, TC_QUEUE_claimed_at);
	row->worker_id = tc_scan_text(scan, TC_QUEUE_worker_id);
	row->checkpoint = tc_scan_varlena(scan, TC_QUEUE_checkpoint);
	row->flow_key_id = tc_scan_isnull(scan, TC_QUEUE_flow_key_id) ? 0 : tc_scan_int64(scan, TC_QUEUE_flow_key_id);
	row->place = scan->slot->tts_tid;
}

static void
fill_row(const void *rows, int i, Datum *values, bool *nulls)
{
	const TcQueueRow *row = (const TcQueueRow *) rows + i;

	Assert(row->remaining_parents >= 0);
	values[TC_QUEUE_task_id] = Int64GetDatum(row->key.task_id);
	values[TC_QUEUE_step_no] = Int32GetDatum(row->key.step_no);
	values[TC_QUEUE_shard_key] = Int32GetDatum(tc_shard_key(row->key.task_id));
	values[TC_QUEUE_slot] = Int16GetDatum(row->slot);
	values[TC_QUEUE_lane_id] = Int32GetDatum(row->lane_id);
	values[TC_QUEUE_phase] = CharGetDatum(row->phase);
	values[TC_QUEUE_waits_for_retry] = BoolGetDatum(false);
	values[TC_QUEUE_visible_at] = TimestampTzGetDatum(row->visible_at);
	values[TC_QUEUE_remaining_parents] = Int32GetDatum(row->remaining_parents);
	values[TC_QUEUE_satisfied_parents] = Int32GetDatum(row->satisfied_parents);
	values[TC_QUEUE_attempts] = Int32GetDatum(row->attempts);
	values[TC_QUEUE_max_attempts] = Int32GetDatum(row->max_attempts);
	values[TC_QUEUE_attempt_no] = Int32GetDatum(row->attempt_no);
	values[TC_QUEUE_claimed_at] = TimestampTzGetDatum(tc_session_now());
	nulls[TC_QUEUE_claimed_at] = row->phase != TC_PHASE_SIGNAL && row->phase != TC_PHASE_TASK &&
		row->phase != TC_PHASE_MAP;
	nulls[TC_QUEUE_claim_token] = nulls[TC_QUEUE_worker_id] = true;
	nulls[TC_QUEUE_checkpoint] = nulls[TC_QUEUE_flow_key_id] = true;
}

void
tc_queue_add(const TcQueueRow *rows, int n)
{
	tc_direct_insert(&tc_queue_table, fill_row, rows, n);
}

bool
tc_queue_add_new(TcQueueRow *row)
{
	return tc_direct_insert_new(&tc_queue_table, fill_row, row, &row->place);
}

/* Locked rows, where they are. */
static ItemPointerData *
places_of(const TcQueueRow *rows, int n)
{
	ItemPointerData *places = palloc(sizeof(ItemPointerData) * Max(n, 1));

	for (int i = 0; i < n; i++)
		places[i] = rows[i].place;
	return places;
}

static void
fill_counts(const void *rows, int i, Datum *values, bool *nulls)
{
	const TcQueueRow *row = (const TcQueueRow *) rows + i;

	values[TC_QUEUE_phase] = CharGetDatum(row->phase);
	values[TC_QUEUE_visible_at] = TimestampTzGetDatum(row->visible_at);
	values[TC_QUEUE_remaining_parents] = Int32GetDatum(row->remaining_parents);
	values[TC_QUEUE_satisfied_parents] = Int32GetDatum(row->satisfied_parents);
}

bool
tc_queue_write_counts(const TcQueueRow *rows, int n)
{
	return tc_direct_update(&tc_queue_table, places_of(rows, n), fill_counts, rows, n);
}

typedef struct Claims
{
	const TcQueueRow *rows;
	const int64 *tokens;
	const TimestampTz *lease_until;
	const char *worker_id;
} Claims;

static void
fill_claim(const void *argument, int i, Datum *values, bool *nulls)
{
	const Claims *claims = argument;
	const TcQueueRow *row = &claims->rows[i];

	values[TC_QUEUE_phase] = CharGetDatum(TC_PHASE_CLAIMED);
	values[TC_QUEUE_waits_for_retry] = BoolGetDatum(false);
	values[TC_QUEUE_visible_at] = TimestampTzGetDatum(claims->lease_until[i]);
	values[TC_QUEUE_claim_token] = Int64GetDatum(claims->tokens[i]);
	values[TC_QUEUE_claimed_at] = TimestampTzGetDatum(tc_session_now());
	values[TC_QUEUE_worker_id] = CStringGetTextDatum(claims->worker_id);
	values[TC_QUEUE_attempts] = Int32GetDatum(row->attempts);
	values[TC_QUEUE_attempt_no] = Int32GetDatum(row->attempt_no);
	values[TC_QUEUE_flow_key_id] = Int64GetDatum(row->flow_key_id);
	nulls[TC_QUEUE_claim_token] = nulls[TC_QUEUE_claimed_at] = nulls[TC_QUEUE_worker_id] = false;
	nulls[TC_QUEUE_flow_key_id] = row->flow_key_id == 0;
}

bool
tc_queue_write_claims(const TcQueueRow *rows, const int64 *tokens, const TimestampTz *lease_until,
					  int n, const char *worker_id)
{
	Claims		claims = {rows, tokens, lease_until, worker_id};

	return tc_direct_update(&tc_queue_table, places_of(rows, n), fill_claim, &claims, n);
}
