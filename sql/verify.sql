--
-- verify_task and verify_all: silent on every task that the functions made, and
-- loud on every kind of damage.  Each damage is done and undone.
--

SELECT name FROM tasker.register_task_template('{"name": "diamond", "namespace": "verify", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}');

-- one task in each state
CREATE FUNCTION pg_temp.advance(t bigint, steps int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. steps LOOP
		PERFORM tasker.complete_step(workflow_step_id, claim_token, '1') FROM tasker.claim_steps('w', task_id => t);
	END LOOP;
	RETURN t;
END $$;
SELECT task_id AS fresh FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT pg_temp.advance(task_id, 1) AS half FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT count(*) FROM tasker.claim_steps('w', task_id => :half);
SELECT pg_temp.advance(task_id, 2) AS counting FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT pg_temp.advance(task_id, 4) AS complete FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT pg_temp.advance(task_id, 1) AS failed FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT count(*) FROM tasker.claim_steps('w', 2, task_id => :failed) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT pg_temp.advance(task_id, 2) AS cancelled FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT tasker.cancel_task(:cancelled);
SELECT task_id AS retrying FROM tasker.create_task('diamond', namespace => 'verify') \gset
SELECT step_state FROM tasker.claim_steps('w', task_id => :retrying) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');

SELECT count(*) AS violations FROM unnest(ARRAY[:fresh, :half, :counting, :complete, :failed, :cancelled, :retrying]) t, tasker.verify_task(t);
SELECT count(*) AS violations FROM tasker.verify_all(NULL);

-- what verify says after the damage; undone by the exception
CREATE FUNCTION pg_temp.damage(t bigint, statement text) RETURNS TABLE (step bigint, violation text) LANGUAGE plpgsql AS $$
DECLARE
	found jsonb;
	same boolean;
BEGIN
	EXECUTE replace(statement, '$t', t::text);
	found := (SELECT jsonb_agg(v ORDER BY v.workflow_step_id NULLS FIRST, v.violation) FROM tasker.verify_task(t) v);
	same := found IS NOT DISTINCT FROM (SELECT jsonb_agg(to_jsonb(v) - 'task_id' ORDER BY v.workflow_step_id NULLS FIRST, v.violation) FROM tasker.verify_all(NULL) v WHERE v.task_id = t);
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN QUERY SELECT (v->>'workflow_step_id')::bigint % 1000000, regexp_replace(v->>'violation', 'lane \d+', 'lane N') FROM jsonb_array_elements(found) v;
	IF NOT same THEN
		RETURN QUERY SELECT NULL::bigint, 'verify_all disagrees';
	END IF;
WHEN OTHERS THEN
	RETURN QUERY SELECT NULL::bigint, SQLSTATE || ' ' || replace(SQLERRM, t::text, 'T');
END $$;

-- ---------------------------------------------------------------------------
-- 1: ready exactly once, when the last parent is satisfied
-- ---------------------------------------------------------------------------

SELECT * FROM pg_temp.damage(:fresh, 'DELETE FROM tasker.step_queue WHERE task_id = $t AND step_no = 1');
SELECT * FROM pg_temp.damage(:counting, 'DELETE FROM tasker.step_queue WHERE task_id = $t AND step_no = 4');
SELECT * FROM pg_temp.damage(:counting, $$UPDATE tasker.step_queue SET phase = 'r', remaining_parents = 0 WHERE task_id = $t AND step_no = 4$$);
SELECT * FROM pg_temp.damage(:counting, 'UPDATE tasker.step_queue SET remaining_parents = 2, satisfied_parents = 0 WHERE task_id = $t AND step_no = 4');
-- nothing is counted, with a row and without
SELECT * FROM pg_temp.damage(:fresh, $$INSERT INTO tasker.step_queue SELECT task_id, 4, shard_key, slot, lane_id, 'w', false, visible_at, 2, 0, 3, 0 FROM tasker.step_queue WHERE task_id = $t AND step_no = 1$$);
SELECT * FROM pg_temp.damage(:fresh, $$INSERT INTO tasker.step_queue SELECT task_id, 2, shard_key, slot, lane_id, 'r', false, visible_at, 0, 0, 3, 0 FROM tasker.step_queue WHERE task_id = $t AND step_no = 1$$);
SELECT * FROM pg_temp.damage(:half, 'DELETE FROM tasker.step_queue WHERE task_id = $t AND step_no = 3');
SELECT * FROM pg_temp.damage(:half, $$UPDATE tasker.step_queue SET phase = 'w', remaining_parents = 1 WHERE task_id = $t AND step_no = 3$$);
SELECT * FROM pg_temp.damage(:complete, 'DELETE FROM tasker.step_attempts WHERE task_id = $t AND step_no = 2');
-- 2: one result
SELECT * FROM pg_temp.damage(:complete, $$INSERT INTO tasker.step_attempts SELECT task_id, step_no, 2, shard_key, slot, 2, outcome, to_state, worker_id, claim_token, claimed_at,
	finished_at, results, error, next_retry_at, backoff_request_seconds, recorded_by FROM tasker.step_attempts WHERE task_id = $t AND step_no = 4$$);
SELECT * FROM pg_temp.damage(:half, $$INSERT INTO tasker.step_queue SELECT task_id, 1, shard_key, slot, lane_id, 'r', false, visible_at, 0, 0, 3, 1 FROM tasker.step_queue WHERE task_id = $t AND step_no = 3$$);
-- 3: a chain of legal moves from pending to the present state
SELECT * FROM pg_temp.damage(:complete, $$UPDATE tasker.task_transitions SET to_state = 'error' WHERE task_id = $t AND to_state = 'complete'$$);
SELECT * FROM pg_temp.damage(:complete, 'DELETE FROM tasker.task_transitions WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:complete, $$DELETE FROM tasker.task_transitions WHERE task_id = $t AND from_state = 'pending'$$);
SELECT * FROM pg_temp.damage(:complete, $$INSERT INTO tasker.task_transitions (task_id, shard_key, slot, from_state, to_state, moved_at, recorded_by) SELECT $t, 0, slot, f, s, now(), '' FROM tasker.tasks, (VALUES ('complete', 'pending'), ('pending', 'complete')) v(f, s) WHERE task_id = $t$$);
-- 4: the task leaves in_progress exactly when nothing can run any more
SELECT * FROM pg_temp.damage(:half, $$UPDATE tasker.tasks SET state = 'complete', finished_at = now() WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:half, $$UPDATE tasker.tasks SET state = 'pending' WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:half, 'DELETE FROM tasker.step_queue WHERE task_id = $t AND step_no IN (2, 3)');
SELECT * FROM pg_temp.damage(:failed, 'UPDATE tasker.tasks SET failed_steps = 1 WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:failed, $$UPDATE tasker.tasks SET state = 'complete' WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:failed, $$UPDATE tasker.tasks SET state = 'in_progress', finished_at = NULL WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:complete, $$UPDATE tasker.tasks SET state = 'error' WHERE task_id = $t$$);
-- 5: attempts
SELECT * FROM pg_temp.damage(:retrying, 'UPDATE tasker.step_queue SET attempts = 2, attempt_no = 2 WHERE task_id = $t AND step_no = 1');
SELECT * FROM pg_temp.damage(:retrying, 'UPDATE tasker.step_queue SET attempt_no = 2 WHERE task_id = $t AND step_no = 1');
SELECT * FROM pg_temp.damage(:retrying, 'UPDATE tasker.step_attempts SET attempt_no = 2 WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:retrying, 'DELETE FROM tasker.step_attempts WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:failed, 'UPDATE tasker.step_attempts SET attempt_no = 9, attempt = 9 WHERE task_id = $t AND step_no = 2');
-- the claim index would not find a row in a foreign lane; rows of no step
SELECT * FROM pg_temp.damage(:fresh, 'UPDATE tasker.tasks SET priority = 7 WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:fresh, $$INSERT INTO tasker.step_queue SELECT task_id, 99, shard_key, slot, lane_id, 'r', false, visible_at, 0, 0, 3, 0 FROM tasker.step_queue WHERE task_id = $t AND step_no = 1$$);

-- rows that nothing finds: in the members of another slot
SELECT * FROM pg_temp.damage(:complete, $$INSERT INTO tasker.task_pauses (task_id, shard_key, slot, paused, moved_at, recorded_by) SELECT $t, 0, (slot + 3) % 8, true, now(), '' FROM tasker.tasks WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:fresh, 'UPDATE tasker.step_queue SET slot = 7 WHERE task_id = $t');

-- values that no function of ours writes
SELECT * FROM pg_temp.damage(:fresh, $$UPDATE tasker.tasks SET state = 'finished' WHERE task_id = $t$$);
SELECT * FROM pg_temp.damage(:fresh, 'UPDATE tasker.tasks SET finished_at = now() WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:complete, 'UPDATE tasker.tasks SET finished_at = NULL WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:fresh, 'UPDATE tasker.tasks SET failed_steps = -1 WHERE task_id = $t');
SELECT * FROM pg_temp.damage(:counting, 'UPDATE tasker.step_queue SET remaining_parents = -1 WHERE task_id = $t AND step_no = 4');
SELECT * FROM pg_temp.damage(:fresh, $$UPDATE tasker.step_queue SET phase = 'c' WHERE task_id = $t AND step_no = 1$$);
SELECT * FROM pg_temp.damage(:fresh, $$UPDATE tasker.step_queue SET phase = '?' WHERE task_id = $t AND step_no = 1$$);
SELECT * FROM pg_temp.damage(:fresh, 'UPDATE tasker.step_queue SET attempts = 4, attempt_no = 4 WHERE task_id = $t AND step_no = 1');
SELECT * FROM pg_temp.damage(:complete, $$UPDATE tasker.step_attempts SET to_state = 'error' WHERE task_id = $t AND step_no = 4$$);

-- ---------------------------------------------------------------------------
-- Which tasks verify_all looks at
-- ---------------------------------------------------------------------------

BEGIN;
UPDATE tasker.tasks SET failed_steps = 9 WHERE task_id IN (:fresh, :complete, :cancelled);
SELECT max_tasks, (SELECT string_agg(CASE task_id WHEN :fresh THEN 'unfinished' WHEN :complete THEN 'older' WHEN :cancelled THEN 'newest' END, ' ' ORDER BY task_id)
	FROM tasker.verify_all(max_tasks)) AS found
FROM unnest('{0,1,NULL}'::int[]) max_tasks;
SELECT count(*) AS by_default FROM tasker.verify_all() WHERE task_id IN (:fresh, :complete, :cancelled);
ROLLBACK;

SELECT count(*) FROM tasker.verify_task(9223372036854775807);
