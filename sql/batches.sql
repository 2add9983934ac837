--
-- Batches: a step whose result names them, and a worker that runs once for each.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.refusal(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT SQLSTATE || ' ' || regexp_replace(message, '\d{7,}|task \d+', 'X', 'g');
	RETURN QUERY SELECT '   ' || regexp_replace(d, '\d{7,}|task \d+', 'X', 'g') FROM string_to_table(detail, E'\n') d;
	RETURN NEXT '   ' || hint;
END $$;
CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = task $$;
CREATE FUNCTION pg_temp.violations(task bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM tasker.verify_task(task) $$;
CREATE FUNCTION pg_temp.step(task bigint, step text) RETURNS bigint LANGUAGE sql AS $$
	SELECT workflow_step_id FROM tasker.workflow_steps WHERE task_id = task AND name = step $$;
CREATE FUNCTION pg_temp.result(task bigint, step text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT results FROM tasker.workflow_steps WHERE task_id = task AND name = step $$;

-- 1,000 products in batches of 200.
CREATE TEMP TABLE products AS SELECT n AS id, n % 7 AS stock FROM generate_series(0, 2500) n;
SELECT created, warnings FROM tasker.register_task_template('{"name": "inventory", "namespace": "csv", "steps": [
	{"name": "analyze_csv", "type": "batchable", "handler": {"callable": "Csv.Analyzer"},
		"batch_config": {"batch_size": 200, "parallelism": 3, "cursor_field": "id", "checkpoint_interval": 50, "worker_template": "process_csv_batch", "failure_strategy": "fail"}},
	{"name": "process_csv_batch", "type": "batch_worker", "dependencies": ["analyze_csv"], "handler": {"callable": "Csv.Worker"}, "retry": {"max_attempts": 2, "backoff": "none"}},
	{"name": "aggregate_csv_results", "type": "deferred_convergence", "dependencies": ["process_csv_batch"], "handler": {"callable": "Csv.Aggregator"}}]}');
SELECT jsonb_pretty(tasker.get_task_template('inventory', 'csv') -> 'steps' -> 0);

-- What the analyzer says of so many rows, from its own batch_config.
CREATE FUNCTION pg_temp.outcome(rows int, batch_size int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('batch_processing_outcome', CASE WHEN rows = 0 THEN '{"type": "no_batches"}' ELSE jsonb_build_object('type', 'create_batches',
		'worker_template_name', 'process_csv_batch', 'worker_count', count(*), 'total_items', rows, 'cursor_configs', jsonb_agg(jsonb_build_object(
			'batch_id', to_char(b + 1, 'FM000'), 'start_cursor', b * batch_size, 'end_cursor', least((b + 1) * batch_size, rows), 'batch_size', least(batch_size, rows - b * batch_size)) ORDER BY b)) END)
	FROM generate_series(0, (rows - 1) / batch_size) b $$;

-- A worker, as long as there is something to do; returns what it ran.
CREATE FUNCTION pg_temp.work(task bigint, steps int DEFAULT 1000000) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	r jsonb;
BEGIN
	FOR i IN 1 .. steps LOOP
		SELECT * INTO c FROM tasker.claim_steps('w', 1, task_id => task);
		EXIT WHEN c.step_name IS NULL;
		CASE c.handler_class
			WHEN 'Csv.Analyzer' THEN r := pg_temp.outcome((c.task_context ->> 'rows')::int, (c.inputs -> 'batch_config' ->> 'batch_size')::int);
			WHEN 'Csv.Worker' THEN SELECT jsonb_build_object('items_processed', count(*), 'stock', sum(stock)) INTO r FROM products
				WHERE id >= (c.inputs -> 'cursor' ->> 'start_cursor')::int AND id < (c.inputs -> 'cursor' ->> 'end_cursor')::int;
			ELSE SELECT jsonb_build_object('workers', jsonb_array_length(c.dependency_results -> 'process_csv_batch'), 'items', sum((b ->> 'items_processed')::int), 'stock', sum((b ->> 'stock')::int)) INTO r
				FROM jsonb_array_elements(c.dependency_results -> 'process_csv_batch') b;
		END CASE;
		PERFORM tasker.complete_step(c.workflow_step_id, c.claim_token, r);
		RETURN NEXT c.step_name;
	END LOOP;
END $$;
SELECT task_id AS t FROM tasker.create_task('inventory', '{"rows": 1000}', 'csv') \gset
SELECT workflow_step_id AS s, claim_token AS k, step_name, inputs FROM tasker.claim_steps('w', 1, task_id => :t) \gset
\echo :step_name :inputs
SELECT tasker.release_steps(ARRAY[:s]::bigint[], ARRAY[:k]::bigint[]);
SELECT array_agg(w) FROM pg_temp.work(:t, 1) w;
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT workflow_step_id % 1000000 AS step_no, step_name, dependency_results -> 'analyze_csv' -> 'batch_processing_outcome' AS outcome, inputs FROM tasker.claim_steps('w', 9, lease_seconds => 0.1, task_id => :t) ORDER BY 1;
SET tasker_core.clock_offset = 60;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
RESET tasker_core.clock_offset;
SELECT state, pg_temp.result(:t, 'aggregate_csv_results'), (SELECT sum(stock) FROM products WHERE id < 1000), pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;

-- 1,000 rows in one batch, 1,001 in two; an exact multiple adds no empty one; nothing makes no worker, and the convergence runs.
SELECT created FROM tasker.register_task_template('{"name": "thousands", "namespace": "csv", "steps": [
	{"name": "analyze_csv", "type": "batchable", "handler_class": "Csv.Analyzer", "batch_config": {"batch_size": 1000}},
	{"name": "process_csv_batch", "type": "batch_worker", "depends_on": ["analyze_csv"], "handler_class": "Csv.Worker"},
	{"name": "aggregate_csv_results", "type": "deferred_convergence", "depends_on": ["process_csv_batch"]}]}');
CREATE TEMP TABLE runs AS SELECT n AS rows, t.task_id FROM unnest('{0, 1, 999, 1000, 1001, 2000, 2500}'::int[]) n, tasker.create_task('thousands', jsonb_build_object('rows', n), 'csv') t;
SELECT count(w) FROM runs, pg_temp.work(task_id) w;
SELECT rows, state, (SELECT count(*) FROM tasker.task_extra_steps x WHERE x.task_id = r.task_id) AS workers, pg_temp.result(task_id, 'aggregate_csv_results'), pg_temp.violations(task_id)
FROM runs r JOIN tasker.tasks USING (task_id) ORDER BY rows;
SELECT pg_temp.states(task_id) FROM runs WHERE rows IN (0, 1001) ORDER BY rows;

-- An outcome that cannot be followed is refused, and the claim stays.
SELECT task_id AS t FROM tasker.create_task('inventory', '{"rows": 10}', 'csv') \gset
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
CREATE FUNCTION pg_temp.create_batches(more jsonb) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('batch_processing_outcome', '{"type": "create_batches", "worker_template_name": "process_csv_batch", "worker_count": 1, "total_items": 10, "cursor_configs": [{"batch_id": "001"}]}' || more) $$;
SELECT r.line FROM unnest(ARRAY['null', '[]', '{}', '{"batch_processing_outcome": "no_batches"}', '{"batch_processing_outcome": {}}', '{"batch_processing_outcome": {"type": "some"}}',
	'{"batch_processing_outcome": {"type": "create_batches"}}', pg_temp.create_batches('{"cursor_configs": {}}'), pg_temp.create_batches('{"cursor_configs": []}'),
	pg_temp.create_batches('{"cursor_configs": [{}, 1]}'), pg_temp.create_batches('{"worker_count": 2}'), pg_temp.create_batches('{"worker_count": "1"}'), pg_temp.create_batches('{"worker_count": 1e300}'),
	pg_temp.create_batches('{"worker_template_name": "nobody"}'), pg_temp.create_batches('{"worker_template_name": null}'), pg_temp.create_batches('{"total_items": -1}'), pg_temp.create_batches('{"total_items": 1.5}')]::jsonb[]) WITH ORDINALITY v(result, n),
	pg_temp.refusal(format('tasker.complete_step(%s, %s, %L)', :s, :k, result)) WITH ORDINALITY r(line, m) WHERE m <= 2 ORDER BY n, m;
SELECT status, error ->> 'sqlstate' AS sqlstate, error -> 'errors' AS errors FROM tasker.complete_steps(ARRAY[:s]::bigint[], ARRAY[:k]::bigint[], ARRAY['{}']::jsonb[]);
SET tasker_core.max_map_width = 1;
SELECT pg_temp.refusal(format('tasker.complete_step(%s, %s, %L)', :s, :k, pg_temp.create_batches('{"cursor_configs": [{}, {}], "worker_count": 2}')));
RESET tasker_core.max_map_width;
SELECT pg_temp.refusal(format('tasker.resolve_step(%s, %L)', :s, '{}'));
SELECT pg_temp.states(:t);
SELECT step_state, task_state FROM tasker.fail_step(:s, :k, '"cannot read it"', false);
-- resolved by hand, with batches
SELECT task_state, steps_ready FROM tasker.resolve_step(:s, pg_temp.create_batches('{}'));
SELECT pg_temp.states(:t), pg_temp.violations(:t);

-- A batch worker fails for good: the others go on, and it is tried again when the task is.
SELECT task_id AS t FROM tasker.create_task('inventory', '{"rows": 1000}', 'csv') \gset
SELECT array_agg(w) FROM pg_temp.work(:t, 2) w;
SELECT step_name, step_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '{"message": "row 212 is broken"}', false);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT t.state, failed_steps, d.snapshot ->> 'step_name' AS step, s -> 'progress' AS progress, pg_temp.violations(:t)
FROM tasker.tasks t JOIN tasker.dead_letters d USING (task_id), jsonb_array_elements(tasker.get_task(:t) -> 'steps') s WHERE t.task_id = :t AND s ->> 'name' = 'process_csv_batch';
SELECT tasker.retry_task(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT state, pg_temp.result(:t, 'aggregate_csv_results'), pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;
-- or null stands in its place
SELECT created FROM tasker.register_task_template('{"name": "lenient", "namespace": "csv", "steps": [
	{"name": "analyze_csv", "type": "batchable", "batch_config": {"failure_strategy": "continue"}}, {"name": "process_csv_batch", "type": "batch_worker", "depends_on": ["analyze_csv"]},
	{"name": "end", "depends_on": ["process_csv_batch"]}]}');
SELECT task_id AS t FROM tasker.create_task('lenient', '{}', 'csv') \gset
SELECT steps_ready FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, pg_temp.outcome(3, 1));
SELECT step_name, inputs -> 'batch_metadata' AS metadata, step_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT count(*) FROM tasker.claim_steps('w', 9, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, c.inputs -> 'cursor' -> 'batch_id');
SELECT dependency_results, status, task_state, pg_temp.violations(:t) FROM tasker.claim_steps('w', 9, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');

-- A batch worker comes to its checkpoint, yields, and is gone: another goes on from there, and no yield is an attempt.
SELECT task_id AS t FROM tasker.create_task('thousands', '{"rows": 1000}', 'csv') \gset
SELECT array_agg(w) FROM pg_temp.work(:t, 1) w;
CREATE FUNCTION pg_temp.yield(task bigint, cursor int) RETURNS TABLE(attempt int, checkpoint jsonb, stored boolean) LANGUAGE sql AS $$
	SELECT c.attempt, c.checkpoint, tasker.checkpoint_step(c.workflow_step_id, c.claim_token, jsonb_build_object('cursor', cursor), true)
	FROM tasker.claim_steps('w', 1, task_id => task) c $$;
SELECT y.* FROM unnest('{250, 500, 750}'::int[]) n, LATERAL pg_temp.yield(:t, n) y;
SELECT attempt, tasker.checkpoint_step(workflow_step_id, claim_token, '{"cursor": 900}') FROM tasker.claim_steps('gone', 1, lease_seconds => 0.1, task_id => :t);
SET tasker_core.clock_offset = 60;
SELECT attempt, checkpoint, status FROM tasker.claim_steps('next', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '{"items_processed": 1000, "stock": 1}');
RESET tasker_core.clock_offset;
SELECT name, attempts FROM tasker.workflow_steps WHERE task_id = :t AND name = 'process_csv_batch_001';

-- What a template may not say.
CREATE FUNCTION pg_temp.template(cut jsonb, work jsonb, more jsonb DEFAULT '[]') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT * FROM pg_temp.refusal(format('tasker.validate_task_template(%L)', jsonb_build_object('name', 'x', 'steps', jsonb_build_array(
		'{"name": "cut", "type": "batchable"}' || cut, '{"name": "work", "type": "batch_worker", "depends_on": ["cut"]}' || work) || more))) $$;
SELECT r.line FROM (VALUES (1, '{}'::jsonb, '{}'::jsonb, '[]'::jsonb), (2, '{"batch_config": {"worker_template": "other"}}', '{}', '[]'), (3, '{"batch_config": {"batch_size": 0, "parallelism": -1, "failure_strategy": "x", "cursor_field": 1}}', '{}', '[]'),
	(4, '{"on_failure": "continue"}', '{"on_failure": "skip"}', '[]'), (5, '{"wait_for_signal": {"name": "s"}}', '{"wait_for_signal": {"name": "s"}}', '[]'), (6, '{}', '{"depends_on": []}', '[]'),
	(7, '{}', '{"trigger_rule": "all_done"}', '[]'), (8, '{}', '{"map": {"over": "context"}}', '[]'), (9, '{}', '{}', '[{"name": "twice", "type": "batch_worker", "depends_on": ["cut"]}]'),
	(10, '{}', '{}', '[{"name": "none", "type": "batchable"}]'), (11, '{}', '{"batch_config": {"batch_size": 1}}', '[]'), (12, '{"batch_config": {"size": 1}}', '{}', '[]')) v(n, cut, work, more),
	pg_temp.template(cut, work, more) WITH ORDINALITY r(line, m) WHERE r.line NOT LIKE '   Correct%' AND (m > 1 OR r.line = 'accepted') ORDER BY n, m;
SELECT unnest(tasker.validate_task_template('{"name": "x", "steps": [{"name": "cut", "type": "batchable", "batch_config": {"size": 1}}, {"name": "work", "step_type": "batch_worker", "depends_on_step": "cut"}]}'));

SELECT count(tasker.cancel_task(task_id)) > 0 FROM tasker.tasks JOIN tasker.named_tasks USING (named_task_id)
WHERE state IN ('pending', 'in_progress') AND name = ANY ('{inventory,thousands,lenient}');
SELECT count(*) FROM tasker.verify_all(NULL);
