/*
 * history_table.h
 *	  What has happened to steps, tasker.step_attempts and tasker.step_moves: rows by
 *	  their key.
 */
#ifndef TC_HISTORY_TABLE_H
#define TC_HISTORY_TABLE_H

#include "store/direct.h"
#include "store/slot_store.h"
#include "store/step_store.h"

#define TC_ATTEMPT_COLUMNS(X) \
	X(task_id) X(step_no) X(attempt_no) X(shard_key) X(slot) X(attempt) X(outcome) X(to_state) X(worker_id) \
	X(claim_token) X(claimed_at) X(finished_at) X(results) X(error) X(next_retry_at) X(backoff_request_seconds) \
	X(recorded_by) X(recorded_as) X(event_xact) X(event_seq)

#define TC_MOVE_COLUMNS(X) \
	X(step_no) X(move_id) X(after_attempt_no) X(verb) X(to_state) X(worker_id) X(claimed_at) X(moved_at) X(results)

enum
{
#define X(name) TC_ATTEMPT_##name,
	TC_ATTEMPT_COLUMNS(X)
#undef X
};

enum
{
#define X(name) TC_MOVE_##name,
	TC_MOVE_COLUMNS(X)
#undef X
};

/* Claims that ended with results. */
extern void tc_attempts_add_completed(const TcQueueRow *rows, const struct varlena *const *results, int n);

/* A claim that ended with a failure, or whose lease did. */
extern void tc_attempts_add_failed(const TcQueueRow *row, const TcFailure *failure);

/* The history of the steps of a task from one number to another, in the order of steps, then of time. */
extern void tc_attempts_seek(TcScan *scan, TcPlanKind kind, int64 task_id, int16 slot, int32 first, int32 last);
extern void tc_moves_seek(TcScan *scan, TcPlanKind kind, int64 task_id, int16 slot, int32 first, int32 last);

/* The state that the row at hand led to; its column is one of the two to_state. */
extern TcStepState tc_history_state(TcScan *scan, int column);

/* Does the move at hand give the step all its attempts anew? */
extern bool tc_history_is_reset(TcScan *scan);

/*
 * The history of a step that is committed by now, in short: attempts that ended, and whether the
 * newest record is of an end.
 */
extern TcStepHistory tc_history_read(TcStepKey key, int16 slot);

/*
 * The results of a step, in the session's caller context; NULL where it has none.  A
 * step is completed or resolved once.
 */
extern struct varlena *tc_history_results(TcStepKey key, int16 slot);

#endif							/* TC_HISTORY_TABLE_H */
