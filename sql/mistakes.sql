--
-- Mistakes that workflow systems of this kind have made, one test a number.  The
-- numbers are those of the list this product was designed against.  Each is shown
-- here as short as it can be; what takes more than one session, a killed process
-- or a worker is named with the test that has them.
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
-- 1. a filter hid the parents, so that a filtered child was not ready
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT name, dependencies_satisfied, ready_for_execution, completed_parents FROM tasker.get_step_readiness_status(:t, ARRAY[:t * 1000000::bigint + 3]);
-- whatever the filter, the rows are those without it
WITH unfiltered AS (SELECT to_jsonb(r) AS r, 1 << (workflow_step_id - :t * 1000000::bigint - 1)::int AS bit FROM tasker.get_step_readiness_status(:t) r)
SELECT count(*) AS subsets, count(*) FILTER (WHERE filtered IS DISTINCT FROM restricted) AS different, sum(jsonb_array_length(filtered)) AS rows FROM generate_series(0, 15) f,
	LATERAL (SELECT coalesce(jsonb_agg(r ORDER BY bit), '[]') AS restricted FROM unfiltered WHERE bit & f > 0) u,
	LATERAL (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.workflow_step_id), '[]') AS filtered
		FROM tasker.get_step_readiness_status(:t, ARRAY(SELECT :t * 1000000::bigint + i FROM generate_series(1, 4) i WHERE f >> (i - 1) & 1 = 1)) r) g;

-- ---------------------------------------------------------------------------
-- 2. graphs were walked path by path, and no deeper than 50.  20 layers of 10 have
-- 10^20 paths
-- ---------------------------------------------------------------------------
SELECT count(*) FROM (VALUES
	('layers', (SELECT jsonb_agg(jsonb_build_object('name', l || '.' || i, 'depends_on', coalesce((SELECT jsonb_agg((l - 1) || '.' || j) FROM generate_series(0, 9) j WHERE l > 0), '[]'))) FROM generate_series(0, 19) l, generate_series(0, 9) i)),
	('chain', (SELECT jsonb_agg(jsonb_build_object('name', i, 'depends_on', CASE WHEN i = 1 THEN '[]' ELSE jsonb_build_array((i - 1)::text) END)) FROM generate_series(1, 200) i))) v(name, steps),
	tasker.register_task_template(jsonb_build_object('name', name, 'namespace', 'mistakes', 'steps', (SELECT jsonb_agg(s || jsonb_build_object('name', s ->> 'name')) FROM jsonb_array_elements(steps) s)));
SET statement_timeout = '20s';
SELECT task_id AS t FROM tasker.create_task('layers', namespace => 'mistakes') \gset
SELECT count(*), sum(total_parents) AS edges FROM tasker.get_step_readiness_status(:t);
SELECT count(*) AS steps, count(DISTINCT workflow_step_id) AS "distinct", max(dependency_level), sum(dependency_level) FROM tasker.calculate_dependency_levels(:t);
SELECT count(*) AS ancestors, count(DISTINCT workflow_step_id) AS "distinct", max(distance) FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 200);
SELECT count(*) AS steps, max(min_depth_from_root) FROM tasker.step_dag_relationships WHERE task_id = :t;
SELECT task_id AS t FROM tasker.create_task('chain', namespace => 'mistakes') \gset
SELECT dependency_level FROM tasker.calculate_dependency_levels(:t) WHERE workflow_step_id = :t * 1000000::bigint + 200;
SELECT count(*) AS ancestors, max(distance) FROM tasker.get_step_transitive_dependencies(:t * 1000000::bigint + 200);
SELECT min_depth_from_root FROM tasker.step_dag_relationships WHERE task_id = :t AND name = '200';
RESET statement_timeout;

-- ---------------------------------------------------------------------------
-- 3. cycles were found late, or ran for ever; unknown dependencies were dropped
-- ---------------------------------------------------------------------------
SELECT steps, pg_temp.refused(format('tasker.register_task_template(%L)', jsonb_build_object('name', 'cyclic', 'namespace', 'mistakes', 'steps', steps))) FROM unnest(ARRAY[
	'[{"name": "a", "depends_on": ["a"]}]', '[{"name": "a", "depends_on": ["b"]}, {"name": "b", "depends_on": ["a"]}]',
	'[{"name": "a", "depends_on": ["c"]}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]}]',
	'[{"name": "a", "depends_on": ["nobody"]}]', '[{"name": "a"}, {"name": "a"}]']::jsonb[]) steps;
SELECT count(*) AS stored FROM tasker.list_task_templates('mistakes') WHERE name = 'cyclic';
SELECT count(*) AS stored FROM tasker.named_tasks WHERE name = 'cyclic';
-- raced: specs/register-register

-- ---------------------------------------------------------------------------
-- 4. rows depended on the session's time zone and search_path; all settings are in
-- sql/settings.sql
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', retry_after_seconds => 3600);
CREATE SCHEMA mistakes_4;
CREATE FUNCTION mistakes_4.planted(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a planted operator was used'; END $$;
CREATE OPERATOR mistakes_4.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = mistakes_4.planted);
CREATE TABLE mistakes_4.tasks (task_id bigint);
CREATE FUNCTION pg_temp.readiness(t bigint, zone text, path text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	told text;
BEGIN
	PERFORM set_config('TimeZone', zone, true), set_config('search_path', path, true);
	SELECT string_agg(concat_ws(' ', name, current_state, ready_for_execution, extract(epoch FROM next_retry_at - last_failure_at)::int, next_retry_at > now()), ', ' ORDER BY name) INTO told FROM tasker.get_step_readiness_status(t);
	RETURN told;
END $$;
SELECT zone, pg_temp.readiness(:t, zone, 'public') = pg_temp.readiness(:t, zone, 'mistakes_4, pg_temp, pg_catalog') AS same_path, pg_temp.readiness(:t, zone, 'public') AS readiness
FROM unnest('{UTC,Asia/Tokyo,America/Lima}'::text[]) zone;
SET search_path = mistakes_4, pg_catalog;
SELECT 1::bigint = 1::bigint;
SELECT count(*) FROM tasker.get_step_readiness_status(:t);
RESET search_path;
RESET TimeZone;
SET client_min_messages = warning;
DROP SCHEMA mistakes_4 CASCADE;
RESET client_min_messages;

-- ---------------------------------------------------------------------------
-- 5. ready work starved behind work that was not, or was dropped after an hour
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "one", "namespace": "mistakes_5", "steps": [{"name": "s"}]}');
SELECT min(task_id) AS base FROM generate_series(1, 51) i, tasker.create_task('one', namespace => 'mistakes_5', priority => 100, run_at => '2100-01-01'::timestamptz + i * interval '1 s') \gset
SELECT FROM tasker.create_task('one', namespace => 'mistakes_5', priority => -1);
SELECT task_id - :base AS place, priority FROM tasker.claim_steps('w', 5, '{mistakes_5}');
SELECT created FROM tasker.create_task('one', namespace => 'mistakes_5');
SET tasker_core.clock_offset = 200000;
SELECT count(*) AS found_days_later FROM tasker.claim_steps('w', 5, '{mistakes_5}') WHERE attempt = 1;
RESET tasker_core.clock_offset;
-- in the list of tasks too: 51 that are scheduled, claimed, paused, waiting for a retry or cancelled, and 3 that are ready; nothing decays
BEGIN;
-- what others left ready, or will have in two hours, is out of the way
SET LOCAL tasker_core.clock_offset = 7200;
SELECT count(tasker.pause_task(task_id)) AS others FROM (SELECT task_id FROM tasker.get_next_ready_tasks(10000) WHERE priority > 32763 OFFSET 0) r \gset
SET LOCAL tasker_core.clock_offset = 0;
SELECT min(task_id) AS base FROM generate_series(0, 50) i, tasker.create_task('one', namespace => 'mistakes_5', priority => 32767, run_at => CASE WHEN i < 11 THEN timestamptz '2100-01-01' END) \gset
SELECT count(*) AS claimed FROM generate_series(11, 20) i, tasker.claim_steps('w', task_id => :base + i);
SELECT count(tasker.pause_task(:base + i)) AS paused FROM generate_series(21, 30) i;
SELECT count(*) AS retrying FROM generate_series(31, 40) i, pg_temp.claim(:base + i) c, tasker.fail_step(c.step, c.token, '1', retry_after_seconds => 86400);
SELECT count(tasker.cancel_task(:base + i)) AS cancelled FROM generate_series(41, 50) i;
SELECT FROM unnest('{32764,32765,32766}'::int[]) p, tasker.create_task('one', namespace => 'mistakes_5', priority => p);
SELECT task_id - :base AS place, priority, ready_steps FROM tasker.get_next_ready_tasks(3);
SET LOCAL tasker_core.clock_offset = 7200;
-- two hours later leases are over and retries due; those that were ready come after them as before
SELECT min(task_id - :base) AS first, max(task_id - :base) AS last, count(*), priority FROM tasker.get_next_ready_tasks(23) GROUP BY priority ORDER BY priority DESC;
ROLLBACK;
-- raced: specs/claim-claim

-- ---------------------------------------------------------------------------
-- 6. counts that did not add up; a cancelled leaf kept its task open
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
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT tasker.transition_step(:t * 1000000::bigint + 4, 'cancelled');
SELECT count(*) FROM generate_series(1, 3) i, pg_temp.claim(:t + 0 * i) c, tasker.complete_step(c.step, c.token, '1');
SELECT pg_temp.counts(:t) AS leaf_cancelled;
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT task_state FROM tasker.skip_step(:t * 1000000::bigint + 1);
SELECT pg_temp.counts(:t) AS skipped;

-- ---------------------------------------------------------------------------
-- 7. a failure beside ready work: the other branch goes on, then the task is blocked
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT c.name, step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT execution_status FROM tasker.get_task_execution_context(:t);
SELECT c.name, task_state FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT execution_status FROM tasker.get_task_execution_context(:t);

-- ---------------------------------------------------------------------------
-- 8. payloads were cut to fit, and then were no JSON
-- ---------------------------------------------------------------------------
SELECT repeat('ü"\', 42) AS long \gset
SELECT created FROM tasker.register_task_template(jsonb_build_object('name', :'long', 'namespace', :'long', 'steps', jsonb_build_array(jsonb_build_object('name', :'long'))));
LISTEN tasker_events;
SET tasker_core.notify = steps;
-- psql prints the sender's pid, so this goes to a file
\set heard 'results/mistakes.heard'
\o :heard
BEGIN;
SELECT min(task_id) AS base FROM generate_series(1, 500) i, tasker.create_task(:'long', jsonb_build_object('i', i, 'text', repeat('ü"', 3400)), :'long') \gset
SELECT count(*) FROM tasker.claim_steps('w', 500, ARRAY[:'long']) c, tasker.fail_step(c.workflow_step_id, c.claim_token, to_jsonb(repeat('ü"', 3400)), false);
COMMIT;
\o
RESET tasker_core.notify;
UNLISTEN tasker_events;
\set text `cat results/mistakes.heard`
SELECT p ->> 'event' AS event, count(*), count(DISTINCT p ->> 'task_id') AS tasks, min((p ->> 'task_id')::bigint) = :base AS from_the_first, max(octet_length(m[1])) < 8000 AS fit
FROM regexp_split_to_table(:'text', E'\n') line, LATERAL regexp_match(line, '^Asynchronous notification "tasker_events" with payload "(.*)" received') m, LATERAL (SELECT m[1]::jsonb) j(p) WHERE m IS NOT NULL GROUP BY 1 ORDER BY 1;

-- ---------------------------------------------------------------------------
-- 9. errors were swallowed.  Whatever cannot be recorded does not happen
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
ALTER TABLE tasker.step_attempts ADD CONSTRAINT no_more CHECK (false) NOT VALID;
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete, pg_temp.refused(format('tasker.fail_step(%s, %s, ''1'')', :step, :token)) AS fail;
ALTER TABLE tasker.step_attempts DROP CONSTRAINT no_more;
ALTER TABLE tasker.task_transitions ADD CONSTRAINT no_more CHECK (false) NOT VALID;
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete, pg_temp.refused(format('tasker.cancel_task(%s)', :t)) AS cancel;
ALTER TABLE tasker.task_transitions DROP CONSTRAINT no_more;
ALTER TABLE tasker.dead_letters ADD CONSTRAINT no_more CHECK (false) NOT VALID;
SELECT pg_temp.refused(format('tasker.create_dead_letter(%s)', :t)) AS dead_letter, pg_temp.refused(format('tasker.fail_step(%s, %s, ''1'', false)', :step, :token)) AS last_failure;
ALTER TABLE tasker.dead_letters DROP CONSTRAINT no_more;
SELECT status, in_progress_steps FROM tasker.get_task_execution_context(:t);
SELECT status, task_state FROM tasker.complete_step(:step, :token, '1');

-- ---------------------------------------------------------------------------
-- 10. any state could follow any other.  Every move by hand from each state: true is
-- made, false is there already; what refusals leave alone is in tests/model/matrices.rb
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "pair", "namespace": "mistakes_10", "steps": [{"name": "a"}, {"name": "b"}]}');
-- a task whose first step is in the state; the second is not touched
CREATE FUNCTION pg_temp.with_step(state text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task('pair', namespace => 'mistakes_10'));
	c record;
BEGIN
	IF state IN ('cancelled', 'skipped', 'resolved_manually') THEN
		PERFORM tasker.transition_step(t * 1000000 + 1, state, results => CASE state WHEN 'resolved_manually' THEN '1'::jsonb END);
	ELSIF state <> 'pending' THEN
		SELECT * INTO STRICT c FROM pg_temp.claim(t);
		IF state = 'complete' THEN
			PERFORM tasker.complete_step(c.step, c.token, '1');
		ELSIF state <> 'in_progress' THEN
			PERFORM tasker.fail_step(c.step, c.token, '1', state = 'waiting_for_retry');
		END IF;
	END IF;
	RETURN t;
END $$;
CREATE FUNCTION pg_temp.with_task(state text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	t bigint := pg_temp.with_step(CASE WHEN state IN ('in_progress', 'complete', 'error') THEN state ELSE 'pending' END);
BEGIN
	IF state IN ('complete', 'error') THEN
		PERFORM tasker.resolve_step(t * 1000000 + 2, '1');
	ELSIF state IN ('cancelled', 'resolved_manually') THEN
		PERFORM tasker.transition_task(t, state);
	END IF;
	RETURN t;
END $$;
CREATE FUNCTION pg_temp.moved(call text, question text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	before text;
	answer boolean;
	after text;
BEGIN
	EXECUTE question INTO before;
	BEGIN
		EXECUTE 'SELECT ' || call INTO answer;
	EXCEPTION WHEN OTHERS THEN
		EXECUTE question INTO after;
		RETURN SQLSTATE || CASE WHEN after <> before THEN ', but it is ' || after ELSE '' END;
	END;
	EXECUTE question INTO after;
	RETURN answer || CASE WHEN answer AND after = before OR NOT answer AND after <> before THEN ', but it is ' || after ELSE '' END;
END $$;
CREATE FUNCTION pg_temp.task_move(f text, t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint := pg_temp.with_task(f);
BEGIN
	ASSERT (SELECT state FROM tasker.tasks WHERE task_id = id) = f;
	RETURN pg_temp.moved(format('tasker.transition_task(%s, %L)', id, t), format('SELECT state FROM tasker.tasks WHERE task_id = %s', id));
END $$;
CREATE FUNCTION pg_temp.step_move(f text, t text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	id bigint := pg_temp.with_step(f);
BEGIN
	ASSERT (SELECT state FROM tasker.workflow_steps WHERE task_id = id AND step_no = 1) = f;
	RETURN pg_temp.moved(format('tasker.transition_step(%s, %L, results => %s)', id * 1000000 + 1, t, CASE t WHEN 'resolved_manually' THEN quote_literal('1') ELSE 'NULL' END),
		format('SELECT state FROM tasker.workflow_steps WHERE task_id = %s AND step_no = 1', id));
END $$;
SELECT f AS from_task_state, pg_temp.task_move(f, 'pending') AS pending, pg_temp.task_move(f, 'in_progress') AS in_progress, pg_temp.task_move(f, 'complete') AS complete,
	pg_temp.task_move(f, 'error') AS error, pg_temp.task_move(f, 'cancelled') AS cancelled, pg_temp.task_move(f, 'resolved_manually') AS resolved_manually, pg_temp.task_move(f, 'done') AS done
FROM unnest('{pending,in_progress,complete,error,cancelled,resolved_manually}'::text[]) f;
SELECT f AS from_step_state, pg_temp.step_move(f, 'pending') AS pending, pg_temp.step_move(f, 'in_progress') AS in_progress, pg_temp.step_move(f, 'waiting_for_retry') AS waiting_for_retry,
	pg_temp.step_move(f, 'complete') AS complete, pg_temp.step_move(f, 'error') AS error, pg_temp.step_move(f, 'cancelled') AS cancelled, pg_temp.step_move(f, 'skipped') AS skipped,
	pg_temp.step_move(f, 'resolved_manually') AS resolved_manually, pg_temp.step_move(f, 'done') AS done
FROM unnest('{pending,in_progress,waiting_for_retry,complete,error,cancelled,skipped,resolved_manually}'::text[]) f;

-- ---------------------------------------------------------------------------
-- 11. one step was claimed twice; raced: specs/claim-claim, specs/claim-start
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT count(*) AS claims FROM generate_series(1, 16) i, tasker.claim_steps('w' || i, 10, task_id => :t);
SELECT attempts, attempt_no FROM tasker.step_queue WHERE task_id = :t;

-- ---------------------------------------------------------------------------
-- 12. results stood apart from the state, or were lost; errors too.  With a worker
-- that is killed between: ruby/test/worker/process_test.rb, step_transaction_test.rb
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
-- 13. "in process" was a flag beside the state, and true after creation
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
-- 14. a failed step was listed as ready, and never run again.  By the real loop:
-- ruby/test/worker/worker_test.rb
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
-- 15. who held a step and died kept it.  A worker that is killed is in
-- ruby/test/worker/process_test.rb
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
-- 16. tasks were completed out of any state; completed_at was forgotten.  Raced:
-- specs/complete-cancel, specs/complete-cancel-end
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT tasker.cancel_task(:t);
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, :token)) AS complete;
SELECT state, (SELECT to_state FROM tasker.task_transitions WHERE task_id = :t ORDER BY transition_id DESC LIMIT 1) AS last_move FROM tasker.tasks WHERE task_id = :t;
SELECT count(*) AS wrong FROM tasker.tasks WHERE (finished_at IS NOT NULL) <> (state IN ('complete', 'error', 'cancelled', 'resolved_manually'));

-- ---------------------------------------------------------------------------
-- 17, 18. the template's backoff was ignored, and a success had one
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
-- 19, 22. four predicates for "is it tried again".  step retryable x error
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
-- 20, 21. delays beyond their cap; five caps
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
-- 23. the key was ignored, and equal requests were never equal; raced:
-- specs/create-key, specs/create-keys
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "strict", "namespace": "mistakes", "identity_strategy": "strict", "steps": [{"name": "s"}]}');
SELECT n, created FROM (VALUES (1, '{"a": 1, "b": 2}', NULL), (2, '{"b":2,"a":1.0}', NULL), (3, '{"a": 1, "b": 3}', NULL), (4, '{"a": 1, "b": 2}', 'k1'), (5, '{"a": 9}', 'k1'), (6, '{"a": 9}', 'k2')) v(n, context, key),
	tasker.create_task('strict', context::jsonb, 'mistakes', idempotency_key => key) ORDER BY n;

-- ---------------------------------------------------------------------------
-- 24. contexts were "sanitised"
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', '{"script": "<b>", "eval": 1, "function": 2, "one": 3, "online": 4, "only_if": 5, "onclick": "x()", "sql": "''; DROP TABLE x; --"}', 'mistakes') \gset
SELECT task_context FROM tasker.claim_steps('w', task_id => :t);

-- ---------------------------------------------------------------------------
-- 25. a task of an unknown template was made without steps, and was complete
-- ---------------------------------------------------------------------------
SELECT count(*) AS before FROM tasker.tasks \gset
SELECT pg_temp.refused('tasker.create_task(''unknown'', namespace => ''mistakes'')');
SELECT count(*) - :before AS made FROM tasker.tasks;
SELECT pg_temp.refused('tasker.register_task_template(''{"name": "empty", "namespace": "mistakes", "steps": []}'')');

-- ---------------------------------------------------------------------------
-- 26. 0.10.0 was older than 0.9.0
-- ---------------------------------------------------------------------------
SELECT count(*) FROM unnest('{0.9.0,0.10.0,0.2.11,0.10.0-rc.1}'::text[]) WITH ORDINALITY v(version, n), tasker.register_task_template(jsonb_build_object('name', 'versions', 'namespace', 'mistakes', 'version', version,
	'steps', (SELECT jsonb_agg(jsonb_build_object('name', 's' || i)) FROM generate_series(1, n) i)));
SELECT tasker.get_task_template('versions', 'mistakes') ->> 'version' AS highest, step_count FROM tasker.create_task('versions', namespace => 'mistakes');

-- ---------------------------------------------------------------------------
-- 27. what people did resumed nothing, and overwrote a live worker; raced:
-- specs/complete-change, specs/change-change
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step_state, task_state FROM generate_series(1, 3) i, pg_temp.claim(:t + 0 * i) c, tasker.fail_step(c.step, c.token, '1', retry_after_seconds => 0);
SELECT task_state, steps_ready FROM tasker.resolve_step(:t * 1000000::bigint + 1, '"by hand"', 'paid in cash');
SELECT step_name, dependency_results FROM tasker.claim_steps('w', 2, task_id => :t) c, tasker.complete_step(c.workflow_step_id, c.claim_token, '1') ORDER BY 1;
-- a person overtakes the worker: its result comes late, and changes nothing
SELECT step, token, name FROM pg_temp.claim(:t) \gset
SELECT :'name' AS claimed, task_state FROM tasker.resolve_step(:step, '"by hand"');
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''"late"'')', :step, :token)) AS complete, pg_temp.refused(format('tasker.fail_step(%s, %s, ''"late"'')', :step, :token)) AS fail;
SELECT name, state, results FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;
-- nor is anything finished overwritten by a person
SELECT pg_temp.refused(format('tasker.resolve_step(%s, ''2'')', :t * 1000000::bigint + 2)) AS of_a_complete_task;
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT step_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT task_state, steps_ready FROM tasker.reset_step(:t * 1000000::bigint + 1);
SELECT c.name, c.attempt, status FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT pg_temp.refused(format('tasker.resolve_step(%s, ''2'')', :t * 1000000::bigint + 1)) AS of_a_complete_step;

-- ---------------------------------------------------------------------------
-- 28. branches that could not be made were logged, and the task was complete.  An unknown
-- branch is refused (sql/decisions.sql has more), and types that nothing here knows are
-- ---------------------------------------------------------------------------
SELECT type, pg_temp.refused(format('tasker.register_task_template(%L)', jsonb_build_object('name', 'branching', 'namespace', 'mistakes', 'steps', jsonb_build_array(jsonb_build_object('name', 'a', 'type', type)))))
FROM unnest('{standard,decision,batchable,batch_worker,unknown}'::text[]) type;
SELECT task_id AS t FROM tasker.create_task_from_definition('{"name": "branching", "namespace": "mistakes", "steps": [{"name": "d", "type": "decision"}, {"name": "a", "depends_on": ["d"]}]}') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT pg_temp.refused(format('tasker.complete_step(%s, %s, ''{"branches": ["nobody"]}'')', :step, :token)) AS unknown_branch;
SELECT name, state FROM tasker.workflow_steps WHERE task_id = :t ORDER BY step_no;

-- ---------------------------------------------------------------------------
-- 29. keys were accepted and had no effect.  Each has one, or is refused, or is warned
-- of; all of lifecycle is in sql/staleness.sql, on_failure in sql/on_failure.sql, and
-- what decides and waits in sql/decisions.sql, sql/conditions.sql and sql/signals.sql
-- ---------------------------------------------------------------------------
SELECT step, pg_temp.refused(format('tasker.register_task_template(%L)', jsonb_build_object('name', 'keys', 'namespace', 'mistakes', 'version', n::text, 'steps', jsonb_build_array('{"name": "a"}' || step))))
FROM unnest(ARRAY['{"when": "x"}', '{"batch_config": {"batch_size": 5}}', '{"delay_seconds": "5"}', '{"run_at": "at"}', '{"concurrency": 1}', '{"lifecycle": {"max_duration_minutes": 5}}', '{"trigger_rule": "most"}']::jsonb[]) WITH ORDINALITY v(step, n);
SELECT unnest(tasker.validate_task_template('{"name": "t", "colour": "red", "lifecycle": {"max_age": 1}, "steps": [{"name": "a", "retry": {"limit": 4, "tries": 3}}]}')) AS warning;
SELECT created FROM tasker.register_task_template('{"name": "timed", "namespace": "mistakes_29", "lifecycle": {"max_duration_minutes": 10, "staleness_action": "error"},
	"steps": [{"name": "a", "timeout_seconds": 17, "priority": 3, "queue": "slow", "handler": {"callable": "H", "method": "m", "initialization": {"k": 1}}, "retry": {"max_attempts": 4}}]}');
SELECT task_id AS t FROM tasker.create_task('timed', namespace => 'mistakes_29') \gset
SELECT timeout_seconds, priority, queue, handler_class, handler_method, handler_config, max_attempts FROM tasker.claim_steps('w', task_id => :t);
SET tasker_core.clock_offset = 660;
SELECT minutes, limit_minutes, limit_name, action FROM tasker.detect_stale_tasks(true, 10000) WHERE namespace = 'mistakes_29';
RESET tasker_core.clock_offset;
-- of checkpoints the last is kept, and no history of them
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT count(tasker.checkpoint_step(:step, :token, to_jsonb(i))) FROM generate_series(1, 100) i;
SELECT tasker.checkpoint_step(:step, :token, '101', true);
SELECT (SELECT count(*) FROM tasker.step_attempts WHERE task_id = :t) + (SELECT count(*) FROM tasker.step_moves WHERE task_id = :t) <= 1 AS no_history, attempt, checkpoint FROM tasker.claim_steps('w', task_id => :t);

-- ---------------------------------------------------------------------------
-- 30. an unknown state read as pending
-- ---------------------------------------------------------------------------
BEGIN;
UPDATE tasker.tasks SET state = 'done' WHERE task_id = :t;
SELECT pg_temp.refused(format('tasker.cancel_task(%s)', :t)) AS cancel, pg_temp.refused(format('tasker.get_task_execution_context(%s)', :t)) AS context, pg_temp.refused(format('tasker.verify_task(%s)', :t)) AS verify;
ROLLBACK;

-- ---------------------------------------------------------------------------
-- 31. calls answered with states that nobody had stored.  Through the gem:
-- ruby/test/db/client_test.rb
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
CREATE FUNCTION pg_temp.stored(t bigint) RETURNS text LANGUAGE sql AS $$
	SELECT k.state || ': ' || string_agg(s.state, ' ' ORDER BY s.step_no) || ', ' || (SELECT ready_steps FROM tasker.get_task_execution_context(t)) || ' ready' FROM tasker.tasks k JOIN tasker.workflow_steps s USING (task_id) WHERE task_id = t GROUP BY k.state $$;
SELECT task_state, steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT pg_temp.stored(:t);
SELECT step_state, task_state FROM pg_temp.claim(:t) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT pg_temp.stored(:t);
SELECT task_state, steps_ready FROM pg_temp.claim(:t) c, tasker.complete_step(c.step, c.token, '1');
SELECT pg_temp.stored(:t);
SELECT tasker.retry_task(:t) AS steps;
SELECT pg_temp.stored(:t);

-- ---------------------------------------------------------------------------
-- 32. numbers that were constants.  All of them against counts: sql/operations.sql;
-- missing handlers and overrides of steps: task_handler_test.rb, template_test.rb and
-- cli_test.rb in ruby/test/unit
-- ---------------------------------------------------------------------------
CREATE FUNCTION pg_temp.health() RETURNS jsonb LANGUAGE sql AS $$ SELECT to_jsonb(h) FROM tasker.get_system_health_counts() h $$;
CREATE FUNCTION pg_temp.changes(before jsonb) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(key || ' ' || to_char(value::bigint - (before ->> key)::bigint, 'SG9'), ', ' ORDER BY key) FROM jsonb_each_text(pg_temp.health()) WHERE value <> before ->> key AND key ~ '_(tasks|steps)$' $$;
-- every retry and lease of before is due by then, so that none comes due between two counts
SET tasker_core.clock_offset = 86400;
SELECT pg_temp.health() AS h \gset
SELECT task_id AS t FROM tasker.create_task('diamond', namespace => 'mistakes') \gset
SELECT pg_temp.changes(:'h') AS create, pg_temp.health() AS h \gset
SELECT step, token FROM pg_temp.claim(:t) \gset
SELECT pg_temp.changes(:'h') AS claim, pg_temp.health() AS h \gset
SELECT status FROM tasker.complete_step(:step, :token, '1') \gset
SELECT pg_temp.changes(:'h') AS complete, pg_temp.health() AS h \gset
SELECT tasker.cancel_task(:t) \gset
SELECT pg_temp.changes(:'h') AS cancel \gset
\echo :create
\echo :claim
\echo :complete
\echo :cancel
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- 33. registered under one default version, looked for under another.  Registries,
-- instances of handlers and classes of errors: ruby/test/unit/task_handler_test.rb,
-- errors_test.rb
-- ---------------------------------------------------------------------------
SELECT version, created FROM tasker.register_task_template('{"name": "mistakes_33", "steps": [{"name": "s"}]}');
SELECT tasker.get_task_template('mistakes_33') ->> 'version' AS found, created FROM tasker.create_task('mistakes_33');

-- ---------------------------------------------------------------------------
-- 34. false, null and nothing were no results.  Those of handlers, and which error is
-- of which kind: ruby/test/unit/runner_test.rb, errors_test.rb
-- ---------------------------------------------------------------------------
CREATE FUNCTION pg_temp.stored_result(result jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	t bigint := (SELECT task_id FROM tasker.create_task('one', namespace => 'mistakes'));
	state text;
BEGIN
	SELECT task_state INTO state FROM pg_temp.claim(t) c, tasker.complete_step(c.step, c.token, result);
	RETURN state || ': ' || (SELECT results::text FROM tasker.workflow_steps WHERE task_id = t);
END $$;
SELECT result, pg_temp.stored_result(result) FROM unnest(ARRAY['false', 'null', '0', '""', '[]', '{}']::jsonb[]) result;

-- ---------------------------------------------------------------------------
-- 35. a task was counted as complete when one of its steps was.  Every number on data
-- made by hand: sql/operations.sql
-- ---------------------------------------------------------------------------
SELECT clock_timestamp() AS since \gset
SELECT task_throughput AS tasks, completion_count AS complete, error_count AS errors, step_throughput AS steps FROM tasker.get_analytics_metrics(:'since') \gset
SELECT count(*) FROM generate_series(1, 4) i, tasker.create_task('diamond', jsonb_build_object('i', i), 'mistakes');
SELECT max(task_id) AS t FROM tasker.tasks \gset
SELECT count(*) AS completed FROM generate_series(0, 6) i, LATERAL (SELECT i, * FROM pg_temp.claim(:t - greatest(i - 3, 0))) c, tasker.complete_step(c.step, c.token, '1');
SELECT step_state FROM pg_temp.claim(:t - 3) c, tasker.fail_step(c.step, c.token, '1', false);
SELECT pg_temp.counts(:t - i) FROM generate_series(0, 3) i;
SELECT task_throughput - :tasks AS tasks, completion_count - :complete AS complete, error_count - :errors AS errors, step_throughput - :steps AS steps FROM tasker.get_analytics_metrics(:'since');
SELECT task_state FROM pg_temp.claim(:t - 3) c, tasker.complete_step(c.step, c.token, '1');
SELECT task_throughput - :tasks AS tasks, completion_count - :complete AS complete, error_count - :errors AS errors, step_throughput - :steps AS steps FROM tasker.get_analytics_metrics(:'since');

-- ---------------------------------------------------------------------------
-- 36. names were pasted into SQL
-- ---------------------------------------------------------------------------
SELECT namespace, name, created FROM tasker.register_task_template('{"name": "x''; DROP TABLE tasker.tasks; --", "namespace": "a\"; drop table x;--", "steps": [{"name": "$1 \\ %s", "queue": "q''"}]}');
SELECT task_id AS t FROM tasker.create_task('x''; DROP TABLE tasker.tasks; --', namespace => 'a"; drop table x;--') \gset
SELECT namespace, task_name, step_name, queue FROM tasker.claim_steps('w''; --', namespaces => ARRAY['a"; drop table x;--'], queues => ARRAY['q''']);

-- ---------------------------------------------------------------------------
-- 37. who may act was asked by owner, so nobody could take over.  A lease and a token:
-- the heir needs nobody, and the dead can do nothing; raced: specs/complete-takeover,
-- specs/fail-takeover, specs/hold-takeover
-- ---------------------------------------------------------------------------
SELECT task_id AS t FROM tasker.create_task('one', namespace => 'mistakes') \gset
SELECT step, token AS first FROM pg_temp.claim(:t) \gset
SET tasker_core.clock_offset = 59;
SELECT count(*) AS too_early FROM tasker.claim_steps('second', task_id => :t);
SET tasker_core.clock_offset = 61;
SELECT claim_token AS second FROM tasker.claim_steps('second', task_id => :t) \gset
SET tasker_core.clock_offset = 122;
-- even by the same worker
SELECT claim_token AS third FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT :first <> :second AND :second <> :third AND :first <> :third AS three_tokens;
SELECT n, pg_temp.refused(format('tasker.complete_step(%s, %s, ''1'')', :step, token)) AS complete, pg_temp.refused(format('tasker.fail_step(%s, %s, ''1'')', :step, token)) AS fail,
	pg_temp.refused(format('tasker.checkpoint_step(%s, %s, ''1'')', :step, token)) AS checkpoint, (SELECT count(*) FROM tasker.heartbeat('w', ARRAY[:step], ARRAY[token])) AS told_lost,
	tasker.release_steps(ARRAY[:step], ARRAY[token]) AS released
FROM (VALUES (1, :first), (2, :second)) v(n, token) ORDER BY n;
SELECT worker_id, state, attempts FROM tasker.workflow_steps WHERE task_id = :t;
SELECT status, task_state FROM tasker.complete_step(:step, :third, '1');
SELECT attempt, worker_id, outcome FROM tasker.step_attempts WHERE task_id = :t ORDER BY attempt;
RESET tasker_core.clock_offset;

-- ---------------------------------------------------------------------------
-- 38. step names were shared by all templates of a database
-- ---------------------------------------------------------------------------
SELECT created FROM tasker.register_task_template('{"name": "other", "namespace": "mistakes", "steps": [{"name": "validate", "handler": {"callable": "Other"}, "retry": {"max_attempts": 7}, "timeout_seconds": 5}]}');
SELECT n.name AS template, s.handler_class, s.max_attempts, s.timeout_seconds FROM tasker.named_steps s JOIN tasker.named_tasks n USING (named_task_id) JOIN tasker.task_namespaces m USING (namespace_id)
WHERE m.name = 'mistakes' AND s.name = 'validate' ORDER BY 1;
SELECT t.task_name, c.handler_class, c.max_attempts FROM unnest('{one,other}'::text[]) t(task_name), tasker.create_task(t.task_name, namespace => 'mistakes') k, tasker.claim_steps('w', task_id => k.task_id) c;

-- ---------------------------------------------------------------------------
-- 39. tests that could not fail.  Four squarings of 3 are 3^16
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

SELECT * FROM tasker.verify_all(10000) ORDER BY 1, 2, 3;
