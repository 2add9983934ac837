-- What somebody has put on the tables holds, though no statement writes them: triggers fire, constraints are
-- checked, columns of theirs have their defaults.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS tasker_core;
RESET client_min_messages;

SELECT count(*) FROM tasker.register_task_template('{"name": "altered", "steps": [{"name": "a", "retry": {"jitter": 0, "backoff": "none"}}, {"name": "b"},
	{"name": "join", "depends_on": ["a", "b"]}, {"name": "last", "depends_on": ["join"]}]}');
CREATE FUNCTION pg_temp.run() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE c record; BEGIN
	LOOP
		SELECT * INTO c FROM tasker.claim_steps('w', 1, task_names => '{default/altered}');
		EXIT WHEN NOT FOUND;
		IF c.step_name = 'a' AND c.attempt = 1 THEN
			RETURN NEXT (SELECT 'a: ' || step_state FROM tasker.fail_step(c.workflow_step_id, c.claim_token, '"no"'));
		ELSE
			RETURN NEXT (SELECT c.step_name || ': ' || task_state FROM tasker.complete_step(c.workflow_step_id, c.claim_token, to_jsonb(c.step_name)));
		END IF;
	END LOOP;
END $$;

-- ---------------------------------------------------------------------------
-- Triggers
-- ---------------------------------------------------------------------------

BEGIN;
CREATE TABLE seen (id serial, what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.seen (what) VALUES (concat_ws(' ', regexp_replace(tg_table_name, '_[0-9]+$', ''), tg_when, tg_op, tg_level,
		CASE WHEN tg_level = 'ROW' THEN coalesce(to_jsonb(new) ->> 'step_no', to_jsonb(old) ->> 'step_no') END,
		CASE WHEN tg_op <> 'DELETE' AND tg_level = 'ROW' THEN coalesce(to_jsonb(new) ->> 'phase', to_jsonb(new) ->> 'outcome') END));
	RETURN coalesce(new, old);
END $$;
CREATE TRIGGER see_rows BEFORE INSERT OR UPDATE OR DELETE ON tasker.step_queue FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see_statements AFTER INSERT ON tasker.step_queue FOR EACH STATEMENT EXECUTE FUNCTION see();
CREATE TRIGGER see_attempts AFTER INSERT ON tasker.step_attempts FOR EACH ROW EXECUTE FUNCTION see();
CREATE TRIGGER see_tasks AFTER INSERT ON tasker.tasks FOR EACH ROW EXECUTE FUNCTION see();
SELECT task_id AS t FROM tasker.create_task('altered') \gset
SELECT * FROM pg_temp.run();
SELECT what FROM seen ORDER BY id;
SELECT state, (SELECT count(*) FROM tasker.verify_task(:t)) AS violations FROM tasker.tasks WHERE task_id = :t;
ROLLBACK;

-- on the row of a worker, which is written at most every ten seconds
BEGIN;
CREATE TABLE seen (id serial, what text);
CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO public.seen (what) VALUES (concat_ws(' ', tg_op, new.queues::text, new.last_seen_at > old.last_seen_at));
	RETURN new;
END $$;
CREATE TRIGGER see_workers BEFORE INSERT OR UPDATE ON tasker.workers FOR EACH ROW EXECUTE FUNCTION see();
SELECT FROM tasker.claim_steps('altered', 0, queues => '{one}');
SELECT FROM tasker.claim_steps('altered', 0, queues => '{two}');
SET LOCAL tasker_core.clock_offset = 20;
SELECT FROM tasker.claim_steps('altered', 0, queues => '{three}');
SELECT count(*) FROM tasker.heartbeat('altered', '{}', '{}');
SELECT what FROM seen ORDER BY id;
ROLLBACK;

-- a trigger that leaves a row out
BEGIN;
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN new.step_no IN (1, 3) THEN NULL ELSE new END; END $$;
CREATE TRIGGER leave_out BEFORE INSERT ON tasker.step_queue FOR EACH ROW EXECUTE FUNCTION leave_out();
SELECT task_id AS t FROM tasker.create_task('altered') \gset
SELECT step_no FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
\set SHOW_CONTEXT never
SELECT * FROM pg_temp.run();
\set SHOW_CONTEXT errors
ROLLBACK;

-- ---------------------------------------------------------------------------
-- Columns and constraints
-- ---------------------------------------------------------------------------

BEGIN;
ALTER TABLE tasker.step_queue ADD COLUMN note text DEFAULT 'mine', ADD COLUMN twice int GENERATED ALWAYS AS (step_no * 2) STORED;
ALTER TABLE tasker.step_attempts ADD COLUMN note text DEFAULT 'ours';
SELECT task_id AS t FROM tasker.create_task('altered') \gset
SELECT step_no, note, twice FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
SELECT count(*) FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') d WHERE c.step_name = 'b';
SELECT step_no, note, twice FROM tasker.step_queue WHERE task_id = :t AND phase = 'w';
ROLLBACK;
BEGIN;
ALTER TABLE tasker.step_queue ADD COLUMN note text DEFAULT 'mine', ADD COLUMN twice int GENERATED ALWAYS AS (step_no * 2) STORED;
ALTER TABLE tasker.step_attempts ADD COLUMN note text DEFAULT 'ours';
SELECT task_id AS t FROM tasker.create_task('altered') \gset
SELECT count(*) FROM pg_temp.run();
SELECT step_no, outcome, note FROM tasker.step_attempts WHERE task_id = :t ORDER BY step_no, attempt_no;
SELECT * FROM tasker.verify_task(:t);
ROLLBACK;

\set VERBOSITY sqlstate
BEGIN;
ALTER TABLE tasker.step_queue ADD CONSTRAINT never_ready CHECK (phase <> 'r') NOT VALID;
SELECT * FROM tasker.create_task('altered');
ROLLBACK;
BEGIN;
ALTER TABLE tasker.step_queue ADD CONSTRAINT never_waiting CHECK (phase <> 'w') NOT VALID;
SELECT count(*) FROM tasker.create_task('altered');
SELECT * FROM pg_temp.run();
ROLLBACK;
BEGIN;
ALTER TABLE tasker.step_attempts ADD CONSTRAINT no_failures CHECK (outcome <> 'failed') NOT VALID;
SELECT count(*) FROM tasker.create_task('altered');
SELECT * FROM pg_temp.run();
ROLLBACK;
BEGIN;
ALTER TABLE tasker.step_queue ADD CONSTRAINT never_claimed CHECK (phase <> 'c') NOT VALID;
SELECT count(*) FROM tasker.create_task('altered');
SELECT * FROM tasker.claim_steps('w', 1, task_names => '{default/altered}');
ROLLBACK;
BEGIN;
CREATE UNIQUE INDEX ON tasker.tasks (priority) WHERE priority = 7654321;
SELECT count(*) FROM tasker.create_task('altered', priority => 7654321);
SELECT count(*) FROM tasker.create_task('altered', priority => 7654321);
ROLLBACK;
\set VERBOSITY default

-- ---------------------------------------------------------------------------
-- Rebuilt indexes
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('altered') \gset
REINDEX TABLE tasker.step_queue;
REINDEX TABLE tasker.tasks;
SELECT * FROM pg_temp.run();
SELECT * FROM tasker.verify_task(:t);

-- one that leaves out what an older snapshot has to see is not read by that
BEGIN;
UPDATE pg_index SET indcheckxmin = true WHERE indexrelid = 'tasker.step_queue_pkey'::regclass;
SELECT count(*) FROM tasker.get_step_readiness_status(:t);
ROLLBACK;
SELECT count(*) FROM tasker.get_step_readiness_status(:t);

-- ---------------------------------------------------------------------------
-- What a statement would refuse
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('altered') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', 1, task_id => :t) \gset
\set VERBOSITY sqlstate
BEGIN READ ONLY;
SELECT * FROM tasker.complete_step(:step, :token, '1');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM tasker.fail_step(:step, :token, '1');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM tasker.claim_steps('w', 1, task_id => :t);
ROLLBACK;
\set VERBOSITY default
BEGIN READ ONLY;
SELECT count(*) FROM tasker.get_step_readiness_status(:t);
COMMIT;

-- a published table without an identity for its rows
BEGIN;
ALTER TABLE tasker.step_queue REPLICA IDENTITY NOTHING;
SET LOCAL client_min_messages = error;
CREATE PUBLICATION altered_tables FOR TABLE tasker.step_queue;
\set VERBOSITY sqlstate
SELECT * FROM tasker.complete_step(:step, :token, '1');
\set VERBOSITY default
ROLLBACK;
SELECT * FROM tasker.verify_task(:t);
