--
-- Mistakes that workflow systems of this kind have made, one test a number.  The
-- numbers are those of the list this product was designed against; those that are
-- missing concern what is tested elsewhere.
--

SELECT count(*) FROM unnest(ARRAY[
	'{"name": "diamond", "namespace": "mistakes", "steps": [{"name": "a", "retry": {"jitter": 0}}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["a"]}, {"name": "d", "depends_on": ["b", "c"]}]}',
	'{"name": "one", "namespace": "mistakes", "steps": [{"name": "validate"}]}']::jsonb[]) t, tasker.register_task_template(t);

-- claims the first step that is ready
CREATE FUNCTION pg_temp.claim(t bigint, OUT step bigint, OUT token bigint, OUT name text, OUT attempt int) LANGUAGE sql AS $$
	SELECT workflow_step_id, claim_token, step_name, attempt FROM tasker.claim_steps('w', task_id => t) $$;
CREATE FUNCTION pg_temp.refused(call text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'SELECT ' || call;
	RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;

-- ---------------------------------------------------------------------------
-- 1: a filter hid the parents, so that a filtered child was not ready
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT name, dependencies_satisfied, ready_for_execution, completed_parents FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 3]);

-- ---------------------------------------------------------------------------
-- 2: graphs walked path by path.  10 layers of 10 have 10 billion paths
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template(jsonb_build_object('name', 'layers', 'namespace', 'mistakes', 'steps',
	(SELECT jsonb_agg(jsonb_build_object('name', l || '.' || i, 'depends_on', coalesce((SELECT jsonb_agg((l - 1) || '.' || j) FROM generate_series(1, 10) j WHERE l > 1), '[]'))) FROM generate_series(1, 10) l, generate_series(1, 10) i)));
SELECT task_id AS t FROM tasker.create_task('layers', namespace => 'mistakes') \gset
SELECT count(*), sum(total_parents) AS edges FROM tasker.get_step_readiness_status(:t);

-- ---------------------------------------------------------------------------
-- 3: cycles were found late, or ran for ever; unknown dependencies were dropped
-- ---------------------------------------------------------------------------
SELECT steps, pg_temp.refused(format('tasker.register_task_template(%L)', jsonb_build_object('name', 'cyclic', 'namespace', 'mistakes', 'steps', steps))) FROM unnest(ARRAY[
	'[{"name": "a", "depends_on": ["a"]}]', '[{"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}]',
	'[{"name": "a", "depends_on": ["c"]}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]',
	'[{"name": "a", "depends_on": ["nobody"]}]', '[{"name": "a"}, {"name": "a"}]']::jsonb[]) steps;
SELECT count(*) AS stored FROM tasker.list_task_templates('mistakes') WHERE name = 'cyclic';

-- ---------------------------------------------------------------------------
-- 5: ready work starved behind work that was not, or was dropped after an hour
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "mistakes_5", "steps": [{"name": "s"}]}');
SELECT min(task_id) AS base FROM generate_series(1, 51) i, tasker.create_task('one', namespace => 'mistakes_5', priority => 100, run_at => '2100-01-01'::timestamptz + i * interval '1 s') \gset
SELECT FROM tasker.create_task('one', namespace => 'mistakes_5', priority => -1);
SELECT task_id - :base AS place, priority FROM tasker.claim_steps('w', 5, '{mistakes_5}');
SELECT created FROM tasker.create_task('one', namespace => 'mistakes_5');
SET tasker_core.clock_offset = 200000;
SELECT count(*) AS found_days_later FROM tasker.claim_steps('w', 5, '{mistakes_5}') WHERE attempt = 1;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- 6: counts that did not add up; a cancelled leaf kept its task open
-- ---------------------------------------------------------------------------
CREATE FUNCTION pg_temp.counts(t bigint) RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' ', status, total_steps, '=', pending_steps, in_progress_steps, waiting_for_retry_steps, completed_steps, failed_steps, cancelled_steps, skipped_steps,
		total_steps = pending_steps + in_progress_steps + waiting_for_retry_steps + completed_steps + failed_steps + cancelled_steps + skipped_steps)
	FROM tasker.get_task_execution_context(t) $$;
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT pg_temp.counts(:t) AS fresh;
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT pg_temp.counts(:t) AS claimed;
SELECT step_state FROM tasker.fail_step(:step, :token, '1', retry_after_seconds => 0);
SELECT pg_temp.counts(:t) AS waiting;
SELECT steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT pg_temp.counts(:t) AS failed;
SELECT tasker.cancel_task(:t);
SELECT pg_temp.counts(:t) AS cancelled;

-- ---------------------------------------------------------------------------
-- 7: a failure beside ready work: the other branch goes on, then the task is blocked
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT c.name, step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT c.name, task_state FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT execution_status FROM tasker.get_task_execution_context(:t);

-- ---------------------------------------------------------------------------
-- 9: errors were swallowed.  Whatever cannot be recorded does not happen
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
ALTER TABLE tasker.step_attempts ADD CONSTRAINT no_more CHECK (false) NOT VALID;
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete, pg_temp.refused(format('tasker.fail_step(%s, %s, ''1'')', :step, :token)) AS fail;
ALTER TABLE tasker.step_attempts DROP CONSTRAINT no_more;
ALTER TABLE tasker.task_transitions ADD CONSTRAINT no_more CHECK (false) NOT VALID;
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete, pg_temp.refused(format('tasker.cancel_task(%s)', :t)) AS cancel;
ALTER TABLE tasker.task_transitions DROP CONSTRAINT no_more;
SELECT status, in_progress_steps FROM tasker.get_task_execution_context(:t);
SELECT status, task_state FROM tasker.complete_step(:step, :token, '1');

-- ---------------------------------------------------------------------------
-- 11: one step was claimed twice
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT count(*) AS claims FROM generate_series(1, 16) i, tasker.claim_steps('w' || i, 10, task_id => :t);
SELECT attempts, attempt_no FROM tasker.step_queue WHERE task_id = :t;

-- ---------------------------------------------------------------------------
-- 12: results stood apart from the state, or were lost; errors too
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
BEGIN;
SELECT status FROM tasker.complete_step(:step, :token, '{"n": 1}');
ROLLBACK;
SELECT state, results FROM tasker.workflow_steps WHERE workflow_step_id = :step AND task_id = :t;
SELECT step_state FROM tasker.fail_step(:step, :token, '{"class": "Timeout", "message": "30 s", "backtrace": ["a", "b"]}', retry_after_seconds => 0);
SELECT state, results, last_error FROM tasker.workflow_steps WHERE workflow_step_id = :step AND task_id = :t;
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT status FROM tasker.complete_step(:step, :token, '{"n": 1}');
SELECT state, results FROM tasker.workflow_steps WHERE workflow_step_id = :step AND task_id = :t;
SELECT count(*) AS contradictions FROM tasker.step_attempts WHERE (outcome = 'completed') <> (results IS NOT NULL) OR (outcome = 'completed' AND error IS NOT NULL);

-- ---------------------------------------------------------------------------
-- 13: "in process" was a flag beside the state, and true after creation
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT count(*) FILTER (WHERE state = 'in_progress') AS in_progress, count(*) FILTER (WHERE ready_for_execution) AS ready
FROM tasker.workflow_steps JOIN tasker.get_step_readiness_status(:t) USING (workflow_step_id) WHERE workflow_steps.task_id = :t;
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT count(*) AS in_progress FROM tasker.workflow_steps WHERE task_id = :t AND state = 'in_progress';
SELECT step_state FROM tasker.fail_step(:step, :token, '1', false);
SELECT count(*) AS in_progress FROM tasker.workflow_steps WHERE task_id = :t AND state = 'in_progress';
-- no row can be claimed by somebody and not be in progress
SELECT count(*) AS disagree FROM tasker.step_queue WHERE (phase = 'c') <> (worker_id IS NOT NULL AND claim_token IS NOT NULL AND claimed_at IS NOT NULL);

-- ---------------------------------------------------------------------------
-- 14: a failed step was listed as ready, and never run again
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '"first time"', retry_after_seconds => 0);
SELECT ready_for_execution FROM tasker.get_step_readiness_status(:t);
SELECT c.attempt, task_state FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '"second time"');
-- and a failed parent opened its child
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT count(*) AS open FROM tasker.get_step_readiness_status(:t) WHERE total_parents > 0 AND (dependencies_satisfied OR ready_for_execution);

-- ---------------------------------------------------------------------------
-- 15, 37: who held a step and died kept it; a takeover needs no owner
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SET tasker_core.clock_offset = 61;
SELECT attempt, claim_token AS token2 FROM tasker.claim_steps('heir', task_id => :t) \gset
SELECT :attempt AS attempt, count(*) AS lost, min(worker_id) AS by FROM tasker.step_attempts WHERE task_id = :t AND outcome = 'lease_expired';
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''"dead"'')', :step, :token)) AS of_the_dead;
SELECT status, task_state FROM tasker.complete_step(:step, :token2, '"heir"');
SELECT results FROM tasker.step_attempts WHERE task_id = :t AND outcome = 'completed';
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- 16: tasks were completed out of any state; completed_at was forgotten
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT tasker.cancel_task(:t);
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete;
SELECT state, (SELECT to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id DESC LIMIT 1) AS last_move FROM tasker.tasks WHERE task_id = :t;
SELECT count(*) AS wrong FROM tasker.tasks WHERE (finished_at IS NOT NULL) <> (state IN ('complete', 'error', 'cancelled', 'resolved_manually'));

-- ---------------------------------------------------------------------------
-- 17, 18: the template's backoff was ignored, and a success had one
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', retry_after_seconds => 7);
SELECT next_retry_at - finished_at AS delay, backoff_request_seconds FROM tasker.step_attempts WHERE task_id = :t;
SELECT count(*) AS immediately FROM pg_temp.claim(:t) WHERE step IS NOT NULL;
SET tasker_core.clock_offset = 8;
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1');
SET tasker_core.clock_offset = 11;
SELECT status FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
RESET tasker_core.clock_offset;
SELECT attempt, outcome, next_retry_at - finished_at AS delay, backoff_request_seconds FROM tasker.step_attempts WHERE task_id = :t ORDER BY 1;
SELECT next_retry_at, backoff_request_seconds FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 1]);

-- ---------------------------------------------------------------------------
-- 19, 22: four predicates for "is it tried again".  step retryable x error
-- retryable x max_attempts (- none given) x attempt; 0 is 1, and said so
-- ---------------------------------------------------------------------------
CREATE FUNCTION pg_temp.predicate(step_retryable boolean, max_attempts int, error_retryable boolean, OUT template_max int, OUT warnings int, OUT fate text, OUT eligible text) LANGUAGE plpgsql AS $$
DECLARE
	retry jsonb := jsonb_strip_nulls(jsonb_build_object('retryable', step_retryable, 'max_attempts', max_attempts, 'backoff', 'none'));
	name text := md5(retry::text);
	t bigint;
	c record;
	f record;
BEGIN
	SELECT cardinality(r.warnings) INTO warnings FROM tasker.register_task_template(jsonb_build_object('name', name, 'namespace', 'mistakes_19', 'steps', jsonb_build_array(jsonb_build_object('name', 's', 'retry', retry)))) r;
	t := (SELECT task_id FROM tasker.create_task(name, namespace => 'mistakes_19'));
	template_max := (SELECT r.max_attempts FROM tasker.get_step_readiness_status(t) r);
	FOR i IN 1 .. 5 LOOP
		SELECT * INTO c FROM pg_temp.claim(t);
		EXIT WHEN c.step IS NULL;
		SELECT * INTO f FROM tasker.fail_step(c.step, c.token, '1', error_retryable);
		fate := concat_ws(' ', fate, CASE f.step_state WHEN 'waiting_for_retry' THEN 'retry' ELSE f.step_state END);
		eligible := concat_ws(' ', eligible, (SELECT r.retry_eligible AND r.ready_for_execution FROM tasker.get_step_readiness_status(t) r));
	END LOOP;
END $$;
SELECT s AS step_retryable, e AS error_retryable, coalesce(m::text, '-') AS max_attempts, p.*
FROM unnest('{true,false}'::boolean[]) s, unnest('{true,false}'::boolean[]) e, unnest('{NULL,0,1,2,3}'::int[]) m, pg_temp.predicate(s, m, e) p ORDER BY 1 DESC, 2 DESC, m NULLS FIRST;
-- the first attempt asks neither
SELECT count(*) AS first_attempts, bool_and(attempt = 1) AS all_first FROM tasker.step_attempts JOIN tasker.tasks USING (task_id) JOIN tasker.named_tasks USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id)
WHERE n.name = 'mistakes_19' AND attempt_no = 1;

-- ---------------------------------------------------------------------------
-- 20, 21: delays beyond their cap; five caps
-- ---------------------------------------------------------------------------
SELECT min(d) >= 0 AS not_negative, max(d) <= 30000 AS capped, count(DISTINCT d) > 1000 AS drawn FROM generate_series(1, 100000) seed, tasker.calculate_backoff('exponential', 5 + seed % 3, jitter => 0.5, seed => seed) d;
SELECT count(*) > 900 AS jittered FROM generate_series(1, 1000) seed, tasker.calculate_backoff('exponential', 1, 500, jitter => 0.1, seed => seed) d WHERE d <> 500;
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', retry_after_seconds => 999999);
SELECT r.next_retry_at - r.last_failure_at AS readiness, a.next_retry_at - a.finished_at AS history, s.visible_at - a.finished_at AS view, current_setting('tasker_core.max_retry_after') AS setting
FROM tasker.get_step_readiness_status(:t) r, tasker.step_attempts a, tasker.workflow_steps s WHERE a.task_id = :t AND s.task_id = :t;
-- a step that may not be retried did not wait for ever: its task ends
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);

-- ---------------------------------------------------------------------------
-- 23: the key was ignored, and equal requests were never equal
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "strict", "namespace": "mistakes", "identity_strategy": "strict", "steps": [{"name": "s"}]}');
SELECT n, created FROM (VALUES (1, '{"a": 1, "b": 2}', NULL), (2, '{"b":2,"a":1.0}', NULL), (3, '{"a": 1, "b": 3}', NULL), (4, '{"a": 1, "b": 2}', 'k1'), (5, '{"a": 9}', 'k1'), (6, '{"a": 9}', 'k2')) v(n, context, key),
	tasker.create_task('strict', context::jsonb, 'mistakes', idempotency_key => key) ORDER BY n;

-- ---------------------------------------------------------------------------
-- 24: contexts were "sanitised"
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', '{"script": "<b>", "eval": 1, "function": 2, "one": 3, "online": 4, "only_if": 5, "onclick": "x()", "sql": "''; DROP TABLE x; --"}', 'mistakes') \gset
SELECT task_context FROM tasker.claim_steps('w', task_id => :t);

-- ---------------------------------------------------------------------------
-- 25: a task of an unknown template was made without steps, and was complete
-- ---------------------------------------------------------------------------
SELECT count(*) AS before FROM tasker.tasks \gset
SELECT pg_temp.refused('tasker.create_task(''unknown'', namespace => ''mistakes'')');
SELECT count(*) - :before AS made FROM tasker.tasks;
SELECT pg_temp.refused('tasker.register_task_template(''{"name": "empty", "namespace": "mistakes", "steps": []}'')');

-- ---------------------------------------------------------------------------
-- 26: 0.10.0 was older than 0.9.0
-- ---------------------------------------------------------------------------
SELECT count(*) FROM unnest('{0.9.0,0.10.0,0.2.11,0.10.0-rc.1}'::text[]) WITH ORDINALITY v(version, n), tasker.register_task_template(jsonb_build_object('name', 'versions', 'namespace', 'mistakes', 'version', version,
	'steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || i)) FROM generate_series(1, n) i)));
SELECT tasker.get_task_template('versions', 'mistakes') ->> 'version' AS highest, step_count FROM tasker.create_task('versions', namespace => 'mistakes');

-- ---------------------------------------------------------------------------
-- 30: an unknown state read as pending
-- ---------------------------------------------------------------------------
BEGIN;
UPDATE tasker.tasks SET state = 'done' WHERE task_id = :t;
SELECT pg_temp.refused(format('tasker.cancel_task(%s)', :t)) AS cancel, pg_temp.refused(format('tasker.get_task_execution_context(%s)', :t)) AS context, pg_temp.refused(format('tasker.verify_task(%s)', :t)) AS verify;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- 36: names were pasted into SQL
-- ---------------------------------------------------------------------------
SELECT namespace, name, created FROM tasker.register_task_template('{"name": "x''; DROP TABLE tasker.tasks; --", "namespace": "a\"; drop table x;--", "steps": [{"name": "$1 \\ %s", "queue": "q''"}]}');
SELECT task_id AS t FROM tasker.create_task('x''; DROP TABLE tasker.tasks; --', namespace => 'a"; drop table x;--') \gset
SELECT namespace, task_name, step_name, queue FROM tasker.claim_steps('w''; --', namespaces => ARRAY['a"; drop table x;--'], queues => ARRAY['q''']);

-- ---------------------------------------------------------------------------
-- 38: step names were shared by all templates of a database
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "other", "namespace": "mistakes", "steps": [{"name": "validate", "handler": {"callable": "Other"}, "retry": {"max_attempts": 7}, "timeout_seconds": 5}]}');
SELECT n.name AS template, s.handler_class, s.max_attempts, s.timeout_seconds FROM tasker.named_steps s JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces m USING (namespace_id)
WHERE m.name = 'mistakes' AND s.name = 'validate' ORDER BY 1;
SELECT t.task_name, c.handler_class, c.max_attempts FROM unnest('{one,other}'::text[]) t(task_name), tasker.create_task(t.task_name, namespace => 'mistakes') k, tasker.claim_steps('w', task_id => k.task_id) c;

-- ---------------------------------------------------------------------------
-- 39: tests that could not fail.  Four squarings of 3 are 3^16
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "squares", "namespace": "mistakes", "steps": [{"name": "1"}, {"name": "2", "depends_on": ["1"]}, {"name": "3", "depends_on": ["2"]}, {"name": "4", "depends_on": ["3"]}]}');
SELECT task_id AS t FROM tasker.create_task('squares', '{"n": 3}', 'mistakes') \gset
CREATE FUNCTION pg_temp.square(t bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	c record;
	state text;
BEGIN
	FOR i IN 1 .. 4 LOOP
		SELECT * INTO STRICT c FROM tasker.claim_steps('w', task_id => t);
		SELECT task_state INTO state FROM tasker.complete_step(c.workflow_step_id, c.claim_token,
			to_jsonb(power(coalesce((c.dependency_results ->> (i - 1)::text)::numeric, (c.task_context ->> 'n')::numeric), 2)::numeric(20)));
	END LOOP;
	RETURN state;
END $$;
SELECT pg_temp.square(:t);
SELECT string_agg(results::text, ' ' ORDER BY step_no) AS results, max((results #>> '{}')::numeric) = 43046721 AS three_to_the_16 FROM tasker.workflow_steps WHERE task_id = :t;

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
