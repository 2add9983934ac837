/*
 * limit_store.c
 *	  Counts that limits are measured against.
 *
 * Both are counted when a limit is set, and only then.  Neither waits: transactions
 * that create tasks at the same time do not see each other's, so that a limit may be
 * passed by as many as are in flight.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/limit_store.h"
#include "store/plans.h"
#include "store/session.h"

static TcPlan plan_pending = {
	.sql =
	"SELECT count(DISTINCT q.task_id) FROM ("
	" SELECT q.task_id FROM tasker.task_namespaces n"
	" JOIN tasker.named_tasks k ON k.namespace_id = n.namespace_id"
	" JOIN tasker.lanes l ON l.named_task_id = k.named_task_id"
	" JOIN tasker.step_queue q ON q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = 'r'"
	" WHERE n.name = $2"
	" UNION ALL"
	" SELECT q.task_id FROM tasker.task_namespaces n"
	" JOIN tasker.flow_keys k ON k.namespace_id = n.namespace_id"
	" JOIN tasker.step_queue q ON q.shard_key = $1 AND q.flow_key_id = k.flow_key_id AND q.phase = 'p'"
	" WHERE n.name = $2) q"
	" JOIN tasker.tasks t ON t.task_id = q.task_id AND t.shard_key = $1"
	" WHERE t.state = 'pending'",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};

int64
tc_limit_pending_tasks(const char *namespace_name)
{
	Datum		values[2] = {0, CStringGetTextDatum(namespace_name)};
	int64		pending = 0;

	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		values[0] = Int32GetDatum(shard);
		tc_plan_run(&plan_pending, values, NULL);
		pending += tc_row_int64(0, 1);
	}
	return pending;
}

/* What is older than a minute goes with what is new, as far as nobody else takes it away. */
static TcPlan plan_note = {
	.sql =
	"WITH old AS (DELETE FROM tasker.task_starts WHERE ctid = ANY (ARRAY("
	"  SELECT s.ctid FROM tasker.task_starts s WHERE s.role_name = $1 AND s.started_at < $2"
	"  ORDER BY s.started_at LIMIT 100 FOR UPDATE SKIP LOCKED)))"
	" INSERT INTO tasker.task_starts (role_name, started_at, starts) VALUES ($1, $3, $4)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 4,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID},
};

static TcPlan plan_starts = {
	.sql =
	"SELECT coalesce(sum(starts), 0)::bigint FROM tasker.task_starts"
	" WHERE role_name = $1 AND started_at >= $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTOID, TIMESTAMPTZOID},
};

int64
tc_limit_note_starts(const char *role, int n)
{
	Datum		values[4];

	values[0] = CStringGetTextDatum(role);
	values[1] = TimestampTzGetDatum(tc_session_now() - 60 * USECS_PER_SEC);
	values[2] = TimestampTzGetDatum(tc_session_now());
	values[3] = Int32GetDatum(n);
	tc_plan_run(&plan_note, values, NULL);
	tc_plan_run(&plan_starts, values, NULL);
	return tc_row_int64(0, 1);
}
