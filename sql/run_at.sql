--
-- Steps that wait for a time in the data.
--
\pset null '-'
SET client_min_messages = warning;
SET TimeZone = 'Asia/Tokyo';
SET DateStyle = 'SQL, DMY';

CREATE FUNCTION pg_temp.refusal(template jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	RETURN tasker.validate_task_template(template)::text;
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN SQLSTATE || ' ' || detail;
END $$;

-- what is refused
SELECT pg_temp.refusal(jsonb_build_object('name', 't', 'steps', jsonb_build_array(jsonb_build_object('name', 'a'),
	jsonb_build_object('name', 'b', 'depends_on', '["a"]'::jsonb) || x))) FROM (VALUES (1, '{"run_at": "2026-01-01T00:00"}'::jsonb), (2, '{"run_at": 5}'),
	(3, '{"run_at": "results.c.at"}'), (4, '{"run_at": "results"}'), (5, '{"run_at": "context.at", "wait_for_signal": {"name": "s"}}'),
	(6, '{"run_at": ["context", "", "at"]}'), (7, '{"run_at": "results.a.at"}'), (8, '{"run_at": ["results", "a", "at"]}')) v(n, x) ORDER BY n;
SELECT pg_temp.refusal('{"name": "t", "on_failure": "fail_fast", "steps": [{"name": "a", "run_at": "context.at"}, {"name": "b", "run_at": "context.at", "on_failure": "skip"}]}');

SELECT count(*) FROM tasker.register_task_template('{"name": "flow", "namespace": "run_at", "steps": [
	{"name": "root", "run_at": "context.root", "retry": {"backoff": "none"}},
	{"name": "book"},
	{"name": "remind", "depends_on": ["book"], "run_at": ["results", "book", "departs at"], "delay_seconds": 60},
	{"name": "join", "depends_on": ["root", "remind"], "run_at": "context.join", "trigger_rule": "all_done"}]}');
SELECT s ->> 'name' AS name, s -> 'run_at' AS run_at FROM jsonb_array_elements(tasker.get_task_template('flow', 'run_at') -> 'steps') s WHERE s ? 'run_at';

CREATE FUNCTION pg_temp.make(context jsonb) RETURNS bigint LANGUAGE sql AS $$ SELECT task_id FROM tasker.create_task('flow', context, 'run_at') $$;
CREATE FUNCTION pg_temp.complete(task bigint, step text, result jsonb DEFAULT '1') RETURNS text LANGUAGE sql AS $$
	SELECT coalesce((SELECT r.status || ' ' || r.steps_ready FROM tasker.claim_steps('w', 1, task_id => task) c
		CROSS JOIN LATERAL tasker.complete_step(c.workflow_step_id, c.claim_token, result) r WHERE c.step_name = step), 'not claimable') $$;
CREATE FUNCTION pg_temp.states(task bigint) RETURNS TABLE (name text, state text) LANGUAGE sql AS $$
	SELECT s.name, s.state FROM tasker.workflow_steps s WHERE s.task_id = task AND s.name <> 'book' ORDER BY s.workflow_step_id $$;

-- two times of the coming days, as they stand in the data
SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') AS day1, to_char(at + interval '1 day 2 hours', 'YYYY-MM-DD HH24:MI:SS.MS"+09:00"') AS day2
	FROM (SELECT date_trunc('second', clock_timestamp()) + interval '1 day' AS at) x \gset
CREATE FUNCTION pg_temp.at(task bigint, step text) RETURNS timestamptz LANGUAGE sql AS $$ SELECT s.visible_at FROM tasker.workflow_steps s WHERE s.task_id = task AND s.name = step $$;

-- UTC, whatever the session says; before it nobody has the step
SELECT pg_temp.make(jsonb_build_object('root', :'day1', 'join', '1996-03-01T09:30Z')) AS t \gset
SELECT pg_temp.at(:t, 'root') = (:'day1' || 'Z')::timestamptz AS root_at_day1;
SELECT name, ready_for_execution, next_retry_at = (:'day1' || 'Z')::timestamptz AS says_when FROM tasker.get_step_readiness_status(:t) WHERE name = 'root';
SELECT reason, regexp_replace(detail, '\d{4}-[-0-9T:.+]+', 'T') AS detail FROM tasker.explain_step(:t * 1000000::bigint + 1) WHERE reason <> 'no_live_worker';
SELECT pg_temp.complete(:t, 'book', jsonb_build_object('departs at', :'day2'));
SELECT pg_temp.at(:t, 'remind') = :'day2'::timestamptz AS remind_at_day2;
SELECT pg_temp.complete(:t, 'root');
SELECT set_config('tasker_core.clock_offset', '80000', false) IS NULL AS early;
SELECT pg_temp.complete(:t, 'root');
SELECT set_config('tasker_core.clock_offset', '90000', false) IS NULL AS late;
-- a retry does not wait for it
SELECT r.step_state, r.next_retry_at <= clock_timestamp() + interval '91000 s' AS at_once FROM tasker.claim_steps('w', 1, task_id => :t) c,
	tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"', true) r WHERE c.step_name = 'root';
SELECT pg_temp.complete(:t, 'root');
SELECT pg_temp.complete(:t, 'remind');
SELECT set_config('tasker_core.clock_offset', '190000', false) IS NULL AS later;
SELECT pg_temp.complete(:t, 'remind');
SELECT * FROM pg_temp.states(:t);
SELECT pg_temp.complete(:t, 'join');
RESET tasker_core.clock_offset;
SELECT state, (SELECT count(*) FROM tasker.verify_task(:t)) AS violations FROM tasker.tasks WHERE task_id = :t;

-- a time that has passed is now, and delay_seconds count on top of the step's turn, not of it
SELECT pg_temp.make('{"root": "1996-03-01T09:30", "join": "1996-03-01T09:30"}') AS t \gset
SELECT pg_temp.complete(:t, 'root'), pg_temp.complete(:t, 'book', '{"departs at": "1996-03-01T09:30"}');
SELECT name, visible_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '61 s' AS delayed FROM tasker.workflow_steps WHERE task_id = :t AND name = 'remind';
SELECT reason, detail LIKE 'its run_at keeps it until %' AS says_why FROM tasker.explain_step(:t * 1000000::bigint + 3) WHERE reason <> 'no_live_worker';

-- no time fails the step for good, without an attempt; what is behind it follows its rule
CREATE TEMP TABLE bad AS SELECT n, pg_temp.make(c) AS task FROM (VALUES (1, '{}'::jsonb), (2, '{"root": null}'), (3, '{"root": "infinity"}'), (4, '{"root": "now"}'), (5, '{"root": 7}'), (6, '{"root": "2026-02-29T00:00"}'),
	(7, '{"root": "2026-03-01"}'), (8, '{"root": ["2026-03-01T00:00"]}'), (9, jsonb_build_object('root', repeat('ä', 200)))) v(n, c);
SELECT n, d ->> 'state' AS state, d ->> 'attempts' AS attempts, d #>> '{error,message}' AS message
	FROM bad, jsonb_array_elements(tasker.get_task(task) -> 'steps') d WHERE d ->> 'name' = 'root' ORDER BY n;
SELECT pg_temp.make('{"root": "soon", "join": "1996-03-01T09:30"}') AS t \gset
SELECT reason, regexp_replace(detail, '\d{4}-[-0-9T:.+]+', 'T') FROM tasker.explain_step(:t * 1000000::bigint + 1);
SELECT pg_temp.complete(:t, 'book', '{}');
SELECT * FROM pg_temp.states(:t) WHERE name <> 'join';
SELECT pg_temp.complete(:t, 'join');
SELECT state, failed_steps, (SELECT count(*) FROM tasker.verify_task(:t)) AS violations FROM tasker.tasks WHERE task_id = :t;
SELECT to_state, from_state, verb FROM tasker.step_moves WHERE task_id = :t ORDER BY step_no;

-- reset reads it anew; a retried task too
SELECT pg_temp.make(jsonb_build_object('root', :'day1', 'join', '1996-03-01T09:30')) AS t \gset
SELECT set_config('tasker_core.clock_offset', '90000', false) IS NULL AS late;
SELECT r.step_state FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"', false) r WHERE c.step_name = 'root';
RESET tasker_core.clock_offset;
SELECT steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT pg_temp.at(:t, 'root') = (:'day1' || 'Z')::timestamptz AS root_at_day1;
SELECT pg_temp.complete(:t, 'root');
