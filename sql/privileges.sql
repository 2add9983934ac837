--
-- Privileges: nobody has any until granted; grant_access is enough, without a right on
-- a table; history records who logged in and as whom they acted; a database owner
-- who is no superuser installs the extension and is its admin.
--

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_tasker_nobody, regress_tasker_worker, regress_tasker_app;
RESET client_min_messages;
CREATE ROLE regress_tasker_nobody;
CREATE ROLE regress_tasker_worker;
CREATE ROLE regress_tasker_app;
GRANT regress_tasker_app TO regress_tasker_worker;
SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "rights", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}');

-- ---------------------------------------------------------------------------
-- Nothing to PUBLIC, nothing to anyone
-- ---------------------------------------------------------------------------

SELECT 'schema' AS kind, nspname::text AS name, grantee, privilege_type FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE nspname = 'tasker' AND grantee <> nspowner
UNION ALL
SELECT relkind::text, relname, grantee, privilege_type FROM pg_class, aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v', 'S') AND grantee <> relowner
UNION ALL
SELECT 'function', proname, grantee, privilege_type FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE pronamespace = 'tasker'::regnamespace AND grantee <> proowner;
-- every function has its rights taken away, not left at the default
SELECT proname FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND proacl IS NULL;

SET ROLE regress_tasker_nobody;
\set VERBOSITY sqlstate
SELECT tasker.library_version();
SELECT * FROM tasker.workflow_steps;
SELECT * FROM tasker.tasks;
RESET ROLE;
GRANT USAGE ON SCHEMA tasker TO regress_tasker_nobody;
SET ROLE regress_tasker_nobody;
SELECT tasker.library_version();
SELECT tasker.create_task('pair', namespace => 'rights');
SELECT * FROM tasker.workflow_steps;
SELECT * FROM tasker.tasks;
INSERT INTO tasker.settings VALUES ('shard_count', '7');
SELECT nextval('tasker.task_id_seq');
CREATE TABLE tasker.mine ();
\set VERBOSITY default
-- of all functions and tables, none
SELECT count(*) FILTER (WHERE has_function_privilege(p.oid, 'EXECUTE')) AS executable, count(*) > 20 AS functions FROM pg_proc p WHERE pronamespace = 'tasker'::regnamespace;
SELECT count(*) FILTER (WHERE has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')) AS accessible, count(*) > 10 AS relations
FROM pg_class c WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v');
RESET ROLE;

-- ---------------------------------------------------------------------------
-- grant_access is enough, without table rights
-- ---------------------------------------------------------------------------

SELECT DISTINCT tasker.grant_access(role, access)
FROM unnest('{regress_tasker_worker,regress_tasker_app}'::regrole[]) role, unnest('{producer,worker,operator}'::text[]) access;

SET SESSION AUTHORIZATION regress_tasker_worker;
SELECT created FROM tasker.register_task_template('{"name": "mine", "namespace": "rights", "steps": [{"name": "a"}]}');
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'rights', idempotency_key => 'k') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('rights_w', task_id => :t) \gset
SELECT count(*) AS lost FROM tasker.heartbeat('rights_w', ARRAY[:step], ARRAY[:token]);
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token]);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('rights_w', task_id => :t) \gset
SELECT status FROM tasker.complete_step(:step, :token, '1');
SELECT name, current_state FROM tasker.get_step_readiness_status(:t);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT count(*) AS violations FROM tasker.verify_task(:t);
\set VERBOSITY sqlstate
SELECT * FROM tasker.tasks;
SELECT * FROM tasker.step_queue;
UPDATE tasker.tasks SET state = 'complete';
\set VERBOSITY default
SELECT current_user, session_user;

-- acting as another role, and with the rights of a function's owner
SET ROLE regress_tasker_app;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('rights_w', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '1', retry_after_seconds => 0);
SELECT current_user, session_user;
RESET ROLE;
RESET SESSION AUTHORIZATION;
CREATE FUNCTION pg_temp.as_app(t bigint) RETURNS boolean SECURITY DEFINER LANGUAGE sql AS $$ SELECT tasker.cancel_task(t, 'by a definer') $$;
ALTER FUNCTION pg_temp.as_app(bigint) OWNER TO regress_tasker_app;
SET SESSION AUTHORIZATION regress_tasker_worker;
SELECT pg_temp.as_app(:t);
SELECT current_user, session_user;
RESET SESSION AUTHORIZATION;

-- ---------------------------------------------------------------------------
-- Who is on record
-- ---------------------------------------------------------------------------

SELECT created_by, created_as FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state, recorded_by, recorded_as FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT step_no, outcome, recorded_by, recorded_as FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1, attempt_no;
SELECT step_no, to_state, recorded_by, recorded_as FROM tasker.step_moves WHERE task_id = :t ORDER BY move_id;
SELECT t.name, created_by FROM tasker.named_tasks t JOIN tasker.task_namespaces n USING (namespace_id) WHERE n.name = 'rights' AND t.name = 'mine';
SELECT role FROM tasker.workers WHERE worker_id = 'rights_w';
-- a superuser who takes a role leaves the role and his own name
SET ROLE regress_tasker_app;
SELECT task_id AS u FROM tasker.create_task('pair', namespace => 'rights') \gset
RESET ROLE;
SELECT created_by = session_user AS by_me, created_as FROM tasker.tasks WHERE task_id = :u;

-- an error caught leaves the caller who he was
SET SESSION AUTHORIZATION regress_tasker_worker;
DO $$
BEGIN
	PERFORM tasker.create_task('none');
EXCEPTION WHEN SQLSTATE 'TC001' THEN
	RAISE NOTICE 'still %', current_user;
END $$;
DO $$
BEGIN
	PERFORM tasker.create_task('none');
EXCEPTION WHEN SQLSTATE 'TC001' THEN
	PERFORM count(*) FROM tasker.tasks;
END $$;
RESET SESSION AUTHORIZATION;

-- a right taken back is gone at once
SELECT tasker.revoke_access('regress_tasker_app', 'operator');
SET ROLE regress_tasker_app;
\set VERBOSITY sqlstate
SELECT tasker.cancel_task(:u);
\set VERBOSITY default
RESET ROLE;

DROP FUNCTION pg_temp.as_app(bigint);
DROP OWNED BY regress_tasker_nobody, regress_tasker_worker, regress_tasker_app;

-- ---------------------------------------------------------------------------
-- A database owner installs it
-- ---------------------------------------------------------------------------

SELECT current_database() AS here \gset
SET client_min_messages = warning;
DROP DATABASE IF EXISTS regress_tasker_owned;
RESET client_min_messages;
CREATE DATABASE regress_tasker_owned OWNER regress_tasker_app;
\c regress_tasker_owned
SET ROLE regress_tasker_app;
-- what an attacker prepared is not taken over
CREATE SCHEMA tasker;
CREATE EXTENSION tasker_core;
DROP SCHEMA tasker;
CREATE EXTENSION tasker_core;
SELECT count(*) > 20 AS objects, bool_and(pg_get_userbyid(owner) = 'regress_tasker_app') AS all_his FROM (
	SELECT relowner FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
	UNION ALL SELECT nspowner FROM pg_namespace WHERE nspname = 'tasker') o(owner);
-- he uses it at once, grants it, and reads his tables
SELECT created FROM tasker.register_task_template('{"name": "one", "steps": [{"name": "s"}]}');
SELECT created FROM tasker.create_task('one');
SELECT task_state FROM tasker.claim_steps('w') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT state, created_as FROM tasker.tasks;
SELECT tasker.grant_access('regress_tasker_nobody', 'producer');
SET ROLE regress_tasker_nobody;
SELECT created FROM tasker.create_task('one');
\set VERBOSITY sqlstate
SELECT tasker.claim_steps('w');
\set VERBOSITY default
SET ROLE regress_tasker_app;
DROP EXTENSION tasker_core;
SELECT count(*) AS left FROM pg_namespace WHERE nspname = 'tasker';
\c :here
DROP DATABASE regress_tasker_owned;
DROP ROLE regress_tasker_nobody, regress_tasker_worker, regress_tasker_app;
