--
-- JSON Schema: which schemas are refused, what documents are refused for, and
-- that create_task and complete_step refuse them, with nothing changed.
--

-- SQLSTATE, message, detail by line and hint of what a statement raises.
CREATE FUNCTION pg_temp.refusal(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	code text;
	message text;
	detail text;
	hint text;
BEGIN
	EXECUTE statement;
	RETURN NEXT 'accepted';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
	RETURN NEXT code || ' ' || message;
	RETURN QUERY SELECT '  ' || line FROM regexp_split_to_table(detail, E'\n') line;
	RETURN NEXT '  hint: ' || hint;
END $$;

-- The faults and warnings of a template with this input_schema.
CREATE FUNCTION pg_temp.remarks(schema jsonb) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	faults text;
BEGIN
	RETURN QUERY SELECT 'warning: ' || w FROM unnest(tasker.validate_task_template(
		jsonb_build_object('name', 't', 'steps', '[{"name": "a"}]'::jsonb, 'input_schema', schema))) w;
EXCEPTION WHEN SQLSTATE 'TC020' THEN
	GET STACKED DIAGNOSTICS faults = PG_EXCEPTION_DETAIL;
	RETURN QUERY SELECT regexp_split_to_table(faults, E'\n');
END $$;

-- ---------------------------------------------------------------------------
-- Schemas
-- ---------------------------------------------------------------------------

-- every keyword there is, in one schema: no fault, no warning
SELECT * FROM pg_temp.remarks('{
	"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.org/order", "$comment": "c",
	"title": "t", "description": "d", "default": null, "examples": [1], "deprecated": false, "readOnly": true, "writeOnly": false,
	"format": "date", "contentEncoding": "base64", "contentMediaType": "text/plain", "contentSchema": true,
	"$defs": {"a": {}}, "definitions": {"b": true}, "$ref": "#/$defs/a",
	"type": ["object", "null", "array", "string", "number", "integer", "boolean"], "enum": [1, null], "const": {"a": 1},
	"multipleOf": 0.5, "minimum": -1, "maximum": 2, "exclusiveMinimum": -1.5, "exclusiveMaximum": 1e3,
	"minLength": 0, "maxLength": 5, "pattern": "^a+$",
	"items": {}, "prefixItems": [true], "contains": {}, "minContains": 0, "maxContains": 1, "minItems": 0, "maxItems": 1, "uniqueItems": true,
	"properties": {"a": {}}, "patternProperties": {"^x": {}}, "additionalProperties": false, "propertyNames": {},
	"required": ["a"], "dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {}}, "minProperties": 0, "maxProperties": 9,
	"allOf": [true], "anyOf": [{}], "oneOf": [true], "not": false, "if": {}, "then": {}, "else": {}}');

-- what is not enforced is refused, by its path
SELECT r FROM (VALUES
	(1, '{"properties": {"a": {"unevaluatedProperties": false}, "b c": {"unevaluatedItems": false}}}'::jsonb),
	(2, '{"$anchor": "a", "$dynamicAnchor": "b", "$dynamicRef": "#b", "$vocabulary": {}}'),
	(3, '{"$recursiveAnchor": true, "items": {"$recursiveRef": "#"}}'),
	(4, '{"allOf": [true, {"dependencies": {"a": ["b"]}}]}'),
	(5, '{"items": [{}], "additionalItems": false}'),
	(6, '{"divisibleBy": 2, "disallow": "string", "extends": {}}')) v(i, schema), pg_temp.remarks(schema) WITH ORDINALITY AS r(r, line)
ORDER BY i, line;

-- wrong values of keywords
SELECT r FROM (VALUES
	(1, '"x"'::jsonb), (2, '[]'), (3, '{"type": "strnig"}'), (4, '{"type": []}'), (5, '{"type": ["string", "string", 1]}'),
	(6, '{"minimum": "1", "exclusiveMaximum": true}'), (7, '{"multipleOf": 0}'), (8, '{"minLength": -1, "maxItems": 1.5, "maxLength": "3"}'),
	(9, '{"required": "a"}'), (10, '{"required": ["a", 1, "a"]}'), (11, '{"enum": 1}'), (12, '{"uniqueItems": 1}'),
	(13, '{"allOf": [], "anyOf": {}, "oneOf": [1]}'), (14, '{"not": null, "if": 0}'), (15, '{"properties": [], "$defs": {"a": 1}}'),
	(16, '{"dependentRequired": {"a": "b"}, "dependentSchemas": {"a": []}}'), (17, '{"title": 1, "examples": 1, "readOnly": "yes"}'),
	(18, '{"$schema": "http://json-schema.org/draft-04/schema#"}'), (19, '{"$id": 1, "properties": {"a": {"$id": "https://example.org"}}}'),
	(20, '{"contentSchema": {"type": 1}}')) v(i, schema), pg_temp.remarks(schema) WITH ORDINALITY AS r(r, line)
ORDER BY i, line;

-- regular expressions
SELECT r FROM (VALUES
	(1, '{"pattern": 1}'::jsonb), (2, '{"pattern": "a("}'), (3, '{"pattern": "[z-a]"}'), (4, '{"pattern": "a{3,1}"}'), (5, '{"pattern": "a{256}"}'),
	(6, '{"pattern": "(a)\\1"}'), (7, '{"pattern": "\\p{L}"}'), (8, '{"pattern": "\\Aa"}'), (9, '{"pattern": "(?i)a"}'),
	(10, '{"patternProperties": {"a": {"type": 1}, "[": true, "+": true}}')) v(i, schema), pg_temp.remarks(schema) WITH ORDINALITY AS r(r, line)
ORDER BY i, line;

-- references
SELECT r FROM (VALUES
	(1, '{"$ref": 1}'::jsonb), (2, '{"$ref": "#/$defs/a"}'), (3, '{"$ref": "#a"}'), (4, '{"$ref": "https://example.org/a"}'), (5, '{"$ref": ""}'),
	(6, '{"$ref": "#/title", "title": "t"}'), (7, '{"$ref": "#/a%2"}'), (8, '{"allOf": [{"$ref": "#/allOf/1"}]}'), (9, '{"allOf": [{"$ref": "#/allOf/01"}]}'),
	(10, '{"$ref": "#/x/y", "x": {"y": {"minimum": "a", "$ref": "#/x/z"}, "z": {"required": 1}}}')) v(i, schema), pg_temp.remarks(schema) WITH ORDINALITY AS r(r, line)
ORDER BY i, line;

-- a schema that would be applied to one value for ever
SELECT r FROM (VALUES
	(1, '{"$ref": "#"}'::jsonb), (2, '{"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}, "items": {"$ref": "#/$defs/a"}}'),
	(3, '{"if": {"$ref": "#"}}'), (4, '{"dependentSchemas": {"a": {"$ref": "#"}}}'), (5, '{"then": {"$ref": "#/$defs/a"}, "if": true, "$defs": {"a": {"$ref": "#"}}}'),
	(6, '{"oneOf": [{"type": "null"}, {"items": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}]}')) v(i, schema), pg_temp.remarks(schema) WITH ORDINALITY AS r(r, line)
ORDER BY i, line;

-- what has no effect gives a warning
SELECT * FROM pg_temp.remarks('{"requried": ["a"], "then": {}, "minContains": 1, "properties": {"a b": {"nullable": true}}}');

-- too deep for anyone to want
SELECT * FROM pg_temp.refusal(format('SELECT tasker.validate_json_schema(%L, ''1'')', repeat('{"not":', 501) || 'true' || repeat('}', 501)));

-- ---------------------------------------------------------------------------
-- Documents
-- ---------------------------------------------------------------------------

-- what each keyword says
SELECT v.path, v.message FROM (VALUES
	(1, '{"type": "integer"}'::jsonb, '1.5'::jsonb), (2, '{"type": ["integer", "null"]}', '"1"'), (3, '{"enum": [1, "a", [1]]}', '{}'), (4, '{"const": "a"}', '"b"'),
	(5, '{"const": [1]}', '[2]'), (6, '{"minimum": 3}', '2.5'), (7, '{"maximum": 3}', '3.5'), (8, '{"exclusiveMinimum": 3}', '3'), (9, '{"exclusiveMaximum": 3}', '3.0'),
	(10, '{"multipleOf": 0.01}', '0.005'), (11, '{"minLength": 3}', '"ab"'), (12, '{"maxLength": 1}', '"ab"'), (13, '{"pattern": "^b"}', '"ab"'),
	(14, '{"minItems": 1}', '[]'), (15, '{"maxItems": 1}', '[1, 2]'), (16, '{"uniqueItems": true}', '["a", 1, {"b": 1}, "a", {"b": 2}]'), (17, '{"minProperties": 1}', '{}'),
	(18, '{"maxProperties": 0}', '{"a": 1}'), (19, '{"required": ["a", "b", "c"]}', '{"b": 1}'), (20, '{"dependentRequired": {"a": ["b"]}}', '{"a": 1}'),
	(21, '{"anyOf": [{"type": "string"}, false]}', '1'), (22, '{"oneOf": [false, {"minimum": 2}]}', '1'), (23, '{"oneOf": [true, false, true]}', '1'), (24, '{"not": true}', '1'),
	(25, '{"contains": {"type": "string"}}', '[1]'), (26, '{"contains": true, "minContains": 3}', '[1]'), (27, '{"contains": true, "maxContains": 1}', '[1, 2]'),
	(28, '{"propertyNames": {"maxLength": 1}}', '{"a": 1, "ab": 1}'), (29, '{"additionalProperties": false}', '{"a": 1}'), (30, 'false', '1'),
	(31, '{"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}}', '1')
) AS s(i, schema, document), tasker.validate_json_schema(schema, document) WITH ORDINALITY AS v(path, message, line)
ORDER BY i, line;

-- the path is an SQL/JSON path: it leads to the value
SELECT path, jsonb_path_query(document, path::jsonpath) AS value
FROM (VALUES ('{"lines": [{"a b": {"$": 1, "": 2, "1st": 3, "is": 4, "\"": 5, "é": 6}}]}'::jsonb)) d(document),
	tasker.validate_json_schema('{"$defs": {"text": {"type": "string"}}, "properties": {"lines": {"items": {"additionalProperties": {"additionalProperties": {"$ref": "#/$defs/text"}}}}}}', document);

-- the first ten, and long values cut short
SELECT count(*), max(path) FROM tasker.validate_json_schema('{"items": false}', (SELECT jsonb_agg(i) FROM generate_series(1, 100) i));
SELECT path, length(message) FROM tasker.validate_json_schema('{"additionalProperties": {"type": "null"}}', jsonb_build_object('a', repeat('x', 10000)));

-- what is tried is no error where something else matches
SELECT * FROM tasker.validate_json_schema('{"anyOf": [{"required": ["a"]}, {"required": ["b"]}], "not": {"required": ["c"]}}', '{"b": 1}');

-- arguments, and schemas that are none
SELECT * FROM pg_temp.refusal('SELECT tasker.validate_json_schema(NULL, ''1'')');
SELECT * FROM pg_temp.refusal('SELECT tasker.validate_json_schema(''true'', NULL)');
SELECT * FROM pg_temp.refusal('SELECT tasker.validate_json_schema(''{"type": "x", "$ref": "#/a"}'', ''1'')');

-- it may stand in a CHECK constraint, and run in a parallel worker
SELECT provolatile, proparallel FROM pg_proc WHERE oid = 'tasker.validate_json_schema(jsonb,jsonb)'::regprocedure;

-- ---------------------------------------------------------------------------
-- Bounds
-- ---------------------------------------------------------------------------

-- 2^40 ways to the same end
CREATE FUNCTION pg_temp.doubling(levels int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('$ref', '#/$defs/1', '$defs', jsonb_object_agg(i, jsonb_build_object('allOf',
		jsonb_build_array(jsonb_build_object('$ref', '#/$defs/' || i + 1), jsonb_build_object('$ref', '#/$defs/' || i + 1))))
		|| jsonb_build_object(levels + 1, true))
	FROM generate_series(1, levels) i;
$$;
SELECT * FROM pg_temp.refusal($$SELECT tasker.validate_json_schema(pg_temp.doubling(40), '1')$$);
SELECT count(*) AS errors FROM tasker.validate_json_schema(pg_temp.doubling(8), '1');

-- comparing is counted as well: 100 times 100 values of 100 kB that differ at the end
SELECT * FROM pg_temp.refusal($$SELECT tasker.validate_json_schema(
	jsonb_build_object('contains', jsonb_build_object('enum', (SELECT jsonb_agg(jsonb_build_array(repeat('x', 100000), i)) FROM generate_series(1, 100) i))),
	(SELECT jsonb_agg(jsonb_build_array(repeat('x', 100000), -i)) FROM generate_series(1, 100) i))$$);

-- 500 schemas within each other at most; a deeper document is no problem where the schema does not look
SELECT * FROM pg_temp.refusal(format('SELECT tasker.validate_json_schema(''{"items": {"$ref": "#"}}'', %L)', repeat('[', 600) || repeat(']', 600)));
SELECT count(*) AS errors FROM tasker.validate_json_schema('{"items": {"type": "array"}}', (repeat('[', 600) || repeat(']', 600))::jsonb);

-- ---------------------------------------------------------------------------
-- Templates
-- ---------------------------------------------------------------------------

SELECT created, warnings FROM tasker.register_task_template('{
	"name": "order", "namespace": "schema", "schema": {"type": "object", "required": ["order"], "additionalProperties": false,
		"properties": {"order": {"type": "integer", "minimum": 1}, "lines": {"type": "array", "items": {"required": ["sku"]}}}},
	"steps": [{"name": "price", "result_schema": {"type": "object", "properties": {"total": {"type": "number", "multipleOf": 0.01}}, "required": ["total"]}},
	          {"name": "pay", "depends_on": ["price"], "result_schema": {"$ref": "#/$defs/twice", "$defs": {"twice": {"uniqueItems": true}}}},
	          {"name": "ship", "depends_on": ["pay"], "result_schema": {}}]}');
SELECT jsonb_pretty(tasker.get_task_template('order', 'schema'));
SELECT s.name, s.result_schema, t.input_schema -> 'required' AS input_required
FROM tasker.named_steps s JOIN tasker.named_tasks t USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id)
WHERE n.name = 'schema' ORDER BY step_no;

-- the other spelling is the same template; a schema that everything matches is none
SELECT created FROM tasker.register_task_template(jsonb_set(tasker.get_task_template('order', 'schema'), '{steps,2,result_schema}', 'true'));
SELECT warnings FROM tasker.register_task_template('{"name": "both", "namespace": "schema", "input_schema": {"type": "object"}, "schema": {"type": "array"}, "steps": [{"name": "a"}]}');
SELECT * FROM pg_temp.refusal($$SELECT tasker.register_task_template('{"name": "bad", "namespace": "schema", "input_schema": {"typ": 1, "type": 1}, "steps": [{"name": "a", "result_schema": {"properties": {"a": {"unevaluatedItems": false}}}}]}')$$);

-- ---------------------------------------------------------------------------
-- Contexts
-- ---------------------------------------------------------------------------

SELECT created, state FROM tasker.create_task('order', '{"order": 17.0, "lines": [{"sku": "a"}]}', 'schema', idempotency_key => 'k');
SELECT count(*) AS tasks FROM tasker.tasks \gset before_
SELECT * FROM pg_temp.refusal($$SELECT tasker.create_task('order', '{"order": 0, "lines": [{"sku": "a"}, {}], "gift": true}', 'schema', idempotency_key => 'new')$$);
SELECT * FROM pg_temp.refusal($$SELECT tasker.create_task('order', namespace => 'schema')$$);
SELECT * FROM pg_temp.refusal($$SELECT tasker.create_tasks('[{"name": "order", "namespace": "schema", "context": {"order": 1}}, {"name": "order", "namespace": "schema", "context": {"order": "1"}}]')$$);
SELECT regexp_replace(r, 'x[0-9a-f]{32}', 'HASH') FROM pg_temp.refusal($$SELECT tasker.create_task_from_definition('{"name": "adhoc", "namespace": "schema", "input_schema": {"required": ["a"]}, "steps": [{"name": "a"}]}', '{"b": 1}')$$) r;
SELECT count(*) - :before_tasks AS more_tasks FROM tasker.tasks;
-- the key of the refused task was not taken
SELECT created FROM tasker.create_task('order', '{"order": 2}', 'schema', idempotency_key => 'new');
-- a duplicate is answered, whatever its context
SELECT created FROM tasker.create_task('order', '{"order": "x"}', 'schema', idempotency_key => 'k');
SELECT created FROM tasker.create_task_from_definition('{"name": "adhoc", "namespace": "schema", "input_schema": {"required": ["a"]}, "steps": [{"name": "a"}]}', '{"a": 1}');

-- ---------------------------------------------------------------------------
-- Results
-- ---------------------------------------------------------------------------

SELECT task_id AS t FROM tasker.create_task('order', '{"order": 3}', 'schema') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT regexp_replace(r, '\d{7,}', 'ID', 'g') FROM pg_temp.refusal(format('SELECT tasker.complete_step(%s, %s, ''{"total": 1.005}'')', :step, :token)) r;
SELECT regexp_replace(r, '\d{7,}', 'ID', 'g') FROM pg_temp.refusal(format('SELECT tasker.complete_step(%s, %s, ''null'')', :step, :token)) r;
-- the claim is as it was: heartbeats hold it, another token is still refused first, and the right result completes it
SELECT count(*) AS lost FROM tasker.heartbeat('w', ARRAY[:step], ARRAY[:token]);
SELECT regexp_replace(r, '\d{7,}', 'ID', 'g') FROM pg_temp.refusal(format('SELECT tasker.complete_step(%s, 1, ''null'')', :step)) r LIMIT 1;
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step, :token, '{"total": 1.05}');
-- and what is completed stays so, whatever comes later
SELECT task_state, steps_ready, status FROM tasker.complete_step(:step, :token, 'null');

-- one bad item of a batch leaves the others alone
SELECT task_id AS t2 FROM tasker.create_task('order', '{"order": 4}', 'schema') \gset
CREATE TEMP TABLE claims AS SELECT * FROM tasker.claim_steps('w', 10, namespaces => '{schema}') WHERE task_id IN (:t, :t2);
SELECT step_name FROM claims ORDER BY step_name;
SELECT c.step_name, r.status, r.task_state, r.steps_ready, jsonb_pretty(regexp_replace(r.error::text, '\d{7,}', 'ID')::jsonb) AS error
FROM (SELECT array_agg(workflow_step_id ORDER BY step_name) AS ids, array_agg(claim_token ORDER BY step_name) AS tokens FROM claims) a,
	tasker.complete_steps(ids, tokens, ARRAY['[1, 1]', '{"total": 5}']::jsonb[]) r JOIN claims c USING (workflow_step_id)
ORDER BY c.step_name;
SELECT name, state, results FROM tasker.workflow_steps WHERE task_id IN (:t, :t2) ORDER BY task_id, step_no;

-- complete_and_claim says so as well, and goes on
SELECT r.step_name, r.task_id = :t2 AS of_t2, r.completed_step_id = c.workflow_step_id AS is_it, r.status, r.error -> 'errors' AS errors
FROM claims c, tasker.complete_and_claim(ARRAY[c.workflow_step_id], ARRAY[c.claim_token], ARRAY['[[], []]'::jsonb], 'w', 1, namespaces => '{schema}', task_id => :t2) r
WHERE c.step_name = 'pay' ORDER BY 1 NULLS LAST;
SELECT * FROM tasker.verify_task(:t) UNION ALL SELECT * FROM tasker.verify_task(:t2);

-- a result that would take too much to check is refused alone, too
SELECT warnings FROM tasker.register_task_template('{"name": "deep", "namespace": "schema_deep", "steps": [{"name": "a", "result_schema": {"items": {"$ref": "#"}}}]}');
SELECT task_id AS t FROM tasker.create_task('deep', namespace => 'schema_deep') \gset
SELECT workflow_step_id AS step, claim_token AS token FROM tasker.claim_steps('w', task_id => :t) \gset
SELECT status, regexp_replace(error::text, '\d{7,}', 'ID') AS error FROM tasker.complete_steps(ARRAY[:step], ARRAY[:token], ARRAY[(repeat('[', 600) || repeat(']', 600))::jsonb]);
SELECT * FROM pg_temp.refusal(format('SELECT tasker.complete_step(%s, %s, %L)', :step, :token, repeat('[', 600) || repeat(']', 600)));
SELECT step_state FROM tasker.fail_step(:step, :token, '"cannot say"', false);

SELECT v.* FROM tasker.tasks JOIN tasker.named_tasks t USING (named_task_id) JOIN tasker.task_namespaces n USING (namespace_id), tasker.verify_task(task_id) v
WHERE n.name LIKE 'schema%';
