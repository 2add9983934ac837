-- One change for many tasks; templates that are retired; data that is erased;
-- many priorities

SET client_min_messages = warning;
SET tasker_core.notify = off;
\pset null (null)
CREATE FUNCTION pg_temp.refused(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'not refused';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, SQLERRM, detail, hint);
END $$;

SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "bulk", "steps": [{"name": "a", "retry": {"max_attempts": 1}}, {"name": "b", "depends_on": ["a"]}]}');
CREATE FUNCTION pg_temp.make(tag text) RETURNS bigint LANGUAGE sql AS $$ SELECT task_id FROM tasker.create_task('pair', jsonb_build_object('tag', tag), 'bulk', tags => ARRAY[tag]) $$;
CREATE FUNCTION pg_temp.fail(task bigint) RETURNS text LANGUAGE sql AS $$ SELECT f.task_state FROM tasker.claim_steps('w', 1, task_id => task) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"') f $$;

-- ---------------------------------------------------------------------------
-- cancel_tasks, retry_tasks
-- ---------------------------------------------------------------------------

SELECT pg_temp.make('red') AS t1, pg_temp.make('red') AS t2, pg_temp.make('red') AS t3, pg_temp.make('blue') AS t4, pg_temp.make('red') AS t5 \gset
SELECT pg_temp.fail(:t2), pg_temp.fail(:t4);
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, task_id => :t3) \gset
SELECT tasker.transition_task(:t5, 'resolved_manually');
CREATE FUNCTION pg_temp.states() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(state, ', ' ORDER BY task_id) FROM tasker.list_tasks('{"namespace": "bulk"}') $$;
SELECT pg_temp.states();

-- a dry run is the default, and changes nothing
SELECT task_id - :t1 AS task, outcome FROM tasker.retry_tasks('{"namespace": "bulk"}');
SELECT task_id - :t1 AS task, outcome FROM tasker.cancel_tasks('{"namespace": "bulk", "tag": "red"}');
SELECT pg_temp.states();
-- in the order of ids; of too many the newest
SELECT task_id - :t1 AS task, outcome FROM tasker.cancel_tasks('{"namespace": "bulk"}', 2);
SELECT task_id - :t1 AS task, outcome FROM tasker.retry_tasks('{"namespace": "bulk"}', dry_run => false, reason => 'the disk is back');
SELECT DISTINCT reason FROM tasker.task_transitions WHERE task_id IN (:t2, :t4) AND from_state = 'error';
SELECT pg_temp.states();
SELECT task_id - :t1 AS task, outcome FROM tasker.cancel_tasks('{"namespace": "bulk", "tag": "red"}', 1000, false, 'red is over');
SELECT pg_temp.states();
SELECT DISTINCT reason FROM tasker.task_transitions WHERE task_id IN (:t1, :t2, :t3) AND to_state = 'cancelled';
-- whoever held a step is fenced
SELECT pg_temp.refused(format('SELECT tasker.complete_step(%s, %s, ''1'')', :step, :token)) ~ '^TC011' AS fenced;
-- nothing is left to do
SELECT count(*) FROM tasker.cancel_tasks('{"namespace": "bulk", "tag": "red"}', dry_run => false);
SELECT count(*) FROM tasker.cancel_tasks('{"namespace": "nobody"}', dry_run => false);
SELECT count(*) FROM tasker.cancel_tasks('{"namespace": "bulk", "state": "complete"}', dry_run => false);
SELECT pg_temp.refused('SELECT tasker.cancel_tasks(NULL)');
SELECT pg_temp.refused($$SELECT tasker.cancel_tasks('{"nmespace": "bulk"}')$$);
SELECT pg_temp.refused($$SELECT tasker.retry_tasks('{}', -1)$$);
SELECT violation FROM tasker.verify_all(NULL);

-- ---------------------------------------------------------------------------
-- retire_task_template
-- ---------------------------------------------------------------------------

SELECT version FROM tasker.register_task_template('{"name": "v", "namespace": "bulk", "version": "1.0.0", "steps": [{"name": "s"}]}');
SELECT version FROM tasker.register_task_template('{"name": "v", "namespace": "bulk", "version": "2.0.0", "steps": [{"name": "s"}]}');
SELECT task_id AS old FROM tasker.create_task('v', namespace => 'bulk', idempotency_key => 'k') \gset
SELECT tasker.retire_task_template('v', 'bulk', '2.0.0'), tasker.retire_task_template('v', 'bulk', '2.0.0') AS again;
SELECT version, retired_at IS NOT NULL AS retired FROM tasker.list_task_templates('bulk') WHERE name = 'v';
SELECT retired_by = session_user AS by_me FROM tasker.named_tasks WHERE name = 'v' AND version = '2.0.0';
-- without a version it is passed over; asked for by its name it is refused
SELECT task_id AS new FROM tasker.create_task('v', namespace => 'bulk') \gset
SELECT n.version FROM tasker.tasks JOIN tasker.named_tasks n USING (named_task_id) WHERE task_id = :new;
SELECT tasker.get_task_template('v', 'bulk') ->> 'version' AS highest, tasker.get_task_template('v', 'bulk', '2.0.0') ->> 'version' AS still_there;
SELECT pg_temp.refused($$SELECT tasker.create_task('v', namespace => 'bulk', version => '2.0.0')$$);
SELECT pg_temp.refused($$SELECT tasker.create_tasks('[{"name": "v", "namespace": "bulk", "version": "2.0.0"}]')$$) ~ '^TC001' AS refused;
-- tasks that exist go on, and are found by their keys
SELECT task_id = :old AS same, created FROM tasker.create_task('v', namespace => 'bulk', version => '2.0.0', idempotency_key => 'k');
SELECT c.task_state FROM tasker.claim_steps('w', 1, task_id => :old) s, tasker.complete_step(s.workflow_step_id, s.claim_token, '1') c;
-- all versions; the same content again is the same version, and as retired as before
SELECT tasker.retire_task_template('v', 'bulk');
SELECT pg_temp.refused($$SELECT tasker.create_task('v', namespace => 'bulk')$$) ~ '^TC001.*is retired' AS refused;
SELECT created FROM tasker.register_task_template('{"name": "v", "namespace": "bulk", "version": "2.0.0", "steps": [{"name": "s"}]}');
SELECT pg_temp.refused($$SELECT tasker.create_task('v', namespace => 'bulk')$$) ~ '^TC001' AS refused;
-- rolled back it was not
BEGIN;
SELECT tasker.retire_task_template('v', 'bulk', retired => false);
SELECT created FROM tasker.create_task('v', namespace => 'bulk');
ROLLBACK;
SELECT pg_temp.refused($$SELECT tasker.create_task('v', namespace => 'bulk')$$) ~ '^TC001' AS refused;
SELECT tasker.retire_task_template('v', 'bulk', '2.0.0', false);
SELECT task_id AS new FROM tasker.create_task('v', namespace => 'bulk') \gset
SELECT n.version FROM tasker.tasks JOIN tasker.named_tasks n USING (named_task_id) WHERE task_id = :new;
SELECT pg_temp.refused($$SELECT tasker.retire_task_template('nothing', 'bulk')$$) ~ '^TC001' AS unknown, pg_temp.refused($$SELECT tasker.retire_task_template(NULL)$$) ~ '^22004' AS no_name;

-- ---------------------------------------------------------------------------
-- erase_task_payload
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.register_task_template('{"name": "secrets", "namespace": "bulk", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]}');
SELECT task_id AS t FROM tasker.create_task('secrets', '{"card": "4242"}', 'bulk', idempotency_key => '4242') \gset
SELECT regexp_replace(pg_temp.refused(format('SELECT tasker.erase_task_payload(%s)', :t)), 'task \d+', 'task N');
SELECT f.step_state FROM tasker.claim_steps('w', 1, task_id => :t) s, tasker.fail_step(s.workflow_step_id, s.claim_token, '"card 4242 refused"', retry_after_seconds => 0) f;
SELECT tasker.checkpoint_step(workflow_step_id, claim_token, '"4242"', true) FROM tasker.claim_steps('w', 1, task_id => :t);
SELECT c.status FROM tasker.claim_steps('w', 1, task_id => :t) s, tasker.complete_step(s.workflow_step_id, s.claim_token, '{"paid_with": "4242"}') c;
SELECT tasker.publish_event('payment.made', '{"card": "4242"}', :t) > 0 AS published;
SELECT task_state FROM tasker.resolve_step(:t * 1000000 + 2, '"4242 by hand"');
SELECT f.task_state FROM tasker.claim_steps('w', 1, task_id => :t) s, tasker.fail_step(s.workflow_step_id, s.claim_token, '"4242"', false) f;
SELECT tasker.cancel_task(:t);
SELECT count(*) AS dead_letters FROM tasker.dead_letters WHERE task_id = :t;
CREATE FUNCTION pg_temp.told(task bigint) RETURNS boolean LANGUAGE sql AS $$
	SELECT position('4242' IN concat(
		(SELECT string_agg(to_jsonb(t)::text, '') FROM tasker.tasks t WHERE task_id = task), (SELECT string_agg(to_jsonb(a)::text, '') FROM tasker.step_attempts a WHERE task_id = task),
		(SELECT string_agg(to_jsonb(m)::text, '') FROM tasker.step_moves m WHERE task_id = task), (SELECT string_agg(to_jsonb(q)::text, '') FROM tasker.step_queue q WHERE task_id = task),
		(SELECT string_agg(to_jsonb(d)::text, '') FROM tasker.dead_letters d WHERE task_id = task), (SELECT string_agg(to_jsonb(e)::text, '') FROM tasker.domain_events e WHERE task_id = task),
		(SELECT string_agg(to_jsonb(x)::text, '') FROM tasker.task_transitions x WHERE task_id = task), (SELECT string_agg(to_jsonb(c)::text, '') FROM tasker.step_checkpoints c WHERE task_id = task),
		tasker.get_task(task)::text)) > 0 $$;
SELECT pg_temp.told(:t);
SELECT tasker.erase_task_payload(:t), tasker.erase_task_payload(:t) AS again;
SELECT pg_temp.told(:t);
SELECT context, idempotency_key, erased_at IS NOT NULL AS erased, erased_by = session_user AS by_me, erased_as FROM tasker.tasks WHERE task_id = :t;
-- what happened stays: states, attempts, who and when
SELECT name, state, results FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT name, to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t ORDER BY workflow_step_id, transition_no;
SELECT violation FROM tasker.verify_task(:t);
-- the key still counts
SELECT task_id = :t AS same, created FROM tasker.create_task('secrets', '{}', 'bulk', idempotency_key => '4242');
SELECT pg_temp.refused('SELECT tasker.erase_task_payload(NULL)') ~ '^22004' AS no_id, pg_temp.refused('SELECT tasker.erase_task_payload(999999999)') ~ '^TC002' AS unknown;

-- ---------------------------------------------------------------------------
-- Every task with a priority of its own: few lanes, and still in order
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "bulk_lanes", "steps": [{"name": "s", "priority": 2}]}');
BEGIN;
SELECT count(*) FROM tasker.create_tasks((SELECT jsonb_agg(jsonb_build_object('name', 'one', 'namespace', 'bulk_lanes', 'priority', p * 20)) FROM generate_series(-1600, 1600) p));
SELECT count(*) BETWEEN 128 AND 352 AS few FROM tasker.lanes JOIN tasker.named_tasks USING (named_task_id) WHERE name = 'one' AND version = '0.1.0' AND queue = 'default';
-- what is told is exact; what comes first is at most an eighth below the highest
SELECT priority <= 32002 AND priority >= 28000 AS high, task_priority + 2 = priority AS exact
FROM (SELECT c.priority, t.priority AS task_priority FROM tasker.claim_steps('w', 1, '{bulk_lanes}') c JOIN tasker.tasks t USING (task_id)) x;
SELECT violation FROM tasker.verify_all(NULL);
ROLLBACK;
-- small ones are told apart
SELECT count(*) FROM generate_series(-32, 29) p, tasker.create_task('one', namespace => 'bulk_lanes', priority => p);
SELECT string_agg(priority::text, ' ' ORDER BY ordinality) = (SELECT string_agg(p::text, ' ' ORDER BY p DESC) FROM generate_series(-30, 31) p) AS in_order
FROM tasker.claim_steps('w', 100, '{bulk_lanes}') WITH ORDINALITY;

-- ---------------------------------------------------------------------------
-- Many templates: a session keeps as many compiled as it may
-- ---------------------------------------------------------------------------

SELECT count(*) FROM generate_series(1, 60) i, tasker.register_task_template(jsonb_build_object('name', 'many' || i, 'namespace', 'bulk_many',
	'steps', (SELECT jsonb_agg(jsonb_build_object('name', 'step ' || s, 'handler', jsonb_build_object('initialization', jsonb_build_object('text', repeat('x', 50))))) FROM generate_series(1, 20) s)));
CREATE FUNCTION pg_temp.cached() RETURNS numeric LANGUAGE sql AS $$ SELECT coalesce(sum(total_bytes), 0) FROM pg_backend_memory_contexts WHERE name LIKE 'tasker_core template%' $$;
SELECT count(*) FROM generate_series(1, 60) i, tasker.create_task('many' || i, namespace => 'bulk_many');
BEGIN;
SELECT count(*) FROM generate_series(1, 60) i, tasker.create_task('many' || i, namespace => 'bulk_many');
SELECT pg_temp.cached() > 500000 AS all_of_them;
SET LOCAL tasker_core.template_cache_size = '64kB';
SELECT created FROM tasker.register_task_template('{"name": "one_more", "namespace": "bulk_many", "steps": [{"name": "s"}]}');
SELECT count(*) FROM generate_series(1, 60) i, tasker.create_task('many' || i, namespace => 'bulk_many');
SELECT pg_temp.cached() < 200000 AS some_of_them;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{bulk_many}') c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
ROLLBACK;
