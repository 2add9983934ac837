--
-- complete_steps: a batch in which one bad item spoils nothing, answered in the
-- order of the call, several tasks and both parents of a join at once.
--

SELECT name FROM tasker.register_task_template('{"name": "diamond", "namespace": "batch", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}');

-- claims what there is and keeps it, with the position of the task in this file
CREATE TEMP TABLE claims (task int, step_no int, id bigint, token bigint, dependency_results jsonb);
CREATE FUNCTION pg_temp.claim(base bigint) RETURNS SETOF text LANGUAGE sql AS $$
	WITH c AS (INSERT INTO claims SELECT task_id - base, workflow_step_id % 1000000, workflow_step_id, claim_token, dependency_results
		FROM tasker.claim_steps('w', 100, '{batch}') RETURNING *)
	SELECT task || '.' || step_no || ' ' || dependency_results FROM c ORDER BY task, step_no $$;

SELECT min(task_id) AS base FROM generate_series(1, 3) i, tasker.create_task('diamond', jsonb_build_object('i', i), 'batch') \gset
SELECT pg_temp.claim(:base);

-- ---------------------------------------------------------------------------
-- Several tasks; the answer is in the order of the call
-- ---------------------------------------------------------------------------

SELECT ordinality AS n, r.task_id - :base AS task, r.workflow_step_id % 1000000 AS step_no, r.status, r.task_state, r.steps_ready
FROM (SELECT array_agg(id ORDER BY task DESC) AS ids, array_agg(token ORDER BY task DESC) AS tokens,
	array_agg(to_jsonb(task) ORDER BY task DESC) AS results FROM claims) c,
	tasker.complete_steps(c.ids, c.tokens, c.results) WITH ORDINALITY r;
DELETE FROM claims;
SELECT pg_temp.claim(:base);

-- ---------------------------------------------------------------------------
-- Both parents of a join in one batch; what is bad stays what it is
-- ---------------------------------------------------------------------------

SELECT id AS lost, token AS lost_token FROM claims WHERE task = 2 AND step_no = 2 \gset
SELECT tasker.release_steps(ARRAY[:lost], ARRAY[:lost_token]);
SELECT status AS first FROM claims c, tasker.complete_step(c.id, c.token, '"first"') WHERE c.task = 1 AND c.step_no = 3;

SELECT ordinality AS n, r.task_id - :base AS task, CASE WHEN r.workflow_step_id / 1000000 BETWEEN :base AND :base + 2 THEN r.workflow_step_id % 1000000 ELSE r.workflow_step_id END AS step,
	r.status, r.task_state, r.steps_ready
FROM (SELECT array_agg(id ORDER BY task, step_no) AS ids, array_agg(token ORDER BY task, step_no) AS tokens,
	array_agg(to_jsonb(task || '.' || step_no) ORDER BY task, step_no) AS results FROM claims) c,
	tasker.complete_steps(c.ids || ARRAY[9223372036854775807, -1, 0, 999999, :base * 1000000::bigint + 4, :base * 1000000::bigint + 1, :base * 1000000::bigint + 5],
		c.tokens || ARRAY[1, 2, 3, 4, 5, 6, 7]::bigint[],
		c.results || ARRAY['1', '2', '3', '4', '5', '6', '7']::jsonb[]) WITH ORDINALITY r;

SELECT task_id - :base AS task, step_no, phase, remaining_parents FROM tasker.step_queue WHERE task_id >= :base ORDER BY 1, 2;
SELECT task_id - :base AS task, step_no, results FROM tasker.step_attempts WHERE task_id >= :base ORDER BY 1, 2;

-- ---------------------------------------------------------------------------
-- The batch again: quiet, and nothing new
-- ---------------------------------------------------------------------------

SELECT r.task_id - :base AS task, r.workflow_step_id % 1000000 AS step, r.status, r.task_state, r.steps_ready
FROM (SELECT array_agg(id) AS ids, array_agg(token) AS tokens, array_agg('"again"'::jsonb) AS results FROM claims) c,
	tasker.complete_steps(c.ids, c.tokens, c.results) r ORDER BY 1, 2;
SELECT count(*) FROM tasker.step_attempts WHERE task_id >= :base AND results = '"again"';
DELETE FROM claims;
SELECT pg_temp.claim(:base);
SELECT r.task_id - :base AS task, r.workflow_step_id % 1000000 AS step, r.status, r.task_state, r.steps_ready
FROM (SELECT array_agg(id) AS ids, array_agg(token) AS tokens, array_agg('"end"'::jsonb) AS results FROM claims) c,
	tasker.complete_steps(c.ids, c.tokens, c.results) r ORDER BY 1, 2;
DELETE FROM claims;
SELECT pg_temp.claim(:base);
SELECT r.task_id - :base AS task, r.workflow_step_id % 1000000 AS step, r.status, r.task_state, r.steps_ready
FROM (SELECT array_agg(id) AS ids, array_agg(token) AS tokens, array_agg('"end"'::jsonb) AS results FROM claims) c,
	tasker.complete_steps(c.ids, c.tokens, c.results) r ORDER BY 1, 2;
SELECT task_id - :base AS task, state FROM tasker.tasks WHERE task_id >= :base ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Edges
-- ---------------------------------------------------------------------------

SELECT count(*) FROM tasker.complete_steps('{}', '{}', '{}');

-- 500 tasks end in one call
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "batch_one", "steps": [{"name": "s"}]}');
SELECT min(task_id) AS base FROM generate_series(1, 500) i, tasker.create_task('one', jsonb_build_object('i', i), 'batch_one') \gset
SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens, array_agg('true'::jsonb) AS results
FROM tasker.claim_steps('w', 1000, '{batch_one}') \gset
SELECT status, task_state, steps_ready, count(*) FROM tasker.complete_steps(:'ids', :'tokens', :'results') GROUP BY 1, 2, 3;
SELECT state, count(*) FROM tasker.tasks WHERE task_id >= :base GROUP BY 1;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
