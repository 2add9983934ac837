/*
 * slot_store.c
 *	  Which members of the history tables hold what: tasker.history_slots.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "compat.h"
#include "domain/event_order.h"
#include "store/event_store.h"
#include "store/plans.h"
#include "store/slot_store.h"

static TcPlan plan_current = {
	.sql = "SELECT s.slot FROM tasker.history_slots s WHERE s.ended_at IS NULL",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
};

/*
 * Kept until somebody turns the ring, as lanes are.  Whoever comes too late for
 * that writes to a slot before, which does no harm: a slot is truncated when no
 * task is left in it, whenever that task came.
 */
int16
tc_slot_current(void)
{
	static int16 slot = -1;
	static uint64 generation = 0;

	if (slot < 0 || generation != tc_cache_generation())
	{
		uint64		now = tc_cache_generation();
		int16		current = tc_plan_run(&plan_current, NULL, NULL) == 0 ? 0 : tc_row_int16(0, 1);

		slot = current;
		generation = now;
	}
	return slot;
}

/* ---- the ring ------------------------------------------------------------- */

static TcPlan plan_slots = {
	.sql =
	"SELECT s.slot, s.began_at, s.ended_at, coalesce(s.next_shard_key, 0), coalesce(s.next_task_id, 0),"
	" coalesce(s.emptied_xact, 0) FROM tasker.history_slots s ORDER BY s.began_at, s.ended_at",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
};

int
tc_slots_read(TcSlot **slots)
{
	int			n = (int) tc_plan_run(&plan_slots, NULL, NULL);

	*slots = palloc(sizeof(TcSlot) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcSlot	   *slot = &(*slots)[i];

		slot->slot = tc_row_int16(i, 1);
		slot->began_at = tc_row_timestamptz(i, 2);
		slot->ended_at = tc_row_timestamptz(i, 3);
		slot->next_shard_key = tc_row_int32(i, 4);
		slot->next_task_id = tc_row_int64(i, 5);
		slot->emptied_xact = tc_row_int64(i, 6);
	}
	return n;
}

static TcPlan plan_turn = {
	.sql =
	"INSERT INTO tasker.history_slots (slot, began_at, ended_at) VALUES ($1, $3, $3), ($2, $3, NULL)"
	" ON CONFLICT (slot) DO UPDATE SET ended_at = excluded.ended_at",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 3,
	.argtypes = {INT2OID, INT2OID, TIMESTAMPTZOID},
};

void
tc_slot_turn(int16 from, int16 to)
{
	Datum		values[3] = {
		Int16GetDatum(from), Int16GetDatum(to), TimestampTzGetDatum(tc_session_now())
	};

	tc_plan_run(&plan_turn, values, NULL);
	tc_cache_invalidate();
}

static TcPlan plan_write_progress = {
	.sql =
	"UPDATE tasker.history_slots SET next_shard_key = $2, next_task_id = $3, emptied_xact = nullif($4, 0)"
	" WHERE slot = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT2OID, INT4OID, INT8OID, INT8OID},
};

void
tc_slot_write_progress(const TcSlot *slot)
{
	Datum		values[4] = {
		Int16GetDatum(slot->slot), Int32GetDatum(slot->next_shard_key),
		Int64GetDatum(slot->next_task_id), Int64GetDatum(slot->emptied_xact)
	};

	tc_plan_run(&plan_write_progress, values, NULL);
}

/* ---- tasks of a slot ------------------------------------------------------ */

static TcPlan plan_tasks = {
	.sql =
	"SELECT t.task_id FROM tasker.tasks t"
	" WHERE t.shard_key = $1 AND t.slot = $2 AND t.task_id >= $3 ORDER BY t.task_id LIMIT $4",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {INT4OID, INT2OID, INT8OID, INT4OID},
};

int
tc_slot_tasks(int32 shard, int16 slot, int64 from_task_id, int max_tasks, int64 **task_ids)
{
	Datum		values[4] = {
		Int32GetDatum(shard), Int16GetDatum(slot), Int64GetDatum(from_task_id),
		Int32GetDatum(max_tasks)
	};
	int			n = (int) tc_plan_run(&plan_tasks, values, NULL);

	*task_ids = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*task_ids)[i] = tc_row_int64(i, 1);
	return n;
}

bool
tc_slot_has_tasks(int16 slot)
{
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		int64	   *task_ids;

		if (tc_slot_tasks(shard, slot, 0, 1, &task_ids) > 0)
			return true;
	}
	return false;
}

/*
 * The row lock is taken first: whoever resumes a task that is in error changes
 * its row, and then it is not among those that ended.
 */
static TcPlan plan_lock_ended = {
	.sql =
	"SELECT t.task_id FROM unnest($2::bigint[]) AS i(task_id)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" WHERE t.finished_at < $3 ORDER BY t.task_id FOR UPDATE OF t SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4OID, INT8ARRAYOID, TIMESTAMPTZOID},
};

static TcPlan plan_drop = {
	.sql =
	"WITH gone AS ("
	" DELETE FROM tasker.tasks t USING unnest($2::bigint[]) AS i(task_id)"
	" WHERE t.task_id = i.task_id AND t.shard_key = $1"
	"  AND NOT EXISTS (SELECT FROM tasker.step_queue q WHERE q.task_id = t.task_id AND q.shard_key = $1)"
	"  AND NOT EXISTS (SELECT FROM tasker.dead_letters d"
	"   WHERE d.task_id = t.task_id AND d.shard_key = $1 AND d.state = 'pending')"
	" RETURNING t.task_id),"
	"letters AS ("
	" DELETE FROM tasker.dead_letters d USING gone g WHERE d.task_id = g.task_id AND d.shard_key = $1),"
	"signals AS ("
	" DELETE FROM tasker.signals s USING gone g WHERE s.task_id = g.task_id AND s.shard_key = $1),"
	"errands AS ("
	" DELETE FROM tasker.errands e USING gone g WHERE e.task_id = g.task_id AND e.shard_key = $1"
	"  AND e.kind NOT IN ('cancel', 'retry'))"
	"SELECT g.task_id FROM gone g ORDER BY g.task_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT4OID, INT8ARRAYOID},
};

static int
read_ids(int64 *task_ids, uint64 n)
{
	for (uint64 i = 0; i < n; i++)
		task_ids[i] = tc_row_int64(i, 1);
	return (int) n;
}

int
tc_slot_drop_tasks(int32 shard, int64 *task_ids, int n, TimestampTz before)
{
	Datum		values[3] = {
		Int32GetDatum(shard), tc_array_int64(task_ids, n), TimestampTzGetDatum(before)
	};

	n = read_ids(task_ids, tc_plan_run(&plan_lock_ended, values, NULL));
	values[1] = tc_array_int64(task_ids, n);
	return read_ids(task_ids, tc_plan_run(&plan_drop, values, NULL));
}

/* A row that changes its slot goes from one member to another, all else kept. */
#define MOVE_PLAN(table) { \
	.sql = "UPDATE tasker." table " SET slot = $4 WHERE task_id = $1 AND shard_key = $2 AND slot = $3", \
	.kind = TC_WRITE, \
	.expect = SPI_OK_UPDATE, \
	.nargs = 4, \
	.argtypes = {INT8OID, INT4OID, INT2OID, INT2OID}, \
}

static TcPlan plans_move[] = {
	MOVE_PLAN("tasks"), MOVE_PLAN("step_queue"), MOVE_PLAN("step_attempts"), MOVE_PLAN("step_moves"),
	MOVE_PLAN("task_transitions"), MOVE_PLAN("task_pauses"), MOVE_PLAN("step_checkpoints"), MOVE_PLAN("task_extra_steps"),
};

void
tc_slot_move_task(int64 task_id, int16 from, int16 to)
{
	Datum		values[4] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int16GetDatum(from),
		Int16GetDatum(to)
	};

	for (int i = 0; i < lengthof(plans_move); i++)
		tc_plan_run(&plans_move[i], values, NULL);
}

/* ---- truncation ----------------------------------------------------------- */

/* What VACUUM asks before it removes a row. */
static int64
oldest_snapshot(void)
{
	Oid			relid = get_relname_relid("tasks", get_namespace_oid("tasker", false));
	Relation	tasks = RelationIdGetRelation(relid);
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	TransactionId oldest;

	if (!RelationIsValid(tasks))
		elog(ERROR, "table tasker.tasks is gone");
	oldest = GetOldestNonRemovableTransactionId(tasks);
	RelationClose(tasks);
	return (int64) (next - (uint32) ((TransactionId) next - oldest));
}

bool
tc_slot_is_unseen(int64 event_xact)
{
	TcEventHorizon here;

	tc_event_horizon(&here);
	return tc_event_xact_epoch(event_xact) != here.era.epoch ||
		oldest_snapshot() > tc_event_xact_xid(event_xact);
}

#define MEMBERS(slot) \
	"tasker.step_attempts_" slot ", tasker.step_moves_" slot ", tasker.task_transitions_" slot "," \
	" tasker.task_pauses_" slot ", tasker.step_checkpoints_" slot ", tasker.domain_events_" slot "," \
	" tasker.task_extra_steps_" slot

#define LOCK_PLAN(slot) { \
	.sql = "LOCK TABLE " MEMBERS(slot) " IN ACCESS EXCLUSIVE MODE", \
	.kind = TC_WRITE, \
	.expect = SPI_OK_UTILITY, \
}

#define TRUNCATE_PLAN(slot) { \
	.sql = "TRUNCATE TABLE " MEMBERS(slot), \
	.kind = TC_WRITE, \
	.expect = SPI_OK_UTILITY, \
}

static TcPlan plans_lock[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(LOCK_PLAN);
static TcPlan plans_truncate[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(TRUNCATE_PLAN);

static TcPlan plan_free = {
	.sql = "DELETE FROM tasker.history_slots WHERE slot = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 1,
	.argtypes = {INT2OID},
};

void
tc_slot_lock(int16 slot)
{
	tc_plan_run(&plans_lock[slot], NULL, NULL);
}

void
tc_slot_truncate(int16 slot)
{
	Datum		values[1] = {Int16GetDatum(slot)};

	tc_plan_run(&plans_truncate[slot], NULL, NULL);
	tc_plan_run(&plan_free, values, NULL);
}
