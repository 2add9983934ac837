--
-- Access: what grant_access gives and revoke_access takes, to whom it counts, and
-- what a grant that is limited to namespaces sees of the others: nothing.
--

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_tasker_a, regress_tasker_team, regress_tasker_member, regress_tasker_all;
RESET client_min_messages;
CREATE ROLE regress_tasker_a;
CREATE ROLE regress_tasker_team;
CREATE ROLE regress_tasker_member ROLE regress_tasker_team;
CREATE ROLE regress_tasker_all;
CREATE FUNCTION pg_temp.grants() RETURNS TABLE (role_name text, access text, namespaces text[], effective boolean) LANGUAGE sql
AS $$ SELECT role_name, access, namespaces, effective FROM tasker.list_access() WHERE role_name ~ '^regress(_tasker_(a|team|member|all)$| )' ORDER BY 1, 2 $$;

-- ---------------------------------------------------------------------------
-- One table says which function needs which access
-- ---------------------------------------------------------------------------

DO $$
DECLARE
	stray text;
BEGIN
	SELECT string_agg(proname, ', ' ORDER BY proname) INTO stray FROM (
		SELECT proname::text FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace
		EXCEPT SELECT function_name FROM tasker.function_access()) f;
	IF stray IS NOT NULL THEN
		RAISE EXCEPTION 'no access is defined for: %', stray
			USING HINT = 'Add a line for each to the table "functions" in src/domain/access.c: who may call it, and how namespaces limit it.';
	END IF;
	SELECT string_agg(function_name, ', ' ORDER BY function_name) INTO stray FROM (
		SELECT function_name FROM tasker.function_access()
		EXCEPT SELECT proname FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace) f;
	IF stray IS NOT NULL THEN
		RAISE EXCEPTION 'the table "functions" in src/domain/access.c names what does not exist: %', stray;
	END IF;
END $$;
-- by_task and by_step look at the first argument
SELECT p.oid::regprocedure FROM pg_proc p JOIN tasker.function_access() f ON f.function_name = p.proname
WHERE pronamespace = 'tasker'::regnamespace AND f.namespaces IN ('by_task', 'by_step')
	AND (p.proargnames[1], p.proargtypes[0]) <> (CASE f.namespaces WHEN 'by_task' THEN 'task_id' ELSE 'workflow_step_id' END, 'bigint'::regtype);
-- what a limited grant opens takes a task or step by its id only where the table says so
SELECT p.oid::regprocedure FROM pg_proc p JOIN tasker.function_access() f ON f.function_name = p.proname
WHERE pronamespace = 'tasker'::regnamespace AND f.namespaces = 'none' AND p.proargnames && '{task_id,workflow_step_id,task_ids,workflow_step_ids}';

-- ---------------------------------------------------------------------------
-- Granting and revoking
-- ---------------------------------------------------------------------------

SELECT tasker.grant_access('regress_tasker_a', 'worker', '{acc_b,acc_a}');
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{acc_a}') AS had_it;
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{acc_c,acc_c}');
SELECT tasker.grant_access('regress_tasker_a', 'reader');
SELECT tasker.grant_access('regress_tasker_a', 'reader', '{acc_a}') AS had_it_all;
SELECT * FROM pg_temp.grants();
SELECT tasker.revoke_access('regress_tasker_a', 'worker', '{acc_c,acc_none}');
SELECT tasker.revoke_access('regress_tasker_a', 'worker', '{acc_c}') AS had_none;
SELECT tasker.revoke_access('regress_tasker_a', 'reader', '{acc_a}');
SELECT * FROM pg_temp.grants();
-- privileges follow, and those that another access needs stay
CREATE FUNCTION pg_temp.may(f text) RETURNS boolean LANGUAGE sql
AS $$ SELECT bool_and(has_function_privilege('regress_tasker_a', p.oid, 'EXECUTE')) FROM pg_proc p WHERE pronamespace = 'tasker'::regnamespace AND proname = f $$;
SELECT pg_temp.may('claim_steps') AS claim, pg_temp.may('get_task') AS get, pg_temp.may('get_step_transitive_dependencies') AS both, pg_temp.may('create_task') AS neither, has_schema_privilege('regress_tasker_a', 'tasker', 'USAGE') AS usage;
SELECT tasker.revoke_access('regress_tasker_a', 'reader');
SELECT pg_temp.may('claim_steps') AS claim, pg_temp.may('get_task') AS get, pg_temp.may('get_step_transitive_dependencies') AS both, has_schema_privilege('regress_tasker_a', 'tasker', 'USAGE') AS usage;
SELECT tasker.revoke_access('regress_tasker_a', 'worker', '{acc_a,acc_b}');
SELECT pg_temp.may('claim_steps') AS claim, pg_temp.may('library_version') AS any, has_schema_privilege('regress_tasker_a', 'tasker', 'USAGE') AS usage;
SELECT * FROM pg_temp.grants();
-- nothing is left that would keep the role
DROP ROLE regress_tasker_a;
CREATE ROLE regress_tasker_a;

-- what is refused
\set VERBOSITY sqlstate
SELECT tasker.grant_access(NULL, 'worker');
SELECT tasker.grant_access('regress_tasker_a', NULL);
SELECT tasker.grant_access('regress_tasker_a', 'superuser');
SELECT tasker.grant_access('regress_tasker_a', '');
SELECT tasker.grant_access('regress_tasker_no_such_role', 'worker');
SELECT tasker.grant_access(0, 'worker');
SELECT tasker.grant_access('public', 'worker');
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{}');
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{a,NULL}');
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{{a},{b}}');
SELECT tasker.grant_access('regress_tasker_a', 'worker', '{a/b}');
SELECT tasker.grant_access('regress_tasker_a', 'worker', ARRAY[E'a\nb']);
SELECT tasker.grant_access('regress_tasker_a', 'worker', ARRAY[repeat('a', 129)]);
\set VERBOSITY default
SELECT tasker.grant_access('regress_tasker_a', 'worker', ARRAY['']);
SELECT * FROM pg_temp.grants();

-- every view shows a reader his namespaces, or is for readers of all of them
SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind = 'v'
	AND (NOT coalesce(reloptions @> '{security_barrier=true}', false) OR pg_get_viewdef(oid) NOT LIKE '%sees_namespace(%') ORDER BY 1;
-- every table refuses whom somebody gave SELECT by hand
SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition AND NOT relrowsecurity AND relname <> 'dead_letters' ORDER BY 1;
SELECT relname FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relforcerowsecurity;

-- names that need quotes
CREATE ROLE "regress tasker ""x"" '); DROP TABLE tasker.tasks; --";
SELECT tasker.grant_access(oid, 'producer', ARRAY['name "with" ''quotes''; --']) FROM pg_roles WHERE rolname LIKE 'regress tasker%';
SELECT role_name, namespaces, effective FROM pg_temp.grants();
SELECT tasker.revoke_access(oid, 'producer') FROM pg_roles WHERE rolname LIKE 'regress tasker%';
DROP ROLE "regress tasker ""x"" '); DROP TABLE tasker.tasks; --";

-- ---------------------------------------------------------------------------
-- To whom it counts
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "acc_a", "steps": [{"name": "s"}]}');
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "acc_b", "steps": [{"name": "s"}, {"name": "t", "depends_on": ["s"]}]}');
SELECT task_id AS b FROM tasker.create_task('one', namespace => 'acc_b') \gset

-- EXECUTE by hand opens nothing
GRANT USAGE ON SCHEMA tasker TO regress_tasker_a;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO regress_tasker_a;
SET ROLE regress_tasker_a;
SELECT tasker.get_task(:b);
\set VERBOSITY sqlstate
SELECT created FROM tasker.create_task('one', namespace => 'acc_a');
SELECT * FROM tasker.list_access();
SELECT tasker.grant_access('regress_tasker_a', 'admin');
\set VERBOSITY default
-- but arithmetic has nothing to guard
SELECT tasker.calculate_backoff('linear', 2), count(*) > 50 AS documented FROM tasker.function_access();
RESET ROLE;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tasker FROM regress_tasker_a;
REVOKE ALL ON SCHEMA tasker FROM regress_tasker_a;

-- a member has what its role has, until it is no member
SELECT tasker.grant_access('regress_tasker_member', 'producer', '{acc_a}');
SET ROLE regress_tasker_team;
SELECT created FROM tasker.create_task('one', namespace => 'acc_a');
-- known by now, so that the next call asks nobody
SELECT created FROM tasker.create_task('one', namespace => 'acc_a');
RESET ROLE;
REVOKE regress_tasker_member FROM regress_tasker_team;
GRANT USAGE ON SCHEMA tasker TO regress_tasker_team;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO regress_tasker_team;
SET ROLE regress_tasker_team;
\set VERBOSITY sqlstate
SELECT created FROM tasker.create_task('one', namespace => 'acc_a');
\set VERBOSITY default
RESET ROLE;

-- within one transaction, and when it is rolled back
BEGIN;
SELECT tasker.grant_access('regress_tasker_team', 'reader', '{acc_b}');
SET LOCAL ROLE regress_tasker_team;
SELECT count(*) FROM tasker.get_step_readiness_status(:b);
ROLLBACK;
SET ROLE regress_tasker_team;
\set VERBOSITY sqlstate
SELECT count(*) FROM tasker.get_step_readiness_status(:b);
\set VERBOSITY default
RESET ROLE;

-- an admin who is neither superuser nor owner; of some namespaces, and of all
SELECT tasker.grant_access('regress_tasker_member', 'admin', '{acc_a}');
SET ROLE regress_tasker_member;
SELECT created FROM tasker.create_task('one', namespace => 'acc_a');
\set VERBOSITY sqlstate
SELECT tasker.get_task(:b) IS NULL;
SELECT tasker.grant_access('regress_tasker_member', 'admin');
SELECT count(*) FROM tasker.list_access();
\set VERBOSITY default
RESET ROLE;
SELECT tasker.grant_access('regress_tasker_all', 'admin');
SET ROLE regress_tasker_all;
SELECT tasker.get_task(:b) IS NULL AS unseen;
SELECT tasker.grant_access('regress_tasker_a', 'reader', '{acc_a}');
SELECT tasker.revoke_access('regress_tasker_a', 'reader');
RESET ROLE;
SELECT granted_by = session_user AS who_logged_in FROM tasker.list_access() WHERE role_name = 'regress_tasker_all';

-- a new role of an old name inherits nothing, not even when it is granted something else
SELECT tasker.grant_access('regress_tasker_a', 'admin');
DROP OWNED BY regress_tasker_a;
DROP ROLE regress_tasker_a;
SELECT role_name, access, effective FROM pg_temp.grants() WHERE role_name = 'regress_tasker_a';
CREATE ROLE regress_tasker_a;
SELECT effective FROM pg_temp.grants() WHERE role_name = 'regress_tasker_a';
GRANT USAGE ON SCHEMA tasker TO regress_tasker_team;
GRANT regress_tasker_a TO regress_tasker_team;
SET ROLE regress_tasker_team;
\set VERBOSITY sqlstate
SELECT tasker.get_task(:b) IS NULL;
\set VERBOSITY default
RESET ROLE;
SELECT tasker.grant_access('regress_tasker_a', 'reader', '{acc_a}');
SELECT access, namespaces FROM pg_temp.grants() WHERE role_name = 'regress_tasker_a';
SELECT tasker.revoke_access('regress_tasker_a', 'reader');

-- ---------------------------------------------------------------------------
-- A grant for acc_a sees nothing of acc_b
-- ---------------------------------------------------------------------------

SELECT count(tasker.grant_access('regress_tasker_a', access, '{acc_a}')) FROM unnest('{producer,worker,operator}'::text[]) access;
SELECT workflow_step_id AS bs, claim_token AS bt FROM tasker.claim_steps('acc_owner', task_id => :b) \gset
SELECT tasker.create_dead_letter(:b) AS dead \gset
SELECT tasker.publish_event('acc.event', '{}', :b) > 0 AS published;
SET ROLE regress_tasker_a;
SELECT task_id AS a FROM tasker.create_task('one', namespace => 'acc_a') \gset
-- batches: his own are done, the others are not there
SELECT workflow_step_id AS s, claim_token AS t FROM tasker.claim_steps('acc_w', task_id => :a) \gset
SELECT workflow_step_id = :bs AS the_other FROM tasker.heartbeat('acc_w', ARRAY[:bs, :s], ARRAY[:bt, :t]);
SELECT tasker.release_steps(ARRAY[:bs, :s], ARRAY[:bt, :t]) AS released;
SELECT workflow_step_id AS s, claim_token AS t FROM tasker.claim_steps('acc_w', task_id => :a) \gset
SELECT workflow_step_id = :s AS own, status, task_state, error ->> 'sqlstate' AS sqlstate FROM tasker.complete_steps(ARRAY[:bs, :s], ARRAY[:bt, :t], '{1,2}'::jsonb[]);
SELECT count(*) FROM tasker.complete_and_claim(ARRAY[:bs], ARRAY[:bt], '{1}'::jsonb[], 'acc_w', 10) WHERE status = 'not_found' OR namespace = 'acc_a';
-- no rows
SELECT count(*) FROM tasker.claim_steps('acc_w', 100, task_id => :b);
SELECT count(*) FROM tasker.claim_steps('acc_w', 100, namespaces => '{acc_b}');
SELECT DISTINCT namespace FROM tasker.claim_steps('acc_w', 100);
SELECT count(*) FROM tasker.get_step_readiness_status(:b);
SELECT DISTINCT task_id = :a AS own FROM tasker.get_step_readiness_status_batch(ARRAY[:a, :b]);
SELECT count(*) FROM tasker.get_task_execution_context(:b);
SELECT count(*) FROM tasker.get_task_execution_contexts_batch(ARRAY[:a, :b]);
SELECT count(*) FROM tasker.calculate_dependency_levels(:b);
SELECT count(*) FROM tasker.verify_task(:b);
SELECT DISTINCT namespace FROM tasker.list_task_templates();
SELECT count(*) FROM tasker.list_task_templates('acc_b');
SELECT DISTINCT namespace FROM tasker.list_tasks();
SELECT count(*) FROM tasker.list_tasks('{"namespace": "acc_b"}');
SELECT count(*) FROM tasker.list_tasks(jsonb_build_object('correlation_id', '00000000-0000-0000-0000-000000000000'));
SELECT DISTINCT namespace FROM tasker.get_next_ready_tasks(100);
SELECT count(*) > 0 AS events, count(*) FILTER (WHERE task_id = :b OR name = 'acc.event') AS others FROM tasker.read_events(max_events => 10000);
SELECT count(*) AS all_of_his, bool_and(task_id = ANY (ARRAY(SELECT task_id FROM tasker.list_tasks()))) AS his FROM tasker.read_events(max_events => 2);
SELECT DISTINCT namespace_name FROM tasker.get_slowest_tasks(namespace => 'acc_a');
-- views, without their rights on tables; not through a condition that looks before the filter does
CREATE FUNCTION pg_temp.peep(id bigint) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN IF id IS NOT NULL AND id NOT IN (SELECT task_id FROM tasker.list_tasks()) THEN RAISE NOTICE 'saw one'; END IF; RETURN true; END $$;
SELECT count(*) > 0 AS own, count(*) FILTER (WHERE task_id NOT IN (SELECT task_id FROM tasker.list_tasks())) AS others FROM tasker.workflow_steps WHERE pg_temp.peep(task_id);
SELECT count(*) > 0 AS own, count(*) FILTER (WHERE task_id NOT IN (SELECT task_id FROM tasker.list_tasks())) AS others FROM tasker.step_dag_relationships WHERE pg_temp.peep(task_id);
SELECT count(*) > 0 AS own, count(*) FILTER (WHERE task_id NOT IN (SELECT task_id FROM tasker.list_tasks())) AS others FROM tasker.workflow_step_transitions WHERE pg_temp.peep(task_id);
SELECT count(*) AS others FROM tasker.workflow_step_edges WHERE pg_temp.peep(task_id);
SELECT count(*) FROM tasker.workflow_steps WHERE task_id = :b;
SELECT DISTINCT namespace FROM tasker.stats;
SELECT DISTINCT namespace FROM tasker.queue_stats;
SELECT DISTINCT namespace FROM tasker.recent_attempts;
SELECT count(*) FROM tasker.dead_letter_details;
-- as unknown as what does not exist, and nothing is done
CREATE FUNCTION pg_temp.refusal(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN NULL;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN regexp_replace(concat_ws(E'\n', sqlstate, sqlerrm, detail, hint), '\d{3,}|\m\d+\M', 'N', 'g');
END $$;
SELECT pg_temp.refusal('SELECT tasker.get_task(' || :b || ')') = pg_temp.refusal('SELECT tasker.get_task(9000000000)') AS task_alike,
	pg_temp.refusal(format('SELECT tasker.complete_step(%s, %s, ''1'')', :bs, :bt)) = pg_temp.refusal('SELECT tasker.complete_step(9000000000000001, 5, ''1'')') AS step_alike;
\set VERBOSITY sqlstate
SELECT tasker.get_task(:b);
SELECT tasker.complete_step(:bs, :bt, '1');
SELECT tasker.fail_step(:bs, :bt, '1');
SELECT tasker.checkpoint_step(:bs, :bt, '1');
SELECT tasker.get_step(:bs);
SELECT tasker.explain_step(:bs);
SELECT tasker.task_graph(:b);
SELECT tasker.get_step_transitive_dependencies(:bs + 1);
SELECT tasker.cancel_task(:b);
SELECT tasker.pause_task(:b);
SELECT tasker.resume_task(:b);
SELECT tasker.retry_task(:b);
SELECT tasker.transition_task(:b, 'cancelled');
SELECT tasker.transition_step(:bs, 'skipped');
SELECT tasker.reset_step(:bs);
SELECT tasker.resolve_step(:bs, '1');
SELECT tasker.skip_step(:bs);
SELECT tasker.create_dead_letter(:b);
SELECT tasker.resolve_dead_letter(:dead, 'cancelled');
SELECT tasker.publish_event('acc.mine', '{}', :b);
SELECT tasker.publish_event('acc.mine', '{}', workflow_step_id => :bs);
SELECT tasker.get_task_template('one', 'acc_b');
SELECT tasker.template_graph('one', 'acc_b');
-- refused by name, whether it exists or not
SELECT tasker.register_task_template('{"name": "mine", "namespace": "acc_b", "steps": [{"name": "s"}]}');
SELECT tasker.create_task('one', namespace => 'acc_b');
SELECT tasker.create_task('one', namespace => 'acc_none');
SELECT tasker.create_task('one');
SELECT tasker.create_tasks('[{"name": "one", "namespace": "acc_a"}, {"name": "one", "namespace": "acc_b"}]');
SELECT tasker.create_task_from_definition('{"name": "mine", "namespace": "acc_b", "steps": [{"name": "s"}]}');
SELECT tasker.get_slowest_tasks(namespace => 'acc_b');
-- takes a grant for all
SELECT tasker.publish_event('acc.mine');
SELECT tasker.get_slowest_steps();
SELECT tasker.get_system_health_counts();
SELECT tasker.get_analytics_metrics();
SELECT tasker.detect_stale_tasks();
SELECT tasker.run_maintenance();
-- tables, and what shows all namespaces
SELECT count(*) FROM tasker.dead_letters;
SELECT count(*) FROM tasker.worker_stats;
SELECT count(*) FROM tasker.tasks;
SELECT count(*) FROM tasker.access_grants;
\set VERBOSITY default
RESET ROLE;
SELECT count(*) AS created FROM tasker.list_tasks('{"namespace": "acc_b"}');
SELECT state, attempts, worker_id FROM tasker.workflow_steps WHERE task_id = :b ORDER BY step_no;
SELECT state FROM tasker.dead_letters WHERE task_id = :b;
SELECT count(*) AS moves FROM tasker.step_moves WHERE task_id = :b;

-- two grants add up: reads everywhere, works in one
SELECT tasker.grant_access('regress_tasker_a', 'reader');
SET ROLE regress_tasker_a;
SELECT tasker.get_task(:b) #>> '{task,namespace}' AS namespace;
SELECT count(*) FROM tasker.workflow_steps WHERE task_id = :b;
SELECT state FROM tasker.dead_letters WHERE task_id = :b;
\set VERBOSITY sqlstate
SELECT tasker.cancel_task(:b);
SELECT tasker.complete_step(:bs, :bt, '1');
\set VERBOSITY default
RESET ROLE;
-- revoked: from the next call on, in sessions that have it cached
SELECT tasker.revoke_access('regress_tasker_a', 'operator');
SELECT tasker.revoke_access('regress_tasker_a', 'reader');
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO regress_tasker_a;
SET ROLE regress_tasker_a;
\set VERBOSITY sqlstate
SELECT tasker.get_task(:a) IS NULL;
\set VERBOSITY default
RESET ROLE;

SELECT violation FROM tasker.verify_task(:a) UNION ALL SELECT violation FROM tasker.verify_task(:b);
SELECT tasker.cancel_task(:b);
SELECT count(tasker.revoke_access(role_name::regrole, access)) FROM pg_temp.grants() WHERE effective;
DELETE FROM tasker.access_grants WHERE role_name ~ '^regress_tasker_(a|team|member|all)$';
DROP OWNED BY regress_tasker_a, regress_tasker_team, regress_tasker_member, regress_tasker_all;
DROP ROLE regress_tasker_a, regress_tasker_team, regress_tasker_member, regress_tasker_all;
