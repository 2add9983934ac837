--
-- Settings of the session change no row: a hostile search_path with planted
-- functions, operators and tables; time zones, date styles, string syntax, plans.
--

SELECT created FROM tasker.register_task_template('{"name": "fork", "namespace": "settings", "identity_strategy": "strict", "steps": [
	{"name": "a", "retry": {"jitter": 0}}, {"name": "b"}, {"name": "join", "depends_on": ["a", "b"]}, {"name": "after", "depends_on": ["b"]}]}');

-- A task's life, told without one operator or function of its own, so that all
-- that could be led astray is the extension.
CREATE FUNCTION pg_temp.life(n int) RETURNS TABLE (name text, state text, deps boolean, eligible boolean, ready boolean, parents int, satisfied int, attempts int, max int, asked int,
	retry interval, results jsonb, error jsonb, lease interval, dependency_results jsonb) LANGUAGE plpgsql AS $$
DECLARE
	t bigint;
	again bigint;
	a record;
	b record;
	j record;
BEGIN
	SELECT c.task_id INTO t FROM tasker.create_task('fork', pg_catalog.jsonb_build_object('n', n, 'back\slash', '\n'), 'settings', run_at => '2020-03-29 02:30:00+02') c;
	SELECT c.task_id INTO again FROM tasker.create_task('fork', pg_catalog.jsonb_build_object('back\slash', '\n', 'n', n), 'settings') c;
	ASSERT pg_catalog.int8eq(t, again);
	SELECT * INTO a FROM tasker.claim_steps('w\''1', 1, '{settings}', 30, t, '{settings/fork}', '{default}', '{0}');
	SELECT * INTO b FROM tasker.claim_steps('w', task_id => t);
	PERFORM tasker.heartbeat('w', ARRAY[b.workflow_step_id], ARRAY[b.claim_token], 90);
	PERFORM tasker.fail_step(a.workflow_step_id, a.claim_token, '{"message": "it''s \\ broken"}', true, 1212.5);
	PERFORM tasker.complete_steps(ARRAY[b.workflow_step_id], ARRAY[b.claim_token], ARRAY['{"b": 1.50}'::pg_catalog.jsonb]);
	PERFORM tasker.complete_step(b.workflow_step_id, b.claim_token, '0');
	SELECT * INTO j FROM tasker.claim_steps('w', 1, lease_seconds => 1220, task_id => t);
	RETURN QUERY SELECT r.name, r.current_state, r.dependencies_satisfied, r.retry_eligible, r.ready_for_execution, r.total_parents, r.completed_parents, r.attempts, r.max_attempts,
			r.backoff_request_seconds, pg_catalog.timestamptz_mi(r.next_retry_at, r.last_failure_at), s.results, s.last_error, pg_catalog.timestamptz_mi(s.lease_expires_at, s.started_at), j.dependency_results
		FROM tasker.get_step_readiness_status(t) WITH ORDINALITY r, LATERAL (SELECT v.* FROM tasker.workflow_steps v WHERE pg_catalog.int8eq(v.workflow_step_id, r.workflow_step_id)) s ORDER BY r.ordinality;
	PERFORM tasker.release_steps(ARRAY[j.workflow_step_id], ARRAY[j.claim_token], 0);
	PERFORM tasker.cancel_task(t, 'that''s \ all');
END $$;

SELECT * FROM pg_temp.life(0);
SELECT pg_catalog.json_agg(l)::text AS expected FROM pg_temp.life(1) l \gset

-- ---------------------------------------------------------------------------
-- Planted names
-- ---------------------------------------------------------------------------

CREATE SCHEMA hostile;
CREATE FUNCTION hostile.trap() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a planted name was used'; END $$;
DO $$
DECLARE
	operand text;
	name text;
BEGIN
	FOREACH operand IN ARRAY '{int,bigint,text,timestamptz,"\"char\"",boolean,uuid,bytea}'::text[] LOOP
		EXECUTE format('CREATE FUNCTION hostile.compare(%s, %1$s) RETURNS boolean LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.trap(); RETURN true; END''', operand);
		FOREACH name IN ARRAY '{=,<>,<,<=,>,>=}'::text[] LOOP
			EXECUTE format('CREATE OPERATOR hostile.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = hostile.compare)', name, operand);
		END LOOP;
	END LOOP;
	FOREACH operand IN ARRAY '{int,bigint}'::text[] LOOP
		EXECUTE format('CREATE FUNCTION hostile.compute(%s, %1$s) RETURNS %1$s LANGUAGE plpgsql AS ''BEGIN PERFORM hostile.trap(); RETURN 0; END''', operand);
		FOREACH name IN ARRAY '{+,-,*,/,%%}'::text[] LOOP
			EXECUTE format('CREATE OPERATOR hostile.' || name || ' (LEFTARG = %s, RIGHTARG = %1$s, FUNCTION = hostile.compute)', operand);
		END LOOP;
	END LOOP;
END $$;
CREATE FUNCTION hostile.nextval(text) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); RETURN 1; END';
CREATE FUNCTION hostile.nextval(regclass) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); RETURN 1; END';
CREATE FUNCTION hostile.gen_random_uuid() RETURNS uuid LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.unnest(bigint[], VARIADIC anyarray) RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.hashtextextended(text, bigint) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.pg_try_advisory_xact_lock(bigint) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.jsonb_eq(jsonb, jsonb) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); END';
CREATE FUNCTION hostile.jsonb_insert_trap(jsonb, text, jsonb) RETURNS jsonb LANGUAGE plpgsql AS 'BEGIN PERFORM hostile.trap(); RETURN ''{}''; END';
CREATE AGGREGATE hostile.jsonb_object_agg(text, jsonb) (SFUNC = hostile.jsonb_insert_trap, STYPE = jsonb);
CREATE TABLE hostile.pg_extension (extname name, extversion text);
CREATE TABLE hostile.tasks (task_id bigint);
CREATE TEMP TABLE pg_extension (extname name, extversion text);
CREATE TEMP TABLE step_queue (task_id bigint);
CREATE TYPE pg_temp.jsonb AS ENUM ('trap');
CREATE DOMAIN hostile.timestamptz AS timestamptz CHECK (false);

-- the traps work
SET search_path = hostile, pg_catalog;
SELECT 1 = 1;
SELECT nextval('tasker.task_id_seq');
-- and the extension does not step into them, in a session that has its plans ...
CREATE TEMP TABLE lives AS SELECT * FROM pg_temp.life(2);
SET search_path = pg_temp, hostile, public, pg_catalog;
CREATE TEMP TABLE lives2 AS SELECT * FROM pg_temp.life(3);
RESET search_path;
SELECT (SELECT json_agg(l)::text FROM pg_temp.lives l) = :'expected' AS hostile_first, (SELECT json_agg(l)::text FROM pg_temp.lives2 l) = :'expected' AS temp_first;

-- ... nor in one that makes them there
\c -
SET search_path = pg_temp, hostile, public, pg_catalog;
SELECT tasker.library_version();
SELECT task_id AS t, created FROM tasker.create_task('fork', '{"new": "session"}', 'settings') \gset
SELECT workflow_step_id AS step, claim_token AS token, step_name FROM tasker.claim_steps('w', task_id => :t) \gset
\echo :created :step_name
SELECT status, task_state FROM tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT step_state, task_state FROM tasker.fail_step(:step, :token, '1', false);
SELECT name, current_state, ready_for_execution FROM tasker.get_step_readiness_status(:t);
SELECT execution_status, completed_steps, failed_steps FROM tasker.get_task_execution_context(:t);
SELECT violation FROM tasker.verify_task(:t);
SELECT created FROM tasker.register_task_template('{"name": "planted", "namespace": "settings", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}');
SELECT name, step_count FROM tasker.list_task_templates('settings');
RESET search_path;
SELECT state FROM tasker.tasks WHERE task_id = :t;
SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
RESET client_min_messages;

-- ---------------------------------------------------------------------------
-- Settings
-- ---------------------------------------------------------------------------

-- such a life under one setting
CREATE FUNCTION pg_temp.life(n int, setting text, value text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t bigint;
	again bigint;
	a record;
	told text;
	before text := current_setting(setting);
BEGIN
	PERFORM set_config(setting, value, true);
	SELECT task_id INTO t FROM tasker.create_task('fork', jsonb_build_object('n', n, 'b\s', '\n'), 'settings', run_at => '2020-03-29 02:30:00+02');
	SELECT task_id INTO again FROM tasker.create_task('fork', jsonb_build_object('n', n, 'b\s', '\n'), 'settings');
	SELECT * INTO a FROM tasker.claim_steps('w\1', task_id => t);
	PERFORM tasker.fail_step(a.workflow_step_id, a.claim_token, to_jsonb('it''s \ broken'::text), true, 1212.5);
	PERFORM tasker.complete_step(workflow_step_id, claim_token, '{"b": 1.50}') FROM tasker.claim_steps('w', task_id => t);
	SELECT string_agg(concat_ws('|', r.name, current_state, dependencies_satisfied, retry_eligible, ready_for_execution, completed_parents, total_parents, attempts,
			backoff_request_seconds, extract(epoch FROM next_retry_at - last_failure_at), extract(epoch FROM run_at), context, again = t), E'\n' ORDER BY workflow_step_id)
		INTO told FROM tasker.get_step_readiness_status(t) r JOIN tasker.tasks USING (task_id);
	PERFORM tasker.cancel_task(t);
	PERFORM set_config(setting, before, true);
	RETURN regexp_replace(told, '"n": \d+', '"n": N', 'g');
END $$;
SELECT pg_temp.life(100, 'TimeZone', 'UTC') AS expected \gset
\echo :expected

SELECT setting, value, pg_temp.life(200 + n::int, setting, value) = :'expected' AS same
FROM unnest(ARRAY['TimeZone', 'TimeZone', 'TimeZone', 'DateStyle', 'DateStyle', 'IntervalStyle', 'standard_conforming_strings', 'extra_float_digits', 'bytea_output',
		'array_nulls', 'transform_null_equals', 'quote_all_identifiers', 'row_security', 'enable_indexscan', 'enable_nestloop', 'jit_above_cost', 'plan_cache_mode', 'search_path', 'work_mem',
		'default_transaction_read_only', 'synchronous_commit', 'lock_timeout', 'geqo_threshold', 'from_collapse_limit', 'max_parallel_workers_per_gather'],
	ARRAY['Asia/Tokyo', 'America/Lima', 'UTC', 'SQL, DMY', 'German', 'iso_8601', 'off', '-10', 'escape',
		'off', 'on', 'on', 'on', 'off', 'off', '0', 'force_custom_plan', '', '64kB',
		'on', 'off', '1s', '2', '1', '8']) WITH ORDINALITY AS s(setting, value, n);
