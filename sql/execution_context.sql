--
-- get_task_execution_context: the counts add up in every state, each execution
-- status with its action and health, percentages.
--

SELECT name FROM tasker.register_task_template('{"name": "fork", "namespace": "context", "steps": [
	{"name": "a", "retry": {"jitter": 0}}, {"name": "b"}, {"name": "join", "depends_on": ["a", "b"]}]}');

CREATE FUNCTION pg_temp.context(t bigint) RETURNS TABLE (status text, total bigint, pending bigint, in_progress bigint, waiting bigint, completed bigint, failed bigint,
	cancelled bigint, skipped bigint, ready bigint, adds_up boolean, execution_status text, recommended_action text, percent numeric, health text) LANGUAGE sql AS $$
	SELECT status, total_steps, pending_steps, in_progress_steps, waiting_for_retry_steps, completed_steps, failed_steps, cancelled_steps, skipped_steps, ready_steps,
		total_steps = pending_steps + in_progress_steps + waiting_for_retry_steps + completed_steps + failed_steps + cancelled_steps + skipped_steps,
		execution_status, recommended_action, completion_percentage, health_status
	FROM tasker.get_task_execution_context(t) $$;
CREATE FUNCTION pg_temp.claim(t bigint, OUT step bigint, OUT token bigint) LANGUAGE sql AS $$
	SELECT workflow_step_id, claim_token FROM tasker.claim_steps('w', task_id => t) $$;

-- ---------------------------------------------------------------------------
-- From ready to complete
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'context') \gset
SELECT c.task_id = :t AS task, c.named_task_id = t.named_task_id AS template FROM tasker.get_task_execution_context(:t) c, tasker.tasks t WHERE t.task_id = :t;
SELECT * FROM pg_temp.context(:t);
SELECT step AS a, token AS a_token FROM pg_temp.claim(:t) \gset
SELECT * FROM pg_temp.context(:t);
SELECT step AS b, token AS b_token FROM pg_temp.claim(:t) \gset
SELECT * FROM pg_temp.context(:t);
SELECT steps_ready FROM tasker.complete_step(:a, :a_token, '1');
SELECT * FROM pg_temp.context(:t);
SELECT steps_ready FROM tasker.complete_step(:b, :b_token, '1');
SELECT * FROM pg_temp.context(:t);
SELECT task_state FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT * FROM pg_temp.context(:t);

-- ---------------------------------------------------------------------------
-- Failures
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'context') \gset
SELECT step AS a, token AS a_token FROM pg_temp.claim(:t) \gset
SELECT step AS b, token AS b_token FROM pg_temp.claim(:t) \gset
-- a retry beside a claim, and beside nothing
SELECT step_state FROM tasker.fail_step(:a, :a_token, '"x"', retry_after_seconds => 60);
SELECT * FROM pg_temp.context(:t);
SELECT steps_ready FROM tasker.complete_step(:b, :b_token, '1');
SELECT * FROM pg_temp.context(:t);
-- its time has come: ready, and counted among those that wait for a retry
SET tasker_core.clock_offset = 61;
SELECT * FROM pg_temp.context(:t);
SELECT step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '"x"', false);
SELECT * FROM pg_temp.context(:t);
RESET tasker_core.clock_offset;
-- called off after a failure
SELECT tasker.cancel_task(:t);
SELECT status, failed, cancelled, ready, adds_up, execution_status, recommended_action FROM pg_temp.context(:t);

-- a failure beside a ready branch, a claimed one, one that waits for a retry
SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'context') \gset
SELECT step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '"x"', false);
SELECT * FROM pg_temp.context(:t);
SELECT step AS b, token AS b_token FROM pg_temp.claim(:t) \gset
SELECT * FROM pg_temp.context(:t);
SELECT step_state, task_state FROM tasker.fail_step(:b, :b_token, '"x"', retry_after_seconds => 60);
SELECT * FROM pg_temp.context(:t);

-- ---------------------------------------------------------------------------
-- Scheduled, delayed, cancelled
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'context', run_at => '2100-01-01') \gset
SELECT * FROM pg_temp.context(:t);
SELECT tasker.cancel_task(:t);
SELECT * FROM pg_temp.context(:t);

-- everything there is waits for a time without a failure: a released claim
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "context", "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'context') \gset
SELECT tasker.release_steps(ARRAY[step], ARRAY[token], 60) FROM pg_temp.claim(:t);
SELECT * FROM pg_temp.context(:t);
SET tasker_core.clock_offset = 61;
SELECT * FROM pg_temp.context(:t);
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Percentages are rounded to two places
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'wide', 'namespace', 'context', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', 's' || i)) FROM generate_series(1, 7) i)));
CREATE FUNCTION pg_temp.percentages() RETURNS TABLE (percent numeric, remaining bigint) LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task('wide', namespace => 'context'));
BEGIN
	FOR i IN 0 .. 7 LOOP
		RETURN QUERY SELECT completion_percentage, ready_steps FROM tasker.get_task_execution_context(t);
		PERFORM tasker.complete_step(step, token, '1') FROM pg_temp.claim(t) WHERE step IS NOT NULL;
	END LOOP;
END $$;
SELECT * FROM pg_temp.percentages();

-- ---------------------------------------------------------------------------
-- Unknown tasks, batches
-- ---------------------------------------------------------------------------

SELECT count(*) FROM tasker.get_task_execution_context(9223372036854775807);
SELECT count(*) FROM tasker.get_task_execution_contexts_batch('{}');
SELECT count(*), count(DISTINCT task_id) FROM tasker.get_task_execution_contexts_batch(ARRAY[:t, -1, 0, :t + 1, 9223372036854775807]);
SELECT s IS NOT DISTINCT FROM b AS same FROM tasker.get_task_execution_context(:t) s, tasker.get_task_execution_contexts_batch(ARRAY[:t]) b;
