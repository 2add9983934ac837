--
-- What a step does about parents that ended otherwise than complete: every rule with
-- every pair of ends, and what that leads to further down.
--
\pset null '-'
SET client_min_messages = warning;

-- Claims a step of a task by name, whatever else is ready.
CREATE FUNCTION pg_temp.claim(task bigint, step text) RETURNS TABLE (step_id bigint, token bigint)
LANGUAGE plpgsql AS $$
DECLARE
	c record;
	found_it record;
BEGIN
	FOR c IN SELECT * FROM tasker.claim_steps('w', 100, task_id => task) LOOP
		IF c.step_name = step THEN
			RETURN QUERY SELECT c.workflow_step_id, c.claim_token;
		ELSE
			PERFORM tasker.release_steps(ARRAY[c.workflow_step_id], ARRAY[c.claim_token]);
		END IF;
	END LOOP;
END $$;

-- Ends a step in one of the ways there are.
CREATE FUNCTION pg_temp.finish(task bigint, step text, how text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	id bigint := (SELECT s.workflow_step_id FROM tasker.workflow_steps s WHERE s.task_id = task AND s.name = step);
BEGIN
	IF how IN ('skip', 'cancel', 'resolve') THEN
		PERFORM tasker.transition_step(id, CASE how WHEN 'skip' THEN 'skipped' WHEN 'cancel' THEN 'cancelled' ELSE 'resolved_manually' END);
	ELSIF how = 'complete' THEN
		PERFORM tasker.complete_step(c.step_id, c.token, to_jsonb(step)) FROM pg_temp.claim(task, step) c;
	ELSE
		PERFORM tasker.fail_step(c.step_id, c.token, '"no"', false) FROM pg_temp.claim(task, step) c;
	END IF;
END $$;

-- Runs what can be claimed, and completes it.
CREATE FUNCTION pg_temp.run(task bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	WHILE (SELECT count(*) FROM tasker.claim_steps('w', 100, task_id => task) c, tasker.complete_step(c.workflow_step_id, c.claim_token, to_jsonb(c.step_name))) > 0 LOOP
	END LOOP;
END $$;

CREATE FUNCTION pg_temp.rule_of(how text) RETURNS text LANGUAGE sql AS $$ SELECT CASE WHEN how LIKE 'fail-%' THEN substr(how, 6) ELSE 'fail' END $$;

-- A join c of a and b, with d behind it.  What became of c at once, of all in the end, and of the task.
CREATE FUNCTION pg_temp.outcome(rule text, how_a text, how_b text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	task bigint := (SELECT t.task_id FROM tasker.create_task_from_definition(jsonb_build_object('name', 'pair', 'namespace', 'rules', 'steps', jsonb_build_array(
		jsonb_build_object('name', 'a', 'on_failure', pg_temp.rule_of(how_a)),
		jsonb_build_object('name', 'b', 'on_failure', pg_temp.rule_of(how_b)),
		jsonb_build_object('name', 'c', 'depends_on', '["a", "b"]'::jsonb, 'trigger_rule', rule),
		jsonb_build_object('name', 'd', 'depends_on', '["c"]'::jsonb)))) t);
	after_a text;
	after_b text;
	told text;
BEGIN
	PERFORM pg_temp.finish(task, 'a', how_a);
	after_a := (SELECT CASE WHEN r.ready_for_execution THEN 'ready' ELSE r.current_state END FROM tasker.get_step_readiness_status(task) r WHERE r.name = 'c');
	IF (SELECT w.state FROM tasker.workflow_steps w WHERE w.task_id = task AND w.name = 'b') = 'pending' AND (SELECT t.state FROM tasker.tasks t WHERE t.task_id = task) IN ('pending', 'in_progress') THEN
		PERFORM pg_temp.finish(task, 'b', how_b);
	END IF;
	PERFORM pg_temp.run(task);
	told := (SELECT string_agg(w.state, ' ' ORDER BY w.step_no) FROM tasker.workflow_steps w WHERE w.task_id = task AND w.step_no > 2) || ' | ' || (SELECT t.state FROM tasker.tasks t WHERE t.task_id = task);
	IF EXISTS (SELECT FROM tasker.verify_task(task)) THEN
		RAISE EXCEPTION '% % %: %', rule, how_a, how_b, (SELECT string_agg(violation, '; ') FROM tasker.verify_task(task));
	END IF;
	RETURN after_a || ' > ' || told;
END $$;

SELECT rule, a, b, pg_temp.outcome(rule, a, b) AS c_after_a_then_c_d_and_task
FROM unnest('{all_satisfied,none_failed,one_satisfied,all_done}'::text[]) WITH ORDINALITY r(rule, r),
	unnest('{complete,skip,cancel,fail,fail-skip,fail-continue}'::text[]) WITH ORDINALITY x(a, i),
	unnest('{complete,skip,cancel,fail,fail-skip,fail-continue}'::text[]) WITH ORDINALITY y(b, j)
ORDER BY r, i, j;

-- one parent: a step behind a failure
CREATE FUNCTION pg_temp.single(rule text, how text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	task bigint := (SELECT t.task_id FROM tasker.create_task_from_definition(jsonb_build_object('name', 'single', 'namespace', 'rules', 'steps', jsonb_build_array(
		jsonb_build_object('name', 'a', 'on_failure', pg_temp.rule_of(how)),
		jsonb_build_object('name', 'c', 'depends_on', '["a"]'::jsonb, 'trigger_rule', rule),
		jsonb_build_object('name', 'd', 'depends_on', '["c"]'::jsonb)))) t);
BEGIN
	PERFORM pg_temp.finish(task, 'a', how);
	PERFORM pg_temp.run(task);
	IF EXISTS (SELECT FROM tasker.verify_task(task)) THEN
		RAISE EXCEPTION '% %: %', rule, how, (SELECT string_agg(violation, '; ') FROM tasker.verify_task(task));
	END IF;
	RETURN (SELECT string_agg(w.state, ' ' ORDER BY w.step_no) FROM tasker.workflow_steps w WHERE w.task_id = task AND w.step_no > 1) || ' | ' || (SELECT t.state FROM tasker.tasks t WHERE t.task_id = task);
END $$;

SELECT rule, a, pg_temp.single(rule, a) AS c_d_and_task
FROM unnest('{all_satisfied,none_failed,one_satisfied,all_done}'::text[]) WITH ORDINALITY r(rule, r),
	unnest('{complete,skip,cancel,fail,fail-skip,fail-continue}'::text[]) WITH ORDINALITY x(a, i)
ORDER BY r, i;

-- deferred_convergence is none_failed, unless it says otherwise; a rule without parents is warned of
SELECT tasker.validate_task_template('{"name": "t", "steps": [{"name": "a", "trigger_rule": "all_done"}, {"name": "b", "depends_on": ["a"], "trigger_rule": "all_done"}]}');
SELECT created FROM tasker.register_task_template('{"name": "converge", "namespace": "rules", "steps": [
	{"name": "a"}, {"name": "b"}, {"name": "join", "type": "deferred_convergence", "depends_on": ["a", "b"]},
	{"name": "own", "type": "deferred_convergence", "trigger_rule": "one_satisfied", "depends_on": ["a", "b"]}]}');
SELECT task_id AS t FROM tasker.create_task('converge', namespace => 'rules') \gset
SELECT pg_temp.finish(:t, 'a', 'skip');
SELECT name, current_state, dependencies_satisfied, total_parents, completed_parents, ready_for_execution FROM tasker.get_step_readiness_status(:t) ORDER BY 1;
SELECT reason, detail FROM tasker.explain_step(:t * 1000000::bigint + 3);
SELECT pg_temp.finish(:t, 'b', 'complete');
SELECT step_name, dependency_results FROM tasker.claim_steps('w', 10, task_id => :t) ORDER BY 1;
SELECT tasker.cancel_task(:t);

-- at the first: what ends later wakes nobody, whether the step waits, is claimed, or has ended
CREATE FUNCTION pg_temp.race(OUT task bigint) LANGUAGE sql AS $$
	SELECT task_id FROM tasker.create_task_from_definition('{"name": "race", "namespace": "rules", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"},
		{"name": "first", "trigger_rule": "one_satisfied", "depends_on": ["a", "b", "c"]}]}') $$;
SELECT pg_temp.race() AS t \gset
SELECT task_id AS a, claim_token AS at, workflow_step_id AS ai FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT workflow_step_id AS bi, claim_token AS bt FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT workflow_step_id AS ci, claim_token AS ct FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT steps_ready, task_state FROM tasker.complete_step(:ai, :at, '1');
SELECT steps_ready, task_state FROM tasker.complete_step(:bi, :bt, '2');
SELECT workflow_step_id AS fi, claim_token AS ft, dependency_results FROM tasker.claim_steps('w', 1, task_id => :t) \gset
\echo :dependency_results
SELECT steps_ready, task_state FROM tasker.complete_step(:fi, :ft, '3');
SELECT steps_ready, task_state FROM tasker.complete_step(:ci, :ct, '4');
SELECT * FROM tasker.verify_task(:t);

-- a batch in which every parent of a join ends, each in its own way of counting
SELECT pg_temp.race() AS t \gset
SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens FROM tasker.claim_steps('w', 3, task_id => :t) \gset
SELECT sum(steps_ready), array_agg(DISTINCT status) FROM tasker.complete_steps(:'ids', :'tokens', '{1,2,3}');
SELECT pg_temp.run(:t);
SELECT state FROM tasker.tasks WHERE task_id = :t;

-- clean-up after a failure runs once, though the failed step is tried again
SELECT created FROM tasker.register_task_template('{"name": "cleanup", "namespace": "rules", "steps": [
	{"name": "work"}, {"name": "other"},
	{"name": "single", "trigger_rule": "all_done", "depends_on": ["work"]},
	{"name": "join", "trigger_rule": "all_done", "depends_on": ["work", "other"]}]}');
SELECT task_id AS t FROM tasker.create_task('cleanup', namespace => 'rules') \gset
SELECT pg_temp.finish(:t, 'work', 'fail');
SELECT pg_temp.finish(:t, 'other', 'complete');
SELECT name, state FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT pg_temp.run(:t);
SELECT state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT tasker.retry_task(:t);
SELECT phase, step_no FROM tasker.step_queue WHERE task_id = :t ORDER BY step_no;
SELECT * FROM tasker.verify_task(:t);
SELECT pg_temp.finish(:t, 'work', 'complete');
SELECT name, state, attempts FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT * FROM tasker.verify_task(:t);

-- the failed step is reset while the clean-up is claimed, ready, or waits for a retry: that goes on
SELECT task_id AS t FROM tasker.create_task('cleanup', namespace => 'rules') \gset
SELECT pg_temp.finish(:t, 'work', 'fail');
SELECT step_id AS si, token AS st FROM pg_temp.claim(:t, 'single') \gset
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT name, current_state, dependencies_satisfied, ready_for_execution FROM tasker.get_step_readiness_status(:t) ORDER BY 1;
SELECT * FROM tasker.verify_task(:t);
SELECT task_state, status FROM tasker.complete_step(:si, :st, '"cleaned"');
SELECT pg_temp.finish(:t, 'work', 'complete');
SELECT pg_temp.run(:t);
SELECT name, state, attempts FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT * FROM tasker.verify_task(:t);

-- both have run and failed, and are reset before the step that they wait for ends again
SELECT task_id AS t FROM tasker.create_task('cleanup', namespace => 'rules') \gset
SELECT pg_temp.finish(:t, 'work', 'fail'), pg_temp.finish(:t, 'other', 'complete');
SELECT pg_temp.finish(:t, 'single', 'fail'), pg_temp.finish(:t, 'join', 'fail');
SELECT tasker.retry_task(:t);
SELECT step_no, phase, attempt_no FROM tasker.step_queue WHERE task_id = :t ORDER BY step_no;
SELECT pg_temp.run(:t);
SELECT name, state, attempts FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
SELECT * FROM tasker.verify_task(:t);

-- a failure that the last lease brought about lets clean-up run all the same
SET tasker_core.clock_offset = 0;
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "lost", "namespace": "rules_lost", "steps": [
	{"name": "work", "retry": {"max_attempts": 1}}, {"name": "cleanup", "trigger_rule": "all_done", "depends_on": ["work"]}]}') \gset
SELECT step_name FROM tasker.claim_steps('w', 1, lease_seconds => 1, task_id => :t);
SET tasker_core.clock_offset = 10;
SELECT step_name FROM tasker.claim_steps('w', 1, task_id => :t);
SET tasker_core.clock_offset = 0;

-- skipped down a long way, to a join that still runs, in one call
SELECT created FROM tasker.register_task_template((SELECT jsonb_build_object('name', 'long', 'namespace', 'rules', 'steps',
	'[{"name": "s0", "on_failure": "skip"}, {"name": "side"}]'::jsonb || jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on', jsonb_build_array('s' || i - 1)) ORDER BY i)
	|| '[{"name": "end", "trigger_rule": "none_failed", "depends_on": ["s500", "side"]}]') FROM generate_series(1, 500) i));
SELECT task_id AS t FROM tasker.create_task('long', namespace => 'rules') \gset
SELECT pg_temp.finish(:t, 's0', 'fail');
SELECT state, count(*) FROM tasker.workflow_steps WHERE task_id = :t GROUP BY 1 ORDER BY 1;
SELECT pg_temp.finish(:t, 'side', 'complete');
SELECT step_name, dependency_results FROM tasker.claim_steps('w', 10, task_id => :t);
SELECT * FROM tasker.verify_task(:t);
SELECT tasker.cancel_task(:t);

-- a failure blocks a step only as far as its rule cares
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "why", "namespace": "rules", "steps": [{"name": "a"}, {"name": "b"},
	{"name": "one", "trigger_rule": "one_satisfied", "depends_on": ["a", "b"]}, {"name": "none", "trigger_rule": "none_failed", "depends_on": ["a", "b"]},
	{"name": "done", "trigger_rule": "all_done", "depends_on": ["a", "b"]}, {"name": "after", "depends_on": ["done"]}]}') \gset
SELECT pg_temp.finish(:t, 'a', 'fail');
SELECT s.name, e.reason FROM tasker.workflow_steps s, tasker.explain_step(s.workflow_step_id) WITH ORDINALITY e(reason, detail, n)
WHERE s.task_id = :t AND s.step_no > 2 AND e.reason NOT IN ('no_live_worker') ORDER BY s.step_no, e.n;
SELECT pg_temp.finish(:t, 'b', 'fail');
SELECT s.name, e.reason FROM tasker.workflow_steps s, tasker.explain_step(s.workflow_step_id) WITH ORDINALITY e(reason, detail, n)
WHERE s.task_id = :t AND s.step_no > 2 AND e.reason NOT IN ('no_live_worker', 'queue_position') ORDER BY s.step_no, e.n;
SELECT pg_temp.run(:t);
SELECT state, failed_steps FROM tasker.tasks WHERE task_id = :t;
SELECT * FROM tasker.verify_task(:t);

-- in one call: a place kept by a step that a person resolved, beside a child that runs whatever happened
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "places", "namespace": "rules", "steps": [{"name": "a"}, {"name": "b"},
	{"name": "kept", "depends_on": ["a"]}, {"name": "done", "trigger_rule": "all_done", "depends_on": ["b"]}]}') \gset
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 3, '1');
SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens FROM tasker.claim_steps('w', 2, task_id => :t) \gset
SELECT sum(steps_ready), array_agg(DISTINCT status) FROM tasker.complete_steps(:'ids', :'tokens', '{1,2}');
SELECT * FROM tasker.verify_task(:t);

-- a join that ran after a failure, and has ended when the failed step is tried again and ends once more
CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS
	$$ SELECT string_agg(name || ' ' || state || coalesce(' ' || phase::text, ''), ', ' ORDER BY step_no)
		FROM tasker.workflow_steps LEFT JOIN tasker.step_queue USING (task_id, step_no) WHERE task_id = task $$;
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "again", "namespace": "rules", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"},
	{"name": "done", "trigger_rule": "all_done", "depends_on": ["a", "b"]}]}') \gset
SELECT pg_temp.finish(:t, 'a', 'complete'), pg_temp.finish(:t, 'b', 'fail');
SELECT step_id, token FROM pg_temp.claim(:t, 'done') \gset
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 2);
SELECT status FROM tasker.complete_step(:step_id, :token, '1');
SELECT pg_temp.states(:t);
SELECT pg_temp.finish(:t, 'b', 'complete'), pg_temp.states(:t);
SELECT pg_temp.run(:t), pg_temp.states(:t);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT * FROM tasker.verify_task(:t);

-- one that failed itself and was reset with all its parents: nothing is counted, and its attempts are not forgotten
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "again", "namespace": "rules", "version": "2", "steps": [{"name": "a"}, {"name": "b"},
	{"name": "done", "trigger_rule": "all_done", "depends_on": ["a", "b"]}]}') \gset
SELECT pg_temp.finish(:t, step, 'fail') FROM unnest('{a,b,done}'::text[]) step;
SELECT count(*) FROM unnest('{1,2,3}'::int[]) step, tasker.reset_step(:t * 1000000::bigint + step);
SELECT pg_temp.states(:t);
SELECT remaining_parents FROM tasker.workflow_steps WHERE task_id = :t AND name = 'done';
SELECT pg_temp.finish(:t, 'b', 'fail'), pg_temp.states(:t);
SELECT phase, remaining_parents, attempts, attempt_no FROM tasker.step_queue WHERE task_id = :t AND step_no = 3;
SELECT pg_temp.finish(:t, 'a', 'complete'), pg_temp.states(:t);
SELECT pg_temp.finish(:t, 'done', 'complete'), pg_temp.states(:t);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT attempt_no, attempt, outcome FROM tasker.step_attempts WHERE task_id = :t AND step_no = 3 ORDER BY 1;
SELECT * FROM tasker.verify_task(:t);

-- a join that has run stays so when something passes it on its way down: a step that may end by itself, or take others
-- along, and has ended long before the parent that comes last
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "passed", "namespace": "rules", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"}, {"name": "d"},
	{"name": "one", "trigger_rule": "one_satisfied", "depends_on": ["a", "b"], "when": {"path": "results.b", "op": "exists"}},
	{"name": "join", "depends_on": ["one", "c"]}]}') \gset
SELECT pg_temp.finish(:t, step, 'complete') FROM unnest('{b,one,c,join}'::text[]) step;
SELECT pg_temp.finish(:t, 'a', 'complete'), pg_temp.states(:t);
SELECT * FROM tasker.verify_task(:t);
SELECT pg_temp.finish(:t, 'd', 'skip'), pg_temp.states(:t);
SELECT state FROM tasker.tasks WHERE task_id = :t;
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "passed", "namespace": "rules", "version": "2", "steps": [{"name": "a"}, {"name": "b"}, {"name": "c"},
	{"name": "gate", "depends_on": ["a"], "when": {"path": "results.a", "op": "exists"}}, {"name": "join", "depends_on": ["gate", "b"]}]}') \gset
SELECT task_state FROM tasker.workflow_steps s, tasker.resolve_step(s.workflow_step_id, '1') WHERE s.task_id = :t AND s.name = 'gate';
SELECT pg_temp.finish(:t, step, 'complete') FROM unnest('{b,join,a}'::text[]) step;
SELECT pg_temp.states(:t);
SELECT * FROM tasker.verify_task(:t);
