--
-- Errors: the SQLSTATE of every way to be refused, then the words, with names and
-- ids in DETAIL and what to do in HINT.  Nothing refused leaves a trace.
--

SELECT name FROM tasker.register_task_template('{"name": "pair", "namespace": "errors", "version": "1.0.0", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}');
SELECT name FROM tasker.register_task_template('{"name": "keyed", "namespace": "errors", "identity_strategy": "caller_provided", "steps": [{"name": "a"}]}');
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'errors') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT task_id AS done FROM tasker.create_task('pair', namespace => 'errors') \gset
SELECT count(*) FROM generate_series(1, 2) i, LATERAL (SELECT i, c.* FROM tasker.claim_steps('w' || i, task_id => :done) c) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');

-- every row of every table, before and after
CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	digest text := '';
	relation regclass;
	part text;
BEGIN
	FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind = 'r' AND relname <> 'workers' ORDER BY relname LOOP
		EXECUTE format('SELECT md5(string_agg(r::text, ''|'' ORDER BY r::text)) FROM %s r', relation) INTO part;
		digest := digest || coalesce(part, '-');
	END LOOP;
	RETURN md5(digest);
END $$;
SELECT pg_temp.everything() AS before \gset

-- ---------------------------------------------------------------------------
-- SQLSTATEs
-- ---------------------------------------------------------------------------

\set VERBOSITY sqlstate

-- TC001 template not found
SELECT tasker.create_task('nothing', namespace => 'errors');
SELECT tasker.create_task('pair');
SELECT tasker.create_task('pair', namespace => 'nowhere');
SELECT tasker.create_task('pair', namespace => 'errors', version => '9.9.9');
SELECT tasker.create_task('', namespace => 'errors');
SELECT tasker.get_task_template('nothing', 'errors');
SELECT tasker.get_task_template('pair', 'errors', '9.9.9');

-- TC002 task not found
SELECT tasker.cancel_task(9223372036854775807);
SELECT tasker.cancel_task(9223372036853);
SELECT tasker.cancel_task(0);
SELECT tasker.cancel_task(-1);

-- TC003 step not found
SELECT tasker.complete_step(9223372036853000001, 1, '1');
SELECT tasker.complete_step(9223372036854775807, 1, '1');
SELECT tasker.complete_step(:t * 1000000::bigint + 3, 1, '1');
SELECT tasker.complete_step(:t * 1000000::bigint, 1, '1');
SELECT tasker.complete_step(999999, 1, '1');
SELECT tasker.complete_step(0, 1, '1');
SELECT tasker.complete_step(-1000001, 1, '1');
SELECT tasker.complete_step((-9223372036854775807 - 1)::bigint, 1, '1');
SELECT tasker.fail_step(9223372036853000001, 1, '1');
SELECT tasker.fail_step(:t * 1000000::bigint + 3, 1, '1');
SELECT tasker.fail_step(0, 1, '1');
SELECT tasker.fail_step(-1, 1, '1');

-- TC011 lease lost
SELECT tasker.complete_step(:step, :token + 1, '1');
SELECT tasker.complete_step(:t * 1000000::bigint + 2, :token, '1');
SELECT tasker.complete_step(:done * 1000000::bigint + 1, 7, '1');
SELECT tasker.fail_step(:step, :token + 1, '1');
SELECT tasker.fail_step(:t * 1000000::bigint + 2, :token, '1');
SELECT tasker.fail_step(:done * 1000000::bigint + 1, 7, '1');

-- TC012 task not active
SELECT tasker.cancel_task(:done);

-- TC020 invalid template, TC021 version conflict
SELECT tasker.register_task_template('{"name": "x", "namespace": "errors"}');
SELECT tasker.register_task_template('[]');
SELECT tasker.validate_task_template('{"name": "x", "steps": [{"name": "a", "depends_on": ["a"]}]}');
SELECT tasker.register_task_template('{"name": "pair", "namespace": "errors", "version": "1.0.0", "steps": [{"name": "a"}]}');

-- TC023 limit exceeded
SELECT tasker.claim_steps('w', 10001);
SELECT tasker.claim_steps('w', 2147483647);
SELECT tasker.complete_steps(array_agg(i), array_agg(i), array_agg('1'::jsonb)) FROM generate_series(1::bigint, 10001) i;
SELECT tasker.heartbeat('w', array_agg(i), array_agg(i)) FROM generate_series(1::bigint, 10001) i;
SELECT tasker.release_steps(array_agg(i), array_agg(i)) FROM generate_series(1::bigint, 10001) i;
SET tasker_core.max_payload_size = '1kB';
SELECT tasker.create_task('pair', jsonb_build_object('x', repeat('x', 1024)), 'errors');
SELECT tasker.complete_step(:step, :token, to_jsonb(repeat('x', 1024)));
SELECT tasker.complete_steps(ARRAY[:step], ARRAY[:token], ARRAY[to_jsonb(repeat('x', 1024))]);
SELECT tasker.fail_step(:step, :token, to_jsonb(repeat('x', 1024)));
RESET tasker_core.max_payload_size;

-- 22004, 22008 and 22023 have a file of their own: arguments

\set VERBOSITY default
SELECT pg_temp.everything() = :'before' AS nothing_changed;

-- the limits themselves are allowed
SELECT count(*) FROM tasker.claim_steps('w', 10000, '{errors_none}');
SELECT count(*), min(status) FROM (SELECT r.* FROM (SELECT array_agg(i) AS ids, array_agg('1'::jsonb) AS results FROM generate_series(1::bigint, 10000) i) a, tasker.complete_steps(a.ids, a.ids, a.results) r) x;
SET tasker_core.max_payload_size = '1kB';
SELECT created FROM tasker.create_task('pair', jsonb_build_object('x', repeat('x', 1000)), 'errors');
RESET tasker_core.max_payload_size;

-- ---------------------------------------------------------------------------
-- Words
-- ---------------------------------------------------------------------------

SELECT tasker.create_task('nothing', namespace => 'errors');
SELECT tasker.create_task('pair', namespace => 'errors', version => '9.9.9');
SELECT tasker.cancel_task(9223372036854775807);
SELECT tasker.complete_step(9223372036853000001, 1, '1');
SELECT tasker.complete_step(-1, 1, '1');
SELECT tasker.claim_steps('w', 10001);
SELECT tasker.create_task('keyed', namespace => 'errors');
SELECT tasker.register_task_template('{"name": "pair", "namespace": "errors", "version": "1.0.0", "steps": [{"name": "a"}]}');

-- where ids of this run are named: T is the task
CREATE FUNCTION pg_temp.words(call text, task bigint) RETURNS TABLE (part text, words text) LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ' || call;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN QUERY SELECT p, regexp_replace(regexp_replace(w, '\m' || task || '(?=0000\d[1-9]\M)', 'T', 'g'), '\mtask ' || task || '\M', 'task T', 'g') FROM (VALUES (SQLSTATE, SQLERRM), ('detail', detail), ('hint', hint)) v(p, w);
END $$;
SELECT * FROM pg_temp.words(format('tasker.complete_step(%s, 1, ''1'')', :step), :t);
SELECT * FROM pg_temp.words(format('tasker.fail_step(%s, 1, ''1'')', :step), :t);
SELECT * FROM pg_temp.words(format('tasker.complete_step(%s, 1, ''1'')', :step + 2), :t);
SELECT * FROM pg_temp.words(format('tasker.cancel_task(%s)', :done), :done);
SELECT * FROM pg_temp.words(format('tasker.complete_step(%s, 1, to_jsonb(repeat(''x'', 17000000)))', :step), :t);

-- every error of ours has all three
SELECT call FROM unnest(ARRAY['tasker.create_task(''nothing'')', 'tasker.create_task(NULL)', 'tasker.create_task(''pair'', ''[]'', ''errors'')', 'tasker.cancel_task(0)',
	'tasker.claim_steps('''')', 'tasker.claim_steps(''w'', -1)', 'tasker.claim_steps(''w'', 1, NULL, -1)', 'tasker.claim_steps(''w'', 1, NULL, ''NaN'')',
	'tasker.complete_step(0, 0, ''1'')', 'tasker.complete_steps(''{1,1}'', ''{1,1}'', ''{1,1}'')', 'tasker.complete_steps(''{1}'', ''{}'', ''{}'')',
	'tasker.release_steps(''{{1}}'', ''{{1}}'')', 'tasker.validate_task_template(''{}'')', 'tasker.verify_all(-1)', 'tasker.calculate_backoff(''x'', 1)',
	'tasker.create_task(''pair'', run_at => ''infinity'')', 'tasker.create_task(''pair'', idempotency_key => '''')', 'tasker.claim_steps(''w'', shard_keys => ''{-1}'')']) call
WHERE (SELECT count(*) FROM pg_temp.words(call, 0) WHERE words <> '') <> 3;
-- and none speaks SQL
SELECT * FROM pg_temp.words('tasker.create_task(''a"; drop table x;--'', namespace => ''b''''"; drop table x;--'')', 0);
