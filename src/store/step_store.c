/*
 * step_store.c
 *	  The queue of live steps and the history of attempts.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "domain/states.h"
#include "events/events.h"
#include "store/history_table.h"
#include "store/plans.h"
#include "store/queue_table.h"
#include "store/shards.h"
#include "store/slot_store.h"
#include "store/step_store.h"

#define QUEUE_COLUMNS \
	"q.task_id, q.step_no, q.lane_id, q.phase, q.waits_for_retry, q.visible_at," \
	" q.remaining_parents, q.attempts, q.max_attempts, q.attempt_no, q.claim_token," \
	" q.claimed_at, q.worker_id, q.checkpoint, q.satisfied_parents, q.slot, q.flow_key_id"

/* Keys as columns: what unnest() takes. */
typedef struct KeyColumns
{
	int64	   *task_ids;
	int32	   *step_nos;
} KeyColumns;

int
tc_step_key_compare(const void *a, const void *b)
{
	const TcStepKey *x = a;
	const TcStepKey *y = b;
	int32		xs = tc_shard_key(x->task_id);
	int32		ys = tc_shard_key(y->task_id);

	if (xs != ys)
		return xs < ys ? -1 : 1;
	if (x->task_id != y->task_id)
		return x->task_id < y->task_id ? -1 : 1;
	return (x->step_no > y->step_no) - (x->step_no < y->step_no);
}

/* Works on any array whose elements begin with their key. */
static KeyColumns
key_columns(const void *elements, size_t size, int n)
{
	KeyColumns	columns;

	columns.task_ids = palloc(sizeof(int64) * Max(n, 1));
	columns.step_nos = palloc(sizeof(int32) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const TcStepKey *key = (const TcStepKey *) ((const char *) elements + i * size);

		columns.task_ids[i] = key->task_id;
		columns.step_nos[i] = key->step_no;
	}
	return columns;
}

/* The first three parameters of every batch: the shard and its keys. */
static void
bind_keys(Datum *values, const KeyColumns *columns, int start, int end)
{
	values[0] = Int32GetDatum(tc_shard_key(columns->task_ids[start]));
	values[1] = tc_array_int64(columns->task_ids + start, end - start);
	values[2] = tc_array_int32(columns->step_nos + start, end - start);
}

/* Runs a statement that takes keys and nothing else; each names a row that the caller holds. */
static void
run_for_keys(TcPlan *plan, const TcStepKey *keys, int n)
{
	KeyColumns	columns = key_columns(keys, sizeof(TcStepKey), n);
	int			end;

	for (int start = 0; start < n; start = end)
	{
		Datum		values[3];

		end = tc_shard_run_end(columns.task_ids, start, n);
		bind_keys(values, &columns, start, end);
		if (tc_plan_run(plan, values, NULL) != end - start)
			elog(ERROR, "a locked queue row vanished");
	}
}

static void
read_queue_row(uint64 row, TcQueueRow *queue_row)
{
	queue_row->key.task_id = tc_row_int64(row, 1);
	queue_row->key.step_no = tc_row_int32(row, 2);
	queue_row->lane_id = tc_row_int32(row, 3);
	queue_row->phase = tc_row_char(row, 4);
	queue_row->waits_for_retry = tc_row_bool(row, 5);
	queue_row->visible_at = tc_row_timestamptz(row, 6);
	queue_row->remaining_parents = tc_row_int32(row, 7);
	queue_row->attempts = tc_row_int32(row, 8);
	queue_row->max_attempts = tc_row_int32(row, 9);
	queue_row->attempt_no = tc_row_int32(row, 10);
	queue_row->claim_token = tc_row_isnull(row, 11) ? 0 : tc_row_int64(row, 11);
	queue_row->claimed_at = tc_row_timestamptz(row, 12);
	queue_row->worker_id = tc_row_text(row, 13);
	queue_row->checkpoint = tc_row_varlena(row, 14);
	queue_row->satisfied_parents = tc_row_int32(row, 15);
	queue_row->slot = tc_row_int16(row, 16);
	queue_row->flow_key_id = tc_row_isnull(row, 17) ? 0 : tc_row_int64(row, 17);
}

/* ---- locking ------------------------------------------------------------- */

#define WAIT_PLAN(policy) { \
	.sql = \
	"SELECT q.lane_id, q.visible_at, q.claimed_at, q.attempt_no, q.slot FROM tasker.step_queue q" \
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3 AND q.phase = $4 FOR UPDATE" policy, \
	.kind = TC_WRITE, \
	.expect = SPI_OK_SELECT, \
	.nargs = 4, \
	.argtypes = {INT8OID, INT4OID, INT4OID, CHAROID}, \
}

static TcPlan plans_lock_wait[TC_LOCK_POLICY_COUNT] = {
	[TC_LOCK_WAITS] = WAIT_PLAN(""),
	[TC_LOCK_SKIPS] = WAIT_PLAN(" SKIP LOCKED"),
	[TC_LOCK_RAISES] = WAIT_PLAN(" NOWAIT"),
};

bool
tc_queue_lock_wait(TcStepKey key, char phase, TcLockPolicy policy, TcQueueRow *row)
{
	Datum		values[4] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no),
		Int32GetDatum(tc_shard_key(key.task_id)), CharGetDatum(phase)
	};

	if (tc_plan_run(&plans_lock_wait[policy], values, NULL) == 0)
		return false;
	memset(row, 0, sizeof(*row));
	row->key = key;
	row->phase = phase;
	row->lane_id = tc_row_int32(0, 1);
	row->visible_at = tc_row_timestamptz(0, 2);
	row->claimed_at = tc_row_timestamptz(0, 3);
	row->attempt_no = tc_row_int32(0, 4);
	row->slot = tc_row_int16(0, 5);
	return true;
}

/*
 * A report on a step that is not claimed must not lock it: rows that wait for
 * parents are locked after the claims of those parents.
 */
static bool
lock_claim(TcScan *scan, LockWaitPolicy policy, TcQueueRow *row)
{
	if (!tc_scan_next(scan) || tc_scan_char(scan, TC_QUEUE_phase) != TC_PHASE_CLAIMED ||
		!tc_scan_lock(scan, LockTupleExclusive, policy) || tc_scan_char(scan, TC_QUEUE_phase) != TC_PHASE_CLAIMED)
		return false;
	tc_queue_read(scan, row);
	return true;
}

int
tc_queue_lock_claims(const TcStepKey *keys, int n, TcQueueRow **rows)
{
	TcScan		scan = {0};
	int			found = 0;

	*rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_queue_seek(&scan, TC_WRITE, keys[i]);
		if (lock_claim(&scan, LockWaitBlock, &(*rows)[found]))
			found++;
	}
	tc_scan_end(&scan);
	return found;
}

bool
tc_queue_lock_nowait(TcStepKey key, TcQueueRow *row)
{
	TcScan		scan = {0};
	bool		locked;

	tc_queue_seek(&scan, TC_WRITE, key);
	locked = lock_claim(&scan, LockWaitSkip, row);
	tc_scan_end(&scan);
	return locked;
}

/* Not min(): the planner would read all that are left, each time. */
static TcPlan plan_next_live = {
	.sql =
	"SELECT q.step_no FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 AND q.step_no > $3 AND q.phase IN (" TC_LIVE_PHASES ")"
	" ORDER BY q.step_no LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

static TcPlan plan_lock_live = {
	.sql =
	"SELECT 1 FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 AND q.step_no = $3 AND q.phase IN (" TC_LIVE_PHASES ") FOR UPDATE",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

/*
 * One row at a time, each look with a new snapshot: while we wait for a row its
 * holder may insert the children that become ready.  Their numbers are higher
 * than its own, so the next look finds them ahead; had we gone on to the rows
 * after them already, we would have to go back, against the order of locks.
 */
int
tc_queue_lock_live(int64 task_id)
{
	Datum		values[3] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(0)
	};
	int			nlocked = 0;

	for (;;)
	{
		int32		next;

		CHECK_FOR_INTERRUPTS();
		if (tc_plan_run(&plan_next_live, values, NULL) == 0)
			return nlocked;
		next = tc_row_int32(0, 1);
		values[2] = Int32GetDatum(next);
		if (tc_plan_run(&plan_lock_live, values, NULL) == 1)
			nlocked++;
		else
			values[2] = Int32GetDatum(next - 1);
	}
}

static TcPlan plan_read_task = {
	.sql =
	"SELECT " QUEUE_COLUMNS " FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 ORDER BY q.step_no",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

int
tc_queue_read_task(int64 task_id, TcQueueRow **rows)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};
	uint64		count = tc_plan_run(&plan_read_task, values, NULL);

	*rows = palloc(sizeof(TcQueueRow) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		read_queue_row(i, &(*rows)[i]);
	return (int) count;
}

int32
tc_queue_peek_lane(TcStepKey key)
{
	TcScan		scan = {0};
	int32		lane_id;

	tc_queue_seek(&scan, TC_WRITE, key);
	lane_id = tc_scan_next(&scan) ? tc_scan_int32(&scan, TC_QUEUE_lane_id) : 0;
	tc_scan_end(&scan);
	return lane_id;
}

/* Counts the rows before it locks those that are free. */
static TcPlan plan_lock_task_skip = {
	.sql =
	"SELECT " QUEUE_COLUMNS ", (SELECT count(*) FROM tasker.step_queue c"
	"  WHERE c.task_id = $1 AND c.shard_key = $2)"
	" FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 ORDER BY q.step_no FOR UPDATE OF q SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

bool
tc_queue_lock_task_nowait(int64 task_id, TcQueueRow **rows, int *nrows)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};
	uint64		count = tc_plan_run(&plan_lock_task_skip, values, NULL);

	*nrows = (int) count;
	*rows = palloc(sizeof(TcQueueRow) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		read_queue_row(i, &(*rows)[i]);
	return count > 0 && tc_row_int64(0, 18) == count;
}

/* ---- rows are born, counted down, removed -------------------------------- */

/* Who waits for work is told when the time of a step has come. */
static void
post_time(const TcQueueRow *row)
{
	if ((row->phase == TC_PHASE_READY || row->phase == TC_PHASE_SIGNAL) && row->lane_id > 0 &&
		row->visible_at > tc_session_now())
		tc_event_timer(row->visible_at);
}

static void
post_times(const TcQueueRow *rows, int n)
{
	for (int i = 0; i < n; i++)
		post_time(&rows[i]);
}

void
tc_queue_insert(const TcQueueRow *rows, int n)
{
	post_times(rows, n);
	tc_queue_add(rows, n);
}

/*
 * Whoever gives a child a row holds the row of its parent, and so do we: what is
 * not there now, nobody adds meanwhile.
 */
void
tc_queue_insert_children(const TcQueueRow *rows, int n, bool *inserted)
{
	TcQueueRow *fresh = palloc(sizeof(TcQueueRow) * Max(n, 1));
	int			nfresh = 0;
	TcScan		scan = {0};

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_queue_seek(&scan, TC_LATEST, rows[i].key);
		inserted[i] = !tc_scan_next(&scan);
		if (inserted[i])
			fresh[nfresh++] = rows[i];
		else if (tc_scan_char(&scan, TC_QUEUE_phase) != TC_PHASE_ENDED)
			elog(ERROR, "a step of task " INT64_FORMAT " would be ready twice", rows[i].key.task_id);
	}
	tc_scan_end(&scan);
	tc_queue_insert(fresh, nfresh);
}

/* ---- joins ---------------------------------------------------------------- */

/* What became of looking for the row of a step that may wait. */
typedef enum Found
{
	FOUND_NOTHING,
	FOUND_BEGUN,				/* it runs, or has run: nothing waits */
	FOUND_LOCKED,
	FOUND_MADE,
	FOUND_CHANGED				/* the row came, or went, while we waited */
} Found;

static bool
keeps_still(char phase)
{
	return phase == TC_PHASE_WAITING || phase == TC_PHASE_ENDED || phase == TC_PHASE_MAP;
}

/*
 * A row that has begun must not be locked: whoever holds it goes on to the joins
 * below, and may have come from one above.
 */
static Found
lock_if_still(TcScan *scan, TcQueueRow *row)
{
	if (!keeps_still(tc_scan_char(scan, TC_QUEUE_phase)))
		return FOUND_BEGUN;
	if (!tc_scan_lock(scan, LockTupleExclusive, LockWaitBlock))
		return FOUND_CHANGED;
	if (!keeps_still(tc_scan_char(scan, TC_QUEUE_phase)))
		return FOUND_BEGUN;
	tc_queue_read(scan, row);
	return FOUND_LOCKED;
}

static Found
lock_waiting(TcStepKey key, TcQueueRow *row)
{
	Found		found = FOUND_NOTHING;
	TcScan		scan = {0};

	tc_queue_seek(&scan, TC_WRITE, key);
	if (tc_scan_next(&scan))
		found = lock_if_still(&scan, row);
	tc_scan_end(&scan);
	return found;
}

static void
count_parents(TcQueueRow *row, const TcJoin *join)
{
	bool		runs = row->remaining_parents == join->counted || (join->at_first && join->satisfied > 0);

	if (join->counted > row->remaining_parents)
		elog(ERROR, "a join of task " INT64_FORMAT " waits for %d parents, and %d have ended",
			 row->key.task_id, row->remaining_parents, join->counted);
	row->satisfied_parents += join->satisfied;
	row->remaining_parents = runs ? 0 : row->remaining_parents - join->counted;
	if (!runs)
		return;
	row->phase = TC_PHASE_READY;
	row->visible_at = join->row.visible_at;
}

/* Returns whether the step has ended. */
static bool
recall(TcQueueRow *row)
{
	TcStepHistory history = tc_history_read(row->key, row->slot);

	row->attempt_no = history.attempt_no;
	row->attempts = history.attempts;
	return history.begun;
}

/* The queue first: what leaves it after we looked is on record when we look there. */
bool
tc_queue_recall(TcQueueRow *row)
{
	bool		queued = tc_queue_peek_lane(row->key) != 0;

	return recall(row) || queued;
}

/*
 * A join without a row has nothing counted, or has run and ended: its history tells.
 * That is not asked where we hold a parent that it waits for, whatever becomes of the
 * others.  Where we do not, or the first parent lets it run, it may run and end even
 * now, so it is looked at again behind our row.
 */
static Found
make_waiting(const TcJoin *join, TcQueueRow *row)
{
	bool		waits_for_us = join->counted > 0;

	*row = join->row;
	if ((join->may_run || !waits_for_us) && recall(row))
		return FOUND_BEGUN;
	if (waits_for_us)
		count_parents(row, join);
	if (!tc_queue_add_new(row))
		return FOUND_CHANGED;
	if ((waits_for_us && !join->at_first) || !tc_history_read(row->key, row->slot).begun)
		return FOUND_MADE;
	tc_queue_remove(&row->key, 1);
	return FOUND_BEGUN;
}

/*
 * The row is locked where there is one, and made where there should be one: both
 * keep others who count parents off this join waiting until we are through.
 */
static Found
take_waiting(const TcJoin *join, TcQueueRow *row)
{
	Found		found;

	do
	{
		CHECK_FOR_INTERRUPTS();
		found = lock_waiting(join->row.key, row);
		if (found == FOUND_NOTHING && join->row.phase != 0)
			found = make_waiting(join, row);
	} while (found == FOUND_CHANGED);
	return found;
}

static void
write_counts(const TcQueueRow *rows, int n)
{
	if (n > 0 && !tc_queue_write_counts(rows, n))
		tc_queue_settle_waiting(rows, n);
}

/*
 * In order, each lock before the next.  A row that another transaction counted down
 * while we waited is read in its newest version, so no count is lost and exactly one
 * of two last parents sees zero.
 */
int
tc_queue_count_down(const TcJoin *joins, int n, TcQueueRow **rows)
{
	TcQueueRow *counted = palloc(sizeof(TcQueueRow) * Max(n, 1));
	int			ncounted = 0;
	int			found = 0;

	*rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcQueueRow *row = &(*rows)[found];
		Found		how = take_waiting(&joins[i], row);

		if (how != FOUND_LOCKED && how != FOUND_MADE)
			continue;
		found++;
		if (how == FOUND_LOCKED && row->phase == TC_PHASE_WAITING && joins[i].counted > 0)
		{
			count_parents(row, &joins[i]);
			counted[ncounted++] = *row;
		}
		post_time(row);
	}
	write_counts(counted, ncounted);
	return found;
}

static TcPlan plan_settle_waiting = {
	.sql =
	"UPDATE tasker.step_queue q SET phase = i.phase, visible_at = i.visible_at,"
	" remaining_parents = i.remaining, satisfied_parents = i.satisfied,"
	" claimed_at = CASE WHEN i.phase IN ('s', 't') THEN $8 WHEN i.phase = 'm' THEN coalesce(q.claimed_at, $8) END"
	" FROM unnest($2::bigint[], $3::int[], $4::\"char\"[], $5::timestamptz[], $6::int[], $7::int[])"
	"  AS i(task_id, step_no, phase, visible_at, remaining, satisfied)"
	" WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 8,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, CHARARRAYOID, TIMESTAMPTZARRAYOID,
		INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID},
};

void
tc_queue_settle_waiting(const TcQueueRow *rows, int n)
{
	KeyColumns	keys = key_columns(rows, sizeof(TcQueueRow), n);
	char	   *phases = palloc(Max(n, 1));
	TimestampTz *visible_at = palloc(sizeof(TimestampTz) * Max(n, 1));
	int32	   *remaining = palloc(sizeof(int32) * Max(n, 1));
	int32	   *satisfied = palloc(sizeof(int32) * Max(n, 1));
	int			end;

	for (int i = 0; i < n; i++)
	{
		post_time(&rows[i]);
		phases[i] = rows[i].phase;
		visible_at[i] = rows[i].visible_at;
		remaining[i] = rows[i].remaining_parents;
		satisfied[i] = rows[i].satisfied_parents;
	}
	for (int start = 0; start < n; start = end)
	{
		Datum		values[8];

		end = tc_shard_run_end(keys.task_ids, start, n);
		bind_keys(values, &keys, start, end);
		values[3] = tc_array_char(phases + start, end - start);
		values[4] = tc_array_timestamptz(visible_at + start, end - start);
		values[5] = tc_array_int32(remaining + start, end - start);
		values[6] = tc_array_int32(satisfied + start, end - start);
		values[7] = TimestampTzGetDatum(tc_session_now());
		if (tc_plan_run(&plan_settle_waiting, values, NULL) != end - start)
			elog(ERROR, "a locked queue row vanished");
	}
}

static TcPlan plan_count_down_map = {
	.sql =
	"UPDATE tasker.step_queue q SET remaining_parents = q.remaining_parents - $4"
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3 AND q.phase = 'm'"
	" RETURNING " QUEUE_COLUMNS,
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE_RETURNING,
	.nargs = 4,
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID},
};

void
tc_queue_count_down_map(TcStepKey key, int32 counted, TcQueueRow *row)
{
	Datum		values[4] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no),
		Int32GetDatum(tc_shard_key(key.task_id)), Int32GetDatum(counted)
	};

	if (tc_plan_run(&plan_count_down_map, values, NULL) != 1)
		elog(ERROR, "a map of task " INT64_FORMAT " has instances, but no queue row", key.task_id);
	read_queue_row(0, row);
}

static TcPlan plan_clear = {
	.sql = "DELETE FROM tasker.step_queue WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_LATEST,
	.expect = SPI_OK_DELETE,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

void
tc_queue_clear(int64 task_id)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};

	tc_plan_run(&plan_clear, values, NULL);
}

/* ---- attempts end -------------------------------------------------------- */

static TcPlan plan_remove_batch = {
	.sql =
	"DELETE FROM tasker.step_queue q"
	" USING unnest($2::bigint[], $3::int[]) AS i(task_id, step_no)"
	" WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 3,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID},
};

void
tc_queue_remove(const TcStepKey *keys, int n)
{
	run_for_keys(&plan_remove_batch, keys, n);
}

static void
remove_rows(const TcQueueRow *rows, int n)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * n);

	for (int i = 0; i < n; i++)
		keys[i] = rows[i].key;
	tc_queue_remove(keys, n);
}

void
tc_queue_complete(const TcQueueRow *rows, const struct varlena *const *results, int n)
{
	ItemPointerData *places = palloc(sizeof(ItemPointerData) * Max(n, 1));

	for (int i = 0; i < n; i++)
		places[i] = rows[i].place;
	if (!tc_direct_delete(&tc_queue_table, places, n))
		remove_rows(rows, n);
	tc_attempts_add_completed(rows, results, n);
}

static TcPlan plan_retry = {
	.sql =
	"UPDATE tasker.step_queue SET phase = 'r', waits_for_retry = true, visible_at = $4, flow_key_id = NULL,"
	" attempts = attempts + 1, attempt_no = attempt_no + 1,"
	" claim_token = NULL, claimed_at = NULL, worker_id = NULL"
	" WHERE task_id = $1 AND step_no = $2 AND shard_key = $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID},
};

static TcPlan plan_remove = {
	.sql =
	"DELETE FROM tasker.step_queue WHERE task_id = $1 AND step_no = $2 AND shard_key = $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

void
tc_queue_fail(const TcQueueRow *row, const TcFailure *failure)
{
	bool		again = failure->to_state == TC_STEP_WAITING_FOR_RETRY;
	Datum		values[4];

	tc_attempts_add_failed(row, failure);
	values[0] = Int64GetDatum(row->key.task_id);
	values[1] = Int32GetDatum(row->key.step_no);
	values[2] = Int32GetDatum(tc_shard_key(row->key.task_id));
	values[3] = TimestampTzGetDatum(failure->next_retry_at);
	if (tc_plan_run(again ? &plan_retry : &plan_remove, values, NULL) != 1)
		elog(ERROR, "a locked queue row vanished");
}

void
tc_queue_record_expired(const TcQueueRow *rows, int n)
{
	TcFailure	lost = {
		.lease_expired = true, .to_state = TC_STEP_WAITING_FOR_RETRY,
		.next_retry_at = tc_session_now(), .backoff_request_seconds = -1
	};

	for (int i = 0; i < n; i++)
		tc_attempts_add_failed(&rows[i], &lost);
}

/* ---- claims begin, are extended, given back ------------------------------ */

/* Where the table is not as we made it. */
static TcPlan plan_claim = {
	.sql =
	"UPDATE tasker.step_queue q SET phase = 'c', waits_for_retry = false, visible_at = $4,"
	" claim_token = $5, claimed_at = $6, worker_id = $7, attempts = $8, attempt_no = $9, flow_key_id = nullif($10, 0)"
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 10,
	.argtypes = {INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID, INT8OID},
};

void
tc_queue_claim(const TcQueueRow *rows, const int64 *tokens, const TimestampTz *lease_until,
			   int n, const char *worker_id)
{
	if (tc_queue_write_claims(rows, tokens, lease_until, n, worker_id))
		return;
	for (int i = 0; i < n; i++)
	{
		Datum		values[10] = {
			Int64GetDatum(rows[i].key.task_id), Int32GetDatum(rows[i].key.step_no),
			Int32GetDatum(tc_shard_key(rows[i].key.task_id)), TimestampTzGetDatum(lease_until[i]),
			Int64GetDatum(tokens[i]), TimestampTzGetDatum(tc_session_now()), CStringGetTextDatum(worker_id),
			Int32GetDatum(rows[i].attempts), Int32GetDatum(rows[i].attempt_no), Int64GetDatum(rows[i].flow_key_id)
		};

		CHECK_FOR_INTERRUPTS();
		if (tc_plan_run(&plan_claim, values, NULL) != 1)
			elog(ERROR, "a locked queue row vanished");
	}
}

static TcPlan plan_extend = {
	.sql =
	"UPDATE tasker.step_queue q SET visible_at = i.lease_until"
	" FROM unnest($2::bigint[], $3::int[], $4::timestamptz[]) AS i(task_id, step_no, lease_until)"
	" WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID},
};

void
tc_queue_extend(const TcStepKey *keys, const TimestampTz *lease_until, int n)
{
	KeyColumns	columns = key_columns(keys, sizeof(TcStepKey), n);
	int			end;

	for (int start = 0; start < n; start = end)
	{
		Datum		values[4];

		end = tc_shard_run_end(columns.task_ids, start, n);
		bind_keys(values, &columns, start, end);
		values[3] = tc_array_timestamptz(lease_until + start, end - start);
		if (tc_plan_run(&plan_extend, values, NULL) != end - start)
			elog(ERROR, "a locked queue row vanished");
	}
}

static TcPlan plan_release = {
	.sql =
	"UPDATE tasker.step_queue q SET phase = 'r', visible_at = $4, flow_key_id = NULL,"
	" claim_token = NULL, claimed_at = NULL, worker_id = NULL"
	" FROM unnest($2::bigint[], $3::int[]) AS i(task_id, step_no)"
	" WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID},
};

void
tc_queue_release(const TcQueueRow *rows, int n, TimestampTz visible_at)
{
	KeyColumns	columns = key_columns(rows, sizeof(TcQueueRow), n);
	int			end;

	for (int start = 0; start < n; start = end)
	{
		Datum		values[4];

		end = tc_shard_run_end(columns.task_ids, start, n);
		bind_keys(values, &columns, start, end);
		values[3] = TimestampTzGetDatum(visible_at);
		if (tc_plan_run(&plan_release, values, NULL) != end - start)
			elog(ERROR, "a locked queue row vanished");
	}
}

static TcPlan plan_set_checkpoint = {
	.sql =
	"WITH stored AS ("
	" UPDATE tasker.step_queue q SET checkpoint = $4"
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3"
	" RETURNING q.slot, q.attempts, q.worker_id)"
	"INSERT INTO tasker.step_checkpoints"
	" (task_id, step_no, shard_key, slot, attempt, worker_id, stored_at, recorded_by, recorded_as)"
	" SELECT $1, $2, $3, s.slot, s.attempts + 1, s.worker_id, $5, $6, $7 FROM stored s",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 7,
	.argtypes = {INT8OID, INT4OID, INT4OID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

void
tc_queue_set_checkpoint(TcStepKey key, const struct varlena *checkpoint)
{
	char		nulls[7] = "       ";
	Datum		values[7] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no),
		Int32GetDatum(tc_shard_key(key.task_id)), PointerGetDatum(checkpoint),
		TimestampTzGetDatum(tc_session_now()), CStringGetTextDatum(tc_session_role())
	};

	values[6] = tc_text_or_null(tc_session_acting_role(), &nulls[6]);
	if (tc_plan_run(&plan_set_checkpoint, values, nulls) != 1)
		elog(ERROR, "a locked queue row vanished");
}

static TcPlan plan_set_paused = {
	.sql =
	"UPDATE tasker.step_queue SET lane_id = CASE WHEN $3 THEN -abs(lane_id) ELSE abs(lane_id) END,"
	" flow_key_id = CASE WHEN phase <> 'p' THEN flow_key_id END,"
	" phase = CASE WHEN phase = 'p' THEN 'r' ELSE phase END"
	" WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, BOOLOID},
};

void
tc_queue_set_paused(int64 task_id, bool paused)
{
	Datum		values[3] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), BoolGetDatum(paused)
	};

	tc_plan_run(&plan_set_paused, values, NULL);
}

/* ---- moves --------------------------------------------------------------- */

static const char *const verb_names[] = {
#define X(id, name) name,
	TC_MOVE_VERBS(X)
#undef X
};

TcStepMove
tc_move_of_claim(const TcQueueRow *row, TcMoveVerb verb, TcStepState to, const char *reason)
{
	TcStepMove	move = {
		.key = row->key,
		.after_attempt_no = row->attempt_no,
		.verb = verb,
		.from = TC_STEP_IN_PROGRESS,
		.to = to,
		.worker_id = row->worker_id,
		.claimed_at = row->claimed_at,
		.reason = reason,
	};

	Assert(row->phase == TC_PHASE_CLAIMED || row->phase == TC_PHASE_TASK);
	return move;
}

static TcPlan plan_record_moves = {
	.sql =
	"INSERT INTO tasker.step_moves (task_id, step_no, shard_key, slot, after_attempt_no, verb, from_state,"
	" to_state, worker_id, claimed_at, results, reason, metadata, moved_at, recorded_by, recorded_as)"
	" SELECT i.task_id, i.step_no, $1, t.slot, i.after_attempt_no, i.verb, i.from_state, i.to_state,"
	" i.worker_id, nullif(i.claimed_at, '-infinity'), i.results, i.reason, i.metadata, $13, $14, $15"
	" FROM unnest($2::bigint[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],"
	"  $9::timestamptz[], $10::jsonb[], $11::text[], $12::jsonb[])"
	"  AS i(task_id, step_no, after_attempt_no, verb, from_state, to_state, worker_id, claimed_at,"
	"   results, reason, metadata)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 15,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZARRAYOID, JSONBARRAYOID, TEXTARRAYOID, JSONBARRAYOID,
		TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

/* Moves as columns. */
typedef struct MoveColumns
{
	int32	   *after;
	const char **texts[5];		/* verb, from, to, worker, reason */
	TimestampTz *claimed_at;
	const struct varlena **results;
	const struct varlena **metadata;
} MoveColumns;

static MoveColumns
move_columns(const TcStepMove *moves, int n)
{
	MoveColumns columns;

	columns.after = palloc(sizeof(int32) * Max(n, 1));
	columns.claimed_at = palloc(sizeof(TimestampTz) * Max(n, 1));
	columns.results = palloc(sizeof(struct varlena *) * Max(n, 1));
	columns.metadata = palloc(sizeof(struct varlena *) * Max(n, 1));
	for (int c = 0; c < lengthof(columns.texts); c++)
		columns.texts[c] = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Assert(tc_step_move(moves[i].from, moves[i].to) == TC_MOVE_LEGAL);
		columns.after[i] = moves[i].after_attempt_no;
		columns.texts[0][i] = verb_names[moves[i].verb];
		columns.texts[1][i] = tc_step_state_name(moves[i].from);
		columns.texts[2][i] = tc_step_state_name(moves[i].to);
		columns.texts[3][i] = moves[i].worker_id;
		columns.texts[4][i] = moves[i].reason;
		columns.claimed_at[i] = moves[i].claimed_at;
		columns.results[i] = moves[i].results;
		columns.metadata[i] = moves[i].metadata;
	}
	return columns;
}

void
tc_step_record_moves(const TcStepMove *moves, int n)
{
	KeyColumns	keys = key_columns(moves, sizeof(TcStepMove), n);
	MoveColumns columns = move_columns(moves, n);
	int			end;

	for (int start = 0; start < n; start = end)
	{
		Datum		values[15];
		char		nulls[15];
		int			count;

		memset(nulls, ' ', sizeof(nulls));
		end = tc_shard_run_end(keys.task_ids, start, n);
		count = end - start;
		bind_keys(values, &keys, start, end);
		values[3] = tc_array_int32(columns.after + start, count);
		for (int c = 0; c < 4; c++)
			values[4 + c] = tc_array_text(columns.texts[c] + start, count);
		values[8] = tc_array_timestamptz(columns.claimed_at + start, count);
		values[9] = tc_array_jsonb(columns.results + start, count);
		values[10] = tc_array_text(columns.texts[4] + start, count);
		values[11] = tc_array_jsonb(columns.metadata + start, count);
		values[12] = TimestampTzGetDatum(tc_session_now());
		values[13] = CStringGetTextDatum(tc_session_role());
		values[14] = tc_text_or_null(tc_session_acting_role(), &nulls[14]);
		tc_plan_run(&plan_record_moves, values, nulls);
	}
}

/* ---- questions ----------------------------------------------------------- */

/* Steps that can run come before those that wait for them: mostly the first row tells. */
static TcQueueRest
rest_of(int64 task_id)
{
	TcQueueRest rest = TC_REST_NONE;
	TcScan		scan = {0};

	tc_queue_seek_steps(&scan, TC_LATEST, task_id, 1, PG_INT32_MAX);
	while (rest != TC_REST_RUNNABLE && tc_scan_next(&scan))
	{
		CHECK_FOR_INTERRUPTS();
		rest = tc_phase_is_live(tc_scan_char(&scan, TC_QUEUE_phase)) ? TC_REST_RUNNABLE : TC_REST_WAITING;
	}
	tc_scan_end(&scan);
	return rest;
}

void
tc_queue_rest(const int64 *task_ids, int n, TcQueueRest *rests)
{
	for (int i = 0; i < n; i++)
		rests[i] = rest_of(task_ids[i]);
}

static TcPlan plan_attempts_by_token = {
	.sql =
	"SELECT a.task_id, a.step_no, a.claim_token, a.to_state, a.next_retry_at"
	" FROM unnest($2::bigint[], $3::int[], $4::bigint[]) AS i(task_id, step_no, token)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" JOIN tasker.step_attempts a"
	"  ON a.task_id = i.task_id AND a.step_no = i.step_no AND a.shard_key = $1 AND a.slot = t.slot"
	" WHERE a.claim_token = i.token AND a.outcome <> 'lease_expired'",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID},
};

int
tc_attempts_by_token(const TcStepKey *keys, const int64 *tokens, int n, TcPastAttempt **attempts)
{
	KeyColumns	columns = key_columns(keys, sizeof(TcStepKey), n);
	int			found = 0;
	int			end;

	*attempts = palloc(sizeof(TcPastAttempt) * Max(n, 1));
	for (int start = 0; start < n; start = end)
	{
		Datum		values[4];
		uint64		count;

		end = tc_shard_run_end(columns.task_ids, start, n);
		bind_keys(values, &columns, start, end);
		values[3] = tc_array_int64(tokens + start, end - start);
		count = tc_plan_run(&plan_attempts_by_token, values, NULL);
		for (uint64 i = 0; i < count && found < n; i++)
		{
			TcPastAttempt *attempt = &(*attempts)[found++];

			attempt->key.task_id = tc_row_int64(i, 1);
			attempt->key.step_no = tc_row_int32(i, 2);
			attempt->claim_token = tc_row_int64(i, 3);
			if (!tc_step_state_parse(tc_row_text(i, 4), &attempt->to_state))
				elog(ERROR, "unknown step state in the history of task " INT64_FORMAT,
					 attempt->key.task_id);
			attempt->next_retry_at = tc_row_timestamptz(i, 5);
		}
	}
	return found;
}
