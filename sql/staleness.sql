--
-- Stale tasks: each limit and each word of a template's lifecycle has an effect;
-- a dry run changes nothing; a task that is ended can be resumed as it was.
--

-- it looks at every live task, so there must be no other
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
SET tasker_core.notify = off;
CREATE FUNCTION pg_temp.at(minutes float8) RETURNS void LANGUAGE sql AS $$ SELECT set_config('tasker_core.clock_offset', (minutes * 60)::text, false) $$;
CREATE FUNCTION pg_temp.template(name text, lifecycle jsonb DEFAULT '{}') RETURNS void LANGUAGE sql AS $$
	SELECT tasker.register_task_template(jsonb_build_object('name', name, 'namespace', 'stale', 'lifecycle', lifecycle, 'steps', '[
		{"name": "a", "retry": {"backoff_base_ms": 0, "jitter": 0}}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]'::jsonb)) $$;
CREATE FUNCTION pg_temp.stale(dry_run boolean DEFAULT true) RETURNS TABLE (task_name text, state text, minutes int, limit_minutes int, action text, limit_name text) LANGUAGE sql AS $$
	SELECT s.task_name, s.state, s.minutes, s.limit_minutes, s.action, s.limit_name FROM tasker.detect_stale_tasks(dry_run) s WHERE namespace = 'stale' $$;
CREATE FUNCTION pg_temp.letters(t bigint) RETURNS TABLE (reason text, state text, step bigint, snapshot jsonb, notes text) LANGUAGE sql AS $$
	SELECT reason, state, workflow_step_id, snapshot - '{namespace,task_name,task_version}'::text[], notes FROM tasker.dead_letters WHERE task_id = t ORDER BY dead_letter_id $$;

SELECT pg_temp.template('plain') \gset

-- ---------------------------------------------------------------------------
-- The four limits, by their defaults
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('plain', namespace => 'stale') \gset
-- ready, and nobody comes
SELECT pg_temp.at(59) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(61) \gset
SELECT * FROM pg_temp.stale();
SELECT stale_since = (SELECT created_at FROM tasker.tasks WHERE task_id = :t) + interval '60 minutes' AS since_the_limit, task_id = :t AS task FROM tasker.detect_stale_tasks() WHERE namespace = 'stale';

-- in one claim, whatever the heartbeats say
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', lease_seconds => 86400, task_id => :t) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(90) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(92) \gset
SELECT * FROM pg_temp.stale();

-- waiting for a retry, counted from the failure
SELECT step_state FROM tasker.fail_step(:step, :token, '"busy"', retry_after_seconds => 3600);
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(121) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(123) \gset
SELECT * FROM pg_temp.stale();

-- the whole of it
SELECT pg_temp.at(1439) \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', lease_seconds => 86400, task_id => :t) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(1441) \gset
SELECT * FROM pg_temp.stale();

-- neither a paused task nor one whose time has not come is stale, and a resumed one starts anew
SELECT tasker.pause_task(:t); SELECT * FROM pg_temp.stale();
SELECT tasker.resume_task(:t); SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(1472) \gset
SELECT * FROM pg_temp.stale();
SELECT tasker.cancel_task(:t); SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(0) \gset
SELECT task_id AS t FROM tasker.create_task('plain', namespace => 'stale', run_at => now() + interval '2000 minutes') \gset
SELECT pg_temp.at(1999) \gset
SELECT * FROM pg_temp.stale();
SELECT pg_temp.at(2061) \gset
SELECT * FROM pg_temp.stale();
SELECT tasker.cancel_task(:t); SELECT pg_temp.at(0) \gset

-- ---------------------------------------------------------------------------
-- What is done
-- ---------------------------------------------------------------------------

SELECT count(*) FROM (VALUES ('dlq', '{"staleness_action": "dlq"}'::jsonb), ('error', '{"staleness_action": "error"}'), ('none', '{"staleness_action": "none"}'),
	('auto_fail', '{"auto_fail_on_timeout": true}'), ('auto_dlq', '{"staleness_action": "none", "auto_dlq_on_timeout": true}'),
	('no_dlq', '{"staleness_action": "error", "auto_dlq_on_timeout": false}'), ('no_fail', '{"staleness_action": "error", "auto_fail_on_timeout": false}')) v(name, lifecycle),
	pg_temp.template(name, lifecycle || '{"max_duration_minutes": 10}');
SELECT tasker.get_task_template('no_dlq', 'stale')->'lifecycle' AS lifecycle;
CREATE TEMP TABLE made AS SELECT n AS name, task_id FROM unnest('{dlq,error,none,auto_fail,auto_dlq,no_dlq,no_fail}'::text[]) n, tasker.create_task(n, namespace => 'stale');
SELECT pg_temp.at(11) \gset
SELECT * FROM pg_temp.stale() ORDER BY 1;
SELECT count(*) AS changed FROM made JOIN tasker.tasks USING (task_id) LEFT JOIN tasker.dead_letters USING (task_id) WHERE tasks.state <> 'pending' OR dead_letter_id IS NOT NULL;

SELECT * FROM pg_temp.stale(false) ORDER BY 1;
SELECT m.name, t.state, d.reason, d.state AS letter FROM made m JOIN tasker.tasks t USING (task_id) LEFT JOIN tasker.dead_letters d USING (task_id) ORDER BY 1;
-- again: there is nothing left to do, and what has its entry is not listed
SELECT * FROM pg_temp.stale(false);
SELECT * FROM pg_temp.stale() ORDER BY 1;

-- closing the entry gives the task its time again
SELECT tasker.resolve_dead_letter(dead_letter_id, 'manually_resolved', 'it may take longer') FROM tasker.dead_letters JOIN made USING (task_id) WHERE name = 'dlq';
SELECT * FROM pg_temp.stale() WHERE task_name = 'dlq';
SELECT pg_temp.at(22) \gset
SELECT * FROM pg_temp.stale() WHERE task_name = 'dlq';
SELECT count(*) FROM made, tasker.cancel_task(task_id); SELECT pg_temp.at(0) \gset

-- ---------------------------------------------------------------------------
-- Ended in error: claims are fenced, no step has failed, and it can go on
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('error', namespace => 'stale') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT steps_ready FROM tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS b, claim_token AS b_token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retry_after_seconds => 3000);
SELECT pg_temp.at(11) \gset
SELECT * FROM pg_temp.stale(false);
SELECT name, state, attempts FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT step_no, verb, from_state, to_state, worker_id, reason FROM tasker.step_moves WHERE task_id = :t ORDER BY step_no;
SELECT from_state, to_state, reason, metadata FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT * FROM pg_temp.letters(:t);
SELECT execution_status, recommended_action, health_status FROM tasker.get_task_execution_context(:t);
SELECT * FROM tasker.verify_task(:t);
\set VERBOSITY sqlstate
SELECT tasker.complete_step(:b, :b_token, '1');
\set VERBOSITY default
SELECT count(*) AS claimable FROM tasker.claim_steps('w', 10, task_id => :t);

SELECT tasker.retry_task(:t, 'go on') AS ready_again;
SELECT state, notes FROM pg_temp.letters(:t);
SELECT * FROM tasker.verify_task(:t);
SELECT name, state, attempts FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT * FROM pg_temp.stale();
SELECT s.task_state FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') s;
SELECT s.task_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') s;
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT pg_temp.at(0) \gset

-- without the mark, a task in error without a failed step is damaged
SELECT task_id AS t FROM tasker.create_task('error', namespace => 'stale') \gset
SELECT pg_temp.at(11) \gset
SELECT action FROM pg_temp.stale(false);
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
BEGIN;
UPDATE tasker.task_transitions SET metadata = NULL WHERE task_id = :t;
SELECT violation FROM tasker.verify_task(:t);
ROLLBACK;
SELECT tasker.cancel_task(:t);

-- ---------------------------------------------------------------------------
-- Arguments
-- ---------------------------------------------------------------------------

SELECT pg_temp.at(0) \gset
SELECT count(*) FROM generate_series(1, 3) i, tasker.create_task('dlq', jsonb_build_object('i', i), 'stale');
SELECT pg_temp.at(11) \gset
SELECT count(*) FROM tasker.detect_stale_tasks(true, 2);
SELECT count(*) FROM tasker.detect_stale_tasks(true, 0);
SELECT count(*) FROM tasker.detect_stale_tasks(NULL, NULL) WHERE namespace = 'stale';
SELECT count(*) FROM tasker.detect_stale_tasks(false, 2);
SELECT count(*) AS left_over FROM pg_temp.stale();
SELECT tasker.detect_stale_tasks(true, -1);
SELECT tasker.detect_stale_tasks(true, 10001);
SELECT count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id), tasker.cancel_task(t.task_id) WHERE n.name = 'dlq' AND t.state = 'pending';

SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a"}], "lifecycle": {"max_duration_minutes": 0, "max_waiting_for_retry_minutes": "5",
	"max_steps_in_process_minutes": 525601, "max_waiting_for_dependencies_minutes": 1.5, "staleness_action": "manual_review", "auto_fail_on_timeout": 1, "auto_dlq_on_timeout": "no"}}');
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a"}], "lifecycle": {"max_age": 1}}');
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a"}], "lifecycle": 5}');

RESET tasker_core.clock_offset;
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;

-- a join that a deadline took out of its retries keeps the attempts that it made, when a failed parent of it is tried again
SELECT name FROM tasker.register_task_template('{"name": "join", "namespace": "stale", "lifecycle": {"max_duration_minutes": 10, "staleness_action": "error"},
	"steps": [{"name": "a"}, {"name": "b"}, {"name": "done", "trigger_rule": "all_done", "depends_on": ["a", "b"], "retry": {"backoff": "none", "jitter": 0}}]}');
SELECT task_id AS t FROM tasker.create_task('join', namespace => 'stale') \gset
SELECT step_state FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT step_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT set_config('tasker_core.clock_offset', (current_setting('tasker_core.clock_offset')::int + 660)::text, false) \gset
SELECT task_name, action FROM tasker.detect_stale_tasks(false) WHERE task_id = :t;
SELECT tasker.retry_task(:t);
SELECT name, state, attempts, remaining_parents FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT step_state FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT name, state, attempts, remaining_parents FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT * FROM tasker.verify_task(:t);
RESET tasker_core.clock_offset;
