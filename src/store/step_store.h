/*
 * step_store.h
 *	  The queue of live steps and the history of attempts.
 *
 * Functions that take several rows want them sorted by (shard_key, task_id,
 * step_no): tc_step_key_compare().  The lock order is in task_store.h.
 */
#ifndef TC_STEP_STORE_H
#define TC_STEP_STORE_H

#include "storage/itemptr.h"

#include "store/session.h"
#include "tasker_core.h"

#define TC_PHASE_WAITING 'w'	/* a join whose parents are not all satisfied */
#define TC_PHASE_READY 'r'		/* claimable from visible_at on */
#define TC_PHASE_CLAIMED 'c'	/* in a worker's hands until visible_at */
#define TC_PHASE_SIGNAL 's'		/* waits for a signal, until visible_at */
#define TC_PHASE_TASK 't'		/* runs as a task of its own, to begin at visible_at */
#define TC_PHASE_PARKED 'p'		/* its flow key lets nothing start */
#define TC_PHASE_MAP 'm'		/* a map whose instances run: remaining_parents of them are not satisfied,
								 * satisfied_parents have entered the queue */
#define TC_PHASE_ENDED 'x'		/* ended before its parents did: they must not wake it */

typedef struct TcStepKey
{
	int64		task_id;
	int32		step_no;
} TcStepKey;

/* SQL for queue rows q: what the index of claims holds; the planner has to read it to use that. */
#define TC_IN_CLAIM_INDEX "q.phase NOT IN ('w', 'x', 'p', 'm')"

/* Rows of steps that can still run: whoever changes the shape of their task locks them. */
#define TC_LIVE_PHASES "'r', 'c', 's', 't', 'p'"

typedef struct TcQueueRow
{
	TcStepKey	key;
	int32		lane_id;		/* negative while the task is paused */
	char		phase;
	bool		waits_for_retry;
	TimestampTz visible_at;
	int32		remaining_parents;
	int32		satisfied_parents;
	int32		attempts;
	int32		max_attempts;
	int32		attempt_no;
	int64		claim_token;	/* 0 unless claimed */
	TimestampTz claimed_at;
	char	   *worker_id;
	struct varlena *checkpoint;
	int16		slot;			/* of the task's history */
	int64		flow_key_id;	/* of a claim that holds it, or a parked row; else 0 */
	ItemPointerData place;		/* of a row that was locked to be written */
} TcQueueRow;

/* Can it still run? */
static inline bool
tc_phase_is_live(char phase)
{
	return phase == TC_PHASE_READY || phase == TC_PHASE_CLAIMED || phase == TC_PHASE_SIGNAL ||
		phase == TC_PHASE_TASK || phase == TC_PHASE_PARKED;
}

/* How a claim ended, as it goes into step_attempts. */
typedef struct TcFailure
{
	const struct varlena *error;	/* NULL for a lease that expired */
	bool		lease_expired;
	TcStepState to_state;		/* waiting_for_retry or error */
	TimestampTz next_retry_at;	/* TC_NO_TIME when to_state is error */
	int32		backoff_request_seconds;	/* -1 = the server asked for nothing */
} TcFailure;

extern int	tc_step_key_compare(const void *a, const void *b);

/*
 * Locks the rows among the keys that are claimed; returns them sorted, in their
 * newest version.
 */
extern int	tc_queue_lock_claims(const TcStepKey *keys, int n, TcQueueRow **rows);

/* What becomes of a lock that somebody else holds: 55P03 at once for TC_LOCK_RAISES. */
typedef enum TcLockPolicy
{
	TC_LOCK_WAITS,
	TC_LOCK_SKIPS,
	TC_LOCK_RAISES,
	TC_LOCK_POLICY_COUNT
} TcLockPolicy;

/* The row of a step that waits for a signal, or runs as a task; false when it does so no more, or was skipped. */
extern bool tc_queue_lock_wait(TcStepKey key, char phase, TcLockPolicy policy, TcQueueRow *row);

/* One claimed row, without waiting: false when it is gone or locked. */
extern bool tc_queue_lock_nowait(TcStepKey key, TcQueueRow *row);

/* The lane of a step that has a row, 0 when it has none; no lock. */
extern int32 tc_queue_peek_lane(TcStepKey key);

/* All rows of a task, if none of them is locked by somebody else: else false. */
extern bool tc_queue_lock_task_nowait(int64 task_id, TcQueueRow **rows, int *nrows);

/*
 * Locks the ready and claimed rows of a task in order, those that appear
 * meanwhile included; returns how many.  Rows that wait for parents need no
 * lock: whoever waits for one of them holds a claimed row of the task.
 */
extern int	tc_queue_lock_live(int64 task_id);

/* All rows of a task, without a lock. */
extern int	tc_queue_read_task(int64 task_id, TcQueueRow **rows);

/* New rows, of phase ready, waiting or ended. */
extern void tc_queue_insert(const TcQueueRow *rows, int n);

/*
 * Rows for children whose one parent ended.  A child that people ended before
 * keeps its row: inserted[i] tells which rows are new.
 */
extern void tc_queue_insert_children(const TcQueueRow *rows, int n, bool *inserted);

/* Ends claims with results: the rows, which are locked, leave the queue; the attempts enter the history. */
extern void tc_queue_complete(const TcQueueRow *rows, const struct varlena *const *results, int n);

/* Ends a claim with a failure; the row stays for the retry, or leaves the queue. */
extern void tc_queue_fail(const TcQueueRow *row, const TcFailure *failure);

/* Records the lost attempts of expired leases that are about to be claimed anew. */
extern void tc_queue_record_expired(const TcQueueRow *rows, int n);

/*
 * A step of which parents have just ended.  The row is what a join gets that has none
 * yet, ready but for its parents; of phase 0 for a step that gets none here.
 */
typedef struct TcJoin
{
	TcQueueRow	row;			/* first: sorted by its key */
	bool		at_first;		/* it runs at the first parent that is satisfied */
	bool		may_run;		/* it may have run, though a parent ends only now, or once more */
	int32		counted;		/* parents that it waits for no more; 0 = it is only locked */
	int32		satisfied;		/* of these */
} TcJoin;

/*
 * Counts parents off joins that wait; none of them may end with it.  Returns the
 * rows in their new form, locked: phase ready where a join runs now.  A join that
 * has begun is left out; rows of maps whose instances run, and of steps that ended
 * before their parents, are locked and not changed.
 */
extern int	tc_queue_count_down(const TcJoin *joins, int n, TcQueueRow **rows);

/* Counts satisfied instances off the row of their map, and returns it in its new form. */
extern void tc_queue_count_down_map(TcStepKey key, int32 counted, TcQueueRow *row);

/* Writes phase, time and counts of rows that waited; the caller has locked them. */
extern void tc_queue_settle_waiting(const TcQueueRow *rows, int n);

/* Gives claims back; visible from `visible_at` on. */
extern void tc_queue_release(const TcQueueRow *rows, int n, TimestampTz visible_at);

/* Extends claims to the given lease ends. */
extern void tc_queue_extend(const TcStepKey *keys, const TimestampTz *lease_until, int n);

/* Turns locked rows into claims of worker_id, which hold the flow keys that are in them. */
extern void tc_queue_claim(const TcQueueRow *rows, const int64 *tokens,
						   const TimestampTz *lease_until, int n, const char *worker_id);

/* Removes all rows of a task; the caller has locked them. */
extern void tc_queue_clear(int64 task_id);

/* Removes rows that the caller has locked. */
extern void tc_queue_remove(const TcStepKey *keys, int n);

/* What is done to steps other than running them; the verb is on record. */
#define TC_MOVE_VERBS(X) \
	X(RELEASE, "release") \
	X(YIELD, "yield") \
	X(CANCEL, "cancel") \
	X(RESET, "reset") \
	X(RESOLVE, "resolve") \
	X(SKIP, "skip") \
	X(RETRY_TASK, "retry_task") \
	X(CASCADE, "cascade") \
	X(CONDITION, "condition") \
	X(SIGNAL, "signal") \
	X(TIMEOUT, "timeout") \
	X(RUN_AT, "run_at") \
	X(WORKFLOW, "workflow") \
	X(MAP, "map")

typedef enum TcMoveVerb
{
#define X(id, name) TC_VERB_##id,
	TC_MOVE_VERBS(X)
#undef X
} TcMoveVerb;

typedef struct TcStepMove
{
	TcStepKey	key;			/* first: sorted by it */
	int32		ordinal;		/* of several of one step */
	int32		after_attempt_no;
	TcMoveVerb	verb;
	TcStepState from;
	TcStepState to;
	const char *worker_id;		/* of the claim it ended, or NULL */
	TimestampTz claimed_at;		/* in progress since then, TC_NO_TIME = it was not */
	const struct varlena *results;	/* of resolve, or NULL */
	const char *reason;
	const struct varlena *metadata;
} TcStepMove;

/* The move that ends a claim. */
extern TcStepMove tc_move_of_claim(const TcQueueRow *row, TcMoveVerb verb, TcStepState to,
								   const char *reason);

extern void tc_step_record_moves(const TcStepMove *moves, int n);

extern void tc_queue_set_checkpoint(TcStepKey key, const struct varlena *checkpoint);

/*
 * Takes every row of a task out of the claims' reach, or back into it.  What was
 * parked is ready when it comes back: a claim finds out anew.
 */
extern void tc_queue_set_paused(int64 task_id, bool paused);

/* What a step did before. */
typedef struct TcStepHistory
{
	int32		attempt_no;		/* attempts that ended, ever */
	int32		attempts;		/* the same since the last reset */
	bool		begun;			/* it ended in a state that it does not leave by itself */
} TcStepHistory;

/*
 * A row for a step that may have run before gets the attempts that were made; true
 * when the step needs no such row, since it has one or ended.
 */
extern bool tc_queue_recall(TcQueueRow *row);

/* What is left of a task in the queue. */
typedef enum TcQueueRest
{
	TC_REST_NONE,
	TC_REST_WAITING,			/* rows, but none that can run */
	TC_REST_RUNNABLE			/* a ready or claimed step */
} TcQueueRest;

/* For each task; sees everything committed before the call. */
extern void tc_queue_rest(const int64 *task_ids, int n, TcQueueRest *rests);

/* Who already completed or failed a step with this token; false when nobody did. */
typedef struct TcPastAttempt
{
	TcStepKey	key;
	int64		claim_token;
	TcStepState to_state;
	TimestampTz next_retry_at;
} TcPastAttempt;

/* The attempts that these tokens made, for tokens whose claim is not live. */
extern int	tc_attempts_by_token(const TcStepKey *keys, const int64 *tokens, int n,
								 TcPastAttempt **attempts);

#endif							/* TC_STEP_STORE_H */
