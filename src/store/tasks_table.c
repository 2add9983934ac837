/*
 * tasks_table.c
 *	  Rows of tasker.tasks, reached by their key.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "store/event_store.h"
#include "store/tasks_table.h"

static TcTable tasks_table = {
	.name = "tasks",
#define X(name) [TC_TASK_COLUMN_##name] = #name,
	.columns = {TC_TASK_COLUMNS(X)},
#undef X
};

/* ---- reading ------------------------------------------------------------- */

#define NKEYS 2

static void
key_of(int64 task_id, ScanKeyData *keys)
{
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(task_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(tc_shard_key(task_id)));
}

void
tc_tasks_seek(TcScan *scan, TcPlanKind kind, int64 task_id)
{
	ScanKeyData keys[NKEYS];

	key_of(task_id, keys);
	tc_scan_begin(scan, &tasks_table, "tasks_pkey", kind, keys, NKEYS);
}

void
tc_tasks_seek_again(TcScan *scan, int64 task_id)
{
	ScanKeyData keys[NKEYS];

	key_of(task_id, keys);
	tc_scan_again(scan, keys, NKEYS);
}

TcTaskState
tc_tasks_state(TcScan *scan)
{
	const char *name = tc_scan_text(scan, TC_TASK_COLUMN_state);
	TcTaskState state;

	if (!tc_task_state_parse(name, &state))
		tc_raise_corrupt_state("tasker.tasks", tc_scan_int64(scan, TC_TASK_COLUMN_task_id),
							   psprintf("state \"%s\"", name));
	return state;
}

void
tc_tasks_read(TcScan *scan, TcTaskRow *task)
{
	bool		has_parent = !tc_scan_isnull(scan, TC_TASK_COLUMN_parent_step_id);

	task->task_id = tc_scan_int64(scan, TC_TASK_COLUMN_task_id);
	task->named_task_id = tc_scan_int32(scan, TC_TASK_COLUMN_named_task_id);
	task->state = tc_tasks_state(scan);
	task->failed_steps = tc_scan_int32(scan, TC_TASK_COLUMN_failed_steps);
	task->priority = tc_scan_int32(scan, TC_TASK_COLUMN_priority);
	task->run_at = tc_scan_timestamptz(scan, TC_TASK_COLUMN_run_at);
	task->paused_at = tc_scan_timestamptz(scan, TC_TASK_COLUMN_paused_at);
	task->started_at = tc_scan_timestamptz(scan, TC_TASK_COLUMN_started_at);
	task->finished_at = tc_scan_timestamptz(scan, TC_TASK_COLUMN_finished_at);
	task->slot = tc_scan_int16(scan, TC_TASK_COLUMN_slot);
	task->parent_step_id = has_parent ? tc_scan_int64(scan, TC_TASK_COLUMN_parent_step_id) : 0;
}

/* ---- a new task ---------------------------------------------------------- */

typedef struct NewRow
{
	int64		task_id;
	int16		slot;
	const TcNewTask *task;
} NewRow;

static void
fill_text(int column, const char *text, Datum *values, bool *nulls)
{
	nulls[column] = text == NULL;
	values[column] = text == NULL ? (Datum) 0 : CStringGetTextDatum(text);
}

/* A pointer, or 0 for NULL. */
static void
fill_pointer(int column, Datum value, Datum *values, bool *nulls)
{
	nulls[column] = value == 0;
	values[column] = value;
}

/* Who asks for it, what for, and in whose name. */
static void
fill_request(const TcNewTask *task, Datum *values, bool *nulls)
{
	values[TC_TASK_COLUMN_context] = PointerGetDatum(task->context);
	fill_text(TC_TASK_COLUMN_idempotency_key, task->idempotency_key, values, nulls);
	fill_text(TC_TASK_COLUMN_initiator, task->initiator, values, nulls);
	fill_text(TC_TASK_COLUMN_source_system, task->source_system, values, nulls);
	fill_text(TC_TASK_COLUMN_reason, task->reason, values, nulls);
	fill_pointer(TC_TASK_COLUMN_tags, task->tags, values, nulls);
	values[TC_TASK_COLUMN_correlation_id] = task->correlation_id != 0 ? task->correlation_id
		: OidFunctionCall0(F_GEN_RANDOM_UUID);
	fill_pointer(TC_TASK_COLUMN_parent_correlation_id, task->parent_correlation_id, values, nulls);
	fill_text(TC_TASK_COLUMN_created_by, task->created_by ? task->created_by : tc_session_role(), values, nulls);
	fill_text(TC_TASK_COLUMN_created_as, task->created_by ? task->created_as : tc_session_acting_role(),
			  values, nulls);
	values[TC_TASK_COLUMN_parent_step_id] = Int64GetDatum(task->parent_step_id);
	values[TC_TASK_COLUMN_nesting] = Int16GetDatum(task->nesting);
	nulls[TC_TASK_COLUMN_parent_step_id] = nulls[TC_TASK_COLUMN_nesting] = task->parent_step_id == 0;
}

static void
fill_row(const void *rows, int i, Datum *values, bool *nulls)
{
	static const int absent[] = {
		TC_TASK_COLUMN_paused_at, TC_TASK_COLUMN_started_at, TC_TASK_COLUMN_finished_at,
		TC_TASK_COLUMN_erased_at, TC_TASK_COLUMN_erased_by, TC_TASK_COLUMN_erased_as
	};
	const NewRow *row = (const NewRow *) rows + i;

	values[TC_TASK_COLUMN_task_id] = Int64GetDatum(row->task_id);
	values[TC_TASK_COLUMN_shard_key] = Int32GetDatum(tc_shard_key(row->task_id));
	values[TC_TASK_COLUMN_slot] = Int16GetDatum(row->slot);
	values[TC_TASK_COLUMN_named_task_id] = Int32GetDatum(row->task->named_task_id);
	values[TC_TASK_COLUMN_state] = CStringGetTextDatum(tc_task_state_name(TC_TASK_PENDING));
	values[TC_TASK_COLUMN_priority] = Int32GetDatum(row->task->priority);
	values[TC_TASK_COLUMN_failed_steps] = Int32GetDatum(0);
	values[TC_TASK_COLUMN_created_at] = TimestampTzGetDatum(tc_session_now());
	values[TC_TASK_COLUMN_run_at] = TimestampTzGetDatum(row->task->run_at);
	nulls[TC_TASK_COLUMN_run_at] = row->task->run_at == TC_NO_TIME;
	fill_request(row->task, values, nulls);
	values[TC_TASK_COLUMN_event_xact] = Int64GetDatum(tc_event_current_xact());
	values[TC_TASK_COLUMN_event_seq] = Int32GetDatum(tc_event_next_seq());
	for (int c = 0; c < lengthof(absent); c++)
		nulls[absent[c]] = true;
}

void
tc_tasks_add(int64 task_id, int16 slot, const TcNewTask *task)
{
	NewRow		row = {task_id, slot, task};

	tc_direct_insert(&tasks_table, fill_row, &row, 1);
}
