--
-- Pausing namespaces and templates: one row, whatever waits below it.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

CREATE FUNCTION pg_temp.claimed(VARIADIC tasks bigint[]) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(c.task_name || '@' || c.task_version || ' ' || c.step_name, ', ' ORDER BY c.workflow_step_id), 'nothing')
	FROM unnest(tasks) t(task_id), tasker.claim_steps('w', 10, task_id => t.task_id, lease_seconds => 600) c $$;

SELECT count(*) FROM unnest(ARRAY['0.1.0', '0.2.0']) v, tasker.register_task_template(jsonb_build_object(
	'name', 'load', 'namespace', 'pauses', 'version', v, 'steps', '[{"name": "a"}, {"name": "b", "depends_on": ["a"]}]'::jsonb)) r;
SELECT count(*) FROM tasker.register_task_template('{"name": "report", "namespace": "pauses", "steps": [
	{"name": "ask", "wait_for_signal": {"name": "go", "timeout_seconds": 100, "on_timeout": "skip"}}, {"name": "only"}]}');
SELECT count(*) FROM tasker.register_task_template('{"name": "load", "namespace": "pauses_elsewhere", "steps": [{"name": "a"}]}');
SELECT task_id AS old FROM tasker.create_task('load', namespace => 'pauses', version => '0.1.0') \gset
SELECT task_id AS new FROM tasker.create_task('load', namespace => 'pauses') \gset
SELECT task_id AS report FROM tasker.create_task('report', namespace => 'pauses') \gset
SELECT task_id AS other FROM tasker.create_task('load', namespace => 'pauses_elsewhere') \gset

-- a template: all its versions, nothing else
SELECT tasker.pause_template('load', 'pauses', 'the source is down'), tasker.pause_template('load', 'pauses', 'again');
SELECT pg_temp.claimed(:old, :new, :report, :other);
SELECT name, dependencies_satisfied, ready_for_execution FROM tasker.get_step_readiness_status(:old) ORDER BY workflow_step_id;
SELECT execution_status, recommended_action, ready_steps, health_status FROM tasker.get_task_execution_context(:new);
SELECT execution_status, recommended_action FROM tasker.get_task_execution_context(:report);
SELECT reason, regexp_replace(detail, '\d{4}-[-0-9T:.+]+', 'T') AS detail FROM tasker.explain_step(:old * 1000000::bigint + 1);
SELECT task_name FROM tasker.get_next_ready_tasks(100) WHERE namespace LIKE 'pauses%';
SELECT version, ready, paused FROM tasker.stats WHERE namespace = 'pauses' AND name = 'load' ORDER BY version;
SELECT queue, ready, paused FROM tasker.queue_stats WHERE namespace = 'pauses';
SELECT h ->> 'paused' AS paused, h ->> 'reason' AS reason, h ->> 'by' = current_user AS by_me, h ? 'since' AS has_time
	FROM jsonb_array_elements(tasker.get_task(:new) #> '{task,held_by}') h;
SELECT tasker.get_task(:other) #> '{task,held_by}' AS held_by;

-- its namespace besides: both have to be resumed; a version that comes later is held too
SELECT tasker.pause_namespace('pauses');
SELECT count(*) FROM tasker.register_task_template('{"name": "load", "namespace": "pauses", "version": "0.3.0", "steps": [{"name": "a"}]}');
SELECT task_id AS newest FROM tasker.create_task('load', namespace => 'pauses') \gset
SELECT reason, detail LIKE '%: the source is down%' AS says_why FROM tasker.explain_step(:newest * 1000000::bigint + 1);
SELECT tasker.resume_template('load', 'pauses'), tasker.resume_template('load', 'pauses');
SELECT pg_temp.claimed(:old, :newest), pg_temp.claimed(:other);
SELECT reason FROM tasker.explain_step(:newest * 1000000::bigint + 1);

-- what is in hand may end, and what comes after it waits; signals are taken, timeouts and lost leases wait
SELECT tasker.resume_namespace('pauses', 'back');
SELECT workflow_step_id AS step1, claim_token AS token1 FROM tasker.claim_steps('w', 1, task_id => :old, lease_seconds => 600) \gset
SELECT tasker.pause_namespace('pauses', 'maintenance window');
SELECT count(*) AS lost FROM tasker.heartbeat('w', ARRAY[:step1], ARRAY[:token1::bigint], 900);
SELECT status, steps_ready FROM tasker.complete_step(:step1, :token1, '1');
SELECT pg_temp.claimed(:old);
SELECT name, current_state, ready_for_execution FROM tasker.get_step_readiness_status(:old) ORDER BY workflow_step_id;
SET tasker_core.clock_offset = 5000;
SELECT pg_temp.claimed(:report);
SELECT state FROM tasker.workflow_steps WHERE task_id = :report ORDER BY step_no;
SELECT tasker.send_signal(:report, 'go', '"yes"');
SELECT state FROM tasker.workflow_steps WHERE task_id = :report ORDER BY step_no;
RESET tasker_core.clock_offset;

-- clocks of staleness stand still, and begin anew
SET tasker_core.clock_offset = 864000;
SELECT count(*) FROM tasker.detect_stale_tasks() WHERE task_id IN (:old, :new, :report);
SELECT tasker.resume_namespace('pauses', 'done');
SELECT count(*) FROM tasker.detect_stale_tasks() WHERE task_id IN (:old, :new, :report);
SET tasker_core.clock_offset = 1000000;
SELECT count(*) FROM tasker.detect_stale_tasks() WHERE task_id IN (:old, :new, :report);
RESET tasker_core.clock_offset;
SELECT pg_temp.claimed(:old, :new, :report, :newest);

-- on record
SELECT namespace, task_name, reason, resumed_at IS NULL AS now, resume_reason, paused_by = current_user AS by_me FROM tasker.list_pauses('pauses');

-- a pause that was rolled back never was
BEGIN;
SELECT tasker.pause_namespace('pauses_elsewhere');
SELECT pg_temp.claimed(:other);
ROLLBACK;
SELECT task_id AS other FROM tasker.create_task('load', namespace => 'pauses_elsewhere') \gset
SELECT pg_temp.claimed(:other);

-- by its owner alone
SELECT call, pg_temp.refusal(call) FROM (VALUES
	('tasker.pause_namespace(NULL)'), ('tasker.pause_namespace(''no such'')'), ('tasker.resume_namespace(''no such'')'),
	('tasker.pause_template(NULL)'), ('tasker.pause_template(''no such'')'), ('tasker.resume_template(''load'', ''no such'')')) c(call);
SELECT tasker.resume_namespace('pauses'), tasker.resume_template('load', 'pauses');
CREATE ROLE pauses_operator LOGIN;
SELECT tasker.grant_access('pauses_operator', 'operator', ARRAY['pauses']);
SET ROLE pauses_operator;
SELECT tasker.pause_namespace('pauses', 'mine'), tasker.pause_template('report', 'pauses');
SELECT pg_temp.refusal('tasker.pause_namespace(''pauses_elsewhere'')'), pg_temp.refusal('tasker.pause_template(''load'', ''pauses_elsewhere'')');
SELECT DISTINCT namespace FROM tasker.list_pauses();
SELECT paused_by, reason FROM tasker.list_pauses() WHERE resumed_at IS NULL ORDER BY reason;
SELECT tasker.resume_namespace('pauses'), tasker.resume_template('report', 'pauses');
RESET ROLE;
SELECT tasker.revoke_access('pauses_operator', 'operator');
DROP ROLE pauses_operator;
SELECT count(*) AS violations FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id),
	tasker.verify_task(t.task_id) WHERE s.name LIKE 'pauses%';
