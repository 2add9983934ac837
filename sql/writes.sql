--
-- Write counts: how many rows a step writes, task overhead included; how many of
-- the updates are HOT.  From the statistics of this server, a transaction a call.
--

SET tasker_core.notify = off;
ALTER TABLE tasker.tasks SET (autovacuum_enabled = off);
ALTER TABLE tasker.step_queue SET (autovacuum_enabled = off);
SELECT count(*) FROM unnest(ARRAY['{"name": "chain", "namespace": "writes", "steps": [{"name": "s0"}]}', '{"name": "diamond", "namespace": "writes", "steps": [
	{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}']::jsonb[]) t,
	tasker.register_task_template(CASE t ->> 'name' WHEN 'diamond' THEN t ELSE jsonb_set(t, '{steps}', (SELECT jsonb_agg(jsonb_build_object('name', 's' || i,
		'depends_on', CASE WHEN i > 0 THEN jsonb_build_array('s' || i - 1) ELSE '[]' END)) FROM generate_series(0, 9) i)) END);

CREATE TEMP TABLE counters AS SELECT relname, n_tup_ins AS ins, n_tup_upd AS upd, n_tup_del AS del, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE schemaname = 'tasker' WITH NO DATA;
-- writes since the last call, per step; workers apart, which are written by the clock
CREATE FUNCTION pg_temp.writes(steps numeric) RETURNS TABLE (relname name, ins numeric, upd numeric, del numeric, all_hot boolean) LANGUAGE sql AS $$
	SELECT regexp_replace(s.relname, '_\d$', ''), round((n_tup_ins - ins) / steps, 3), round((n_tup_upd - upd) / steps, 3), round((n_tup_del - del) / steps, 3), n_tup_hot_upd - hot = n_tup_upd - upd
	FROM pg_stat_user_tables s JOIN counters c USING (relname)
	WHERE schemaname = 'tasker' AND relname <> 'workers' AND (n_tup_ins > ins OR n_tup_upd > upd OR n_tup_del > del) ORDER BY 1 $$;
CREATE PROCEDURE pg_temp.start() LANGUAGE sql AS $$
	DELETE FROM counters;
	INSERT INTO counters SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'tasker' $$;
-- runs that many tasks, a transaction a call
CREATE PROCEDURE pg_temp.run(template text, tasks int) LANGUAGE plpgsql AS $$
DECLARE
	claim record;
BEGIN
	FOR i IN 1 .. tasks LOOP
		PERFORM tasker.create_task(template, namespace => 'writes');
		COMMIT;
		LOOP
			SELECT * INTO claim FROM tasker.claim_steps('writes', 1, '{writes}');
			EXIT WHEN NOT FOUND;
			COMMIT;
			PERFORM tasker.complete_step(claim.workflow_step_id, claim.claim_token, '{"some": "result"}');
			COMMIT;
		END LOOP;
	END LOOP;
END $$;

-- what is written once, before it counts: lanes, the worker
CALL pg_temp.run('chain', 1);
CALL pg_temp.run('diamond', 1);

SELECT pg_stat_force_next_flush() \gset
CALL pg_temp.start();
CALL pg_temp.run('chain', 20);
SELECT pg_stat_force_next_flush() \gset
SELECT * FROM pg_temp.writes(20 * 10);
SELECT sum(ins + upd + del) AS chain_of_10, sum(ins + upd + del) <= 4.6 AS writes_in_budget, sum(upd + del) AS dead, sum(upd + del) <= 2.5 AS dead_in_budget FROM pg_temp.writes(20 * 10);

CALL pg_temp.start();
CALL pg_temp.run('diamond', 20);
SELECT pg_stat_force_next_flush() \gset
SELECT * FROM pg_temp.writes(20 * 4);
SELECT sum(ins + upd + del) AS diamond, sum(ins + upd + del) <= 6 AS writes_in_budget, sum(upd + del) AS dead, sum(upd + del) <= 3 AS dead_in_budget FROM pg_temp.writes(20 * 4);

-- ---------------------------------------------------------------------------
-- Batches of 50: as few, and every update of tasks HOT
-- ---------------------------------------------------------------------------

CREATE PROCEDURE pg_temp.run_batch() LANGUAGE plpgsql AS $$
DECLARE
	claims record;
BEGIN
	PERFORM tasker.create_task('chain', jsonb_build_object('i', i), 'writes') FROM generate_series(1, 50) i;
	COMMIT;
	FOR i IN 1 .. 10 LOOP
		SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens, array_agg('{"some": "result"}'::jsonb) AS results INTO claims FROM tasker.claim_steps('writes', 50, '{writes}');
		COMMIT;
		PERFORM tasker.complete_steps(claims.ids, claims.tokens, claims.results);
		COMMIT;
	END LOOP;
END $$;
CALL pg_temp.start();
CALL pg_temp.run_batch();
CALL pg_temp.run_batch();
SELECT pg_stat_force_next_flush() \gset
SELECT * FROM pg_temp.writes(2 * 50 * 10);

-- counting down a join is HOT, all but the last time
SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'join', 'namespace', 'writes_join', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on', CASE i WHEN 101 THEN (SELECT jsonb_agg('s' || j) FROM generate_series(1, 100) j) ELSE '[]' END)) FROM generate_series(1, 101) i)));
SELECT task_id AS t FROM tasker.create_task('join', namespace => 'writes_join') \gset
CREATE TEMP TABLE claims AS SELECT workflow_step_id, claim_token FROM tasker.claim_steps('writes', 100, '{writes_join}');
SELECT pg_stat_force_next_flush() \gset
CALL pg_temp.start();
DO $$
DECLARE
	claim record;
BEGIN
	FOR claim IN SELECT * FROM claims LOOP
		PERFORM tasker.complete_step(claim.workflow_step_id, claim.claim_token, '1');
		COMMIT;
	END LOOP;
END $$;
SELECT pg_stat_force_next_flush() \gset
SELECT n_tup_upd - upd AS counted_down, n_tup_hot_upd - hot >= 95 AS hot FROM pg_stat_user_tables JOIN counters USING (relname) WHERE schemaname = 'tasker' AND relname = 'step_queue';
SELECT step_no, phase FROM tasker.step_queue WHERE task_id = :t;

-- ---------------------------------------------------------------------------
-- What writes nothing
-- ---------------------------------------------------------------------------

SELECT FROM tasker.claim_steps('writes', 100, '{writes_join}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_stat_force_next_flush() \gset
CALL pg_temp.start();
SELECT count(*) AS idle FROM tasker.claim_steps('writes', 10, '{writes}');
SELECT count(*) AS readiness FROM tasker.get_step_readiness_status(:t);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT count(*) AS violations FROM tasker.verify_task(:t);
SELECT count(*) AS repeated FROM claims, tasker.complete_step(workflow_step_id, claim_token, '2') WHERE status = 'already_completed';
SELECT created FROM tasker.register_task_template((SELECT tasker.get_task_template('diamond', 'writes')));
SELECT pg_stat_force_next_flush() \gset
SELECT * FROM pg_temp.writes(1);

ALTER TABLE tasker.tasks RESET (autovacuum_enabled);
ALTER TABLE tasker.step_queue RESET (autovacuum_enabled);
