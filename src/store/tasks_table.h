/*
 * tasks_table.h
 *	  Rows of tasker.tasks, reached by their key.
 */
#ifndef TC_TASKS_TABLE_H
#define TC_TASKS_TABLE_H

#include "store/direct.h"
#include "store/task_store.h"

#define TC_TASK_COLUMNS(X) \
	X(task_id) X(shard_key) X(slot) X(named_task_id) X(state) X(priority) X(failed_steps) X(created_at) X(run_at) \
	X(paused_at) X(started_at) X(finished_at) X(context) X(idempotency_key) X(initiator) X(source_system) X(reason) \
	X(tags) X(correlation_id) X(parent_correlation_id) X(created_by) X(created_as) X(erased_at) X(erased_by) \
	X(erased_as) X(parent_step_id) X(nesting) X(event_xact) X(event_seq)

enum
{
#define X(name) TC_TASK_COLUMN_##name,
	TC_TASK_COLUMNS(X)
#undef X
};

/* Begins a scan, or moves it: tc_scan_seek(). */
extern void tc_tasks_seek(TcScan *scan, TcPlanKind kind, int64 task_id);

/* Of the row at hand. */
extern TcTaskState tc_tasks_state(TcScan *scan);
extern void tc_tasks_read(TcScan *scan, TcTaskRow *task);

/* A change of state of a task whose row is locked. */
typedef struct TcTaskChange
{
	int64		task_id;
	int16		slot;
	ItemPointerData place;
	TcTaskState from;
	TcTaskState to;
	int32		failed_steps;	/* from now on */
	TimestampTz started_at;		/* TC_NO_TIME = NULL, as below */
	TimestampTz finished_at;
} TcTaskChange;

/* Writes the rows and their history.  reason and metadata may be NULL. */
extern void tc_tasks_write(const TcTaskChange *changes, int n, const char *reason, const struct varlena *metadata);

/* A new task, pending. */
extern void tc_tasks_add(int64 task_id, int16 slot, const TcNewTask *task);

#endif							/* TC_TASKS_TABLE_H */
