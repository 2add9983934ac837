--
-- release_steps: claims are given back without an attempt, at once or after a
-- delay; on record; only what is held.
--

SELECT name FROM tasker.register_task_template('{"name": "three", "namespace": "release", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}');
SELECT task_id AS t FROM tasker.create_task('three', namespace => 'release') \gset
SELECT array_agg(workflow_step_id ORDER BY step_name) AS ids, array_agg(claim_token ORDER BY step_name) AS tokens FROM tasker.claim_steps('w', 10, '{release}') \gset

-- two of three
SELECT tasker.release_steps((:'ids'::bigint[])[1:2], (:'tokens'::bigint[])[1:2]);
SELECT step_no, phase, waits_for_retry, attempts, attempt_no, claim_token IS NULL AND claimed_at IS NULL AS free, worker_id FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
SELECT step_no, from_state, to_state, worker_id, reason, recorded_by = session_user AS by_me, moved_at >= claimed_at AS after FROM tasker.step_moves WHERE task_id = :t ORDER BY 1;
SELECT name, current_state, attempts, ready_for_execution, last_attempted_at IS NOT NULL AS claimed_once, next_retry_at FROM tasker.get_step_readiness_status(:t);

-- the old tokens are worth nothing now
SELECT tasker.release_steps((:'ids'::bigint[])[1:2], (:'tokens'::bigint[])[1:2]) AS again;
\set VERBOSITY sqlstate
SELECT tasker.complete_step((:'ids'::bigint[])[1], (:'tokens'::bigint[])[1], '1');
\set VERBOSITY default

-- claimable at once, as the same attempt
SELECT step_name, attempt FROM tasker.claim_steps('w2', 1, '{release}');

-- with a delay, not before it: pending, not waiting for a retry
SELECT tasker.release_steps((:'ids'::bigint[])[3:3], (:'tokens'::bigint[])[3:3], 90);
SELECT current_state, ready_for_execution, next_retry_at = (SELECT visible_at FROM tasker.step_queue WHERE task_id = :t AND step_no = 3) AS told,
	next_retry_at - (SELECT moved_at FROM tasker.step_moves WHERE task_id = :t AND step_no = 3) AS delay
FROM tasker.get_step_readiness_status(:t) WHERE name = 'c';
SELECT tasker.cancel_task(task_id) FROM tasker.create_task('three', namespace => 'release');
SELECT step_name FROM tasker.claim_steps('w3', 10, '{release}');
SET tasker_core.clock_offset = 91;
SELECT step_name, attempt FROM tasker.claim_steps('w3', 10, '{release}') WHERE step_name = 'c';
RESET tasker_core.clock_offset;

-- a retry that is given back stays counted, and is pending
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "release_retry", "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'release_retry') \gset
SELECT step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retry_after_seconds => 0);
SELECT tasker.release_steps(ARRAY[workflow_step_id], ARRAY[claim_token]) AS released, attempt FROM tasker.claim_steps('w', task_id => :t);
SELECT current_state, retry_eligible, ready_for_execution, attempts, backoff_request_seconds FROM tasker.get_step_readiness_status(:t);
SELECT attempt FROM tasker.claim_steps('w', task_id => :t);

-- only what is held counts
SELECT tasker.release_steps('{9223372036854775807,-1,0,1000000}', '{1,2,3,4}') AS unknown, tasker.release_steps('{}', '{}') AS empty;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
