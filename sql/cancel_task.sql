--
-- cancel_task: everything that has not ended is cancelled, workers are fenced,
-- what is done stays; final tasks refuse.
--

SELECT name FROM tasker.register_task_template('{"name": "mix", "namespace": "cancel", "steps": [
	{"name": "done"}, {"name": "failed", "retry": {"max_attempts": 1}}, {"name": "retrying"}, {"name": "claimed"}, {"name": "ready"},
	{"name": "join", "depends_on": ["claimed", "ready"]}, {"name": "unborn", "depends_on": ["ready"]}, {"name": "after", "depends_on": ["done"]}]}');
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "cancel", "steps": [{"name": "s"}]}');

-- claims the step with this name; whatever else is claimed on the way is given back
CREATE FUNCTION pg_temp.claim(t bigint, name text, OUT step bigint, OUT token bigint) LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE claimed ON COMMIT DROP AS SELECT * FROM tasker.claim_steps('w', 100, task_id => t);
	SELECT workflow_step_id, claim_token INTO step, token FROM claimed WHERE step_name = name;
	PERFORM tasker.release_steps(array_agg(workflow_step_id), array_agg(claim_token)) FROM claimed WHERE step_name <> name HAVING count(*) > 0;
END $$;

-- ---------------------------------------------------------------------------
-- A task with a step in every state
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'cancel') \gset
SELECT task_state FROM pg_temp.claim(:t, 'done') c, tasker.complete_step(c.step, c.token, '"kept"');
SELECT step_state FROM pg_temp.claim(:t, 'failed') c, tasker.fail_step(c.step, c.token, '"why"');
SELECT step_state FROM pg_temp.claim(:t, 'retrying') c, tasker.fail_step(c.step, c.token, '"again"', retry_after_seconds => 50);
SELECT step, token FROM pg_temp.claim(:t, 'claimed') \gset
SELECT name, state FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT count(*) AS moves FROM tasker.step_moves WHERE task_id = :t \gset

SELECT tasker.cancel_task(:t, 'customer left');

SELECT name, state, results, last_error FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT name, current_state, retry_eligible, ready_for_execution, next_retry_at FROM tasker.get_step_readiness_status(:t) ORDER BY 1;
SELECT state, failed_steps, finished_at IS NOT NULL AS finished FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state, reason, recorded_by = session_user AS by_me FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT count(*) AS queued FROM tasker.step_queue WHERE task_id = :t;
-- the claim that was cut off is on record, with the reason
SELECT step_no, from_state, to_state, worker_id, reason FROM tasker.step_moves WHERE task_id = :t ORDER BY move_id OFFSET :moves;
SELECT total_steps, pending_steps, in_progress_steps, completed_steps, failed_steps, ready_steps, waiting_for_retry_steps, cancelled_steps, skipped_steps,
	execution_status, recommended_action, completion_percentage FROM tasker.get_task_execution_context(:t);

-- the worker is fenced
\set VERBOSITY sqlstate
SELECT tasker.complete_step(:step, :token, '1');
SELECT tasker.fail_step(:step, :token, '1');
\set VERBOSITY default
SELECT status, task_state FROM tasker.complete_steps(ARRAY[:step], ARRAY[:token], ARRAY['1'::jsonb]);
SELECT workflow_step_id = :step AS lost FROM tasker.heartbeat('w', ARRAY[:step], ARRAY[:token]);
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token]);
SET tasker_core.clock_offset = 5000;
SELECT count(*) AS claimable FROM tasker.claim_steps('w', 10, task_id => :t);
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- From every state of a task
-- ---------------------------------------------------------------------------

-- cancelled already: false, and nothing is written
SELECT tasker.cancel_task(:t, 'again'), tasker.cancel_task(:t);
SELECT count(*) FROM tasker.task_transitions WHERE task_id = :t;

-- pending, with and without a reason
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'cancel') \gset
SELECT tasker.cancel_task(:t);
SELECT from_state, to_state, reason FROM tasker.task_transitions WHERE task_id = :t;
SELECT started_at, finished_at IS NOT NULL AS finished FROM tasker.tasks WHERE task_id = :t;
SELECT state, count(*) FROM tasker.workflow_steps WHERE task_id = :t GROUP BY 1;

-- in error: error steps stay what they are
SELECT task_id AS t FROM tasker.create_task('mix', namespace => 'cancel') \gset
SELECT count(*) FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT tasker.cancel_task(:t, 'gave up');
SELECT state, count(*) FROM tasker.workflow_steps WHERE task_id = :t GROUP BY 1 ORDER BY 1;
SELECT from_state, to_state, reason FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT * FROM tasker.verify_task(:t);

-- complete: refused, nothing changed
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'cancel') \gset
SELECT task_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
\set VERBOSITY sqlstate
SELECT tasker.cancel_task(:t);
-- unknown
SELECT tasker.cancel_task(9223372036854775807);
SELECT tasker.cancel_task(0);
SELECT tasker.cancel_task(-1);
\set VERBOSITY default
SELECT state FROM tasker.tasks WHERE task_id = :t;

-- scheduled
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'cancel', run_at => '2100-01-01') \gset
SELECT tasker.cancel_task(:t);
SELECT state, execution_status FROM tasker.get_task_execution_context(:t), tasker.tasks t WHERE t.task_id = :t;

-- a cancel that rolls back never was
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'cancel') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
BEGIN;
SELECT tasker.cancel_task(:t);
ROLLBACK;
SELECT task_state, status FROM tasker.complete_step(:step, :token, '1');
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
