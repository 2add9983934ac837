-- A trigger of the owner on a table of ours calls us again while a call is under way: the caller
-- has his own rights back afterwards, and history names him, also when the trigger failed.

SET client_min_messages = warning;

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "nested", "steps": [{"name": "a"}]}');

CREATE ROLE regress_tasker_nested;
SELECT tasker.grant_access('regress_tasker_nested', 'admin');

CREATE FUNCTION pg_temp.look_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM FROM tasker.get_task_execution_context(new.task_id);
	IF new.reason = 'with another' THEN
		PERFORM FROM tasker.create_task('one', namespace => 'nested', priority => 7);	-- a new lane
	END IF;
	BEGIN
		PERFORM FROM tasker.reset_step(new.task_id * 1000000 + 2);	-- there is no such step
	EXCEPTION WHEN OTHERS THEN NULL;
	END;
	IF new.reason = 'refused' THEN
		RAISE EXCEPTION 'refused';
	END IF;
	RETURN new;
END $$;
CREATE TRIGGER look_again AFTER INSERT ON tasker.tasks FOR EACH ROW EXECUTE FUNCTION pg_temp.look_again();

SET ROLE regress_tasker_nested;
SELECT task_id AS t, created FROM tasker.create_task('one', namespace => 'nested') \gset
SELECT current_user;
SELECT count(*) FROM tasker.tasks;
DO $$
BEGIN
	PERFORM FROM tasker.create_task('one', namespace => 'nested', reason => 'refused');
EXCEPTION WHEN raise_exception THEN RAISE WARNING '%, and I am %', sqlerrm, current_user;
END $$;
SELECT current_user;
SELECT current_state FROM tasker.get_step_readiness_status(:t);
SELECT step_name FROM tasker.claim_steps('nested_w', task_id => :t);
SELECT task_id AS t2, step_count FROM tasker.create_task('one', namespace => 'nested', reason => 'with another') \gset
\echo :step_count
RESET ROLE;

SELECT created_as FROM tasker.tasks WHERE task_id = :t;
SELECT violation FROM tasker.verify_task(:t);
SELECT violation FROM tasker.verify_task(:t2);
SELECT step_name, priority FROM tasker.claim_steps('nested_w', 10, '{nested}');

DROP TRIGGER look_again ON tasker.tasks;
DROP OWNED BY regress_tasker_nested;
DROP ROLE regress_tasker_nested;
