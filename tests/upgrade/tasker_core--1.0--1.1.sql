/* tasker_core--1.0--1.1.sql: a version for tests alone, with one change of each kind */

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION tasker_core UPDATE TO '1.1'" to load this file. \quit

-- a column of a table, and of a ring with its members; a view
ALTER TABLE tasker.workers ADD COLUMN note text;
ALTER TABLE tasker.step_attempts ADD COLUMN note text;
COMMENT ON COLUMN tasker.workers.note IS 'whatever its operator wants to remember';

CREATE VIEW tasker.noted_workers AS
SELECT w.worker_id, w.note FROM tasker.workers w WHERE w.note IS NOT NULL;

COMMENT ON VIEW tasker.noted_workers IS 'workers with a note';
ALTER VIEW tasker.noted_workers OWNER TO @extowner@;

-- an index, and a table that is dumped
CREATE INDEX workers_note_idx ON tasker.workers (note);

CREATE TABLE tasker.notes (
	note_id	int PRIMARY KEY,
	note	text NOT NULL
);

COMMENT ON TABLE tasker.notes IS 'notes';
ALTER TABLE tasker.notes OWNER TO @extowner@;
SELECT pg_catalog.pg_extension_config_dump('tasker.notes', '');

-- a function that is new, and one that is told differently
CREATE FUNCTION tasker.schema_version() RETURNS text
	AS 'MODULE_PATHNAME', 'tasker_library_version' LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION tasker.schema_version() IS 'version of the schema, for tests';
COMMENT ON FUNCTION tasker.library_version() IS 'version of the loaded library';
REVOKE ALL ON FUNCTION tasker.schema_version() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tasker.schema_version() TO @extowner@ WITH GRANT OPTION;

-- tells every session that the schema has changed
ALTER TABLE tasker.named_tasks ALTER COLUMN named_task_id SET STATISTICS -1;
