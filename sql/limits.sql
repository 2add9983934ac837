--
-- Limits: what one caller may ask for, each a setting, each refused with TC023 and
-- nothing changed.
--

SET client_min_messages = warning;
DROP ROLE IF EXISTS regress_tasker_limited;
RESET client_min_messages;
CREATE ROLE regress_tasker_limited;
SELECT count(tasker.grant_access('regress_tasker_limited', access, '{limits}')) FROM unnest('{producer,worker}'::text[]) access;
SELECT name, setting FROM pg_settings WHERE name ~ '^tasker_core.max_' AND name <> 'tasker_core.max_retry_after' ORDER BY name;
CREATE FUNCTION pg_temp.chain(steps int, version text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('name', 'chain', 'namespace', 'limits', 'version', version, 'steps',
		jsonb_agg(jsonb_build_object('name', 's' || i) || CASE WHEN i > 1 THEN jsonb_build_object('depends_on', jsonb_build_array('s' || i - 1)) ELSE '{}' END ORDER BY i))
	FROM generate_series(1, steps) i $$;
CREATE FUNCTION pg_temp.nest(depth int) RETURNS jsonb LANGUAGE sql AS $$ SELECT (repeat('{"a":', depth) || '1' || repeat('}', depth))::jsonb $$;

-- steps and edges of a template
SET tasker_core.max_template_steps = 5;
SELECT created FROM tasker.register_task_template(pg_temp.chain(5, '0.5.0'));
SELECT created FROM tasker.register_task_template(pg_temp.chain(6, '0.6.0'));
SELECT created FROM tasker.create_task_from_definition(pg_temp.chain(6, '0.6.0'));
RESET tasker_core.max_template_steps;
SET tasker_core.max_template_edges = 5;
SELECT created FROM tasker.register_task_template(pg_temp.chain(6, '0.6.0'));
SELECT created FROM tasker.register_task_template(pg_temp.chain(7, '0.7.0'));
RESET tasker_core.max_template_edges;
SELECT version FROM tasker.list_task_templates('limits');

-- depth: what is small is not looked at, and cannot be deep
SET tasker_core.max_json_depth = 20;
SELECT created FROM tasker.create_task('chain', pg_temp.nest(20), 'limits');
SELECT created FROM tasker.create_task('chain', pg_temp.nest(21), 'limits');
SELECT workflow_step_id AS s, claim_token AS t FROM tasker.claim_steps('w', namespaces => '{limits}') \gset
\set VERBOSITY terse
SELECT status FROM tasker.complete_step(:s, :t, pg_temp.nest(21));
SELECT tasker.fail_step(:s, :t, pg_temp.nest(21));
SELECT tasker.checkpoint_step(:s, :t, pg_temp.nest(21));
SELECT tasker.publish_event('limits.deep', pg_temp.nest(21));
SELECT status FROM tasker.complete_steps(ARRAY[:s], ARRAY[:t], ARRAY[pg_temp.nest(21)]);
\set VERBOSITY default
SELECT status FROM tasker.complete_step(:s, :t, pg_temp.nest(20));
RESET tasker_core.max_json_depth;

-- pending tasks of a namespace
SELECT count(tasker.cancel_task(task_id)) FROM tasker.list_tasks('{"namespace": "limits"}');
SET tasker_core.max_pending_tasks = 3;
SELECT count(*) FROM generate_series(1, 3) i, tasker.create_task('chain', jsonb_build_object('i', i), 'limits');
SELECT created FROM tasker.create_task('chain', namespace => 'limits');
SELECT count(*) FROM tasker.create_tasks('[{"name": "chain", "namespace": "limits"}]');
SELECT count(*) AS kept FROM tasker.list_tasks('{"namespace": "limits", "state": "pending"}');
-- one that is there already is no more; one that is claimed makes room
SELECT count(*) FROM tasker.claim_steps('w', namespaces => '{limits}');
SELECT created FROM tasker.create_task('chain', namespace => 'limits', idempotency_key => 'k');
SELECT created FROM tasker.create_task('chain', namespace => 'limits', idempotency_key => 'k');
SELECT created FROM tasker.create_task('chain', namespace => 'limits');
-- another namespace has its own count
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "limits_other", "steps": [{"name": "s"}]}');
SELECT created FROM tasker.create_task('one', namespace => 'limits_other');
RESET tasker_core.max_pending_tasks;

-- tasks that a role creates in a minute
SELECT count(*) AS written_without_a_limit FROM tasker.task_starts;
SET tasker_core.max_task_starts_per_minute = 4;
SET ROLE regress_tasker_limited;
SELECT count(*) FROM tasker.create_tasks('[{"name": "chain", "namespace": "limits"}, {"name": "chain", "namespace": "limits"}, {"name": "chain", "namespace": "limits", "idempotency_key": "k"}]');
SELECT count(*) FROM generate_series(1, 2) i, tasker.create_task('chain', jsonb_build_object('i', i), 'limits');
SELECT created FROM tasker.create_task('chain', namespace => 'limits');
SELECT created FROM tasker.create_task_from_definition('{"name": "adhoc", "namespace": "limits", "steps": [{"name": "s"}]}');
SELECT created FROM tasker.create_task('chain', namespace => 'limits', idempotency_key => 'k') AS there_already;
RESET ROLE;
SELECT role_name, sum(starts) FROM tasker.task_starts GROUP BY 1;
-- other roles have their own; a minute later there is room, and the old rows go
SELECT created FROM tasker.create_task('chain', namespace => 'limits');
SET tasker_core.clock_offset = 61;
SET ROLE regress_tasker_limited;
SELECT created FROM tasker.create_task('chain', namespace => 'limits');
RESET ROLE;
SELECT role_name, sum(starts) FROM tasker.task_starts WHERE role_name = 'regress_tasker_limited' GROUP BY 1;
RESET tasker_core.clock_offset;

-- nobody raises his own
SET ROLE regress_tasker_limited;
\set VERBOSITY terse
SET tasker_core.max_task_starts_per_minute = 100;
SET tasker_core.max_pending_tasks = 0;
SET tasker_core.max_template_steps = 100000;
SET tasker_core.max_json_depth = 100000;
\set VERBOSITY default
RESET ROLE;
RESET tasker_core.max_task_starts_per_minute;

SELECT count(tasker.cancel_task(task_id)) > 0 AS cancelled FROM tasker.list_tasks('{"namespace": "limits"}') WHERE state IN ('pending', 'in_progress');
SELECT count(tasker.revoke_access('regress_tasker_limited', access)) FROM unnest('{producer,worker}'::text[]) access;
DELETE FROM tasker.task_starts;
DROP ROLE regress_tasker_limited;
