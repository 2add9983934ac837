-- What every cluster starts from: the extension, the templates of the load, and the tables that an
-- application would write in the same transactions.
CREATE EXTENSION tasker_core;
CREATE TABLE orders (key text, task_id bigint);
CREATE TABLE effects (step_id bigint, claim_token bigint, value bigint);

-- Attempts are plenty, backoff is short: what breaks here is not the work.
CREATE FUNCTION pg_temp.template(name text, steps jsonb) RETURNS void LANGUAGE sql AS $$
  SELECT FROM tasker.register_task_template(jsonb_build_object('namespace', 'fault', 'name', name, 'steps',
    (SELECT jsonb_agg(step || '{"retry": {"max_attempts": 100, "backoff_base_ms": 10, "max_backoff_ms": 50}}') FROM jsonb_array_elements(steps) step)))
$$;
SELECT pg_temp.template('diamond', '[{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]');
SELECT pg_temp.template('chain', '[{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]');
SELECT pg_temp.template('fan', '[{"name": "root"}, {"name": "1", "depends_on": ["root"]}, {"name": "2", "depends_on": ["root"]}, {"name": "3", "depends_on": ["root"]},
  {"name": "4", "depends_on": ["root"]}, {"name": "5", "depends_on": ["root"]}, {"name": "join", "depends_on": ["1", "2", "3", "4", "5"]}]');
-- Tasks of this one are changed by hand.
SELECT pg_temp.template('changed', '[{"name": "a"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]');
