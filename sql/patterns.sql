--
-- Workflow patterns: linear, diamond, parallel merge, tree, mixed.  Each starts
-- with its roots, runs in the order of its edges, hands results from parent to
-- child and ends; a failure stops its descendants and nothing else.
--

-- "a; b<a; c<a,b": steps and what each depends on.  A step squares the product of
-- its parents' results, or of n; one with a ! only multiplies.
CREATE FUNCTION pg_temp.register(name text, steps text) RETURNS int LANGUAGE sql AS $$
	SELECT count(*)::int FROM tasker.register_task_template(jsonb_build_object('name', name, 'namespace', 'patterns', 'steps',
		(SELECT jsonb_agg(jsonb_build_object('name', rtrim(split_part(s, '<', 1), '!'), 'retry', jsonb_build_object('max_attempts', 1),
				'handler', jsonb_build_object('callable', 'Multiply', 'initialization', jsonb_build_object('square', s NOT LIKE '%!%')),
				'depends_on', CASE WHEN s LIKE '%<%' THEN to_jsonb(string_to_array(split_part(s, '<', 2), ',')) ELSE '[]' END) ORDER BY i)
		 FROM regexp_split_to_table(steps, '; ') WITH ORDINALITY AS t(s, i)))) $$;

SELECT pg_temp.register('linear', 'one; two<one; three<two; four<three');
SELECT pg_temp.register('diamond', 'start; left<start; right<start; end<left,right');
SELECT pg_temp.register('merge', 'a; b; c; d; ab<a,b; cd<c,d; all!<ab,cd');
SELECT pg_temp.register('tree', 'root; left<root; right<root; d<left; e<left; f<right; g<right; final!<d,e,f,g');
SELECT pg_temp.register('mixed', 'init; left<init; right<init; validate<left,right; transform<left; analyze<right; finalize<validate,transform,analyze');
-- every step depends on all before it
SELECT pg_temp.register('dense', 'a; b<a; c<a,b; d<a,b,c; e<a,b,c,d');

-- ---------------------------------------------------------------------------
-- Initialisation and structure
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE fresh AS SELECT t.name, c.* FROM unnest('{linear,diamond,merge,tree,mixed,dense}'::text[]) t(name), tasker.create_task(t.name, namespace => 'patterns') c;
SELECT f.name, f.step_count, count(*) FILTER (WHERE current_state = 'pending') AS pending, count(*) FILTER (WHERE ready_for_execution) AS ready,
	string_agg(s.name, ',' ORDER BY s.workflow_step_id) FILTER (WHERE total_parents = 0) AS roots
FROM fresh f, tasker.get_step_readiness_status(f.task_id) s GROUP BY f.task_id, f.name, f.step_count ORDER BY f.task_id;
SELECT t.name, string_agg(f.name || '>' || s.name, ' ' ORDER BY e.from_step_no, e.to_step_no) AS edges
FROM tasker.named_tasks t JOIN tasker.task_namespaces n USING (namespace_id) JOIN tasker.named_step_edges e USING (named_task_id)
	JOIN tasker.named_steps f ON f.named_task_id = t.named_task_id AND f.step_no = e.from_step_no
	JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id AND s.step_no = e.to_step_no
WHERE n.name = 'patterns' GROUP BY t.named_task_id, t.name ORDER BY t.named_task_id;
SELECT bool_and(tasker.cancel_task(task_id)) AS cancelled FROM fresh;

-- ---------------------------------------------------------------------------
-- A worker
-- ---------------------------------------------------------------------------

-- Runs a task to its end, a number of steps at a time; fails the step of that
-- name for good.  Answers which steps were run in each round.
CREATE FUNCTION pg_temp.run(t bigint, at_a_time int, failing text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	rounds text;
	this_round text;
	step record;
	product numeric;
	input numeric;
BEGIN
	LOOP
		this_round := NULL;
		FOR step IN SELECT * FROM tasker.claim_steps('patterns', at_a_time, task_id => t) LOOP
			this_round := concat_ws('+', this_round, step.step_name);
			IF step.step_name = failing THEN
				PERFORM tasker.fail_step(step.workflow_step_id, step.claim_token, '"no"');
				CONTINUE;
			END IF;
			product := CASE WHEN step.dependency_results = '{}' THEN (step.task_context ->> 'n')::numeric ELSE 1 END;
			FOR input IN SELECT value::numeric FROM jsonb_each_text(step.dependency_results) LOOP
				product := product * input;
			END LOOP;
			IF step.handler_config -> 'square' = 'true' THEN
				product := product * product;
			END IF;
			PERFORM tasker.complete_step(step.workflow_step_id, step.claim_token, to_jsonb(product));
		END LOOP;
		EXIT WHEN this_round IS NULL;
		rounds := concat_ws(' ', rounds, this_round);
	END LOOP;
	RETURN rounds;
END $$;

-- ---------------------------------------------------------------------------
-- Completion order and results: four squarings of 2 give 2^16
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE runs AS
SELECT t.name, a.at_a_time, c.task_id, pg_temp.run(c.task_id, a.at_a_time) AS rounds
FROM unnest('{linear,diamond,merge,tree,mixed,dense}'::text[]) WITH ORDINALITY AS t(name, i), unnest('{100,2,1}'::int[]) a(at_a_time), tasker.create_task(t.name, jsonb_build_object('n', 2, 'a', a.at_a_time), 'patterns') c
ORDER BY t.i, a.at_a_time DESC;
SELECT name, at_a_time, rounds FROM runs ORDER BY task_id;
SELECT r.name, s.step_no, s.name AS step, count(DISTINCT s.results) AS results, min(log(2, (s.results #>> '{}')::numeric))::int AS power, bool_and(s.state = 'complete' AND s.attempts = 1) AS complete_once
FROM runs r JOIN tasker.workflow_steps s USING (task_id) GROUP BY r.name, s.step_no, s.name ORDER BY min(r.task_id), s.step_no;
SELECT r.name, s.results AS value FROM runs r JOIN tasker.workflow_steps s USING (task_id) WHERE r.at_a_time = 1 AND s.name IN ('four', 'end', 'all', 'final', 'finalize', 'e') AND (s.name <> 'e' OR r.name = 'dense') ORDER BY r.task_id;
SELECT DISTINCT c.status, c.execution_status, c.completion_percentage, c.health_status FROM runs, tasker.get_task_execution_context(task_id) c;
-- no step began before its parents had ended
SELECT count(*) AS too_early FROM runs JOIN tasker.tasks USING (task_id) JOIN tasker.named_step_edges e USING (named_task_id)
	JOIN tasker.step_attempts p ON p.task_id = runs.task_id AND p.step_no = e.from_step_no JOIN tasker.step_attempts c ON c.task_id = runs.task_id AND c.step_no = e.to_step_no
WHERE c.claimed_at < p.finished_at;

-- ---------------------------------------------------------------------------
-- Each step of each pattern fails once: its descendants never run, all others do
-- ---------------------------------------------------------------------------

CREATE TEMP TABLE failures AS
SELECT t.named_task_id, t.name, s.step_no, s.name AS failing, c.task_id, pg_temp.run(c.task_id, 100, s.name) AS rounds
FROM tasker.named_tasks t JOIN tasker.task_namespaces n USING (namespace_id) JOIN tasker.named_steps s USING (named_task_id), tasker.create_task(t.name, jsonb_build_object('n', 2, 'f', s.name), 'patterns') c
WHERE n.name = 'patterns';
CREATE TEMP TABLE outcomes AS
WITH RECURSIVE below AS (
	SELECT f.task_id, f.step_no FROM failures f
	UNION
	SELECT b.task_id, e.to_step_no FROM below b JOIN tasker.tasks USING (task_id) JOIN tasker.named_step_edges e USING (named_task_id) WHERE e.from_step_no = b.step_no)
SELECT f.*, s.name AS step, s.state, CASE WHEN s.step_no = f.step_no THEN 'error' WHEN b.step_no IS NOT NULL THEN 'pending' ELSE 'complete' END AS expected
FROM failures f JOIN tasker.workflow_steps s USING (task_id) LEFT JOIN below b ON b.task_id = s.task_id AND b.step_no = s.step_no;
SELECT count(*) AS steps, count(*) FILTER (WHERE state <> expected) AS wrong FROM outcomes;
SELECT name, failing, string_agg(step, ',' ORDER BY step) FILTER (WHERE state = 'pending') AS never_run FROM outcomes GROUP BY named_task_id, name, step_no, failing ORDER BY named_task_id, step_no;
SELECT DISTINCT c.status, c.execution_status, c.health_status, c.failed_steps, c.ready_steps FROM failures, tasker.get_task_execution_context(task_id) c;
SELECT count(*) AS queued FROM tasker.step_queue JOIN failures USING (task_id);

-- ---------------------------------------------------------------------------
-- Size
-- ---------------------------------------------------------------------------

-- 20 layers of 10, fully connected; and a chain of 300
SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'layers', 'namespace', 'patterns', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', l || '.' || i, 'depends_on', coalesce((SELECT jsonb_agg((l - 1) || '.' || j) FROM generate_series(1, 10) j WHERE l > 1), '[]'))) FROM generate_series(1, 20) l, generate_series(1, 10) i)));
SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'chain', 'namespace', 'patterns', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'depends_on', CASE WHEN i > 1 THEN jsonb_build_array('s' || i - 1) ELSE '[]' END)) FROM generate_series(1, 300) i)));
CREATE FUNCTION pg_temp.rush(template text, OUT calls int, OUT steps int, OUT state text, OUT violations bigint) LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task(template, namespace => 'patterns'));
	n int;
BEGIN
	calls := 0;
	steps := 0;
	LOOP
		SELECT count(*) INTO n FROM (SELECT array_agg(workflow_step_id) AS ids, array_agg(claim_token) AS tokens, array_agg('1'::jsonb) AS results FROM tasker.claim_steps('w', 1000, task_id => t)) c,
			tasker.complete_steps(c.ids, c.tokens, c.results) WHERE c.ids IS NOT NULL;
		EXIT WHEN n = 0;
		calls := calls + 1;
		steps := steps + n;
	END LOOP;
	SELECT status INTO state FROM tasker.get_task_execution_context(t);
	violations := (SELECT count(*) FROM tasker.verify_task(t));
END $$;
SELECT * FROM pg_temp.rush('layers');
SELECT * FROM pg_temp.rush('chain');

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
