/*
 * task_store.c
 *	  The tasks table, its history, and idempotency keys.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "domain/order.h"
#include "domain/states.h"
#include "errors.h"
#include "store/plans.h"
#include "store/shards.h"
#include "store/slot_store.h"
#include "store/task_store.h"
#include "store/tasks_table.h"

#define KEY_HASH_LENGTH 32

/* The owner of the tables is who we are: its sequence asks for no more. */
int64
tc_task_next_id(void)
{
	Oid			sequence = get_relname_relid("task_id_seq", get_namespace_oid("tasker", false));

	return nextval_internal(sequence, false);
}

int16
tc_task_insert(int64 task_id, const TcNewTask *task)
{
	int16		slot = tc_slot_current();

	tc_tasks_add(task_id, slot, task);
	return slot;
}

/* ---- idempotency keys ---------------------------------------------------- */

static TcPlan plan_take_key = {
	.sql =
	"INSERT INTO tasker.idempotency_keys (key_hash, shard_key, task_id, created_at)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 4,
	.argtypes = {BYTEAOID, INT4OID, INT8OID, TIMESTAMPTZOID},
};

static TcPlan plan_read_key = {
	.sql =
	"SELECT task_id FROM tasker.idempotency_keys WHERE key_hash = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {BYTEAOID, INT4OID},
};

int64
tc_task_claim_key(const uint8 *key_hash, int64 task_id)
{
	bytea	   *hash = palloc(VARHDRSZ + KEY_HASH_LENGTH);
	uint32		prefix;
	Datum		values[4];

	SET_VARSIZE(hash, VARHDRSZ + KEY_HASH_LENGTH);
	memcpy(VARDATA(hash), key_hash, KEY_HASH_LENGTH);
	memcpy(&prefix, key_hash, sizeof(prefix));
	values[0] = PointerGetDatum(hash);
	values[1] = Int32GetDatum((int32) (prefix % (uint32) tc_shard_count()));
	values[2] = Int64GetDatum(task_id);
	values[3] = TimestampTzGetDatum(tc_session_now());

	/*
	 * Whoever took the key first may roll back while we look: then the key is
	 * free again, and it is our turn to take it.
	 */
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (tc_plan_run(&plan_take_key, values, NULL) == 1)
			return 0;
		if (tc_plan_run(&plan_read_key, values, NULL) == 1)
			return tc_row_int64(0, 1);
	}
}

static TcPlan plan_forget_keys = {
	.sql =
	"WITH old AS MATERIALIZED ("
	" SELECT k.key_hash FROM tasker.idempotency_keys k WHERE k.shard_key = $1 AND k.created_at < $2"
	" ORDER BY k.created_at LIMIT $3 FOR UPDATE SKIP LOCKED)"
	"DELETE FROM tasker.idempotency_keys k USING old o WHERE k.key_hash = o.key_hash AND k.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 3,
	.argtypes = {INT4OID, TIMESTAMPTZOID, INT4OID},
};

int
tc_task_forget_keys(TimestampTz before, int max_keys)
{
	int			forgotten = 0;

	for (int32 shard = 0; shard < tc_shard_count() && forgotten < max_keys; shard++)
	{
		Datum		values[3] = {
			Int32GetDatum(shard), TimestampTzGetDatum(before), Int32GetDatum(max_keys - forgotten)
		};

		forgotten += (int) tc_plan_run(&plan_forget_keys, values, NULL);
	}
	return forgotten;
}

/* ---- reading and locking ------------------------------------------------- */

int
tc_task_id_compare(const void *a, const void *b)
{
	int32		x = tc_shard_key(*(const int64 *) a);
	int32		y = tc_shard_key(*(const int64 *) b);

	if (x != y)
		return x < y ? -1 : 1;
	return tc_int64_compare(a, b);
}

int
tc_task_ids_sort_unique(int64 *task_ids, int n)
{
	int			unique = 0;

	qsort(task_ids, n, sizeof(int64), tc_task_id_compare);
	for (int i = 0; i < n; i++)
	{
		if (i == 0 || task_ids[i] != task_ids[i - 1])
			task_ids[unique++] = task_ids[i];
	}
	return unique;
}

/* The id is the first member of a row, so that one comparison serves both. */
const TcTaskRow *
tc_task_find(const TcTaskRow *rows, int n, int64 task_id)
{
	StaticAssertStmt(offsetof(TcTaskRow, task_id) == 0, "task_id comes first");
	return bsearch(&task_id, rows, n, sizeof(TcTaskRow), tc_task_id_compare);
}

bool
tc_task_read(int64 task_id, TcTaskRow *row)
{
	TcScan		scan = {0};
	bool		found;

	tc_tasks_seek(&scan, TC_READ, task_id);
	found = tc_scan_next(&scan);
	if (found)
		tc_tasks_read(&scan, row);
	tc_scan_end(&scan);
	return found;
}

/* Locks the row at hand, or passes over what is gone or held by somebody else. */
static bool
lock_task(TcScan *scan, bool skip_locked)
{
	return tc_scan_lock(scan, LockTupleNoKeyExclusive, skip_locked ? LockWaitSkip : LockWaitBlock);
}

/* Moves a scan to a task. */
static bool
visit(TcScan *scan, int64 task_id)
{
	CHECK_FOR_INTERRUPTS();
	tc_tasks_seek(scan, TC_WRITE, task_id);
	return tc_scan_next(scan);
}

int
tc_task_read_latest(const int64 *task_ids, int n, TcTaskRow **rows)
{
	int			found = 0;
	TcScan		scan = {0};

	*rows = palloc(sizeof(TcTaskRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (visit(&scan, task_ids[i]))
			tc_tasks_read(&scan, &(*rows)[found++]);
	}
	tc_scan_end(&scan);
	return found;
}

int
tc_task_lock(const int64 *task_ids, int n, bool skip_locked, TcTaskRow **rows)
{
	int			found = 0;
	TcScan		scan = {0};

	*rows = palloc(sizeof(TcTaskRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (visit(&scan, task_ids[i]) && lock_task(&scan, skip_locked))
			tc_tasks_read(&scan, &(*rows)[found++]);
	}
	tc_scan_end(&scan);
	return found;
}

/* ---- moves --------------------------------------------------------------- */

/*
 * started_at is set when the task first runs, finished_at whenever it ends, and
 * cleared when it runs again.
 */
static TcTaskChange
change_of(TcScan *scan, TcTaskState from, TcTaskState to, int32 failed)
{
	TcTaskChange change = {
		.task_id = tc_scan_int64(scan, TC_TASK_COLUMN_task_id),
		.slot = tc_scan_int16(scan, TC_TASK_COLUMN_slot),
		.place = scan->slot->tts_tid,
		.from = from,
		.to = to,
		.failed_steps = tc_scan_int32(scan, TC_TASK_COLUMN_failed_steps) + failed,
		.started_at = tc_scan_timestamptz(scan, TC_TASK_COLUMN_started_at),
		.finished_at = to == TC_TASK_PENDING || to == TC_TASK_IN_PROGRESS ? TC_NO_TIME : tc_session_now(),
	};

	Assert(tc_task_move(from, to) == TC_MOVE_LEGAL);
	if (to == TC_TASK_IN_PROGRESS && change.started_at == TC_NO_TIME)
		change.started_at = tc_session_now();
	return change;
}

void
tc_task_write_moves(const TcTaskMove *moves, int n, const char *reason, const struct varlena *metadata)
{
	TcTaskChange *changes = palloc(sizeof(TcTaskChange) * Max(n, 1));
	TcScan		scan = {0};

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_tasks_seek(&scan, TC_WRITE, moves[i].task_id);
		if (!tc_scan_next(&scan))
			elog(ERROR, "a locked task row vanished");
		changes[i] = change_of(&scan, moves[i].from, moves[i].to, moves[i].failed);
	}
	if (n == 0)
		return;
	tc_scan_end(&scan);
	tc_tasks_write(changes, n, reason, metadata);
}

static TcPlan plan_add_failed = {
	.sql =
	"UPDATE tasker.tasks SET failed_steps = failed_steps + $3 WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

void
tc_task_add_failed(int64 task_id, int32 failed_steps)
{
	Datum		values[3] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(failed_steps)
	};

	if (tc_plan_run(&plan_add_failed, values, NULL) != 1)
		elog(ERROR, "task " INT64_FORMAT " vanished under its lock", task_id);
}

static TcPlan plan_set_paused = {
	.sql =
	"WITH marked AS ("
	" UPDATE tasker.tasks SET paused_at = CASE WHEN $3 THEN $4 END"
	" WHERE task_id = $1 AND shard_key = $2 RETURNING task_id, slot)"
	"INSERT INTO tasker.task_pauses (task_id, shard_key, slot, paused, moved_at, reason, recorded_by, recorded_as)"
	" SELECT m.task_id, $2, m.slot, $3, $4, $5, $6, $7 FROM marked m",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 7,
	.argtypes = {INT8OID, INT4OID, BOOLOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID},
};

void
tc_task_set_paused(int64 task_id, bool paused, const char *reason)
{
	Datum		values[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(task_id);
	values[1] = Int32GetDatum(tc_shard_key(task_id));
	values[2] = BoolGetDatum(paused);
	values[3] = TimestampTzGetDatum(tc_session_now());
	values[4] = tc_text_or_null(reason, &nulls[4]);
	values[5] = CStringGetTextDatum(tc_session_role());
	values[6] = tc_text_or_null(tc_session_acting_role(), &nulls[6]);
	if (tc_plan_run(&plan_set_paused, values, nulls) != 1)
		elog(ERROR, "task " INT64_FORMAT " vanished under its lock", task_id);
}

int
tc_task_start(int64 *task_ids, int n)
{
	TcTaskChange *changes = palloc(sizeof(TcTaskChange) * Max(n, 1));
	int			started = 0;
	TcScan		scan = {0};

	for (int i = 0; i < n; i++)
	{
		if (visit(&scan, task_ids[i]) && tc_tasks_state(&scan) == TC_TASK_PENDING && lock_task(&scan, true) &&
			tc_tasks_state(&scan) == TC_TASK_PENDING)
			changes[started++] = change_of(&scan, TC_TASK_PENDING, TC_TASK_IN_PROGRESS, 0);
	}
	tc_scan_end(&scan);
	if (started > 0)
		tc_tasks_write(changes, started, NULL, NULL);
	for (int i = 0; i < started; i++)
		task_ids[i] = changes[i].task_id;
	return started;
}
