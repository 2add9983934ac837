--
-- Signals: steps that wait for them, before, while and after they are sent.
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
	RETURN NEXT SQLSTATE || ' ' || regexp_replace(message, 'task \d+', 'task T');
	RETURN QUERY SELECT '   ' || regexp_replace(d, 'task \d+', 'task T', 'i') FROM string_to_table(detail, E'\n') d;
END $$;

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT (SELECT t.state FROM tasker.tasks t WHERE t.task_id = task) || ': ' || string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = task $$;

CREATE FUNCTION pg_temp.complete(task bigint, result jsonb DEFAULT '1') RETURNS SETOF text LANGUAGE sql AS $$
	SELECT c.step_name || ' of ' || c.dependency_results || ': task ' || r.task_state || ', ' || r.steps_ready || ' ready'
	FROM tasker.claim_steps('w', 1, task_id => task) c, tasker.complete_step(c.workflow_step_id, c.claim_token, result) r $$;

SELECT created, warnings FROM tasker.register_task_template('{"name": "flow", "namespace": "signals", "steps": [
	{"name": "ask"}, {"name": "answer", "depends_on": ["ask"], "wait_for_signal": {"name": "answered"}}, {"name": "act", "depends_on": ["answer"]}]}');

-- while it waits
SELECT task_id AS t FROM tasker.create_task('flow', namespace => 'signals') \gset
SELECT pg_temp.complete(:t);
SELECT pg_temp.states(:t);
SELECT name, current_state, ready_for_execution, next_retry_at FROM tasker.get_step_readiness_status(:t) ORDER BY workflow_step_id;
SELECT execution_status, recommended_action, health_status, ready_steps FROM tasker.get_task_execution_context(:t);
SELECT reason, regexp_replace(regexp_replace(detail, '\d{4}-[-0-9T:.+]+', 'T', 'g'), 'signal\(\d+', 'signal(ID') AS detail FROM tasker.explain_step(:t * 1000000::bigint + 2);
SELECT count(*) AS violations FROM tasker.verify_task(:t);
SELECT step_name FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT tasker.send_signal(:t, 'answered', '{"yes": true}');
SELECT pg_temp.states(:t);
SELECT pg_temp.complete(:t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT name, results, started_at IS NOT NULL AS started, finished_at >= started_at AS finished FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT s ->> 'name' AS name, s -> 'results' AS results, s -> 'attempts' AS attempts FROM jsonb_array_elements(tasker.get_task(:t) -> 'steps') s;
SELECT from_state, to_state, why FROM tasker.workflow_step_transitions WHERE task_id = :t AND name = 'answer' ORDER BY transition_no;
SELECT name, workflow_step_id - :t * 1000000::bigint AS step FROM tasker.read_events(NULL, 10000, 'step.*') WHERE task_id = :t;
SELECT name, payload, step_no, sent_at = taken_at AS at_once FROM tasker.signals WHERE task_id = :t;
-- after: the task is over
SELECT line FROM pg_temp.refusal(format('tasker.send_signal(%s, ''answered'')', :t)) line;

-- before: it is kept, each for one step, the oldest first
SELECT task_id AS t FROM tasker.create_task('flow', namespace => 'signals') \gset
SELECT tasker.send_signal(:t, 'answered', '1'), tasker.send_signal(:t, 'answered');
SELECT pg_temp.states(:t), count(*) AS kept FROM tasker.signals WHERE task_id = :t AND step_no IS NULL;
SELECT pg_temp.complete(:t);
SELECT pg_temp.complete(:t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT payload, step_no FROM tasker.signals WHERE task_id = :t ORDER BY signal_id;

-- two steps wait for one name: the first takes the first; the rest is kept for a step to come
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "two", "namespace": "signals", "steps": [
	{"name": "a", "wait_for_signal": {"name": "go"}}, {"name": "b", "wait_for_signal": {"name": "go"}}, {"name": "other", "wait_for_signal": {"name": "stop"}},
	{"name": "join", "depends_on": ["a", "b"], "wait_for_signal": {"name": "go"}}, {"name": "end", "depends_on": ["join"]}]}') \gset
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT tasker.send_signal(:t, 'go', '1');
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT tasker.send_signal(:t, 'go', '2');
SELECT tasker.send_signal(:t, 'go', '3');
SELECT tasker.send_signal(:t, 'go', '4');
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT payload, step_no FROM tasker.signals WHERE task_id = :t ORDER BY signal_id;
SELECT tasker.cancel_task(:t), pg_temp.states(:t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);

-- timeouts: noticed by a claim, or by maintenance; what has failed can be made to wait anew
SET tasker_core.clock_offset = 0;
SELECT created FROM tasker.register_task_template('{"name": "timed", "namespace": "signals_timed", "steps": [
	{"name": "fails", "wait_for_signal": {"name": "f", "timeout_seconds": 100}}, {"name": "after_fails", "depends_on": ["fails"]},
	{"name": "skips", "wait_for_signal": {"name": "s", "timeout_seconds": 100.5, "on_timeout": "skip"}}, {"name": "after_skips", "depends_on": ["skips"]},
	{"name": "completes", "wait_for_signal": {"name": "c", "timeout_seconds": 100, "on_timeout": "complete"}}, {"name": "after_completes", "depends_on": ["completes"]},
	{"name": "late", "wait_for_signal": {"name": "l", "timeout_seconds": 10000}}]}');
SELECT task_id AS t FROM tasker.create_task('timed', namespace => 'signals_timed') \gset
SET tasker_core.clock_offset = 50;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{signals_timed}');
SELECT pg_temp.states(:t);
SET tasker_core.clock_offset = 200;
SELECT step_name, dependency_results FROM tasker.claim_steps('w', 10, '{signals_timed}');
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT name, last_error, results FROM tasker.workflow_steps WHERE task_id = :t AND state <> 'pending' ORDER BY step_no;
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT round(extract(epoch FROM visible_at - claimed_at)) FROM tasker.step_queue WHERE task_id = :t AND step_no = 1;
SELECT tasker.send_signal(:t, 'f', '"at last"'), tasker.send_signal(:t, 's', '"too late"');
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SET tasker_core.clock_offset = 20000;
SELECT tasker.run_maintenance() -> 'waits_ended' AS waits_ended;
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
-- a task that waits for a signal does not count as standing still, whatever the limits say but for its whole life
SET tasker_core.clock_offset = 0;
SELECT task_id AS t FROM tasker.create_task('flow', namespace => 'signals') \gset
SELECT pg_temp.complete(:t);
SET tasker_core.clock_offset = 36000;
SELECT count(*) AS stale FROM tasker.detect_stale_tasks(true, 10000) WHERE task_id = :t;
SET tasker_core.clock_offset = 0;

-- paused: a signal is taken, a timeout waits
SELECT task_id AS t FROM tasker.create_task('timed', namespace => 'signals_timed') \gset
SELECT tasker.pause_task(:t);
SET tasker_core.clock_offset = 200;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{signals_timed}', task_id => :t);
SELECT tasker.run_maintenance() -> 'waits_ended' AS waits_ended;
SELECT tasker.send_signal(:t, 'c', '1');
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT count(*) FROM tasker.claim_steps('w', 10, '{signals_timed}', task_id => :t);
SELECT tasker.resume_task(:t);
SELECT step_name FROM tasker.claim_steps('w', 10, '{signals_timed}', task_id => :t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT tasker.cancel_task(:t);

-- by hand: a wait is skipped, cancelled or resolved like any step
SET tasker_core.clock_offset = 0;
SELECT how, pg_temp.states(t.task_id) AS before, tasker.transition_step(t.task_id * 1000000 + 1, how, results => CASE how WHEN 'resolved_manually' THEN '"by hand"'::jsonb END) FROM unnest('{skipped,cancelled,resolved_manually}'::text[]) how,
	tasker.create_task('timed', jsonb_build_object('how', how), 'signals_timed') t;
SELECT context ->> 'how' AS how, pg_temp.states(task_id), (SELECT count(*) FROM tasker.verify_task(task_id)) AS violations FROM tasker.tasks WHERE context ? 'how' AND named_task_id IN (SELECT named_task_id FROM tasker.list_task_templates('signals_timed') WHERE name = 'timed') ORDER BY task_id;
-- fail_fast takes a wait along, and retry_task makes it wait again
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "fast", "namespace": "signals", "on_failure": "fail_fast", "steps": [{"name": "w", "wait_for_signal": {"name": "go"}}, {"name": "x"}]}') \gset
SELECT task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '1', false);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
SELECT tasker.send_signal(:t, 'go', '"meanwhile"');
SELECT tasker.retry_task(:t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);

-- a condition on what was signalled; waits in a scheduled task count from when it is to run
SELECT created FROM tasker.register_task_template('{"name": "human", "namespace": "signals", "steps": [
	{"name": "approval", "wait_for_signal": {"name": "approved", "timeout_seconds": 60, "on_timeout": "complete"}},
	{"name": "ship", "depends_on": ["approval"], "when": {"path": "results.approval.ok", "op": "=", "value": true}},
	{"name": "refuse", "depends_on": ["approval"], "when": {"not": {"path": "results.approval.ok", "op": "=", "value": true}}}]}');
SELECT task_id AS t FROM tasker.create_task('human', namespace => 'signals') \gset
SELECT tasker.send_signal(:t, 'approved', '{"ok": true, "by": "ada"}'), pg_temp.states(:t);
SELECT pg_temp.states(:t);
SELECT task_id AS t FROM tasker.create_task('human', namespace => 'signals', run_at => clock_timestamp() + interval '1000 s') \gset
SET tasker_core.clock_offset = 1030;
SELECT count(*) FROM tasker.claim_steps('w', 10, '{signals}', task_id => :t);
SET tasker_core.clock_offset = 1070;
SELECT step_name FROM tasker.claim_steps('w', 10, '{signals}', task_id => :t);
SELECT pg_temp.states(:t), count(*) AS violations FROM tasker.verify_task(:t);
RESET tasker_core.clock_offset;
-- a signal that comes before a task is to run makes nothing run before
SELECT task_id AS t FROM tasker.create_task('human', namespace => 'signals', run_at => clock_timestamp() + interval '1000 s') \gset
SELECT tasker.send_signal(:t, 'approved', '{"ok": true}');
SELECT pg_temp.states(:t), round(extract(epoch FROM visible_at - clock_timestamp()) / 100) AS hundreds_of_seconds FROM tasker.step_queue WHERE task_id = :t;
SELECT count(*) AS claimable FROM tasker.claim_steps('w', 10, '{signals}', task_id => :t);

-- what is refused
SELECT task_id AS t FROM tasker.create_task('flow', namespace => 'signals') \gset
SELECT call, line FROM unnest(ARRAY['NULL, ''answered''', ':t, NULL', ':t, ''x''', ':t, ''''', '9223372036853, ''answered''']) WITH ORDINALITY c(call, n),
	pg_temp.refusal(format('tasker.send_signal(%s)', replace(call, ':t', (:t)::text))) WITH ORDINALITY l(line, m) ORDER BY n, m;
SELECT tasker.send_signal(:t, 'answered', NULL);
SELECT line FROM pg_temp.refusal($$tasker.validate_task_template('{"name": "t", "on_failure": "fail_fast", "steps": [{"name": "a", "wait_for_signal": {}}, {"name": "b", "wait_for_signal": {"name": ""}}, {"name": "c", "wait_for_signal": "x"},
	{"name": "d", "wait_for_signal": {"name": "x", "on_timeout": "skip"}}, {"name": "e", "wait_for_signal": {"name": "x", "timeout_seconds": -1, "on_timeout": "wait"}},
	{"name": "f", "wait_for_signal": {"name": "x"}, "handler": {"callable": "C"}, "retry": {"max_attempts": 2}, "timeout_seconds": 5, "delay_seconds": 5, "result_schema": {"type": "object"}},
	{"name": "g", "wait_for_signal": {"name": "x", "timeout_seconds": 1}}, {"name": "h", "type": "decision", "wait_for_signal": {"name": "x"}}]}')$$) line;
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a", "wait_for_signal": {"name": "x", "count": 2}}]}');
-- what is left must not come due under the clocks of other tests
SELECT count(tasker.cancel_task(t.task_id)) > 0 AS cancelled FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces s USING (namespace_id)
WHERE s.name LIKE 'signals%' AND t.state IN ('pending', 'in_progress', 'error');
