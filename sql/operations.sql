--
-- Reports: every number on a data set made by hand, with a clock set by hand.
--

-- they count whatever there is, so there must be nothing else
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
SET tasker_core.notify = off;
SET timezone = 'UTC';

-- ---------------------------------------------------------------------------
-- An empty database
-- ---------------------------------------------------------------------------

SELECT key, value FROM tasker.get_system_health_counts() h, jsonb_each_text(to_jsonb(h)) WHERE value <> '0' AND key NOT IN ('active_connections', 'max_connections');
SELECT active_connections BETWEEN 1 AND max_connections AS connections, max_connections = current_setting('max_connections')::int AS most FROM tasker.get_system_health_counts();
SELECT to_jsonb(m) - '{analysis_period_start,calculated_at}'::text[] AS metrics, calculated_at - analysis_period_start AS period FROM tasker.get_analytics_metrics() m;
SELECT (SELECT count(*) FROM tasker.get_slowest_steps()) + (SELECT count(*) FROM tasker.get_slowest_tasks())
	+ (SELECT count(*) FROM tasker.get_slowest_steps_aggregated()) + (SELECT count(*) FROM tasker.get_slowest_tasks_aggregated()) AS rows;

-- ---------------------------------------------------------------------------
-- Health: the counts are those of the view, in every state there is
-- ---------------------------------------------------------------------------

SELECT count(*) FROM unnest(ARRAY[
	'{"name": "diamond", "namespace": "ops", "steps": [{"name": "a", "retry": {"max_attempts": 2, "backoff_base_ms": 30000, "jitter": 0}}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}',
	'{"name": "lenient", "namespace": "ops", "steps": [{"name": "a", "on_failure": "skip"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "on_failure": "continue"}, {"name": "d", "depends_on": ["c"]}]}',
	'{"name": "hasty", "namespace": "ops", "on_failure": "fail_fast", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "depends_on": ["b"]}]}']::jsonb[]) t, tasker.register_task_template(t);

-- a task of a template in which so many steps were completed
CREATE FUNCTION pg_temp.made(template text, completed int DEFAULT 0) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task(template, namespace => 'ops'));
BEGIN
	FOR i IN 1 .. completed LOOP
		PERFORM tasker.complete_step(workflow_step_id, claim_token, '1') FROM tasker.claim_steps('w', task_id => t);
	END LOOP;
	RETURN t;
END $$;
CREATE FUNCTION pg_temp.fail(t bigint, retryable boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
	SELECT f.task_state FROM tasker.claim_steps('w', task_id => t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retryable) f $$;

SELECT pg_temp.made('diamond') AS fresh, pg_temp.made('diamond', 4) AS complete, pg_temp.made('diamond', 2) AS half,
	pg_temp.made('diamond') AS retrying, pg_temp.made('diamond', 2) AS failed, pg_temp.made('diamond') AS exhausted, pg_temp.made('diamond', 1) AS cancelled,
	pg_temp.made('diamond', 1) AS resolved, pg_temp.made('diamond', 1) AS skipped, pg_temp.made('diamond', 1) AS paused, pg_temp.made('diamond', 1) AS reset,
	pg_temp.made('lenient') AS lenient, pg_temp.made('hasty') AS hasty, pg_temp.made('hasty') AS hasty_complete \gset
SELECT count(*) FROM tasker.claim_steps('w', task_id => :half);
SELECT pg_temp.fail(:retrying, true);
SELECT pg_temp.fail(:failed);
SELECT pg_temp.fail(:exhausted, true);
SET tasker_core.clock_offset = 40;
SELECT pg_temp.fail(:exhausted, true);
RESET tasker_core.clock_offset;
SELECT count(*) FROM tasker.claim_steps('w', task_id => :cancelled);
SELECT tasker.cancel_task(:cancelled);
SELECT tasker.transition_task(:resolved, 'resolved_manually'), tasker.pause_task(:paused);
SELECT task_state FROM tasker.skip_step(:skipped * 1000000::bigint + 2);
SELECT task_state FROM tasker.claim_steps('w', task_id => :skipped) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_temp.fail(:reset);
SELECT task_state FROM tasker.reset_step(:reset * 1000000::bigint + 2);
SELECT task_state FROM tasker.resolve_step(:reset * 1000000::bigint + 3, '7');
SELECT pg_temp.fail(:lenient), pg_temp.fail(:lenient);
SELECT task_state FROM tasker.claim_steps('w', task_id => :lenient) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_temp.fail(:hasty);
SELECT task_state FROM tasker.claim_steps('w', 5, task_id => :hasty_complete) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;

CREATE FUNCTION pg_temp.health() RETURNS TABLE (key text, value bigint) LANGUAGE sql AS $$
	SELECT key, value::bigint FROM tasker.get_system_health_counts() h, jsonb_each_text(to_jsonb(h)) $$;
CREATE FUNCTION pg_temp.counted() RETURNS TABLE (key text, value bigint) LANGUAGE sql AS $$
	SELECT state || '_tasks', count(*) FROM tasker.tasks GROUP BY 1 UNION ALL SELECT 'total_tasks', count(*) FROM tasker.tasks
	UNION ALL SELECT state || '_steps', count(*) FROM tasker.workflow_steps GROUP BY 1 UNION ALL SELECT 'total_steps', count(*) FROM tasker.workflow_steps
	UNION ALL SELECT 'ready_steps', sum(ready_steps) FROM tasker.tasks, tasker.get_task_execution_context(task_id) $$;
SELECT key, h.value AS health, c.value AS counted FROM pg_temp.health() h FULL JOIN pg_temp.counted() c USING (key) WHERE key ~ '_(tasks|steps)$' ORDER BY key;
SELECT key, value FROM pg_temp.health() WHERE key ~ '^(dead|workers)';

-- later: the retry is due, and the worker was not seen again
SET tasker_core.clock_offset = 200;
SELECT key, value FROM pg_temp.health() WHERE key IN ('retryable_error_steps', 'in_backoff_steps', 'ready_steps', 'workers_alive') ORDER BY key;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Analytics: durations are exact, since the clock stands where it is put
-- ---------------------------------------------------------------------------

DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
SET tasker_core.notify = off;
SELECT count(*) FROM (VALUES ('shop', 'order', '1.0.0'), ('shop', 'order', '2.0.0'), ('bank', 'order', '1.0.0'), ('bank', 'unused', '1.0.0')) v(namespace, name, version),
	tasker.register_task_template(jsonb_build_object('namespace', namespace, 'name', name, 'version', version, 'steps', '[{"name": "pick", "retry": {"max_attempts": 2, "backoff": "none"}}, {"name": "ship", "depends_on": ["pick"]}]'::jsonb));

-- created at the start; each step is claimed `wait` seconds after the one before ended, and takes `run` seconds
CREATE FUNCTION pg_temp.run(namespace text, version text, start float8, wait float8, run float8[], failing boolean DEFAULT false) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	clock float8 := start;
	t bigint;
	c record;
BEGIN
	PERFORM set_config('tasker_core.clock_offset', clock::text, true);
	t := (SELECT task_id FROM tasker.create_task('order', namespace => run.namespace, version => run.version, initiator => 'ann', source_system => 'web'));
	FOR i IN 1 .. cardinality(run) LOOP
		clock := clock + wait;
		PERFORM set_config('tasker_core.clock_offset', clock::text, true);
		SELECT * INTO STRICT c FROM tasker.claim_steps('w', lease_seconds => 3600, task_id => t);
		clock := clock + run[i];
		PERFORM set_config('tasker_core.clock_offset', clock::text, true);
		IF failing THEN
			PERFORM tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
		ELSE
			PERFORM tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
		END IF;
	END LOOP;
	RETURN t;
END $$;
-- what the clock itself took is far below a second
CREATE FUNCTION pg_temp.near(numeric) RETURNS numeric LANGUAGE sql AS $$ SELECT round($1) $$;

SELECT pg_temp.run('shop', '1.0.0', -90000, 10, '{500,500}') AS yesterday, pg_temp.run('shop', '1.0.0', -7200, 5, '{100,200}') AS earlier,
	pg_temp.run('shop', '1.0.0', -3000, 10, '{20,40}') AS a, pg_temp.run('shop', '2.0.0', -3000, 20, '{70,80}') AS b,
	pg_temp.run('bank', '1.0.0', -3000, 5, '{7,9}', true) AS failed, pg_temp.run('bank', '1.0.0', -3000, 0, '{30}') AS open \gset
SELECT tasker.cancel_task(task_id) FROM tasker.create_task('order', namespace => 'bank');

-- in the last hour: a, b, failed, open and the cancelled one; average task (80 + 190) / 2, average step (20 + 40 + 70 + 80 + 30) / 5
SELECT active_tasks_count, total_namespaces_count, unique_task_types_count, system_health_score, task_throughput, completion_count, error_count, completion_rate, error_rate,
	pg_temp.near(avg_task_duration) AS task, pg_temp.near(avg_step_duration) AS step, step_throughput FROM tasker.get_analytics_metrics();
-- since three hours
SELECT task_throughput, completion_count, system_health_score, completion_rate, pg_temp.near(avg_task_duration) AS task, step_throughput, analysis_period_start = t AS since
FROM (SELECT now() - interval '3 hours' AS t) s, tasker.get_analytics_metrics(t);
-- nothing since a minute but the task cancelled at once
SELECT active_tasks_count, task_throughput, completion_count, completion_rate, error_rate, system_health_score, avg_task_duration FROM tasker.get_analytics_metrics(now() - interval '1 minute');
SELECT task_throughput FROM tasker.get_analytics_metrics(now() + interval '1 minute');

SELECT CASE task_id WHEN :a THEN 'a' WHEN :b THEN 'b' WHEN :earlier THEN 'earlier' WHEN :open THEN 'open' END AS task, step_name, task_name, namespace_name, version,
	pg_temp.near(duration_seconds) AS seconds, attempts, retryable, step_status, pg_temp.near(extract(epoch FROM started_at - created_at)) AS started, completed_at - started_at < interval '201 seconds' AS completed
FROM tasker.get_slowest_steps();
SELECT workflow_step_id = :earlier * 1000000::bigint + 2 AS slowest FROM tasker.get_slowest_steps(limit_count => 1);
SELECT pg_temp.near(duration_seconds) FROM tasker.get_slowest_steps(now() - interval '2 days', 2);
SELECT count(*) AS of_bank FROM tasker.get_slowest_steps(namespace => 'bank');
SELECT count(*) AS of_version FROM tasker.get_slowest_steps(name => 'order', version => '2.0.0');
SELECT count(*) AS of_none FROM tasker.get_slowest_steps(name => 'unused');

SELECT CASE task_id WHEN :a THEN 'a' WHEN :b THEN 'b' WHEN :earlier THEN 'earlier' WHEN :failed THEN 'failed' END AS task, task_name, namespace_name, version,
	pg_temp.near(duration_seconds) AS seconds, step_count, completed_steps, error_steps, pg_temp.near(extract(epoch FROM completed_at - created_at)) AS took, initiator, source_system, state
FROM tasker.get_slowest_tasks();
SELECT count(*) FROM tasker.get_slowest_tasks(now() - interval '2 days', 10, 'shop', 'order', '1.0.0');

SELECT namespace_name, task_name, version, step_name, pg_temp.near(average_duration_seconds) AS average, pg_temp.near(max_duration_seconds) AS max, execution_count, error_count, error_rate
FROM tasker.get_slowest_steps_aggregated(min_executions => 1);
SELECT step_name, execution_count FROM tasker.get_slowest_steps_aggregated(min_executions => 3);
SELECT namespace_name, task_name, version, pg_temp.near(average_duration_seconds) AS average, pg_temp.near(max_duration_seconds) AS max, execution_count, error_count, error_rate,
	last_executed_at IS NOT NULL AS last FROM tasker.get_slowest_tasks_aggregated(min_executions => 1);
SELECT count(*) AS by_default FROM tasker.get_slowest_tasks_aggregated();

-- a scheduled task's time counts from its schedule
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'shop', run_at => now() + interval '1000 seconds') \gset
SET tasker_core.clock_offset = 1050;
SELECT count(*) FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT count(*) FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT duration_seconds BETWEEN 50 AND 60 AS counted_from_run_at FROM tasker.get_slowest_tasks() WHERE task_id = :t;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- What is refused
-- ---------------------------------------------------------------------------

SELECT tasker.get_analytics_metrics('infinity');
SELECT tasker.get_slowest_steps(limit_count => -1);
SELECT count(*) FROM tasker.get_slowest_steps(limit_count => 0);
\set VERBOSITY sqlstate
SELECT tasker.get_slowest_tasks('-infinity');
SELECT tasker.get_slowest_tasks(limit_count => 10001);
SELECT tasker.get_slowest_steps_aggregated(min_executions => -1);
\set VERBOSITY default
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
