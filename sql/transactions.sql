--
-- Transactions: everything happens in the caller's, and commits or rolls back
-- with what the application wrote; savepoints, isolation levels, read-only.
--

CREATE TEMP TABLE orders (id int PRIMARY KEY, state text);

-- every row of every table
CREATE FUNCTION pg_temp.everything() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	digest text := '';
	relation regclass;
	part text;
BEGIN
	FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
		EXECUTE format('SELECT md5(string_agg(r::text, ''|'' ORDER BY r::text)) FROM %s r', relation) INTO part;
		digest := digest || coalesce(part, '-');
	END LOOP;
	RETURN md5(digest);
END $$;

-- ---------------------------------------------------------------------------
-- Everything in one transaction: rolled back, then committed
-- ---------------------------------------------------------------------------

SELECT pg_temp.everything() AS before \gset
BEGIN;
INSERT INTO orders VALUES (1, 'new');
SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "tx", "steps": [{"name": "a"}, {"name": "b", "depends_on": ["a"]}]}');
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'tx', priority => 3, idempotency_key => 'k') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('tx_w', task_id => :t) \gset
UPDATE orders SET state = 'a';
SELECT status, steps_ready FROM tasker.complete_step(:step, :token, '1');
SELECT step_name, dependency_results FROM tasker.claim_steps('tx_w', task_id => :t);
ROLLBACK;
SELECT count(*) AS orders FROM orders;
SELECT pg_temp.everything() = :'before' AS nothing_left;
SELECT count(*) AS readiness FROM tasker.get_step_readiness_status(:t);
\set VERBOSITY sqlstate
SELECT tasker.create_task('pair', namespace => 'tx');
SELECT tasker.complete_step(:step, :token, '1');
\set VERBOSITY default

-- what this session knew of the template is forgotten: another content under the same version is new
SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "tx", "steps": [{"name": "x"}, {"name": "y", "depends_on": ["x"]}, {"name": "z"}]}');
BEGIN;
INSERT INTO orders VALUES (1, 'new');
SELECT task_id AS t, created, step_count FROM tasker.create_task('pair', namespace => 'tx', priority => 3, idempotency_key => 'k') \gset
\echo :created :step_count
SELECT workflow_step_id AS step, claim_token AS token, step_name FROM tasker.claim_steps('tx_w', task_id => :t) \gset
\echo :step_name
UPDATE orders SET state = 'x';
SELECT status, steps_ready FROM tasker.complete_step(:step, :token, '1');
COMMIT;
SELECT state FROM orders;
SELECT name, state FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;

-- ---------------------------------------------------------------------------
-- Savepoints
-- ---------------------------------------------------------------------------

BEGIN;
-- a claim that is rolled back was none
SAVEPOINT s;
SELECT claim_token AS gone FROM tasker.claim_steps('tx_w', task_id => :t) \gset
ROLLBACK TO s;
SELECT workflow_step_id AS step, claim_token AS token, attempt FROM tasker.claim_steps('tx_w', task_id => :t) \gset
SELECT :token <> :gone AS other_token, :attempt AS attempt;
-- a completion that is rolled back can be repeated, with another result
SAVEPOINT s;
SELECT status FROM tasker.complete_step(:step, :token, '"first"');
ROLLBACK TO s;
SELECT status FROM tasker.complete_step(:step, :token, '"second"');
-- one that is released stays
SAVEPOINT s;
SELECT workflow_step_id AS step2, claim_token AS token2 FROM tasker.claim_steps('tx_w', task_id => :t) \gset
RELEASE s;
SELECT task_state, status FROM tasker.complete_step(:step2, :token2, '"third"');
COMMIT;
SELECT name, state, results FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;

-- a template and a lane that are rolled back within a transaction that goes on
BEGIN;
SAVEPOINT s;
SELECT created FROM tasker.register_task_template('{"name": "sub", "namespace": "tx", "steps": [{"name": "old"}]}');
SELECT task_id AS t FROM tasker.create_task('sub', namespace => 'tx', priority => 77) \gset
SELECT count(*) FROM tasker.claim_steps('tx_w', task_id => :t);
ROLLBACK TO s;
SELECT created FROM tasker.register_task_template('{"name": "sub", "namespace": "tx", "steps": [{"name": "new"}, {"name": "new2"}]}');
SELECT task_id AS t, step_count FROM tasker.create_task('sub', namespace => 'tx', priority => 77) \gset
\echo :step_count
SELECT step_name, priority FROM tasker.claim_steps('tx_w', 10, task_id => :t);
COMMIT;
SELECT step_no, l.priority, l.task_priority FROM tasker.step_queue JOIN tasker.lanes l USING (lane_id) WHERE task_id = :t ORDER BY 1;

-- ---------------------------------------------------------------------------
-- An error leaves the session as it was
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.try(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT current_user AS me, current_setting('search_path') AS path \gset
BEGIN;
SELECT call, pg_temp.try(call) FROM unnest(ARRAY['tasker.create_task(''none'')', 'tasker.cancel_task(0)', 'tasker.complete_step(999999, 1, ''1'')', 'tasker.register_task_template(''{}'')',
	'tasker.claim_steps(''w'', 0)']) call;
SELECT current_user = :'me' AS same_user, current_setting('search_path') = :'path' AS same_path;
SELECT created FROM tasker.create_task('pair', namespace => 'tx');
SELECT current_user = :'me' AS same_user, current_setting('search_path') = :'path' AS same_path;
COMMIT;
-- and after a failed transaction
\set VERBOSITY sqlstate
BEGIN;
SELECT tasker.create_task('none');
SELECT tasker.create_task('pair', namespace => 'tx');
ROLLBACK;
\set VERBOSITY default
SELECT current_user = :'me' AS same_user, current_setting('search_path') = :'path' AS same_path;

-- ---------------------------------------------------------------------------
-- Times are the clock's, not the transaction's
-- ---------------------------------------------------------------------------

BEGIN;
SELECT now() AS started \gset
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'tx') \gset
SELECT count(*) FROM tasker.claim_steps('tx_w', 2, task_id => :t);
SELECT created_at > :'started' AS created, started_at > created_at AS started FROM tasker.tasks WHERE task_id = :t;
COMMIT;

-- a cursor claims all it was asked for, however few are fetched
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'tx') \gset
BEGIN;
DECLARE c CURSOR FOR SELECT step_name FROM tasker.claim_steps('tx_w', 2, '{tx}', task_id => (SELECT max(task_id) FROM tasker.tasks));
FETCH 1 FROM c;
CLOSE c;
COMMIT;
SELECT step_no, phase FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;

-- ---------------------------------------------------------------------------
-- Isolation levels, read-only
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_temp.run(OUT state text, OUT violations bigint) LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task('pair', namespace => 'tx'));
BEGIN
	FOR i IN 1 .. 3 LOOP
		PERFORM tasker.complete_step(workflow_step_id, claim_token, '1') FROM tasker.claim_steps('tx_w', task_id => t);
	END LOOP;
	SELECT status INTO state FROM tasker.get_task_execution_context(t);
	violations := (SELECT count(*) FROM tasker.verify_task(t));
END $$;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM pg_temp.run();
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM pg_temp.run();
COMMIT;

BEGIN READ ONLY;
SELECT count(*) AS readiness FROM tasker.get_step_readiness_status(:t);
SELECT status FROM tasker.get_task_execution_context(:t);
SELECT count(*) AS violations FROM tasker.verify_task(:t);
SELECT count(*) AS violations FROM tasker.verify_all();
SELECT count(*) > 0 AS templates FROM tasker.list_task_templates('tx');
SELECT tasker.get_task_template('sub', 'tx') ->> 'name' AS template;
SELECT count(*) AS steps FROM tasker.workflow_steps WHERE task_id = :t;
\set VERBOSITY sqlstate
SELECT tasker.create_task('pair', namespace => 'tx');
ROLLBACK;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
