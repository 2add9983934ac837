-- A claim for one task closes that task's exhausted leases, however many others came first.

SET client_min_messages = warning;

SELECT created FROM tasker.register_task_template('{"name": "once", "namespace": "exhausted", "steps": [{"name": "a", "retry": {"max_attempts": 1}}]}');
SELECT max(task_id) AS t FROM tasker.create_tasks((SELECT jsonb_agg('{"name": "once", "namespace": "exhausted"}'::jsonb) FROM generate_series(1, 102))) \gset
SELECT count(*) FROM tasker.claim_steps('gone', 200, '{exhausted}', lease_seconds => 1);
SET tasker_core.clock_offset = 60;
SELECT step_name FROM tasker.claim_steps('next', task_id => :t);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT count(*) FROM tasker.step_queue JOIN tasker.tasks USING (task_id) WHERE task_id <= :t AND worker_id = 'gone';
RESET tasker_core.clock_offset;
