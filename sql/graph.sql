--
-- The graph of a task: levels, ancestors, parents and children, and pictures of
-- it, in time that does not depend on the number of paths.
--

SELECT name FROM tasker.register_task_template('{"name": "order", "namespace": "graph", "steps": [
	{"name": "check"}, {"name": "reserve", "depends_on": ["check"]}, {"name": "charge", "depends_on": ["check"]},
	{"name": "ship", "depends_on": ["reserve", "charge"]}, {"name": "notify", "depends_on": ["ship", "check"]}, {"name": "audit"}]}');
SELECT task_id AS t FROM tasker.create_task('order', namespace => 'graph') \gset

-- the level is the longest path from a root, the depth the shortest
SELECT s.name, l.dependency_level, d.min_depth_from_root FROM tasker.calculate_dependency_levels(:t) WITH ORDINALITY l
JOIN tasker.workflow_steps s USING (workflow_step_id) JOIN tasker.step_dag_relationships d USING (workflow_step_id) WHERE s.task_id = :t AND d.task_id = :t ORDER BY ordinality;
SELECT count(*) AS unknown_task FROM tasker.calculate_dependency_levels(9223372036854775807);
SELECT count(*) AS unknown_task FROM tasker.calculate_dependency_levels(-1);

SELECT from_step_id % 1000000 || ' -> ' || to_step_id % 1000000 AS edge, from_name, to_name FROM tasker.workflow_step_edges WHERE task_id = :t ORDER BY from_step_id, to_step_id;
SELECT d.name, n.name = d.name AS named, ARRAY(SELECT id - :t * 1000000::bigint FROM unnest(parent_step_ids) WITH ORDINALITY u(id, o) ORDER BY o) AS parents, parent_count,
	ARRAY(SELECT id - :t * 1000000::bigint FROM unnest(child_step_ids) WITH ORDINALITY u(id, o) ORDER BY o) AS children, child_count, is_root, is_leaf
FROM tasker.step_dag_relationships d JOIN tasker.named_steps n USING (named_step_id) WHERE task_id = :t ORDER BY workflow_step_id;

-- ancestors: each once, the nearest first, with state and results, JSON null among them
SELECT status FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '{"ok": true}') WHERE step_name = 'check';
SELECT step_name, status FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, 'null') ORDER BY 1;
SELECT task_state FROM tasker.resolve_step(:t * 1000000::bigint + 3, '"by hand"', 'paid in cash');
SELECT workflow_step_id - task_id * 1000000 AS step, task_id = :t AS task, name, distance, current_state, results FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 5);
SELECT name, distance FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 2);
SELECT count(*) AS of_a_root FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 1);

-- ---------------------------------------------------------------------------
-- Pictures
-- ---------------------------------------------------------------------------

\pset format unaligned
SELECT regexp_replace(tasker.task_graph(:t), 'task \d+', 'task N');
SELECT regexp_replace(tasker.task_graph(:t, 'dot'), 'task \d+', 'task N');
SELECT step_name, step_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retry_after_seconds => 60);
SELECT tasker.pause_task(:t);
SELECT regexp_replace(tasker.task_graph(:t, 'text'), 'task \d+', 'task N');
SELECT tasker.cancel_task(:t);
SELECT regexp_replace(tasker.task_graph(:t, 'text'), 'task \d+', 'task N');
SELECT tasker.template_graph('order', 'graph');
SELECT tasker.template_graph('order', 'graph', '0.1.0', 'dot');
SELECT tasker.template_graph('order', 'graph', format => 'text');
SELECT tasker.task_graph(:t, NULL) = tasker.task_graph(:t) AS null_is_the_default;

-- names mean nothing to the language of the picture, whatever they hold
SELECT name FROM tasker.register_task_template('{"name": "o\"dd [%%{init: 1}%%] \\", "namespace": "graph", "description": "two\nlines", "steps": [
	{"name": "say \"hi\" <b>&amp;</b>", "description": "two\nlines"}, {"name": "1. list [x] {y} (z)", "depends_on": ["say \"hi\" <b>&amp;</b>"]},
	{"name": "send-mail_v1.2 🚀 ñ", "depends_on": ["say \"hi\" <b>&amp;</b>"]}, {"name": "back\\slash \\N\\", "depends_on": ["1. list [x] {y} (z)"]},
	{"name": "`_end_` --> *x*; #1 %% a|b", "depends_on": ["send-mail_v1.2 🚀 ñ"]}]}');
SELECT tasker.template_graph(E'o"dd [%%{init: 1}%%] \\', 'graph');
SELECT tasker.template_graph(E'o"dd [%%{init: 1}%%] \\', 'graph', format => 'dot');
SELECT tasker.template_graph(E'o"dd [%%{init: 1}%%] \\', 'graph', format => 'text');
-- every line of the flowchart is a node, an edge, a class or the comment
SELECT task_id AS odd FROM tasker.create_task(E'o"dd [%%{init: 1}%%] \\', namespace => 'graph') \gset
SELECT line FROM regexp_split_to_table(rtrim(tasker.task_graph(:odd), E'\n'), E'\n') WITH ORDINALITY l(line, n)
WHERE n > 1 AND line !~ '^    (s\d+\["([^"<>{}\[\]()`|%\\*#;]|#\d+;|<br/>)*"\]:::[a-z_]+|s\d+ --> s\d+|classDef [a-z_]+ fill:#[0-9a-f]{6},stroke:#[0-9a-f]{6},color:#[0-9a-f]{6}|%% [^%{}]*)$';
SELECT tasker.cancel_task(:odd);
\pset format aligned

-- the rows are the same in every session
SET TimeZone = 'Asia/Tokyo';
SET search_path = pg_temp;
SELECT count(*) FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 5);
RESET search_path;
RESET TimeZone;

-- ---------------------------------------------------------------------------
-- Many paths (peers' defect 2, where they were enumerated): 20 layers of 10 steps,
-- all connected; a chain of 2,000
-- ---------------------------------------------------------------------------

SELECT named_task_id > 0 AS registered FROM tasker.register_task_template((SELECT jsonb_build_object('name', 'lattice', 'namespace', 'graph', 'steps', jsonb_agg(jsonb_build_object('name', l || '.' || i,
	'depends_on', CASE WHEN l = 0 THEN '[]' ELSE (SELECT jsonb_agg(l - 1 || '.' || p) FROM generate_series(0, 9) p) END) ORDER BY l, i)) FROM generate_series(0, 19) l, generate_series(0, 9) i));
SELECT task_id AS layers FROM tasker.create_task('lattice', namespace => 'graph') \gset
SELECT count(*) AS levels, bool_and(dependency_level = (workflow_step_id % 1000000 - 1) / 10) AS level_is_layer FROM tasker.calculate_dependency_levels(:layers);
SELECT count(*) AS ancestors, count(DISTINCT workflow_step_id) AS distinct, max(distance), sum(distance) FROM tasker.get_step_transitive_dependencies(:layers * 1000000::bigint + 200);
SELECT count(*), sum(parent_count) AS parents, sum(child_count) AS children, count(*) FILTER (WHERE is_root) AS roots, count(*) FILTER (WHERE is_leaf) AS leaves,
	bool_and(min_depth_from_root = (workflow_step_id % 1000000 - 1) / 10) AS depth_is_layer FROM tasker.step_dag_relationships WHERE task_id = :layers;
SELECT count(*) AS edges FROM tasker.workflow_step_edges WHERE task_id = :layers;
SELECT count(*) AS lines FROM regexp_split_to_table(rtrim(tasker.task_graph(:layers, 'dot'), E'\n'), E'\n');
SELECT tasker.cancel_task(:layers);

SELECT named_task_id > 0 AS registered FROM tasker.register_task_template((SELECT jsonb_build_object('name', 'chain', 'namespace', 'graph', 'steps', jsonb_agg(jsonb_build_object('name', 's' || i,
	'depends_on', CASE WHEN i = 0 THEN '[]' ELSE jsonb_build_array('s' || i - 1) END) ORDER BY i)) FROM generate_series(0, 1999) i));
SELECT task_id AS chain FROM tasker.create_task('chain', namespace => 'graph') \gset
SELECT max(dependency_level), count(DISTINCT dependency_level) FROM tasker.calculate_dependency_levels(:chain);
SELECT count(*), max(distance) FROM tasker.get_step_transitive_dependencies(:chain * 1000000::bigint + 2000);
-- it runs to the end
CREATE FUNCTION pg_temp.run(t bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	step bigint;
	token bigint;
BEGIN
	SELECT workflow_step_id, claim_token INTO step, token FROM tasker.claim_steps('graph', task_id => t);
	WHILE step IS NOT NULL LOOP
		SELECT workflow_step_id, claim_token INTO step, token
		FROM tasker.complete_and_claim(ARRAY[step], ARRAY[token], ARRAY[to_jsonb(step % 1000000)], 'graph', 1, task_id => t);
	END LOOP;
	RETURN (SELECT state FROM tasker.tasks WHERE task_id = t);
END $$;
SELECT pg_temp.run(:chain);
SELECT count(*), count(DISTINCT results), max(results::int) FROM tasker.get_step_transitive_dependencies(:chain * 1000000::bigint + 2000);

-- ---------------------------------------------------------------------------
-- What is refused
-- ---------------------------------------------------------------------------

SELECT tasker.task_graph(9223372036854775807);
SELECT tasker.task_graph(1, 'svg');
SELECT tasker.task_graph(NULL);
SELECT tasker.template_graph('order', 'nowhere');
SELECT tasker.template_graph('order', 'graph', '7.0.0');
SELECT tasker.template_graph('order', 'graph', format => 'SVG');
SELECT tasker.get_step_transitive_dependencies(9223372036854775807);
\set VERBOSITY sqlstate
SELECT tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 7);
SELECT tasker.get_step_transitive_dependencies(:t * 1000000::bigint);
SELECT tasker.get_step_transitive_dependencies(-1);
SELECT tasker.get_step_transitive_dependencies(NULL);
SELECT tasker.calculate_dependency_levels(NULL);
\set VERBOSITY default
