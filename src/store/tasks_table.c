/*
 * tasks_table.c
 *	  Rows of tasker.tasks, reached by their key.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "store/event_store.h"
#include "store/slot_store.h"
#include "store/tasks_table.h"

static TcTable tasks_table = {
	.name = "tasks",
#define X(name) [TC_TASK_COLUMN_##name] = #name,
	.columns = {TC_TASK_COLUMNS(X)},
#undef X
};

/* ---- reading ------------------------------------------------------------- */

#define NKEYS 2

void
tc_tasks_seek(TcScan *scan, TcPlanKind kind, int64 task_id)
{
	ScanKeyData keys[NKEYS];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(task_id));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(tc_shard_key(task_id)));
	tc_scan_seek(scan, &tasks_table, "tasks_pkey", kind, keys, NKEYS);
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

/* ---- values -------------------------------------------------------------- */

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

/* ---- changes of state ---------------------------------------------------- */

#define TRANSITION_COLUMNS(X) \
	X(transition_id) X(task_id) X(shard_key) X(slot) X(from_state) X(to_state) X(moved_at) X(reason) X(metadata) \
	X(recorded_by) X(recorded_as) X(event_xact) X(event_seq)

enum
{
#define X(name) TRANSITION_##name,
	TRANSITION_COLUMNS(X)
#undef X
};

#define TRANSITION_NAME(name) [TRANSITION_##name] = #name,
#define TRANSITIONS(slot) {.name = "task_transitions_" slot, .columns = {TRANSITION_COLUMNS(TRANSITION_NAME)}}

static TcTable transitions_of_slot[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(TRANSITIONS);

/* Changes, and why. */
typedef struct Transition
{
	const TcTaskChange *changes;
	const char *reason;
	const struct varlena *metadata;
} Transition;

static void
fill_time(int column, TimestampTz time, Datum *values, bool *nulls)
{
	nulls[column] = time == TC_NO_TIME;
	values[column] = TimestampTzGetDatum(time);
}

static void
fill_change(const void *argument, int i, Datum *values, bool *nulls)
{
	const TcTaskChange *change = (const TcTaskChange *) argument + i;

	values[TC_TASK_COLUMN_state] = CStringGetTextDatum(tc_task_state_name(change->to));
	values[TC_TASK_COLUMN_failed_steps] = Int32GetDatum(change->failed_steps);
	fill_time(TC_TASK_COLUMN_started_at, change->started_at, values, nulls);
	fill_time(TC_TASK_COLUMN_finished_at, change->finished_at, values, nulls);
}

static void
fill_transition(const void *argument, int i, Datum *values, bool *nulls)
{
	const Transition *transition = argument;
	const TcTaskChange *change = &transition->changes[i];
	Oid			sequence = get_relname_relid("task_transition_id_seq", get_namespace_oid("tasker", false));

	values[TRANSITION_transition_id] = Int64GetDatum(nextval_internal(sequence, false));
	values[TRANSITION_task_id] = Int64GetDatum(change->task_id);
	values[TRANSITION_shard_key] = Int32GetDatum(tc_shard_key(change->task_id));
	values[TRANSITION_slot] = Int16GetDatum(change->slot);
	values[TRANSITION_from_state] = CStringGetTextDatum(tc_task_state_name(change->from));
	values[TRANSITION_to_state] = CStringGetTextDatum(tc_task_state_name(change->to));
	values[TRANSITION_moved_at] = TimestampTzGetDatum(tc_session_now());
	fill_text(TRANSITION_reason, transition->reason, values, nulls);
	fill_pointer(TRANSITION_metadata, PointerGetDatum(transition->metadata), values, nulls);
	fill_text(TRANSITION_recorded_by, tc_session_role(), values, nulls);
	fill_text(TRANSITION_recorded_as, tc_session_acting_role(), values, nulls);
	values[TRANSITION_event_xact] = Int64GetDatum(tc_event_current_xact());
	values[TRANSITION_event_seq] = Int32GetDatum(tc_event_next_seq());
}

/* Where the table is not as we made it. */
static TcPlan plan_change = {
	.sql =
	"UPDATE tasker.tasks SET state = $3, failed_steps = $4, started_at = $5, finished_at = $6"
	" WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 6,
	.argtypes = {INT8OID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID},
};

static void
write_by_statement(const TcTaskChange *change)
{
	char		nulls[6] = "      ";
	Datum		values[6] = {
		Int64GetDatum(change->task_id), Int32GetDatum(tc_shard_key(change->task_id)),
		CStringGetTextDatum(tc_task_state_name(change->to)), Int32GetDatum(change->failed_steps),
		TimestampTzGetDatum(change->started_at), TimestampTzGetDatum(change->finished_at)
	};

	nulls[4] = change->started_at == TC_NO_TIME ? 'n' : ' ';
	nulls[5] = change->finished_at == TC_NO_TIME ? 'n' : ' ';
	if (tc_plan_run(&plan_change, values, nulls) != 1)
		elog(ERROR, "a locked task row vanished");
}

static void
write_rows(const TcTaskChange *changes, int n)
{
	ItemPointerData *places = palloc(sizeof(ItemPointerData) * Max(n, 1));

	for (int i = 0; i < n; i++)
		places[i] = changes[i].place;
	if (tc_direct_update(&tasks_table, places, fill_change, changes, n))
		return;
	for (int i = 0; i < n; i++)
		write_by_statement(&changes[i]);
}

void
tc_tasks_write(const TcTaskChange *changes, int n, const char *reason, const struct varlena *metadata)
{
	int			end;

	write_rows(changes, n);
	for (int start = 0; start < n; start = end)
	{
		Transition	transition = {changes + start, reason, metadata};
		int16		slot = changes[start].slot;

		for (end = start + 1; end < n && changes[end].slot == slot; end++)
			continue;
		tc_direct_insert(&transitions_of_slot[slot], fill_transition, &transition, end - start);
	}
}

/* ---- a new task ---------------------------------------------------------- */

typedef struct NewRow
{
	int64		task_id;
	int16		slot;
	const TcNewTask *task;
} NewRow;

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
