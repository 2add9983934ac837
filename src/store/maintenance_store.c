/*
 * maintenance_store.c
 *	  How far maintenance has come.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"

#include "compat.h"
#include "store/maintenance_store.h"
#include "store/plans.h"
#include "store/step_store.h"

/*
 * A lock of the transaction, so that it is free again whatever happens; on the
 * table as an object, which no command takes, so that nobody else can keep the
 * turn.  Advisory locks are anybody's.
 */
bool
tc_maintenance_take_turn(void)
{
	Oid			table = get_relname_relid("maintenance", get_namespace_oid("tasker", false));
	LOCKTAG		turn;

	SET_LOCKTAG_OBJECT(turn, MyDatabaseId, RelationRelationId, table, 0);
	return LockAcquire(&turn, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static TcPlan plan_read = {
	.sql = "SELECT next_task_id, ran_at FROM tasker.maintenance WHERE shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

void
tc_maintenance_read(int32 shard, TcMaintenancePosition *position)
{
	Datum		values[1] = {Int32GetDatum(shard)};

	position->next_task_id = 0;
	position->ran_at = TC_NO_TIME;
	if (tc_plan_run(&plan_read, values, NULL) == 0)
		return;
	position->next_task_id = tc_row_int64(0, 1);
	position->ran_at = tc_row_timestamptz(0, 2);
}

static TcPlan plan_write = {
	.sql =
	"INSERT INTO tasker.maintenance (shard_key, next_task_id, ran_at) VALUES ($1, $2, $3)"
	" ON CONFLICT (shard_key) DO UPDATE SET next_task_id = excluded.next_task_id, ran_at = excluded.ran_at",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 3,
	.argtypes = {INT4OID, INT8OID, TIMESTAMPTZOID},
};

void
tc_maintenance_write(int32 shard, const TcMaintenancePosition *position)
{
	Datum		values[3] = {
		Int32GetDatum(shard), Int64GetDatum(position->next_task_id),
		TimestampTzGetDatum(position->ran_at)
	};

	tc_plan_run(&plan_write, values, NULL);
}

/* Two probes of the claim index for each lane: a ready row, or an expired lease; and flow keys that let more start. */
static TcPlan plan_due_namespaces = {
	.sql =
	"SELECT DISTINCT ns.name FROM tasker.lanes l"
	" CROSS JOIN (VALUES ('r'::\"char\"), ('c')) AS p(phase)"
	" CROSS JOIN LATERAL ("
	"  SELECT FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = p.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at > $2 AND q.visible_at <= $3 LIMIT 1) q"
	" JOIN tasker.named_tasks n ON n.named_task_id = l.named_task_id"
	" JOIN tasker.task_namespaces ns ON ns.namespace_id = n.namespace_id"
	" UNION"
	" SELECT ns.name FROM tasker.flow_keys k JOIN tasker.task_namespaces ns ON ns.namespace_id = k.namespace_id"
	" WHERE k.next_at > $2 AND k.next_at <= $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID},
};

static int
read_names(int n, const char ***names)
{
	*names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*names)[i] = tc_row_text(i, 1);
	return n;
}

int
tc_maintenance_due_namespaces(int32 shard, TimestampTz after, const char ***names)
{
	Datum		values[3] = {
		Int32GetDatum(shard), TimestampTzGetDatum(after), TimestampTzGetDatum(tc_session_now())
	};

	return read_names((int) tc_plan_run(&plan_due_namespaces, values, NULL), names);
}

static TcPlan plan_all_namespaces = {
	.sql = "SELECT name FROM tasker.task_namespaces ORDER BY namespace_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
};

int
tc_maintenance_all_namespaces(const char ***names)
{
	return read_names((int) tc_plan_run(&plan_all_namespaces, NULL, NULL), names);
}

/* The same probes, for what comes next. */
static TcPlan plan_next_due = {
	.sql =
	"SELECT least((SELECT k.next_at FROM tasker.flow_keys k WHERE k.next_at > $2 ORDER BY k.next_at LIMIT 1),"
	" min(q.visible_at)) FROM tasker.lanes l"
	" CROSS JOIN (VALUES ('r'::\"char\"), ('c'), ('s')) AS p(phase)"
	" CROSS JOIN LATERAL ("
	"  SELECT q.visible_at FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = p.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at > $2"
	"  ORDER BY q.visible_at LIMIT 1) q",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT4OID, TIMESTAMPTZOID},
};

TimestampTz
tc_maintenance_next_due(int32 shard, TimestampTz after)
{
	Datum		values[2] = {Int32GetDatum(shard), TimestampTzGetDatum(after)};

	tc_plan_run(&plan_next_due, values, NULL);
	return tc_row_timestamptz(0, 1);
}
