--
-- Maps over long arrays: as long as they may be.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.violations(task bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM tasker.verify_task(task) $$;
CREATE FUNCTION pg_temp.result(task bigint, step text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT results FROM tasker.workflow_steps WHERE task_id = task AND name = step $$;
CREATE FUNCTION pg_temp.queue(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step_no || phase::text || CASE phase WHEN 'm' THEN format('(%s left, %s entered)', remaining_parents, satisfied_parents) ELSE '' END, ' ' ORDER BY step_no) FROM tasker.step_queue WHERE task_id = task $$;

-- Completes whatever can be claimed, in batches.
CREATE FUNCTION pg_temp.in_batches(name text, size int) RETURNS TABLE(claimed bigint, statuses text[]) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		SELECT count(*), array_agg(DISTINCT r.status) INTO claimed, statuses
		FROM (SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens, array_agg(coalesce(inputs -> 'item', '"c"')) AS results
			FROM tasker.claim_steps('w', size, task_names => ARRAY[name]) HAVING count(*) > 0) c, tasker.complete_steps(c.ids, c.tokens, c.results) r;
		EXIT WHEN claimed = 0;
		RETURN NEXT;
	END LOOP;
END $$;

-- 10,000 instances, completed in batches.
SELECT created FROM tasker.register_task_template('{"name": "many", "steps": [{"name": "list"}, {"name": "each", "depends_on": ["list"], "map": {"over": "results.list.a"}}, {"name": "end", "depends_on": ["each"]}]}');
SELECT task_id AS t FROM tasker.create_task('many') \gset
SELECT steps_ready FROM tasker.claim_steps('w', 1, task_id => :t) c,
	tasker.complete_step(c.workflow_step_id, c.claim_token, jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 10000) i)));
SELECT count(*), min(step_no), max(step_no) FROM tasker.step_queue WHERE task_id = :t AND phase = 'r';
SELECT claimed, statuses, count(*) FROM pg_temp.in_batches('default/many', 2500) GROUP BY 1, 2 ORDER BY 1;
SELECT jsonb_array_length(pg_temp.result(:t, 'each')), pg_temp.result(:t, 'each') = (pg_temp.result(:t, 'list') -> 'a') AS in_order, pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;

-- 100,000 are the most.
SELECT created FROM tasker.register_task_template('{"name": "most", "steps": [{"name": "each", "map": {"over": "context.a", "parallelism": 10}}]}');
SELECT task_id AS t, state FROM tasker.create_task('most', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 100000) i))) \gset
SELECT count(*), count(DISTINCT inputs -> 'item') FROM tasker.task_extra_steps WHERE task_id = :t;
SELECT pg_temp.queue(:t), pg_temp.violations(:t);
SELECT step_name, inputs FROM tasker.claim_steps('w', 1, task_id => :t);
SELECT tasker.cancel_task(:t);
SELECT total_steps, cancelled_steps FROM tasker.get_task_execution_context(:t);
SELECT task_id AS t, state FROM tasker.create_task('most', jsonb_build_object('a', (SELECT jsonb_agg(i) FROM generate_series(1, 100001) i))) \gset
SELECT state, last_error FROM tasker.workflow_steps WHERE task_id = :t;
