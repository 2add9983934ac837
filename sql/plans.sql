--
-- Plans: no verb of a worker and no question about a task reads a growing table
-- from end to end, however small the tables are when the plan is made.
--

SELECT created FROM tasker.register_task_template('{"name": "diamond", "namespace": "plans", "identity_strategy": "strict", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}');

-- A session of its own makes its plans while the tables hold next to nothing, or
-- look as if they did.
BEGIN;
SELECT count(*) FROM pg_stat_xact_user_tables WHERE schemaname = 'tasker' AND seq_scan > 0 AND relname IN ('tasks', 'step_queue', 'step_attempts_0', 'task_transitions_0', 'step_moves_0', 'idempotency_keys', 'workers');
SELECT task_id AS t FROM tasker.create_task('diamond', '{"x": 1}', 'plans') \gset
SELECT created FROM tasker.create_task('diamond', '{"x": 1}', 'plans');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('plans', 1, '{plans}') \gset
SELECT count(*) AS lost FROM tasker.heartbeat('plans', ARRAY[:step], ARRAY[:token]);
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token]);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('plans', 1, task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '1', retry_after_seconds => 0);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('plans', 1, '{plans}', 0.1) \gset
SET LOCAL tasker_core.clock_offset = 1;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('plans', 1, '{plans}', 0.1) \gset
SELECT steps_ready FROM tasker.complete_step(:step, :token, '1');
SELECT status FROM tasker.complete_step(:step, :token, '1');
SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens FROM tasker.claim_steps('plans', 10, '{plans}') \gset
SELECT status FROM tasker.complete_steps(:'ids', :'tokens', '{1,1}');
SELECT current_state FROM tasker.get_step_readiness_status(:t);
SELECT count(*) FROM tasker.get_step_readiness_status_batch(ARRAY[:t]);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT count(*) FROM tasker.get_task_execution_contexts_batch(ARRAY[:t]);
SELECT count(*) FROM tasker.verify_task(:t);
SELECT step_state FROM tasker.claim_steps('plans', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT task_id AS u FROM tasker.create_task('diamond', '{"x": 2}', 'plans') \gset
SELECT tasker.cancel_task(:u);
SELECT relname, seq_scan AS sequential, idx_scan > 0 AS by_index FROM pg_stat_xact_user_tables
WHERE schemaname = 'tasker' AND relname IN ('tasks', 'step_queue', 'step_attempts_0', 'task_transitions_0', 'step_moves_0', 'idempotency_keys', 'workers') ORDER BY 1;
ROLLBACK;

-- an expired last attempt is found by index too
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "plans", "steps": [{"name": "s", "retry": {"max_attempts": 1}}]}');
BEGIN;
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'plans') \gset
SELECT count(*) FROM tasker.claim_steps('plans', 1, '{plans}', 0.1);
SET LOCAL tasker_core.clock_offset = 1;
SELECT count(*) FROM tasker.claim_steps('plans', 1, '{plans}', 0.1);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT sum(seq_scan) AS sequential FROM pg_stat_xact_user_tables WHERE schemaname = 'tasker' AND relname IN ('step_queue', 'step_attempts_0', 'task_transitions_0');
ROLLBACK;

-- the session's own planner settings are left alone
SELECT name, setting FROM pg_settings WHERE name IN ('enable_seqscan', 'enable_hashjoin', 'enable_mergejoin', 'enable_bitmapscan', 'jit') AND setting IS DISTINCT FROM boot_val;
