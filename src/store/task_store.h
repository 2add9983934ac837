/*
 * task_store.h
 *	  The tasks table, its history, and idempotency keys.
 *
 * LOCK ORDER, everywhere: step_queue rows of the steps acted on, then
 * step_queue rows of their children, each by (shard_key, task_id, step_no);
 * then task rows by (shard_key, task_id).  Claims take the same locks but skip
 * what is locked, so they never wait.
 */
#ifndef TC_TASK_STORE_H
#define TC_TASK_STORE_H

#include "store/session.h"
#include "tasker_core.h"

typedef struct TcNewTask
{
	int32		named_task_id;
	int32		priority;
	bool		has_run_at;
	TimestampTz run_at;			/* TC_NO_TIME = at once */
	const struct varlena *context;	/* NULL = an empty object */
	const char *idempotency_key;
	const char *initiator;
	const char *source_system;
	const char *reason;
	Datum		tags;			/* text[], 0 = NULL */
	Datum		correlation_id; /* uuid, 0 = make one */
	Datum		parent_correlation_id;	/* uuid, 0 = NULL */

	/* of a sub-workflow */
	int64		parent_step_id; /* the step it runs for, 0 = none */
	int16		nesting;		/* how many parents stand above it */
	const char *created_by;		/* in whose name; NULL = the session's */
	const char *created_as;
} TcNewTask;

/* A task as it is asked for. */
typedef struct TcCreateRequest
{
	const char *namespace_name; /* NULL = default */
	const char *name;
	const char *version;		/* NULL = highest */
	TcNewTask	task;			/* named_task_id is filled in */
	int			ordinal;		/* place in a list of requests, from 1; 0 = a request by itself */
	const char *charged_role;	/* whose limit of task starts it counts against; NULL = the caller's */
} TcCreateRequest;

typedef struct TcTaskRow
{
	int64		task_id;
	int32		named_task_id;
	TcTaskState state;
	int32		failed_steps;
	int32		priority;
	TimestampTz run_at;
	TimestampTz paused_at;
	TimestampTz started_at;
	TimestampTz finished_at;
	int16		slot;			/* of its history */
	int64		parent_step_id; /* the step it runs for, 0 = none */
} TcTaskRow;

/* One change of a task's state, as it goes into the table and its history. */
typedef struct TcTaskMove
{
	int64		task_id;
	TcTaskState from;
	TcTaskState to;
	int32		failed;			/* added to failed_steps */
} TcTaskMove;

extern int64 tc_task_next_id(void);

/* Returns the slot that its history goes to. */
extern int16 tc_task_insert(int64 task_id, const TcNewTask *task);


/*
 * Takes a key for task_id.  Returns 0 when it was free, else the task that has
 * it; waits for a transaction that is just taking the same key.
 */
extern int64 tc_task_claim_key(const uint8 *key_hash, int64 task_id);

/* Forgets keys from before that time, at most max_keys; returns how many. */
extern int	tc_task_forget_keys(TimestampTz before, int max_keys);

/* One task under the caller's snapshot; false when there is none. */
extern bool tc_task_read(int64 task_id, TcTaskRow *row);

/*
 * Those of the tasks that exist, in their newest version, without a lock.
 * Sorted, as all batches here, by (shard_key, task_id).
 */
extern int	tc_task_read_latest(const int64 *task_ids, int n, TcTaskRow **rows);

/* The task of an id among sorted rows, NULL when it is not there. */
extern const TcTaskRow *tc_task_find(const TcTaskRow *rows, int n, int64 task_id);

extern int	tc_task_id_compare(const void *a, const void *b);

/* Sorts ids and removes duplicates; returns how many remain. */
extern int	tc_task_ids_sort_unique(int64 *task_ids, int n);

/*
 * Locks the task rows (ascending ids of one or more shards, sorted by
 * (shard_key, task_id)) and returns those that exist in their newest version.
 * skip_locked leaves out what somebody else holds.
 */
extern int	tc_task_lock(const int64 *task_ids, int n, bool skip_locked, TcTaskRow **rows);

/* Caller holds the row locks and has asked tc_task_move(). */
extern void tc_task_write_moves(const TcTaskMove *moves, int n, const char *reason,
								const struct varlena *metadata);
extern void tc_task_add_failed(int64 task_id, int32 failed_steps);	/* may be negative */
extern void tc_task_set_paused(int64 task_id, bool paused, const char *reason);

/*
 * Of the given pending tasks, starts those whose row nobody else holds; returns
 * how many and writes their ids over task_ids.
 */
extern int	tc_task_start(int64 *task_ids, int n);

#endif							/* TC_TASK_STORE_H */
