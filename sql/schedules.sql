--
-- Schedules: what is accepted, when they are due, what maintenance makes of them,
-- once each, whatever happens in between.
--

-- maintenance looks at everything there is, so there must be nothing else
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
SET timezone = 'UTC';
SET client_min_messages = error;

SELECT count(*) FROM unnest(ARRAY[
	'{"name": "report", "namespace": "clock", "steps": [{"name": "s"}], "input_schema": {"type": "object", "required": ["of"]}}',
	'{"name": "plain", "namespace": "clock", "identity_strategy": "strict", "steps": [{"name": "s"}]}']::jsonb[]) t, tasker.register_task_template(t);

-- the instant of the test: clock_offset makes it now
CREATE PROCEDURE pg_temp.set_clock(t timestamptz) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('tasker_core.clock_offset', '0', false);
	PERFORM set_config('tasker_core.clock_offset', extract(epoch FROM t - clock_timestamp())::text, false);
END $$;
CREATE FUNCTION pg_temp.fired() RETURNS int LANGUAGE sql AS $$ SELECT (tasker.run_maintenance() ->> 'schedules_fired')::int $$;


-- a Monday to come: what is printed is how long after it began
SELECT date_trunc('week', now()) + interval '14 days' AS monday \gset
CREATE FUNCTION pg_temp.made(monday timestamptz) RETURNS TABLE (due interval, initiator text, name text, priority int, context jsonb) LANGUAGE sql AS $$
	SELECT substr(t.reason, 8)::timestamptz - monday, t.initiator, n.name, t.priority, t.context FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) ORDER BY t.initiator, t.reason $$;
\set VERBOSITY terse

-- ---------------------------------------------------------------------------
-- What is accepted
-- ---------------------------------------------------------------------------

SET client_min_messages = warning;
CALL pg_temp.set_clock(:'monday'::timestamptz);
SELECT created, next_due_at - :'monday'::timestamptz AS due FROM tasker.create_schedule('nightly', 'report', '30 2 * * *', '{"of": "sales"}', 'clock', priority => 5);
-- the same again, and another one of this name
SELECT created, next_due_at - :'monday'::timestamptz AS due FROM tasker.create_schedule('nightly', 'report', '30 2 * * *', '{"of": "sales"}', 'clock', priority => 5);
SELECT * FROM tasker.create_schedule('nightly', 'report', '31 2 * * *', '{"of": "sales"}', 'clock', priority => 5);
SELECT * FROM tasker.create_schedule('nightly', 'report', '30 2 * * *', '{"of": "stock"}', 'clock', priority => 5);
\set VERBOSITY default
SELECT * FROM tasker.create_schedule('bad', 'report', '30 25 * * *', '{"of": 1}', 'clock');
SELECT * FROM tasker.create_schedule('bad', 'report', '0 0 30 2 *', '{"of": 1}', 'clock');
SELECT * FROM tasker.create_schedule('bad', 'report', '@daily', '{"of": 1}', 'clock', timezone => 'Mars/Olympus');
SELECT * FROM tasker.create_schedule('bad', 'report', '@daily', '{"of": 1}', 'clock', catch_up => 'never');
SELECT * FROM tasker.create_schedule('', 'report', '@daily', '{"of": 1}', 'clock');
SELECT tasker.pause_schedule('unknown', 'clock');
\set VERBOSITY sqlstate
SELECT * FROM tasker.create_schedule('bad', 'report', '@daily', '{}', 'clock');
SELECT * FROM tasker.create_schedule('bad', 'plain', '@daily', '[]', 'clock');
SELECT * FROM tasker.create_schedule('bad', 'unknown', '@daily', '{}', 'clock');
SELECT * FROM tasker.create_schedule('bad', 'plain', '@daily', '{}', 'clock', '9.9.9');
SELECT * FROM tasker.create_schedule(NULL, 'plain', '@daily');
SELECT * FROM tasker.create_schedule('bad', NULL, '@daily');
SELECT * FROM tasker.create_schedule('bad', 'plain', NULL);
SELECT tasker.resume_schedule('unknown', 'clock');
SELECT tasker.drop_schedule('nightly'); -- in another namespace
SELECT tasker.drop_schedule(NULL);
\set VERBOSITY default
-- explicit NULLs are the defaults
SELECT created FROM tasker.create_schedule('hourly', 'plain', '@hourly', NULL, 'clock', NULL, NULL, NULL, NULL);
SELECT namespace, name, task_name, version, cron, timezone, context, priority, catch_up, paused_at, next_due_at - :'monday'::timestamptz AS due, last_due_at, last_task_id, last_error FROM tasker.list_schedules();
SELECT count(*) FROM tasker.list_schedules('elsewhere');

-- ---------------------------------------------------------------------------
-- Each time makes one task
-- ---------------------------------------------------------------------------

SELECT pg_temp.fired();
CALL pg_temp.set_clock(:'monday'::timestamptz + '1 hour');
-- not before it is committed
BEGIN;
SELECT pg_temp.fired();
ROLLBACK;
SELECT pg_temp.fired();
SELECT pg_temp.fired();
CALL pg_temp.set_clock(:'monday'::timestamptz + '2 hours 30 minutes');
SELECT pg_temp.fired();
SELECT * FROM pg_temp.made(:'monday');
-- dropped and made anew with the clock set back: the time has its task already
SELECT tasker.drop_schedule('hourly', 'clock');
CALL pg_temp.set_clock(:'monday'::timestamptz + '1 hour 30 minutes');
SELECT created FROM tasker.create_schedule('hourly', 'plain', '@hourly', '{}', 'clock');
CALL pg_temp.set_clock(:'monday'::timestamptz + '2 hours 40 minutes');
SELECT pg_temp.fired();
SELECT count(*) FROM pg_temp.made(:'monday');

-- ---------------------------------------------------------------------------
-- Times that passed unnoticed
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.create_schedule('each', 'plain', '0 */6 * * *', '{"each": true}', 'clock', catch_up => 'all');
CALL pg_temp.set_clock(:'monday'::timestamptz + '1 day 12 hours 30 minutes');
SELECT pg_temp.fired();
SELECT due, initiator FROM pg_temp.made(:'monday');
-- in parts, too
CALL pg_temp.set_clock(:'monday'::timestamptz + '2 days 12 hours 30 minutes');
SELECT tasker.run_maintenance(2) ->> 'schedules_fired' AS fired FROM generate_series(1, 5);
SELECT initiator, count(*) FROM pg_temp.made(:'monday') GROUP BY 1 ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Paused; and what cannot be made
-- ---------------------------------------------------------------------------

SELECT tasker.pause_schedule('hourly', 'clock'), tasker.pause_schedule('each', 'clock'), tasker.pause_schedule('nightly', 'clock');
SELECT tasker.pause_schedule('hourly', 'clock');
CALL pg_temp.set_clock(:'monday'::timestamptz + '3 days 12 hours 30 minutes');
SELECT pg_temp.fired();
SELECT name, paused_at IS NOT NULL AS paused, next_due_at FROM tasker.list_schedules('clock');
SELECT tasker.resume_schedule('each', 'clock'), tasker.resume_schedule('nightly', 'clock');
SELECT tasker.resume_schedule('each', 'clock');
SELECT pg_temp.fired();
-- a version of the template that wants more
SELECT created FROM tasker.register_task_template('{"name": "report", "namespace": "clock", "version": "2.0.0", "steps": [{"name": "s"}], "input_schema": {"type": "object", "required": ["of", "for"]}}');
CALL pg_temp.set_clock(:'monday'::timestamptz + '4 days 3 hours');
SELECT pg_temp.fired();
SELECT name, last_task_id IS NULL AS no_task, last_error, next_due_at - :'monday'::timestamptz AS due FROM tasker.list_schedules('clock') WHERE name = 'nightly';
-- more than is allowed just now: the time has its task later
SELECT tasker.create_schedule('limited', 'plain', '@daily', '{"limited": true}', 'clock') IS NOT NULL;
CALL pg_temp.set_clock(:'monday'::timestamptz + '5 days 1 minute');
SET tasker_core.max_pending_tasks = 1;
SELECT pg_temp.fired();
SELECT name, last_task_id IS NULL AS no_task, last_error, next_due_at - :'monday'::timestamptz AS due FROM tasker.list_schedules('clock') WHERE name = 'limited';
SELECT pg_temp.fired();
RESET tasker_core.max_pending_tasks;
-- the starts are those of whom the schedule belongs to
UPDATE tasker.schedules SET created_by = 'somebody' WHERE name = 'limited';
SET tasker_core.max_task_starts_per_minute = 1;
SELECT pg_temp.fired();
SELECT role_name = 'somebody' AS by_schedule, sum(starts) FROM tasker.task_starts GROUP BY 1 ORDER BY 1;
RESET tasker_core.max_task_starts_per_minute;
SELECT name, last_task_id IS NULL AS no_task, last_error, next_due_at - :'monday'::timestamptz AS due FROM tasker.list_schedules('clock') WHERE name = 'limited';
SELECT tasker.drop_schedule('limited', 'clock');
-- a time zone that is gone
UPDATE tasker.schedules SET timezone = 'Mars/Olympus' WHERE name = 'nightly';
CALL pg_temp.set_clock(:'monday'::timestamptz + '5 days 3 hours');
SELECT pg_temp.fired();
SELECT name, paused_at IS NOT NULL AS paused, last_error FROM tasker.list_schedules('clock') ORDER BY name;

-- ---------------------------------------------------------------------------
-- Time zones: once a day at 2.30, whatever the clocks do in a year (cron_test.c
-- knows the changes one by one)
-- ---------------------------------------------------------------------------

SELECT tasker.drop_schedule(name, namespace) FROM tasker.list_schedules();
CREATE FUNCTION pg_temp.times(cron text, zone text, n int) RETURNS TABLE (due timestamptz) LANGUAGE plpgsql AS $$
BEGIN
	due := clock_timestamp();
	FOR i IN 1 .. n LOOP
		CALL pg_temp.set_clock(due);
		SELECT c.next_due_at INTO due FROM tasker.create_schedule('t', 'plain', cron, '{}', 'clock', timezone => zone) c;
		PERFORM tasker.drop_schedule('t', 'clock');
		RETURN NEXT;
	END LOOP;
END $$;
SELECT count(*) AS days, count(DISTINCT local::date) AS dates, max(local::date) - min(local::date) + 1 AS span,
	count(*) FILTER (WHERE local::time <> '02:30' AND (local::date + time '02:30') AT TIME ZONE 'Europe/Berlin' <> due) AS elsewhen
FROM (SELECT due, due AT TIME ZONE 'Europe/Berlin' AS local FROM pg_temp.times('30 2 * * *', 'Europe/Berlin', 360)) t;
SELECT to_char(due AT TIME ZONE 'UTC', 'Dy HH24:MI') AS utc, to_char(due AT TIME ZONE 'Asia/Kathmandu', 'Dy HH24:MI') AS local FROM pg_temp.times('45 9 * * mon', 'Asia/Kathmandu', 1);
SELECT count(*) FROM (SELECT due - lag(due) OVER (ORDER BY due) AS gap FROM pg_temp.times('@hourly', 'Europe/Berlin', 50)) t WHERE gap <> '1 hour';
RESET tasker_core.clock_offset;
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
