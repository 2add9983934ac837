--
-- complete_step: results are stored once, children become ready, tasks end; a
-- repeated report is quiet and a stale one changes nothing.
--

SELECT name FROM tasker.register_task_template('{"name": "diamond", "namespace": "complete", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}');
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "complete", "steps": [{"name": "s"}]}');

-- ---------------------------------------------------------------------------
-- A diamond, step by step
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'complete') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, '{complete}') \gset
SELECT task_id = :t AS its_task, task_state, steps_ready, status FROM tasker.complete_step(:step, :token, '{"n": 1}');
SELECT step_no, phase, remaining_parents FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;

SELECT workflow_step_id AS step_b, claim_token AS token_b FROM tasker.claim_steps('w', 1, '{complete}') \gset
SELECT workflow_step_id AS step_c, claim_token AS token_c FROM tasker.claim_steps('w', 1, '{complete}') \gset
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step_b, :token_b, '{"n": 2}');
SELECT step_no, phase, remaining_parents FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
SELECT count(*) AS join_still_waits FROM tasker.claim_steps('w', 1, '{complete}');
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step_c, :token_c, '{"n": 3}');
SELECT step_no, phase, remaining_parents FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;

SELECT workflow_step_id AS step_d, claim_token AS token_d, dependency_results FROM tasker.claim_steps('w', 1, '{complete}') \gset
\echo :dependency_results
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step_d, :token_d, '{"n": 4}');

SELECT state, failed_steps, started_at IS NOT NULL AS started, finished_at >= started_at AS finished FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT count(*) AS queued FROM tasker.step_queue WHERE task_id = :t;
SELECT step_no, attempt_no, attempt, outcome, to_state, worker_id, results, error, next_retry_at, backoff_request_seconds,
	finished_at >= claimed_at AS in_time, recorded_by = session_user AS by_me
FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1, 2;

-- ---------------------------------------------------------------------------
-- The same report again, and reports of others
-- ---------------------------------------------------------------------------

-- the first results stay
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step_d, :token_d, '"other"');
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step_b, :token_b, '"other"');
SELECT count(*), min(results::text) FROM tasker.step_attempts WHERE task_id = :t AND step_no = 4;

\set VERBOSITY sqlstate
SELECT tasker.complete_step(:step_d, :token_c, '"other"');
SELECT tasker.complete_step(:step_d, 0, '"other"');
SELECT tasker.complete_step(:step_d, -1, '"other"');
SELECT tasker.complete_step(:t * 1000000::bigint + 5, 1, '1');
SELECT tasker.complete_step(:t * 1000000::bigint, 1, '1');

-- a step nobody claimed, and one that is not ready
SELECT task_id AS u FROM tasker.create_task('diamond', namespace => 'complete') \gset
SELECT tasker.complete_step(:u * 1000000::bigint + 1, 1, '1');
SELECT tasker.complete_step(:u * 1000000::bigint + 2, 1, '1');
SELECT tasker.complete_step(:u * 1000000::bigint + 4, 1, '1');
\set VERBOSITY default
SELECT step_no, phase, attempts, remaining_parents FROM tasker.step_queue WHERE task_id = :u ORDER BY 1;
SELECT state FROM tasker.tasks WHERE task_id = :u;

-- after a failure was reported, the same claim cannot complete
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, '{complete}') \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '"x"', retry_after_seconds => 0);
\set VERBOSITY sqlstate
SELECT tasker.complete_step(:step, :token, '1');
\set VERBOSITY default
SELECT current_state, attempts FROM tasker.get_step_readiness_status(:u, ARRAY[:step]);
SELECT tasker.cancel_task(:u);

-- ---------------------------------------------------------------------------
-- What is a result
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.round_trip(given jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	task bigint := (SELECT task_id FROM tasker.create_task('one', namespace => 'complete'));
BEGIN
	PERFORM tasker.complete_step(workflow_step_id, claim_token, given) FROM tasker.claim_steps('w', task_id => task);
	RETURN (SELECT results FROM tasker.step_attempts WHERE task_id = task);
END $$;
SELECT given, pg_temp.round_trip(given) AS stored, jsonb_typeof(given) AS type
FROM unnest(ARRAY['null', 'false', '0', '""', '[]', '{}', '"text"', '1.50', '{"a": null}']::jsonb[]) given;

\set VERBOSITY sqlstate
SELECT tasker.complete_step(1000001, 1, NULL);
\set VERBOSITY default
-- there is no way to complete without saying what came out
SELECT pronargs, pronargdefaults FROM pg_proc WHERE oid = 'tasker.complete_step'::regproc;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
