--
-- Maps: a step that runs once for each element of an array; each time is a step of its own.
--
\pset null '-'
SET client_min_messages = warning;

CREATE FUNCTION pg_temp.refusal(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT SQLSTATE || ' ' || regexp_replace(message, '\d{6,}|task \d+', 'X', 'g');
	RETURN QUERY SELECT '   ' || regexp_replace(d, '(?<!to )\d{7,}|task \d+', 'X', 'g') FROM string_to_table(detail, E'\n') d;
	RETURN NEXT '   ' || hint;
END $$;

-- Until all that was committed before can be read.
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
DECLARE
	target xid8 := pg_snapshot_xmax(pg_current_snapshot());
BEGIN
	WHILE pg_snapshot_xmin(pg_current_snapshot()) < target LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = task $$;
CREATE FUNCTION pg_temp.violations(task bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM tasker.verify_task(task) $$;
CREATE FUNCTION pg_temp.step(task bigint, step text) RETURNS bigint LANGUAGE sql AS $$
	SELECT workflow_step_id FROM tasker.workflow_steps WHERE task_id = task AND name = step $$;
CREATE FUNCTION pg_temp.result(task bigint, step text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT results FROM tasker.workflow_steps WHERE task_id = task AND name = step $$;

-- Completes what can be claimed, until nothing is left: an instance with ten times its item, any other step with what it was given.
CREATE FUNCTION pg_temp.work(task bigint, steps int DEFAULT 1000000) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	FOR i IN 1 .. steps LOOP
		SELECT * INTO c FROM tasker.claim_steps('w', 1, task_id => task);
		EXIT WHEN c.step_name IS NULL;
		PERFORM tasker.complete_step(c.workflow_step_id, c.claim_token,
			CASE WHEN c.inputs ? 'item' THEN to_jsonb((c.inputs ->> 'item')::int * 10) ELSE coalesce(nullif(c.dependency_results, '{}'), c.task_context) END);
		RETURN NEXT c.step_name;
	END LOOP;
END $$;

-- The array is in a parent's result.  Results come back in any order, and stand in that of the array.
SELECT created, warnings FROM tasker.register_task_template('{"name": "prices", "steps": [
	{"name": "load", "handler_class": "Load"},
	{"name": "price", "handler_class": "Price", "handler_config": {"currency": "EUR"}, "depends_on": ["load"], "map": {"over": "results.load.items"}},
	{"name": "sum", "depends_on": ["price"]}]}');
SELECT tasker.get_task_template('prices') -> 'steps' -> 1 -> 'map' AS map;
SELECT task_id AS t FROM tasker.create_task('prices') \gset
SELECT step_name, inputs, steps_ready FROM tasker.claim_steps('w', 10, task_id => :t) c,
	tasker.complete_step(c.workflow_step_id, c.claim_token, '{"items": [{"sku": "a"}, {"sku": "b"}, null, [1]], "shop": 7}');
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT execution_status, total_steps, in_progress_steps, ready_steps, pending_steps FROM tasker.get_task_execution_context(:t);
SELECT workflow_step_id % 1000000 AS step_no, name, current_state, dependencies_satisfied, ready_for_execution, total_parents, completed_parents, attempts, max_attempts
FROM tasker.get_step_readiness_status(:t) ORDER BY 1;
CREATE TEMP TABLE claims AS SELECT * FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT workflow_step_id % 1000000 AS step_no, step_name, handler_class, handler_config, attempt, dependency_results, inputs FROM claims ORDER BY 1;
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT step_name, state, steps_ready, status FROM (SELECT * FROM claims ORDER BY workflow_step_id DESC) l, tasker.complete_step(l.workflow_step_id, l.claim_token, jsonb_build_object('priced', l.inputs -> 'item')) AS c(task, state, steps_ready, status);
SELECT pg_temp.result(:t, 'price');
SELECT step_name, dependency_results, status, task_state FROM tasker.claim_steps('w', 10, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT pg_temp.violations(:t), s ->> 'name' AS name, s -> 'progress' AS progress, s -> 'depends_on' AS depends_on FROM jsonb_array_elements(tasker.get_task(:t) -> 'steps') s;
SELECT count(*) AS live FROM tasker.step_queue WHERE task_id = :t;
-- again is quiet, and a token that is not the claim's is refused
SELECT status, task_state FROM claims, tasker.complete_step(workflow_step_id, claim_token, '1') WHERE step_name = 'price[1]';
SELECT pg_temp.refusal(format('tasker.complete_step(%s, 1, %L)', pg_temp.step(:t, 'price[1]'), '1'));
SELECT pg_temp.refusal(format('tasker.complete_step(%s, 1, %L)', :t::bigint * 1000000 + n, '1')) FROM unnest('{8, 100004, 999999}'::int[]) n;
DROP TABLE claims;

-- The array is in the context, and the map a root; and another maps over what it came to.
SELECT created FROM tasker.register_task_template('{"name": "twice", "steps": [
	{"name": "first", "map": {"over": "context.n"}}, {"name": "second", "depends_on": ["first"], "map": {"over": ["results", "first"]}}, {"name": "end", "depends_on": ["second"]}]}');
SELECT task_id AS t, state FROM tasker.create_task('twice', '{"n": [1, 2, 3]}') \gset
SELECT pg_temp.states(:t), state, pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), state, pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;
SELECT array_agg(step_no ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = :t;
-- nothing to run for: it is complete at once, and so is what follows
SELECT task_id AS t, state FROM tasker.create_task('twice', '{"n": []}') \gset
SELECT :'state', pg_temp.states(:t), pg_temp.result(:t, 'second'), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), state FROM tasker.tasks WHERE task_id = :t;
SELECT created FROM tasker.register_task_template('{"name": "alone", "steps": [{"name": "each", "map": {"over": "context"}}]}');
SELECT created FROM tasker.register_task_template('{"name": "list", "steps": [{"name": "each", "map": {"over": "context.a.1"}}]}');
SELECT task_id AS t, state FROM tasker.create_task('list', '{"a": [0, []]}') \gset
SELECT :'state', pg_temp.states(:t), pg_temp.violations(:t);

-- What is no array fails the step for good, by itself.
CREATE TEMP TABLE bad AS SELECT context, t.* FROM unnest('{"{\"n\": 1}", "{\"n\": {}}", "{\"n\": null}", "{}"}'::jsonb[]) context, tasker.create_task('twice', context) t;
INSERT INTO bad SELECT '{}', t.* FROM tasker.create_task('alone') t;
SELECT context, b.state, s.state AS step, s.last_error ->> 'message' AS error, pg_temp.violations(task_id), d.reason
FROM bad b JOIN tasker.workflow_steps s USING (task_id) JOIN tasker.dead_letters d USING (task_id) WHERE s.step_no = 1 ORDER BY task_id;
-- and what is too wide
SET tasker_core.max_map_width = 2;
SELECT task_id AS t FROM tasker.create_task('list', '{"a": [0, [1, 2, 3]]}') \gset
SELECT t.state, s.last_error FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) WHERE task_id = :t;
RESET tasker_core.max_map_width;
SELECT tasker.retry_task(:t);
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT state, pg_temp.result(:t, 'each'), pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;

-- At most so many at once, in order.
SELECT created FROM tasker.register_task_template('{"name": "narrow", "steps": [
	{"name": "each", "map": {"over": "context.n", "parallelism": 2}, "retry": {"max_attempts": 2, "backoff": "none"}}, {"name": "end", "depends_on": ["each"]}]}');
SELECT task_id AS t FROM tasker.create_task('narrow', '{"n": [1, 2, 3, 4, 5]}') \gset
CREATE FUNCTION pg_temp.queue(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(step_no || phase::text || CASE phase WHEN 'm' THEN format('(%s left, %s entered)', remaining_parents, satisfied_parents) ELSE '' END, ' ' ORDER BY step_no) FROM tasker.step_queue WHERE task_id = task $$;
SELECT pg_temp.queue(:t), pg_temp.violations(:t);
SELECT reason, detail FROM tasker.explain_step(pg_temp.step(:t, 'each')) UNION ALL SELECT reason, detail FROM tasker.explain_step(pg_temp.step(:t, 'each[4]'));
CREATE TEMP TABLE claims AS SELECT * FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT array_agg(step_name ORDER BY step_name) FROM claims;
SELECT steps_ready FROM claims, tasker.complete_step(workflow_step_id, claim_token, '"two"') WHERE step_name = 'each[1]';
SELECT pg_temp.queue(:t), pg_temp.violations(:t);
-- one that is tried again keeps its place; one that failed for good leaves it
SELECT step_state FROM claims, tasker.fail_step(workflow_step_id, claim_token, '"once"') WHERE step_name = 'each[0]';
SELECT pg_temp.queue(:t), pg_temp.violations(:t);
SELECT step_name, step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"twice"', false);
SELECT pg_temp.queue(:t), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
-- a person resets a step while as many run as may: it waits for its turn
SELECT steps_ready FROM tasker.reset_step(pg_temp.step(:t, 'each[2]'));
SELECT pg_temp.queue(:t), pg_temp.violations(:t);
SELECT reason FROM tasker.explain_step(pg_temp.step(:t, 'each[2]'));
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
DROP TABLE claims;

-- An instance fails for good: the others go on, then the task is in error; retried, it ends.
SELECT task_id AS t FROM tasker.create_task('twice', '{"n": [1, 2, 3]}') \gset
SELECT step_name, step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '{"message": "no price"}', false);
SELECT execution_status, health_status FROM tasker.get_task_execution_context(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.states(:t), pg_temp.violations(:t), pg_temp.queue(:t), t.state, failed_steps, d.workflow_step_id % 1000000 AS letter_step, d.reason, d.snapshot ->> 'step_name' AS letter_name
FROM tasker.tasks t JOIN tasker.dead_letters d USING (task_id) WHERE t.task_id = :t;
SELECT execution_status, health_status, failed_steps FROM tasker.get_task_execution_context(:t);
SELECT name, reason, regexp_replace(detail, '\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)|\d{6,}', 'X', 'g') AS detail
FROM unnest('{"first", "second", "first[0]"}'::text[]) WITH ORDINALITY n(name, i), tasker.explain_step(pg_temp.step(:t, name)) ORDER BY i;
SELECT s -> 'progress' AS progress FROM jsonb_array_elements(tasker.get_task(:t) -> 'steps') s WHERE s ->> 'name' = 'first';
SELECT tasker.retry_task(:t);
SELECT pg_temp.states(:t), pg_temp.queue(:t), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
-- or null stands in its place
SELECT created FROM tasker.register_task_template('{"name": "lenient", "steps": [
	{"name": "each", "map": {"over": "context.n", "failure_strategy": "continue"}}, {"name": "end", "depends_on": ["each"]}]}');
SELECT task_id AS t FROM tasker.create_task('lenient', '{"n": [1, 2, 3]}') \gset
SELECT step_name, step_state, task_state FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false) ORDER BY 1;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT pg_temp.refusal(format('tasker.reset_step(%s)', pg_temp.step(:t, 'each[0]')));
-- all of them
SELECT task_id AS t FROM tasker.create_task('lenient', '{"n": [1, 2]}') \gset
SELECT count(*) FROM tasker.claim_steps('w', 5, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT pg_temp.result(:t, 'each'), array_agg(w) FROM pg_temp.work(:t) w;
-- a lease that ran out with its last attempt is such a failure
SELECT created FROM tasker.register_task_template('{"name": "once", "steps": [{"name": "each", "retry": {"max_attempts": 1}, "map": {"over": "context.n", "failure_strategy": "continue", "parallelism": 1}}]}');
SELECT task_id AS t FROM tasker.create_task('once', '{"n": [1, 2]}') \gset
SELECT step_name FROM tasker.claim_steps('w', 5, lease_seconds => 0.1, task_id => :t);
SET tasker_core.clock_offset = 60;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
RESET tasker_core.clock_offset;
SELECT pg_temp.result(:t, 'each'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;

-- By hand: instances are moved like any step.
SELECT task_id AS t FROM tasker.create_task('twice', '{"n": [1, 2, 3, 4]}') \gset
SELECT task_state, steps_ready FROM tasker.skip_step(pg_temp.step(:t, 'first[1]'));
SELECT task_state, steps_ready FROM tasker.resolve_step(pg_temp.step(:t, 'first[0]'), '"by hand"');
SELECT * FROM tasker.transition_step(pg_temp.step(:t, 'first[3]'), 'cancelled');
SELECT pg_temp.states(:t), pg_temp.queue(:t), pg_temp.violations(:t);
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 5, task_id => :t) \gset
SELECT task_state, steps_ready FROM tasker.resolve_step(:s, '"the last"', 'seen to');
SELECT pg_temp.refusal(format('tasker.complete_step(%s, %s, %L)', :s, :k, '1'));
SELECT pg_temp.result(:t, 'first'), pg_temp.states(:t), pg_temp.violations(:t);
-- of a map whose instances run: no reset, but an end with all of them
SELECT task_id AS t FROM tasker.create_task('narrow', '{"n": [1, 2, 3]}') \gset
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT pg_temp.refusal(format('tasker.reset_step(%s)', pg_temp.step(:t, 'each')));
SELECT task_state, steps_ready FROM tasker.resolve_step(pg_temp.step(:t, 'each'), '[]', 'known already');
SELECT pg_temp.refusal(format('tasker.complete_step(%s, %s, %L)', :s, :k, '1'));
SELECT pg_temp.states(:t), pg_temp.queue(:t), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
SELECT task_id AS t FROM tasker.create_task('narrow', '{"n": [1, 2, 3]}') \gset
SELECT task_state, steps_ready FROM tasker.skip_step(pg_temp.step(:t, 'each'));
SELECT pg_temp.states(:t), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
-- one in error with its task: what failed blocks nothing any more
SELECT task_id AS t FROM tasker.create_task('narrow', '{"n": [1, 2, 3]}') \gset
SELECT count(*) FROM generate_series(1, 3), LATERAL (SELECT f.* FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false) f OFFSET 0) f;
SELECT count(*) FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT pg_temp.states(:t), pg_temp.violations(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT task_state, steps_ready FROM tasker.skip_step(pg_temp.step(:t, 'each[1]'));
SELECT pg_temp.queue(:t), state FROM tasker.tasks WHERE task_id = :t;
SELECT task_state, steps_ready FROM tasker.resolve_step(pg_temp.step(:t, 'each'), '[7]');
SELECT pg_temp.states(:t), pg_temp.violations(:t), state, failed_steps FROM tasker.tasks WHERE task_id = :t;

-- Paused, nothing enters the queue for workers; cancelled, all is cancelled.
SELECT task_id AS t FROM tasker.create_task('narrow', '{"n": [1, 2, 3]}') \gset
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT tasker.pause_task(:t);
SELECT steps_ready FROM tasker.complete_step(:s, :k, '1');
SELECT count(*) FROM tasker.claim_steps('w', 5, task_id => :t);
SELECT pg_temp.queue(:t), pg_temp.violations(:t), execution_status, ready_steps FROM tasker.get_task_execution_context(:t);
SELECT tasker.resume_task(:t);
SELECT array_agg(w) FROM pg_temp.work(:t, 1) w;
SELECT tasker.cancel_task(:t);
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT s -> 'progress' AS progress FROM jsonb_array_elements(tasker.get_task(:t) -> 'steps') s WHERE s ->> 'name' = 'each';

-- fail_fast: an instance ends the task, which goes on when it is retried.
SELECT created FROM tasker.register_task_template('{"name": "strict", "on_failure": "fail_fast", "steps": [{"name": "each", "map": {"over": "context.n"}}, {"name": "end", "depends_on": ["each"]}]}');
SELECT task_id AS t FROM tasker.create_task('strict', '{"n": [1, 2, 3]}') \gset
SELECT array_agg(w) FROM pg_temp.work(:t, 1) w;
SELECT step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT tasker.retry_task(:t);
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;

-- Conditions and branches: a map is skipped like any step, and what it waits for comes first.
SELECT created FROM tasker.register_task_template('{"name": "branches", "steps": [
	{"name": "choose", "type": "decision"}, {"name": "many", "depends_on": ["choose"], "map": {"over": "context.n"}, "when": {"path": "context.wanted", "op": "=", "value": true}},
	{"name": "other", "depends_on": ["choose"]}, {"name": "both", "type": "deferred_convergence", "depends_on": ["many", "other"], "map": {"over": "context.n"}, "delay_seconds": 60},
	{"name": "end", "depends_on": ["both"]}]}');
CREATE FUNCTION pg_temp.choose(task bigint, branches jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT status FROM tasker.claim_steps('w', 1, task_id => task) c, tasker.complete_step(c.workflow_step_id, c.claim_token, jsonb_build_object('branches', branches)) $$;
SELECT task_id AS t FROM tasker.create_task('branches', '{"n": [1, 2], "wanted": true}') \gset
SELECT pg_temp.choose(:t, '["many", "other"]');
SELECT pg_temp.states(:t), pg_temp.violations(:t);
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT pg_temp.states(:t), pg_temp.violations(:t), (SELECT count(*) FROM tasker.step_queue WHERE task_id = :t AND visible_at > now()) AS later;
SET tasker_core.clock_offset = 120;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
RESET tasker_core.clock_offset;
SELECT pg_temp.result(:t, 'end'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
SELECT task_id AS t FROM tasker.create_task('branches', '{"n": [1, 2]}') \gset
SELECT pg_temp.choose(:t, '["many"]');
SELECT pg_temp.states(:t), pg_temp.violations(:t);

-- Batches of completions: of one map, of several, of several tasks, with steps between them.
SELECT created FROM tasker.register_task_template('{"name": "wide", "steps": [
	{"name": "a", "map": {"over": "context.n"}}, {"name": "b", "map": {"over": "context.n", "parallelism": 3}}, {"name": "c"},
	{"name": "ab", "depends_on": ["a", "b"], "map": {"over": "results.a"}}, {"name": "end", "depends_on": ["ab", "c"]}]}');
CREATE TEMP TABLE wide AS SELECT t.task_id FROM generate_series(1, 3) n, tasker.create_task('wide', jsonb_build_object('n', (SELECT jsonb_agg(i) FROM generate_series(1, 4 + n) i))) t;
CREATE FUNCTION pg_temp.in_batches(name text, size int) RETURNS TABLE(claimed bigint, statuses text[]) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		SELECT count(*), array_agg(DISTINCT r.status) INTO claimed, statuses
		FROM (SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens, array_agg(coalesce(inputs -> 'item', '"c"')) AS results
			FROM tasker.claim_steps('w', size, task_names => ARRAY[name]) HAVING count(*) > 0) c, tasker.complete_steps(c.ids, c.tokens, c.results) r;
		EXIT WHEN claimed = 0;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT * FROM pg_temp.in_batches('default/wide', 8);
SELECT state, pg_temp.violations(task_id), pg_temp.result(task_id, 'b') AS b, pg_temp.result(task_id, 'ab') AS ab FROM wide JOIN tasker.tasks USING (task_id) ORDER BY task_id;
DROP TABLE wide;

-- The results of all instances may be too much for one: then the map fails, and not its instances.
SELECT task_id AS t FROM tasker.create_task('list', '{"a": [0, [1, 2, 3]]}') \gset
SET tasker_core.max_payload_size = 1;
SELECT array_agg(r.status) FROM tasker.claim_steps('w', 3, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, to_jsonb(repeat('x', 400))) r;
SELECT t.state, s.state AS step, s.last_error, pg_temp.violations(:t) FROM tasker.tasks t JOIN tasker.workflow_steps s USING (task_id) WHERE task_id = :t AND s.name = 'each';
SELECT step_state, steps_ready FROM tasker.reset_step(pg_temp.step(:t, 'each')) AS r(changed, step_state, steps_ready);
RESET tasker_core.max_payload_size;
SELECT tasker.retry_task(:t);
SELECT state, length(pg_temp.result(:t, 'each') ->> 2), pg_temp.violations(:t) FROM tasker.tasks WHERE task_id = :t;

-- Everything that lists steps knows them.
SELECT task_id AS t FROM tasker.create_task('twice', '{"n": [1, 2]}') \gset
SELECT array_agg(w) FROM pg_temp.work(:t, 1) w;
SELECT workflow_step_id % 1000000 AS step_no, dependency_level FROM tasker.calculate_dependency_levels(:t) ORDER BY 1;
SELECT name, distance FROM tasker.get_step_transitive_dependencies(pg_temp.step(:t, 'end'));
SELECT split_part(g, E'\n', n) FROM tasker.task_graph(:t, 'text') g, generate_series(2, 4) n;
SELECT d - '{task_id,workflow_step_id,started_at,finished_at,attempt_history,moves,next_retry_at}'::text[] FROM tasker.get_step(pg_temp.step(:t, 'first[0]')) d;
SELECT name, from_state, to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t ORDER BY workflow_step_id, transition_no;
SELECT array_agg(w) FROM pg_temp.work(:t) w;
SELECT name, from_state, to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t AND name = 'first' ORDER BY transition_no;
CALL pg_temp.settle();
SELECT e.name, payload ->> 'step_name' AS step FROM tasker.read_events(NULL, 10000, 'step.*') e WHERE task_id = :t;
SELECT step_name, count FROM tasker.get_slowest_steps_aggregated(limit_count => 100) AS s(namespace, task_name, version, step_name, avg, max, count) WHERE task_name = 'twice' ORDER BY 1;
SELECT h.total_steps - s.total AS total, h.pending_steps - s.pending AS pending, h.in_progress_steps - s.in_progress AS in_progress,
	h.complete_steps - s.complete AS complete, h.error_steps - s.error AS error, h.cancelled_steps - s.cancelled AS cancelled
FROM tasker.get_system_health_counts() h, (SELECT count(*) AS total, count(*) FILTER (WHERE state = 'pending') AS pending,
	count(*) FILTER (WHERE state = 'in_progress') AS in_progress, count(*) FILTER (WHERE state = 'complete') AS complete,
	count(*) FILTER (WHERE state = 'error') AS error, count(*) FILTER (WHERE state = 'cancelled') AS cancelled FROM tasker.workflow_steps) s;
SELECT tasker.erase_task_payload(:t);
SELECT DISTINCT inputs FROM tasker.task_extra_steps WHERE task_id = :t;

-- Steps that are SQL.
CREATE SCHEMA map_test;
CREATE FUNCTION map_test.square(task jsonb, step jsonb) RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb((step -> 'inputs' ->> 'item')::int ^ 2) $$;
SELECT created FROM tasker.register_task_template('{"name": "squares", "steps": [{"name": "square", "handler": {"sql": "map_test.square"}, "map": {"over": "context.n", "parallelism": 2}}]}');
SELECT task_id AS t FROM tasker.create_task('squares', '{"n": [1, 2, 3, 4]}') \gset
SELECT count(*), array_agg(DISTINCT status) FROM tasker.run_sql_steps(namespaces => '{default}');
SELECT pg_temp.result(:t, 'square'), pg_temp.violations(:t), state FROM tasker.tasks WHERE task_id = :t;
DROP SCHEMA map_test CASCADE;

-- A map runs since it began, whatever people do to its instances.
SELECT created FROM tasker.register_task_template('{"name": "steady", "steps": [{"name": "each", "map": {"over": "context.n", "parallelism": 1, "failure_strategy": "continue"}}]}');
SELECT task_id AS t FROM tasker.create_task('steady', '{"n": [1, 2, 3]}') \gset
SELECT started_at AS began FROM tasker.workflow_steps WHERE task_id = :t AND name = 'each' \gset
SET tasker_core.clock_offset = 600;
SELECT task_state FROM tasker.skip_step(pg_temp.step(:t, 'each[0]'));
SELECT pg_temp.states(:t), pg_temp.violations(:t), started_at = :'began' AS since_it_began FROM tasker.workflow_steps WHERE task_id = :t AND name = 'each';
SELECT task_state FROM tasker.resolve_step(pg_temp.step(:t, 'each[2]'), '7');
SELECT array_agg(w) FROM pg_temp.work(:t) w;
RESET tasker_core.clock_offset;
SELECT pg_temp.states(:t), pg_temp.violations(:t), pg_temp.result(:t, 'each'), started_at = :'began' AS since_it_began, finished_at - started_at > interval '9 minutes' AS for_so_long
FROM tasker.workflow_steps WHERE task_id = :t AND name = 'each';

-- Limits: of a map they are those of its instances.
SELECT created FROM tasker.register_task_template('{"name": "limited_map", "steps": [
	{"name": "square", "concurrency": {"key": "context.k", "limit": 2}, "map": {"over": "context.n"}},
	{"name": "sum", "depends_on": ["square"]}]}');
SELECT task_id AS t FROM tasker.create_task('limited_map', '{"n": [1, 2, 3, 4, 5], "k": "one"}') \gset
SELECT array_agg(step_name ORDER BY workflow_step_id) FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT pg_temp.violations(:t), count(*) FILTER (WHERE phase = 'p') AS parked, count(flow_key_id) FROM tasker.step_queue WHERE task_id = :t;
SELECT reason FROM tasker.explain_step(pg_temp.step(:t, 'square[4]'));
SELECT task_state, steps_ready FROM tasker.reset_step(pg_temp.step(:t, 'square[0]'));
SELECT array_agg(step_name ORDER BY workflow_step_id) FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT pg_temp.violations(:t);
SELECT task_state, steps_ready FROM tasker.skip_step(pg_temp.step(:t, 'square'));
SELECT pg_temp.violations(:t), pg_temp.states(:t);
SELECT count(*) FROM tasker.flow_keys WHERE task_name = 'limited_map' AND used > 0;
SELECT task_id AS t FROM tasker.create_task('limited_map', '{"n": [1, 2, 3, 4, 5], "k": "one"}') \gset
SELECT count(*) FROM pg_temp.work(:t);
SELECT pg_temp.violations(:t), pg_temp.states(:t), state FROM tasker.tasks WHERE task_id = :t;

-- What a template may not say.
SELECT pg_temp.refusal(format('tasker.validate_task_template(%L)', jsonb_build_object('name', 'x', 'steps', jsonb_build_array('{"name": "a"}'::jsonb, '{"name": "m", "depends_on": ["a"]}'::jsonb || step))))
FROM unnest(ARRAY['{"map": {}}', '{"map": {"over": 1}}', '{"map": {"over": "results.b"}}', '{"map": {"over": "a"}}', '{"map": {"over": "results.a", "parallelism": 0}}',
	'{"map": {"over": "results.a", "parallelism": 100001}}', '{"map": {"over": "results.a", "failure_strategy": "ignore"}}', '{"map": [1]}',
	'{"map": {"over": "context"}, "on_failure": "skip"}', '{"map": {"over": "context"}, "trigger_rule": "all_done"}', '{"map": {"over": "context"}, "trigger_rule": "one_satisfied"}',
	'{"map": {"over": "context"}, "wait_for_signal": {"name": "go"}}', '{"map": {"over": "context"}, "type": "decision"}']::jsonb[]) step;
SELECT tasker.validate_task_template('{"name": "x", "steps": [{"name": "m", "map": {"over": "context", "to": 1}}]}');
SELECT tasker.get_task_template('once') -> 'steps' -> 0 -> 'map';

-- Nothing is left for others to claim.
SELECT count(tasker.cancel_task(task_id)) > 0 FROM tasker.tasks JOIN tasker.named_tasks USING (named_task_id)
WHERE state IN ('pending', 'in_progress') AND name = ANY ('{twice,narrow,list,branches,limited_map}');
SELECT count(*) FROM tasker.verify_all(NULL);
