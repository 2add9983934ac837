--
-- claim_steps: who gets what, in which order, with what; filters, leases,
-- tokens, and attempts that are lost with their lease.
--

SELECT step_count FROM tasker.list_task_templates('claim');	-- none yet
SELECT name FROM tasker.register_task_template('{"name": "pair", "namespace": "claim", "version": "1.0.0", "steps": [
	{"name": "first", "handler": {"callable": "First", "method": "go", "resolver": "by_name", "initialization": {"k": [1, 2]}},
	 "retry": {"max_attempts": 2, "backoff": "none"}, "timeout_seconds": 90, "priority": 3, "queue": "gpu"},
	{"name": "second step", "depends_on": ["first"]}]}');
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "claim", "version": "1.0.0", "steps": [{"name": "s"}]}');
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "claim", "version": "2.0.0", "steps": [{"name": "s2"}]}');
SELECT name FROM tasker.register_task_template('{"name": "one", "namespace": "claim_other", "steps": [{"name": "other"}]}');

-- ---------------------------------------------------------------------------
-- One call is all a worker needs
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('pair', '{"x": 1}', 'claim', priority => 10,
	correlation_id => '11111111-1111-1111-1111-111111111111') \gset
SELECT workflow_step_id AS step, claim_token AS token, * FROM tasker.claim_steps('w1', namespaces => '{claim}') \gset
SELECT :step - :t * 1000000::bigint AS step_no, :task_id = :t AS its_task, :token BETWEEN 1 AND (1::bigint << 53) - 1 AS exact_in_a_double;
\echo attempt :attempt of :max_attempts, :namespace/:task_name@:task_version, :step_name
\echo handler :handler_class.:handler_method via :handler_resolver :handler_config
\echo context :task_context, parents :dependency_results
\echo priority :priority, queue :queue, timeout :timeout_seconds, :correlation_id

-- the claim as it is stored, and what it started
SELECT step_no, phase, worker_id, claim_token = :token AS token, visible_at - claimed_at AS lease, attempts
FROM tasker.step_queue WHERE task_id = :t;
SELECT state, started_at = (SELECT claimed_at FROM tasker.step_queue WHERE task_id = :t) AS started_by_claim FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state, reason, recorded_by = session_user AS by_me FROM tasker.task_transitions WHERE task_id = :t;
SELECT worker_id, first_seen_at = last_seen_at AS new, role = session_user AS mine FROM tasker.workers WHERE worker_id = 'w1';

-- nothing left for a second worker
SELECT count(*) FROM tasker.claim_steps('w2', 10, '{claim}');

-- the child is given its parent's result under its name; an absent handler is NULL and {}
SELECT steps_ready FROM tasker.complete_step(:step, :token, '{"total": 12.50}');
SELECT attempt, max_attempts, step_name, handler_class, handler_method, handler_resolver, handler_config, task_context,
	dependency_results, inputs, checkpoint, priority, queue, timeout_seconds, workflow_step_id - :t * 1000000::bigint AS step_no,
	claim_token <> :token AS new_token
FROM tasker.claim_steps('w1', namespaces => '{claim}');

-- ---------------------------------------------------------------------------
-- Filters
-- ---------------------------------------------------------------------------

SELECT FROM tasker.create_task('one', namespace => 'claim', version => '1.0.0');
SELECT FROM tasker.create_task('one', namespace => 'claim', version => '2.0.0');
SELECT FROM tasker.create_task('one', namespace => 'claim_other');
SELECT FROM tasker.create_task('pair', namespace => 'claim');

-- what a filter would claim: rolled back each time
CREATE FUNCTION pg_temp.would_claim(namespaces text[] DEFAULT '{claim,claim_other}', task_names text[] DEFAULT NULL, queues text[] DEFAULT NULL,
	max_steps int DEFAULT 10, shard_keys int[] DEFAULT NULL, task_id bigint DEFAULT NULL)
RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	claimed text;
BEGIN
	SELECT string_agg(format('%s/%s@%s %s', c.namespace, c.task_name, c.task_version, c.step_name), ', ' ORDER BY c.task_id)
	INTO claimed
	FROM tasker.claim_steps('w', max_steps, namespaces, 60, would_claim.task_id, task_names, queues, shard_keys) c;
	RAISE EXCEPTION USING ERRCODE = 'XX999';
EXCEPTION WHEN SQLSTATE 'XX999' THEN
	RETURN coalesce(claimed, '-');
END $$;

SELECT pg_temp.would_claim();
SELECT pg_temp.would_claim('{claim}');
SELECT pg_temp.would_claim('{claim_other}');
SELECT pg_temp.would_claim('{claim_other,claim}', task_names => '{claim/one}');
SELECT pg_temp.would_claim(task_names => '{claim/one@2.0.0,claim_other/one}');
SELECT pg_temp.would_claim(task_names => '{claim/one@3.0.0,claim/on,one,claim/one@,/one}');
SELECT pg_temp.would_claim(queues => '{gpu}');
SELECT pg_temp.would_claim(queues => '{default}', task_names => '{claim/pair}');
SELECT pg_temp.would_claim(namespaces => '{}'), pg_temp.would_claim(task_names => '{}'), pg_temp.would_claim(queues => '{}'),
	pg_temp.would_claim(shard_keys => '{}'), pg_temp.would_claim(namespaces => '{nowhere}');
SELECT pg_temp.would_claim(shard_keys => '{0}') = pg_temp.would_claim() AS one_shard, pg_temp.would_claim(shard_keys => '{1,2}') AS no_such_shard;
SELECT pg_temp.would_claim(max_steps => 0), pg_temp.would_claim(max_steps => 1), pg_temp.would_claim(max_steps => 2);
SELECT pg_temp.would_claim(task_id => (SELECT max(task_id) FROM tasker.tasks));
SELECT pg_temp.would_claim(task_id => (SELECT max(task_id) FROM tasker.tasks), queues => '{default}');
-- no id that no task has means any task
SELECT pg_temp.would_claim(task_id => 0), pg_temp.would_claim(task_id => -1), pg_temp.would_claim(task_id => 9223372036854775807);

-- ---------------------------------------------------------------------------
-- Order: priority, then age
-- ---------------------------------------------------------------------------

SELECT name FROM tasker.register_task_template('{"name": "ranked", "namespace": "claim_order", "steps": [
	{"name": "low", "priority": -5}, {"name": "plain"}, {"name": "high", "priority": 5}]}');
SELECT min(task_id) AS base FROM unnest('{0,4,-4,40000,-40000,4}'::int[]) p, tasker.create_task('ranked', namespace => 'claim_order', priority => p) \gset
SELECT ordinality AS place, task_id - :base AS task, step_name, priority
FROM tasker.claim_steps('w', 100, '{claim_order}') WITH ORDINALITY;

-- a retry takes its place by the time it became visible, not by its task's age
SELECT name FROM tasker.register_task_template('{"name": "aged", "namespace": "claim_age", "steps": [{"name": "s"}]}');
SELECT min(task_id) AS base FROM generate_series(1, 3) i, tasker.create_task('aged', jsonb_build_object('i', i), 'claim_age') \gset
SELECT f.step_state FROM tasker.claim_steps('w', namespaces => '{claim_age}') c, tasker.fail_step(c.workflow_step_id, c.claim_token, '"x"', retry_after_seconds => 30) f;
SET tasker_core.clock_offset = 31;
SELECT ordinality AS place, task_id - :base AS task, attempt FROM tasker.claim_steps('w', 100, '{claim_age}') WITH ORDINALITY;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Leases
-- ---------------------------------------------------------------------------

-- as long as asked for, and no longer than the step may take
SELECT name FROM tasker.register_task_template('{"name": "short", "namespace": "claim_lease", "steps": [{"name": "s", "timeout_seconds": 5}, {"name": "t"}]}');
SELECT task_id AS t FROM tasker.create_task('short', namespace => 'claim_lease') \gset
SELECT max(lease_expires_at) AS lease_s FROM tasker.claim_steps('w', 10, '{claim_lease}', 0.5) \gset
SELECT step_no, visible_at - claimed_at AS lease, visible_at = :'lease_s' AS as_told FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
SET tasker_core.clock_offset = 1;
SELECT step_name, attempt FROM tasker.claim_steps('w', 10, '{claim_lease}', 86400) ORDER BY 1;
SELECT step_no, visible_at - claimed_at AS lease FROM tasker.step_queue WHERE task_id = :t ORDER BY 1;
SELECT tasker.cancel_task(:t);
RESET tasker_core.clock_offset;

-- an expired lease is claimable by itself; the lost attempt is on record and counted
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'claim', priority => 100) \gset
SELECT workflow_step_id AS step, claim_token AS token1 FROM tasker.claim_steps('lost1', 1, '{claim}', 10) \gset
SET tasker_core.clock_offset = 9;
SELECT count(*) AS held FROM tasker.claim_steps('w2', 1, '{claim}', task_id => :t);
SET tasker_core.clock_offset = 11;
SELECT count(*) AS none_before_claim FROM tasker.step_attempts WHERE task_id = :t;
SELECT claim_token AS token2, attempt, max_attempts FROM tasker.claim_steps('lost2', 1, '{claim}', 10, task_id => :t) \gset
\echo attempt :attempt of :max_attempts
SELECT :token1 <> :token2 AS token_changed;
SELECT attempt_no, attempt, outcome, to_state, worker_id, claim_token = :token1 AS first_claim, results, error, finished_at - claimed_at >= '11 s' AS late
FROM tasker.step_attempts WHERE task_id = :t;
\set VERBOSITY sqlstate
SELECT tasker.complete_step(:step, :token1, '1');
SELECT tasker.fail_step(:step, :token1, '1');
\set VERBOSITY default
SELECT * FROM tasker.verify_task(:t);

-- the last attempt lost: the step fails for good with the next claim, whatever that claim takes
SET tasker_core.clock_offset = 22;
SELECT count(*) AS nothing_to_claim FROM tasker.claim_steps('w3', 10, '{claim}', task_id => :t);
SELECT attempt_no, attempt, outcome, to_state, worker_id, error FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1;
SELECT state, failed_steps, finished_at IS NOT NULL AS finished FROM tasker.tasks WHERE task_id = :t;
SELECT from_state, to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id;
SELECT count(*) AS queued FROM tasker.step_queue WHERE task_id = :t;
SELECT * FROM tasker.verify_task(:t);
RESET tasker_core.clock_offset;

-- an expired lease nobody has taken: the worker may still report
SELECT task_id AS t FROM tasker.create_task('pair', namespace => 'claim', priority => 100) \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('slow', 1, '{claim}', 10) \gset
SET tasker_core.clock_offset = 1000;
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step, :token, '"late"');
SELECT attempt, outcome FROM tasker.step_attempts WHERE task_id = :t;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- Batches, tokens, workers
-- ---------------------------------------------------------------------------

SELECT name FROM tasker.register_task_template('{"name": "bulk", "namespace": "claim_bulk", "steps": [{"name": "s"}]}');
SELECT count(*) FROM generate_series(1, 300) i, tasker.create_task('bulk', jsonb_build_object('i', i), 'claim_bulk');
SELECT count(*), count(DISTINCT workflow_step_id) AS steps, count(DISTINCT claim_token) AS tokens,
	bool_and(claim_token BETWEEN 1 AND (1::bigint << 53) - 1) AS in_range FROM tasker.claim_steps('w', 200, '{claim_bulk}');
SELECT count(*) FROM tasker.claim_steps('w', 10000, '{claim_bulk}');
SELECT count(*) FROM tasker.claim_steps('w', 10000, '{claim_bulk}');

-- last_seen_at is written at most every ten seconds
SELECT last_seen_at AS seen FROM tasker.workers WHERE worker_id = 'w1' \gset
SET tasker_core.clock_offset = 20;
SELECT FROM tasker.claim_steps('w1', 0);
SELECT last_seen_at AS seen_again, last_seen_at - :'seen' >= '19 s' AS written, last_seen_at > first_seen_at AS known_before FROM tasker.workers WHERE worker_id = 'w1' \gset
SELECT FROM tasker.claim_steps('w1', 0);
SELECT :'written' AS written, :'known_before' AS known_before, last_seen_at = :'seen_again' AS unchanged FROM tasker.workers WHERE worker_id = 'w1';
RESET tasker_core.clock_offset;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
