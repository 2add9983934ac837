--
-- Dead rows at the old end of the queue cost the claim that meets them, and not
-- the next ones: claims begin where the last walk found the first live row.
--
-- What one transaction deletes cannot be cleaned away before it ends, just as
-- behind an old snapshot; so one transaction shows it.
--

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "marks", "steps": [{"name": "s"}]}');

CREATE FUNCTION pg_temp.blocks(claims int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM tasker.claim_steps(''marks'', %s, ''{marks}'')', claims) INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END $$;
-- plans, caches and the worker's row belong to no claim in particular
SELECT count(*) FROM tasker.create_task('one', namespace => 'marks') t, tasker.claim_steps('marks', 1, '{marks}', task_id => t.task_id) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_temp.blocks(1) > 0 AS warm;

BEGIN;
SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg('{"name": "one", "namespace": "marks"}'::jsonb) FROM generate_series(1, 3000)));
SELECT count(*) FROM tasker.claim_steps('marks', 3000, '{marks}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg('{"name": "one", "namespace": "marks"}'::jsonb) FROM generate_series(1, 50)));
SELECT pg_temp.blocks(1) AS walks \gset
-- the least of ten: a mark lives for a second only
SELECT min(pg_temp.blocks(1)) AS others FROM generate_series(1, 10) \gset
SELECT :walks > 2 * :others AS the_first_walks_and_the_others_do_not;
-- in the order of age all the same, and none left out
SELECT count(*), min(task_id) - max(task_id) AS span FROM tasker.claim_steps('marks', 100, '{marks}');
-- a row that comes back from before the mark is found: the claim comes up short, and walks
SELECT count(*) FROM tasker.create_task('one', namespace => 'marks', run_at => now() - interval '1 day');
SELECT pg_sleep(1.1);
SELECT count(*) FROM tasker.claim_steps('marks', 100, '{marks}');
ROLLBACK;
SELECT count(*) FROM tasker.claim_steps('marks', 1, '{marks}');

-- the same with claims whose leases have run out: a claim of one task, too, looks there for lost last attempts
CREATE FUNCTION pg_temp.blocks_of_task(task bigint) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM tasker.claim_steps(''marks'', 1, ''{marks}'', task_id => %s)', task) INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int;
END $$;
BEGIN;
SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg('{"name": "one", "namespace": "marks"}'::jsonb) FROM generate_series(1, 3000)));
SELECT count(*) FROM tasker.claim_steps('marks', 3000, '{marks}', lease_seconds => 1) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'marks') \gset
SELECT count(*) FROM tasker.claim_steps('marks', 1, task_id => :t);
SET LOCAL tasker_core.clock_offset = 2;
SELECT pg_sleep(1.1);
SELECT pg_temp.blocks_of_task(:t) AS walks \gset
SELECT min(pg_temp.blocks_of_task(:t)) AS others FROM generate_series(1, 10) \gset
SELECT :walks > 2 * :others AS the_first_walks_and_the_others_do_not;
ROLLBACK;
