--
-- NOTIFY: what is sent at each level, with which payloads, once a transaction;
-- what is never sent; who may have more sent.
--

SELECT created FROM tasker.register_task_template('{"name": "chain", "namespace": "notify", "steps": [{"name": "a", "retry": {"jitter": 0, "backoff": "none"}}, {"name": "b", "depends_on": ["a"]}]}');
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "notify \"quoted\" \\", "steps": [{"name": "s"}]}');

-- psql prints notifications with the pid of the sender: a scene's output goes to
-- a file, and what was heard is read back from there.
\set heard 'results/notify.heard'
CREATE FUNCTION pg_temp.heard(notifications text, t bigint) RETURNS TABLE (channel text, payload text, task text, step bigint, short boolean) LANGUAGE sql AS $$
	SELECT m[1], coalesce(j ->> 'event', m[2]), CASE WHEN (j ->> 'task_id')::bigint = t THEN 'T' ELSE j ->> 'task_id' END, (j ->> 'workflow_step_id')::bigint - t * 1000000, octet_length(m[2]) <= 200
	FROM regexp_split_to_table(notifications, E'\n') WITH ORDINALITY AS n(line, i),
		LATERAL regexp_match(line, '^Asynchronous notification "(\w+)" with payload "(.*)" received from server process with PID \d+\.$') m,
		LATERAL (SELECT CASE WHEN m[1] = 'tasker_events' THEN m[2]::jsonb END) p(j)
	WHERE m IS NOT NULL ORDER BY i $$;
LISTEN tasker_ready;
LISTEN tasker_events;

-- ---------------------------------------------------------------------------
-- A task's life at each level
-- ---------------------------------------------------------------------------

SHOW tasker_core.notify;
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.fail_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

SET tasker_core.notify = steps;
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.fail_step(:step, :token, '1', retry_after_seconds => 60);
SET tasker_core.clock_offset = 61;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t, lease_seconds => 1) \gset
SET tasker_core.clock_offset = 63;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.fail_step(:step, :token, '1', false);
SELECT tasker.cancel_task(:t);
RESET tasker_core.clock_offset;
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

-- a cancel names the live steps; a retry that is ready at once wakes workers, as does a claim given back
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token]);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.fail_step(:step, :token, '1', retry_after_seconds => 0);
SELECT tasker.cancel_task(:t);
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

SET tasker_core.notify = ready;
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

SET tasker_core.notify = off;
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.complete_step(:step, :token, '1');
SELECT tasker.cancel_task(:t);
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

-- ---------------------------------------------------------------------------
-- Once a transaction, and not for nothing
-- ---------------------------------------------------------------------------

SET tasker_core.notify = steps;
\o :heard
BEGIN;
SELECT count(*), min(task_id) AS t FROM generate_series(1, 50) i, tasker.create_task('chain', jsonb_build_object('i', i), 'notify') \gset
SELECT count(*) FROM tasker.claim_steps('w', 50, '{notify}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') d;
COMMIT;
\o
\set text `cat results/notify.heard`
SELECT channel, payload, count(*), count(DISTINCT task) AS tasks, bool_and(short) AS short FROM pg_temp.heard(:'text', 0) GROUP BY 1, 2 ORDER BY 1, 2;

-- nothing: a rollback, a schedule ahead, an idle claim, a heartbeat, a question, a refusal, a repetition
\o :heard
BEGIN;
SELECT task_id FROM tasker.create_task('chain', namespace => 'notify');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT task_id FROM tasker.create_task('chain', namespace => 'notify');
ROLLBACK TO s;
COMMIT;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{nowhere}');
SELECT count(*) FROM tasker.heartbeat('w', '{}', '{}');
SELECT count(*) FROM tasker.get_step_readiness_status(:t);
SELECT tasker.release_steps('{1}', '{1}');
SELECT status FROM tasker.complete_steps('{1}', '{1}', '{1}');
SELECT c.status FROM tasker.step_attempts a, tasker.complete_step(a.task_id * 1000000 + a.step_no, a.claim_token, '1') c WHERE a.task_id = :t;
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

-- a task scheduled ahead has nothing ready, and its creation is news
\o :heard
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'notify', run_at => '2100-01-01') \gset
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);

-- payloads parse whatever names hold
\o :heard
SELECT task_id AS t FROM tasker.create_task('one', namespace => E'notify "quoted" \\') \gset
\o
\set text `cat results/notify.heard`
SELECT * FROM pg_temp.heard(:'text', :t);
UNLISTEN *;

-- ---------------------------------------------------------------------------
-- Who may have more sent
-- ---------------------------------------------------------------------------

RESET tasker_core.notify;
CREATE ROLE regress_tasker_quiet;
SET SESSION AUTHORIZATION regress_tasker_quiet;
-- less, not more; back by RESET
SET tasker_core.notify = ready;
SET tasker_core.notify = off;
SET tasker_core.notify = tasks;
SHOW tasker_core.notify;
RESET tasker_core.notify;
SHOW tasker_core.notify;
SET tasker_core.notify = steps;
BEGIN;
SET LOCAL tasker_core.notify = off;
COMMIT;
SHOW tasker_core.notify;
SET tasker_core.notify = everything;
ALTER ROLE regress_tasker_quiet SET tasker_core.notify = steps;
-- the other settings are superusers' only
SET tasker_core.clock_offset = 1;
SET tasker_core.max_retry_after = 1;
SET tasker_core.max_payload_size = 1;
RESET SESSION AUTHORIZATION;
-- what a superuser raised goes on for who he becomes, in parallel workers too
SET tasker_core.notify = steps;
SET ROLE regress_tasker_quiet;
SHOW tasker_core.notify;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT count(*) > 0 AS rows FROM pg_class;
RESET ROLE;
-- a name of ours that is none
SET tasker_core.notfy = off;
DROP ROLE regress_tasker_quiet;
