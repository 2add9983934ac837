--
-- Steps that are SQL: whose they are, how they run, and what they may not.
--

CREATE ROLE regress_tasker_author LOGIN;
CREATE ROLE regress_tasker_other LOGIN;
CREATE SCHEMA sql_steps AUTHORIZATION regress_tasker_author;
SELECT count(*) FROM unnest('{regress_tasker_author, regress_tasker_other}'::regrole[]) r, unnest('{producer, worker, operator}'::text[]) a, tasker.grant_access(r, a);
SELECT current_user AS owner \gset
SET client_min_messages = warning;

\c - regress_tasker_author
SET client_min_messages = warning;
CREATE TABLE sql_steps.orders (id int, amount int);
CREATE TABLE sql_steps.log (line text);
INSERT INTO sql_steps.orders VALUES (1, 10), (2, 20), (3, 12);
CREATE FUNCTION sql_steps.total(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT jsonb_build_object('total', sum(amount) + coalesce((task -> 'context' ->> 'plus')::int, 0)) FROM sql_steps.orders $$;
CREATE FUNCTION sql_steps.note(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO sql_steps.log VALUES (format('%s attempt %s of %s: %s %s', step ->> 'name', step ->> 'attempt', step ->> 'max_attempts', step -> 'dependency_results', step -> 'config'));
	RETURN to_jsonb(current_user || ' ' || session_user);
END $$;
CREATE FUNCTION sql_steps.wrong(task jsonb, step jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO sql_steps.log VALUES ('wrong');
	CASE task -> 'context' ->> 'how'
	WHEN 'raise' THEN RAISE EXCEPTION 'no stock' USING ERRCODE = 'P1234', DETAIL = 'Of nothing.', HINT = 'Order some.';
	WHEN 'null' THEN RETURN NULL;
	WHEN 'schema' THEN RETURN '"text"';
	WHEN 'slow' THEN PERFORM pg_sleep(600);
	WHEN 'stubborn' THEN
		BEGIN
			PERFORM pg_sleep(600);
		EXCEPTION WHEN query_canceled THEN
			RETURN '1';
		END;
	WHEN 'role' THEN SET ROLE NONE;
	WHEN 'authorization' THEN SET SESSION AUTHORIZATION DEFAULT;
	WHEN 'reset' THEN RESET ROLE;
	WHEN 'itself' THEN PERFORM tasker.run_sql_steps();
	WHEN 'cancel' THEN PERFORM tasker.cancel_task((task ->> 'task_id')::bigint);
	END CASE;
	RETURN '1';
END $$;
CREATE FUNCTION sql_steps.returns_text(task jsonb, step jsonb) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
CREATE FUNCTION sql_steps.returns_set(task jsonb, step jsonb) RETURNS SETOF jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
CREATE FUNCTION sql_steps.one(task jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
CREATE FUNCTION sql_steps.secret(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT '1'::jsonb $$;
REVOKE EXECUTE ON FUNCTION sql_steps.secret FROM PUBLIC, regress_tasker_author;

-- ---------------------------------------------------------------------------
-- What is accepted
-- ---------------------------------------------------------------------------

SELECT * FROM tasker.register_task_template('{"name": "bad", "namespace": "sql", "steps": [
	{"name": "a", "handler": {"sql": "sql_steps.nothing"}}, {"name": "b", "handler": {"sql": "total"}}, {"name": "c", "handler": {"sql": "sql_steps.returns_text"}},
	{"name": "d", "handler": {"sql": "sql_steps.returns_set"}}, {"name": "e", "handler": {"sql": "sql_steps.one"}}, {"name": "f", "handler": {"sql": "sql_steps.secret"}},
	{"name": "g", "handler": {"sql": "nowhere.total"}}, {"name": "h", "handler": {"sql": "a.b.c"}}]}');
SELECT tasker.validate_task_template('{"name": "bad", "namespace": "sql", "steps": [
	{"name": "a", "handler": {"sql": "sql_steps.total", "callable": "X", "method": "call"}}, {"name": "b", "handler": {"sql": "sql_steps.total"}, "queue": "default"}, {"name": "c", "queue": "sql:postgres"}]}');
SELECT * FROM tasker.create_task_from_definition('{"name": "adhoc", "namespace": "sql", "steps": [{"name": "a", "handler": {"sql": "sql_steps.total"}}]}');
SELECT created, warnings FROM tasker.register_task_template('{"name": "mixed", "namespace": "sql", "steps": [
	{"name": "total", "handler": {"sql": "sql_steps.total"}, "retry": {"backoff_base_ms": 3600000, "max_backoff_ms": 3600000}}, {"name": "mail", "handler": {"callable": "Mailer"}, "depends_on": ["total"]},
	{"name": "note", "handler": {"sql": "sql_steps.note", "initialization": {"to": "log"}}, "depends_on": ["total", "mail"]}]}');
SELECT tasker.get_task_template('mixed', 'sql') -> 'steps' -> 2 -> 'handler' AS handler;
SELECT created FROM tasker.register_task_template('{"name": "wrong", "namespace": "sql", "steps": [
	{"name": "s", "handler": {"sql": "sql_steps.wrong"}, "timeout_seconds": 1, "result_schema": {"type": "integer"}, "retry": {"max_attempts": 2, "backoff": "none"}}]}');

-- ---------------------------------------------------------------------------
-- Mixed with steps of external workers
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('mixed', '{"plus": 8}', 'sql') \gset
-- they claim no SQL step, unless they ask for its queue
SELECT step_name FROM tasker.claim_steps('w', 10, '{sql}');
SELECT tasker.complete_and_claim('{}', '{}', '{}', 'w', 10);
BEGIN;
SELECT step_name, handler_class, queue FROM tasker.claim_steps('w', 10, queues => '{sql:regress_tasker_author}');
ROLLBACK;
SELECT workflow_step_id - :t * 1000000 AS step, status, error FROM tasker.run_sql_steps(namespaces => '{elsewhere}');
SELECT workflow_step_id - :t * 1000000 AS step, status, error FROM tasker.run_sql_steps();
SELECT workflow_step_id AS step, claim_token AS token, step_name, dependency_results FROM tasker.claim_steps('w', 10, '{sql}') \gset
\echo :step_name :dependency_results
SELECT task_state FROM tasker.complete_step(:step, :token, '"sent"');
-- rolled back with the transaction, function and completion alike
BEGIN;
SELECT workflow_step_id - :t * 1000000 AS step, status FROM tasker.run_sql_steps();
SELECT count(*) FROM sql_steps.log;
ROLLBACK;
SELECT count(*) FROM sql_steps.log;
SELECT workflow_step_id - :t * 1000000 AS step, status FROM tasker.run_sql_steps();
SELECT * FROM sql_steps.log;
\c - :owner
SELECT name, state, results, worker_id FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT state FROM tasker.tasks WHERE task_id = :t;
\c - regress_tasker_author

-- ---------------------------------------------------------------------------
-- What goes wrong, and is a failure of the step: what it did is rolled back
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.wrong(how text) RETURNS TABLE (status text, sqlstate text, message text, detail text, hint text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM tasker.create_task('wrong', jsonb_build_object('how', how), 'sql');
	RETURN QUERY SELECT r.status, r.error ->> 'sqlstate', r.error ->> 'message', r.error ->> 'detail', r.error ->> 'hint' FROM tasker.run_sql_steps(1) r;
	PERFORM tasker.run_sql_steps(1); -- the second attempt is the last
END $$;
SELECT * FROM pg_temp.wrong('raise');
SELECT * FROM pg_temp.wrong('null');
SELECT status, sqlstate, regexp_replace(message, '\d+', 'N') AS message, detail FROM pg_temp.wrong('schema');
SELECT status, sqlstate FROM pg_temp.wrong('role');
SELECT status, sqlstate FROM pg_temp.wrong('authorization');
SELECT status, sqlstate FROM pg_temp.wrong('reset');
SELECT * FROM pg_temp.wrong('itself');
SELECT status, sqlstate, message FROM pg_temp.wrong('slow');
SELECT status, sqlstate, message FROM pg_temp.wrong('stubborn');
SELECT status, sqlstate, regexp_replace(message, '\d+', 'N') AS message FROM pg_temp.wrong('cancel');
SELECT count(*) FROM tasker.list_tasks('{"namespace": "sql", "name": "wrong", "state": "error"}');
SELECT count(*) FROM sql_steps.log WHERE line = 'wrong';
SELECT current_user, session_user;
SELECT count(*) FROM tasker.run_sql_steps();
SELECT count(*) FROM tasker.run_sql_steps(0);

-- ---------------------------------------------------------------------------
-- Whose they are
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('mixed', '{}', 'sql') \gset
-- EXECUTE is looked at again
REVOKE EXECUTE ON FUNCTION sql_steps.total FROM PUBLIC, regress_tasker_author;
SELECT status, error ->> 'sqlstate' AS sqlstate, error ->> 'message' AS message FROM tasker.run_sql_steps(1);
GRANT EXECUTE ON FUNCTION sql_steps.total TO regress_tasker_author;
\c - regress_tasker_other
SELECT count(*) FROM tasker.run_sql_steps();
-- the same template registered by another role would run as the first one
\set VERBOSITY default
SELECT * FROM tasker.register_task_template('{"name": "wrong", "namespace": "sql", "steps": [
	{"name": "s", "handler": {"sql": "sql_steps.wrong"}, "timeout_seconds": 1, "result_schema": {"type": "integer"}, "retry": {"max_attempts": 2, "backoff": "none"}}]}');
\c - :owner
GRANT USAGE ON SCHEMA sql_steps TO regress_tasker_other;
\c - regress_tasker_other
SELECT * FROM tasker.register_task_template('{"name": "wrong", "namespace": "sql", "steps": [
	{"name": "s", "handler": {"sql": "sql_steps.wrong"}, "timeout_seconds": 1, "result_schema": {"type": "integer"}, "retry": {"max_attempts": 2, "backoff": "none"}}]}');
-- not by who only acts as the author
\c - :owner
\set VERBOSITY sqlstate
SET ROLE regress_tasker_author;
SELECT * FROM tasker.run_sql_steps();
RESET ROLE;
SET SESSION AUTHORIZATION regress_tasker_author;
SELECT * FROM tasker.run_sql_steps();
RESET SESSION AUTHORIZATION;
CREATE FUNCTION sql_steps.definer() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER AS $$ SELECT status FROM tasker.run_sql_steps() $$;
ALTER FUNCTION sql_steps.definer() OWNER TO regress_tasker_author;
SELECT * FROM sql_steps.definer();
SELECT * FROM tasker.run_sql_steps(-1);
SELECT * FROM tasker.run_sql_steps(10001);
\set VERBOSITY default
-- a superuser runs nothing that others could change
SELECT * FROM tasker.register_task_template('{"name": "high", "namespace": "sql", "steps": [{"name": "s", "handler": {"sql": "sql_steps.total"}}]}');
CREATE FUNCTION sql_steps.high(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(current_user = session_user) $$;
SELECT created FROM tasker.register_task_template('{"name": "high", "namespace": "sql", "steps": [{"name": "s", "handler": {"sql": "sql_steps.high"}, "retry": {"max_attempts": 1}}]}');
SELECT task_id AS h FROM tasker.create_task('high', namespace => 'sql') \gset
SELECT detail LIKE '%run_sql_steps()%this database has no background worker' AS explained FROM tasker.explain_step(:h * 1000000 + 1) WHERE reason = 'no_live_worker';
SELECT status FROM tasker.run_sql_steps(namespaces => '{sql}');
ALTER FUNCTION sql_steps.high OWNER TO regress_tasker_author;
SELECT task_id AS h FROM tasker.create_task('high', namespace => 'sql') \gset
SELECT status, error ->> 'sqlstate' AS sqlstate, error ->> 'message' AS message FROM tasker.run_sql_steps(namespaces => '{sql}');
-- seen by what looks after all steps
SELECT reason FROM tasker.explain_step(:t * 1000000 + 1);
SELECT tasker.cancel_task(:t);
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;

SET client_min_messages = warning;
DROP SCHEMA sql_steps CASCADE;
SELECT count(*) FROM unnest('{regress_tasker_author, regress_tasker_other}'::regrole[]) r, unnest('{producer, worker, operator}'::text[]) a, tasker.revoke_access(r, a);
DROP ROLE regress_tasker_author, regress_tasker_other;
