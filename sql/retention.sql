-- What is old is dropped: the ring of history, in bounded parts, and what is still
-- needed goes on

-- it counts everything there is, so there must be nothing else
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
SET client_min_messages = warning;
SET tasker_core.notify = off;
\pset null (null)

SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "retention", "lifecycle": {"staleness_action": "none"}, "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}');

-- days pass: the clock of this session is that many days ahead
CREATE PROCEDURE pg_temp.days(n int) LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('tasker_core.clock_offset', (n * 86400)::text, false); END $$;
CREATE FUNCTION pg_temp.make(key text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$ SELECT task_id FROM tasker.create_task('pair', namespace => 'retention', idempotency_key => key) $$;
CREATE FUNCTION pg_temp.finish(task bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 2 LOOP
		PERFORM tasker.complete_step(c.workflow_step_id, c.claim_token, to_jsonb(i)) FROM tasker.claim_steps('w', 1, task_id => task) c;
	END LOOP;
	RETURN task;
END $$;
CREATE FUNCTION pg_temp.members() RETURNS TABLE (slot smallint, tasks bigint, queue bigint, attempts bigint, transitions bigint, own_events bigint) LANGUAGE sql AS $$
	SELECT s::smallint, (SELECT count(*) FROM tasker.tasks t WHERE t.slot = s), (SELECT count(*) FROM tasker.step_queue q WHERE q.slot = s),
		(SELECT count(*) FROM tasker.step_attempts a WHERE a.slot = s), (SELECT count(*) FROM tasker.task_transitions x WHERE x.slot = s),
		(SELECT count(*) FROM tasker.domain_events e WHERE e.slot = s)
	FROM generate_series(0, 7) s
	WHERE EXISTS (SELECT FROM tasker.tasks t WHERE t.slot = s) OR EXISTS (SELECT FROM tasker.step_attempts a WHERE a.slot = s) OR EXISTS (SELECT FROM tasker.domain_events e WHERE e.slot = s) $$;
-- what maintenance did, without what it did not
CREATE FUNCTION pg_temp.maintain(max_items int DEFAULT 1000) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_object_agg(key, value) FROM jsonb_each(tasker.run_maintenance(max_items)) WHERE key ~ '^(history|tasks|idempotency)' AND value <> '0' $$;

-- maintenance, each call in its own transaction, until the time of no slot is over; somebody's snapshot may delay it
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
DECLARE
	deadline timestamptz := clock_timestamp() + interval '2 minutes';
BEGIN
	LOOP
		PERFORM tasker.run_maintenance();
		COMMIT;
		EXIT WHEN NOT EXISTS (SELECT FROM tasker.history_slots
			WHERE ended_at <= clock_timestamp() + current_setting('tasker_core.clock_offset')::interval - interval '6 days');
		IF clock_timestamp() > deadline THEN
			RAISE 'a slot is not truncated';
		END IF;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

-- settings
SELECT tasker.configure('retention_days', '0');
SELECT tasker.configure('retention_days', '7 days');
SELECT tasker.configure('retention_days', '36501');
SELECT tasker.configure('shard_count', '2');
SELECT tasker.configure(NULL);
SELECT * FROM tasker.settings;

-- nothing is dropped unless somebody wants it
SELECT pg_temp.finish(pg_temp.make('first')) AS finished \gset
CALL pg_temp.days(365);
SELECT pg_temp.maintain();
CALL pg_temp.days(0);
SELECT * FROM tasker.history_slots;

-- what a reader of events has read: the first event of all, and all
CREATE PROCEDURE pg_temp.readable() LANGUAGE plpgsql AS $$
DECLARE
	target xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
	WHILE (SELECT l.xmin FROM tasker.events_lag() l) < target LOOP
		COMMIT;
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;
CALL pg_temp.readable();
SELECT min(cursor) FILTER (WHERE n = 1) AS first_event, min(cursor) FILTER (WHERE n = of) AS last_event, count(*) AS events
FROM (SELECT cursor, row_number() OVER () AS n, count(*) OVER () AS of FROM tasker.read_events()) e \gset
SELECT name FROM tasker.read_events(:'first_event');
-- asks for the events after a cursor; what is dropped is told with the cursor to go on from
CREATE FUNCTION pg_temp.read(after text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	told text;
	oldest text;
BEGIN
	RETURN (SELECT count(*) FROM tasker.read_events(after, 10000));
EXCEPTION WHEN SQLSTATE 'TC024' THEN
	GET STACKED DIAGNOSTICS told = PG_EXCEPTION_DETAIL;
	oldest := substring(told FROM 'oldest valid cursor is (\S+)\.$');
	RETURN format('TC024, and from the oldest valid cursor on as many as from null: %s',
		(SELECT count(*) FROM tasker.read_events(oldest, 10000)) = (SELECT count(*) FROM tasker.read_events(NULL, 10000)));
END $$;

-- with 6 days, each slot takes one
SELECT tasker.configure('retention_days', '6');
SELECT tasker.configure('idempotency_retention_days', '30');
SELECT * FROM tasker.settings ORDER BY 1;
SELECT pg_temp.make('waits') AS waits, pg_temp.make() AS held, pg_temp.make() AS failed \gset
SELECT workflow_step_id AS held_step, claim_token AS held_token FROM tasker.claim_steps('holder', 1, lease_seconds => 86400, task_id => :held) \gset
SELECT step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :failed) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"', false);
SELECT tasker.publish_event('retention.old') > 0 AS published;
SELECT pg_temp.maintain();
SELECT pg_temp.maintain();
SELECT slot, ended_at IS NULL AS current FROM tasker.history_slots ORDER BY slot;
SELECT pg_temp.finish(pg_temp.make()) AS second \gset
SELECT * FROM pg_temp.members();
CALL pg_temp.days(1);
SELECT pg_temp.maintain();
CALL pg_temp.days(2);
SELECT pg_temp.maintain();
SELECT pg_temp.maintain();
CALL pg_temp.days(5);
SELECT pg_temp.maintain();
SELECT slot, ended_at IS NULL AS current FROM tasker.history_slots ORDER BY slot;
-- a task finishes in time to be kept
SELECT pg_temp.finish(pg_temp.make()) AS third \gset
SELECT * FROM pg_temp.members();
SELECT * FROM tasker.verify_all(NULL);

-- the first slot's time is over: bounded parts, the oldest first
CALL pg_temp.days(6);
SELECT pg_temp.maintain(2);
SELECT pg_temp.maintain(2);
SELECT pg_temp.maintain(2);
SELECT slot, next_task_id, emptied_xact IS NULL AS not_so_far FROM tasker.history_slots WHERE slot = 0;
SELECT * FROM pg_temp.members();
SELECT * FROM tasker.verify_all(NULL);
-- the task that ended is gone, to every function
SELECT * FROM tasker.get_task(:finished);
SELECT * FROM tasker.explain_step(:finished * 1000000 + 1);
SELECT tasker.cancel_task(:finished);
SELECT count(*) FROM tasker.workflow_steps WHERE task_id = :finished;
SELECT count(*) FROM tasker.workflow_step_transitions WHERE task_id = :finished;
SELECT count(*) FROM tasker.get_step_readiness_status(:finished);
-- and so are its events; who has read them goes on as before
CALL pg_temp.readable();
SELECT pg_temp.read(:'first_event'), pg_temp.read(:'last_event') = pg_temp.read(NULL) AS goes_on;
SELECT name, task_id = :held AS held, task_id = :failed AS failed FROM tasker.read_events(NULL, 5);
-- its key is not
SELECT task_id = :finished AS same, created, step_count, state FROM tasker.create_task('pair', namespace => 'retention', idempotency_key => 'first');
-- the one in error waits for a person, and so it is kept, like those that have not ended
SELECT task_id = :failed AS failed, state FROM tasker.dead_letters;
SELECT tasker.complete_step(:held_step, :held_token, '"after the move"') IS NOT NULL AS done;
SELECT name, state, results FROM tasker.workflow_steps WHERE task_id = :held ORDER BY step_no;
SELECT dependency_results FROM tasker.claim_steps('w', 1, task_id => :held);
SELECT name, to_state FROM tasker.workflow_step_transitions WHERE task_id = :held ORDER BY 1, transition_no;
SELECT * FROM tasker.verify_all(NULL);

-- members are truncated when nobody can have seen what was there before
CALL pg_temp.settle();
SELECT slot, ended_at IS NULL AS current FROM tasker.history_slots ORDER BY slot;
SELECT * FROM pg_temp.members();
SELECT count(*) FROM tasker.step_attempts_0;
-- an event of one's own goes with its slot
CALL pg_temp.readable();
SELECT pg_temp.read(:'last_event'), count(*) FROM tasker.read_events(NULL, 10000, 'retention.*');

-- and the ring goes on over the freed slot, round and round, and no slot holds more than its time
CREATE PROCEDURE pg_temp.live(first int, last int) LANGUAGE plpgsql AS $$
BEGIN
	FOR day IN first .. last LOOP
		CALL pg_temp.days(day);
		PERFORM pg_temp.finish(pg_temp.make());
		CALL pg_temp.settle();
	END LOOP;
END $$;
CALL pg_temp.live(7, 29);
SELECT count(*) FROM tasker.history_slots;
SELECT count(*) FILTER (WHERE state = 'complete') AS complete, count(*) FILTER (WHERE state <> 'complete') AS others FROM tasker.tasks;
SELECT count(*) = count(*) FILTER (WHERE x.task_id IS NOT NULL) AS all_of_tasks FROM tasker.step_attempts a LEFT JOIN tasker.tasks x USING (task_id, shard_key, slot);
SELECT * FROM tasker.verify_all(NULL);
SELECT task_id = :waits AS same, created, state FROM tasker.create_task('pair', namespace => 'retention', idempotency_key => 'waits');
-- keys have a time of their own
CALL pg_temp.live(30, 32);
SELECT count(*) FROM tasker.idempotency_keys;
SELECT pg_temp.finish(:waits) = :waits AS finished;
SELECT task_id <> :waits AS another, created, state FROM tasker.create_task('pair', namespace => 'retention', idempotency_key => 'waits');
SELECT * FROM tasker.verify_all(NULL);

-- a dead letter that is closed keeps its task no longer
SELECT tasker.resolve_dead_letter(dead_letter_id, 'permanently_failed') FROM tasker.dead_letters;
CALL pg_temp.live(33, 50);
SELECT count(*) AS failed FROM tasker.tasks WHERE task_id = :failed;
SELECT count(*) FROM tasker.dead_letters;

-- back to no retention: nothing is dropped or moved any more
SELECT tasker.configure('retention_days'), tasker.configure('idempotency_retention_days', NULL);
SELECT * FROM tasker.settings;
CALL pg_temp.days(365);
SELECT pg_temp.maintain();

-- as it was, for the tests that follow
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;
