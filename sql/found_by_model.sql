--
-- What the model test found, each as small as it gets: rules that meet, and
-- once disagreed.
--

SET client_min_messages = warning;
SELECT version FROM tasker.register_task_template('{"name": "chain", "namespace": "found", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]}');
SELECT version FROM tasker.register_task_template('{"name": "pair", "namespace": "found", "steps": [
	{"name": "a", "retry": {"retryable": false, "max_attempts": 3}}, {"name": "b"}]}');
SELECT version FROM tasker.register_task_template('{"name": "fast", "namespace": "found", "on_failure": "fail_fast", "steps": [
	{"name": "a", "retry": {"max_attempts": 1}}, {"name": "b"}]}');

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT t.state || ': ' || string_agg(s.name || ' ' || s.state, ', ' ORDER BY s.step_no)
	FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) WHERE t.task_id = task GROUP BY t.state $$;
CREATE FUNCTION pg_temp.doing(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(', ', execution_status, recommended_action, health_status) FROM tasker.get_task_execution_context(task) $$;

-- a skip stops at a step that people resolved: what comes after it has what it wants
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'found') \gset
SELECT steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 2, '"by hand"');
SELECT task_state, steps_ready FROM tasker.skip_step(:t * 1000000::bigint + 1);
SELECT pg_temp.states(:t);
SELECT step_name, dependency_results FROM tasker.claim_steps('w', task_id => :t);
SELECT * FROM tasker.verify_task(:t);

-- the state a step has is false, also where no person could lead it; then unknown, then over, then illegal
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'found') \gset
SELECT task_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT tasker.transition_step(:t * 1000000::bigint + 1, 'complete');
\set VERBOSITY sqlstate
SELECT tasker.transition_step(:t * 1000000::bigint + 2, 'complete');
SELECT tasker.transition_step(:t * 1000000::bigint + 3, 'complete');
SELECT tasker.reset_step(9223372036853000001);
SELECT tasker.cancel_task(:t);
SELECT tasker.transition_step(:t * 1000000::bigint + 2, 'complete');
\set VERBOSITY default
SELECT tasker.transition_step(:t * 1000000::bigint + 1, 'complete'), tasker.transition_step(:t * 1000000::bigint + 2, 'cancelled');

-- what fail_fast called off is cancelled, until something resumes the task
SELECT task_id AS t FROM tasker.create_task('fast', namespace => 'found') \gset
SELECT step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT tasker.transition_step(:t * 1000000::bigint + 2, 'cancelled', 'cancelled'), pg_temp.states(:t);
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT pg_temp.states(:t);

-- run_at holds for what is made ready by hand
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'found', run_at => clock_timestamp() + interval '1 hour') \gset
SELECT task_state, steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 1, '1');
SELECT name, ready_for_execution, next_retry_at > clock_timestamp() AS later
FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 2]);
SELECT pg_temp.doing(:t);
SET tasker_core.clock_offset = 3601;
SELECT step_name FROM tasker.claim_steps('w', task_id => :t);
RESET tasker_core.clock_offset;

-- a lost lease is an attempt like any other: a step that is not retryable had its last
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'found') \gset
SELECT step_name, attempt, max_attempts FROM tasker.claim_steps('w', task_id => :t, lease_seconds => 10);
SET tasker_core.clock_offset = 11;
SELECT step_name, attempt FROM tasker.claim_steps('w', 5, task_id => :t);
SELECT pg_temp.states(:t), pg_temp.doing(:t);
SELECT attempts, max_attempts, retry_eligible FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 1]);

-- blocked_by_failures is a task in error and no other; what went wrong stays in health_status
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 2, '1');
SELECT pg_temp.states(:t), pg_temp.doing(:t);
SELECT tasker.pause_task(:t), pg_temp.doing(:t);
SELECT tasker.transition_task(:t, 'resolved_manually'), pg_temp.doing(:t);
RESET tasker_core.clock_offset;
-- a complete task waits for nothing, whatever was cancelled in it
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'found') \gset
SELECT tasker.transition_step(:t * 1000000::bigint + 1, 'cancelled');
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 2, '1');
SELECT pg_temp.states(:t), pg_temp.doing(:t);
-- a failure beside a step that was put off blocks nothing yet
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'found') \gset
SELECT workflow_step_id AS a, claim_token AS a_token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.release_steps(array_agg(workflow_step_id), array_agg(claim_token), 60) FROM tasker.claim_steps('w', task_id => :t);
SELECT step_state, task_state FROM tasker.fail_step(:a, :a_token, '"x"');
SELECT pg_temp.states(:t), pg_temp.doing(:t);

-- the others of a map keep to its run_at, whatever a person does to one; the last two enter the queue later
SELECT created FROM tasker.register_task_template('{"name": "later", "namespace": "found", "steps": [
	{"name": "each", "run_at": "context.at", "delay_seconds": 60, "map": {"over": "context.n", "parallelism": 2}}]}');
SELECT task_id AS t FROM tasker.create_task('later', '{"n": [1, 2, 3, 4], "at": "2999-01-01T00:00"}', namespace => 'found') \gset
SELECT task_state, steps_ready FROM tasker.skip_step(:t * 1000000::bigint + 2);
SELECT task_state FROM tasker.reset_step(:t * 1000000::bigint + 3);
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 4, '3');
SELECT name, current_state, next_retry_at = '2999-01-01 00:00+00' AS at FROM tasker.get_step_readiness_status(:t);
SELECT count(*) FROM tasker.claim_steps('w', 5, task_id => :t);
-- nor is their delay counted anew
SELECT task_id AS t FROM tasker.create_task('later', '{"n": [1, 2, 3], "at": "2000-01-01T00:00"}', namespace => 'found') \gset
SET tasker_core.clock_offset = 61;
SELECT steps_ready FROM tasker.skip_step(:t * 1000000::bigint + 2);
SELECT step_name FROM tasker.claim_steps('w', 5, task_id => :t) ORDER BY 1;
RESET tasker_core.clock_offset;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
