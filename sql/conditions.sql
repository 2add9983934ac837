--
-- Conditions (when), and time (delay_seconds): steps that start, or do not, by themselves.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.refusal(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
	RETURN NEXT SQLSTATE || ' ' || message;
	RETURN QUERY SELECT '   ' || d FROM string_to_table(detail, E'\n') d;
END $$;

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = task $$;

CREATE FUNCTION pg_temp.complete(task bigint, result jsonb DEFAULT '1') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT c.step_name || ': ' || r.status || ', task ' || r.task_state || ', ' || r.steps_ready || ' ready'
	FROM tasker.claim_steps('w', 1, task_id => task) c, tasker.complete_step(c.workflow_step_id, c.claim_token, result) r $$;

-- every comparison: does it hold for this value of context.v (or for none at all)?
CREATE FUNCTION pg_temp.holds(condition jsonb, context jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	task bigint := (SELECT task_id FROM tasker.create_task_from_definition(jsonb_build_object('name', 'c', 'namespace', 'conditions', 'steps', jsonb_build_array(
		jsonb_build_object('name', 'a', 'when', condition)))  , context));
	state text := (SELECT s.state FROM tasker.workflow_steps s WHERE s.task_id = task);
BEGIN
	IF EXISTS (SELECT FROM tasker.verify_task(task)) THEN
		RAISE EXCEPTION '% %', condition, (SELECT string_agg(violation, '; ') FROM tasker.verify_task(task));
	END IF;
	RETURN CASE state WHEN 'pending' THEN 'y' WHEN 'skipped' THEN '.' ELSE state END;
END $$;

SELECT op, value, string_agg(pg_temp.holds(jsonb_build_object('path', 'context.v', 'op', op) || CASE WHEN value IS NULL THEN '{}' ELSE jsonb_build_object('value', value::jsonb) END, context::jsonb), ' ' ORDER BY c)
	AS "none null true 1 1.0 2 a b [1] {x}"
FROM (VALUES (1, '=', '1'), (2, '=', 'null'), (3, '=', '"a"'), (4, '=', '[1]'), (5, '=', '{"x": 1}'), (6, '!=', '1'), (7, '<', '2'), (8, '<=', '1'), (9, '>', '1'), (10, '>=', '1.0'),
	(11, '<', '"b"'), (12, '>=', '"b"'), (13, 'in', '[1, "a", null, {"x": 1}]'), (14, 'not_in', '[1, "a"]'), (15, 'in', '[]'), (16, 'contains', '[1]'), (17, 'contains', '{"x": 1}'),
	(18, 'contains', '1'), (19, 'exists', NULL), (20, 'missing', NULL)) o(o, op, value),
	unnest(ARRAY['{}', '{"v": null}', '{"v": true}', '{"v": 1}', '{"v": 1.0}', '{"v": 2}', '{"v": "a"}', '{"v": "b"}', '{"v": [1]}', '{"v": {"x": 1, "y": 2}}']) WITH ORDINALITY v(context, c)
GROUP BY o, op, value ORDER BY o;

-- paths, and how conditions combine
SELECT condition, pg_temp.holds(condition::jsonb, '{"a": {"b": [10, {"c": "x"}]}, "my.key": 7, "0": "zero", "n": 5}')
FROM unnest(ARRAY[
	'{"path": "context.a.b.0", "op": "=", "value": 10}', '{"path": "context.a.b.1.c", "op": "=", "value": "x"}', '{"path": "context.a.b.2", "op": "missing"}',
	'{"path": "context.a.b.01", "op": "missing"}', '{"path": "context.a.b.-1", "op": "missing"}', '{"path": "context.0", "op": "=", "value": "zero"}', '{"path": ["context", "my.key"], "op": ">", "value": 6}', '{"path": "context.my.key", "op": "exists"}',
	'{"path": "context", "op": "contains", "value": {"n": 5}}', '{"path": "context.n.x", "op": "exists"}',
	'{"all": [{"path": "context.n", "op": ">", "value": 4}, {"path": "context.n", "op": "<", "value": 6}]}', '{"all": [{"path": "context.n", "op": ">", "value": 4}, {"path": "context.n", "op": "<", "value": 5}]}',
	'{"any": [{"path": "context.n", "op": "=", "value": 4}, {"not": {"path": "context.n", "op": "=", "value": 4}}]}', '{"any": [{"path": "context.n", "op": "=", "value": 4}, {"path": "context.m", "op": "=", "value": 5}]}',
	'{"not": {"all": [{"path": "context.n", "op": "=", "value": 5}]}}']) WITH ORDINALITY v(condition, n) ORDER BY n;

-- what is no condition is no template
SELECT r.line FROM unnest(ARRAY['[]', '{}', '{"path": "context.x"}', '{"op": "=", "value": 1}', '{"path": "context.x", "op": "==", "value": 1}', '{"path": "context.x", "op": "="}', '{"path": "x.y", "op": "exists"}',
	'{"path": "results.a", "op": "exists"}', '{"path": "results", "op": "exists"}', '{"path": [], "op": "exists"}', '{"path": ["context", 1], "op": "exists"}', '{"path": "context..x", "op": "exists"}', '{"path": 1, "op": "exists"}',
	'{"path": "context.x", "op": "exists", "value": 1}', '{"path": "context.x", "op": "in", "value": 1}', '{"path": "context.x", "op": "<", "value": true}', '{"all": []}', '{"any": {}}', '{"all": [1]}', '{"not": []}',
	'{"all": [{"path": "context.x", "op": "exists"}], "any": [{"path": "context.x", "op": "exists"}]}', '{"path": "context.x", "op": "exists", "default": 1}', '{"all": [{"path": "context.x", "op": "exists"}], "op": "="}']) WITH ORDINALITY v(condition, n),
	pg_temp.refusal(format('tasker.validate_task_template(%L)', jsonb_build_object('name', 't', 'steps', jsonb_build_array(jsonb_build_object('name', 's', 'when', condition::jsonb))))) WITH ORDINALITY r(line, m)
WHERE m > 1 ORDER BY n, m;
SELECT line FROM pg_temp.refusal(format('tasker.validate_task_template(%L)', jsonb_build_object('name', 't', 'steps', jsonb_build_array(jsonb_build_object('name', 's', 'when',
	(SELECT (repeat('{"not": ', 51) || '{"path": "context.x", "op": "exists"}' || repeat('}', 51))::jsonb)))))) line;
SELECT line FROM pg_temp.refusal($$tasker.validate_task_template('{"name": "t", "on_failure": "fail_fast", "steps": [{"name": "a", "when_unmet": "skip"}, {"name": "b", "when": {"path": "context.x", "op": "exists"}, "when_unmet": "fail"},
	{"name": "c", "delay_seconds": -1}, {"name": "d", "delay_seconds": 31536001}, {"name": "e", "when_unmet": "wait"}, {"name": "f", "delay_seconds": "5"}]}')$$) line;

-- on results of parents, below a step that ran, one that was skipped and one that a person resolved
SELECT created, warnings FROM tasker.register_task_template('{"name": "scored", "namespace": "conditions", "steps": [
	{"name": "score"}, {"name": "extra"},
	{"name": "review", "depends_on": ["score"], "when": {"all": [{"path": "context.amount", "op": ">=", "value": 1000}, {"path": "results.score.risk", "op": "!=", "value": "low"}]}},
	{"name": "note", "depends_on": ["review"]},
	{"name": "join", "depends_on": ["score", "extra"], "when": {"path": "results.extra", "op": "=", "value": true}},
	{"name": "end", "type": "deferred_convergence", "depends_on": ["note", "join"], "when": {"any": [{"path": "results.note", "op": "exists"}, {"path": "results.join.n", "op": ">", "value": 1}]}}]}');
SELECT task_id AS t FROM tasker.create_task('scored', '{"amount": 1000}', 'conditions') \gset
SELECT pg_temp.complete(:t, '{"risk": "high"}');
SELECT pg_temp.states(:t);
SELECT task_state, steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 2, 'true');
SELECT pg_temp.complete(:t, '{"n": 1}'), pg_temp.states(:t);
SELECT pg_temp.complete(:t, '{"n": 1}'), pg_temp.states(:t);
SELECT pg_temp.complete(:t, '{"n": 1}'), pg_temp.states(:t);
SELECT pg_temp.complete(:t, '{"n": 1}'), pg_temp.states(:t);
SELECT count(*) AS violations FROM tasker.verify_task(:t);

-- unmet: one step skipped, and all that depends on it; where nothing is left, the task ends
SELECT task_id AS t FROM tasker.create_task('scored', '{"amount": 999}', 'conditions') \gset
SELECT pg_temp.complete(:t, '{"risk": "high"}');
SELECT pg_temp.states(:t);
SELECT pg_temp.complete(:t, 'false');
SELECT pg_temp.states(:t), (SELECT state FROM tasker.tasks WHERE task_id = :t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;
SELECT name, from_state, to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t AND name <> 'score' ORDER BY workflow_step_id, transition_no;
SELECT reason, regexp_replace(detail, '\d{4}-\S+', 'T') AS detail FROM tasker.explain_step(:t * 1000000::bigint + 3);
SELECT reason, regexp_replace(detail, '\d{4}-\S+', 'T') AS detail FROM tasker.explain_step(:t * 1000000::bigint + 4);

-- unmet, and that is a failure: without an attempt, and reset starts it anew
SELECT created FROM tasker.register_task_template('{"name": "strict", "namespace": "conditions", "steps": [
	{"name": "count"}, {"name": "check", "depends_on": ["count"], "when_unmet": "fail", "when": {"path": "results.count", "op": ">", "value": 0}},
	{"name": "cleanup", "trigger_rule": "all_done", "depends_on": ["check"]}, {"name": "use", "depends_on": ["check"]}]}');
SELECT task_id AS t FROM tasker.create_task('strict', namespace => 'conditions') \gset
SELECT pg_temp.complete(:t, '0');
SELECT pg_temp.states(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT pg_temp.complete(:t);
SELECT pg_temp.states(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT execution_status, health_status, failed_steps FROM tasker.get_task_execution_context(:t);
SELECT reason, snapshot -> 'error' AS error, snapshot ->> 'step_name' AS step FROM tasker.dead_letters WHERE task_id = :t;
SELECT reason, regexp_replace(detail, '\d{4}-[-0-9T:.+]+', 'T', 'g') AS detail FROM tasker.explain_step(:t * 1000000::bigint + 2);
SELECT s ->> 'name' AS name, s -> 'error' AS error, s -> 'attempts' AS attempts FROM jsonb_array_elements(tasker.get_task(:t) -> 'steps') s WHERE s ->> 'state' = 'error';
SELECT last_error, attempts, started_at IS NOT NULL AS started, finished_at IS NOT NULL AS finished FROM tasker.workflow_steps WHERE task_id = :t AND name = 'check';
SELECT name FROM tasker.read_events(NULL, 10000, '*') WHERE task_id = :t;
SELECT tasker.retry_task(:t);
SELECT pg_temp.states(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT task_state, steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 2, '"as it is"');
SELECT pg_temp.complete(:t), pg_temp.states(:t);
SELECT count(*) AS violations FROM tasker.verify_task(:t);

-- roots: what does not run is known when the task is created, and may be all of it
SELECT task_id AS t, state AS task_state FROM tasker.create_task_from_definition('{"name": "roots", "namespace": "conditions", "steps": [{"name": "a", "when": {"path": "context.go", "op": "=", "value": true}},
	{"name": "b", "depends_on": ["a"]}, {"name": "c", "when": {"path": "context.go", "op": "missing"}}]}') \gset
SELECT :'task_state' AS created_as, pg_temp.states(:t);
SELECT pg_temp.complete(:t), pg_temp.states(:t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;
SELECT task_id AS t, state AS task_state FROM tasker.create_task_from_definition('{"name": "none", "namespace": "conditions", "steps": [{"name": "a", "when": {"path": "context.go", "op": "=", "value": true}},
	{"name": "b", "depends_on": ["a"]}]}') \gset
SELECT :'task_state' AS created_as, pg_temp.states(:t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT c.state AS created_as FROM tasker.create_task_from_definition('{"name": "strict roots", "namespace": "conditions", "steps": [{"name": "a", "when_unmet": "fail", "when": {"path": "context.go", "op": "=", "value": true}},
	{"name": "b", "depends_on": ["a"]}]}') c;

-- a million-fold fan-out in small: many conditional children of one step, in one call
SELECT created FROM tasker.register_task_template((SELECT jsonb_build_object('name', 'wide', 'namespace', 'conditions', 'steps', '[{"name": "root"}]'::jsonb || jsonb_agg(jsonb_build_object('name', 'c' || i,
	'depends_on', '["root"]'::jsonb, 'when', jsonb_build_object('path', 'results.root.n', 'op', '>', 'value', i))) || '[{"name": "end", "type": "deferred_convergence", "depends_on": ["c1", "c500", "c1000"]}]') FROM generate_series(1, 1000) i));
SELECT task_id AS t FROM tasker.create_task('wide', namespace => 'conditions') \gset
SELECT pg_temp.complete(:t, '{"n": 401}');
SELECT state, count(*) FROM tasker.workflow_steps WHERE task_id = :t GROUP BY 1 ORDER BY 1;
SELECT tasker.cancel_task(:t);

-- delays: from when a step could run; not again for retries; from run_at for roots
SET tasker_core.clock_offset = 0;
SELECT created FROM tasker.register_task_template('{"name": "late", "namespace": "conditions_late", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"], "delay_seconds": 100, "retry": {"backoff": "none"}},
	{"name": "c", "depends_on": ["a", "b"], "delay_seconds": 50.5}, {"name": "root", "delay_seconds": 25}, {"name": "conditional", "depends_on": ["a"], "delay_seconds": 30, "when": {"path": "context.x", "op": "missing"}}]}');
SELECT task_id AS t FROM tasker.create_task('late', namespace => 'conditions_late') \gset
SELECT pg_temp.complete(:t), pg_temp.complete(:t);
-- seconds since the task was made (root), or since a ended
SELECT r.name, ready_for_execution, dependencies_satisfied, round(extract(epoch FROM next_retry_at - CASE r.name WHEN 'root' THEN k.created_at ELSE a.finished_at END), 3) AS seconds
FROM tasker.get_step_readiness_status(:t) r JOIN tasker.tasks k USING (task_id) JOIN tasker.workflow_steps a ON a.task_id = :t AND a.name = 'a' ORDER BY r.workflow_step_id;
SELECT reason FROM tasker.explain_step(:t * 1000000::bigint + 2);
SELECT execution_status, pending_steps, ready_steps FROM tasker.get_task_execution_context(:t);
SET tasker_core.clock_offset = 40;
SELECT step_name FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') ORDER BY 1;
SET tasker_core.clock_offset = 120;
SELECT step_name, step_state FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"again"');
SELECT pg_temp.complete(:t);
SELECT pg_temp.complete(:t);
SET tasker_core.clock_offset = 180;
SELECT pg_temp.complete(:t);
SELECT * FROM tasker.verify_task(:t);
SET tasker_core.clock_offset = 0;
SELECT task_id AS t FROM tasker.create_task('late', namespace => 'conditions_late', run_at => clock_timestamp() + interval '1000 s') \gset
SELECT step_no, round(extract(epoch FROM visible_at - run_at), 3) AS seconds_after_run_at FROM tasker.step_queue JOIN tasker.tasks USING (task_id) WHERE task_id = :t AND phase = 'r' ORDER BY step_no;
RESET tasker_core.clock_offset;
