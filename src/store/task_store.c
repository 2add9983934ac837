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

#define TASK_COLUMNS \
	"t.task_id, t.named_task_id, t.state, t.failed_steps, t.priority, t.run_at, " \
	"t.paused_at, t.started_at, t.finished_at, t.slot, coalesce(t.parent_step_id, 0)"

#define KEY_HASH_LENGTH 32

static void
read_task_row(uint64 row, TcTaskRow *task)
{
	const char *state = tc_row_text(row, 3);

	task->task_id = tc_row_int64(row, 1);
	task->named_task_id = tc_row_int32(row, 2);
	if (!tc_task_state_parse(state, &task->state))
		tc_raise_corrupt_state("tasker.tasks", task->task_id, psprintf("state \"%s\"", state));
	task->failed_steps = tc_row_int32(row, 4);
	task->priority = tc_row_int32(row, 5);
	task->run_at = tc_row_timestamptz(row, 6);
	task->paused_at = tc_row_timestamptz(row, 7);
	task->started_at = tc_row_timestamptz(row, 8);
	task->finished_at = tc_row_timestamptz(row, 9);
	task->slot = tc_row_int16(row, 10);
	task->parent_step_id = tc_row_int64(row, 11);
}

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
	TcScan		scan;
	bool		found;

	tc_tasks_seek(&scan, TC_READ, task_id);
	found = tc_scan_next(&scan);
	if (found)
		tc_tasks_read(&scan, row);
	tc_scan_end(&scan);
	return found;
}

/* Runs one of the statements that take a shard and a list of its tasks. */
static int
read_batch(TcPlan *plan, const int64 *task_ids, int n, TcTaskRow **rows)
{
	int			found = 0;
	int			end;

	*rows = palloc(sizeof(TcTaskRow) * Max(n, 1));
	for (int start = 0; start < n; start = end)
	{
		Datum		values[2];
		uint64		count;

		end = tc_shard_run_end(task_ids, start, n);
		values[0] = Int32GetDatum(tc_shard_key(task_ids[start]));
		values[1] = tc_array_int64(task_ids + start, end - start);
		count = tc_plan_run(plan, values, NULL);
		for (uint64 i = 0; i < count; i++)
			read_task_row(i, &(*rows)[found++]);
	}
	return found;
}

#define BATCH_SQL \
	"SELECT " TASK_COLUMNS \
	" FROM unnest($2::bigint[]) AS i(task_id)" \
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1" \
	" ORDER BY t.task_id"

#define BATCH_PLAN(suffix) { \
	.sql = BATCH_SQL suffix, \
	.kind = TC_WRITE, \
	.expect = SPI_OK_SELECT, \
	.nargs = 2, \
	.argtypes = {INT4OID, INT8ARRAYOID}, \
}

static TcPlan plan_read_latest = BATCH_PLAN("");
static TcPlan plan_lock = BATCH_PLAN(" FOR NO KEY UPDATE OF t");
static TcPlan plan_lock_skip = BATCH_PLAN(" FOR NO KEY UPDATE OF t SKIP LOCKED");

int
tc_task_read_latest(const int64 *task_ids, int n, TcTaskRow **rows)
{
	return read_batch(&plan_read_latest, task_ids, n, rows);
}

int
tc_task_lock(const int64 *task_ids, int n, bool skip_locked, TcTaskRow **rows)
{
	return read_batch(skip_locked ? &plan_lock_skip : &plan_lock, task_ids, n, rows);
}

/* ---- moves --------------------------------------------------------------- */

/*
 * started_at is set when the task first runs, finished_at whenever it ends, and
 * cleared when it runs again.
 */
static TcPlan plan_move = {
	.sql =
	"WITH moved AS ("
	" UPDATE tasker.tasks t SET state = i.to_state, failed_steps = t.failed_steps + i.failed,"
	"  started_at = CASE WHEN i.to_state = 'in_progress' THEN coalesce(t.started_at, $5) ELSE t.started_at END,"
	"  finished_at = CASE WHEN i.to_state IN ('pending', 'in_progress') THEN NULL ELSE $5 END"
	" FROM unnest($2::bigint[], $3::text[], $4::text[], $10::int[]) AS i(task_id, from_state, to_state, failed)"
	" WHERE t.task_id = i.task_id AND t.shard_key = $1"
	" RETURNING t.task_id, t.shard_key, t.slot, i.from_state, i.to_state)"
	"INSERT INTO tasker.task_transitions"
	" (task_id, shard_key, slot, from_state, to_state, moved_at, reason, recorded_by, recorded_as, metadata)"
	" SELECT m.task_id, m.shard_key, m.slot, m.from_state, m.to_state, $5, $6, $7, $8, $9 FROM moved m",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 10,
	.argtypes = {INT4OID, INT8ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID,
		TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT4ARRAYOID},
};

void
tc_task_write_moves(const TcTaskMove *moves, int n, const char *reason,
					const struct varlena *metadata)
{
	int64	   *task_ids = palloc(sizeof(int64) * Max(n, 1));
	const char **from = palloc(sizeof(char *) * Max(n, 1));
	const char **to = palloc(sizeof(char *) * Max(n, 1));
	int32	   *failed = palloc(sizeof(int32) * Max(n, 1));
	int			end;

	for (int i = 0; i < n; i++)
	{
		failed[i] = moves[i].failed;
		Assert(tc_task_move(moves[i].from, moves[i].to) == TC_MOVE_LEGAL);
		task_ids[i] = moves[i].task_id;
		from[i] = tc_task_state_name(moves[i].from);
		to[i] = tc_task_state_name(moves[i].to);
	}
	for (int start = 0; start < n; start = end)
	{
		Datum		values[10];
		char		nulls[10];

		memset(nulls, ' ', sizeof(nulls));
		end = tc_shard_run_end(task_ids, start, n);
		values[0] = Int32GetDatum(tc_shard_key(task_ids[start]));
		values[1] = tc_array_int64(task_ids + start, end - start);
		values[9] = tc_array_int32(failed + start, end - start);
		values[2] = tc_array_text(from + start, end - start);
		values[3] = tc_array_text(to + start, end - start);
		values[4] = TimestampTzGetDatum(tc_session_now());
		values[5] = tc_text_or_null(reason, &nulls[5]);
		values[6] = CStringGetTextDatum(tc_session_role());
		values[7] = tc_text_or_null(tc_session_acting_role(), &nulls[7]);
		values[8] = PointerGetDatum(metadata);
		nulls[8] = metadata == NULL ? 'n' : ' ';
		if (tc_plan_run(&plan_move, values, nulls) != end - start)
			elog(ERROR, "a locked task row vanished");
	}
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

static TcPlan plan_start = {
	.sql =
	"WITH locked AS MATERIALIZED ("
	" SELECT t.task_id FROM unnest($2::bigint[]) AS i(task_id)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" WHERE t.state = 'pending' ORDER BY t.task_id FOR NO KEY UPDATE OF t SKIP LOCKED),"
	"started AS ("
	" UPDATE tasker.tasks t SET state = 'in_progress', started_at = $3"
	" FROM locked l WHERE t.task_id = l.task_id AND t.shard_key = $1"
	" RETURNING t.task_id, t.slot)"
	"INSERT INTO tasker.task_transitions"
	" (task_id, shard_key, slot, from_state, to_state, moved_at, recorded_by, recorded_as)"
	" SELECT s.task_id, $1, s.slot, 'pending', 'in_progress', $3, $4, $5 FROM started s RETURNING task_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 5,
	.argtypes = {INT4OID, INT8ARRAYOID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

int
tc_task_start(int64 *task_ids, int n)
{
	int			started = 0;
	int			end;

	for (int start = 0; start < n; start = end)
	{
		Datum		values[5];
		char		nulls[5];
		uint64		count;

		memset(nulls, ' ', sizeof(nulls));
		end = tc_shard_run_end(task_ids, start, n);
		values[0] = Int32GetDatum(tc_shard_key(task_ids[start]));
		values[1] = tc_array_int64(task_ids + start, end - start);
		values[2] = TimestampTzGetDatum(tc_session_now());
		values[3] = CStringGetTextDatum(tc_session_role());
		values[4] = tc_text_or_null(tc_session_acting_role(), &nulls[4]);
		count = tc_plan_run(&plan_start, values, nulls);
		for (uint64 i = 0; i < count; i++)
			task_ids[started++] = tc_row_int64(i, 1);
	}
	return started;
}
