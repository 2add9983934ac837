-- tasker.stats: a row a template version, counted from what is live and the newest history.
SET client_min_messages = warning;
SELECT FROM tasker.register_task_template('{"name": "counted", "namespace": "stats", "version": "1.0.0", "steps": [
	{"name": "a"}, {"name": "b"}, {"name": "join", "depends_on": ["a", "b"], "retry": {"max_attempts": 1}}]}');
SELECT FROM tasker.register_task_template('{"name": "idle", "namespace": "stats", "steps": [{"name": "only"}]}');
CREATE VIEW counted AS
SELECT name, ready, in_progress, lease_expired, later, waiting, paused, dead_letters, completed_5m, failed_5m,
	oldest_ready_at IS NOT NULL AS has_oldest, oldest_ready_age_seconds >= 0 AS ages, avg_seconds_5m >= 0 AS took
FROM tasker.stats WHERE namespace = 'stats' ORDER BY name;

-- nothing yet; then one task ready, one of the future, one paused
SELECT * FROM counted;
SELECT task_id AS one FROM tasker.create_task('counted', namespace => 'stats') \gset
SELECT FROM tasker.create_task('counted', namespace => 'stats', run_at => now() + interval '1 day');
SELECT tasker.pause_task(task_id) FROM tasker.create_task('counted', namespace => 'stats');
SELECT * FROM counted;

-- one claim held, one completed
SELECT workflow_step_id AS a, claim_token AS token_a FROM tasker.claim_steps('stats-worker', task_id => :one) \gset
SELECT workflow_step_id AS b, claim_token AS token_b FROM tasker.claim_steps('stats-worker', task_id => :one) \gset
SELECT status FROM tasker.complete_step(:a, :token_a, '1');
SELECT * FROM counted;

-- its lease runs out; then the join fails for good and leaves a dead letter
SET tasker_core.clock_offset = '2min';
SELECT status FROM tasker.complete_step(:b, :token_b, '1');
SELECT workflow_step_id AS j, claim_token AS token_j FROM tasker.claim_steps('stats-worker', task_id => :one) \gset
SELECT task_state FROM tasker.fail_step(:j, :token_j, '{"message": "no"}');
RESET tasker_core.clock_offset;
SELECT * FROM counted;

-- a claim whose lease is over is no longer in anybody's hands
SELECT task_id AS two FROM tasker.create_task('idle', namespace => 'stats') \gset
SELECT FROM tasker.claim_steps('stats-worker', task_id => :two, lease_seconds => 0.1);
SELECT pg_sleep(0.2);
SELECT * FROM counted WHERE name = 'idle';


-- The same by queue, who works, what ended last, and what waits for a person.
SELECT namespace, queue, ready, in_progress, lease_expired, later, waiting, paused, oldest_ready_at IS NULL AS none_ready
FROM tasker.queue_stats WHERE namespace = 'stats';
SELECT worker_id, live, namespaces, claims FROM tasker.worker_stats WHERE worker_id = 'stats-worker';
SELECT workflow_step_id % 1000000 AS step_no, task_name, version, outcome, worker_id, finished_at >= claimed_at AS took
FROM tasker.recent_attempts WHERE namespace = 'stats' ORDER BY step_no;
SELECT task_id = :one AS same, task_name, version, step_name, reason, state FROM tasker.dead_letter_details WHERE namespace = 'stats';

-- A reader of one namespace sees nothing of another, and workers, which are of none, not at all.
SELECT FROM tasker.register_task_template('{"name": "foreign", "namespace": "stats2", "steps": [{"name": "only"}]}');
SELECT FROM tasker.create_task('foreign', namespace => 'stats2');
CREATE ROLE tasker_stats_reader;
SELECT tasker.grant_access('tasker_stats_reader', 'reader', '{stats}');
SET ROLE tasker_stats_reader;
SELECT DISTINCT namespace FROM tasker.stats;
SELECT DISTINCT namespace FROM tasker.queue_stats;
SELECT DISTINCT namespace FROM tasker.recent_attempts;
SELECT DISTINCT namespace FROM tasker.dead_letter_details;
SELECT count(*) FROM tasker.worker_stats;
RESET ROLE;
SELECT tasker.grant_access('tasker_stats_reader', 'reader');
SET ROLE tasker_stats_reader;
SELECT count(*) > 0 AS everything FROM tasker.stats WHERE namespace = 'stats2';
SELECT count(*) > 0 AS workers FROM tasker.worker_stats;
RESET ROLE;
SELECT tasker.revoke_access('tasker_stats_reader', 'reader');
DROP ROLE tasker_stats_reader;

SELECT FROM tasker.cancel_task(:two);
DROP VIEW counted;
