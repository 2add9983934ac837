--
-- The view workflow_steps: every step of every task in every state, equal to what
-- the functions say, found by index.
--

SELECT name FROM tasker.register_task_template('{"name": "mix", "namespace": "view", "steps": [
	{"name": "done", "priority": 5}, {"name": "failed", "priority": 4, "retry": {"max_attempts": 1}}, {"name": "retrying", "priority": 3},
	{"name": "claimed", "priority": 2, "queue": "q"}, {"name": "ready", "priority": -1},
	{"name": "join", "depends_on": ["claimed", "ready"]}, {"name": "unborn", "depends_on": ["ready"]}]}');
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'view', priority => 32764) \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w1', task_id => :t) \gset
SELECT status FROM tasker.complete_step(:step, :token, '{"r": 1}');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w2', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '{"e": 2}');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w3', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '{"e": 3}', retry_after_seconds => 60);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w4', task_id => :t) \gset

SELECT step_no, workflow_step_id - task_id * 1000000 AS id, name, state, attempts, max_attempts AS max, priority, queue, remaining_parents AS parents,
	worker_id, results, last_error, checkpoint
FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT s.name, n.name = s.name AS named, visible_at IS NOT NULL AS visible, lease_expires_at - started_at AS lease, started_at IS NOT NULL AS started,
	finished_at >= started_at AS finished
FROM tasker.workflow_steps s JOIN tasker.named_steps n USING (named_step_id) WHERE task_id = :t ORDER BY s.step_no;

-- the same states, attempts and times as the readiness of the task
CREATE FUNCTION pg_temp.differences(t bigint) RETURNS TABLE (name text, view_state text, function_state text) LANGUAGE sql AS $$
	SELECT r.name, s.state, r.current_state FROM tasker.get_step_readiness_status(t) r
	FULL JOIN (SELECT * FROM tasker.workflow_steps WHERE task_id = t) s USING (workflow_step_id)
	WHERE (s.state, s.attempts, s.max_attempts, s.named_step_id, s.name, s.task_id)
		IS DISTINCT FROM (r.current_state, r.attempts, r.max_attempts, r.named_step_id, r.name, r.task_id) $$;
SELECT * FROM pg_temp.differences(:t);
SELECT status FROM tasker.complete_step(:step, :token, '1');
SELECT * FROM pg_temp.differences(:t);

-- the attempt that is running is not yet one that ended; the last error stays in sight
SET tasker_core.clock_offset = 61;
SELECT count(*) FROM tasker.claim_steps('w5', task_id => :t);
SELECT name, state, attempts, worker_id, last_error FROM tasker.workflow_steps WHERE task_id = :t AND name = 'retrying';
RESET tasker_core.clock_offset;
SELECT tasker.cancel_task(:t);
SELECT name, state, results, last_error, visible_at, lease_expires_at FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT * FROM pg_temp.differences(:t);

-- a task that ended in error: what never ran is pending
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'view') \gset
SELECT count(*) FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT state, count(*) FROM tasker.workflow_steps WHERE task_id = :t GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.differences(:t);

-- nobody but the owner writes, not even through the view
SELECT is_insertable_into FROM information_schema.tables WHERE table_schema = 'tasker' AND table_name = 'workflow_steps';

-- a condition on task_id reaches an index of every table that grows; among 3,000 tasks
CREATE FUNCTION pg_temp.scans(query text) RETURNS TABLE (relation text, sequential boolean) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT JSON, COSTS OFF) ' || query INTO plan;
	RETURN QUERY SELECT p->>'Relation Name', bool_or(p->>'Node Type' = 'Seq Scan')
		FROM jsonb_path_query(plan, '$.**{1 to 50} ? (exists (@."Relation Name"))') p
		WHERE p->>'Relation Name' IN ('tasks', 'step_queue', 'step_attempts_0') GROUP BY 1 ORDER BY 1;
END $$;
BEGIN;
SET LOCAL tasker_core.notify = off;
SELECT min(task_id) AS base FROM generate_series(1, 3000) i, tasker.create_task('mix', jsonb_build_object('i', i), 'view') \gset
SELECT count(*) FROM generate_series(1, 3), tasker.claim_steps('w', 2000, '{view}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
ANALYZE tasker.tasks, tasker.step_queue, tasker.step_attempts, tasker.named_steps;
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_steps WHERE task_id = %s', :base + 1500));
SELECT * FROM pg_temp.scans(format('SELECT state FROM tasker.workflow_steps WHERE task_id = %s AND name = ''join''', :base + 1500));
SELECT * FROM pg_temp.scans(format('SELECT * FROM tasker.workflow_steps WHERE task_id = ANY (''{%s,%s}'')', :base, :base + 1500));
ROLLBACK;
