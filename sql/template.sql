--
-- Templates: both dialects, every fault, warnings, versions.
--

-- What a template is refused for, a line each; "accepted" where it is not.
CREATE FUNCTION pg_temp.refusal(template jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	faults text;
BEGIN
	PERFORM tasker.register_task_template(template);
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, faults = PG_EXCEPTION_DETAIL;
	RETURN NEXT code || ' ' || message;
	RETURN QUERY SELECT '  ' || line FROM regexp_split_to_table(faults, E'\n') line;
END $$;

-- A template of one step "a", with more keys of the step, and more of the template.
CREATE FUNCTION pg_temp.template(step jsonb, top jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT '{"name": "t", "namespace": "tpl_faults"}' || top || jsonb_build_object('steps', jsonb_build_array('{"name": "a"}' || step));
$$;

-- ---------------------------------------------------------------------------
-- One template in two dialects
-- ---------------------------------------------------------------------------

SELECT namespace, name, version, created, warnings
FROM tasker.register_task_template('{
	"name": "order", "namespace": "tpl_shop", "version": "1.2.0", "description": "fulfils an order",
	"identity_strategy": "strict", "task_handler_class": "Orders::Handler",
	"steps": [
		{"name": "ship", "depends_on": ["pay", "reserve"],
		 "handler": {"callable": "Ship", "initialization": {"carrier": "post", "timeout": 1.50}},
		 "retry": {"retryable": true, "max_attempts": 5, "backoff_base_ms": 2500, "max_backoff_ms": 60000},
		 "timeout_seconds": 30},
		{"name": "pay", "depends_on": ["reserve"], "handler": {"callable": "Pay"}, "retry": {"retryable": false}},
		{"name": "reserve", "handler": {"callable": "Reserve"}}
	]}');

SELECT s.step_no, s.name, s.handler_class, s.handler_config, s.retryable, s.max_attempts, s.backoff,
	s.backoff_base_ms, s.max_backoff_ms, s.jitter, s.timeout_seconds, s.queue, s.priority
FROM tasker.named_steps s JOIN tasker.named_tasks t USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id)
WHERE n.name = 'tpl_shop' ORDER BY step_no;

SELECT e.from_step_no, e.to_step_no
FROM tasker.named_step_edges e JOIN tasker.named_tasks t USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id)
WHERE n.name = 'tpl_shop' ORDER BY 2, 1;

SELECT jsonb_pretty(tasker.get_task_template('order', 'tpl_shop'));

-- the other dialect, keys in another order, 1.5 for 1.50, empty values: the same version
SELECT namespace, name, version, created, warnings
FROM tasker.register_task_template('{
	"step_templates": [
		{"handler_class": "Ship", "handler_config": {"timeout": 1.5, "carrier": "post"},
		 "depends_on_step": "pay", "depends_on_steps": ["reserve"], "publishes_events": [],
		 "default_retryable": true, "default_retry_limit": "5", "retry": {"initial_delay": 2.5, "max_delay": "60"},
		 "timeout_seconds": 30, "name": "ship"},
		{"handler_class": "Pay", "dependencies": ["reserve"], "default_retryable": false, "name": "pay", "handler_config": {}},
		{"handler_class": "Reserve", "depends_on_steps": [], "name": "reserve", "description": null}
	],
	"schema": null, "lifecycle": {}, "task_handler_class": "Orders::Handler", "identity_strategy": "strict",
	"description": "fulfils an order", "version": "1.2.0", "namespace_name": "tpl_shop", "name": "order"}');

-- so is what we give back
SELECT created, warnings FROM tasker.register_task_template(tasker.get_task_template('order', 'tpl_shop'));

-- other content under the same version is not
SELECT pg_temp.refusal(jsonb_set(tasker.get_task_template('order', 'tpl_shop'), '{steps,0,retry,max_attempts}', '6'));
SELECT tasker.register_task_template(jsonb_set(tasker.get_task_template('order', 'tpl_shop'), '{description}', '"other"'));

-- ---------------------------------------------------------------------------
-- What is left out, and what is kept
-- ---------------------------------------------------------------------------

SELECT namespace, name, version, created FROM tasker.register_task_template('{"name": "tpl_least", "steps": [{"name": "only"}]}');

SELECT s.step_no, s.name, s.handler_class, s.handler_config, s.retryable, s.max_attempts, s.backoff,
	s.backoff_base_ms, s.max_backoff_ms, s.jitter, s.timeout_seconds, s.queue, s.priority, t.identity_strategy
FROM tasker.named_steps s JOIN tasker.named_tasks t USING (named_task_id) WHERE t.name = 'tpl_least';

SELECT tasker.get_task_template('tpl_least');

-- descriptive keys come back, and an explicit default stays
SELECT warnings FROM tasker.register_task_template('{
	"name": "described", "namespace": "tpl_shop", "metadata": {"author": "me", "tags": ["x"]}, "on_failure": "continue",
	"task_handler": {"callable": "T"}, "system_dependencies": {"primary": "db", "secondary": []},
	"default_dependent_system": "erp", "named_steps": ["a"], "custom_events": [{"name": "e"}],
	"module_namespace": "M", "handler_config": {"k": null}, "loaded_from": "a.yaml", "composition": 1,
	"domain_events": [{"name": "d"}],
	"steps": [{"name": "a", "type": "standard", "trigger_rule": "all_satisfied", "on_failure": "fail", "dependent_system": "crm",
		"system_dependency": "db", "handler": {"callable": "C", "method": "m", "resolver": "r"}, "priority": -7, "queue": "gpu",
		"retry": {"backoff": "fibonacci", "jitter": 0.5}}]}');
SELECT jsonb_pretty(tasker.get_task_template('described', 'tpl_shop'));
SELECT handler_method, handler_resolver, priority, queue, backoff, jitter
FROM tasker.named_steps JOIN tasker.named_tasks t USING (named_task_id) WHERE t.name = 'described';

-- two templates may each have a step of one name
SELECT created FROM tasker.register_task_template('{"name": "validate_1", "namespace": "tpl_shop", "steps": [{"name": "validate", "timeout_seconds": 1}]}');
SELECT created FROM tasker.register_task_template('{"name": "validate_2", "namespace": "tpl_shop", "steps": [{"name": "validate", "timeout_seconds": 2}]}');
SELECT t.name, s.name, s.timeout_seconds FROM tasker.named_steps s JOIN tasker.named_tasks t USING (named_task_id) WHERE s.name = 'validate' ORDER BY 1;

-- names of steps may hold almost anything
SELECT created FROM tasker.register_task_template('{"name": "a/b c.d", "namespace": "tpl_shop", "steps": [{"name": "x.y-z @/ 1"}, {"name": "e", "depends_on": ["x.y-z @/ 1"]}]}');

-- ---------------------------------------------------------------------------
-- Warnings: accepted, and said
-- ---------------------------------------------------------------------------

SELECT unnest(tasker.validate_task_template('{
	"name": "t", "namespace": "n", "namespace_name": "m", "version": "v1", "colour": "red",
	"environments": {"test": {}}, "settings": {"x": 1}, "default_context": {"x": 1},
	"steps": [
		{"name": "a", "retry": {"max_attempts": 0, "limit": 4, "foo": 1, "a key": 2}, "handler": {"klass": "C"}},
		{"name": "b", "depends_on": ["a", "a"], "depends_on_step": "a", "publishes_events": [{"name": "e"}],
		 "retry": {"backoff_base_ms": 50000}, "retry_backoff": "linear", "skippable": true, "step_type": "standard", "type": "standard"},
		{"name": "c", "retry": {"initial_delay": 3, "max_delay": 2}}
	]}')) AS warning;

-- a default base above the cap is nobody's mistake
SELECT warnings FROM tasker.register_task_template('{"name": "capped", "namespace": "tpl_shop", "steps": [{"name": "a", "retry": {"max_backoff_ms": 500}}]}');
SELECT backoff_base_ms, max_backoff_ms FROM tasker.named_steps JOIN tasker.named_tasks t USING (named_task_id) WHERE t.name = 'capped';

-- ---------------------------------------------------------------------------
-- Faults: each kind, and nothing stored
-- ---------------------------------------------------------------------------

-- the document
SELECT r.* FROM (VALUES
	(1, '[]'::jsonb), (2, '"x"'), (3, 'null'), (4, '{}'), (5, '{"name": "t"}'), (6, '{"name": "t", "steps": null}'),
	(7, '{"name": "t", "steps": []}'), (8, '{"name": "t", "steps": {}}'), (9, '{"name": 1, "steps": [1, {}]}')
) AS v(i, template), pg_temp.refusal(template) WITH ORDINALITY AS r(refusal, line) ORDER BY i, line;

-- names
SELECT r.refusal FROM (VALUES
	(1, '{"name": ""}'::jsonb, '{}'::jsonb), (2, '{"name": " a"}', '{}'), (3, '{"name": "a "}', '{}'), (4, '{"name": "a\nb"}', '{}'),
	(5, jsonb_build_object('name', repeat('x', 129)), '{}'), (6, '{}', '{"name": "a@b"}'), (7, '{}', '{"namespace": "a/b"}'),
	(8, '{}', jsonb_build_object('version', repeat('1', 65))), (9, '{}', '{"version": 1.0}'), (10, '{"queue": ""}', '{}')
) AS v(i, step, top), pg_temp.refusal(pg_temp.template(step, top)) WITH ORDINALITY AS r(refusal, line)
WHERE line > 1 ORDER BY i, line;
SELECT pg_temp.refusal(pg_temp.template(jsonb_build_object('name', repeat('x', 128)), '{"name": "long"}'));

-- types and ranges
SELECT r.refusal FROM (VALUES
	(1, '{"retry": {"max_attempts": 101}}'::jsonb), (2, '{"retry": {"max_attempts": -1}}'), (3, '{"retry": {"max_attempts": 1.5}}'),
	(4, '{"retry": {"max_attempts": "3"}}'), (5, '{"retry": {"limit": "many"}}'), (6, '{"retry": {"limit": "1e3"}}'),
	(7, '{"retry": {"retryable": "yes"}}'), (8, '{"retry": {"backoff": "quadratic"}}'), (9, '{"retry": {"backoff_base_ms": -1}}'),
	(10, '{"retry": {"backoff_base_ms": 99999999999999999999}}'), (11, '{"retry": {"max_backoff_ms": 1e400}}'),
	(12, '{"retry": {"jitter": 1.01}}'), (13, '{"retry": {"initial_delay": -0.5}}'), (14, '{"retry": {"max_delay": "soon"}}'),
	(15, '{"retry": 3}'), (16, '{"default_retry_limit": "101"}'), (17, '{"timeout_seconds": 0}'), (18, '{"timeout_seconds": "30"}'),
	(19, '{"priority": 32768}'), (20, '{"queue": ["a"]}'), (21, '{"handler": "C"}'), (22, '{"handler": {"callable": ""}}'),
	(23, '{"handler": {"initialization": [1]}}'), (24, '{"handler_config": "x"}'), (25, '{"description": {}}'),
	(26, '{"depends_on": "b"}'), (27, '{"depends_on": [1]}'), (28, '{"depends_on_step": ["b"]}')
) AS v(i, step), pg_temp.refusal(pg_temp.template(step)) WITH ORDINALITY AS r(refusal, line)
WHERE line > 1 ORDER BY i, line;

-- what this version does not do is refused, never ignored
SELECT r.refusal FROM (VALUES
	(1, '{"type": "decision"}'::jsonb, '{}'::jsonb), (2, '{"step_type": "batch_worker"}', '{}'), (3, '{"type": "x"}', '{}'),
	(4, '{"trigger_rule": "most"}', '{}'), (6, '{"when": "x"}', '{}'),
	(8, '{"batch_config": {"batch_size": 5}}', '{}'),
	(9, '{"delay_seconds": -5}', '{}'), (10, '{"run_at": "2030-01-01"}', '{}'), (11, '{"concurrency": 1}', '{}'),
	(12, '{"map": {"over": "x"}}', '{}'), (13, '{"workflow": {"version": "1.0.0"}}', '{}'),
	(14, '{"wait_for_signal": {"timeout_seconds": 5}}', '{"rate_limit": 1}'),
	(15, '{"lifecycle": {"max_duration_minutes": 5}}', '{}'), (16, '{}', '{"identity_strategy": "hash"}'),
	(17, '{"rate_limit": 1, "when_unmet": "fail"}', '{}')
) AS v(i, step, top), pg_temp.refusal(pg_temp.template(step, top)) WITH ORDINALITY AS r(refusal, line)
WHERE line > 1 ORDER BY i, line;

-- the graph
SELECT r.refusal FROM (VALUES
	(1, '[{"name": "a"}, {"name": "a"}]'::jsonb),
	(2, '[{"name": "a", "depends_on": ["nobody"]}]'),
	(3, '[{"name": "a", "depends_on": ["a"]}]'),
	(4, '[{"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}]'),
	(5, '[{"name": "root"}, {"name": "a", "depends_on": ["root", "c"]}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}, {"name": "leaf", "depends_on": ["c"]}]')
) AS v(i, steps), pg_temp.refusal(jsonb_build_object('name', 't', 'steps', steps)) WITH ORDINALITY AS r(refusal, line)
WHERE line > 1 ORDER BY i, line;

-- all at once
SELECT tasker.register_task_template('{
	"name": "t@", "namespace": "tpl_faults", "lifecycle": {"max_duration_minutes": 0},
	"step_templates": [
		{"name": "a", "depends_on_steps": ["b", "nobody", "a"], "default_retry_limit": 500},
		{"name": "b", "depends_on_step": "a", "type": "decision", "retry": {"jitter": 2, "backoff": "x"}},
		{"name": "b"}, 7, {"timeout_seconds": -1}]}');
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a", "depends_on": ["a"]}]}');

-- limits
SELECT refusal FROM pg_temp.refusal(jsonb_build_object('name', 't', 'steps', (SELECT jsonb_agg(jsonb_build_object('name', i)) FROM generate_series(1, 100001) i))) refusal;
SELECT refusal FROM pg_temp.refusal(pg_temp.template('{}', jsonb_build_object('metadata', (repeat('[', 100) || repeat(']', 100))::jsonb))) refusal;
SELECT refusal FROM pg_temp.refusal(pg_temp.template('{}', jsonb_build_object('name', 'deep', 'metadata', (repeat('[', 99) || repeat(']', 99))::jsonb))) refusal;

SELECT count(*) AS stored_by_refused_calls FROM tasker.list_task_templates('tpl_faults') WHERE name NOT IN ('long', 'deep');
SELECT count(*) AS stored_by_refused_calls FROM tasker.list_task_templates('default') WHERE name = 't';

-- ---------------------------------------------------------------------------
-- Versions
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.register(version text) RETURNS boolean LANGUAGE sql AS $$
	SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'v', 'namespace', 'tpl_versions',
		'version', version, 'description', 'the ' || version, 'steps', '[{"name": "a"}]'::jsonb));
$$;

SELECT pg_temp.register('0.9.0');
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
SELECT pg_temp.register('0.10.0'), pg_temp.register('0.10.0-rc.1'), pg_temp.register('nightly'), pg_temp.register('0.2.0');
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
SELECT tasker.get_task_template('v', 'tpl_versions', '0.2.0') ->> 'description';
SELECT namespace, name, version, description, step_count, created_at <= clock_timestamp() AS created FROM tasker.list_task_templates('tpl_versions');
SELECT count(*) FROM tasker.list_task_templates('nowhere');
SELECT count(*) > 5 FROM tasker.list_task_templates();

-- a version that rolls back was never there
BEGIN;
SELECT pg_temp.register('1.0.0');
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
ROLLBACK;
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
BEGIN;
SAVEPOINT before;
SELECT pg_temp.register('1.0.0');
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
ROLLBACK TO before;
SELECT tasker.get_task_template('v', 'tpl_versions') ->> 'version';
COMMIT;

SELECT tasker.get_task_template('nobody', 'tpl_versions');
SELECT tasker.get_task_template('v', 'tpl_versions', '7.0.0');
SELECT tasker.get_task_template('v', 'tpl_versions', '');

-- ---------------------------------------------------------------------------
-- Arguments
-- ---------------------------------------------------------------------------

SELECT pg_temp.refusal(NULL);
SELECT tasker.validate_task_template(NULL);
SELECT tasker.get_task_template(NULL);
SELECT tasker.get_task_template('tpl_least', NULL, NULL) ->> 'namespace' AS namespace;

-- ---------------------------------------------------------------------------
-- Size: linear, and steps numbered so that every edge goes up
-- ---------------------------------------------------------------------------

SELECT created, cardinality(warnings) AS warnings
FROM tasker.register_task_template(jsonb_build_object('name', 'layers', 'namespace', 'tpl_shop', 'steps', (
	SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on',
		(SELECT coalesce(jsonb_agg('s' || p), '[]') FROM generate_series((i / 10 - 1) * 10, (i / 10) * 10 - 1) p WHERE p >= 0)) ORDER BY i DESC)
	FROM generate_series(0, 1999) i)));
SELECT count(*) AS edges, bool_and(from_step_no < to_step_no) AS ascending
FROM tasker.named_step_edges JOIN tasker.named_tasks t USING (named_task_id) WHERE t.name = 'layers';
SELECT count(*) AS edges_between_neighbouring_layers
FROM tasker.named_step_edges e JOIN tasker.named_tasks t USING (named_task_id)
	JOIN tasker.named_steps f ON f.named_task_id = e.named_task_id AND f.step_no = e.from_step_no
	JOIN tasker.named_steps c ON c.named_task_id = e.named_task_id AND c.step_no = e.to_step_no
WHERE t.name = 'layers' AND substr(f.name, 2)::int / 10 = substr(c.name, 2)::int / 10 - 1;
