--
-- Dead letters: whatever ends a task in error puts it before a person, once, in
-- the same transaction; closing the entry starts nothing.
--

SET tasker_core.notify = off;
SELECT count(*) FROM unnest(ARRAY['{"name": "one", "namespace": "dead", "steps": [{"name": "s", "retry": {"max_attempts": 2, "backoff": "none"}}]}',
	'{"name": "fork", "namespace": "dead", "steps": [{"name": "a"}, {"name": "b"}]}']::jsonb[]) t, tasker.register_task_template(t);

CREATE FUNCTION pg_temp.fail(t bigint, retryable boolean DEFAULT true, error jsonb DEFAULT '"x"') RETURNS text LANGUAGE sql AS $$
	SELECT f.task_state FROM tasker.claim_steps('w', task_id => t) c, tasker.fail_step(c.workflow_step_id, c.claim_token, error, retryable) f $$;
CREATE FUNCTION pg_temp.letters(t bigint) RETURNS TABLE (step bigint, reason text, state text, resolved boolean, by_me boolean, notes text) LANGUAGE sql AS $$
	SELECT workflow_step_id - task_id * 1000000, reason, state, resolved_at IS NOT NULL, resolved_by = session_user, notes
	FROM tasker.dead_letters WHERE task_id = t ORDER BY dead_letter_id $$;

-- ---------------------------------------------------------------------------
-- Reasons
-- ---------------------------------------------------------------------------

-- no attempt left
SELECT task_id AS exhausted FROM tasker.create_task('one', namespace => 'dead') \gset
SELECT pg_temp.fail(:exhausted);
SELECT count(*) AS before_the_end FROM pg_temp.letters(:exhausted);
SELECT pg_temp.fail(:exhausted, error => '{"message": "gone"}');
SELECT * FROM pg_temp.letters(:exhausted);
SELECT jsonb_pretty(snapshot) FROM tasker.dead_letters WHERE task_id = :exhausted;

-- an attempt was left, and ruled out
SELECT task_id AS permanent FROM tasker.create_task('one', namespace => 'dead') \gset
SELECT pg_temp.fail(:permanent, false, to_jsonb(repeat('long ', 1000)));
SELECT l.*, snapshot->'attempts' AS attempts, snapshot->'error' AS too_long FROM pg_temp.letters(:permanent) l, tasker.dead_letters WHERE task_id = :permanent;

-- the last lease ran out
SELECT task_id AS lost FROM tasker.create_task('one', namespace => 'dead') \gset
SELECT pg_temp.fail(:lost);
SELECT attempt FROM tasker.claim_steps('w', lease_seconds => 1, task_id => :lost);
SET tasker_core.clock_offset = 5;
SELECT count(*) AS claimed FROM tasker.claim_steps('w', task_id => :lost);
RESET tasker_core.clock_offset;
SELECT * FROM pg_temp.letters(:lost);

-- the task ends with a completion, after a failure beside it: one entry, which names the step that failed
SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'dead') \gset
SELECT workflow_step_id AS a, claim_token AS a_token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT pg_temp.fail(:t, false);
SELECT count(*) AS before_the_end FROM pg_temp.letters(:t);
SELECT task_state FROM tasker.complete_step(:a, :a_token, '1');
SELECT * FROM pg_temp.letters(:t);

-- a batch that ends several tasks
SELECT array_agg(task_id) AS batch FROM generate_series(1, 3) i, tasker.create_task('fork', jsonb_build_object('i', i), 'dead') \gset
SELECT pg_temp.fail(t, false) FROM unnest(:'batch'::bigint[]) t;
SELECT c.task_state FROM (SELECT array_agg(workflow_step_id) AS steps, array_agg(claim_token) AS tokens
	FROM unnest(:'batch'::bigint[]) t, tasker.claim_steps('w', task_id => t)) b, tasker.complete_steps(b.steps, b.tokens, '{1,1,1}') c;
SELECT count(*), count(DISTINCT task_id) AS tasks, min(reason) FROM tasker.dead_letters WHERE task_id = ANY (:'batch');

-- neither a task that completes nor one that rolls back leaves any
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'dead') \gset
BEGIN;
SELECT pg_temp.fail(:t, false);
ROLLBACK;
SELECT task_state FROM tasker.claim_steps('w', task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1');
SELECT count(*) FROM pg_temp.letters(:t);

-- ---------------------------------------------------------------------------
-- Closing
-- ---------------------------------------------------------------------------

SELECT dead_letter_id AS letter FROM tasker.dead_letters WHERE task_id = :exhausted \gset
SELECT tasker.resolve_dead_letter(:letter, 'permanently_failed', 'customer was told');
SELECT tasker.resolve_dead_letter(:letter, 'permanently_failed');
SELECT * FROM pg_temp.letters(:exhausted);
\set VERBOSITY sqlstate
SELECT tasker.resolve_dead_letter(:letter, 'cancelled');
\set VERBOSITY default
SELECT state FROM tasker.tasks WHERE task_id = :exhausted;

-- a task that goes on, and fails again: a second entry
SELECT tasker.retry_task(:permanent, 'fixed');
SELECT * FROM pg_temp.letters(:permanent);
SELECT pg_temp.fail(:permanent, false);
SELECT * FROM pg_temp.letters(:permanent);
SELECT task_state, steps_ready FROM tasker.reset_step(:permanent * 1000000::bigint + 1, 'once more');
SELECT state, notes FROM pg_temp.letters(:permanent);

-- ended by hand
SELECT tasker.cancel_task(:lost, 'no use');
SELECT state, resolved, notes FROM pg_temp.letters(:lost);
SELECT tasker.transition_task((:'batch'::bigint[])[1], 'resolved_manually', reason => 'done on paper');
SELECT state, resolved, notes FROM pg_temp.letters((:'batch'::bigint[])[1]);

-- ---------------------------------------------------------------------------
-- Put there by a person
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('fork', namespace => 'dead') \gset
SELECT tasker.create_dead_letter(:t, 'looks odd') AS letter \gset
SELECT tasker.create_dead_letter(:t) = :letter AS same;
SELECT * FROM pg_temp.letters(:t);
SELECT state FROM tasker.tasks WHERE task_id = :t;
-- a failure takes the entry over
SELECT pg_temp.fail(:t, false), pg_temp.fail(:t, false);
SELECT * FROM pg_temp.letters(:t);
-- and keeps it
SELECT tasker.create_dead_letter(:t, 'still odd') = :letter AS same;
SELECT * FROM pg_temp.letters(:t);

-- ---------------------------------------------------------------------------
-- What is refused
-- ---------------------------------------------------------------------------

SELECT tasker.resolve_dead_letter(0, 'cancelled');
SELECT tasker.resolve_dead_letter(:letter, 'pending');
SELECT tasker.resolve_dead_letter(:letter, 'done');
SELECT tasker.create_dead_letter(0);
\set VERBOSITY sqlstate
SELECT tasker.create_dead_letter(:lost);
SELECT tasker.resolve_dead_letter(NULL, 'cancelled');
SELECT tasker.resolve_dead_letter(:letter, NULL);
SELECT tasker.create_dead_letter(NULL);
INSERT INTO tasker.dead_letters (task_id, shard_key, reason, state, snapshot, created_at) VALUES (:t, 0, 'manual', 'pending', '{}', now());
\set VERBOSITY default

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
