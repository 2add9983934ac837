--
-- Limits: how many steps run at once, and how often they start.
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

-- n tasks whose context names a key; each is known by key and number
CREATE FUNCTION pg_temp.make(template text, key text, n int, priority int DEFAULT 0) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(t.task_id) FROM generate_series(1, n) i,
		tasker.create_task(template, jsonb_build_object('key', key, 'n', i), 'flow', priority => priority) t $$;

-- the steps that a claim gives
CREATE FUNCTION pg_temp.claim(n int, names text[] DEFAULT NULL, lease float8 DEFAULT 1000) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(concat(task_context ->> 'key', task_context ->> 'n', nullif('.' || step_name, '.a')), ' ' ORDER BY ord), 'none')
	FROM tasker.claim_steps('w', n, '{flow}', lease, task_names => names) WITH ORDINALITY AS c(workflow_step_id, task_id, claim_token, attempt, max_attempts, namespace, task_name,
		task_version, step_name, handler_class, handler_config, task_context, dependency_results, inputs, checkpoint, priority, correlation_id, timeout_seconds,
		lease_expires_at, handler_method, handler_resolver, queue, ord) $$;

CREATE FUNCTION pg_temp.held(label text) RETURNS tasker.step_queue LANGUAGE sql AS $$
	SELECT q FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id)
	WHERE q.phase = 'c' AND concat(t.context ->> 'key', t.context ->> 'n') = label $$;

CREATE FUNCTION pg_temp.complete(label text) RETURNS text LANGUAGE sql AS $$
	SELECT c.status FROM pg_temp.held(label) q, tasker.complete_step(q.task_id * 1000000 + q.step_no, q.claim_token, '{"to": "A"}') c $$;

-- running/waiting of each key, and what is wrong
CREATE FUNCTION pg_temp.keys(template text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s%s %s/%s%s', step_name || '.', key, running, waiting, CASE WHEN next_at IS NOT NULL THEN ' due' END), ', ' ORDER BY step_name COLLATE "C", key COLLATE "C")
		|| coalesce((SELECT ' WRONG: ' || string_agg(k.key, ', ') FROM tasker.flow_keys k WHERE k.used <> (SELECT count(*) FROM tasker.step_queue q
			WHERE q.flow_key_id = k.flow_key_id AND q.phase = 'c') OR (k.next_at IS NULL AND k.used < k.concurrency_limit AND EXISTS (
			SELECT FROM tasker.step_queue q WHERE q.flow_key_id = k.flow_key_id AND q.phase = 'p'))), '')
	FROM tasker.flow_limits WHERE namespace = 'flow' AND task_name = template $$;

SELECT created, warnings FROM tasker.register_task_template('{"name": "keyed", "namespace": "flow", "steps": [
	{"name": "a", "retry": {"backoff": "none"}, "concurrency": {"key": "context.key", "limit": 2}}, {"name": "b", "depends_on": ["a"]}]}');
SELECT tasker.get_task_template('keyed', 'flow') #> '{steps,0,concurrency}';

-- no more than two of a key; the others are in nobody's way
SELECT pg_temp.make('keyed', 'x', 5), pg_temp.make('keyed', 'y', 1);
SELECT pg_temp.claim(1), pg_temp.claim(10), pg_temp.keys('keyed');
SELECT pg_temp.claim(10), pg_temp.keys('keyed');

-- whatever ends a claim lets the next one in
SELECT pg_temp.complete('x1'), pg_temp.keys('keyed');
SELECT pg_temp.claim(10), pg_temp.keys('keyed');
SELECT f.step_state FROM pg_temp.held('x2') q, tasker.fail_step(q.task_id * 1000000 + 1, q.claim_token, '{}', false) f;
SELECT pg_temp.claim(10), pg_temp.keys('keyed');
SELECT tasker.release_steps(array[q.task_id * 1000000 + 1], array[q.claim_token]) FROM pg_temp.held('x3') q;
-- what was given back stands in line again, behind its elders
SELECT pg_temp.claim(10), pg_temp.keys('keyed');
SELECT f.step_state FROM pg_temp.held('x4') q, tasker.fail_step(q.task_id * 1000000 + 1, q.claim_token, '{}') f;
SELECT pg_temp.claim(1), pg_temp.keys('keyed');
SELECT tasker.cancel_task(q.task_id) FROM pg_temp.held('x3') q;
SELECT pg_temp.keys('keyed'), pg_temp.claim(10), pg_temp.keys('keyed');
SELECT s.task_state FROM pg_temp.held('x5') q, tasker.skip_step(q.task_id * 1000000 + 1) s;
SELECT pg_temp.complete('x4'), pg_temp.complete('y1'), pg_temp.keys('keyed');
SELECT pg_temp.claim(10), pg_temp.keys('keyed');
SELECT count(tasker.cancel_task(t.task_id)) > 0 AS cancelled FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) WHERE n.name = 'keyed' AND t.state IN ('pending', 'in_progress', 'error');
SELECT pg_temp.keys('keyed');

-- a lease that runs out: the claim keeps its place until somebody takes the step over
SELECT pg_temp.make('keyed', 'l', 3);
SELECT pg_temp.claim(2, lease => 10), pg_temp.claim(5, lease => 10), pg_temp.keys('keyed');
SET tasker_core.clock_offset = 20;
SELECT pg_temp.keys('keyed'), pg_temp.claim(5), pg_temp.keys('keyed');
SELECT a.attempt_no, a.outcome FROM pg_temp.held('l1') q JOIN tasker.step_attempts a USING (task_id);
-- the last attempt of all fails the step, and lets the next one in
UPDATE tasker.step_queue SET max_attempts = 2 WHERE task_id = (pg_temp.held('l1')).task_id AND step_no = 1;
SET tasker_core.clock_offset = 2000;
SELECT pg_temp.claim(5), pg_temp.keys('keyed');
RESET tasker_core.clock_offset;
SELECT pg_temp.complete('l2'), pg_temp.complete('l3'), pg_temp.keys('keyed');
SELECT count(tasker.cancel_task(t.task_id)) > 0 AS cancelled FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) WHERE n.name = 'keyed' AND t.state IN ('pending', 'in_progress', 'error');

-- paused tasks: what waits leaves the line, and joins it again
SELECT pg_temp.make('keyed', 'p', 4);
SELECT pg_temp.claim(2), pg_temp.claim(5), pg_temp.keys('keyed');
SELECT count(tasker.pause_task(t.task_id)) FROM tasker.tasks t WHERE t.context ->> 'key' = 'p' AND t.context ->> 'n' IN ('1', '3');
SELECT pg_temp.keys('keyed'), pg_temp.complete('p2'), pg_temp.claim(5), pg_temp.keys('keyed');
SELECT count(tasker.resume_task(t.task_id)) FROM tasker.tasks t WHERE t.context ->> 'key' = 'p' AND t.paused_at IS NOT NULL;
SELECT pg_temp.claim(5), pg_temp.keys('keyed'), pg_temp.complete('p1'), pg_temp.complete('p4'), pg_temp.keys('keyed');
SELECT pg_temp.claim(5), pg_temp.complete('p3'), pg_temp.keys('keyed');
SELECT pg_temp.claim(5), pg_temp.complete('p3');
-- a claim of a paused task whose lease ran out can be taken over by nobody: maintenance frees its place
SELECT pg_temp.make('keyed', 'o', 3), pg_temp.claim(1, lease => 15), pg_temp.claim(1), pg_temp.claim(1);
SELECT tasker.pause_task((pg_temp.held('o1')).task_id) AS paused;
SET tasker_core.clock_offset = 20;
SELECT pg_temp.claim(1), pg_temp.keys('keyed');
SELECT count(tasker.run_maintenance());
SELECT pg_temp.keys('keyed'), pg_temp.claim(1), pg_temp.keys('keyed');
-- its worker may end it all the same; else it stands in line again
SELECT tasker.resume_task((pg_temp.held('o1')).task_id) AS resumed;
SELECT pg_temp.claim(1), pg_temp.keys('keyed');
SELECT pg_temp.complete('o2'), pg_temp.claim(2), pg_temp.keys('keyed');
RESET tasker_core.clock_offset;
SELECT count(tasker.cancel_task(t.task_id)) > 0 AS cancelled FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) WHERE n.name = 'keyed' AND t.state IN ('pending', 'in_progress', 'error');

-- keys take turns: one with many tasks in front does not keep the other waiting
SELECT created FROM tasker.register_task_template('{"name": "turns", "namespace": "flow", "steps": [{"name": "a", "concurrency": {"key": "context.key", "limit": 1}}]}');
SELECT pg_temp.make('turns', 'A', 300), pg_temp.make('turns', 'B', 3);
SELECT pg_temp.claim(2), pg_temp.keys('turns');
-- one worker that takes one step at a time
CREATE FUNCTION pg_temp.next() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	label text := pg_temp.claim(1);
BEGIN
	PERFORM pg_temp.complete(label);
	RETURN label;
END $$;
SELECT pg_temp.complete('A1'), pg_temp.complete('B1');
SELECT string_agg(pg_temp.next(), ' ') FROM generate_series(1, 7);
SELECT pg_temp.keys('turns');
SELECT count(tasker.cancel_task(t.task_id)) FROM tasker.tasks t WHERE t.context ->> 'key' = 'A' AND t.state = 'pending';
SELECT pg_temp.claim(1), pg_temp.keys('turns');

-- priority goes before age within a key
SELECT pg_temp.make('turns', 'q', 2), pg_temp.make('turns', 'Q', 1);
SELECT pg_temp.make('turns', 'z', 3), pg_temp.make('turns', 'z', 1, 5), pg_temp.claim(10);
SELECT pg_temp.complete('q1'), pg_temp.complete('Q1'), pg_temp.complete('z1');
SELECT pg_temp.claim(10), pg_temp.complete('q2'), pg_temp.complete('z1');
SELECT pg_temp.claim(10), pg_temp.keys('turns');

-- the template's limit counts the steps of all its tasks, of all versions; a step's own takes its place
SELECT created FROM tasker.register_task_template('{"name": "whole", "namespace": "flow", "concurrency": {"limit": 3}, "steps": [
	{"name": "a"}, {"name": "b"}, {"name": "own", "concurrency": {"limit": 1}}, {"name": "s", "wait_for_signal": {"name": "go"}}]}');
SELECT tasker.get_task_template('whole', 'flow') - 'steps';
SELECT pg_temp.make('whole', 'w', 2), pg_temp.claim(10), pg_temp.keys('whole');
SELECT explain.reason, regexp_replace(explain.detail, '\d{7,}', 'STEP', 'g') FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id), tasker.explain_step(q.task_id * 1000000 + q.step_no) AS explain
WHERE q.phase = 'p' AND t.context ->> 'key' = 'w' ORDER BY q.task_id, q.step_no;
SELECT execution_status, recommended_action, ready_steps, total_steps FROM tasker.tasks t, tasker.get_task_execution_context(t.task_id) WHERE t.context ->> 'key' = 'w' ORDER BY t.task_id;
SELECT throttled, ready, in_progress FROM tasker.stats WHERE namespace = 'flow' AND name = 'whole';
SELECT throttled, ready FROM tasker.queue_stats WHERE namespace = 'flow' AND queue = 'default';
-- a version that is registered later brings its limits along, from its first step on
SELECT created FROM tasker.register_task_template('{"name": "whole", "namespace": "flow", "version": "2.0.0", "concurrency": {"limit": 5}, "steps": [{"name": "a"}]}');
SELECT pg_temp.make('whole', 'v', 2), pg_temp.claim(1), pg_temp.keys('whole');
SELECT pg_temp.claim(10), pg_temp.keys('whole');
SELECT count(tasker.cancel_task(t.task_id)) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) WHERE n.name = 'whole' AND t.state IN ('pending', 'in_progress');
SELECT pg_temp.keys('whole');

-- a key from a parent's result; what is no text; what is not there
SELECT created FROM tasker.register_task_template('{"name": "deep", "namespace": "flow", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"], "concurrency": {"key": ["results", "a", "to"], "limit": 1}}]}');
SELECT pg_temp.make('deep', 'd', 2), pg_temp.claim(10), pg_temp.complete('d1'), pg_temp.complete('d2'), pg_temp.claim(10), pg_temp.keys('deep');
SELECT count(t.task_id) FROM unnest(ARRAY['{"key": 1}', '{"key": 1.0}', '{"key": "1"}', '{"key": true}', '{"key": {"a": [1]}}', '{"key": null}', '{}', '{"key": ""}', jsonb_build_object('key', repeat('k', 600))]::jsonb[]) c(c), tasker.create_task('turns', c.c, 'flow') t;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{flow}', task_names => '{flow/turns}');
SELECT left(key, 20) AS key, length(key) > 500 AS long, running, waiting FROM tasker.flow_limits WHERE task_name = 'turns' AND key !~ '^[ABqQz]$' ORDER BY flow_limits.key COLLATE "C";

-- a key that changes while its step is claimed: the claim keeps the place it has, the next one takes the new key's
SELECT created FROM tasker.register_task_template('{"name": "late", "namespace": "flow", "steps": [{"name": "p"}, {"name": "q"},
	{"name": "c", "depends_on": ["p", "q"], "trigger_rule": "one_satisfied", "concurrency": {"key": "results.q.to", "limit": 1}}]}');
SELECT pg_temp.make('late', 'k', 2), pg_temp.claim(10, '{flow/late}');
CREATE FUNCTION pg_temp.end_late(label text, step text) RETURNS text LANGUAGE sql AS $$
	SELECT c.status FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id) JOIN tasker.named_steps s USING (named_task_id, step_no),
		tasker.complete_step(q.task_id * 1000000 + q.step_no, q.claim_token, '{"to": "A"}') c
	WHERE q.phase = 'c' AND s.name = step AND concat(t.context ->> 'key', t.context ->> 'n') = label $$;
SELECT pg_temp.end_late('k1', 'p'), pg_temp.end_late('k2', 'p'), pg_temp.claim(10, '{flow/late}', 10), pg_temp.keys('late');
SELECT pg_temp.end_late('k1', 'q'), pg_temp.end_late('k2', 'q'), pg_temp.claim(10, '{flow/late}', 10), pg_temp.keys('late');
SELECT explain.reason, explain.detail ~ 'key "A"' AS of_the_new_key FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id), tasker.explain_step(q.task_id * 1000000 + q.step_no) AS explain
WHERE q.phase = 'p' AND t.context ->> 'key' = 'k';
SET tasker_core.clock_offset = 20;
SELECT pg_temp.claim(1, '{flow/late}', 10), pg_temp.keys('late'), pg_temp.claim(10, '{flow/late}', 10), pg_temp.keys('late');
SELECT pg_temp.end_late('k1', 'c'), pg_temp.keys('late'), pg_temp.claim(10, '{flow/late}', 10), pg_temp.keys('late'), pg_temp.end_late('k2', 'c');
RESET tasker_core.clock_offset;
SELECT pg_temp.keys('late');

-- a rate: so many starts in any period, and no more
SELECT created FROM tasker.register_task_template('{"name": "paced", "namespace": "flow", "steps": [{"name": "a", "rate_limit": {"key": "context.key", "limit": 3, "period_seconds": 60}}]}');
SELECT pg_temp.make('paced', 'r', 8), pg_temp.claim(2, '{flow/paced}'), pg_temp.claim(10, '{flow/paced}'), pg_temp.keys('paced');
SELECT explain.reason, regexp_replace(explain.detail, 'at [-0-9T:.+]+', 'at T') FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id), tasker.explain_step(q.task_id * 1000000 + q.step_no) AS explain
WHERE q.phase = 'p' AND t.context ->> 'n' = '4' AND t.context ->> 'key' = 'r';
SELECT extract(epoch FROM next_at - last_used_at) BETWEEN 40 AND 61.1 AS in_a_period FROM tasker.flow_limits WHERE task_name = 'paced';
-- an end is no start
SELECT pg_temp.complete('r1'), pg_temp.claim(10, '{flow/paced}');
SET tasker_core.clock_offset = 30;
SELECT pg_temp.claim(10, '{flow/paced}'), pg_temp.keys('paced');
SET tasker_core.clock_offset = 62;
SELECT pg_temp.claim(1, '{flow/paced}'), pg_temp.claim(1, '{flow/paced}'), pg_temp.claim(10, '{flow/paced}'), pg_temp.keys('paced');
-- a lost lease starts anew, and counts again
SET tasker_core.clock_offset = 1500;
SELECT pg_temp.claim(10, '{flow/paced}'), pg_temp.keys('paced');
SELECT string_agg(concat(context ->> 'n', ' ', phase, CASE WHEN waits_for_retry THEN ' retry' END), ', ' ORDER BY task_id)
FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id) WHERE t.context ->> 'key' = 'r';
SELECT count(*) AS violations FROM tasker.verify_all();
RESET tasker_core.clock_offset;
SELECT count(tasker.cancel_task(t.task_id)) > 0 FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id) WHERE s.name = 'flow' AND t.state IN ('pending', 'in_progress', 'error');
SELECT sum(running) AS running FROM tasker.flow_limits WHERE namespace = 'flow';

-- keys are forgotten an hour after their last use
SELECT count(*) > 10 AS many FROM tasker.flow_limits WHERE namespace = 'flow';
SELECT (tasker.run_maintenance() ->> 'flow_keys_forgotten')::int AS forgotten;
UPDATE tasker.flow_keys SET last_used_at = last_used_at - interval '61 minutes';
SELECT (tasker.run_maintenance() ->> 'flow_keys_forgotten')::int > 10 AS forgotten;
SELECT count(*) AS left_over FROM tasker.flow_limits;

-- fail_fast gives back what the task held
SELECT created FROM tasker.register_task_template('{"name": "fast", "namespace": "flow", "on_failure": "fail_fast", "concurrency": {"limit": 2}, "steps": [{"name": "a"}, {"name": "c"}, {"name": "d"}]}');
SELECT pg_temp.make('fast', 'f', 1), pg_temp.claim(10, '{flow/fast}'), pg_temp.keys('fast');
SELECT f.task_state FROM tasker.step_queue q JOIN tasker.tasks t USING (task_id), tasker.fail_step(q.task_id * 1000000 + 1, q.claim_token, '{}', false) f WHERE q.phase = 'c' AND q.step_no = 1 AND t.context ->> 'key' = 'f';
SELECT pg_temp.keys('fast'), pg_temp.claim(10, '{flow/fast}');

-- what a limit keeps back is pending like anything else
SELECT pg_temp.make('fast', 'm', 2), pg_temp.claim(2, '{flow/fast}'), pg_temp.claim(2, '{flow/fast}'), pg_temp.keys('fast');
SET tasker_core.max_pending_tasks = 1;
SELECT line FROM pg_temp.refusal($$tasker.create_task('fast', namespace => 'flow')$$) line;
RESET tasker_core.max_pending_tasks;
SELECT count(tasker.cancel_task(t.task_id)) FROM tasker.tasks t WHERE t.context ->> 'key' = 'm' AND t.state IN ('pending', 'in_progress');

-- what is wrong with a key is found
UPDATE tasker.flow_keys SET used = 2 WHERE task_name = 'fast';
SELECT violation FROM tasker.verify_all() WHERE violation ~ 'fast';
UPDATE tasker.flow_keys SET used = 0 WHERE task_name = 'fast';

-- what is refused
SELECT line FROM pg_temp.refusal($$tasker.validate_task_template('{"name": "t", "concurrency": {"key": "results.a.x", "limit": 0}, "rate_limit": {"limit": 5}, "steps": [
	{"name": "a", "concurrency": 1}, {"name": "b", "concurrency": {}}, {"name": "c", "concurrency": {"limit": 1.5, "key": 7}}, {"name": "d", "rate_limit": {"limit": 1, "period_seconds": 0.5}},
	{"name": "e", "depends_on": ["a"], "concurrency": {"key": "results.b", "limit": 1}}, {"name": "f", "wait_for_signal": {"name": "s"}, "concurrency": {"limit": 1}},
	{"name": "g", "concurrency": {"key": "context.x", "limit": 1}, "rate_limit": {"key": "context.y", "limit": 1, "period_seconds": 60}}, {"name": "h", "rate_limit": {"limit": 2000000, "period_seconds": 99999999}}]}')$$) line;
SELECT line FROM pg_temp.refusal($$tasker.validate_task_template('{"name": "t", "concurrency": {"limit": 2}, "steps": [{"name": "a", "concurrency": {"limit": 1}}]}')$$) line;
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a", "concurrency": {"limit": 2, "burst": 4}}]}');

-- what is left must not come due under the clocks of other tests
SELECT count(tasker.cancel_task(t.task_id)) > 0 AS cancelled FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id) WHERE s.name = 'flow' AND t.state IN ('pending', 'in_progress', 'error');
SELECT count(*) FROM tasker.flow_limits WHERE running > 0 OR waiting > 0;
