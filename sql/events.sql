--
-- publish_event and read_events: names, payloads, order, cursors, patterns, and
-- what every change of a task or a step is called.
--

-- An event is readable once every transaction that began before it is over, be
-- it of another database or of autovacuum.
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
DECLARE
	target xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
	WHILE pg_snapshot_xmin(pg_current_snapshot()) < target LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

-- What happened to one task.
CREATE FUNCTION pg_temp.story(start text, task bigint) RETURNS TABLE (name text, step text) LANGUAGE sql AS $$
	SELECT name, payload->>'step_name' FROM tasker.read_events(start, 10000) WHERE task_id = task;
$$;

-- What a call is refused for.
CREATE FUNCTION pg_temp.refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	facts text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, facts = PG_EXCEPTION_DETAIL;
	RETURN code || ' ' || message || ' - ' || facts;
END $$;

SELECT name FROM tasker.register_task_template('{"name": "pair", "namespace": "events", "steps": [
	{"name": "a", "retry": {"max_attempts": 2, "backoff": "none"}}, {"name": "b", "depends_on": ["a"]}]}');
SELECT head AS start FROM tasker.events_lag() \gset

-- ---------------------------------------------------------------------------
-- What happens has a name
-- ---------------------------------------------------------------------------

-- From the first to the last, with a failure on the way, and whatever NOTIFY is sent for.
SET tasker_core.notify = off;
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events', initiator => 'ada', priority => 3) \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w1', 1, '{events}') \gset
SELECT step_state FROM tasker.fail_step(:step, :token, '{"message": "no"}');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w2', 1, '{events}') \gset
SELECT status FROM tasker.complete_step(:step, :token, '1');
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w2', 1, '{events}') \gset
SELECT status FROM tasker.complete_step(:step, :token, '2');
RESET tasker_core.notify;
CALL pg_temp.settle();
SELECT name, task_id = :t AS same_task, workflow_step_id - :t * 1000000::bigint AS step_no FROM tasker.read_events(:'start') WHERE task_id = :t;

-- the payload says what happened, not the data
SELECT payload - 'correlation_id' AS payload FROM tasker.read_events(:'start', pattern => 'task.created') WHERE task_id = :t;
SELECT name, jsonb_pretty(payload - 'duration_seconds' - 'next_retry_at') AS payload FROM tasker.read_events(:'start', pattern => 'step.retry_scheduled') WHERE task_id = :t;
SELECT (payload->>'next_retry_at')::timestamptz = occurred_at AS retried_at_once, (payload->>'duration_seconds')::float8 BETWEEN 0 AND 600 AS took
FROM tasker.read_events(:'start', pattern => 'step.retry_scheduled') WHERE task_id = :t;
SELECT name, payload - 'recorded_by' AS payload, payload->>'recorded_by' = session_user AS by_me FROM tasker.read_events(:'start', pattern => 'task.*') WHERE task_id = :t AND name <> 'task.created';
-- and nothing in it depends on the session's time zone
SET TimeZone = 'Asia/Tokyo';
SELECT md5(string_agg(payload::text, ',')) AS tokyo FROM tasker.read_events(:'start') WHERE task_id = :t \gset
SET TimeZone = 'America/Lima';
SELECT md5(string_agg(payload::text, ',')) = :'tokyo' AS same_in_lima FROM tasker.read_events(:'start') WHERE task_id = :t;
RESET TimeZone;

-- Failed for good, retried, paused, resumed, resolved by hand.
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, '{events}') \gset
SELECT step_state, task_state FROM tasker.fail_step(:step, :token, '{}', false);
SELECT tasker.retry_task(:t, 'once more');
SELECT tasker.pause_task(:t, 'lunch'), tasker.resume_task(:t);
SELECT steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 1, '1');
SELECT task_state FROM tasker.skip_step(:t * 1000000::bigint + 2);
CALL pg_temp.settle();
SELECT * FROM pg_temp.story(:'start', :t);
SELECT payload->>'reason' AS reason FROM tasker.read_events(:'start') WHERE task_id = :t AND name IN ('task.retried', 'task.paused');

-- Reset; cancelled with a step in a worker's hands, the one never claimed is no event of its own.
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT count(*) FROM tasker.claim_steps('w', 1, '{events}');
SELECT task_state FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT count(*) FROM tasker.claim_steps('w', 1, '{events}');
SELECT tasker.cancel_task(:t);
CALL pg_temp.settle();
SELECT * FROM pg_temp.story(:'start', :t);
-- A cancelled step takes those behind it along.
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT tasker.transition_step(:t * 1000000::bigint + 1, 'cancelled');
SELECT task_id AS t2 FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT tasker.transition_task(:t2, 'resolved_manually');
CALL pg_temp.settle();
SELECT * FROM pg_temp.story(:'start', :t);
SELECT * FROM pg_temp.story(:'start', :t2);

-- fail_fast stops what is in a worker's hands.
SELECT name FROM tasker.register_task_template('{"name": "fast", "namespace": "events", "on_failure": "fail_fast", "steps": [{"name": "a"}, {"name": "b"}]}');
SELECT task_id AS t FROM tasker.create_task('fast', namespace => 'events') \gset
SELECT count(*) FROM tasker.claim_steps('w', 2, '{events}');
SELECT task_state FROM tasker.step_queue q, tasker.fail_step(:t * 1000000::bigint + 1, q.claim_token, '1', false) WHERE q.task_id = :t AND q.step_no = 1;
CALL pg_temp.settle();
SELECT * FROM pg_temp.story(:'start', :t);

-- A lease that runs out; the last one is two events, and a cursor tells them apart.
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT count(*) FROM tasker.claim_steps('w', 1, '{events}', 1);
SET tasker_core.clock_offset = 2;
SELECT count(*) FROM tasker.claim_steps('w', 1, '{events}', 1);
SET tasker_core.clock_offset = 4;
SELECT count(*) FROM tasker.claim_steps('w', 1, '{events}', 1);
RESET tasker_core.clock_offset;
CALL pg_temp.settle();
SELECT * FROM pg_temp.story(:'start', :t);
SELECT e.name, n.name AS next FROM tasker.read_events(:'start') e, tasker.read_events(e.cursor, 1) n WHERE e.task_id = :t AND e.payload->>'to_state' = 'error';
SELECT name, payload->>'attempt' AS attempt FROM tasker.read_events(:'start', pattern => 'step.lease_expired') WHERE task_id = :t;
SELECT name, payload->>'attempt' AS attempt FROM tasker.read_events(:'start', pattern => 'step.failed') WHERE task_id = :t;

-- What rolls back never happened.
BEGIN;
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT tasker.publish_event('events.rolled_back') > 0 AS published;
SAVEPOINT s;
SELECT tasker.publish_event('events.rolled_back_too') > 0 AS published;
ROLLBACK;
CALL pg_temp.settle();
SELECT count(*) FROM tasker.read_events(:'start', 10000) WHERE task_id = :t OR name LIKE 'events.rolled%';

-- ---------------------------------------------------------------------------
-- Events of one's own
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'events') \gset
SELECT tasker.publish_event('events.plain') AS first_id \gset
SELECT tasker.publish_event('events.of task', '{"n": 1}', :t) - :first_id AS later;
SELECT tasker.publish_event('events.of_step', 'null', workflow_step_id => :t * 1000000::bigint + 2) - :first_id AS later;
SELECT tasker.publish_event('events.both', NULL, :t, :t * 1000000::bigint + 2) - :first_id AS later;
SELECT tasker.publish_event('events.größe.' || repeat('x', 85), '[1]') - :first_id AS later;
CALL pg_temp.settle();
SELECT name, task_id = :t AS of_task, workflow_step_id - :t * 1000000::bigint AS step_no, payload, occurred_at <= clock_timestamp() AS timed
FROM tasker.read_events(:'start', pattern => 'events.*');
SELECT count(*) AS on_record, count(*) FILTER (WHERE recorded_by = session_user AND recorded_as IS NULL) AS by_me FROM tasker.domain_events WHERE name LIKE 'events.%';

SELECT n, pg_temp.refusal(format('tasker.publish_event(%L)', n)) FROM unnest(ARRAY['', 'task.done', 'step.', 'workflow.x', 'observability.x.y', repeat('x', 101),
	'a"b', 'a\b', 'a*', E'a\nb', ' a', 'a ', E'a\u0085']) n;
SELECT n, pg_temp.refusal(format('tasker.publish_event(%L)', n)) FROM unnest(ARRAY['events.task', 'tasks.x', 'step', 'Task.x', repeat('x', 100)]) n;
SELECT pg_temp.refusal('tasker.publish_event(NULL)');
SELECT pg_temp.refusal('tasker.publish_event(''x'', task_id => 9000000000)');
SELECT pg_temp.refusal('tasker.publish_event(''x'', task_id => -1)');
SELECT pg_temp.refusal('tasker.publish_event(''x'', workflow_step_id => 9000000000000001)');
SELECT replace(pg_temp.refusal(format('tasker.publish_event(''x'', workflow_step_id => %s)', :t * 1000000::bigint + 3)), :'t', 'T');
SELECT replace(pg_temp.refusal(format('tasker.publish_event(''x'', task_id => %s, workflow_step_id => %s)', :t, (:t - 1) * 1000000::bigint + 1)), (:t - 1)::text, 'S') LIKE '22023 workflow_step_id is not a step of task_id - Step S000001 is of task S, not of task %' AS refused;
SELECT pg_temp.refusal('tasker.publish_event(''x'', workflow_step_id => 0)');
SET tasker_core.max_payload_size = 1;
SELECT pg_temp.refusal('tasker.publish_event(''x'', to_jsonb(repeat(''y'', 2000)))') LIKE 'TC023 %' AS refused;
RESET tasker_core.max_payload_size;

-- ---------------------------------------------------------------------------
-- Cursors and patterns
-- ---------------------------------------------------------------------------

-- One by one, from cursor to cursor, gives what one read gives.
CREATE TEMP TABLE steps_of_reading AS
WITH RECURSIVE r AS (
	(SELECT * FROM tasker.read_events(:'start', 1))
	UNION ALL
	SELECT e.* FROM r, LATERAL tasker.read_events(r.cursor, 1) e)
SELECT cursor, name FROM r;
SELECT (SELECT array_agg(cursor || name) FROM steps_of_reading) = (SELECT array_agg(cursor || name) FROM tasker.read_events(:'start', 10000)) AS same,
	(SELECT count(*) = count(DISTINCT cursor) AND count(*) > 40 FROM steps_of_reading) AS each_once;
SELECT count(*) AS nothing_after_the_last FROM tasker.read_events((SELECT cursor FROM tasker.read_events(:'start', 10000) OFFSET (SELECT count(*) - 1 FROM steps_of_reading)));

SELECT p, (SELECT array_agg(DISTINCT name ORDER BY name) FROM tasker.read_events(:'start', 10000, p) WHERE length(name) < 50) AS names
FROM unnest(ARRAY['*.failed', 'step.c*', 'task.re*ed', 'e*s.*l*', 'events.of*', '*o*_*step*', 'events_plain', 'step.c', 'events.%', 'nothing.*']) p;
SELECT p, (SELECT count(*) FROM tasker.read_events(:'start', 10000, p)) = (SELECT count(*) FROM steps_of_reading) AS all_of_them FROM unnest(ARRAY['*', '**', NULL]) p;
SELECT count(tasker.publish_event('events.many', to_jsonb(n))) FROM generate_series(1, 120) n;
CALL pg_temp.settle();
SELECT count(*) AS by_default, (SELECT count(*) FROM tasker.read_events(:'start', 7)) AS seven, (SELECT count(*) FROM tasker.read_events(:'start', 0)) AS none
FROM tasker.read_events(:'start', NULL, NULL);
SELECT count(*), array_agg(payload::int ORDER BY place) = array_agg(payload::int ORDER BY payload::int) AS as_written FROM tasker.read_events(:'start', 10000, 'events.many') WITH ORDINALITY e(cursor, name, task_id, workflow_step_id, payload, occurred_at, place);

SELECT c, pg_temp.refusal(format('count(*) FROM tasker.read_events(%L)', c)) FROM unnest(ARRAY['', 'x', '1.2', '1.2.3.4', '0.1.2', '1.-2.3', '99999.1.1', '1.1.1 ']) c;
SELECT pg_temp.refusal('count(*) FROM tasker.read_events(''1.281474976710655.0'')');
SELECT pg_temp.refusal('count(*) FROM tasker.read_events(''2.1.0'')');
SELECT pg_temp.refusal('count(*) FROM tasker.read_events(NULL, -1)');
SELECT pg_temp.refusal('count(*) FROM tasker.read_events(NULL, 10001)');
SELECT pg_temp.refusal('count(*) FROM tasker.read_events(NULL, 1, '''')');

-- ---------------------------------------------------------------------------
-- What is not committed is not there, not even for the one who wrote it
-- ---------------------------------------------------------------------------

CALL pg_temp.settle();
SELECT head AS start FROM tasker.events_lag() \gset
BEGIN;
SELECT tasker.publish_event('events.mine') > 0 AS published;
SAVEPOINT s;
SELECT tasker.publish_event('events.mine_too') > 0 AS published;
SELECT count(*) AS own, (SELECT held_back_by = pg_backend_pid() FROM tasker.events_lag()) AS held_back_by_me,
	(SELECT since = now() AND oldest_waiting_at >= since FROM tasker.events_lag()) AS since_it_began
FROM tasker.read_events(:'start', pattern => 'events.*');
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT count(*) >= 0 AS reads FROM tasker.read_events(:'start');
COMMIT;
CALL pg_temp.settle();
SELECT array_agg(name) FROM tasker.read_events(:'start', pattern => 'events.*');

-- The head is where a reader stands that has read all: nothing is after it, what comes is.
SELECT head AS start, held_back_by IS NULL AND oldest_waiting_at IS NULL AS free FROM tasker.events_lag() \gset
SELECT count(*) FROM tasker.read_events(:'start');
SELECT tasker.publish_event('events.next') > 0 AS published;
CALL pg_temp.settle();
SELECT name FROM tasker.read_events(:'start');

-- ---------------------------------------------------------------------------
-- Notifications
-- ---------------------------------------------------------------------------

-- psql prints notifications with the pid of the sender: they go to a file, and
-- what was heard is read back from there.
\set heard 'results/events.heard'
CREATE FUNCTION pg_temp.heard(notifications text, t bigint) RETURNS TABLE (name text, task text, step bigint, short boolean) LANGUAGE sql AS $$
	SELECT j ->> 'event', CASE WHEN (j ->> 'task_id')::bigint = t THEN 'T' ELSE j ->> 'task_id' END, (j ->> 'workflow_step_id')::bigint - t * 1000000::bigint,
		octet_length(m[1]) <= 200
	FROM regexp_matches(notifications, 'with payload "(.*?)" received from server process with PID \d+\.', 'g') WITH ORDINALITY AS n(m, i), LATERAL (SELECT m[1]::jsonb) p(j)
	ORDER BY i $$;
LISTEN tasker_events;

-- name and ids, no payload; equal ones once; from level tasks on
\o :heard
BEGIN;
SELECT tasker.publish_event('events.told', '{"n": 1}'), tasker.publish_event('events.told', '{"n": 2}'), tasker.publish_event('events.told', '1', :t), tasker.publish_event('events.told', '1', :t, :t * 1000000::bigint + 2);
COMMIT;
SET tasker_core.notify = steps;
SELECT tasker.publish_event('events.' || repeat('ß', 46));
SET tasker_core.notify = ready;
SELECT tasker.publish_event('events.silent');
SET tasker_core.notify = off;
SELECT tasker.publish_event('events.silent');
\o
\set text `cat results/events.heard`
SELECT * FROM pg_temp.heard(:'text', :t);
UNLISTEN tasker_events;
RESET tasker_core.notify;
SELECT tasker.cancel_task(task_id) FROM tasker.tasks JOIN tasker.named_tasks USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id) WHERE n.name = 'events' AND finished_at IS NULL;

-- ---------------------------------------------------------------------------
-- Epochs
-- ---------------------------------------------------------------------------

-- This database has one; its own server's.
SELECT epoch, system_identifier = (SELECT system_identifier FROM pg_control_system()) AS this_server,
	database_oid = (SELECT oid FROM pg_database WHERE datname = current_database()) AS this_database, timeline
FROM tasker.event_epochs;

-- A checkpoint is an event, durable, without what it says; it changes no state
CALL pg_temp.settle();
SELECT head AS start FROM tasker.events_lag() \gset
SELECT created FROM tasker.register_task_template('{"name": "long", "namespace": "events", "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('long', namespace => 'events') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.checkpoint_step(:step, :token, '{"secret": 1}'), tasker.checkpoint_step(:step, :token, '{"secret": 2}', true);
CALL pg_temp.settle();
SELECT name, payload - 'namespace' - 'recorded_by' AS payload, payload->>'recorded_by' = session_user AS by_me
FROM tasker.read_events(:'start', pattern => 'step.check*');
SELECT name, state, attempts, checkpoint FROM tasker.workflow_steps WHERE task_id = :t;
SELECT to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t ORDER BY transition_no;
BEGIN;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT tasker.checkpoint_step(:step, :token, '3');
ROLLBACK;
CALL pg_temp.settle();
SELECT count(*) FROM tasker.read_events(:'start', pattern => 'step.checkpointed');

-- Come from another server: what was written there is settled, whatever its
-- transaction ids, and the next write begins another epoch, once.
CALL pg_temp.settle();
SELECT head AS start FROM tasker.events_lag() \gset
SELECT tasker.publish_event('events.before') > 0 AS published;
CALL pg_temp.settle();
UPDATE tasker.event_epochs SET system_identifier = 1;
UPDATE tasker.domain_events SET event_xact = event_xact + (1::bigint << 40) WHERE name = 'events.before';
SELECT name FROM tasker.read_events(:'start', pattern => 'events.*');
SELECT cursor AS last FROM tasker.read_events(:'start', pattern => 'events.*') \gset
\c -
BEGIN;
SELECT tasker.publish_event('events.rolled_back') > 0 AS published;
SAVEPOINT s;
ROLLBACK;
SELECT count(*) AS not_recorded FROM tasker.event_epochs WHERE epoch = 2;
SELECT tasker.publish_event('events.after') > 0 AS published;
SELECT tasker.publish_event('events.after_that') > 0 AS published;
SELECT epoch, count(*) FROM tasker.event_epochs GROUP BY 1 ORDER BY 1;
DO $$
DECLARE
	target xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
	WHILE pg_snapshot_xmin(pg_current_snapshot()) < target LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
SELECT name, split_part(cursor, '.', 1) AS epoch FROM tasker.read_events(:'last', pattern => 'events.*');
-- as it was, for the tests that follow
UPDATE tasker.domain_events SET event_xact = event_xact - (1::bigint << 40) WHERE name = 'events.before';
UPDATE tasker.domain_events SET event_xact = event_xact - (1::bigint << 48) WHERE event_xact >= 2::bigint << 48;
DELETE FROM tasker.event_epochs WHERE epoch = 2;
UPDATE tasker.event_epochs SET system_identifier = (SELECT system_identifier FROM pg_control_system());
\c -
SELECT count(*) FROM tasker.verify_all(NULL);
