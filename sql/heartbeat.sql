--
-- heartbeat: leases are extended, never beyond the step's timeout; the worker is
-- recorded alive; lost claims are named.
--

SELECT name FROM tasker.register_task_template('{"name": "two", "namespace": "beat", "steps": [{"name": "s"}, {"name": "timed", "timeout_seconds": 100}]}');
SELECT task_id AS t FROM tasker.create_task('two', namespace => 'beat') \gset
SELECT array_agg(workflow_step_id ORDER BY step_name) AS ids, array_agg(claim_token ORDER BY step_name) AS tokens FROM tasker.claim_steps('beat_w', 10, '{beat}', 10) \gset

SELECT step_no, visible_at - claimed_at AS lease FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;

-- held claims are no news; the lease counts from now
SET tasker_core.clock_offset = 5;
SELECT count(*) AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens');
SELECT step_no, date_trunc('second', visible_at - claimed_at) AS lease, attempts FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
-- as long as asked for; the timed step no longer than its timeout allows
SELECT count(*) AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens', 1000);
SELECT step_no, date_trunc('second', visible_at - claimed_at) AS lease FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
-- NULL for the default
SELECT count(*) AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens', NULL);
SELECT step_no, date_trunc('second', visible_at - claimed_at) AS lease FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
-- nothing is taken away from it by others meanwhile
SELECT count(*) AS claimable FROM tasker.claim_steps('thief', 10, '{beat}');

-- an expired lease that nobody took is held again, unless the step's time is up
SET tasker_core.clock_offset = 120;
SELECT count(*) AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens');
SELECT workflow_step_id % 1000000 AS taken, attempt FROM tasker.claim_steps('thief', 10, '{beat}', 30);
SELECT workflow_step_id % 1000000 AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens');
SELECT step_no, worker_id, date_trunc('second', visible_at - claimed_at) AS lease FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;

-- what is not held: cancelled, wrong token, unknown, ended
SELECT id AS lost FROM tasker.heartbeat('beat_w', '{9223372036854775807,-1,0}', '{1,2,3}') h(id) ORDER BY 1;
SELECT workflow_step_id % 1000000 AS lost FROM tasker.heartbeat('beat_w', :'ids', '{1,2}') ORDER BY 1;
SELECT tasker.cancel_task(:t);
SELECT workflow_step_id % 1000000 AS lost FROM tasker.heartbeat('beat_w', :'ids', :'tokens') ORDER BY 1;
RESET tasker_core.clock_offset;

-- a heartbeat without steps says that the worker lives
SELECT count(*) AS lost FROM tasker.heartbeat('beat_idle', '{}', '{}');
SELECT worker_id, first_seen_at = last_seen_at AS new FROM tasker.workers WHERE worker_id = 'beat_idle';
SET tasker_core.clock_offset = 60;
SELECT count(*) AS lost FROM tasker.heartbeat('beat_idle', '{}', '{}');
SELECT date_trunc('minute', last_seen_at - first_seen_at) AS seen FROM tasker.workers WHERE worker_id = 'beat_idle';
RESET tasker_core.clock_offset;

-- a heartbeat is no attempt
SELECT step_no, attempt_no, outcome FROM tasker.step_attempts WHERE task_id = :t;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
