--
-- The public face, which other programs are written against: functions with their
-- arguments and results; all of it commented, nothing of it PUBLIC's, all of it dumped.
--

\pset format unaligned
\pset tuples_only on
SELECT proname || '(' || pg_get_function_arguments(oid) || E')\n  ' || pg_get_function_result(oid)
FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND proname = ANY ('{register_task_template,validate_task_template,get_task_template,list_task_templates,
	create_task,cancel_task,claim_steps,complete_step,complete_steps,fail_step,heartbeat,release_steps,get_step_readiness_status,get_step_readiness_status_batch,
	get_task_execution_context,get_task_execution_contexts_batch,verify_task,verify_all,calculate_backoff,library_version}') ORDER BY proname, oid;
SELECT c.relname || E'\n  ' || string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.oid = 'tasker.workflow_steps'::regclass AND a.attnum > 0 GROUP BY c.relname;
\pset format aligned
\pset tuples_only off

-- each with a comment
SELECT 'function' AS kind, oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
UNION ALL
SELECT relkind::text, oid::regclass::text FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v') AND NOT relispartition AND obj_description(oid, 'pg_class') IS NULL
UNION ALL
SELECT 'schema', 'tasker' WHERE obj_description('tasker'::regnamespace, 'pg_namespace') IS NULL;

-- arguments and columns have names; no interval, no timestamp without zone, no composite
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND cardinality(coalesce(proallargtypes, proargtypes::oid[])) > 0
	AND (proargnames IS NULL OR '' = ANY (proargnames));
SELECT p.oid::regprocedure, t.oid::regtype FROM pg_proc p, unnest(coalesce(proallargtypes, proargtypes::oid[])) a(typ) JOIN pg_type t ON t.oid = a.typ
WHERE pronamespace = 'tasker'::regnamespace AND (t.typtype = 'c' OR t.oid::regtype::text ~ 'interval|without time zone');

-- nothing to PUBLIC
SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE');
SELECT oid::regclass FROM pg_class WHERE relnamespace = 'tasker'::regnamespace AND relkind IN ('r', 'p', 'v')
	AND has_table_privilege('public', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
SELECT has_schema_privilege('public', 'tasker', 'USAGE') AS usage, has_schema_privilege('public', 'tasker', 'CREATE') AS create;

-- no function runs with its owner's rights, and none that is not C finds names by the caller's search_path
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang WHERE pronamespace = 'tasker'::regnamespace
	AND (prosecdef OR l.lanname <> 'c' AND prosqlbody IS NULL AND NOT coalesce(proconfig::text, '') LIKE '%search_path=pg_catalog%');
-- what only asks is not volatile
SELECT oid::regprocedure, provolatile FROM pg_proc WHERE pronamespace = 'tasker'::regnamespace AND proname ~ '^(get|list|verify|validate|calculate|library)_' AND provolatile = 'v';

-- ---------------------------------------------------------------------------
-- Dump: every table and sequence goes along, rows and all
-- ---------------------------------------------------------------------------

SELECT c.relname AS not_dumped FROM pg_class c, pg_extension e WHERE c.relnamespace = 'tasker'::regnamespace AND c.relkind IN ('r', 'S') AND e.extname = 'tasker_core' AND c.oid <> ALL (e.extconfig);
SELECT c.relname AS only_in_part FROM pg_extension e, unnest(e.extconfig, e.extcondition) x(oid, condition) JOIN pg_class c USING (oid) WHERE e.extname = 'tasker_core' AND x.condition <> '';
-- all in the schema belongs to the extension, and the extension has nothing elsewhere
SELECT c.relname AS stray FROM pg_class c WHERE c.relnamespace = 'tasker'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
	AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e');
SELECT pg_describe_object(classid, objid, 0) AS elsewhere FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tasker_core') AND deptype = 'e'
	AND (pg_identify_object(classid, objid, 0)).schema IS DISTINCT FROM 'tasker' AND classid <> 'pg_namespace'::regclass;
SELECT extrelocatable, extnamespace::regnamespace FROM pg_extension WHERE extname = 'tasker_core';
