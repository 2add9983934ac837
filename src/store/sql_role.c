/*
 * sql_role.c
 *	  The roles that SQL steps belong to, as seen from outside of their sessions.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "compat.h"
#include "domain/template.h"
#include "store/access_store.h"
#include "store/lane_store.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/sql_role.h"
#include "store/step_store.h"

static const char *const obstacle_texts[] = {
	[TC_SQL_NO_OBSTACLE] = NULL,
	[TC_SQL_NO_ROLE] = "does not exist",
	[TC_SQL_NO_LOGIN] = "is not permitted to log in",
	[TC_SQL_NO_CONNECT] = "may not connect to this database",
	[TC_SQL_NO_ACCESS] = "has no access to tasker.run_sql_steps()",
	[TC_SQL_NOT_THE_OWNERS] = "is none that the owner of the extension may act as",
};

const char *
tc_sql_obstacle_text(TcSqlObstacle obstacle)
{
	return obstacle_texts[obstacle];
}

TcSqlObstacle
tc_sql_role_obstacle(const char *role, Oid *oid)
{
	HeapTuple	tuple = SearchSysCache1(AUTHNAME, CStringGetDatum(role));
	bool		may_log_in;

	*oid = InvalidOid;
	if (!HeapTupleIsValid(tuple))
		return TC_SQL_NO_ROLE;
	*oid = ((Form_pg_authid) GETSTRUCT(tuple))->oid;
	may_log_in = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (!may_log_in)
		return TC_SQL_NO_LOGIN;
	if (!tc_may_connect(MyDatabaseId, *oid))
		return TC_SQL_NO_CONNECT;
	if (!tc_access_may_call(*oid, TC_RUN_SQL_STEPS))
		return TC_SQL_NO_ACCESS;
	if (!tc_may_set_role(tc_session_owner(), *oid))
		return TC_SQL_NOT_THE_OWNERS;
	return TC_SQL_NO_OBSTACLE;
}

/* ---- what is due ---------------------------------------------------------- */

/* Two probes of the claim index for each lane: a ready row, or an expired lease. */
static TcPlan plan_due_lanes = {
	.sql =
	"SELECT DISTINCT l.lane_id FROM unnest($2::int[]) AS l(lane_id)"
	" CROSS JOIN (VALUES ('r'::\"char\"), ('c')) AS p(phase)"
	" CROSS JOIN LATERAL ("
	"  SELECT FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = p.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at <= $3 LIMIT 1) q",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4OID, INT4ARRAYOID, TIMESTAMPTZOID},
};

/* Those that can be claimed from: none that is paused. */
static int
sql_lanes(int32 **lane_ids)
{
	TcLaneFilter all = {.with_sql = true};
	const TcLane **lanes;
	int			nlanes = tc_lane_select(&all, &lanes);
	int			n = 0;

	*lane_ids = palloc(sizeof(int32) * Max(nlanes, 1));
	for (int i = 0; i < nlanes; i++)
	{
		if (tc_queue_is_sql(lanes[i]->queue))
			(*lane_ids)[n++] = lanes[i]->lane_id;
	}
	return n;
}

static int
compare_roles(const ListCell *a, const ListCell *b)
{
	return strcmp(strVal(lfirst(a)), strVal(lfirst(b)));
}

/* By name, beginning after one. */
static List *
in_turn(List *roles, const char *after)
{
	List	   *first = NIL;
	List	   *later = NIL;
	ListCell   *cell;

	list_sort(roles, compare_roles);
	foreach(cell, roles)
	{
		if (strcmp(strVal(lfirst(cell)), after) > 0)
			first = lappend(first, lfirst(cell));
		else
			later = lappend(later, lfirst(cell));
	}
	return list_concat(first, later);
}

List *
tc_sql_roles_due(const char *after)
{
	List	   *roles = NIL;
	int32	   *lane_ids;
	int			nlanes = sql_lanes(&lane_ids);

	for (int32 shard = 0; nlanes > 0 && shard < tc_shard_count(); shard++)
	{
		Datum		values[3] = {
			Int32GetDatum(shard), tc_array_int32(lane_ids, nlanes), TimestampTzGetDatum(tc_session_now())
		};
		int			n = (int) tc_plan_run(&plan_due_lanes, values, NULL);

		for (int i = 0; i < n; i++)
		{
			const char *queue = tc_lane_get(tc_row_int32(i, 1))->queue;

			roles = list_append_unique(roles, makeString(pstrdup(queue + strlen(TC_SQL_QUEUE))));
		}
	}
	return in_turn(roles, after);
}
