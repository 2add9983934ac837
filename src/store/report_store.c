/*
 * report_store.c
 *	  Reports about the system as a whole: one statement each.
 *
 * Parameters of all of them: $1 the time of the call, $2 since, $3 how many
 * rows, $4 namespace, $5 task name, $6 version, $7 least number of executions.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/plans.h"
#include "store/instance_store.h"
#include "store/report_store.h"

/* A worker that claims or sends heartbeats is seen every ten seconds. */
#define ALIVE "interval '2 minutes'"

/*
 * Exact, from: every row of tasks and of step_moves, the queue, and the attempts
 * of tasks in which not every step need have completed.  Those of the other
 * finished tasks, the bulk of the history, are not read: their steps are those of
 * their template.
 *
 * recorded: the newest attempt or move of each step that has no live queue row,
 * for tasks that were looked into.  What has neither is pending, or cancelled
 * with its task.
 */
#define HEALTH_SQL \
	"WITH by_template AS MATERIALIZED (" \
	" SELECT t.named_task_id, t.state, count(*) AS n, count(t.paused_at) AS paused" \
	" FROM tasker.tasks t GROUP BY t.named_task_id, t.state)," \
	"task_count AS (" \
	" SELECT coalesce(sum(b.n), 0) AS total," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'pending'), 0) AS pending," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'in_progress'), 0) AS in_progress," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'complete'), 0) AS complete," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'error'), 0) AS error," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'cancelled'), 0) AS cancelled," \
	"  coalesce(sum(b.n) FILTER (WHERE b.state = 'resolved_manually'), 0) AS resolved," \
	"  coalesce(sum(b.paused) FILTER (WHERE b.state IN ('pending', 'in_progress', 'error')), 0) AS paused," \
	"  coalesce(sum(b.n * n.step_count), 0) + (SELECT count(*) FROM tasker.task_extra_steps) AS steps," \
	"  coalesce(sum(b.n * n.step_count) FILTER (WHERE b.state = 'complete'), 0) AS steps_of_complete" \
	" FROM by_template b JOIN tasker.named_tasks n ON n.named_task_id = b.named_task_id)," \
	"looked_into AS MATERIALIZED (" \
	" SELECT t.task_id, t.shard_key, t.slot, t.named_task_id, t.state, n.step_count, n.map_steps, n.map_room," \
	"  CASE WHEN n.map_steps IS NULL THEN 0 ELSE (SELECT count(*) FROM tasker.task_extra_steps x" \
	"   WHERE x.task_id = t.task_id AND x.shard_key = t.shard_key AND x.slot = t.slot) END AS instances," \
	"  t.state IN ('cancelled', 'resolved_manually') OR (t.state = 'error' AND n.on_failure = 'fail_fast') AS stopped" \
	" FROM tasker.tasks t JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id" \
	" WHERE t.state NOT IN ('pending', 'complete')" \
	"  OR (t.state = 'complete' AND (n.map_steps IS NOT NULL OR (t.task_id, t.shard_key, t.slot) IN (" \
	"    SELECT m.task_id, m.shard_key, m.slot FROM tasker.step_moves m" \
	"    WHERE m.to_state IN ('cancelled', 'skipped', 'resolved_manually'))" \
	"   OR t.named_task_id IN (" \
	"    SELECT s.named_task_id FROM tasker.named_steps s WHERE s.on_failure <> 'fail'))))," \
	"recorded AS MATERIALIZED (" \
	" SELECT DISTINCT ON (l.task_id, r.step_no) l.task_id, l.shard_key, l.step_count, l.map_steps, l.map_room, l.named_task_id, l.stopped, l.state AS task_state," \
	"  r.step_no, r.to_state, r.attempt" \
	" FROM looked_into l CROSS JOIN LATERAL (" \
	"  SELECT a.step_no, a.attempt_no, 0::bigint AS move_id, a.to_state, a.attempt" \
	"  FROM tasker.step_attempts a WHERE a.task_id = l.task_id AND a.shard_key = l.shard_key AND a.slot = l.slot" \
	"  UNION ALL" \
	"  SELECT m.step_no, m.after_attempt_no, m.move_id, m.to_state, NULL" \
	"  FROM tasker.step_moves m WHERE m.task_id = l.task_id AND m.shard_key = l.shard_key AND m.slot = l.slot) r" \
	" WHERE NOT EXISTS (SELECT FROM tasker.step_queue q WHERE q.task_id = l.task_id" \
	"  AND q.step_no = r.step_no AND q.shard_key = l.shard_key AND q.phase <> 'x')" \
	" ORDER BY l.task_id, r.step_no, r.attempt_no DESC, r.move_id DESC)," \
	"ended AS (" \
	" SELECT count(*) FILTER (WHERE r.to_state = 'complete') AS complete," \
	"  count(*) FILTER (WHERE r.to_state = 'error') AS error," \
	"  count(*) FILTER (WHERE r.to_state = 'error' AND r.attempt >= s.max_attempts) AS exhausted," \
	"  count(*) FILTER (WHERE r.to_state = 'cancelled') AS cancelled," \
	"  count(*) FILTER (WHERE r.to_state = 'skipped') AS skipped," \
	"  count(*) FILTER (WHERE r.to_state = 'resolved_manually') AS resolved," \
	"  count(*) FILTER (WHERE r.stopped AND r.to_state IN" \
	"   ('complete', 'error', 'cancelled', 'skipped', 'resolved_manually')) AS in_stopped" \
	" FROM recorded r" \
	" JOIN tasker.named_steps s ON s.named_task_id = r.named_task_id" \
	"  AND s.step_no = " TC_NAMED_STEP_NO("r", "r.step_no") ")," \
	"stopped AS (" \
	" SELECT coalesce(sum(l.step_count + l.instances) FILTER (WHERE l.stopped), 0) AS steps," \
	"  coalesce(sum(l.step_count) FILTER (WHERE l.state = 'complete'), 0) AS steps_of_looked_complete" \
	" FROM looked_into l)," \
	"live AS (" \
	" SELECT count(*) FILTER (WHERE q.phase IN ('c', 't', 'm')) AS in_progress," \
	"  count(*) FILTER (WHERE q.waits_for_retry) AS retrying," \
	"  count(*) FILTER (WHERE q.waits_for_retry AND q.visible_at > $1) AS in_backoff," \
	"  count(*) FILTER (WHERE q.phase = 'r' AND q.lane_id > 0 AND q.visible_at <= $1" \
	"   AND q.lane_id NOT IN (SELECT l.lane_id FROM tasker.lanes l" \
	"    JOIN tasker.named_tasks n ON n.named_task_id = l.named_task_id" \
	"    JOIN tasker.pauses p ON p.namespace_id = n.namespace_id AND coalesce(p.task_name, n.name) = n.name" \
	"    WHERE p.resumed_at IS NULL)) AS ready" \
	" FROM tasker.step_queue q)," \
	"counted AS (" \
	" SELECT t.*, l.in_progress AS steps_in_progress, l.retrying, l.in_backoff, l.ready, e.exhausted," \
	"  t.steps_of_complete - s.steps_of_looked_complete + e.complete AS steps_complete," \
	"  e.error AS steps_error, e.skipped, e.resolved AS steps_resolved," \
	"  e.cancelled + s.steps - e.in_stopped AS steps_cancelled" \
	" FROM task_count t, ended e, stopped s, live l)" \
	"SELECT c.total::bigint, c.pending::bigint, c.in_progress::bigint, c.complete::bigint, c.error::bigint," \
	" c.cancelled::bigint, c.steps::bigint," \
	" (c.steps - c.steps_in_progress - c.retrying - c.steps_complete - c.steps_error - c.skipped" \
	"  - c.steps_resolved - c.steps_cancelled)::bigint," \
	" c.steps_in_progress, c.steps_complete::bigint, c.steps_error, c.retrying, c.exhausted, c.in_backoff," \
	" (SELECT coalesce(sum(d.numbackends), 0) FROM pg_stat_database d WHERE d.datid <> 0)::bigint," \
	" current_setting('max_connections')::bigint," \
	" c.resolved::bigint, c.paused::bigint, c.retrying, c.steps_cancelled::bigint, c.skipped, c.steps_resolved, c.ready," \
	" (SELECT count(*) FROM tasker.dead_letters d WHERE d.state = 'pending')," \
	" (SELECT count(*) FROM tasker.workers w WHERE w.last_seen_at > $1 - " ALIVE ")" \
	" FROM counted c"

/*
 * The tasks created since then, as one group, so that no rate is above 100 %.
 * Reads tasks twice, and the history of that group.
 */
#define ANALYTICS_SQL \
	"WITH period AS (SELECT coalesce($2, $1 - interval '1 hour') AS since)," \
	"by_template AS (" \
	" SELECT t.named_task_id, count(*) FILTER (WHERE t.state IN ('pending', 'in_progress')) AS active" \
	" FROM tasker.tasks t GROUP BY t.named_task_id)," \
	"all_time AS (" \
	" SELECT coalesce(sum(b.active), 0)::bigint AS active, count(DISTINCT n.namespace_id) AS namespaces," \
	"  count(DISTINCT (n.namespace_id, n.name)) AS types" \
	" FROM by_template b JOIN tasker.named_tasks n ON n.named_task_id = b.named_task_id)," \
	"chosen AS MATERIALIZED (" \
	" SELECT t.task_id, t.shard_key, t.slot, t.state, t.finished_at - greatest(t.created_at, t.run_at) AS took" \
	" FROM tasker.tasks t, period p WHERE t.created_at >= p.since)," \
	"task_count AS (" \
	" SELECT count(*) AS n, count(*) FILTER (WHERE c.state = 'complete') AS completed," \
	"  count(*) FILTER (WHERE c.state = 'error') AS failed," \
	"  avg(extract(epoch FROM c.took)) FILTER (WHERE c.state = 'complete') AS seconds" \
	" FROM chosen c)," \
	"step_count AS (" \
	" SELECT count(*) AS n, avg(extract(epoch FROM a.finished_at - a.claimed_at)) AS seconds" \
	" FROM chosen c JOIN tasker.step_attempts a ON a.task_id = c.task_id AND a.shard_key = c.shard_key AND a.slot = c.slot" \
	" WHERE a.outcome = 'completed')" \
	"SELECT a.active, a.namespaces, a.types," \
	" CASE WHEN t.completed + t.failed = 0 THEN 1.000" \
	"  ELSE round(t.completed::numeric / (t.completed + t.failed), 3) END," \
	" t.n, t.completed, t.failed," \
	" CASE WHEN t.n = 0 THEN 0.00 ELSE round(100.0 * t.completed / t.n, 2) END," \
	" CASE WHEN t.n = 0 THEN 0.00 ELSE round(100.0 * t.failed / t.n, 2) END," \
	" round(coalesce(t.seconds, 0), 3), round(coalesce(s.seconds, 0), 3), s.n, p.since, $1" \
	" FROM all_time a, task_count t, step_count s, period p"

/* What a report of a template's tasks joins and filters by. */
#define TEMPLATES \
	" JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id" \
	" JOIN tasker.task_namespaces ns ON ns.namespace_id = n.namespace_id"
#define OF_TEMPLATE \
	" AND ($4 IS NULL OR ns.name = $4) AND ($5 IS NULL OR n.name = $5) AND ($6 IS NULL OR n.version = $6)"
#define SINCE_A_DAY_AGO "coalesce($2, $1 - interval '24 hours')"
#define SECONDS(span) "round(extract(epoch FROM " span "), 3)"
#define TASK_TIME "t.finished_at - greatest(t.created_at, t.run_at)"

/* Reads every attempt once. */
#define SLOWEST_STEPS_SQL \
	"SELECT a.task_id * 1000000 + a.step_no, a.task_id, " TC_NAME_OF_STEP("n", "s", "a.step_no") ", n.name, ns.name, n.version," \
	" " SECONDS("a.finished_at - a.claimed_at") ", a.attempt, t.created_at, a.finished_at," \
	" s.retryable, a.to_state, a.claimed_at" \
	" FROM tasker.step_attempts a" \
	" JOIN tasker.tasks t ON t.task_id = a.task_id AND t.shard_key = a.shard_key AND t.slot = a.slot" TEMPLATES \
	" JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id" \
	"  AND s.step_no = " TC_NAMED_STEP_NO("n", "a.step_no") \
	" WHERE a.outcome = 'completed' AND a.finished_at >= " SINCE_A_DAY_AGO OF_TEMPLATE \
	" ORDER BY a.finished_at - a.claimed_at DESC, a.task_id, a.step_no LIMIT $3"

/* Reads every task once, and the history of those it shows. */
#define SLOWEST_TASKS_SQL \
	"SELECT c.task_id, c.task_name, c.namespace_name, c.version, " SECONDS("c.took") ", c.step_count::bigint," \
	" h.completed, c.failed_steps::bigint, c.created_at, c.finished_at, c.initiator, c.source_system, c.state" \
	" FROM (SELECT t.*, n.name AS task_name, ns.name AS namespace_name, n.version, n.step_count," \
	"  " TASK_TIME " AS took" \
	"  FROM tasker.tasks t" TEMPLATES \
	"  WHERE t.state IN ('complete', 'error') AND t.finished_at >= " SINCE_A_DAY_AGO OF_TEMPLATE \
	"  ORDER BY took DESC, t.task_id LIMIT $3) c" \
	" CROSS JOIN LATERAL (SELECT count(*) AS completed FROM tasker.step_attempts a" \
	"  WHERE a.task_id = c.task_id AND a.shard_key = c.shard_key AND a.slot = c.slot AND a.outcome = 'completed') h" \
	" ORDER BY c.took DESC, c.task_id"

/* The columns that both summaries end with, from `took`, `failed` and `finished_at` of each execution. */
#define SUMMARY \
	" " SECONDS("avg(e.took) FILTER (WHERE NOT e.failed)") ", " SECONDS("max(e.took) FILTER (WHERE NOT e.failed)") "," \
	" count(*), count(*) FILTER (WHERE e.failed)," \
	" round(100.0 * count(*) FILTER (WHERE e.failed) / count(*), 2), max(e.finished_at)"

/* Reads every attempt once. */
#define SLOWEST_STEPS_AGGREGATED_SQL \
	"SELECT e.namespace_name, e.task_name, e.version, e.step_name," SUMMARY \
	" FROM (SELECT ns.name AS namespace_name, n.name AS task_name, n.version, s.name AS step_name," \
	"  a.finished_at - a.claimed_at AS took, a.outcome <> 'completed' AS failed, a.finished_at" \
	"  FROM tasker.step_attempts a" \
	"  JOIN tasker.tasks t ON t.task_id = a.task_id AND t.shard_key = a.shard_key AND t.slot = a.slot" TEMPLATES \
	"  JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id" \
	"   AND s.step_no = " TC_NAMED_STEP_NO("n", "a.step_no") \
	"  WHERE a.finished_at >= " SINCE_A_DAY_AGO OF_TEMPLATE ") e" \
	" GROUP BY e.namespace_name, e.task_name, e.version, e.step_name HAVING count(*) >= $7" \
	" ORDER BY avg(e.took) FILTER (WHERE NOT e.failed) DESC NULLS LAST, 1, 2, 3, 4 LIMIT $3"

/* Reads every task once. */
#define SLOWEST_TASKS_AGGREGATED_SQL \
	"SELECT e.namespace_name, e.task_name, e.version," SUMMARY \
	" FROM (SELECT ns.name AS namespace_name, n.name AS task_name, n.version," \
	"  " TASK_TIME " AS took, t.state = 'error' AS failed, t.finished_at" \
	"  FROM tasker.tasks t" TEMPLATES \
	"  WHERE t.state IN ('complete', 'error') AND t.finished_at >= " SINCE_A_DAY_AGO OF_TEMPLATE ") e" \
	" GROUP BY e.namespace_name, e.task_name, e.version HAVING count(*) >= $7" \
	" ORDER BY avg(e.took) FILTER (WHERE NOT e.failed) DESC NULLS LAST, 1, 2, 3 LIMIT $3"

#define REPORT(text) { \
	.sql = text, \
	.kind = TC_REPORT, \
	.expect = SPI_OK_SELECT, \
	.nargs = 7, \
	.argtypes = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID}, \
}

static TcPlan reports[TC_REPORT_COUNT] = {
	[TC_REPORT_HEALTH] = REPORT(HEALTH_SQL),
	[TC_REPORT_ANALYTICS] = REPORT(ANALYTICS_SQL),
	[TC_REPORT_SLOWEST_STEPS] = REPORT(SLOWEST_STEPS_SQL),
	[TC_REPORT_SLOWEST_TASKS] = REPORT(SLOWEST_TASKS_SQL),
	[TC_REPORT_SLOWEST_STEPS_AGGREGATED] = REPORT(SLOWEST_STEPS_AGGREGATED_SQL),
	[TC_REPORT_SLOWEST_TASKS_AGGREGATED] = REPORT(SLOWEST_TASKS_AGGREGATED_SQL),
};

uint64
tc_report_run(TcReport report, const TcReportQuery *query)
{
	Datum		values[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = TimestampTzGetDatum(tc_session_now());
	values[1] = TimestampTzGetDatum(query->since);
	nulls[1] = query->since == TC_NO_TIME ? 'n' : ' ';
	values[2] = Int32GetDatum(query->max_rows);
	values[3] = tc_text_or_null(query->namespace_name, &nulls[3]);
	values[4] = tc_text_or_null(query->task_name, &nulls[4]);
	values[5] = tc_text_or_null(query->version, &nulls[5]);
	values[6] = Int32GetDatum(query->min_executions);
	return tc_plan_run(&reports[report], values, nulls);
}

Datum
tc_report_value(uint64 row, int column, bool *isnull)
{
	return tc_row_datum(row, column, isnull);
}
