--
-- The history of every step, derived, and how the views find one task among many.
--

SELECT name FROM tasker.register_task_template('{"name": "mix", "namespace": "views", "steps": [
	{"name": "a", "retry": {"max_attempts": 5}}, {"name": "b", "depends_on": ["a"], "retry": {"max_attempts": 1}}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}');
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'views') \gset
CREATE FUNCTION pg_temp.history(t bigint) RETURNS TABLE (step bigint, name text, from_state text, to_state text, who text, why text) LANGUAGE sql AS $$
	SELECT workflow_step_id - task_id * 1000000, name, from_state, to_state, CASE who WHEN session_user THEN 'me' ELSE who END, why
	FROM tasker.workflow_step_transitions WHERE task_id = t ORDER BY workflow_step_id, transition_no $$;
SELECT * FROM pg_temp.history(:t);

-- a claim, given back; a lease that was lost; a failure; completed
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w1', task_id => :t) \gset
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token]);
SELECT count(*) FROM tasker.claim_steps('w2', task_id => :t, lease_seconds => 1);
SET tasker_core.clock_offset = 10;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w3', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '"x"', retry_after_seconds => 0);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w4', task_id => :t) \gset
SELECT * FROM pg_temp.history(:t);
SET tasker_core.clock_offset = 11;
SELECT status FROM tasker.complete_step(:step, :token, '1');
-- failed for good, reset; then resolved while a worker holds it
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w5', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '"x"');
SET tasker_core.clock_offset = 12;
SELECT steps_ready FROM tasker.reset_step(:step, 'again');
SET tasker_core.clock_offset = 13;
SELECT step_name FROM tasker.claim_steps('w6', 2, task_id => :t);
SET tasker_core.clock_offset = 14;
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 2, '1');
SET tasker_core.clock_offset = 15;
-- with the task everything that has not ended is cancelled, and once
SELECT tasker.cancel_task(:t, 'enough');
SELECT * FROM pg_temp.history(:t);
-- from each state to the next, from pending to the present one, in order
SELECT count(*) AS broken FROM (SELECT from_state, lag(to_state, 1, 'pending') OVER w AS before, at >= lag(at, 1, at) OVER w AS in_order FROM tasker.workflow_step_transitions
	WHERE task_id = :t WINDOW w AS (PARTITION BY workflow_step_id ORDER BY transition_no)) x WHERE from_state <> before OR NOT in_order;
SELECT s.name, s.state, h.to_state FROM tasker.workflow_steps s LEFT JOIN LATERAL (SELECT to_state FROM tasker.workflow_step_transitions WHERE task_id = :t AND workflow_step_id = s.workflow_step_id
	ORDER BY transition_no DESC LIMIT 1) h ON true WHERE s.task_id = :t AND s.state IS DISTINCT FROM h.to_state;
RESET tasker_core.clock_offset;

-- a task in error keeps its failed step when it is cancelled
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'views') \gset
SELECT count(*) FROM tasker.claim_steps('w1', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT tasker.transition_task(:t, 'resolved_manually', reason => 'done by phone');
SELECT * FROM pg_temp.history(:t);

-- a task that fails fast takes along what has not ended
SELECT name FROM tasker.register_task_template('{"name": "fast", "namespace": "views", "on_failure": "fail_fast", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c", "depends_on": ["b"]}]}');
SELECT task_id AS t FROM tasker.create_task('fast', namespace => 'views') \gset
SELECT step_name, task_state FROM tasker.claim_steps('w1', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false) WHERE step_name = 'a';
SELECT * FROM pg_temp.history(:t);
SELECT name, reason, regexp_replace(detail, '\d{4}-\S+|role \S+', 'T', 'g') AS detail FROM tasker.workflow_steps, tasker.explain_step(workflow_step_id) WHERE task_id = :t ORDER BY step_no, reason;
SELECT tasker.retry_task(:t);
SELECT name, to_state FROM tasker.workflow_step_transitions WHERE task_id = :t AND to_state IN ('pending', 'cancelled') ORDER BY workflow_step_id, transition_no;
SELECT tasker.cancel_task(:t);

-- ---------------------------------------------------------------------------
-- One task among 100,000: no table that grows with tasks is read as a whole
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.scans(query text) RETURNS TABLE (relation text, sequential boolean) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF) ' || query INTO plan;
	RETURN QUERY SELECT p->>'Relation Name', bool_or(p->>'Node Type' = 'Seq Scan')
		FROM jsonb_path_query(plan, '$.**{1 to 50} ? (exists (@."Relation Name"))') p
		WHERE p->>'Relation Name' IN ('tasks', 'step_queue', 'step_attempts_0', 'step_moves_0', 'task_transitions_0') GROUP BY 1 ORDER BY 1;
END $$;
BEGIN;
SET LOCAL tasker_core.notify = off;
SELECT min(task_id) AS base FROM generate_series(1, 100000) i, tasker.create_task('mix', jsonb_build_object('i', i), 'views') \gset
SELECT count(*) FROM tasker.claim_steps('w', 3000, '{views}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT count(tasker.release_steps(ARRAY[workflow_step_id], ARRAY[claim_token])) FROM tasker.claim_steps('w', 2500, '{views}');
SELECT count(tasker.cancel_task(:base + i)) FROM generate_series(0, 99) i;
ANALYZE tasker.tasks, tasker.step_queue, tasker.step_attempts, tasker.step_moves, tasker.task_transitions, tasker.named_steps, tasker.named_step_edges;
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_steps WHERE task_id = %s', :base + 60000));
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_step_edges WHERE task_id = %s', :base + 60000));
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.step_dag_relationships WHERE task_id = %s', :base + 60000));
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_step_transitions WHERE task_id = %s', :base + 60000));
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_step_transitions WHERE task_id = ANY (''{%s,%s}'')', :base, :base + 60000));
ROLLBACK;

-- no index of tasks names what changes while a task runs, so every update can be HOT
SELECT DISTINCT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) WHERE i.indrelid = 'tasker.tasks'::regclass
	AND a.attname IN ('state', 'failed_steps', 'paused_at', 'started_at', 'finished_at');

SELECT table_name, is_insertable_into FROM information_schema.tables WHERE table_schema = 'tasker' AND table_type = 'VIEW' ORDER BY 1;
