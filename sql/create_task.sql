--
-- create_task: what is stored, which steps are queued, when they run, which
-- version is taken, and that every argument has an effect.
--

SELECT version, created FROM tasker.register_task_template('{"name": "order", "namespace": "create", "version": "0.9.0",
	"steps": [{"name": "only"}]}');
SELECT version, created FROM tasker.register_task_template('{"name": "order", "namespace": "create", "version": "0.10.0",
	"steps": [{"name": "validate"}, {"name": "reserve", "depends_on": ["validate"]}, {"name": "pay", "depends_on": ["validate"]},
	          {"name": "ship", "depends_on": ["reserve", "pay"]}, {"name": "audit"}]}');

-- ---------------------------------------------------------------------------
-- Defaults
-- ---------------------------------------------------------------------------

SELECT task_id AS t, created, step_count, state FROM tasker.create_task('order', namespace => 'create') \gset
\echo :created :step_count :state

SELECT state, priority, failed_steps, context, run_at, started_at, finished_at, idempotency_key, initiator, source_system,
	reason, tags, correlation_id IS NOT NULL AS correlated, parent_correlation_id, created_by = session_user AS by_me, created_as,
	created_at BETWEEN clock_timestamp() - interval '1 minute' AND clock_timestamp() AS now, shard_key
FROM tasker.tasks WHERE task_id = :t;

-- only roots are written; the rest enters the queue when a parent of it ends
SELECT step_no, workflow_step_id - :t * 1000000::bigint AS id_in_task, name, s.state, remaining_parents, visible_at = created_at AS ready_since_creation
FROM tasker.workflow_steps s JOIN tasker.tasks USING (task_id) WHERE task_id = :t ORDER BY step_no;
SELECT step_no, phase, remaining_parents, attempts, max_attempts FROM tasker.step_queue WHERE task_id = :t ORDER BY step_no;

-- creation itself is no transition
SELECT count(*) FROM tasker.task_transitions WHERE task_id = :t;

-- NULL for an argument that has a default is the default
SELECT task_id AS n, created, step_count, state FROM tasker.create_task('order', NULL, 'create', NULL, NULL, NULL, NULL, NULL,
	NULL, NULL, NULL, NULL, NULL) \gset
\echo :created :step_count :state
SELECT state, priority, context, run_at FROM tasker.tasks WHERE task_id = :n;
SELECT :n > :t AS ids_grow;

-- ---------------------------------------------------------------------------
-- Every argument
-- ---------------------------------------------------------------------------

SELECT task_id AS t, created, step_count, state FROM tasker.create_task(
	name => 'order', context => '{"order": 17, "lines": [1, null, "<b>"]}', namespace => 'create', version => '0.9.0',
	idempotency_key => 'all', priority => -7, run_at => '2001-02-03 04:05:06+00', initiator => 'web', source_system => 'shop',
	reason => 'ordered', tags => '{vip,"two words"}', correlation_id => '11111111-1111-1111-1111-111111111111',
	parent_correlation_id => '22222222-2222-2222-2222-222222222222') \gset
\echo :created :step_count :state
SELECT context, idempotency_key, priority, run_at AT TIME ZONE 'UTC' AS run_at, initiator, source_system, reason, tags,
	correlation_id, parent_correlation_id
FROM tasker.tasks WHERE task_id = :t;
-- and the worker is given it
SELECT task_version, step_name, task_context, priority, correlation_id
FROM tasker.claim_steps('w', namespaces => '{create}', task_id => :t);

-- each task without a correlation id gets one of its own
SELECT min(task_id) AS base FROM generate_series(1, 5) i, tasker.create_task('order', jsonb_build_object('i', i), 'create') \gset
SELECT count(*), count(DISTINCT correlation_id) FROM tasker.tasks WHERE task_id >= :base;

-- no key, no initiator is special: what goes in comes out
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'create',
	context => '{"script": 1, "eval": 2, "function": 3, "one": 4, "online": 5, "only_if": 6, "__proto__": 7, "": 8, "a.b": "<script>x</script>"}') \gset
SELECT context FROM tasker.tasks WHERE task_id = :t;

-- ---------------------------------------------------------------------------
-- run_at
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('order', namespace => 'create', version => '0.9.0', run_at => '2100-01-01 00:00+00') \gset
SELECT current_state, dependencies_satisfied, ready_for_execution, next_retry_at = '2100-01-01 00:00+00' AS not_before_run_at
FROM tasker.get_step_readiness_status(:t);
SELECT execution_status, recommended_action FROM tasker.get_task_execution_context(:t);
SELECT count(*) FROM tasker.claim_steps('w', 10, task_id => :t);

SELECT task_id AS t FROM tasker.create_task('order', namespace => 'create', version => '0.9.0', run_at => clock_timestamp() + interval '1 hour') \gset
SET tasker_core.clock_offset = 3500;
SELECT count(*) AS early FROM tasker.claim_steps('w', 10, task_id => :t);
SET tasker_core.clock_offset = 3700;
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT step_name FROM tasker.claim_steps('w', 10, task_id => :t);
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Extremes
-- ---------------------------------------------------------------------------

SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'wide', 'namespace', 'create', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on',
		CASE WHEN i = 1 THEN '[]'::jsonb WHEN i = 1000 THEN (SELECT jsonb_agg('s' || j) FROM generate_series(2, 999) j) ELSE '["s1"]' END))
	 FROM generate_series(1, 1000) i)));
SELECT task_id AS t, step_count FROM tasker.create_task('wide', namespace => 'create') \gset
\echo :step_count
SELECT step_no, phase, remaining_parents FROM tasker.step_queue WHERE task_id = :t ORDER BY step_no;

-- priorities beyond smallint are clamped where they order claims, and stored as given
SELECT min(task_id) AS base FROM unnest('{2147483647,-2147483648,32767,0}'::int[]) p,
	tasker.create_task('order', namespace => 'create', version => '0.9.0', priority => p) \gset
SELECT t.priority, l.task_priority, l.priority AS effective
FROM tasker.tasks t JOIN tasker.step_queue q USING (task_id) JOIN tasker.lanes l USING (lane_id)
WHERE t.task_id >= :base ORDER BY t.task_id;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
