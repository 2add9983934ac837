--
-- Two-phase commit: NOTIFY cannot be prepared, so with notify off everything
-- else can.  Skipped where max_prepared_transactions is 0.
--

SELECT current_setting('max_prepared_transactions')::int = 0 AS skip \gset
\if :skip
\echo skipped: max_prepared_transactions is 0
\quit
\endif

SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "twophase", "steps": [{"name": "s"}]}');
\set VERBOSITY sqlstate
BEGIN;
SELECT created FROM tasker.create_task('one', namespace => 'twophase');
PREPARE TRANSACTION 'tasker_notifies';
\set VERBOSITY default

-- also with a template and a lane that are new
BEGIN;
SET LOCAL tasker_core.notify = off;
SELECT created FROM tasker.register_task_template('{"name": "two", "namespace": "twophase", "steps": [{"name": "s"}]}');
SELECT task_id AS t FROM tasker.create_task('two', namespace => 'twophase', priority => 5) \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
PREPARE TRANSACTION 'tasker_commit';
SELECT count(*) AS not_yet FROM tasker.get_task_execution_context(:t);
COMMIT PREPARED 'tasker_commit';
SELECT status, in_progress_steps FROM tasker.get_task_execution_context(:t);

BEGIN;
SET LOCAL tasker_core.notify = off;
SELECT task_state, status FROM tasker.complete_step(:step, :token, '"prepared"');
PREPARE TRANSACTION 'tasker_rollback';
SELECT status FROM tasker.get_task_execution_context(:t);
ROLLBACK PREPARED 'tasker_rollback';
SELECT task_state, status FROM tasker.complete_step(:step, :token, '"directly"');
SELECT results FROM tasker.step_attempts WHERE task_id = :t;

-- a template and a lane that were prepared and rolled back are forgotten
BEGIN;
SET LOCAL tasker_core.notify = off;
SELECT created FROM tasker.register_task_template('{"name": "gone", "namespace": "twophase", "steps": [{"name": "s"}]}');
SELECT created FROM tasker.create_task('gone', namespace => 'twophase');
SELECT created FROM tasker.create_task('two', namespace => 'twophase', priority => 99);
PREPARE TRANSACTION 'tasker_rollback';
ROLLBACK PREPARED 'tasker_rollback';
\set VERBOSITY sqlstate
SELECT tasker.create_task('gone', namespace => 'twophase');
\set VERBOSITY default
SELECT task_id AS t FROM tasker.create_task('two', namespace => 'twophase', priority => 99) \gset
SELECT count(*) AS lanes FROM tasker.step_queue JOIN tasker.lanes USING (lane_id) WHERE task_id = :t;
\c -
SELECT step_name, priority FROM tasker.claim_steps('w', task_id => :t);

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
