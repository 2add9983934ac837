--
-- run_maintenance: what nobody asks for happens, in bounded parts, and leaves
-- alone what somebody has in hand.
--

-- it looks at everything there is, so there must be nothing else
DROP EXTENSION tasker_core;
CREATE EXTENSION tasker_core;

SELECT count(*) FROM unnest(ARRAY[
	'{"name": "once", "namespace": "keep", "steps": [{"name": "s", "retry": {"max_attempts": 1}}]}',
	'{"name": "twice", "namespace": "keep", "steps": [{"name": "s", "retry": {"max_attempts": 2}}]}',
	'{"name": "timed", "namespace": "late", "steps": [{"name": "s"}], "lifecycle": {"max_duration_minutes": 10, "staleness_action": "error"}}',
	'{"name": "watched", "namespace": "late", "steps": [{"name": "s"}], "lifecycle": {"max_duration_minutes": 10}}']::jsonb[]) t, tasker.register_task_template(t);

CREATE FUNCTION pg_temp.done(max_items int DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(key || ' ' || value, ', ' ORDER BY key), 'nothing') FROM tasker.run_maintenance(max_items), jsonb_each_text(run_maintenance) WHERE value <> '0' $$;

SELECT tasker.run_maintenance();

-- ---------------------------------------------------------------------------
-- Lost last attempts fail, by parts; others are left to the next claim
-- ---------------------------------------------------------------------------

SELECT count(*) FROM generate_series(1, 3) i, tasker.create_task('once', jsonb_build_object('i', i), 'keep');
SELECT count(*) FROM tasker.create_task('twice', namespace => 'keep');
SELECT count(*) FROM tasker.claim_steps('w', 10, lease_seconds => 30);
SELECT pg_temp.done();
SET tasker_core.clock_offset = 31;
SELECT pg_temp.done(2);
SELECT pg_temp.done();
SELECT pg_temp.done();
SELECT n.name, t.state, d.reason, count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) LEFT JOIN tasker.dead_letters d USING (task_id) GROUP BY 1, 2, 3 ORDER BY 1;
SELECT count(*) FROM tasker.claim_steps('w', 10) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Workers are told of what became due since the last time, once
-- ---------------------------------------------------------------------------

SELECT count(*) FROM tasker.create_task('twice', namespace => 'keep', run_at => now() + interval '100 seconds');
SELECT pg_temp.done();
SET tasker_core.clock_offset = 101;
BEGIN;
SELECT pg_temp.done();
ROLLBACK;
-- it was rolled back, so it is told again
SELECT pg_temp.done();
SELECT pg_temp.done();
SET tasker_core.clock_offset = 102;
SELECT step_state FROM tasker.claim_steps('w') c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retry_after_seconds => 60);
SELECT pg_temp.done();
SET tasker_core.clock_offset = 163;
SELECT pg_temp.done();
-- a paused task has nothing to tell
SELECT tasker.pause_task(task_id) FROM tasker.tasks WHERE state = 'in_progress';
UPDATE tasker.maintenance SET ran_at = 'epoch';
SELECT pg_temp.done();
SELECT tasker.cancel_task(task_id) FROM tasker.tasks WHERE state = 'in_progress';
RESET tasker_core.clock_offset;
SELECT state, ran_at > now() AS ahead FROM tasker.maintenance, (SELECT 'the clock was set back' AS state) s;
SELECT pg_temp.done();

-- ---------------------------------------------------------------------------
-- Stale tasks: the round goes on where it stopped, and begins anew at its end
-- ---------------------------------------------------------------------------

SELECT count(*) FROM generate_series(1, 5) i, tasker.create_task(CASE WHEN i % 2 = 0 THEN 'watched' ELSE 'timed' END, jsonb_build_object('i', i), 'late');
SELECT pg_temp.done();
SET tasker_core.clock_offset = 660;
SELECT pg_temp.done(2);
SELECT pg_temp.done(2);
SELECT pg_temp.done(2);
SELECT pg_temp.done(2);
SELECT n.name, t.state, d.reason, count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) LEFT JOIN tasker.dead_letters d USING (task_id) WHERE n.name IN ('timed', 'watched') GROUP BY 1, 2, 3 ORDER BY 1;

-- ---------------------------------------------------------------------------
-- A stale task that completes after all needs nobody; one that failed does
-- ---------------------------------------------------------------------------

SELECT count(*) FROM tasker.claim_steps('w', 10) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_temp.done();
SELECT n.name, d.state, d.notes, count(*) FROM tasker.dead_letters d JOIN tasker.tasks t USING (task_id) JOIN tasker.named_tasks n USING (named_task_id) GROUP BY 1, 2, 3 ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Workers not seen for a day
-- ---------------------------------------------------------------------------

SELECT worker_id FROM tasker.workers;
SET tasker_core.clock_offset = 86000;
SELECT pg_temp.done();
SELECT count(*) FROM tasker.claim_steps('new', 0);
SET tasker_core.clock_offset = 88000;
SELECT pg_temp.done();
SELECT worker_id FROM tasker.workers;
RESET tasker_core.clock_offset;

SELECT tasker.run_maintenance(0);
\set VERBOSITY sqlstate
SELECT tasker.run_maintenance(-1);
SELECT tasker.run_maintenance(10001);
\set VERBOSITY default
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
