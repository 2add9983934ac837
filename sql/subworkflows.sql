--
-- Sub-workflows: steps that run as tasks of their own.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.refusal(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	RETURN QUERY SELECT SQLSTATE || ' ' || d FROM string_to_table(coalesce(nullif(detail, ''), SQLERRM), E'\n') d;
END $$;

-- The newest task that ran for a step (by name; without one, for any of them).
CREATE FUNCTION pg_temp.child(task bigint, step text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
	SELECT max(c.task_id) FROM tasker.tasks c WHERE c.parent_step_id BETWEEN task * 1000000 AND task * 1000000 + 999999 AND (step IS NULL OR c.parent_step_id % 1000000 = (
		SELECT s.step_no FROM tasker.named_steps s JOIN tasker.tasks t USING (named_task_id) WHERE t.task_id = task AND s.name = step)) $$;
-- A family of tasks, as it is seen from its first: names instead of ids.
CREATE FUNCTION pg_temp.family(task bigint, depth int DEFAULT 0) RETURNS TABLE (family text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT repeat('  ', depth) || (SELECT k.name || ' ' || t.state FROM tasker.tasks t JOIN tasker.named_tasks k USING (named_task_id) WHERE t.task_id = task)
		|| ': ' || (SELECT string_agg(s.name || ' ' || s.state, ', ' ORDER BY s.step_no) FROM tasker.workflow_steps s WHERE s.task_id = task)
		|| coalesce(' !' || (SELECT string_agg(v.violation, '; ') FROM tasker.verify_task(task) v), '');
	RETURN QUERY SELECT f.family FROM (SELECT c.task_id, c.parent_step_id FROM tasker.tasks c WHERE c.parent_step_id BETWEEN task * 1000000 AND task * 1000000 + 999999 ORDER BY c.parent_step_id, c.task_id) c,
		pg_temp.family(c.task_id, depth + 1) f;
END $$;
CREATE FUNCTION pg_temp.run(task bigint, result jsonb DEFAULT '1', times int DEFAULT 1) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. times LOOP
		RETURN QUERY SELECT c.step_name || ' of ' || c.task_context || ': ' || r.task_state || ', ' || r.steps_ready || ' ready'
			FROM tasker.claim_steps('w', 1, task_id => task, lease_seconds => 600) c, tasker.complete_step(c.workflow_step_id, c.claim_token, result) r;
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.fail(task bigint) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT c.step_name || ': ' || r.step_state || ', task ' || r.task_state FROM tasker.claim_steps('w', 1, task_id => task, lease_seconds => 600) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"', false) r $$;
CREATE FUNCTION pg_temp.why(task bigint, step int) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT reason || ': ' || regexp_replace(regexp_replace(detail, '\d{4}-\d\d-\d\dT[-0-9T:.+]+', 'T', 'g'), 'task \d+', 'task N', 'g') FROM tasker.explain_step(task * 1000000::bigint + step) $$;
CREATE FUNCTION pg_temp.message(task bigint, step int) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(tasker.get_task(task) #>> ARRAY['steps', (step - 1)::text, 'error', 'message'], 'task \d+', 'task N') $$;
CREATE FUNCTION pg_temp.make(name text, context jsonb DEFAULT '{}') RETURNS bigint LANGUAGE sql AS $$ SELECT task_id FROM tasker.create_task(name, context, 'subflows') $$;
CREATE FUNCTION pg_temp.register(name text, steps jsonb, more jsonb DEFAULT '{}') RETURNS boolean LANGUAGE sql AS $$
	SELECT created FROM tasker.register_task_template(jsonb_build_object('name', name, 'namespace', 'subflows', 'steps', steps) || more) $$;

-- what is refused
SELECT pg_temp.refusal('tasker.validate_task_template(' || quote_literal(jsonb_build_object('name', 't', 'steps', jsonb_build_array(jsonb_build_object('name', 'a'),
	jsonb_build_object('name', 'b', 'depends_on', '["a"]'::jsonb) || x))) || ')') FROM (VALUES (1, '{"workflow": "ship"}'::jsonb), (2, '{"workflow": {}}'), (3, '{"workflow": {"name": ""}}'),
	(4, '{"workflow": {"name": "s", "namespace": 1, "version": "", "input": {}}}'), (5, '{"workflow": {"name": "s", "context": []}}'), (6, '{"workflow": {"name": "s", "context": {"a": [{"path": "results.c"}]}}}'),
	(7, '{"workflow": {"name": "s", "context": {"path": "a"}}}'), (8, '{"workflow": {"name": "s"}, "handler": {"callable": "H"}, "retry": {"max_attempts": 2}, "timeout_seconds": 5, "queue": "q", "wait_for_signal": {"name": "x"}}'),
	(9, '{"workflow": {"name": "s"}, "type": "decision"}'), (10, '{"workflow": {"name": "s", "context": {"a": {"path": "results.a", "more": 1}}}, "result_schema": {"type": "object"}, "when": {"path": "context.x", "op": "exists"}, "delay_seconds": 5, "run_at": "context.t"}')) v(n, x) ORDER BY n;

-- a task and what runs for it
SELECT pg_temp.register('ship', '[{"name": "pick"}, {"name": "pack", "depends_on": ["pick"]}, {"name": "label", "depends_on": ["pick"]}]', '{"input_schema": {"required": ["order"]}}');
SELECT pg_temp.register('order', '[{"name": "pay"}, {"name": "ship", "depends_on": ["pay"], "priority": 2, "workflow": {"name": "ship", "context": {"order": {"path": "context.id"}, "paid": {"path": "results.pay.sum"}, "none": {"path": "context.no"}, "list": [true, {"path": "context.no"}, {"a": {"path": "results.pay"}}]}}},
	{"name": "mail", "depends_on": ["ship"]}]');
SELECT tasker.get_task_template('order', 'subflows') #> '{steps,1,workflow}' AS workflow;
SELECT task_id AS t FROM tasker.create_task('order', '{"id": 5}', 'subflows', priority => 7, initiator => 'shop', correlation_id => '00000000-0000-0000-0000-000000000005') \gset
SELECT pg_temp.why(:t, 2);
SELECT pg_temp.run(:t, '{"sum": 3}');
SELECT pg_temp.child(:t) AS c \gset
SELECT priority, initiator, parent_correlation_id, correlation_id <> parent_correlation_id AS own, nesting, parent_step_id = :t * 1000000::bigint + 2 AS of_step, created_by = session_user AS by_me FROM tasker.tasks WHERE task_id = :c;
SELECT (tasker.get_task(:c) #>> '{task,parent_step_id}')::bigint = :t * 1000000::bigint + 2 AS upwards, (tasker.get_task(:t) #>> '{steps,1,child_task_id}')::bigint = :c AS downwards;
SELECT pg_temp.why(:t, 2); SELECT pg_temp.why(:t, 3);
SELECT name, current_state, ready_for_execution FROM tasker.get_step_readiness_status(:t) ORDER BY workflow_step_id;
SELECT execution_status, in_progress_steps, ready_steps FROM tasker.get_task_execution_context(:t);
SELECT count(*) AS claimable FROM tasker.claim_steps('w', 1, task_id => :t);
SELECT pg_temp.family(:t);
SELECT pg_temp.run(:c, '"done"', 3);
SELECT pg_temp.family(:t);
SELECT results = jsonb_build_object('task_id', :c, 'results', '{"pack": "done", "label": "done"}'::jsonb) AS results FROM tasker.workflow_steps WHERE task_id = :t AND name = 'ship';
SELECT pg_temp.run(:t);
SELECT from_state, to_state FROM tasker.workflow_step_transitions WHERE task_id = :t AND workflow_step_id = :t * 1000000::bigint + 2 ORDER BY transition_no;

-- it fails: so does the step; retrying the parent retries it
SELECT pg_temp.make('order', '{"id": 6}') AS t \gset
SELECT pg_temp.run(:t), pg_temp.fail(pg_temp.child(:t));
SELECT pg_temp.family(:t);
SELECT pg_temp.message(:t, 2);
SELECT tasker.retry_task(:t, 'again');
SELECT pg_temp.family(:t);
SELECT count(*) AS children FROM tasker.tasks WHERE parent_step_id = :t * 1000000::bigint + 2;
SELECT pg_temp.run(pg_temp.child(:t), '2', 3);
SELECT pg_temp.family(:t);
-- retrying it lets the parent go on; so does whoever resolves it
SELECT pg_temp.make('order', '{"id": 6}') AS t \gset
SELECT pg_temp.run(:t), pg_temp.fail(pg_temp.child(:t));
SELECT tasker.retry_task(pg_temp.child(:t));
SELECT pg_temp.family(:t);
SELECT pg_temp.fail(pg_temp.child(:t));
SELECT tasker.transition_task(pg_temp.child(:t), 'resolved_manually');
SELECT pg_temp.family(:t);
SELECT tasker.reset_step(:t * 1000000::bigint + 2) IS NOT NULL AS reset;
SELECT pg_temp.family(:t);

-- what was passed over stays so: its task is tried again for nobody
SELECT pg_temp.register('past', '[{"name": "run", "workflow": {"name": "ship"}, "on_failure": "skip"}, {"name": "go on"}]');
SELECT pg_temp.make('past', '{"order": 1}') AS t \gset
SELECT pg_temp.fail(pg_temp.child(:t));
SELECT tasker.retry_task(pg_temp.child(:t));
SELECT pg_temp.family(:t);
SELECT pg_temp.run(pg_temp.child(:t), '2', 3);
SELECT pg_temp.run(:t);
SELECT pg_temp.family(:t);

-- it is cancelled: so is the step, and what depends on it
SELECT pg_temp.make('order', '{"id": 7}') AS t \gset
SELECT pg_temp.run(:t), tasker.cancel_task(pg_temp.child(:t), 'no stock');
SELECT pg_temp.family(:t);
SELECT pg_temp.why(:t, 2);

-- what people do to the parent and its step
CREATE TEMP TABLE moves (n int, verb text, task bigint);
INSERT INTO moves SELECT n, verb, pg_temp.make('order', '{"id": 8}') FROM (VALUES (1, 'tasker.cancel_task(%s, ''off'')'), (2, 'tasker.transition_task(%s, ''resolved_manually'')'), (3, 'tasker.skip_step(%s * 1000000::bigint + 2)'),
	(4, 'tasker.resolve_step(%s * 1000000::bigint + 2, ''7'')'), (5, 'tasker.reset_step(%s * 1000000::bigint + 2)'), (6, 'tasker.transition_step(%s * 1000000::bigint + 2, ''cancelled'')')) v(n, verb);
SELECT count(*) FROM moves, pg_temp.run(task);
DO $$ DECLARE m record; BEGIN FOR m IN SELECT * FROM moves ORDER BY n LOOP EXECUTE 'SELECT ' || format(m.verb, m.task); END LOOP; END $$;
SELECT n, pg_temp.family(task) FROM moves ORDER BY n;
SELECT pg_temp.run(pg_temp.child(task), '5', 3) FROM moves WHERE n = 5;
SELECT pg_temp.family(task) FROM moves WHERE n = 5;

-- tasks that cannot be created
SELECT pg_temp.register('typed', '[{"name": "a", "workflow": {"name": "ship", "context": {}}, "on_failure": "continue"}, {"name": "b", "workflow": {"name": "no such"}, "on_failure": "continue"}, {"name": "c", "workflow": {"name": "ship", "version": "9.0.0"}, "on_failure": "continue"},
	{"name": "d", "workflow": {"name": "ship", "context": {"path": "context.text"}}, "on_failure": "continue"}, {"name": "e", "workflow": {"name": "ship", "namespace": "elsewhere"}, "on_failure": "continue"}, {"name": "f", "depends_on": ["a", "b", "c", "d", "e"]}]');
SELECT pg_temp.make('typed', '{"text": "x", "order": 1}') AS t \gset
SELECT pg_temp.family(:t);
SELECT pg_temp.message(:t, n) FROM generate_series(1, 5) n;
-- and results that do not fit
SELECT pg_temp.register('small', '[{"name": "only"}]', '{"identity_strategy": "caller_provided"}');
SELECT pg_temp.register('fits', '[{"name": "run", "workflow": {"name": "small"}, "result_schema": {"properties": {"results": {"properties": {"only": {"type": "number"}}}}}}]');
SELECT pg_temp.make('fits') AS t, pg_temp.make('fits') AS u \gset
SELECT pg_temp.run(pg_temp.child(:t), '1'), pg_temp.run(pg_temp.child(:u), '"text"');
SELECT pg_temp.family(:t); SELECT pg_temp.family(:u);
SELECT pg_temp.message(:u, 1);

-- what a call answers is how its task stands then: one that failed with its sub-workflow, or was done with it
SELECT pg_temp.register('broken', '[{"name": "first"}, {"name": "never", "depends_on": ["first"], "workflow": {"name": "no such"}}]');
SELECT pg_temp.register('at once', '[{"name": "never", "workflow": {"name": "no such"}}]');
SELECT pg_temp.run(pg_temp.make('broken'));
SELECT task_id AS t, state FROM tasker.create_task('at once', '{}', 'subflows') \gset
SELECT :'state' AS created, (SELECT task_state FROM tasker.reset_step(:t * 1000000::bigint + 1)) AS reset;
SELECT pg_temp.family(:t);
SELECT pg_temp.register('whole', '[{"name": "run", "workflow": {"name": "small"}}]');
SELECT pg_temp.make('whole') AS t \gset
SELECT pg_temp.fail(pg_temp.child(:t));
SELECT tasker.transition_task(pg_temp.child(:t), 'resolved_manually');
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);

-- when, run_at and delay_seconds are the step's own; a join of two; branches that are not taken start nothing
SELECT pg_temp.register('both', '[{"name": "x", "workflow": {"name": "small"}}, {"name": "y", "workflow": {"name": "small"}}, {"name": "z", "workflow": {"name": "small"}, "when": {"path": "context.z", "op": "exists"}},
	{"name": "late", "workflow": {"name": "small"}, "run_at": "context.at", "delay_seconds": 60}, {"name": "never", "workflow": {"name": "small"}, "run_at": "context.no", "on_failure": "skip"}, {"name": "end", "depends_on": ["x", "y"]}]');
SELECT pg_temp.make('both', '{"at": "2090-01-01T00:00"}') AS t \gset
SELECT pg_temp.family(:t);
SELECT run_at = '2090-01-01 00:00+00' AS at_that_time FROM tasker.tasks WHERE task_id = pg_temp.child(:t, 'late');
SELECT count(*) FROM (SELECT array_agg(c.workflow_step_id) AS ids, array_agg(c.claim_token) AS tokens FROM (VALUES ('x'), ('y')) s(name), tasker.claim_steps('w', 1, task_id => pg_temp.child(:t, s.name)) c) b,
	tasker.complete_steps(b.ids, b.tokens, ARRAY['1', '2']::jsonb[]) r WHERE r.task_state = 'complete';
SELECT pg_temp.family(:t);
SELECT tasker.cancel_task(:t);
SELECT pg_temp.family(:t);

-- a task that is scheduled is pending until its time, and so is all that runs for it, down to the last; the first claim begins them all
SELECT pg_temp.register('two', '[{"name": "first", "workflow": {"name": "small"}}, {"name": "second", "workflow": {"name": "small"}, "depends_on": ["first"]}]');
SELECT pg_temp.register('three', '[{"name": "all", "workflow": {"name": "two"}}]');
SELECT date_trunc('second', clock_timestamp()) + interval '1 hour' AS at \gset
SELECT task_id AS t, state FROM tasker.create_task('three', namespace => 'subflows', run_at => :'at') \gset
SELECT :'state' AS state;
SELECT pg_temp.child(pg_temp.child(:t)) AS c \gset
SELECT pg_temp.family(:t);
SELECT execution_status, recommended_action, in_progress_steps FROM tasker.get_task_execution_contexts_batch(ARRAY[:t, pg_temp.child(:t), :c]) ORDER BY task_id;
SELECT pg_temp.why(:t, 1);
SELECT count(*) FILTER (WHERE run_at = :'at') AS at_that_time, count(started_at) AS started, (SELECT count(*) FROM tasker.claim_steps('w', 1, task_id => :c)) AS early FROM tasker.tasks WHERE task_id IN (:t, pg_temp.child(:t), :c);
SET tasker_core.clock_offset = 3700;
SELECT execution_status, recommended_action FROM tasker.get_task_execution_contexts_batch(ARRAY[:t, pg_temp.child(:t), :c]) ORDER BY task_id;
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, task_id => :c) \gset
SELECT pg_temp.family(:t);
SELECT count(DISTINCT t.started_at) AS moments, count(*) AS tasks, min(x.from_state || ' to ' || x.to_state) AS move FROM tasker.tasks t JOIN tasker.task_transitions x USING (task_id) WHERE task_id IN (:t, pg_temp.child(:t), :c);
SELECT task_state FROM tasker.complete_step(:step, :token, '1');
SELECT pg_temp.family(:t);
SELECT pg_temp.run(pg_temp.child(pg_temp.child(:t), 'second'));
SELECT pg_temp.family(:t);
RESET tasker_core.clock_offset;
-- two at the root, whose tasks are claimed together
SELECT pg_temp.register('twin', '[{"name": "only"}]'), pg_temp.register('twins', '[{"name": "x", "workflow": {"name": "twin"}}, {"name": "y", "workflow": {"name": "twin"}}]');
SELECT task_id AS t FROM tasker.create_task('twins', namespace => 'subflows', run_at => :'at') \gset
SET tasker_core.clock_offset = 3700;
SELECT count(*) AS claimed FROM tasker.claim_steps('w', 10, task_names => '{subflows/twin}', lease_seconds => 600);
RESET tasker_core.clock_offset;
SELECT pg_temp.family(:t);
SELECT count(*) AS moves, (SELECT count(*) FROM tasker.errands WHERE task_id = :t) AS errands FROM tasker.task_transitions WHERE task_id = :t;
SELECT tasker.cancel_task(:t);
-- before that time: by hand from below it begins, by hand from above it ends; a step that is delayed is no reason to begin
SELECT task_id AS t FROM tasker.create_task('three', namespace => 'subflows', run_at => :'at') \gset
SELECT task_state FROM tasker.resolve_step(pg_temp.child(:t) * 1000000 + 1, '7');
SELECT pg_temp.family(:t);
SELECT task_id AS t FROM tasker.create_task('three', namespace => 'subflows', run_at => :'at') \gset
SELECT tasker.cancel_task(:t);
SELECT pg_temp.family(:t);
SELECT task_id AS t FROM tasker.create_task('three', namespace => 'subflows', run_at => :'at') \gset
SELECT tasker.transition_task(pg_temp.child(pg_temp.child(:t)), 'resolved_manually');
SELECT pg_temp.family(:t);
SELECT pg_temp.register('delayed', '[{"name": "soon", "workflow": {"name": "small"}, "delay_seconds": 600}, {"name": "then", "depends_on": ["soon"]}]');
SELECT pg_temp.make('delayed') AS t \gset
SELECT pg_temp.family(:t);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SET tasker_core.clock_offset = 700;
SELECT pg_temp.run(pg_temp.child(:t));
RESET tasker_core.clock_offset;
SELECT pg_temp.family(:t);

-- all that ran for a task, the newest first; read by index, however few tasks there are
CREATE FUNCTION pg_temp.listed(filters jsonb, most int DEFAULT 100) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT task_name || ' ' || state || ' for step ' || parent_step_id % 1000000 FROM tasker.list_tasks(filters, most) $$;
SELECT pg_temp.make('order', '{"id": 9}') AS t \gset
SELECT pg_temp.run(:t);
SELECT tasker.reset_step(:t * 1000000::bigint + 2) IS NOT NULL AS reset;
SELECT pg_temp.listed(jsonb_build_object('parent_task_id', :t));
SELECT pg_temp.listed(jsonb_build_object('parent_task_id', :'t', 'state', 'pending', 'name', 'ship'));
SELECT pg_temp.listed(jsonb_build_object('parent_task_id', :t), 1);
SELECT count(*) FROM pg_temp.child(:t) c, tasker.list_tasks(jsonb_build_object('parent_task_id', :t), before_task_id => c);
SELECT count(*) AS none FROM (VALUES (pg_temp.child(:t)), (0), (-1), (9223372036854775807), (9223372036853)) p(parent), tasker.list_tasks(jsonb_build_object('parent_task_id', parent));
SELECT count(*) = (SELECT count(*) FROM tasker.list_tasks()) AS null_is_no_filter FROM tasker.list_tasks('{"parent_task_id": null}');
SELECT pg_temp.refusal($$tasker.list_tasks('{"parent_task_id": [1]}')$$), pg_temp.refusal($$tasker.list_tasks('{"parent_task_id": "x"}')$$), pg_temp.refusal($$tasker.list_tasks('{"parent_task_id": 1.5}')$$), pg_temp.refusal($$tasker.list_tasks('{"name": 1}')$$);
BEGIN;
SELECT seq_scan AS scans FROM pg_stat_xact_user_tables WHERE schemaname = 'tasker' AND relname = 'tasks' \gset
SELECT count(*) FROM tasker.list_tasks(jsonb_build_object('parent_task_id', :t));
SELECT seq_scan - :scans AS sequential FROM pg_stat_xact_user_tables WHERE schemaname = 'tasker' AND relname = 'tasks';
COMMIT;
SELECT outcome FROM tasker.cancel_tasks(jsonb_build_object('parent_task_id', :t), dry_run => false);
SELECT pg_temp.family(:t);

-- a pause is the task's own: what runs for it goes on, what comes after waits, and nothing new starts
SELECT pg_temp.make('two') AS t \gset
SELECT tasker.pause_task(:t, 'hold');
SELECT pg_temp.run(pg_temp.child(:t, 'first'));
SELECT pg_temp.family(:t);
SELECT pg_temp.why(:t, 2);
SELECT tasker.resume_task(:t);
SELECT pg_temp.family(:t);
SELECT pg_temp.run(pg_temp.child(:t, 'second'));
SELECT pg_temp.family(:t);

-- reset in a pause: what ran is cancelled at once, which is no result, and another is created when it is over
SELECT pg_temp.make('two') AS t \gset
SELECT tasker.pause_task(:t, 'hold');
SELECT task_state FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT pg_temp.family(:t);
SELECT tasker.resume_task(:t);
SELECT pg_temp.family(:t);

-- fail_fast: whichever ends first ends the others
SELECT pg_temp.register('fast', '[{"name": "a", "workflow": {"name": "small"}}, {"name": "b", "workflow": {"name": "small"}}, {"name": "c"}]', '{"on_failure": "fail_fast"}');
SELECT pg_temp.make('fast') AS t \gset
SELECT pg_temp.fail(pg_temp.child(:t, 'a'));
SELECT pg_temp.family(:t);
SELECT tasker.retry_task(:t);
SELECT pg_temp.family(:t);
SELECT pg_temp.fail(:t);
SELECT pg_temp.family(:t);

-- a deadline ends what runs for it; when it is retried, it begins anew
SELECT pg_temp.register('slow', '[{"name": "a", "workflow": {"name": "small"}}]', '{"lifecycle": {"max_duration_minutes": 10, "staleness_action": "error"}}');
SELECT pg_temp.make('slow') AS t \gset
SET tasker_core.clock_offset = 700;
SELECT count(*) FROM tasker.detect_stale_tasks(dry_run => false) WHERE task_id = :t;
RESET tasker_core.clock_offset;
SELECT pg_temp.family(:t);
SELECT tasker.retry_task(:t);
SELECT pg_temp.family(:t);

-- 50 levels, up and down; and one that starts itself ends where it may not go deeper
SELECT count(*) FROM generate_series(1, 50) n, pg_temp.register('level ' || n, CASE WHEN n = 50 THEN '[{"name": "work"}]' ELSE jsonb_build_array(jsonb_build_object('name', 'down', 'workflow', jsonb_build_object('name', 'level ' || n + 1))) END) r;
SELECT pg_temp.make('level 1') AS t \gset
SELECT pg_temp.make('level 1') AS u \gset
SELECT max(nesting), count(*) FROM tasker.tasks t JOIN tasker.named_tasks k USING (named_task_id) WHERE k.name LIKE 'level %' AND t.task_id > :t AND t.task_id < :u;
SELECT pg_temp.run(max(task_id)) FROM tasker.tasks WHERE task_id < :u;
SELECT state, count(*) FROM tasker.tasks t JOIN tasker.named_tasks k USING (named_task_id) WHERE k.name LIKE 'level %' AND t.task_id < :u GROUP BY state;
SELECT length(results::text) > 1000 AS subflows FROM tasker.workflow_steps WHERE task_id = :t;
SELECT tasker.cancel_task(:u, 'all of it');
SELECT state, count(*) FROM tasker.tasks t JOIN tasker.named_tasks k USING (named_task_id) WHERE k.name LIKE 'level %' AND t.task_id >= :u GROUP BY state;
SELECT pg_temp.register('self', '[{"name": "again", "workflow": {"name": "self"}}]');
SET tasker_core.max_nesting = 3;
SELECT pg_temp.make('self') AS t \gset
RESET tasker_core.max_nesting;
SELECT pg_temp.family(:t);
SELECT DISTINCT pg_temp.message(t.task_id, 1) FROM tasker.tasks t JOIN tasker.named_tasks k USING (named_task_id) WHERE k.name = 'self' ORDER BY 1;

-- what goes wrong with the parent is not the worker's: it has completed its step, and the rest is tried again
CREATE FUNCTION pg_temp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON tasker.step_moves FOR EACH ROW WHEN (new.verb = 'workflow') EXECUTE FUNCTION pg_temp.refuse();
SELECT pg_temp.make('two') AS t \gset
SET client_min_messages = error;
SELECT pg_temp.run(pg_temp.child(:t, 'first'));
SELECT kind, results IS NOT NULL AS kept FROM tasker.errands WHERE task_id = :t;
SELECT count(*) AS claims FROM tasker.claim_steps('w', 1, task_id => :t);
SELECT pg_temp.family(:t);
DROP TRIGGER refuse ON tasker.step_moves;
SELECT (tasker.run_maintenance() ->> 'errands_done')::int >= 1 AS done;
RESET client_min_messages;
SELECT pg_temp.family(:t);

-- other namespaces: for whoever may create tasks there
CREATE ROLE subflows_author LOGIN;
SELECT tasker.grant_access('subflows_author', 'producer', ARRAY['subflows_a']), tasker.grant_access('subflows_author', 'worker', ARRAY['subflows_a']);
SELECT count(*) FROM tasker.register_task_template('{"name": "there", "namespace": "subflows_b", "steps": [{"name": "a"}]}');
SET ROLE subflows_author;
SELECT pg_temp.refusal('tasker.register_task_template(''{"name": "here", "namespace": "subflows_a", "steps": [{"name": "a", "workflow": {"name": "there", "namespace": "subflows_b"}}]}'')');
SELECT pg_temp.refusal('tasker.create_task_from_definition(''{"name": "here", "namespace": "subflows_a", "steps": [{"name": "a", "workflow": {"name": "there", "namespace": "subflows_b"}}]}'')');
RESET ROLE;
SELECT tasker.grant_access('subflows_author', 'producer', ARRAY['subflows_b']);
SET ROLE subflows_author;
SELECT pg_temp.refusal('tasker.register_task_template(''{"name": "here", "namespace": "subflows_a", "steps": [{"name": "a", "workflow": {"name": "there", "namespace": "subflows_b"}}]}'')');
SELECT task_id AS t FROM tasker.create_task('here', namespace => 'subflows_a') \gset
RESET ROLE;
SELECT tasker.revoke_access('subflows_author', 'producer', ARRAY['subflows_b']);
SELECT task_id AS u FROM tasker.create_task('here', namespace => 'subflows_a') \gset
SELECT pg_temp.family(:t); SELECT pg_temp.family(:u);
SELECT pg_temp.message(:u, 1);
SELECT created_as FROM tasker.tasks WHERE task_id = pg_temp.child(:t);
SELECT tasker.cancel_task(:t);
SELECT tasker.revoke_access('subflows_author', 'producer'), tasker.revoke_access('subflows_author', 'worker');
DROP ROLE subflows_author;

SELECT count(*) AS errands FROM tasker.errands;
SELECT count(*) AS violations FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id), tasker.verify_task(t.task_id) WHERE s.name LIKE 'subflows%';
