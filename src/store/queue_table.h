/*
 * queue_table.h
 *	  Rows of tasker.step_queue, reached by their key.
 */
#ifndef TC_QUEUE_TABLE_H
#define TC_QUEUE_TABLE_H

#include "store/direct.h"
#include "store/step_store.h"

#define TC_QUEUE_COLUMNS(X) \
	X(task_id) X(step_no) X(shard_key) X(slot) X(lane_id) X(phase) X(waits_for_retry) X(visible_at) \
	X(remaining_parents) X(attempts) X(max_attempts) X(attempt_no) X(claim_token) X(claimed_at) X(worker_id) \
	X(checkpoint) X(satisfied_parents) X(flow_key_id)

enum
{
#define X(name) TC_QUEUE_##name,
	TC_QUEUE_COLUMNS(X)
#undef X
};

extern TcTable tc_queue_table;

/* Begins a scan, or moves it: tc_scan_seek(). */
extern void tc_queue_seek(TcScan *scan, TcPlanKind kind, TcStepKey key);

/* The rows of a task from one step to another, in their order. */
extern void tc_queue_seek_steps(TcScan *scan, TcPlanKind kind, int64 task_id, int32 first, int32 last);

/* Rows of a lane and phase whose time lies between two others, oldest first; begins or moves the scan: tc_scan_seek(). */
typedef struct TcQueueRange
{
	int32		shard_key;
	int32		lane_id;
	char		phase;			/* one that the index of claims holds */
	TimestampTz low;
	TimestampTz high;
} TcQueueRange;

extern void tc_queue_seek_range(TcScan *scan, TcPlanKind kind, const TcQueueRange *range);

/* The row at hand. */
extern void tc_queue_read(TcScan *scan, TcQueueRow *row);

/* Rows without a claim, a checkpoint or a flow key. */
extern void tc_queue_add(const TcQueueRow *rows, int n);

/*
 * One such row, unless there is one with its key: then false.  Waits for others that
 * write a row with it.  The row knows its place afterwards.
 */
extern bool tc_queue_add_new(TcQueueRow *row);

/* Phase, time and counts of locked rows; false, and nothing changed, as with claims. */
extern bool tc_queue_write_counts(const TcQueueRow *rows, int n);

/*
 * Locked rows become claims, of attempts and flow keys as the rows say.  Returns
 * false, and changes nothing, where that takes a statement: see tc_direct_update().
 */
extern bool tc_queue_write_claims(const TcQueueRow *rows, const int64 *tokens, const TimestampTz *lease_until,
								  int n, const char *worker_id);

#endif							/* TC_QUEUE_TABLE_H */
