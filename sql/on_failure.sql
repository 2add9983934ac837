-- What the final failure of a step means: on_failure of steps (fail, skip, continue) and of
-- templates (continue, fail_fast).

SET client_min_messages = warning;

-- a -> b -> d, a -> c -> d, d -> e; b is the one that fails
SELECT version, created, warnings FROM tasker.register_task_template('{"name": "skips", "namespace": "on_failure", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"], "on_failure": "skip"}, {"name": "c", "depends_on": ["a"]},
	{"name": "d", "depends_on": ["b", "c"]}, {"name": "e", "depends_on": ["d"]}]}');
SELECT version, created, warnings FROM tasker.register_task_template('{"name": "continues", "namespace": "on_failure", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"], "on_failure": "continue"}, {"name": "c", "depends_on": ["a"]},
	{"name": "d", "depends_on": ["b", "c"]}, {"name": "e", "depends_on": ["b"]}]}');
SELECT version, created, warnings FROM tasker.register_task_template('{"name": "fails fast", "namespace": "on_failure",
	"on_failure": "fail_fast", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]},
	{"name": "d", "depends_on": ["b", "c"]}, {"name": "e"}]}');
SELECT t.template -> 'on_failure' AS task, t.template #> '{steps,1}' -> 'on_failure' AS step
FROM (VALUES (tasker.get_task_template('skips', 'on_failure')), (tasker.get_task_template('fails fast', 'on_failure'))) AS t(template);

CREATE FUNCTION pg_temp.claim(task bigint, step text) RETURNS TABLE (id bigint, token bigint) LANGUAGE plpgsql AS $$
DECLARE
	claim record;
BEGIN
	FOR claim IN SELECT * FROM tasker.claim_steps('worker', 10, task_id => task) LOOP
		IF claim.step_name = step THEN
			id := claim.workflow_step_id;
			token := claim.claim_token;
			RETURN NEXT;
		ELSE
			PERFORM tasker.release_steps(ARRAY[claim.workflow_step_id], ARRAY[claim.claim_token]);
		END IF;
	END LOOP;
END $$;

CREATE FUNCTION pg_temp.complete(task bigint, step text) RETURNS text LANGUAGE sql AS $$
	SELECT r.task_state || ', ' || r.steps_ready || ' ready' FROM pg_temp.claim(task, step) AS c,
		tasker.complete_step(c.id, c.token, to_jsonb('result of ' || step)) AS r $$;

CREATE FUNCTION pg_temp.fail(task bigint, step text) RETURNS text LANGUAGE sql AS $$
	SELECT r.step_state || ', task ' || r.task_state FROM pg_temp.claim(task, step) AS c,
		tasker.fail_step(c.id, c.token, '"broken"', false) AS r $$;

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(s.name || ' ' || s.state, ', ' ORDER BY s.name) FROM tasker.workflow_steps AS s WHERE s.task_id = task $$;

-- skip: the children are skipped, and so on down; a branch beside it goes on; the task completes
SELECT task_id AS task FROM tasker.create_task('skips', namespace => 'on_failure') \gset
SELECT pg_temp.complete(:task, 'a');
SELECT pg_temp.fail(:task, 'b');
SELECT pg_temp.states(:task);
SELECT name, dependencies_satisfied, completed_parents FROM tasker.get_step_readiness_status(:task) WHERE name IN ('d', 'e');
SELECT * FROM tasker.verify_task(:task);
SELECT pg_temp.complete(:task, 'c');
SELECT pg_temp.states(:task);
SELECT status, failed_steps, skipped_steps, execution_status, completion_percentage, health_status
FROM tasker.get_task_execution_context(:task);
SELECT m.step_no, m.verb, m.from_state, m.to_state FROM tasker.step_moves AS m
WHERE m.task_id = :task AND m.verb = 'cascade' ORDER BY 1;
SELECT * FROM tasker.verify_task(:task);
-- the same the other way round: the join's other parent is done already
SELECT task_id AS task FROM tasker.create_task('skips', namespace => 'on_failure') \gset
SELECT pg_temp.complete(:task, 'a'), pg_temp.complete(:task, 'c');
SELECT pg_temp.fail(:task, 'b');
SELECT pg_temp.states(:task);
SELECT count(*) AS rows_left FROM tasker.step_queue WHERE task_id = :task;
SELECT * FROM tasker.verify_task(:task);

-- continue: the children run, and are given null
SELECT task_id AS task FROM tasker.create_task('continues', namespace => 'on_failure') \gset
SELECT pg_temp.complete(:task, 'a');
SELECT pg_temp.fail(:task, 'b');
SELECT name, dependencies_satisfied, completed_parents, total_parents FROM tasker.get_step_readiness_status(:task)
WHERE name IN ('d', 'e') ORDER BY 1;
SELECT pg_temp.complete(:task, 'e');
SELECT pg_temp.complete(:task, 'c');
SELECT step_name, dependency_results FROM tasker.claim_steps('worker', 1, task_id => :task);
\set VERBOSITY sqlstate
SELECT tasker.reset_step(:task * 1000000::bigint + 2);
\set VERBOSITY default
SELECT tasker.retry_task(:task);
SELECT * FROM tasker.verify_task(:task);

-- fail_fast: the rest is called off at once, and workers that hold a step are fenced
SELECT task_id AS task FROM tasker.create_task('fails fast', namespace => 'on_failure') \gset
SELECT pg_temp.complete(:task, 'a');
SELECT id AS c_id, token AS c_token FROM pg_temp.claim(:task, 'c') \gset
SELECT pg_temp.fail(:task, 'b');
SELECT pg_temp.states(:task);
SELECT count(*) AS rows_left FROM tasker.step_queue WHERE task_id = :task;
\set VERBOSITY sqlstate
SELECT tasker.complete_step(:c_id, :c_token, '1');
\set VERBOSITY default
SELECT * FROM tasker.verify_task(:task);
-- retried, it goes on with all of it
SELECT tasker.retry_task(:task, 'mended');
SELECT pg_temp.states(:task);
SELECT * FROM tasker.verify_task(:task);
SELECT pg_temp.complete(:task, 'b'), pg_temp.complete(:task, 'c'), pg_temp.complete(:task, 'e');
SELECT pg_temp.complete(:task, 'd');
SELECT * FROM tasker.verify_task(:task);

-- an expired lease that was the last attempt follows the same rules
SELECT version FROM tasker.register_task_template('{"name": "expires", "namespace": "on_failure", "on_failure": "fail_fast", "steps": [
	{"name": "a", "retry": {"max_attempts": 1}}, {"name": "b"}, {"name": "c", "depends_on": ["a", "b"]}]}');
SELECT task_id AS task FROM tasker.create_task('expires', namespace => 'on_failure') \gset
SELECT count(*) FROM tasker.claim_steps('dies', 1, lease_seconds => 1, task_id => :task);
SET tasker_core.clock_offset = 10;
SELECT step_name FROM tasker.claim_steps('worker', 5, task_id => :task);
SELECT pg_temp.states(:task);
SELECT status, execution_status FROM tasker.get_task_execution_context(:task);
SELECT * FROM tasker.verify_task(:task);
RESET tasker_core.clock_offset;
