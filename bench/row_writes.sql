-- Row writes per step, all tables and the task's own rows included, from the statistics
-- counters; and how many of them leave a dead tuple behind.  One worker claims ten steps at
-- a time and completes them one by one, a transaction each.

SET client_min_messages = warning;
CREATE EXTENSION tasker_core;

SELECT FROM tasker.register_task_template((
	SELECT jsonb_build_object('name', 'chain of 10', 'steps', jsonb_agg(
		jsonb_build_object('name', 'step ' || i,
			'depends_on', CASE WHEN i = 1 THEN '[]' ELSE jsonb_build_array('step ' || i - 1) END)))
	FROM generate_series(1, 10) AS i));
SELECT FROM tasker.register_task_template('{"name": "diamond of 4", "steps": [{"name": "a"},
	{"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]},
	{"name": "d", "depends_on": ["b", "c"]}]}');

CREATE FUNCTION pg_temp.create_tasks(template text, tasks int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..tasks LOOP
		PERFORM FROM tasker.create_task(template);
	END LOOP;
END $$;

CREATE TEMP TABLE claims (workflow_step_id bigint, claim_token bigint);

CREATE PROCEDURE pg_temp.work_until_done() LANGUAGE plpgsql AS $$
DECLARE
	claim record;
BEGIN
	LOOP
		DELETE FROM claims;
		INSERT INTO claims SELECT c.workflow_step_id, c.claim_token FROM tasker.claim_steps('bench', 10) AS c;
		EXIT WHEN NOT FOUND;
		COMMIT;
		FOR claim IN SELECT * FROM claims LOOP
			PERFORM FROM tasker.complete_step(claim.workflow_step_id, claim.claim_token, '{"done": true}');
			COMMIT;
		END LOOP;
	END LOOP;
END $$;

CREATE FUNCTION pg_temp.counts() RETURNS TABLE (writes bigint, dead bigint, task_updates bigint, hot_task_updates bigint)
LANGUAGE sql AS $$
	SELECT sum(n_tup_ins + n_tup_upd + n_tup_del), sum(n_tup_upd + n_tup_del),
		sum(n_tup_upd) FILTER (WHERE relname = 'tasks'), sum(n_tup_hot_upd) FILTER (WHERE relname = 'tasks')
	FROM pg_stat_user_tables WHERE schemaname = 'tasker'
$$;

-- The lanes, the worker's row and the plans belong to no task in particular.
SELECT FROM pg_temp.create_tasks('chain of 10', 1);
SELECT FROM pg_temp.create_tasks('diamond of 4', 1);
CALL pg_temp.work_until_done();

\echo 'shape | row writes per step | dead tuples per step | updates of tasks that are HOT'

SELECT pg_stat_force_next_flush() \gset
SELECT FROM pg_stat_reset();
SELECT FROM pg_temp.create_tasks('chain of 10', 100);
CALL pg_temp.work_until_done();
SELECT pg_stat_force_next_flush() \gset
SELECT 'chain of 10', round(writes / 1000.0, 3), round(dead / 1000.0, 3), hot_task_updates || ' of ' || task_updates
FROM pg_temp.counts();

SELECT FROM pg_stat_reset();
SELECT FROM pg_temp.create_tasks('diamond of 4', 250);
CALL pg_temp.work_until_done();
SELECT pg_stat_force_next_flush() \gset
SELECT 'diamond of 4', round(writes / 1000.0, 3), round(dead / 1000.0, 3), hot_task_updates || ' of ' || task_updates
FROM pg_temp.counts();

SELECT 'verify_all: ' || count(*) || ' violations' FROM tasker.verify_all(NULL);
