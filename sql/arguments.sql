--
-- Arguments: NULLs, malformed batches, values out of range, infinite, not a
-- number, of two dimensions.  A malformed call is refused whole.
--

SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "arguments", "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'arguments') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset

-- SQLSTATE and message of a call; $step and $token stand for the claim
CREATE FUNCTION pg_temp.answer(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT * FROM tasker.' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT set_config('test.step', :'step', false) AS step, set_config('test.token', :'token', false) AS token \gset
CREATE FUNCTION pg_temp.answers(VARIADIC calls text[]) RETURNS TABLE (call text, answer text) LANGUAGE sql AS $$
	SELECT c, replace(replace(pg_temp.answer(replace(replace(c, '$step', current_setting('test.step')), '$token', current_setting('test.token'))),
		current_setting('test.step'), '$step'), current_setting('test.token'), '$token') FROM unnest(calls) c $$;

-- ---------------------------------------------------------------------------
-- NULL for what is required
-- ---------------------------------------------------------------------------

SELECT * FROM pg_temp.answers(
	'create_task(NULL)', 'cancel_task(NULL)', 'claim_steps(NULL)',
	'complete_step(NULL, 1, ''1'')', 'complete_step(1000001, NULL, ''1'')', 'complete_step(1000001, 1, NULL)',
	'complete_steps(NULL, ''{}'', ''{}'')', 'complete_steps(''{}'', NULL, ''{}'')', 'complete_steps(''{}'', ''{}'', NULL)',
	'fail_step(NULL, 1, ''1'')', 'fail_step(1000001, NULL, ''1'')', 'fail_step(1000001, 1, NULL)',
	'heartbeat(NULL, ''{}'', ''{}'')', 'heartbeat(''w'', NULL, ''{}'')', 'heartbeat(''w'', ''{}'', NULL)',
	'release_steps(NULL, ''{}'')', 'release_steps(''{}'', NULL)',
	'get_step_readiness_status(NULL)', 'get_step_readiness_status_batch(NULL)', 'get_task_execution_context(NULL)', 'get_task_execution_contexts_batch(NULL)',
	'verify_task(NULL)', 'register_task_template(NULL)', 'validate_task_template(NULL)', 'get_task_template(NULL)',
	'calculate_backoff(NULL, 1)', 'calculate_backoff(''none'', NULL)');

-- for what has a default it is the default
SELECT * FROM pg_temp.answers(
	'create_task(''one'', NULL, ''arguments'', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)',
	'cancel_task((SELECT max(task_id) FROM tasker.tasks), NULL)', 'claim_steps(''w'', NULL, ''{nowhere}'', NULL, NULL, NULL, NULL, NULL)',
	'heartbeat(''w'', ''{}'', ''{}'', NULL)', 'release_steps(''{}'', ''{}'', NULL)', 'get_step_readiness_status(1, NULL)',
	'verify_all(NULL)', 'list_task_templates(NULL)', 'get_task_template(''one'', ''arguments'', NULL)', 'calculate_backoff(''none'', 1, NULL, NULL, NULL, NULL)');
SELECT * FROM pg_temp.answers('create_task(''one'', namespace => NULL)', 'get_task_template(''one'', NULL)');

-- ---------------------------------------------------------------------------
-- Batches
-- ---------------------------------------------------------------------------

SELECT * FROM pg_temp.answers(
	'complete_steps(''{1,NULL}'', ''{1,1}'', ''{1,1}'')', 'complete_steps(''{1,2}'', ''{1,NULL}'', ''{1,1}'')', 'complete_steps(''{1,2}'', ''{1,1}'', ''{1,NULL}'')',
	'complete_steps(''{1,2}'', ''{1}'', ''{1,1}'')', 'complete_steps(''{1,2}'', ''{1,1}'', ''{1}'')', 'complete_steps(''{1}'', ''{1}'', ''{}'')', 'complete_steps(''{}'', ''{1}'', ''{1}'')',
	'complete_steps(''{5,6,5}'', ''{1,2,3}'', ''{1,2,3}'')', 'complete_steps(''{$step,$step}'', ''{$token,$token}'', ''{1,1}'')',
	'complete_steps(''{{1},{2}}'', ''{1,2}'', ''{1,2}'')', 'complete_steps(''{1,2}'', ''{{1,2}}'', ''{1,2}'')', 'complete_steps(''{1,2}'', ''{1,2}'', ''{{1},{2}}'')',
	'heartbeat(''w'', ''{1,NULL}'', ''{1,1}'')', 'heartbeat(''w'', ''{1}'', ''{1,2}'')', 'heartbeat(''w'', ''{1,1}'', ''{1,2}'')', 'heartbeat(''w'', ''{{1}}'', ''{1}'')',
	'release_steps(''{1}'', ''{NULL}'')', 'release_steps(''{1}'', ''{1,2}'')', 'release_steps(''{1,1}'', ''{1,2}'')', 'release_steps(''{{1}}'', ''{1}'')',
	'get_step_readiness_status_batch(''{1,NULL}'')', 'get_step_readiness_status_batch(''{{1}}'')', 'get_step_readiness_status(1, ''{NULL}'')', 'get_step_readiness_status(1, ''{{1},{2}}'')',
	'get_task_execution_contexts_batch(''{NULL}'')', 'get_task_execution_contexts_batch(''{{1}}'')',
	'claim_steps(''w'', 1, ''{NULL}'')', 'claim_steps(''w'', 1, ''{{a},{b}}'')', 'claim_steps(''w'', task_names => ''{NULL}'')', 'claim_steps(''w'', queues => ''{a,NULL}'')',
	'claim_steps(''w'', shard_keys => ''{0,NULL}'')', 'claim_steps(''w'', shard_keys => ''{{0}}'')', 'create_task(''one'', namespace => ''arguments'', tags => ''{a,NULL}'')',
	'create_task(''one'', namespace => ''arguments'', tags => ''{{a},{b}}'')');

-- lower bounds other than 1 are no dimension more
SELECT * FROM pg_temp.answers('complete_steps(''[5:6]={999998,999999}'', ''[0:1]={1,1}'', ''[2:3]={1,1}'')', 'get_step_readiness_status(1, ''[0:0]={1}'')');

-- ---------------------------------------------------------------------------
-- Ranges
-- ---------------------------------------------------------------------------

SELECT * FROM pg_temp.answers(
	'claim_steps('''')', 'heartbeat('''', ''{}'', ''{}'')', 'claim_steps(''w'', -1)', 'claim_steps(''w'', 10001)', 'claim_steps(''w'', 0)', 'claim_steps(''w'', 10000, ''{nowhere}'')',
	'claim_steps(''w'', 1, ''{nowhere}'', 0.1)', 'claim_steps(''w'', 1, ''{nowhere}'', 86400)', 'claim_steps(''w'', 1, ''{nowhere}'', 0.0999)', 'claim_steps(''w'', 1, ''{nowhere}'', 86400.001)',
	'claim_steps(''w'', 1, ''{nowhere}'', 0)', 'claim_steps(''w'', 1, ''{nowhere}'', -1)', 'claim_steps(''w'', 1, ''{nowhere}'', ''NaN'')',
	'claim_steps(''w'', 1, ''{nowhere}'', ''Infinity'')', 'claim_steps(''w'', 1, ''{nowhere}'', ''-Infinity'')', 'claim_steps(''w'', shard_keys => ''{-1}'')', 'claim_steps(''w'', 1, ''{nowhere}'', shard_keys => ''{2147483647}'')',
	'heartbeat(''w'', ''{}'', ''{}'', 0)', 'heartbeat(''w'', ''{}'', ''{}'', 86401)', 'heartbeat(''w'', ''{}'', ''{}'', ''NaN'')', 'heartbeat(''w'', ''{}'', ''{}'', ''Infinity'')',
	'release_steps(''{}'', ''{}'', -0.1)', 'release_steps(''{}'', ''{}'', 31536000)', 'release_steps(''{}'', ''{}'', 31536001)', 'release_steps(''{}'', ''{}'', ''Infinity'')', 'release_steps(''{}'', ''{}'', ''NaN'')',
	'fail_step($step, $token, ''1'', true, -1)', 'fail_step($step, $token, ''1'', true, ''NaN'')', 'fail_step($step, $token, ''1'', true, ''Infinity'')',
	'fail_step($step, $token, ''1'', true, 1e300)', 'fail_step($step, $token, ''1'', false, -1)',
	'create_task(''one'', namespace => ''arguments'', run_at => ''infinity'')', 'create_task(''one'', namespace => ''arguments'', run_at => ''-infinity'')',
	'create_task(''one'', namespace => ''arguments'', idempotency_key => '''')',
	'create_task(''one'', ''[]'', ''arguments'')', 'create_task(''one'', ''1'', ''arguments'')', 'create_task(''one'', ''"x"'', ''arguments'')', 'create_task(''one'', ''null'', ''arguments'')',
	'verify_all(-1)', 'verify_all(0)', 'verify_all(2147483647)');

-- what a cast refuses before our code is PostgreSQL's own
SELECT * FROM pg_temp.answers('complete_step(1, 1, ''{'')', 'claim_steps(''w'', 2147483648)', 'complete_step(9223372036854775808, 1, ''1'')', 'create_task(''one'', correlation_id => ''x'')', 'create_task(''one'', run_at => ''soon'')');

-- nothing of all this touched the claim, and no task was made but the one that was cancelled
SELECT count(*), count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM tasker.tasks WHERE task_id > :t;
SELECT task_state, status FROM tasker.complete_step(:step, :token, '1');

-- extreme ids are unknown ids, everywhere
SELECT id, (SELECT count(*) FROM tasker.get_step_readiness_status(id)) AS readiness, (SELECT count(*) FROM tasker.get_task_execution_context(id)) AS context,
	(SELECT count(*) FROM tasker.verify_task(id)) AS verify, (SELECT count(*) FROM tasker.claim_steps('w', 1, task_id => id)) AS claims,
	(SELECT status FROM tasker.complete_steps(ARRAY[id], '{1}', '{1}')) AS complete, (SELECT workflow_step_id = id FROM tasker.heartbeat('w', ARRAY[id], '{1}')) AS lost,
	tasker.release_steps(ARRAY[id], '{1}') AS released
FROM unnest('{9223372036854775807,9223372036853999999,9223372036853000000,999999,0,-1,-1000001,-9223372036854775808}'::bigint[]) id;
