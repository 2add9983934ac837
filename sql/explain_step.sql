--
-- explain_step: why a step is not running, in every state that it can be in, the
-- most decisive reason first.
--

-- days ahead of all other tests, so that no worker of theirs was seen lately
SET tasker_core.clock_offset = 1000000;
SELECT name FROM tasker.register_task_template('{"name": "order", "namespace": "explain", "steps": [
	{"name": "check", "queue": "cpu"}, {"name": "charge", "depends_on": ["check"], "retry": {"max_attempts": 2}}, {"name": "reserve", "depends_on": ["check"]},
	{"name": "ship", "depends_on": ["reserve", "charge"]}, {"name": "notify", "depends_on": ["ship"]}]}');

-- times, ids and the number of other workers vary
CREATE FUNCTION pg_temp.why(t bigint, step int) RETURNS TABLE (reason text, detail text) LANGUAGE sql AS $$
	SELECT reason, regexp_replace(regexp_replace(regexp_replace(detail, '\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00', 'T', 'g'),
		'role "[^"]*"', 'role R', 'g'), '\(\d+(\d{6})\)', '(N\1)', 'g')
	FROM tasker.explain_step(t * 1000000 + step) $$;
\pset format unaligned
\pset tuples_only on

-- nobody claims
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'explain') \gset
SELECT * FROM pg_temp.why(:t, 1);
-- a worker is seen, but of another queue; then of this one
SELECT count(*) FROM tasker.claim_steps('explain-1', 1, '{explain}', queues => '{gpu}');
SELECT * FROM pg_temp.why(:t, 1);
SELECT count(*) FROM tasker.claim_steps('explain-2', 0, '{explain}', task_names => '{explain/order@9.9.9}');
SELECT * FROM pg_temp.why(:t, 1);
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_names => '{explain/order}');
SELECT * FROM pg_temp.why(:t, 1);
SELECT worker_id, namespaces, task_names, queues, last_claim_at = last_seen_at AS claimed FROM tasker.workers WHERE worker_id LIKE 'explain-%' ORDER BY 1;
-- who claims of one task alone serves no other, and what it claimed before stays known
SELECT count(*) FROM tasker.claim_steps('explain-4', 0, task_id => :t);
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_id => :t);
SELECT count(*) FROM tasker.heartbeat('explain-3', '{}', '{}');
SELECT worker_id, task_names, last_claim_at IS NOT NULL AS claims FROM tasker.workers WHERE worker_id IN ('explain-3', 'explain-4') ORDER BY 1;
-- other filters are noted ten seconds later at the latest, though heartbeats keep the row fresh
SET tasker_core.clock_offset = 1000009;
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_names => '{explain/other}');
SET tasker_core.clock_offset = 1000018;
SELECT count(*) FROM tasker.heartbeat('explain-3', '{}', '{}');
SELECT count(*) FROM tasker.claim_steps('explain-1', 0);
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_names => '{explain/other}');
SELECT task_names FROM tasker.workers WHERE worker_id = 'explain-3';
SET tasker_core.clock_offset = 1000029;
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_names => '{explain/order}');
SELECT task_names FROM tasker.workers WHERE worker_id = 'explain-3';
DELETE FROM tasker.workers WHERE worker_id = 'explain-1';
-- a minute later it is seen no more
SET tasker_core.clock_offset = 1000095;
SELECT * FROM pg_temp.why(:t, 1) WHERE reason = 'no_live_worker';
SET tasker_core.clock_offset = 1000000;

-- how many are before it: those of higher priority and those older of the same
SELECT count(*) FROM generate_series(1, 3) i, tasker.create_task('order', jsonb_build_object('i', i), namespace => 'explain', priority => 1);
SELECT count(*) FROM generate_series(1, 2) i, tasker.create_task('order', jsonb_build_object('i', i), namespace => 'explain', priority => -1);
SELECT task_id AS younger FROM tasker.create_task('order', namespace => 'explain') \gset
SELECT * FROM pg_temp.why(:t, 1);
SELECT * FROM pg_temp.why(:younger, 1);
BEGIN;
SELECT count(*) FROM generate_series(1, 1000) i, tasker.create_task('order', jsonb_build_object('i', i), namespace => 'explain', priority => 2);
SELECT * FROM pg_temp.why(:younger, 1);
ROLLBACK;

-- below: what it waits for, and where the work is
SELECT * FROM pg_temp.why(:t, 2);
SELECT * FROM pg_temp.why(:t, 4);
SELECT * FROM pg_temp.why(:t, 5);

-- claimed, then with an expired lease
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('explain-3', task_id => :t) \gset
SELECT * FROM pg_temp.why(:t, 1);
SET tasker_core.clock_offset = 1000061;
SELECT * FROM pg_temp.why(:t, 1) WHERE reason <> 'no_live_worker';
SET tasker_core.clock_offset = 1000000;
-- given back
SELECT tasker.release_steps(ARRAY[:step], ARRAY[:token], 30);
SELECT * FROM pg_temp.why(:t, 1);
SET tasker_core.clock_offset = 1000031;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('explain-3', task_id => :t) \gset
SELECT status FROM tasker.complete_step(:step, :token, '1');
SELECT * FROM pg_temp.why(:t, 1);

-- a retry, then the last failure: what is below waits for a person
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('explain-3', task_id => :t) \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '{"message": "card declined", "code": 7}', retry_after_seconds => 20);
SELECT * FROM pg_temp.why(:t, 2);
SELECT * FROM pg_temp.why(:t, 4);
SET tasker_core.clock_offset = 1000052;
SELECT reason FROM pg_temp.why(:t, 2) WHERE reason = 'queue_position';
SELECT step_name, step_state FROM tasker.claim_steps('explain-3', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"still declined"') WHERE step_name = 'charge';
SELECT * FROM pg_temp.why(:t, 2);
SELECT * FROM pg_temp.why(:t, 4);
-- the other branch ends: nothing can run any more
SET tasker_core.clock_offset = 1000120;
SELECT step_name, status FROM tasker.claim_steps('explain-3', 2, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT * FROM pg_temp.why(:t, 5);
-- goes on by hand
SELECT task_state FROM tasker.skip_step(:t * 1000000::bigint + 2, 'sent an invoice');
SELECT * FROM pg_temp.why(:t, 2);
SELECT * FROM pg_temp.why(:t, 5);

-- a failure that does not block: the step says so, the child goes on
SELECT name FROM tasker.register_task_template('{"name": "lenient", "namespace": "explain", "steps": [{"name": "try", "on_failure": "continue"}, {"name": "also"}, {"name": "then", "depends_on": ["try", "also"]}]}');
SELECT task_id AS lenient FROM tasker.create_task('lenient', namespace => 'explain') \gset
SELECT step_name, step_state FROM tasker.claim_steps('explain-3', task_id => :lenient) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT * FROM pg_temp.why(:lenient, 1);
SELECT * FROM pg_temp.why(:lenient, 3);

-- the last lease that was lost: the claim that finds it makes the step fail
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'explain') \gset
SELECT count(*) FROM tasker.claim_steps('explain-3', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT count(*) FROM tasker.claim_steps('explain-5', task_id => :t, lease_seconds => 1);
SET tasker_core.clock_offset = 1000130;
SELECT count(*) FROM tasker.claim_steps('explain-5', 2, task_id => :t, lease_seconds => 1);
SET tasker_core.clock_offset = 1000140;
SELECT * FROM pg_temp.why(:t, 2) WHERE reason <> 'no_live_worker';
SELECT count(*) FROM tasker.claim_steps('explain-3', 0, task_id => :t);
SELECT step_name FROM tasker.claim_steps('explain-3', 2, task_id => :t);
SELECT * FROM pg_temp.why(:t, 2);

-- paused, with who and why; a claim that is held comes first
SELECT tasker.pause_task(:t, 'the warehouse is closed');
SELECT * FROM pg_temp.why(:t, 3);
SELECT * FROM pg_temp.why(:t, 4);
SELECT tasker.resume_task(:t);
SELECT * FROM pg_temp.why(:t, 4) WHERE reason = 'task_paused';
-- cancelled with its task: what had ended keeps its own reason
SELECT tasker.cancel_task(:t, 'customer left');
SELECT * FROM pg_temp.why(:t, 1);
SELECT * FROM pg_temp.why(:t, 2);
SELECT * FROM pg_temp.why(:t, 3);
SELECT * FROM pg_temp.why(:t, 5);

-- scheduled
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'explain', run_at => '2099-01-01 00:00+00') \gset
SELECT * FROM tasker.explain_step(:t * 1000000::bigint + 1);
SELECT * FROM tasker.explain_step(:t * 1000000::bigint + 2);
SET TimeZone = 'America/Lima';
SET DateStyle = 'SQL, DMY';
SELECT * FROM tasker.explain_step(:t * 1000000::bigint + 1);
RESET TimeZone;
RESET DateStyle;

-- many parents are counted, not listed
SELECT name FROM tasker.register_task_template((SELECT jsonb_build_object('name', 'wide', 'namespace', 'explain', 'steps',
	jsonb_agg(jsonb_build_object('name', 'p' || i) ORDER BY i) || jsonb_build_object('name', 'join', 'depends_on', jsonb_agg('p' || i))) FROM generate_series(1, 100) i));
SELECT task_id AS t FROM tasker.create_task('wide', namespace => 'explain') \gset
SELECT * FROM pg_temp.why(:t, 101);
\pset format aligned
\pset tuples_only off

SELECT count(tasker.cancel_task(task_id)) FROM tasker.tasks JOIN tasker.named_tasks USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id)
WHERE n.name = 'explain' AND state IN ('pending', 'in_progress', 'error');
DELETE FROM tasker.workers WHERE worker_id LIKE 'explain-%';

SELECT * FROM tasker.explain_step(9223372036854775807);
\set VERBOSITY sqlstate
SELECT * FROM tasker.explain_step(:t * 1000000::bigint + 102);
SELECT * FROM tasker.explain_step(0);
SELECT * FROM tasker.explain_step(NULL);
\set VERBOSITY default
