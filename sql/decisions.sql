--
-- Decisions: a step whose result names the branches to take; the others are skipped.
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
	RETURN NEXT SQLSTATE || ' ' || regexp_replace(message, '\d{6,}', 'STEP');
	RETURN QUERY SELECT '   ' || regexp_replace(d, '\d{6,}', 'STEP') FROM string_to_table(detail, E'\n') d;
END $$;

CREATE FUNCTION pg_temp.states(task bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(name || ' ' || state, ', ' ORDER BY step_no) FROM tasker.workflow_steps WHERE task_id = task $$;

-- The approval workflow of the family: below 1000 no person looks, from 5000 on two do.
SELECT created, warnings FROM tasker.register_task_template('{"name": "approval_routing", "namespace": "approval", "steps": [
	{"name": "validate_request"},
	{"name": "routing_decision", "type": "decision", "depends_on": ["validate_request"]},
	{"name": "auto_approve", "depends_on": ["routing_decision"]},
	{"name": "manager_approval", "depends_on": ["routing_decision"]},
	{"name": "finance_review", "depends_on": ["routing_decision"]},
	{"name": "finalize_approval", "type": "deferred_convergence", "depends_on": ["auto_approve", "manager_approval", "finance_review"]}]}');

CREATE FUNCTION pg_temp.route(amount numeric) RETURNS jsonb LANGUAGE sql AS $$
	SELECT CASE WHEN amount < 1000 THEN '{"branches": ["auto_approve"]}'
		WHEN amount < 5000 THEN '{"branches": ["manager_approval"]}'
		ELSE '{"decision_point_outcome": {"type": "create_steps", "step_names": ["manager_approval", "finance_review"]}}' END::jsonb $$;

CREATE FUNCTION pg_temp.work(task bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	c record;
BEGIN
	LOOP
		SELECT * INTO c FROM tasker.claim_steps('w', 1, task_id => task);
		EXIT WHEN c.step_name IS NULL;
		PERFORM tasker.complete_step(c.workflow_step_id, c.claim_token, CASE c.step_name
			WHEN 'routing_decision' THEN pg_temp.route((c.task_context ->> 'amount')::numeric)
			ELSE jsonb_build_object('by', c.step_name, 'after', (SELECT jsonb_agg(k ORDER BY k) FROM jsonb_each(c.dependency_results) d(k, v) WHERE v <> 'null')) END);
		RETURN NEXT c.step_name;
	END LOOP;
END $$;

CREATE TEMP TABLE approvals AS
SELECT amount, t.task_id, array_agg(w.step ORDER BY w.n) AS ran, count(*) AS steps
FROM unnest('{0.01, 500, 1000, 2500, 5000, 10000}'::numeric[]) amount,
	tasker.create_task('approval_routing', jsonb_build_object('amount', amount), 'approval') t,
	pg_temp.work(t.task_id) WITH ORDINALITY w(step, n)
GROUP BY amount, t.task_id;
SELECT amount, ran, steps, t.state, f.results ->> 'after' AS finalized_after,
	(SELECT string_agg(name, ', ' ORDER BY step_no) FROM tasker.workflow_steps s WHERE s.task_id = a.task_id AND s.state = 'skipped') AS skipped,
	(SELECT count(*) FROM tasker.verify_task(a.task_id)) AS violations
FROM approvals a JOIN tasker.tasks t USING (task_id) JOIN tasker.workflow_steps f ON f.task_id = a.task_id AND f.name = 'finalize_approval'
ORDER BY amount;
-- no amount: the worker cannot decide, and says so
SELECT task_id AS t FROM tasker.create_task('approval_routing', '{"amount": "much"}', 'approval') \gset
SELECT status FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"amount is no number"', false);
SELECT pg_temp.states(:t);

-- an outcome that cannot be followed is refused, and the claim stays; then the worker fails the step
SELECT task_id AS t FROM tasker.create_task('approval_routing', '{"amount": 1}', 'approval') \gset
SELECT status FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT result, r.line FROM unnest(ARRAY['null', '[]', '"auto_approve"', '{}', '{"branches": "auto_approve"}', '{"branches": [1]}', '{"branches": ["nobody"]}',
	'{"branches": ["auto_approve", "validate_request"]}', '{"branches": ["routing_decision"]}', '{"branches": [], "decision_point_outcome": {"type": "no_branches"}}',
	'{"decision_point_outcome": {}}', '{"decision_point_outcome": "no_branches"}', '{"decision_point_outcome": {"type": "create"}}',
	'{"decision_point_outcome": {"type": "create_steps"}}', '{"decision_point_outcome": {"type": "create_steps", "step_names": []}}',
	'{"decision_point_outcome": {"type": "create_steps", "step_names": ["nobody"]}}']) WITH ORDINALITY v(result, n),
	pg_temp.refusal(format('tasker.complete_step(%s, %s, %L)', :s, :k, result)) WITH ORDINALITY r(line, m) ORDER BY n, m;
SELECT status, error ->> 'sqlstate' AS sqlstate, error -> 'errors' AS errors FROM tasker.complete_steps(ARRAY[:s]::bigint[], ARRAY[:k]::bigint[], ARRAY['{"branches": ["nobody"]}']::jsonb[]);
SELECT pg_temp.states(:t);
SELECT step_state, task_state FROM tasker.fail_step(:s, :k, '"no such branch"', false);
SELECT pg_temp.states(:t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;

-- resolved by a person, a decision wants its branches too
SELECT line FROM pg_temp.refusal(format('tasker.resolve_step(%s, ''{"approved": true}'')', :s)) line;
SELECT line FROM pg_temp.refusal(format('tasker.transition_step(%s, ''resolved_manually'')', :s)) line;
SELECT task_state, steps_ready FROM tasker.resolve_step(:s, '{"branches": ["finance_review"], "why": "by hand"}');
SELECT pg_temp.states(:t);
SELECT * FROM pg_temp.work(:t);
SELECT pg_temp.states(:t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;

-- the same outcome twice makes nothing new
SELECT task_id AS t FROM tasker.create_task('approval_routing', '{"amount": 1}', 'approval') \gset
SELECT status FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT status, steps_ready FROM tasker.complete_step(:s, :k, '{"branches": ["manager_approval", "manager_approval"]}');
SELECT status, steps_ready FROM tasker.complete_step(:s, :k, '{"branches": ["auto_approve"]}');
SELECT pg_temp.states(:t);
SELECT count(*) AS moves FROM tasker.step_moves WHERE task_id = :t;
-- what was not taken is skipped, and stays so whatever a person does to the rest
SELECT line FROM pg_temp.refusal(format('tasker.reset_step(%s)', :t * 1000000::bigint + 3)) line;
SELECT task_state FROM tasker.skip_step(:t * 1000000::bigint + 4);
SELECT pg_temp.states(:t), (SELECT state FROM tasker.tasks WHERE task_id = :t) AS task;
SELECT reason FROM tasker.explain_step(:t * 1000000::bigint + 3);
SELECT e.name, e.workflow_step_id - :t * 1000000::bigint AS step FROM tasker.read_events(NULL, 10000, 'step.skipped') e WHERE e.task_id = :t ORDER BY 2;

-- no branch: the convergence is skipped as well, unless it runs whatever happened
SELECT created FROM tasker.register_task_template('{"name": "none", "namespace": "approval", "steps": [
	{"name": "d", "type": "decision"}, {"name": "a", "depends_on": ["d"]}, {"name": "b", "depends_on": ["d"]},
	{"name": "converge", "type": "deferred_convergence", "depends_on": ["a", "b"]},
	{"name": "with_decision", "type": "deferred_convergence", "depends_on": ["d", "a", "b"]},
	{"name": "always", "trigger_rule": "all_done", "depends_on": ["a", "b"]}]}');
SELECT task_id AS t FROM tasker.create_task('none', namespace => 'approval') \gset
SELECT steps_ready FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '{"decision_point_outcome": {"type": "no_branches"}}');
SELECT pg_temp.states(:t);
-- with_decision depends on the decision itself: it is a branch, and named as one
SELECT task_id AS t FROM tasker.create_task('none', namespace => 'approval') \gset
SELECT steps_ready FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '{"branches": ["with_decision"]}');
SELECT pg_temp.states(:t);
SELECT name, dependencies_satisfied, total_parents, completed_parents, ready_for_execution FROM tasker.get_step_readiness_status(:t) ORDER BY workflow_step_id;

-- a branch is taken when a step further down on it is named; a join at which taken and not taken branches meet
SELECT created FROM tasker.register_task_template('{"name": "deep", "namespace": "approval", "steps": [
	{"name": "d", "type": "decision"}, {"name": "left", "depends_on": ["d"]}, {"name": "left2", "depends_on": ["left"]},
	{"name": "right", "depends_on": ["d"]}, {"name": "right2", "depends_on": ["right"]},
	{"name": "strict", "depends_on": ["left2", "right2"]}, {"name": "lenient", "trigger_rule": "none_failed", "depends_on": ["left2", "right2"]}]}');
SELECT task_id AS t FROM tasker.create_task('deep', namespace => 'approval') \gset
SELECT steps_ready FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '{"branches": ["left2"]}');
SELECT pg_temp.states(:t);
SELECT * FROM pg_temp.work(:t);
SELECT pg_temp.states(:t), (SELECT count(*) FROM tasker.verify_task(:t)) AS violations;

-- decisions below decisions; a batch of decisions of many tasks in one call
SELECT created FROM tasker.register_task_template('{"name": "nested", "namespace": "approval", "steps": [
	{"name": "d", "type": "decision"}, {"name": "e", "type": "decision", "depends_on": ["d"]}, {"name": "x", "depends_on": ["d"]},
	{"name": "y", "depends_on": ["e"]}, {"name": "z", "depends_on": ["e"]},
	{"name": "end", "type": "deferred_convergence", "depends_on": ["x", "y", "z"]}]}');
SELECT count(*) FROM generate_series(1, 20) i, tasker.create_task('nested', jsonb_build_object('i', i), 'approval');
WITH c AS MATERIALIZED (SELECT * FROM tasker.claim_steps('w', 20, task_names => '{approval/nested}'))
SELECT status, task_state, sum(steps_ready) FROM tasker.complete_steps((SELECT array_agg(workflow_step_id) FROM c), (SELECT array_agg(claim_token) FROM c),
	(SELECT array_agg(CASE (task_context ->> 'i')::int % 3 WHEN 0 THEN '{"branches": []}' WHEN 1 THEN '{"branches": ["x"]}' ELSE '{"branches": ["z", "x"]}' END::jsonb) FROM c))
GROUP BY 1, 2 ORDER BY 2;
SELECT states, count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id), pg_temp.states(t.task_id) states WHERE n.name = 'nested' GROUP BY 1 ORDER BY 1;
WITH c AS MATERIALIZED (SELECT * FROM tasker.claim_steps('w', 50, task_names => '{approval/nested}'))
SELECT status, count(*), sum(steps_ready) FROM tasker.complete_steps((SELECT array_agg(workflow_step_id) FROM c), (SELECT array_agg(claim_token) FROM c),
	(SELECT array_agg('{"branches": ["z"]}'::jsonb) FROM c)) GROUP BY 1;
SELECT states, count(*) FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id), pg_temp.states(t.task_id) states WHERE n.name = 'nested' GROUP BY 1 ORDER BY 1;
SELECT count(*) AS violations FROM tasker.tasks t JOIN tasker.named_tasks n USING (named_task_id), tasker.verify_task(t.task_id) WHERE n.name = 'nested';

-- the step has failed for good: none of its branches is taken, whatever its rule says about that
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "fails", "namespace": "approval", "steps": [{"name": "d", "type": "decision", "on_failure": "skip"},
	{"name": "a", "depends_on": ["d"]}, {"name": "b", "trigger_rule": "all_done", "depends_on": ["d"]}]}') \gset
SELECT step_state, task_state FROM tasker.claim_steps('w', 1, task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', false);
SELECT pg_temp.states(:t);

-- a decision without branches, or one whose failure would be passed over, is no template
SELECT line FROM pg_temp.refusal($$tasker.register_task_template('{"name": "bad", "namespace": "approval", "steps": [{"name": "d", "type": "decision"},
	{"name": "e", "type": "decision", "on_failure": "continue"}, {"name": "f", "depends_on": ["e"]}]}')$$) line;
-- a result schema is checked besides
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "schema", "namespace": "approval", "steps": [{"name": "d", "type": "decision", "result_schema": {"required": ["why"]}},
	{"name": "a", "depends_on": ["d"]}]}') \gset
SELECT workflow_step_id AS s, claim_token AS k FROM tasker.claim_steps('w', 1, task_id => :t) \gset
SELECT line FROM pg_temp.refusal(format('tasker.complete_step(%s, %s, ''{"branches": []}'')', :s, :k)) line;
SELECT status, task_state FROM tasker.complete_step(:s, :k, '{"branches": [], "why": "nothing to do"}');
