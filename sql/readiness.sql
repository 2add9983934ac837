--
-- get_step_readiness_status: every column in every state, and a filter that
-- chooses rows without changing any.
--

SELECT name FROM tasker.register_task_template('{"name": "mix", "namespace": "ready", "steps": [
	{"name": "root", "retry": {"max_attempts": 4}}, {"name": "left", "depends_on": ["root"]}, {"name": "right", "depends_on": ["root"], "retry": {"jitter": 0}},
	{"name": "join", "depends_on": ["left", "right"]}, {"name": "end", "depends_on": ["join"]}, {"name": "never", "priority": -1, "retry": {"retryable": false, "max_attempts": 1}}]}');

-- all columns but the times, which are shown by what they are near to
CREATE FUNCTION pg_temp.readiness(t bigint) RETURNS TABLE (step bigint, name text, state text, deps boolean, eligible boolean, ready boolean, parents text,
	attempts text, asked int, failed boolean, attempted boolean, retry interval) LANGUAGE sql AS $$
	SELECT workflow_step_id - task_id * 1000000, name, current_state, dependencies_satisfied, retry_eligible, ready_for_execution,
		completed_parents || '/' || total_parents, attempts || '/' || max_attempts, backoff_request_seconds, last_failure_at IS NOT NULL,
		last_attempted_at IS NOT NULL, next_retry_at - last_failure_at
	FROM tasker.get_step_readiness_status(t) $$;

SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'ready') \gset

-- ids, names and order
SELECT r.workflow_step_id = :t * 1000000::bigint + ordinality AS id, r.task_id = :t AS task, s.name = r.name AS name, s.step_no = ordinality AS place
FROM tasker.get_step_readiness_status(:t) WITH ORDINALITY r JOIN tasker.named_steps s USING (named_step_id) ORDER BY ordinality;

SELECT * FROM pg_temp.readiness(:t);

-- claimed
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT * FROM pg_temp.readiness(:t) WHERE step < 3;
SELECT last_attempted_at = (SELECT claimed_at FROM tasker.step_queue WHERE task_id = :t AND step_no = 1) AS at_the_claim FROM tasker.get_step_readiness_status(:t, ARRAY[:step]);

-- waiting for a retry that a server asked for
SELECT step_state FROM tasker.fail_step(:step, :token, '"x"', retry_after_seconds => 7.5);
SELECT * FROM pg_temp.readiness(:t) WHERE step < 3;
-- over
SET tasker_core.clock_offset = 8;
SELECT * FROM pg_temp.readiness(:t) WHERE step < 3;
-- claimed again, complete: the children are ready, the failure is remembered
SELECT task_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT * FROM pg_temp.readiness(:t);

-- one parent of the join complete, the other waits for its backoff
SELECT steps_ready FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '2');
SELECT step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT * FROM pg_temp.readiness(:t);
-- nothing is left but that and the step that may not be retried
SELECT step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT * FROM pg_temp.readiness(:t) WHERE step IN (3, 4, 6);
RESET tasker_core.clock_offset;
SELECT tasker.cancel_task(:t);
SELECT * FROM pg_temp.readiness(:t);

-- ---------------------------------------------------------------------------
-- Filters choose rows and change none
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'ready') \gset
SELECT count(*) FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
-- all 64 subsets of six steps; the child alone, its parent outside the filter
SELECT count(*) AS subsets, sum(n) AS rows, sum(wrong) AS wrong
FROM generate_series(0, 63) mask, LATERAL (SELECT array_agg(:t * 1000000::bigint + i) FILTER (WHERE mask & (1 << (i - 1)) <> 0) AS ids FROM generate_series(1, 6) i) s,
	LATERAL (SELECT count(f) AS n, count(*) FILTER (WHERE f IS DISTINCT FROM a) AS wrong
		FROM (SELECT * FROM tasker.get_step_readiness_status(:t) WHERE workflow_step_id = ANY (coalesce(s.ids, '{}'))) a
		FULL JOIN tasker.get_step_readiness_status(:t, coalesce(s.ids, '{}')) f USING (workflow_step_id)) c;
SELECT name, current_state, dependencies_satisfied, completed_parents FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 2]);
-- in order and once, however the filter is written; ids of others choose nothing
SELECT name FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 5, :t * 1000000::bigint + 1, :t * 1000000::bigint + 5, 1, 0, -1, 9223372036854775807, :t * 1000000::bigint, :t * 1000000::bigint + 7]);
SELECT count(*) AS empty FROM tasker.get_step_readiness_status(:t, '{}');
SELECT count(*) AS all FROM tasker.get_step_readiness_status(:t, NULL);

-- ---------------------------------------------------------------------------
-- Unknown tasks, batches
-- ---------------------------------------------------------------------------

SELECT count(*) FROM tasker.get_step_readiness_status(9223372036854775807);
SELECT count(*) FROM tasker.get_step_readiness_status(0);
SELECT count(*) FROM tasker.get_step_readiness_status(-1);

SELECT min(task_id) AS base FROM generate_series(1, 3) i, tasker.create_task('mix', jsonb_build_object('i', i), 'ready') \gset
SELECT count(*) AS batch FROM tasker.get_step_readiness_status_batch(ARRAY[:base, :base + 2, 0, -1, 9223372036854775807]);
-- the union of the single calls
SELECT count(*) FROM (
	(SELECT * FROM tasker.get_step_readiness_status(:t) UNION ALL SELECT * FROM tasker.get_step_readiness_status(:base))
	EXCEPT SELECT * FROM tasker.get_step_readiness_status_batch(ARRAY[:t, :base])) x;
SELECT count(*) AS empty FROM tasker.get_step_readiness_status_batch('{}');
-- a task's rows together, in the order of the call
SELECT string_agg((task_id - :base)::text, '' ORDER BY ordinality) FROM tasker.get_step_readiness_status_batch(ARRAY[:base + 2, :base]) WITH ORDINALITY;

-- what ready says is what can be claimed
SELECT string_agg(name, ',' ORDER BY name) AS ready FROM tasker.get_step_readiness_status(:base) WHERE ready_for_execution \gset
SELECT string_agg(step_name, ',' ORDER BY step_name) = :'ready' AS all_claimed FROM tasker.claim_steps('w', 100, task_id => :base);
SELECT count(*) AS ready_after FROM tasker.get_step_readiness_status(:base) WHERE ready_for_execution;
