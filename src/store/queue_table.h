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

/* A scan that stands before the row of a key, and one that is moved there. */
extern void tc_queue_seek(TcScan *scan, TcPlanKind kind, TcStepKey key);
extern void tc_queue_seek_again(TcScan *scan, TcStepKey key);

/* The row at hand. */
extern void tc_queue_read(TcScan *scan, TcQueueRow *row);

/* Rows without a claim, a checkpoint or a flow key. */
extern void tc_queue_add(const TcQueueRow *rows, int n);

#endif							/* TC_QUEUE_TABLE_H */
