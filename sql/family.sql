--
-- The capabilities of docs/differences.md that no other test shows, a comment a
-- row of its tables.
--

CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

SELECT count(*) FROM unnest(ARRAY[
	'{"name": "pair", "namespace": "family", "steps": [{"name": "a", "retry": {"max_attempts": 1}}, {"name": "b", "depends_on": ["a"]}]}',
	'{"name": "one", "namespace": "family", "steps": [{"name": "s", "retry": {"max_attempts": 1}}]}']::jsonb[]) t, tasker.register_task_template(t);

-- 1.1 Namespace: as long as other names; without a description
SELECT namespace = repeat('n', 128) AS longest, created FROM tasker.register_task_template(jsonb_build_object('name', 'one', 'namespace', repeat('n', 128), 'steps', '[{"name": "s"}]'::jsonb));
SELECT pg_temp.refused(format('tasker.register_task_template(%L)', jsonb_build_object('name', 'one', 'namespace', repeat('n', 129), 'steps', '[{"name": "s"}]'::jsonb)));
SELECT count(*) AS namespaces, count(description) AS described FROM tasker.task_namespaces WHERE name = 'family';

-- 1.1 Template, E/S dialect: keys without an effect are named
SELECT unnest(tasker.validate_task_template('{"name": "t", "namespace_name": "family", "default_context": {"a": 1}, "default_options": {"b": 2}, "environments": {"test": {}},
	"step_templates": [{"name": "s", "skippable": true, "retry_backoff": "linear", "default_retry_limit": "4"}]}')) AS warning;

-- 1.1 Template, C dialect: publishes_events is named as without an effect
SELECT unnest(tasker.validate_task_template('{"name": "t", "namespace": "family", "steps": [{"name": "s", "publishes_events": [{"name": "a.b"}]}]}')) AS warning;

-- 1.1 Key census: limit, initial_delay and max_delay count
SELECT created FROM tasker.register_task_template('{"name": "census", "namespace": "family", "steps": [{"name": "s", "retry": {"limit": 5, "initial_delay": 2, "max_delay": 45}}]}');
SELECT max_attempts, backoff_base_ms, max_backoff_ms FROM tasker.named_steps JOIN tasker.named_tasks t USING (named_task_id) WHERE t.name = 'census';
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "s", "lifecycle": {"max_steps_in_process_minutes": 5}}]}');

-- 1.2 TaskRequest: what has no effect is refused, not stored
SELECT key, pg_temp.refused(format('tasker.create_tasks(%L)', jsonb_build_array(jsonb_build_object('name', 'pair', 'namespace', 'family', key, value))))
FROM jsonb_each('{"bypass_steps": ["a"], "status": "pending", "complete": false, "max_retries": 3, "timeout_seconds": 300, "parent_task_id": 1, "options": {}, "requested_at": "2030-01-01"}') ORDER BY key;

-- 1.2 Validation: no bounds of depth, number and length but tasker_core.max_payload_size
SELECT what, created FROM (VALUES ('depth 50', (repeat('{"a": ', 50) || '1' || repeat('}', 50))::jsonb), ('5000 keys', (SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 5000) i)),
	('2 MB', jsonb_build_object('text', repeat('x', 2000000)))) v(what, context), tasker.create_task('one', context, 'family') ORDER BY what;

-- 1.2 Validation: defaults of a schema are not filled in
SELECT created FROM tasker.register_task_template('{"name": "filled", "namespace": "family", "input_schema": {"properties": {"a": {"default": 1}}}, "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('filled', namespace => 'family') \gset
SELECT context FROM tasker.tasks WHERE task_id = :t;

-- 1.3 Task, E = S: complete, cancelled and resolved_manually are left by nothing
SELECT task_id AS complete FROM tasker.create_task('one', namespace => 'family') \gset
SELECT task_state FROM tasker.claim_steps('family', task_id => :complete) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT task_id AS cancelled FROM tasker.create_task('one', namespace => 'family') \gset
SELECT tasker.transition_task(:cancelled, 'cancelled');
SELECT task_id AS resolved FROM tasker.create_task('one', namespace => 'family') \gset
SELECT tasker.transition_task(:resolved, 'resolved_manually');
\set VERBOSITY sqlstate
SELECT t.name, s.to_state, left(pg_temp.refused(format('tasker.transition_task(%s, %L)', t.id, s.to_state)), 8) AS answer
FROM (VALUES (1, 'complete', :complete), (2, 'cancelled', :cancelled), (3, 'resolved_manually', :resolved)) t(i, name, id),
	unnest('{pending,in_progress,cancelled,resolved_manually}'::text[]) WITH ORDINALITY s(to_state, n) ORDER BY t.i, s.n;
\set VERBOSITY default

-- 1.3 Task, E = S: error goes on in in_progress, pending is for the beginning
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'family') \gset
SELECT task_state FROM tasker.claim_steps('family', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT left(pg_temp.refused(format('tasker.transition_task(%s, ''pending'')', :t)), 5) AS to_pending, tasker.transition_task(:t, 'in_progress') AS to_in_progress;

-- 1.3 Step, C: completed by hand is resolved_manually with results, which the child is given
SELECT task_state, steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 1, '{"by": "hand"}', 'done elsewhere');
SELECT step_name, dependency_results FROM tasker.claim_steps('family', task_id => :t);
SELECT left(pg_temp.refused(format('tasker.transition_step(%s, ''complete'', results => ''1'')', :t * 1000000::bigint + 2)), 5) AS to_complete;

-- 1.4 get_task_summary: get_task
SELECT array_agg(key ORDER BY key) AS document FROM jsonb_object_keys(tasker.get_task(:t)) key;

-- 1.5 Skippable: skip_step is what skips
SELECT task_state FROM tasker.skip_step(:t * 1000000::bigint + 2, 'not needed');
SELECT name, state FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;

-- 1.7 Custom events: need no declaration; our prefixes are kept, test. is free
SELECT name, left(pg_temp.refused(format('tasker.publish_event(%L)', name)), 8) AS answer
FROM unnest('{order.shipped,test.ran,task.mine,step.mine,workflow.mine,observability.mine}'::text[]) WITH ORDINALITY n(name, i) ORDER BY i;

-- 1.3 History tables: the present state is the to_state of the newest row
SELECT t.state = (SELECT to_state FROM tasker.task_transitions x WHERE x.task_id = t.task_id ORDER BY transition_id DESC LIMIT 1) AS task,
	(SELECT count(*) FROM tasker.workflow_steps s WHERE s.task_id = t.task_id AND s.state <> (SELECT to_state FROM tasker.workflow_step_transitions x
		WHERE x.workflow_step_id = s.workflow_step_id AND x.task_id = t.task_id ORDER BY x.transition_no DESC LIMIT 1)) AS steps_that_differ
FROM tasker.tasks t WHERE t.task_id = :t;

-- 1.9 Step fix: JSON null is a result to resolve with, no result is none
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'family') \gset
SELECT left(pg_temp.refused(format('tasker.resolve_step(%s, NULL)', :t * 1000000::bigint + 1)), 5) AS without_results;
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 1, 'null');

-- 1.9 Step fix: reset keeps the history and counts from one
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'family') \gset
SELECT task_state FROM tasker.claim_steps('family', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"');
SELECT task_state FROM tasker.reset_step(:t * 1000000::bigint + 1, 'repaired');
SELECT attempt FROM tasker.claim_steps('family', task_id => :t);
SELECT verb, from_state, to_state, reason, recorded_by = session_user AS by_me FROM tasker.step_moves WHERE task_id = :t;
SELECT count(*) AS attempts FROM tasker.step_attempts WHERE task_id = :t;

SELECT count(*) FILTER (WHERE tasker.cancel_task(task_id)) > 0 AS cancelled
FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id)
WHERE s.name = 'family' AND t.state IN ('pending', 'in_progress', 'error');
SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
