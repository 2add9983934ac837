--
-- Identity: a key by which a request is known, equal contexts under strict
-- identity, keys that must be given.
--

SELECT name, version FROM unnest(ARRAY[
	'{"name": "free", "namespace": "identity", "version": "1.0.0", "steps": [{"name": "s"}]}',
	'{"name": "free", "namespace": "identity", "version": "2.0.0", "steps": [{"name": "s"}, {"name": "t"}]}',
	'{"name": "free", "namespace": "identity_other", "version": "1.0.0", "steps": [{"name": "s"}]}',
	'{"name": "free2", "namespace": "identity", "version": "1.0.0", "steps": [{"name": "s"}]}',
	'{"name": "strict", "namespace": "identity", "version": "1.0.0", "identity_strategy": "strict", "steps": [{"name": "s"}]}',
	'{"name": "strict", "namespace": "identity", "version": "2.0.0", "identity_strategy": "strict", "steps": [{"name": "s"}]}',
	'{"name": "strict2", "namespace": "identity", "identity_strategy": "strict", "steps": [{"name": "s"}]}',
	'{"name": "keyed", "namespace": "identity", "identity_strategy": "caller_provided", "steps": [{"name": "s"}]}']::jsonb[]) t, tasker.register_task_template(t);

-- ---------------------------------------------------------------------------
-- A key, whatever the strategy
-- ---------------------------------------------------------------------------

SELECT task_id AS first, created, step_count, state FROM tasker.create_task('free', '{"a": 1}', 'identity', idempotency_key => 'k') \gset
\echo :created :step_count :state
-- again; with another context, version, priority: the same task as it is
SELECT task_id = :first AS same, created, step_count, state FROM tasker.create_task('free', '{"a": 1}', 'identity', idempotency_key => 'k');
SELECT task_id = :first AS same, created, step_count, state FROM tasker.create_task('free', '{"b": 2}', 'identity', '1.0.0', 'k', 99, '2100-01-01');
SELECT context, priority, run_at, idempotency_key FROM tasker.tasks WHERE task_id = :first;
-- scoped to namespace and name
SELECT task_id = :first AS same, created FROM tasker.create_task('free', namespace => 'identity_other', idempotency_key => 'k');
SELECT task_id = :first AS same, created FROM tasker.create_task('free2', namespace => 'identity', idempotency_key => 'k');
-- exact: case, spaces, other keys
SELECT key, created FROM unnest('{K," k","k ",k1,"k\nk"}'::text[]) key, tasker.create_task('free', namespace => 'identity', idempotency_key => key);
-- the answer is the present state
SELECT count(*) FROM tasker.claim_steps('w', task_id => :first);
SELECT state FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'k');
SELECT tasker.cancel_task(:first);
SELECT task_id = :first AS same, created, state FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'k');

-- no key, no identity
SELECT count(DISTINCT task_id), bool_and(created) FROM generate_series(1, 3) i, LATERAL (SELECT i, c.* FROM tasker.create_task('free', '{"i": 1}', 'identity', priority => i - i) c) c;

-- a key whose task rolled back is free again
BEGIN;
SELECT task_id AS gone, created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'rolled back') \gset
SELECT task_id = :gone AS same, created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'rolled back');
ROLLBACK;
SELECT task_id = :gone AS same, created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'rolled back');
-- and one that was taken inside a savepoint
BEGIN;
SAVEPOINT s;
SELECT created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'savepoint');
ROLLBACK TO s;
SELECT created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'savepoint');
COMMIT;
SELECT created FROM tasker.create_task('free', namespace => 'identity', idempotency_key => 'savepoint');

-- ---------------------------------------------------------------------------
-- strict: the context is the identity, in whatever way it is written
-- ---------------------------------------------------------------------------

SELECT task_id AS first, created FROM tasker.create_task('strict', '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}', 'identity') \gset
\echo :created
SELECT context, task_id = :first AS same, created FROM (VALUES
	(1, '{"a":1,"b":[1,2.50,{"c":null}],"d":"x"}'), (2, '{"d": "x", "b": [1, 2.5, {"c": null}], "a": 1}'), (3, E'{\n"a": 1.0, "b": [1.00, 25e-1, {"c": null}], "d": "\\u0078"}'),
	(4, '{"a": 0, "a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}'), (5, '{"a": 1, "b": [2.50, 1, {"c": null}], "d": "x"}'), (6, '{"a": "1", "b": [1, 2.50, {"c": null}], "d": "x"}'),
	(7, '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x", "e": null}'), (8, '{"a": 1, "b": [1, 2.50, {}], "d": "x"}'), (9, '{"a": 1, "b": [1, 2.50, {"c": false}], "d": "x"}'),
	(10, '{"a": 1, "b": [[1, 2.50], {"c": null}], "d": "x"}'), (11, '{"a": 1.0000000000000000001, "b": [1, 2.50, {"c": null}], "d": "x"}'), (12, '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "X"}')) v(n, context),
	tasker.create_task('strict', context::jsonb, 'identity') ORDER BY n;
-- no two of these are alike
SELECT count(*), count(DISTINCT task_id), bool_and(created) FROM unnest(ARRAY['{"a": "b"}', '{"ab": ""}', '{"": "ab"}', '{"a": {"b": ""}}', '{"a": ["b"]}', '{"a": [["b"]]}', '{"a": "", "b": ""}',
	'{"a": [1, 2]}', '{"a": [12]}', '{"a": ["1", "2"]}', '{"a": ["1,2"]}', '{"a": null}', '{"a": "null"}', '{"a": true}', '{"a": "true"}', '{"a": {}}', '{"a": []}', '{}', '{"a": 0}', '{"a": ""}',
	'{"a": "s1:b"}', '{"a": ["x", "y]"]}', '{"a": ["x]", "y"]}', '{"a": 1e2}', '{"a": "100"}', '{"a": -100}']::jsonb[]) context, tasker.create_task('strict', context, 'identity');
-- zero has no sign, and an exponent is not the number
SELECT context, created FROM unnest(ARRAY['{"z": 0}', '{"z": -0}', '{"z": 0.000}', '{"z": 0e5}', '{"z": 100}', '{"z": 1e2}', '{"z": 1000}']::jsonb[]) context, tasker.create_task('strict', context, 'identity');
-- over all versions, and not over names
SELECT task_id = :first AS same, created FROM tasker.create_task('strict', '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}', 'identity', '1.0.0');
SELECT task_id = :first AS same, created FROM tasker.create_task('strict2', '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}', 'identity');
-- a key comes before the context, and is another space
SELECT task_id = :first AS same, created FROM tasker.create_task('strict', '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}', 'identity', idempotency_key => 'k');
SELECT created FROM tasker.create_task('strict', '{"anything": 1}', 'identity', idempotency_key => 'k');
-- what else is in a request is no part of it
SELECT task_id = :first AS same, created FROM tasker.create_task('strict', '{"a": 1, "b": [1, 2.50, {"c": null}], "d": "x"}', 'identity', priority => 9, initiator => 'other', tags => '{x}');

-- ---------------------------------------------------------------------------
-- caller_provided
-- ---------------------------------------------------------------------------

\set VERBOSITY sqlstate
SELECT tasker.create_task('keyed', namespace => 'identity');
SELECT tasker.create_task('keyed', namespace => 'identity', idempotency_key => '');
\set VERBOSITY default
SELECT created FROM tasker.create_task('keyed', '{"x": 1}', 'identity', idempotency_key => 'order 1');
SELECT created FROM tasker.create_task('keyed', '{"x": 2}', 'identity', idempotency_key => 'order 1');
SELECT created FROM tasker.create_task('keyed', '{"x": 1}', 'identity', idempotency_key => 'order 2');

-- keys in one statement
SELECT count(*) FILTER (WHERE created) AS created, count(*) AS asked FROM generate_series(1, 100) i, tasker.create_task('keyed', namespace => 'identity', idempotency_key => 'many ' || i % 10);
-- a key of any length
SELECT created, (SELECT max(length(key_hash)) FROM tasker.idempotency_keys) AS stored FROM tasker.create_task('keyed', namespace => 'identity', idempotency_key => repeat('k', 100000));

SELECT * FROM tasker.verify_all() ORDER BY 1, 2, 3;
