-- create_tasks: the text of a request means the same under every DateStyle and TimeZone, and the
-- settings of the session stay as they are.

SET client_min_messages = warning;

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "create_tasks", "steps": [{"name": "a"}]}');

CREATE FUNCTION pg_temp.run_at(given text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	task bigint := (SELECT task_id FROM tasker.create_tasks(
		jsonb_build_array(jsonb_build_object('name', 'one', 'namespace', 'create_tasks', 'run_at', given))));
BEGIN
	RETURN (SELECT to_char(run_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') FROM tasker.tasks WHERE task_id = task);
END $$;
CREATE FUNCTION pg_temp.times() RETURNS TABLE (given text, run_at text) LANGUAGE plpgsql AS $$
BEGIN
	FOREACH given IN ARRAY ARRAY['2030-02-01 10:00', '01/02/2030 10:00', '2030-02-01T10:00:00+02:00', '2030-02-01 10:00 UTC'] LOOP
		run_at := pg_temp.run_at(given);
		RETURN NEXT;
	END LOOP;
END $$;

SELECT * FROM pg_temp.times();
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kathmandu';
SELECT * FROM pg_temp.times();
SHOW DateStyle;
SHOW TimeZone;
\set VERBOSITY sqlstate
SELECT * FROM pg_temp.run_at('soon');
SELECT * FROM pg_temp.run_at('infinity');
\set VERBOSITY default
SHOW DateStyle;
SHOW TimeZone;

-- tags are refused as create_task refuses them
SELECT * FROM tasker.create_tasks('[{"name": "one", "namespace": "create_tasks", "tags": ["a"]}, {"name": "one", "namespace": "create_tasks", "tags": ["a", null]}]');
SELECT * FROM tasker.create_tasks('[{"name": "one", "namespace": "create_tasks", "tags": [["a"], ["b"]]}]');
SELECT ordinal, created FROM tasker.create_tasks('[{"name": "one", "namespace": "create_tasks", "tags": []}, {"name": "one", "namespace": "create_tasks", "tags": ["a", "b"]}]');
SELECT tags FROM tasker.tasks WHERE named_task_id = (SELECT named_task_id FROM tasker.list_task_templates('create_tasks')) AND tags IS NOT NULL ORDER BY task_id;
