--
-- fail_step: retried or failed for good by one predicate, after the time the
-- template's backoff or the server asked for; what follows for the task.
--

-- creates a task of the template, with the clock where it is, and claims its first step
CREATE FUNCTION pg_temp.claimed(template text, OUT t bigint, OUT step bigint, OUT token bigint) LANGUAGE plpgsql AS $$
BEGIN
	t := (SELECT task_id FROM tasker.create_task(template, namespace => 'fail'));
	SELECT workflow_step_id, claim_token INTO step, token FROM tasker.claim_steps('w', task_id => t);
END $$;

SELECT name FROM tasker.register_task_template('{"name": "pair", "namespace": "fail", "steps": [
	{"name": "a", "retry": {"jitter": 0}}, {"name": "b", "depends_on": ["a"]}]}');
SELECT name FROM tasker.register_task_template('{"name": "fork", "namespace": "fail", "steps": [
	{"name": "a"}, {"name": "b"}, {"name": "join", "depends_on": ["a", "b"]}, {"name": "after", "depends_on": ["join"]}, {"name": "a2", "depends_on": ["a"]}]}');

-- ---------------------------------------------------------------------------
-- A retry
-- ---------------------------------------------------------------------------

SELECT * FROM pg_temp.claimed('pair') \gset
SELECT step_state, next_retry_at AS retry_at, task_state FROM tasker.fail_step(:step, :token, '{"message": "503", "code": [1]}') \gset
\echo :step_state :task_state
SELECT attempt_no, attempt, outcome, to_state, worker_id, results, error, next_retry_at = :'retry_at' AS told, next_retry_at - finished_at AS delay, backoff_request_seconds
FROM tasker.step_attempts WHERE task_id = :t;
SELECT phase, waits_for_retry, attempts, attempt_no, visible_at = :'retry_at' AS told, claim_token, claimed_at, worker_id FROM tasker.step_queue WHERE task_id = :t;
SELECT current_state, dependencies_satisfied, retry_eligible, ready_for_execution, last_failure_at < next_retry_at AS later, next_retry_at = :'retry_at' AS told,
	attempts, max_attempts, backoff_request_seconds, last_attempted_at <= last_failure_at AS attempted
FROM tasker.get_step_readiness_status(:t, ARRAY[:step]);

-- not before its time
SELECT count(*) FROM tasker.claim_steps('w', 1, '{fail}', task_id => :t);
SET tasker_core.clock_offset = 2;
SELECT ready_for_execution FROM tasker.get_step_readiness_status(:t, ARRAY[:step]);
SELECT attempt, claim_token AS token2 FROM tasker.claim_steps('w', 1, '{fail}', task_id => :t) \gset
\echo attempt :attempt

-- reporting again is quiet, and the first outcome stays; a stale claim changes nothing
SELECT step_state, next_retry_at = :'retry_at' AS same_time, task_state FROM tasker.fail_step(:step, :token, '"other"', false, 99);
\set VERBOSITY sqlstate
SELECT tasker.fail_step(:step, 12345, '"other"');
SELECT tasker.fail_step(:step, -:token2, '"other"');
\set VERBOSITY default
SELECT attempt, error FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1;

-- the second attempt succeeds
SELECT task_state, steps_ready FROM tasker.complete_step(:step, :token2, '"fine"');
SELECT attempt_no, attempt, outcome, to_state FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1;
SELECT current_state, attempts, next_retry_at, backoff_request_seconds, last_failure_at IS NOT NULL AS failed_once
FROM tasker.get_step_readiness_status(:t, ARRAY[:step]);
-- a failure report after the completion is answered with the outcome that stands
SELECT step_state, next_retry_at, task_state FROM tasker.fail_step(:step, :token2, '"too late"');
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- The one predicate: error retryable, step retryable, attempts left
-- ---------------------------------------------------------------------------

SELECT count(*) FROM unnest('{1,2,3}'::int[]) m, unnest('{true,false}'::boolean[]) r, tasker.register_task_template(jsonb_build_object(
	'name', format('p_%s_%s', r, m), 'namespace', 'fail', 'steps', jsonb_build_array(jsonb_build_object('name', 's', 'retry',
	jsonb_build_object('retryable', r, 'max_attempts', m, 'backoff', 'none')))));

-- fails every attempt there is; the states it went through
CREATE FUNCTION pg_temp.exhaust(template text, error_retryable boolean, OUT states text, OUT runs int, OUT task_state text, OUT violations int) LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task(template, namespace => 'fail'));
	claim record;
	outcome record;
BEGIN
	runs := 0;
	LOOP
		SELECT * INTO claim FROM tasker.claim_steps('w', task_id => t);
		EXIT WHEN NOT FOUND OR runs > 9;
		SELECT * INTO outcome FROM tasker.fail_step(claim.workflow_step_id, claim.claim_token, '"x"', error_retryable);
		states := concat_ws(' ', states, outcome.step_state);
		task_state := outcome.task_state;
		runs := runs + 1;
	END LOOP;
	violations := (SELECT count(*) FROM tasker.verify_task(t));
END $$;
SELECT r AS step_retryable, e AS error_retryable, m AS max_attempts, x.*
FROM unnest('{1,2,3}'::int[]) m, unnest('{true,false}'::boolean[]) r, unnest('{true,false,NULL}'::boolean[]) e,
	pg_temp.exhaust(format('p_%s_%s', r, m), e) x ORDER BY 1 DESC, 2 DESC NULLS LAST, 3;

-- ---------------------------------------------------------------------------
-- Backoff: what the template says is what happens
-- ---------------------------------------------------------------------------

SELECT count(*) FROM unnest('{exponential,linear,fibonacci,none}'::text[]) s, tasker.register_task_template(jsonb_build_object(
	'name', 'b_' || s, 'namespace', 'fail', 'steps', jsonb_build_array(jsonb_build_object('name', 's', 'retry',
	jsonb_build_object('max_attempts', 8, 'backoff', s, 'backoff_base_ms', 1500, 'max_backoff_ms', 20000, 'jitter', 0)))));

CREATE FUNCTION pg_temp.delays(template text, OUT delays text) LANGUAGE plpgsql AS $$
DECLARE
	t bigint;
	claim record;
BEGIN
	PERFORM set_config('tasker_core.clock_offset', '0', true);
	t := (SELECT task_id FROM tasker.create_task(template, namespace => 'fail'));
	FOR attempt IN 1 .. 8 LOOP
		PERFORM set_config('tasker_core.clock_offset', (attempt * 100)::text, true);
		SELECT * INTO STRICT claim FROM tasker.claim_steps('w', task_id => t);
		PERFORM tasker.fail_step(claim.workflow_step_id, claim.claim_token, '"x"');
	END LOOP;
	SELECT string_agg(coalesce(extract(epoch FROM next_retry_at - finished_at)::float8::text, '-'), ' ' ORDER BY attempt_no) INTO delays
	FROM tasker.step_attempts WHERE task_id = t;
END $$;
SELECT s AS strategy, pg_temp.delays('b_' || s) AS seconds,
	(SELECT string_agg((tasker.calculate_backoff(s, a, 1500, 20000) / 1000.0)::float8::text, ' ' ORDER BY a) FROM generate_series(1, 7) a) AS calculated
FROM unnest('{exponential,linear,fibonacci,none}'::text[]) s;

-- jitter: within its fraction, never above the cap, and another every time
SELECT name FROM tasker.register_task_template('{"name": "jitter", "namespace": "fail", "steps": [{"name": "s", "retry":
	{"max_attempts": 100, "backoff": "linear", "backoff_base_ms": 10000, "max_backoff_ms": 10000, "jitter": 0.5}}]}');
SELECT min(task_id) AS base FROM generate_series(1, 50) i, tasker.create_task('jitter', jsonb_build_object('i', i), 'fail') \gset
SELECT count(*) FROM tasker.claim_steps('w', 100, task_names => '{fail/jitter}') c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"') f;
SELECT count(*), min(d) BETWEEN 5 AND 9 AS lowest, max(d) AS highest, count(DISTINCT d) > 10 AS varies
FROM tasker.step_attempts, extract(epoch FROM next_retry_at - finished_at) d WHERE task_id >= :base;

-- ---------------------------------------------------------------------------
-- retry_after_seconds wins over the formula
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.retry_after(seconds float8, OUT delay interval, OUT backoff_request_seconds int, OUT shown int, OUT state text, OUT ready boolean) LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	SELECT * INTO c FROM pg_temp.claimed('pair');
	PERFORM tasker.fail_step(c.step, c.token, '"x"', true, seconds);
	SELECT a.next_retry_at - a.finished_at, a.backoff_request_seconds INTO delay, backoff_request_seconds FROM tasker.step_attempts a WHERE task_id = c.t;
	SELECT r.backoff_request_seconds, r.current_state, r.ready_for_execution INTO shown, state, ready FROM tasker.get_step_readiness_status(c.t, ARRAY[c.step]) r;
END $$;
SELECT s AS asked, r.* FROM unnest('{NULL,0,0.25,7,7.001,120,3600,3601,999999,2147483647}'::float8[]) s, pg_temp.retry_after(s) r;
SET tasker_core.max_retry_after = 60;
SELECT s AS asked, r.* FROM unnest('{59,61}'::float8[]) s, pg_temp.retry_after(s) r;
RESET tasker_core.max_retry_after;

-- no delay is recorded for a failure that is final, whatever the server asked for
SELECT * FROM pg_temp.claimed('pair') \gset
SELECT step_state, next_retry_at, task_state FROM tasker.fail_step(:step, :token, '"gone"', false, 30);
SELECT next_retry_at, backoff_request_seconds FROM tasker.step_attempts WHERE task_id = :t;

-- the end of the task: the child is never ready
SELECT state, failed_steps, finished_at IS NOT NULL AS finished FROM tasker.tasks WHERE task_id = :t;
SELECT name, current_state, dependencies_satisfied, retry_eligible, ready_for_execution, completed_parents FROM tasker.get_step_readiness_status(:t);
SELECT count(*) AS claimable FROM tasker.claim_steps('w', 10, '{fail}', task_id => :t);

-- ---------------------------------------------------------------------------
-- Independent branches go on when one fails
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'fail') \gset
SELECT workflow_step_id AS a, claim_token AS a_token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT workflow_step_id AS b, claim_token AS b_token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT step_state, task_state FROM tasker.fail_step(:b, :b_token, '"x"', false);
SELECT task_state, steps_ready FROM tasker.complete_step(:a, :a_token, '1');
SELECT step_name, workflow_step_id AS a2, claim_token AS a2_token FROM tasker.claim_steps('w', 10, task_id => :t) \gset
\echo :step_name
SELECT execution_status, health_status, failed_steps FROM tasker.get_task_execution_context(:t);
SELECT task_state, steps_ready FROM tasker.complete_step(:a2, :a2_token, '2');
SELECT name, state, remaining_parents FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT count(*) AS queued FROM tasker.step_queue WHERE task_id = :t;

-- the other way round: the last thing that happens is the failure; a second failure is counted
SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'fail') \gset
SELECT f.step_state, f.task_state FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false) f;
SELECT state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
