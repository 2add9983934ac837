/*
 * stale_store.c
 *	  Which tasks have stood still for longer than their template allows.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "store/plans.h"
#include "store/stale_store.h"

static TcPlan plan_next_tasks = {
	.sql =
	"SELECT DISTINCT q.task_id FROM tasker.step_queue q"
	" WHERE q.shard_key = $1 AND q.task_id >= $2 ORDER BY q.task_id LIMIT $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4OID, INT8OID, INT4OID},
};

int
tc_stale_next_tasks(int32 shard, int64 from_task_id, int max_tasks, int64 **task_ids)
{
	Datum		values[3] = {
		Int32GetDatum(shard), Int64GetDatum(from_task_id), Int32GetDatum(max_tasks)
	};
	int			n = (int) tc_plan_run(&plan_next_tasks, values, NULL);

	*task_ids = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*task_ids)[i] = tc_row_int64(i, 1);
	return n;
}

/*
 * looked_at: what a task is doing, and since when.  It runs while a claim is
 * held (claimed), else it waits for a retry (failed), else nobody takes what is
 * ready.  Every clock starts anew when a person has had the task in hand: closed
 * its dead letter, resumed it from a pause or from state error, or resumed its
 * namespace or template.  What is paused is not stale.
 *
 * The limits of a template are read once, not once a task: its definition may
 * be long.
 */
static TcPlan plan_find = {
	.sql =
	"WITH looked_at AS MATERIALIZED ("
	" SELECT t.task_id, t.named_task_id, t.state, greatest(t.created_at, t.run_at) AS began,"
	"  q.claimed, q.failed, q.ready,"
	"  greatest((SELECT max(d.resolved_at) FROM tasker.dead_letters d"
	"    WHERE d.task_id = t.task_id AND d.shard_key = $1),"
	"   (SELECT max(h.moved_at) FROM tasker.task_transitions h"
	"    WHERE h.task_id = t.task_id AND h.shard_key = $1 AND h.slot = t.slot AND h.from_state = 'error'),"
	"   (SELECT max(p.moved_at) FROM tasker.task_pauses p"
	"    WHERE p.task_id = t.task_id AND p.shard_key = $1 AND p.slot = t.slot AND NOT p.paused)) AS restarted"
	" FROM unnest($2::bigint[]) AS i(task_id)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" CROSS JOIN LATERAL ("
	"  SELECT min(q.claimed_at) FILTER (WHERE q.phase = 'c') AS claimed,"
	"   min((SELECT a.finished_at FROM tasker.step_attempts a WHERE a.task_id = q.task_id"
	"    AND a.step_no = q.step_no AND a.attempt_no = q.attempt_no AND a.shard_key = $1 AND a.slot = q.slot))"
	"    FILTER (WHERE q.waits_for_retry AND q.phase <> 'p') AS failed,"
	"   min(q.visible_at) FILTER (WHERE q.phase = 'r' AND NOT q.waits_for_retry AND q.visible_at <= $3) AS ready"
	"  FROM tasker.step_queue q WHERE q.task_id = t.task_id AND q.shard_key = $1) q"
	" WHERE t.state IN ('pending', 'in_progress') AND t.paused_at IS NULL),"
	"limits AS MATERIALIZED ("
	" SELECT n.named_task_id, ns.name AS namespace_name, n.name AS task_name, p.resumed,"
	"  coalesce((l.l ->> 'max_duration_minutes')::int, 1440) AS duration,"
	"  coalesce((l.l ->> 'max_steps_in_process_minutes')::int, 30) AS in_process,"
	"  coalesce((l.l ->> 'max_waiting_for_retry_minutes')::int, 30) AS retry,"
	"  coalesce((l.l ->> 'max_waiting_for_dependencies_minutes')::int, 60) AS dependencies,"
	"  coalesce((l.l ->> 'auto_fail_on_timeout')::boolean, l.l ->> 'staleness_action' = 'error', false) AS ends,"
	"  coalesce((l.l ->> 'auto_dlq_on_timeout')::boolean, l.l ->> 'staleness_action' <> 'none', true) AS dead_letter"
	" FROM (SELECT DISTINCT named_task_id FROM looked_at) d"
	" JOIN tasker.named_tasks n ON n.named_task_id = d.named_task_id"
	" JOIN tasker.task_namespaces ns ON ns.namespace_id = n.namespace_id"
	" CROSS JOIN LATERAL (SELECT n.definition -> 'lifecycle' AS l OFFSET 0) l"
	" CROSS JOIN LATERAL ("
	"  SELECT max(p.resumed_at) AS resumed, count(*) FILTER (WHERE p.resumed_at IS NULL) AS current"
	"  FROM tasker.pauses p"
	"  WHERE p.namespace_id = n.namespace_id AND (p.task_name IS NULL OR p.task_name = n.name)) p"
	" WHERE p.current = 0),"
	"stale AS ("
	" SELECT t.task_id, l.namespace_name, l.task_name, t.state, s.stale_since, s.limit_minutes, s.limit_name,"
	"  floor(extract(epoch FROM $3 - s.since) / 60)::int AS minutes, l.ends, l.dead_letter"
	" FROM looked_at t JOIN limits l ON l.named_task_id = t.named_task_id"
	" CROSS JOIN LATERAL ("
	"  SELECT c.limit_name, c.since, c.limit_minutes, c.since + make_interval(mins => c.limit_minutes) AS stale_since"
	"  FROM (SELECT v.limit_name, v.limit_minutes,"
	"   CASE WHEN v.since IS NOT NULL THEN greatest(v.since, t.restarted, l.resumed) END AS since FROM (VALUES"
	"   ('max_duration_minutes', t.began, l.duration),"
	"   ('max_steps_in_process_minutes', t.claimed, l.in_process),"
	"   ('max_waiting_for_retry_minutes', CASE WHEN t.claimed IS NULL THEN t.failed END, l.retry),"
	"   ('max_waiting_for_dependencies_minutes',"
	"    CASE WHEN t.claimed IS NULL AND t.failed IS NULL THEN t.ready END, l.dependencies))"
	"   AS v(limit_name, since, limit_minutes)) c"
	"  WHERE c.since + make_interval(mins => c.limit_minutes) < $3"
	"  ORDER BY stale_since, c.limit_name LIMIT 1) s)"
	"SELECT s.task_id, s.namespace_name, s.task_name, s.state, s.stale_since, s.minutes, s.limit_minutes,"
	" s.limit_name, s.ends, s.dead_letter,"
	" format('%s of %s exceeded: %s minutes', s.limit_name, s.limit_minutes, s.minutes),"
	" jsonb_build_object('limit', s.limit_name, 'limit_minutes', s.limit_minutes, 'minutes', s.minutes)"
	" FROM stale s"
	" WHERE (s.ends OR s.dead_letter OR NOT $4) AND (s.ends OR NOT s.dead_letter OR NOT EXISTS ("
	"  SELECT FROM tasker.dead_letters d"
	"  WHERE d.task_id = s.task_id AND d.shard_key = $1 AND d.state = 'pending'))"
	" ORDER BY s.stale_since, s.task_id LIMIT $5",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 5,
	.argtypes = {INT4OID, INT8ARRAYOID, TIMESTAMPTZOID, BOOLOID, INT4OID},
};

static void
read_stale(uint64 row, TcStaleTask *stale)
{
	stale->task_id = tc_row_int64(row, 1);
	stale->namespace_name = tc_row_text(row, 2);
	stale->task_name = tc_row_text(row, 3);
	if (!tc_task_state_parse(tc_row_text(row, 4), &stale->state))
		tc_raise_corrupt_state("tasker.tasks", stale->task_id, "the state is unknown");
	stale->stale_since = tc_row_timestamptz(row, 5);
	stale->minutes = tc_row_int32(row, 6);
	stale->limit_minutes = tc_row_int32(row, 7);
	stale->limit_name = tc_row_text(row, 8);
	stale->ends = tc_row_bool(row, 9);
	stale->dead_letter = tc_row_bool(row, 10);
	stale->explanation = tc_row_text(row, 11);
	stale->details = tc_row_varlena(row, 12);
}

int
tc_stale_find(const int64 *task_ids, int n, bool actionable, int max_tasks, TcStaleTask **stale)
{
	Datum		values[5];
	int			found;

	values[0] = Int32GetDatum(tc_shard_key(task_ids[0]));
	values[1] = tc_array_int64(task_ids, n);
	values[2] = TimestampTzGetDatum(tc_session_now());
	values[3] = BoolGetDatum(actionable);
	values[4] = Int32GetDatum(max_tasks);
	found = (int) tc_plan_run(&plan_find, values, NULL);

	*stale = palloc(sizeof(TcStaleTask) * Max(found, 1));
	for (int i = 0; i < found; i++)
		read_stale(i, &(*stale)[i]);
	return found;
}
