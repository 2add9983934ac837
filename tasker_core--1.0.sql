/* tasker_core--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION tasker_core" to load this file. \quit

-- ---------------------------------------------------------------------------
-- The schema.  Made here, so that nobody can have prepared it, and owned, like
-- everything in it, by whoever installs the extension.
-- ---------------------------------------------------------------------------

CREATE SCHEMA tasker AUTHORIZATION @extowner@;

COMMENT ON SCHEMA tasker IS 'workflow orchestration inside the database (extension tasker_core)';

-- ---------------------------------------------------------------------------
-- Settings that belong to the data, not to the server.
-- ---------------------------------------------------------------------------

-- No row means the default, so that a restored row never meets one that the
-- script made.
CREATE TABLE tasker.settings (
	name	text PRIMARY KEY CHECK (name IN ('shard_count', 'retention_days', 'idempotency_retention_days')),
	value	text NOT NULL,
	CHECK (name <> 'shard_count' OR value::int BETWEEN 1 AND 1024),
	CHECK (name NOT IN ('retention_days', 'idempotency_retention_days') OR value::int BETWEEN 1 AND 36500)
);

-- Fixed now: every row that is written from here on depends on it.
INSERT INTO tasker.settings (name, value)
SELECT 'shard_count', pg_catalog.current_setting('tasker_core.shard_count', true)
WHERE pg_catalog.current_setting('tasker_core.shard_count', true) <> '1';

COMMENT ON TABLE tasker.settings IS 'settings stored with the data: shard_count (absent = 1), fixed by tasker_core.shard_count at CREATE EXTENSION; retention_days and idempotency_retention_days (absent = for ever), by configure()';

-- ---------------------------------------------------------------------------
-- Access: which roles may do what, and in which namespaces.
-- ---------------------------------------------------------------------------

-- Roles by name, so that a dump can be restored where they have other oids.
CREATE TABLE tasker.access_grants (
	role_name	text NOT NULL,
	access		text NOT NULL CHECK (access IN ('producer', 'worker', 'operator', 'reader', 'admin')),
	namespaces	text[],
	granted_at	timestamptz NOT NULL,
	granted_by	text NOT NULL,
	PRIMARY KEY (role_name, access)
);

COMMENT ON TABLE tasker.access_grants IS 'what grant_access gave; written by grant_access and revoke_access alone, since privileges go with it';
COMMENT ON COLUMN tasker.access_grants.namespaces IS 'the namespaces that it is limited to; null: all';

-- ---------------------------------------------------------------------------
-- Templates: a version is immutable once registered.
-- ---------------------------------------------------------------------------

CREATE SEQUENCE tasker.namespace_id_seq AS int;
CREATE SEQUENCE tasker.named_task_id_seq AS int;
CREATE SEQUENCE tasker.named_step_id_seq AS int;
CREATE SEQUENCE tasker.lane_id_seq AS int;

CREATE TABLE tasker.task_namespaces (
	namespace_id	int PRIMARY KEY DEFAULT nextval('tasker.namespace_id_seq'),
	name			text NOT NULL UNIQUE,
	description		text,
	created_at		timestamptz NOT NULL
);

COMMENT ON TABLE tasker.task_namespaces IS 'namespaces: who owns templates, and which workers serve them';

CREATE TABLE tasker.named_tasks (
	named_task_id		int PRIMARY KEY DEFAULT nextval('tasker.named_task_id_seq'),
	namespace_id		int NOT NULL REFERENCES tasker.task_namespaces,
	name				text NOT NULL,
	version				text NOT NULL,
	identity_strategy	text NOT NULL CHECK (identity_strategy IN ('always_unique', 'strict', 'caller_provided')),
	step_count			int NOT NULL CHECK (step_count BETWEEN 1 AND 999999),
	on_failure			text NOT NULL CHECK (on_failure IN ('continue', 'fail_fast')),
	definition			jsonb NOT NULL,
	definition_hash		bytea NOT NULL,
	created_at			timestamptz NOT NULL,
	created_by			text NOT NULL,
	created_as			text,
	input_schema		jsonb,
	retired_at			timestamptz,
	retired_by			text,
	map_steps			int[],
	map_room			int NOT NULL CHECK (map_room >= 1),
	UNIQUE (namespace_id, name, version)
);

COMMENT ON COLUMN tasker.named_tasks.map_steps IS 'the steps with instances, in order; null: none. The i-th of them has map_room numbers from step_count + 1 + (i - 1) * map_room on';

COMMENT ON COLUMN tasker.named_tasks.retired_at IS 'no new tasks of it since then; not part of its content';
COMMENT ON TABLE tasker.named_tasks IS 'templates, one row a version';
COMMENT ON COLUMN tasker.named_tasks.definition IS 'the template in normal form: our spelling, defaults left out as they were, descriptive keys kept';
COMMENT ON COLUMN tasker.named_tasks.input_schema IS 'JSON Schema of the context; null: any object';
COMMENT ON COLUMN tasker.named_tasks.definition_hash IS 'SHA-256 of the normal form: equal content is the same version';

CREATE TABLE tasker.named_steps (
	named_step_id		int PRIMARY KEY DEFAULT nextval('tasker.named_step_id_seq'),
	named_task_id		int NOT NULL REFERENCES tasker.named_tasks,
	step_no				int NOT NULL,
	name				text NOT NULL,
	queue				text NOT NULL,
	priority			int NOT NULL,
	handler_class		text,
	handler_method		text,
	handler_resolver	text,
	handler_config		jsonb NOT NULL,
	retryable			boolean NOT NULL,
	max_attempts		int NOT NULL CHECK (max_attempts BETWEEN 1 AND 100),
	backoff				text NOT NULL CHECK (backoff IN ('exponential', 'linear', 'fibonacci', 'none')),
	backoff_base_ms		bigint NOT NULL CHECK (backoff_base_ms >= 0),
	max_backoff_ms		bigint NOT NULL CHECK (max_backoff_ms >= 0),
	jitter				float8 NOT NULL CHECK (jitter BETWEEN 0 AND 1),
	timeout_seconds		int CHECK (timeout_seconds > 0),
	on_failure			text NOT NULL CHECK (on_failure IN ('fail', 'skip', 'continue')),
	min_depth			int NOT NULL CHECK (min_depth >= 0),
	result_schema		jsonb,
	step_type			text NOT NULL CHECK (step_type IN ('standard', 'decision', 'deferred_convergence', 'batchable', 'batch_worker')),
	trigger_rule		text NOT NULL CHECK (trigger_rule IN ('all_satisfied', 'none_failed', 'one_satisfied', 'all_done')),
	condition			jsonb,
	unmet_fails			boolean NOT NULL,
	delay_seconds		float8 NOT NULL CHECK (delay_seconds >= 0),
	signal_name			text,
	signal_timeout_seconds	float8 CHECK (signal_timeout_seconds >= 0),
	signal_on_timeout	text NOT NULL CHECK (signal_on_timeout IN ('fail', 'skip', 'complete')),
	run_at				jsonb,
	workflow			jsonb,
	flow_limits			jsonb,
	map_over			jsonb,
	batch_config		jsonb,
	parallelism			int NOT NULL CHECK (parallelism >= 0),
	instance_failure	text NOT NULL CHECK (instance_failure IN ('fail', 'continue')),
	UNIQUE (named_task_id, step_no),
	UNIQUE (named_task_id, name)
);

COMMENT ON TABLE tasker.named_steps IS 'the steps of each template version';
COMMENT ON COLUMN tasker.named_tasks.on_failure IS 'continue: other branches go on when a step fails; fail_fast: the task ends';
COMMENT ON COLUMN tasker.named_steps.on_failure IS 'what a final failure means: fail blocks the task, skip skips the children, continue runs them without a result';
COMMENT ON COLUMN tasker.named_steps.trigger_rule IS 'what the step does about its parents: docs/dynamic.md';
COMMENT ON COLUMN tasker.named_steps.condition IS 'when: what has to hold for the step to run; null: nothing';
COMMENT ON COLUMN tasker.named_steps.unmet_fails IS 'the step fails where its condition does not hold; else it is skipped';
COMMENT ON COLUMN tasker.named_steps.workflow IS 'what it runs as a task of its own, instead of a worker; null: nothing';
COMMENT ON COLUMN tasker.named_steps.run_at IS 'the path to a time in the data, which the step is not claimed before; null: none';
COMMENT ON COLUMN tasker.named_steps.signal_name IS 'the signal that it waits for, instead of a worker; null: none';
COMMENT ON COLUMN tasker.named_steps.flow_limits IS 'how many of it run at once and how often it starts: {shared, key, concurrency, rate, period_seconds}, shared where the template says so for all its steps; null: as it comes';
COMMENT ON COLUMN tasker.named_steps.map_over IS 'the path of the array that it runs for, element by element; null: it is no map';
COMMENT ON COLUMN tasker.named_steps.batch_config IS 'of a batchable step; null of any other';
COMMENT ON COLUMN tasker.named_steps.parallelism IS 'how many instances may be in the queue at once; 0: all';
COMMENT ON COLUMN tasker.named_steps.instance_failure IS 'what the final failure of an instance means: fail keeps the map from going on, continue puts null in its place';
COMMENT ON COLUMN tasker.named_steps.step_no IS 'position in a topological order, from 1: every edge goes to a higher number';
COMMENT ON COLUMN tasker.named_steps.min_depth IS 'shortest path from a root, roots 0';
COMMENT ON COLUMN tasker.named_steps.result_schema IS 'JSON Schema of the result; null: any';

CREATE TABLE tasker.named_step_edges (
	named_task_id	int NOT NULL REFERENCES tasker.named_tasks,
	from_step_no	int NOT NULL,
	to_step_no		int NOT NULL,
	PRIMARY KEY (named_task_id, to_step_no, from_step_no),
	CHECK (from_step_no < to_step_no)
);

CREATE INDEX named_step_edges_from_idx ON tasker.named_step_edges (named_task_id, from_step_no);

COMMENT ON TABLE tasker.named_step_edges IS 'which step waits for which: to_step_no depends on from_step_no';

-- A lane is what a claim can choose by: one template, one queue, one priority.
-- Several rows may stand for the same three, because two transactions may each
-- add theirs without waiting for the other; claims look at all of them.
CREATE TABLE tasker.lanes (
	lane_id			int PRIMARY KEY DEFAULT nextval('tasker.lane_id_seq'),
	named_task_id	int NOT NULL REFERENCES tasker.named_tasks,
	queue			text NOT NULL,
	task_priority	int NOT NULL,
	priority		smallint NOT NULL
);

COMMENT ON TABLE tasker.lanes IS 'what claims choose by: template, queue and effective priority; a few rows a template';
COMMENT ON COLUMN tasker.lanes.priority IS 'priority of the task plus that of the step, clamped to smallint';

-- One row, whatever waits below: claims leave out the lanes of what is paused.
CREATE SEQUENCE tasker.pause_id_seq AS int;

CREATE TABLE tasker.pauses (
	pause_id		int PRIMARY KEY DEFAULT nextval('tasker.pause_id_seq'),
	namespace_id	int NOT NULL REFERENCES tasker.task_namespaces,
	task_name		text,
	paused_at		timestamptz NOT NULL,
	paused_by		text NOT NULL,
	paused_as		text,
	reason			text,
	resumed_at		timestamptz,
	resumed_by		text,
	resumed_as		text,
	resume_reason	text,
	CHECK ((resumed_at IS NULL) = (resumed_by IS NULL))
);

CREATE UNIQUE INDEX pauses_current_idx ON tasker.pauses (namespace_id, task_name) NULLS NOT DISTINCT
	WHERE resumed_at IS NULL;

COMMENT ON TABLE tasker.pauses IS 'when a namespace or a template was paused and resumed, by whom and why; a row a pause';
COMMENT ON COLUMN tasker.pauses.task_name IS 'the template, in all its versions; null: the whole namespace';
COMMENT ON COLUMN tasker.pauses.paused_by IS 'the role that logged in';
COMMENT ON COLUMN tasker.pauses.paused_as IS 'the role it acted as, where that was another';

-- ---------------------------------------------------------------------------
-- The order of events.  A row that stands for an event (docs/events.md) carries
-- event_xact and event_seq, from these defaults; read_events sorts by them.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.event_xact() RETURNS bigint
	AS 'MODULE_PATHNAME', 'tasker_event_xact' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.event_xact() IS
	'default of the columns event_xact: the id of this transaction, behind the number of the epoch (epoch * 2^48 + id). Notes a new epoch when there is none for this server yet. For the tables of tasker_core alone';

CREATE FUNCTION tasker.event_seq() RETURNS int
	AS 'MODULE_PATHNAME', 'tasker_event_seq' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.event_seq() IS
	'default of the columns event_seq: counts the rows of this transaction from 1. For the tables of tasker_core alone';

-- Where transaction ids mean what they mean.  Written with the first event after
-- the database came to another server (dump and restore), or the server to
-- another history (failover).  Transactions that do so at the same time write
-- the same row, each its own, so that none waits for another.
CREATE TABLE tasker.event_epochs (
	epoch				int NOT NULL CHECK (epoch BETWEEN 1 AND 32767),
	system_identifier	bigint NOT NULL,
	database_oid		bigint NOT NULL,
	timeline			int NOT NULL,
	started_at			timestamptz NOT NULL
);

COMMENT ON TABLE tasker.event_epochs IS 'which server''s transaction ids the events of each epoch carry; a row an epoch, or a few equal ones';

-- ---------------------------------------------------------------------------
-- Tasks and their live steps.
--
-- Every task-keyed table carries shard_key = task_id % shard_count, last in its
-- primary key, and every statement names it.
--
-- The tables that every step writes have no CHECK but the one that a wrong count
-- would break: the executor parses each constraint again for each statement, which
-- made create_task take twice as long.  Only our functions write here; they parse
-- states strictly, and verify_task() checks what constraints would.
-- ---------------------------------------------------------------------------

-- task_id * 1000000 + step_no has to fit a bigint.
CREATE SEQUENCE tasker.task_id_seq AS bigint MAXVALUE 9223372036853;

-- One insert and two updates a task (started, finished).  The room that
-- fillfactor leaves keeps both updates HOT: no index names what they change.
-- Half a page would not do, because a row grows by its times.
CREATE TABLE tasker.tasks (
	task_id					bigint NOT NULL,
	shard_key				int NOT NULL,
	slot					smallint NOT NULL,
	named_task_id			int NOT NULL,
	state					text NOT NULL,
	priority				int NOT NULL,
	failed_steps			int NOT NULL DEFAULT 0,
	created_at				timestamptz NOT NULL,
	run_at					timestamptz,
	paused_at				timestamptz,
	started_at				timestamptz,
	finished_at				timestamptz,
	context					jsonb NOT NULL,
	idempotency_key			text,
	initiator				text,
	source_system			text,
	reason					text,
	tags					text[],
	correlation_id			uuid NOT NULL,
	parent_correlation_id	uuid,
	created_by				text NOT NULL,
	created_as				text,
	erased_at				timestamptz,
	erased_by				text,
	erased_as				text,
	parent_step_id			bigint,
	nesting					smallint,
	event_xact				bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq				int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, shard_key)
) WITH (fillfactor = 40);

-- For lists of tasks.  Both name columns that never change, so updates stay HOT.
CREATE INDEX tasks_template_idx ON tasker.tasks (named_task_id, task_id);
CREATE INDEX tasks_correlation_idx ON tasker.tasks (correlation_id, task_id);

-- The tasks that run for the steps of a task.
CREATE INDEX tasks_parent_idx ON tasker.tasks (parent_step_id, task_id) WHERE parent_step_id IS NOT NULL;

-- For retention.
CREATE INDEX tasks_slot_idx ON tasker.tasks (shard_key, slot, task_id);

COMMENT ON TABLE tasker.tasks IS 'one row a task';
COMMENT ON COLUMN tasker.tasks.slot IS 'the members of the history tables that hold its history; changes when retention moves an unfinished task on';
COMMENT ON COLUMN tasker.tasks.failed_steps IS 'steps in state error now whose on_failure is fail; counted under the lock of this row';
COMMENT ON COLUMN tasker.tasks.paused_at IS 'paused since then: none of its steps is claimed';
COMMENT ON COLUMN tasker.tasks.erased_at IS 'the data of the task and of its history was erased then (erase_task_payload), by erased_by, acting as erased_as';
COMMENT ON COLUMN tasker.tasks.parent_step_id IS 'the step that it runs for, as a sub-workflow; null: none';
COMMENT ON COLUMN tasker.tasks.nesting IS 'how many parents stand above it; null: none';
COMMENT ON COLUMN tasker.tasks.created_by IS 'the role that logged in';
COMMENT ON COLUMN tasker.tasks.created_as IS 'the role it acted as, where that was another';

-- What is live, and nothing else: a row is born when its step becomes ready (a
-- join, that is a step with two or more parents, when the first of them counts)
-- and deleted when the step ends, so the table stays small whatever the history.
CREATE TABLE tasker.step_queue (
	task_id				bigint NOT NULL,
	step_no				int NOT NULL,
	shard_key			int NOT NULL,
	slot				smallint NOT NULL,
	lane_id				int NOT NULL,
	phase				"char" NOT NULL,
	waits_for_retry		boolean NOT NULL,
	visible_at			timestamptz NOT NULL,
	remaining_parents	int NOT NULL CHECK (remaining_parents >= 0),
	attempts			int NOT NULL,
	max_attempts		int NOT NULL,
	attempt_no			int NOT NULL,
	claim_token			bigint,
	claimed_at			timestamptz,
	worker_id			text,
	checkpoint			jsonb,
	satisfied_parents	int NOT NULL DEFAULT 0,
	flow_key_id			bigint,
	PRIMARY KEY (task_id, step_no, shard_key)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
		autovacuum_vacuum_cost_delay = 0);

COMMENT ON TABLE tasker.step_queue IS 'live steps: joins that wait, ready steps, claims, waits for a retry';
COMMENT ON COLUMN tasker.step_queue.lane_id IS 'tasker.lanes; negative while the task is paused, which takes the row out of every claim';
COMMENT ON COLUMN tasker.step_queue.slot IS 'that of the task: both change together, under the locks of all rows of the task';
COMMENT ON COLUMN tasker.step_queue.phase IS 'w waits for parents, r ready (from visible_at on), c claimed (until visible_at), s waits for a signal (until visible_at), t runs as a task of its own (from visible_at on), m is a map whose instances run, p parked until its flow key lets it start, x ended before its parents did, and keeps its place so that they do not wake it';
COMMENT ON COLUMN tasker.step_queue.waits_for_retry IS 'a ready row of a step that failed and is tried again: state waiting_for_retry, else pending';
COMMENT ON COLUMN tasker.step_queue.remaining_parents IS 'parents that a waiting join still waits for, by its trigger rule; of a map whose instances run: the instances it waits for';
COMMENT ON COLUMN tasker.step_queue.satisfied_parents IS 'of the parents it does not wait for any more, those that are satisfied; the others were skipped, cancelled or failed; of a map whose instances run: how many of them have entered the queue';
COMMENT ON COLUMN tasker.step_queue.flow_key_id IS 'tasker.flow_keys: of a claim that counts there, or of a parked row; null in every other phase';
COMMENT ON COLUMN tasker.step_queue.visible_at IS 'ready since, retry not before, or lease until';
COMMENT ON COLUMN tasker.step_queue.attempts IS 'attempts that ended since the last reset, measured against max_attempts';
COMMENT ON COLUMN tasker.step_queue.attempt_no IS 'attempts that ended, ever: numbers the history';

-- The order of claims, without what waits for parents.  remaining_parents and
-- attempts stay out of every index, so that counting down a join is a HOT update.
CREATE INDEX step_queue_claim_idx ON tasker.step_queue
	(shard_key, lane_id, phase, visible_at, task_id, step_no) WHERE phase NOT IN ('w', 'x', 'p', 'm');

-- Who waits for a flow key, in its order, and who holds it.
CREATE INDEX step_queue_flow_idx ON tasker.step_queue
	(flow_key_id, phase, shard_key, lane_id, task_id, step_no) WHERE flow_key_id IS NOT NULL;

-- What limits how many steps run at once, or how often they start: a row a key.
-- No limit is set where a step asks for none, so neither is there a row.
CREATE SEQUENCE tasker.flow_key_id_seq AS bigint;

CREATE TABLE tasker.flow_keys (
	flow_key_id			bigint PRIMARY KEY DEFAULT nextval('tasker.flow_key_id_seq'),
	namespace_id		int NOT NULL,
	task_name			text NOT NULL,
	step_name			text NOT NULL,
	key					text NOT NULL,
	named_task_id		int NOT NULL,
	concurrency_limit	int,
	rate_limit			int,
	rate_period_seconds	float8,
	used				int NOT NULL CHECK (used >= 0),
	waiting				boolean NOT NULL,
	next_at				timestamptz,
	rate_bucket			bigint,
	rate_starts			int[],
	last_used_at		timestamptz NOT NULL,
	UNIQUE (namespace_id, task_name, step_name, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
		autovacuum_vacuum_cost_delay = 0);

CREATE INDEX flow_keys_due_idx ON tasker.flow_keys (next_at) WHERE next_at IS NOT NULL;

COMMENT ON TABLE tasker.flow_keys IS 'keys of concurrency and rate limits that are in use; forgotten an hour after their last use';
COMMENT ON COLUMN tasker.flow_keys.step_name IS 'the step that it limits; empty: all steps of the template that have no limits of their own';
COMMENT ON COLUMN tasker.flow_keys.named_task_id IS 'the version that its limits are of: the last registered of those whose steps came to it; 0: none yet';
COMMENT ON COLUMN tasker.flow_keys.used IS 'claims that hold it: rows of tasker.step_queue in phase c with this key';
COMMENT ON COLUMN tasker.flow_keys.waiting IS 'rows are parked for it';
COMMENT ON COLUMN tasker.flow_keys.next_at IS 'when the next claim is to let parked rows out; null while none is parked, or the limit is reached';
COMMENT ON COLUMN tasker.flow_keys.rate_starts IS 'starts in bucket rate_bucket and the sixty before it, each a sixtieth of the period; null before the first';

-- ---------------------------------------------------------------------------
-- History: inserted once, never updated, and dropped, not deleted.
--
-- Each table of history is a ring of eight members.  New tasks go to the current
-- slot, and retention (docs/retention.md) turns the ring: the members of a slot
-- whose time is over are truncated, after tasks that are still needed have moved
-- on.  Every statement names the slot of its task, so that one member is looked at.
-- ---------------------------------------------------------------------------

-- A slot that has no row is free; no row at all means that slot 0 is current.
CREATE TABLE tasker.history_slots (
	slot			smallint PRIMARY KEY CHECK (slot BETWEEN 0 AND 7),
	began_at		timestamptz NOT NULL,
	ended_at		timestamptz,
	next_shard_key	int,
	next_task_id	bigint,
	emptied_xact	bigint,
	CHECK ((next_shard_key IS NULL) = (next_task_id IS NULL))
);

COMMENT ON TABLE tasker.history_slots IS 'the slots of the history tables that are in use; none: slot 0 alone, since ever';
COMMENT ON COLUMN tasker.history_slots.began_at IS 'new tasks go to it since then';
COMMENT ON COLUMN tasker.history_slots.ended_at IS 'and until then; null: the current one';
COMMENT ON COLUMN tasker.history_slots.next_task_id IS 'its time is over: tasks before this one were dropped or moved on';
COMMENT ON COLUMN tasker.history_slots.emptied_xact IS 'no task was left in it when this transaction id was next; its members are truncated when no older snapshot remains';

-- What read_events can no longer tell.
CREATE TABLE tasker.event_horizon (
	only_row		boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	event_xact		bigint NOT NULL,
	ordinal			bigint NOT NULL,
	moved_at		timestamptz NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE tasker.event_horizon IS 'the newest event that retention dropped; no row: none was';

CREATE TABLE tasker.step_attempts (
	task_id					bigint NOT NULL,
	step_no					int NOT NULL,
	attempt_no				int NOT NULL,
	shard_key				int NOT NULL,
	slot					smallint NOT NULL,
	attempt					int NOT NULL,
	outcome					text NOT NULL,
	to_state				text NOT NULL,
	worker_id				text NOT NULL,
	claim_token				bigint NOT NULL,
	claimed_at				timestamptz NOT NULL,
	finished_at				timestamptz NOT NULL,
	results					jsonb,
	error					jsonb,
	next_retry_at			timestamptz,
	backoff_request_seconds	int,
	recorded_by				text NOT NULL,
	recorded_as				text,
	event_xact				bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq				int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, step_no, attempt_no, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.step_attempts IS 'one row an attempt that ended';
COMMENT ON COLUMN tasker.step_attempts.attempt IS 'number of the attempt since the last reset, as claim_steps gave it';
COMMENT ON COLUMN tasker.step_attempts.attempt_no IS 'number of the attempt, ever';
COMMENT ON COLUMN tasker.step_attempts.to_state IS 'state of the step after it';

-- Moves of a step that are no attempt: made by people, or by a worker that gives back.
CREATE SEQUENCE tasker.step_move_id_seq AS bigint;

CREATE TABLE tasker.step_moves (
	move_id			bigint NOT NULL DEFAULT nextval('tasker.step_move_id_seq'),
	task_id			bigint NOT NULL,
	step_no			int NOT NULL,
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	after_attempt_no	int NOT NULL,
	verb			text NOT NULL CHECK (verb IN ('release', 'yield', 'cancel', 'reset', 'resolve', 'skip', 'retry_task', 'cascade', 'condition', 'signal', 'timeout', 'run_at', 'workflow', 'map')),
	from_state		text NOT NULL,
	to_state		text NOT NULL,
	worker_id		text,
	claimed_at		timestamptz,
	moved_at		timestamptz NOT NULL,
	results			jsonb,
	reason			text,
	metadata		jsonb,
	recorded_by		text NOT NULL,
	recorded_as		text,
	event_xact		bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq		int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, step_no, move_id, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.step_moves IS 'state changes of steps that are no attempt: given back, cancelled, reset, resolved, skipped';
COMMENT ON COLUMN tasker.step_moves.after_attempt_no IS 'the attempt before it: its place in the history';
COMMENT ON COLUMN tasker.step_moves.worker_id IS 'the worker whose claim it ended, if there was one';

-- What could not be done at once between a task and one that runs for a step of it, because
-- somebody else held the rows: next to nothing, and not for long.
CREATE SEQUENCE tasker.errand_id_seq AS bigint;

CREATE TABLE tasker.errands (
	errand_id		bigint NOT NULL DEFAULT nextval('tasker.errand_id_seq'),
	shard_key		int NOT NULL,
	task_id			bigint NOT NULL,
	step_no			int NOT NULL,
	kind			text NOT NULL CHECK (kind IN ('launch', 'start', 'result', 'attach', 'cancel', 'retry')),
	child_task_id	bigint,
	results			jsonb,
	reason			text,
	created_at		timestamptz NOT NULL,
	PRIMARY KEY (errand_id, shard_key),
	CHECK ((child_task_id IS NULL) = (kind = 'launch'))
);

COMMENT ON TABLE tasker.errands IS 'what is left to do between a step and the task that runs for it; the next claim, or maintenance, does it';
COMMENT ON COLUMN tasker.errands.kind IS 'launch: the step''s turn has come; start: its task has begun, and so has the one it is a step of; result: its task has ended; attach: that goes on, so the step does too; cancel: nobody waits for the task any more; retry: the step is tried again';
COMMENT ON COLUMN tasker.errands.results IS 'of a task that completed: it may have been dropped before they are taken';

-- A signal is kept until a step of its task takes it.
CREATE SEQUENCE tasker.signal_id_seq AS bigint;

CREATE TABLE tasker.signals (
	signal_id		bigint NOT NULL DEFAULT nextval('tasker.signal_id_seq'),
	task_id			bigint NOT NULL,
	shard_key		int NOT NULL,
	name			text NOT NULL,
	payload			jsonb NOT NULL,
	sent_at			timestamptz NOT NULL,
	step_no			int,
	taken_at		timestamptz,
	recorded_by		text NOT NULL,
	recorded_as		text,
	PRIMARY KEY (task_id, signal_id, shard_key),
	CHECK ((step_no IS NULL) = (taken_at IS NULL))
);

COMMENT ON TABLE tasker.signals IS 'what send_signal was given: one row a signal';
COMMENT ON COLUMN tasker.signals.step_no IS 'the step that took it; null: it is kept for the next that waits for the name';

CREATE SEQUENCE tasker.task_transition_id_seq AS bigint;

CREATE TABLE tasker.task_transitions (
	transition_id	bigint NOT NULL DEFAULT nextval('tasker.task_transition_id_seq'),
	task_id			bigint NOT NULL,
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	from_state		text NOT NULL,
	to_state		text NOT NULL,
	moved_at		timestamptz NOT NULL,
	reason			text,
	metadata		jsonb,
	recorded_by		text NOT NULL,
	recorded_as		text,
	event_xact		bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq		int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, transition_id, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.task_transitions IS 'every change of a task''s state after its creation: who, when and why';

CREATE SEQUENCE tasker.task_pause_id_seq AS bigint;

CREATE TABLE tasker.task_pauses (
	pause_id		bigint NOT NULL DEFAULT nextval('tasker.task_pause_id_seq'),
	task_id			bigint NOT NULL,
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	paused			boolean NOT NULL,
	moved_at		timestamptz NOT NULL,
	reason			text,
	recorded_by		text NOT NULL,
	recorded_as		text,
	event_xact		bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq		int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, pause_id, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.task_pauses IS 'when a task was paused and resumed: a mark, not a state';

-- That there was a checkpoint, for readers of events; what it says is in the queue
-- row alone, and there is only the newest.  It changes no state, and nothing
-- but events is derived from it.
CREATE TABLE tasker.step_checkpoints (
	task_id			bigint NOT NULL,
	step_no			int NOT NULL,
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	attempt			int NOT NULL,
	worker_id		text NOT NULL,
	stored_at		timestamptz NOT NULL,
	recorded_by		text NOT NULL,
	recorded_as		text,
	event_xact		bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq		int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (task_id, step_no, event_xact, event_seq, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.step_checkpoints IS 'when a claimed step stored a checkpoint: one row each, without what it says';

-- A map runs once for each element of an array: each time is an instance, a step
-- that is made when the map begins.  named_tasks.map_steps tells whose it is.
CREATE TABLE tasker.task_extra_steps (
	task_id			bigint NOT NULL,
	step_no			int NOT NULL,
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	inputs			jsonb NOT NULL,
	PRIMARY KEY (task_id, step_no, shard_key, slot)
) PARTITION BY LIST (slot);

COMMENT ON TABLE tasker.task_extra_steps IS 'instances of maps and batches: steps that were made at run time, with what each runs for';

-- Keys outlive their tasks.  Sharded by the key, not by the task.
CREATE TABLE tasker.idempotency_keys (
	key_hash		bytea NOT NULL,
	shard_key		int NOT NULL,
	task_id			bigint NOT NULL,
	created_at		timestamptz NOT NULL,
	PRIMARY KEY (key_hash, shard_key)
);

-- Keys arrive in this order, and are forgotten in it.
CREATE INDEX idempotency_keys_age_idx ON tasker.idempotency_keys (shard_key, created_at);

COMMENT ON TABLE tasker.idempotency_keys IS 'which task a key made: SHA-256 of namespace, task name and key (or context, for strict identity)';

-- Written when tasker_core.max_task_starts_per_minute is set, and only then.
CREATE TABLE tasker.task_starts (
	role_name		text NOT NULL,
	started_at		timestamptz NOT NULL,
	starts			int NOT NULL
);

CREATE INDEX task_starts_role_idx ON tasker.task_starts (role_name, started_at);

COMMENT ON TABLE tasker.task_starts IS 'how many tasks a role created when, for its limit; older than a minute they go as it creates more';

-- ---------------------------------------------------------------------------
-- Operations: what waits for a person, and how far maintenance has come.
-- ---------------------------------------------------------------------------

CREATE SEQUENCE tasker.dead_letter_id_seq AS bigint;

CREATE TABLE tasker.dead_letters (
	dead_letter_id		bigint NOT NULL DEFAULT nextval('tasker.dead_letter_id_seq'),
	task_id				bigint NOT NULL,
	shard_key			int NOT NULL,
	workflow_step_id	bigint,
	reason				text NOT NULL CHECK (reason IN ('max_attempts_exhausted', 'permanent_error', 'lease_expired', 'stale', 'manual')),
	state				text NOT NULL CHECK (state IN ('pending', 'manually_resolved', 'permanently_failed', 'cancelled')),
	snapshot			jsonb NOT NULL,
	created_at			timestamptz NOT NULL,
	resolved_at			timestamptz,
	resolved_by			text,
	resolved_as			text,
	notes				text,
	PRIMARY KEY (dead_letter_id, shard_key),
	CHECK ((state = 'pending') = (resolved_at IS NULL)),
	CHECK ((resolved_at IS NULL) = (resolved_by IS NULL))
);

COMMENT ON TABLE tasker.dead_letters IS 'tasks that wait for a person: one pending entry a task, written with the transaction that ended it in error';
COMMENT ON COLUMN tasker.dead_letters.workflow_step_id IS 'the step that failed last, null where no step did';
COMMENT ON COLUMN tasker.dead_letters.reason IS 'lease_expired: the last attempt was lost; permanent_error: attempts were left, and ruled out; max_attempts_exhausted: none was left; stale: a limit of the template''s lifecycle; manual: create_dead_letter';
COMMENT ON COLUMN tasker.dead_letters.snapshot IS 'the failure in short; what it leaves out is in the history of the task';
COMMENT ON COLUMN tasker.dead_letters.resolved_by IS 'the role that logged in';
COMMENT ON COLUMN tasker.dead_letters.resolved_as IS 'the role it acted as, where that was another';

CREATE UNIQUE INDEX dead_letters_pending_idx ON tasker.dead_letters (task_id, shard_key) WHERE state = 'pending';
CREATE INDEX dead_letters_task_idx ON tasker.dead_letters (task_id, shard_key);

CREATE TABLE tasker.maintenance (
	shard_key		int PRIMARY KEY,
	next_task_id	bigint NOT NULL,
	ran_at			timestamptz NOT NULL
) WITH (fillfactor = 50);

COMMENT ON TABLE tasker.maintenance IS 'how far run_maintenance has come in its round over the live tasks of each shard, and when it last ran';

-- Small, and not keyed by task.  next_due_at is always known, so that maintenance
-- looks at one index range.
CREATE SEQUENCE tasker.schedule_id_seq AS int;

CREATE TABLE tasker.schedules (
	schedule_id		int PRIMARY KEY DEFAULT nextval('tasker.schedule_id_seq'),
	namespace_name	text NOT NULL,
	name			text NOT NULL,
	task_name		text NOT NULL,
	version			text,
	cron			text NOT NULL,
	timezone		text NOT NULL,
	context			jsonb NOT NULL,
	priority		int NOT NULL,
	catch_up		text NOT NULL CHECK (catch_up IN ('latest', 'all')),
	paused_at		timestamptz,
	next_due_at		timestamptz NOT NULL,
	last_due_at		timestamptz,
	last_task_id	bigint,
	last_error		text,
	created_at		timestamptz NOT NULL,
	created_by		text NOT NULL,
	UNIQUE (namespace_name, name)
);

CREATE INDEX schedules_due_idx ON tasker.schedules (next_due_at) WHERE paused_at IS NULL;

COMMENT ON TABLE tasker.schedules IS 'tasks that are made at certain times';
COMMENT ON COLUMN tasker.schedules.version IS 'null: the highest there is when the task is made';
COMMENT ON COLUMN tasker.schedules.catch_up IS 'of several times that passed unnoticed: latest makes up for the latest, all for each';
COMMENT ON COLUMN tasker.schedules.last_error IS 'why the last time made no task; null when it did';

-- ---------------------------------------------------------------------------
-- Events of one's own, and the order of all.
-- ---------------------------------------------------------------------------

CREATE SEQUENCE tasker.domain_event_id_seq AS bigint;

-- shard_key is that of the task; without one it spreads by event_id.  slot is the
-- current one, whatever that of the task: nothing looks for the events of a task.
CREATE TABLE tasker.domain_events (
	event_id		bigint NOT NULL DEFAULT nextval('tasker.domain_event_id_seq'),
	shard_key		int NOT NULL,
	slot			smallint NOT NULL,
	name			text NOT NULL CHECK (octet_length(name) BETWEEN 1 AND 100),
	task_id			bigint,
	step_no			int,
	payload			jsonb NOT NULL,
	published_at	timestamptz NOT NULL,
	recorded_by		text NOT NULL,
	recorded_as		text,
	event_xact		bigint NOT NULL DEFAULT tasker.event_xact(),
	event_seq		int NOT NULL DEFAULT tasker.event_seq(),
	PRIMARY KEY (event_id, shard_key, slot),
	CHECK (step_no IS NULL OR task_id IS NOT NULL)
) PARTITION BY LIST (slot);

-- For erase_task_payload.
CREATE INDEX domain_events_task_idx ON tasker.domain_events (task_id) WHERE task_id IS NOT NULL;

COMMENT ON TABLE tasker.domain_events IS 'what publish_event was given; append-only';
COMMENT ON COLUMN tasker.domain_events.event_xact IS 'place in the order of events: the transaction that wrote the row, behind the number of the epoch';
COMMENT ON COLUMN tasker.domain_events.event_seq IS 'place in the order of events within that transaction';

-- Rows arrive in this order, so each index grows at its right end; no update
-- touches its columns.
CREATE INDEX tasks_event_idx ON tasker.tasks (event_xact, event_seq);
CREATE INDEX task_transitions_event_idx ON tasker.task_transitions (event_xact, event_seq);
CREATE INDEX task_pauses_event_idx ON tasker.task_pauses (event_xact, event_seq);
CREATE INDEX step_attempts_event_idx ON tasker.step_attempts (event_xact, event_seq);
CREATE INDEX step_moves_event_idx ON tasker.step_moves (event_xact, event_seq);
CREATE INDEX step_checkpoints_event_idx ON tasker.step_checkpoints (event_xact, event_seq);
CREATE INDEX domain_events_event_idx ON tasker.domain_events (event_xact, event_seq);

-- The eight members of each table of history, with its indexes.
DO $$
DECLARE
	parent pg_catalog.regclass;
BEGIN
	FOREACH parent IN ARRAY ARRAY['tasker.step_attempts', 'tasker.step_moves', 'tasker.task_transitions',
		'tasker.task_pauses', 'tasker.step_checkpoints', 'tasker.domain_events', 'tasker.task_extra_steps']::pg_catalog.regclass[] LOOP
		FOR slot IN 0 .. 7 LOOP
			EXECUTE pg_catalog.format('CREATE TABLE %1$s_%2$s PARTITION OF %1$s FOR VALUES IN (%2$s)', parent, slot);
			EXECUTE pg_catalog.format('ALTER TABLE %s_%s OWNER TO %I', parent, slot,
				(SELECT pg_catalog.pg_get_userbyid(n.nspowner) FROM pg_catalog.pg_namespace n
				WHERE n.nspname OPERATOR(pg_catalog.=) 'tasker'));
			EXECUTE pg_catalog.format('ALTER TABLE %s_%s ENABLE ROW LEVEL SECURITY', parent, slot);
			PERFORM pg_catalog.pg_extension_config_dump(pg_catalog.format('%s_%s', parent, slot)::pg_catalog.regclass, '');
		END LOOP;
	END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- Workers.
-- ---------------------------------------------------------------------------

CREATE TABLE tasker.workers (
	worker_id		text PRIMARY KEY,
	first_seen_at	timestamptz NOT NULL,
	last_seen_at	timestamptz NOT NULL,
	role			text NOT NULL,
	last_claim_at	timestamptz,
	namespaces		text[],
	task_names		text[],
	queues			text[],
	shard_keys		int[]
) WITH (fillfactor = 70);

COMMENT ON TABLE tasker.workers IS 'who claims and sends heartbeats; last_seen_at is at most about ten seconds behind';
COMMENT ON COLUMN tasker.workers.last_claim_at IS 'when it was noted with which filters (here) it claims; NULL: what it claims is not known';

-- ---------------------------------------------------------------------------
-- Functions: access.  They lock the rows of the role's grants.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.grant_access(role regrole, access text, namespaces text[] DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_grant_access' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.grant_access(regrole, text, text[]) IS
	'lets a role, and its members, do what producer, worker, operator, reader or admin may (function_access lists it), in these namespaces or in all (NULL): grants that add up. USAGE on the schema, EXECUTE on the functions and SELECT on the views go with it, and are of no use without it. False when the role had it already. Errors: 22004 null role or access, 22023 unknown access or an impossible namespace, 42704 unknown role, 42501 for others than admins of all namespaces';

CREATE FUNCTION tasker.revoke_access(role regrole, access text, namespaces text[] DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_revoke_access' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.revoke_access(regrole, text, text[]) IS
	'takes back what grant_access gave: these namespaces of it, or the whole access (NULL), with the privileges that no other access of the role needs. False when the role did not have it. It counts from each session''s next call. Errors: those of grant_access, 22023 namespaces of an access that is not limited to any';

CREATE FUNCTION tasker.list_access()
	RETURNS TABLE (role_name text, access text, namespaces text[], effective boolean, granted_at timestamptz,
		granted_by text)
	AS 'MODULE_PATHNAME', 'tasker_list_access' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.list_access() IS
	'what has been granted to which role, by name; namespaces are null where it is not limited. A grant that is not effective is of a role that does not exist here, or has lost the privileges that go with it: grant_access gives it anew. Superusers, the owner of the extension and members of that role are admins without a grant';

CREATE FUNCTION tasker.function_access()
	RETURNS TABLE (function_name text, accesses text[], namespaces text)
	AS 'MODULE_PATHNAME', 'tasker_function_access' LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 70;

COMMENT ON FUNCTION tasker.function_access() IS
	'which accesses allow which function, any one of them being enough. namespaces says what a grant that is limited means for it: none (nothing: it touches no namespace), by_task and by_step (what its first argument names is unknown elsewhere), by_function (it sees the granted namespaces only), all (it takes a grant without a limit)';

-- ---------------------------------------------------------------------------
-- Functions: templates.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.register_task_template(template jsonb)
	RETURNS TABLE (named_task_id int, namespace text, name text, version text, created boolean, warnings text[])
	AS 'MODULE_PATHNAME', 'tasker_register_task_template' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.register_task_template(jsonb) IS
	'registers a template version; the same content again gives the same id, other content under the same version is refused';

CREATE FUNCTION tasker.validate_task_template(template jsonb) RETURNS text[]
	AS 'MODULE_PATHNAME', 'tasker_validate_task_template' LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION tasker.validate_task_template(jsonb) IS
	'the warnings that registering a template would give; raises like it, stores nothing';

CREATE FUNCTION tasker.get_task_template(name text, namespace text DEFAULT 'default', version text DEFAULT NULL)
	RETURNS jsonb
	AS 'MODULE_PATHNAME', 'tasker_get_task_template' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.get_task_template(text, text, text) IS
	'a registered template in normal form; without a version the highest by semantic versioning';

CREATE FUNCTION tasker.list_task_templates(namespace text DEFAULT NULL)
	RETURNS TABLE (named_task_id int, namespace text, name text, version text, description text, step_count int, created_at timestamptz,
		retired_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_list_task_templates' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.list_task_templates(text) IS
	'every version of every template, of one namespace or of all, by namespace, name and version';

-- Locks: the rows of the versions.
CREATE FUNCTION tasker.retire_task_template(name text, namespace text DEFAULT 'default', version text DEFAULT NULL,
	retired boolean DEFAULT true) RETURNS int
	AS 'MODULE_PATHNAME', 'tasker_retire_task_template' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.retire_task_template(text, text, text, boolean) IS
	'no new tasks of a version (NULL: of any version) from now on, TC001 for whoever asks for one; tasks that exist go on. With retired false they can be made again. Without a version, create_task passes over retired ones. Returns how many versions that changed. Errors: TC001 unknown template, 22004';

-- ---------------------------------------------------------------------------
-- Functions: tasks.
-- ---------------------------------------------------------------------------

-- Locks: with an identity, the key; sessions that race for one key wait for the first.
CREATE FUNCTION tasker.create_task(name text, context jsonb DEFAULT '{}', namespace text DEFAULT 'default',
	version text DEFAULT NULL, idempotency_key text DEFAULT NULL, priority int DEFAULT 0,
	run_at timestamptz DEFAULT NULL, initiator text DEFAULT NULL, source_system text DEFAULT NULL,
	reason text DEFAULT NULL, tags text[] DEFAULT NULL, correlation_id uuid DEFAULT NULL,
	parent_correlation_id uuid DEFAULT NULL)
	RETURNS TABLE (task_id bigint, created boolean, step_count int, state text)
	AS 'MODULE_PATHNAME', 'tasker_create_task' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.create_task(text, jsonb, text, text, text, int, timestamptz, text, text, text, text[], uuid, uuid) IS
	'creates a task of a template (NULL version: the highest) in this transaction; a task with the same identity is returned with created false. Errors: TC001 unknown template, 22004 null name, 22023 context no object, 22008 infinite run_at, TC022 context does not match the input_schema, TC023 too large';

-- One statement: all tasks, or none.
CREATE FUNCTION tasker.create_tasks(requests jsonb)
	RETURNS TABLE (task_id bigint, created boolean, step_count int, state text, ordinal int)
	AS 'MODULE_PATHNAME', 'tasker_create_tasks' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.create_tasks(jsonb) IS
	'create_task for each object of an array, whose keys are the names of create_task''s arguments; ordinal counts from 1. All or nothing. A run_at without a time zone is UTC. Errors: those of create_task, 22023 no array of objects or an unknown key, TC023 more than 10000';

CREATE FUNCTION tasker.create_task_from_definition(template jsonb, context jsonb DEFAULT '{}',
	idempotency_key text DEFAULT NULL, priority int DEFAULT 0, run_at timestamptz DEFAULT NULL,
	initiator text DEFAULT NULL, source_system text DEFAULT NULL, reason text DEFAULT NULL,
	tags text[] DEFAULT NULL, correlation_id uuid DEFAULT NULL, parent_correlation_id uuid DEFAULT NULL)
	RETURNS TABLE (task_id bigint, created boolean, step_count int, state text)
	AS 'MODULE_PATHNAME', 'tasker_create_task_from_definition' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.create_task_from_definition(jsonb, jsonb, text, int, timestamptz, text, text, text, text[], uuid, uuid) IS
	'creates a task of a template that nobody registered: it is registered by its content, so that equal definitions share one version. Errors: TC020 invalid template, and those of create_task';

-- Locks: every queue row of the task, in order, then the task row.
CREATE FUNCTION tasker.cancel_task(task_id bigint, reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_cancel_task' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.cancel_task(bigint, text) IS
	'cancels a task and every step of it that has not ended, and fences the workers that hold any; false when it is cancelled already. Errors: TC002 unknown task, TC012 the task is complete or resolved';

-- Locks of this and of all that follow here: as cancel_task.
CREATE FUNCTION tasker.pause_task(task_id bigint, reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_pause_task' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.pause_task(bigint, text) IS
	'no step of the task is claimed until it is resumed; claims that are held may end. False when it is paused already. Errors: TC002, TC012';

CREATE FUNCTION tasker.resume_task(task_id bigint, reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_resume_task' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.resume_task(bigint, text) IS
	'ends a pause; false when there is none. Errors: TC002, TC012';

CREATE FUNCTION tasker.retry_task(task_id bigint, reason text DEFAULT NULL) RETURNS int
	AS 'MODULE_PATHNAME', 'tasker_retry_task' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.retry_task(bigint, text) IS
	'a task in error goes on from its failed steps, with new attempts; finished results are kept. Returns how many steps that are; 0 for a task not in error. Errors: TC002';

-- Locks: of one task after the other those of cancel_task, if they are free.
CREATE FUNCTION tasker.cancel_tasks(filters jsonb, max_tasks int DEFAULT 1000, dry_run boolean DEFAULT true,
	reason text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, outcome text)
	AS 'MODULE_PATHNAME', 'tasker_cancel_tasks' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.cancel_tasks(jsonb, int, boolean, text) IS
	'cancel_task for tasks that match every filter (those of list_tasks) and are not final, by ascending id, at most max_tasks; of more than that, the newest. outcome: would_cancel in a dry run, which is the default and changes nothing; else cancelled, busy (somebody has the task in hand just now: call again) or unchanged (it ended meanwhile). Errors: 22004 null filters, 22023 unknown filter, TC023';

CREATE FUNCTION tasker.retry_tasks(filters jsonb, max_tasks int DEFAULT 1000, dry_run boolean DEFAULT true,
	reason text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, outcome text)
	AS 'MODULE_PATHNAME', 'tasker_retry_tasks' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.retry_tasks(jsonb, int, boolean, text) IS
	'retry_task for tasks in error that match every filter, as cancel_tasks does it. outcome: would_retry, retried, busy or unchanged. Errors: 22004 null filters, 22023 unknown filter, TC023';

-- Locks: as cancel_task.
CREATE FUNCTION tasker.erase_task_payload(task_id bigint) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_erase_task_payload' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.erase_task_payload(bigint) IS
	'replaces the data of a final task by {"erased": true}: its context, the results and errors of its steps, the payloads of its signals and published events; its idempotency_key is forgotten but still counts, by its hash. What happened, when and by whom stays on record, and so does who erased (tasks.erased_at, erased_by). False when that was done before. Names, tags, reasons and metadata are not touched. Errors: TC002, TC012 the task is not final';

-- ---------------------------------------------------------------------------
-- Functions: moves made by people.  Each resumes a task that was in error, takes
-- the step from a worker that holds it, and is on record with who and why.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.transition_task(task_id bigint, to_state text, expected_state text DEFAULT NULL,
	reason text DEFAULT NULL, metadata jsonb DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_transition_task' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.transition_task(bigint, text, text, text, jsonb) IS
	'moves a task to cancelled, resolved_manually or, from error, in_progress (as retry_task); false when it is there already. Errors: TC002, TC010 illegal or not in expected_state, TC012, 22023 unknown state';

CREATE FUNCTION tasker.transition_step(workflow_step_id bigint, to_state text, expected_state text DEFAULT NULL,
	reason text DEFAULT NULL, metadata jsonb DEFAULT NULL, results jsonb DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_transition_step' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.transition_step(bigint, text, text, text, jsonb, jsonb) IS
	'moves a step to pending (reset), cancelled, skipped or resolved_manually (with results); false when it is there already. Errors: TC003, TC010 illegal or not in expected_state, TC012, 22023';

CREATE FUNCTION tasker.reset_step(workflow_step_id bigint, reason text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, task_state text, steps_ready int)
	AS 'MODULE_PATHNAME', 'tasker_reset_step' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.reset_step(bigint, text) IS
	'the step is pending again and its attempts start anew. Errors: TC003, TC010, TC012';

CREATE FUNCTION tasker.resolve_step(workflow_step_id bigint, results jsonb, reason text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, task_state text, steps_ready int)
	AS 'MODULE_PATHNAME', 'tasker_resolve_step' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.resolve_step(bigint, jsonb, text) IS
	'the step counts as done, and its children run with these results. Errors: TC003, TC010, TC012, 22004 null results';

CREATE FUNCTION tasker.skip_step(workflow_step_id bigint, reason text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, task_state text, steps_ready int)
	AS 'MODULE_PATHNAME', 'tasker_skip_step' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.skip_step(bigint, text) IS
	'the step is not run, and neither is any that depends on it. Errors: TC003, TC010, TC012';

-- ---------------------------------------------------------------------------
-- Functions: the verbs of workers.
-- ---------------------------------------------------------------------------

-- Locks: the queue rows claimed, and the rows of tasks it starts; passes over what others hold, so it never waits.
CREATE FUNCTION tasker.claim_steps(worker_id text, max_steps int DEFAULT 1, namespaces text[] DEFAULT NULL,
	lease_seconds float8 DEFAULT 60, task_id bigint DEFAULT NULL, task_names text[] DEFAULT NULL,
	queues text[] DEFAULT NULL, shard_keys int[] DEFAULT NULL)
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, claim_token bigint, attempt int, max_attempts int,
		namespace text, task_name text, task_version text, step_name text, handler_class text, handler_config jsonb,
		task_context jsonb, dependency_results jsonb, inputs jsonb, checkpoint jsonb, priority int,
		correlation_id uuid, timeout_seconds int, lease_expires_at timestamptz, handler_method text,
		handler_resolver text, queue text)
	AS 'MODULE_PATHNAME', 'tasker_claim_steps' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.claim_steps(text, int, text[], float8, bigint, text[], text[], int[]) IS
	'claims up to max_steps ready steps, highest priority first, then oldest, for lease_seconds (0.1 to 86400); each row is all a worker needs. task_names are namespace/name or namespace/name@version; NULL filters mean all. Errors: 22004, 22023, TC023 more than 10000 steps';

-- Locks: the queue row, the joins behind it, then the task row where nothing became ready.
CREATE FUNCTION tasker.complete_step(workflow_step_id bigint, claim_token bigint, results jsonb)
	RETURNS TABLE (task_id bigint, task_state text, steps_ready int, status text)
	AS 'MODULE_PATHNAME', 'tasker_complete_step' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.complete_step(bigint, bigint, jsonb) IS
	'stores the results of a claimed step and makes its children ready; the same token again is quiet, status already_completed. Errors: TC011 the claim is not held any more, TC022 the results do not match the result_schema (the claim stays as it was), TC003 unknown step, 22004 null results (JSON null is a result)';

CREATE FUNCTION tasker.complete_steps(workflow_step_ids bigint[], claim_tokens bigint[], results jsonb[])
	RETURNS TABLE (workflow_step_id bigint, status text, task_id bigint, task_state text, error jsonb, steps_ready int)
	AS 'MODULE_PATHNAME', 'tasker_complete_steps' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.complete_steps(bigint[], bigint[], jsonb[]) IS
	'completes a batch in a constant number of statements; status of each item is completed, already_completed, lease_lost, not_found or invalid_result (does not match the result_schema: the claim stays, and error says why), and one bad item does not spoil the batch. Errors: 22004 null element, 22023 unequal lengths or an id twice, TC023 more than 10000';

-- Locks: those of complete_steps, then those of claim_steps.
CREATE FUNCTION tasker.complete_and_claim(workflow_step_ids bigint[], claim_tokens bigint[], results jsonb[],
	worker_id text, max_steps int DEFAULT 1, namespaces text[] DEFAULT NULL, lease_seconds float8 DEFAULT 60,
	task_id bigint DEFAULT NULL, task_names text[] DEFAULT NULL, queues text[] DEFAULT NULL,
	shard_keys int[] DEFAULT NULL)
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, claim_token bigint, attempt int, max_attempts int,
		namespace text, task_name text, task_version text, step_name text, handler_class text, handler_config jsonb,
		task_context jsonb, dependency_results jsonb, inputs jsonb, checkpoint jsonb, priority int,
		correlation_id uuid, timeout_seconds int, lease_expires_at timestamptz, handler_method text,
		handler_resolver text, queue text, completed_step_id bigint, status text, error jsonb)
	AS 'MODULE_PATHNAME', 'tasker_complete_and_claim' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.complete_and_claim(bigint[], bigint[], jsonb[], text, int, text[], float8, bigint, text[], text[], int[]) IS
	'complete_steps and claim_steps in one: what the batch makes ready can be claimed at once. Besides the claims there is one row for each item that was not completed, with completed_step_id, status and error, and nulls elsewhere. Errors: those of both';

-- Locks: the queue row.
CREATE FUNCTION tasker.checkpoint_step(workflow_step_id bigint, claim_token bigint, checkpoint jsonb,
	yield boolean DEFAULT false) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_checkpoint_step' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.checkpoint_step(bigint, bigint, jsonb, boolean) IS
	'stores how far a claimed step has come, for whoever claims it next, and gives the event step.checkpointed; with yield it is given back at once, and no attempt is counted. True. Errors: TC011, TC003, 22004, TC023';

-- Locks: the queue row; when the step fails for good, then the task row.
CREATE FUNCTION tasker.fail_step(workflow_step_id bigint, claim_token bigint, error jsonb,
	retryable boolean DEFAULT true, retry_after_seconds float8 DEFAULT NULL)
	RETURNS TABLE (step_state text, next_retry_at timestamptz, task_state text)
	AS 'MODULE_PATHNAME', 'tasker_fail_step' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.fail_step(bigint, bigint, jsonb, boolean, float8) IS
	'ends an attempt with an error: retried iff retryable, the step is retryable and attempts are left, after retry_after_seconds (at most tasker_core.max_retry_after) or the step''s backoff; else the step is in error. Errors: TC011, TC003, 22004, 22008, 22023';

-- Locks: the queue rows.
CREATE FUNCTION tasker.heartbeat(worker_id text, workflow_step_ids bigint[], claim_tokens bigint[],
	lease_seconds float8 DEFAULT 60)
	RETURNS TABLE (workflow_step_id bigint)
	AS 'MODULE_PATHNAME', 'tasker_heartbeat' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.heartbeat(text, bigint[], bigint[], float8) IS
	'extends leases to lease_seconds from now (never beyond the step''s timeout), records the worker alive, and returns the steps whose claim is lost. Errors: 22004, 22023, TC023';

-- Locks: the queue rows.
CREATE FUNCTION tasker.release_steps(workflow_step_ids bigint[], claim_tokens bigint[], delay_seconds float8 DEFAULT 0)
	RETURNS int
	AS 'MODULE_PATHNAME', 'tasker_release_steps' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.release_steps(bigint[], bigint[], float8) IS
	'gives claims back without counting an attempt, claimable again after delay_seconds; returns how many were held. Errors: 22004, 22023, TC023';

-- Locks: for each step those of claim_steps, complete_step and fail_step, until the transaction ends.
CREATE FUNCTION tasker.run_sql_steps(max_steps int DEFAULT 100, namespaces text[] DEFAULT NULL)
	RETURNS TABLE (workflow_step_id bigint, status text, error jsonb)
	AS 'MODULE_PATHNAME', 'tasker_run_sql_steps' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.run_sql_steps(int, text[]) IS
	'runs up to max_steps ready steps whose handler is SQL and whose template this role registered, each in a subtransaction with its completion; what they make ready is run too. status is completed, waiting_for_retry or error, and error what the function raised. Errors: 42501 the session is not this role''s own from its start, or this is called by such a step, 22004, 22023, TC023';

-- ---------------------------------------------------------------------------
-- Functions: questions.  They lock nothing.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.get_step_readiness_status(task_id bigint, step_ids bigint[] DEFAULT NULL)
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, named_step_id int, name text, current_state text,
		dependencies_satisfied boolean, retry_eligible boolean, ready_for_execution boolean,
		last_failure_at timestamptz, next_retry_at timestamptz, total_parents int, completed_parents int,
		attempts int, max_attempts int, backoff_request_seconds int, last_attempted_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_step_readiness_status' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_step_readiness_status(bigint, bigint[]) IS
	'every step of a task with its state and whether it can run now, and why not; step_ids chooses rows and changes none. An unknown task has no rows';

CREATE FUNCTION tasker.get_step_readiness_status_batch(task_ids bigint[])
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, named_step_id int, name text, current_state text,
		dependencies_satisfied boolean, retry_eligible boolean, ready_for_execution boolean,
		last_failure_at timestamptz, next_retry_at timestamptz, total_parents int, completed_parents int,
		attempts int, max_attempts int, backoff_request_seconds int, last_attempted_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_step_readiness_status_batch' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.get_step_readiness_status_batch(bigint[]) IS
	'get_step_readiness_status of several tasks';

CREATE FUNCTION tasker.get_task_execution_context(task_id bigint)
	RETURNS TABLE (task_id bigint, named_task_id int, status text, total_steps bigint, pending_steps bigint,
		in_progress_steps bigint, completed_steps bigint, failed_steps bigint, ready_steps bigint,
		execution_status text, recommended_action text, completion_percentage numeric, health_status text,
		waiting_for_retry_steps bigint, cancelled_steps bigint, skipped_steps bigint)
	AS 'MODULE_PATHNAME', 'tasker_get_task_execution_context' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.get_task_execution_context(bigint) IS
	'how a task is doing: steps per state, what it waits for, what to do about it. An unknown task has no row';

CREATE FUNCTION tasker.get_task_execution_contexts_batch(task_ids bigint[])
	RETURNS TABLE (task_id bigint, named_task_id int, status text, total_steps bigint, pending_steps bigint,
		in_progress_steps bigint, completed_steps bigint, failed_steps bigint, ready_steps bigint,
		execution_status text, recommended_action text, completion_percentage numeric, health_status text,
		waiting_for_retry_steps bigint, cancelled_steps bigint, skipped_steps bigint)
	AS 'MODULE_PATHNAME', 'tasker_get_task_execution_contexts_batch' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_task_execution_contexts_batch(bigint[]) IS
	'get_task_execution_context of several tasks';

CREATE FUNCTION tasker.verify_task(task_id bigint)
	RETURNS TABLE (workflow_step_id bigint, violation text)
	AS 'MODULE_PATHNAME', 'tasker_verify_task' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.verify_task(bigint) IS
	'what is wrong with a task; no rows when every invariant holds (workflow_step_id is null where it is the task itself)';

CREATE FUNCTION tasker.verify_all(max_tasks int DEFAULT 1000)
	RETURNS TABLE (task_id bigint, workflow_step_id bigint, violation text)
	AS 'MODULE_PATHNAME', 'tasker_verify_all' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.verify_all(int) IS
	'verify_task of every unfinished task and of the newest finished ones up to max_tasks (NULL: of all)';

-- ---------------------------------------------------------------------------
-- Functions: operations.
-- ---------------------------------------------------------------------------

-- The reports lock nothing.
CREATE FUNCTION tasker.get_system_health_counts()
	RETURNS TABLE (total_tasks bigint, pending_tasks bigint, in_progress_tasks bigint, complete_tasks bigint,
		error_tasks bigint, cancelled_tasks bigint, total_steps bigint, pending_steps bigint,
		in_progress_steps bigint, complete_steps bigint, error_steps bigint, retryable_error_steps bigint,
		exhausted_retry_steps bigint, in_backoff_steps bigint, active_connections bigint, max_connections bigint,
		resolved_manually_tasks bigint, paused_tasks bigint, waiting_for_retry_steps bigint,
		cancelled_steps bigint, skipped_steps bigint, resolved_manually_steps bigint, ready_steps bigint,
		dead_letters_pending bigint, workers_alive bigint)
	AS 'MODULE_PATHNAME', 'tasker_get_system_health_counts' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.get_system_health_counts() IS
	'exact counts of all tasks and steps by state, in one row. retryable_error_steps failed and will be tried again (state waiting_for_retry), in_backoff_steps are those whose time has not come, exhausted_retry_steps are in error with no attempt left. active_connections are those to the whole server. workers_alive were seen in the last two minutes. Reads every row of tasks and step_moves, and the attempts of tasks that did not simply complete';

CREATE FUNCTION tasker.get_analytics_metrics(since timestamptz DEFAULT NULL)
	RETURNS TABLE (active_tasks_count bigint, total_namespaces_count bigint, unique_task_types_count bigint,
		system_health_score numeric, task_throughput bigint, completion_count bigint, error_count bigint,
		completion_rate numeric, error_rate numeric, avg_task_duration numeric, avg_step_duration numeric,
		step_throughput bigint, analysis_period_start timestamptz, calculated_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_analytics_metrics' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.get_analytics_metrics(timestamptz) IS
	'how the tasks that were created since then (NULL: in the last hour) have fared: how many (task_throughput), how many of them are complete or in error now, in numbers and in percent, average seconds from creation (or run_at) to the end of a complete task and from claim to end of a completed step, completed steps (step_throughput). system_health_score = complete / (complete + error), 1 when there is neither. The first three columns are about all tasks: unfinished ones, namespaces and templates (all versions as one) that have any. Errors: 22008 infinite time';

CREATE FUNCTION tasker.get_slowest_steps(since timestamptz DEFAULT NULL, limit_count int DEFAULT 10,
	namespace text DEFAULT NULL, name text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, step_name text, task_name text, namespace_name text,
		version text, duration_seconds numeric, attempts int, created_at timestamptz, completed_at timestamptz,
		retryable boolean, step_status text, started_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_slowest_steps' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_slowest_steps(timestamptz, int, text, text, text) IS
	'the steps completed since then (NULL: in the last 24 hours) that took longest from claim to completion; created_at is that of the task. Errors: 22008, 22023, TC023';

CREATE FUNCTION tasker.get_slowest_tasks(since timestamptz DEFAULT NULL, limit_count int DEFAULT 10,
	namespace text DEFAULT NULL, name text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS TABLE (task_id bigint, task_name text, namespace_name text, version text, duration_seconds numeric,
		step_count bigint, completed_steps bigint, error_steps bigint, created_at timestamptz,
		completed_at timestamptz, initiator text, source_system text, state text)
	AS 'MODULE_PATHNAME', 'tasker_get_slowest_tasks' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_slowest_tasks(timestamptz, int, text, text, text) IS
	'the tasks that became complete or ended in error since then (NULL: in the last 24 hours) and took longest from creation (or run_at) to their end. Errors: 22008, 22023, TC023';

CREATE FUNCTION tasker.get_slowest_steps_aggregated(since timestamptz DEFAULT NULL, limit_count int DEFAULT 10,
	min_executions int DEFAULT 5, namespace text DEFAULT NULL, name text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS TABLE (namespace_name text, task_name text, version text, step_name text,
		average_duration_seconds numeric, max_duration_seconds numeric, execution_count bigint,
		error_count bigint, error_rate numeric, last_executed_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_slowest_steps_aggregated' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_slowest_steps_aggregated(timestamptz, int, int, text, text, text) IS
	'the steps of templates, slowest on average first, by the attempts that ended since then (NULL: in the last 24 hours); those with fewer than min_executions attempts are left out. Durations are of the completed attempts, error_rate is the percentage of the others. Errors: 22008, 22023, TC023';

CREATE FUNCTION tasker.get_slowest_tasks_aggregated(since timestamptz DEFAULT NULL, limit_count int DEFAULT 10,
	min_executions int DEFAULT 5, namespace text DEFAULT NULL, name text DEFAULT NULL, version text DEFAULT NULL)
	RETURNS TABLE (namespace_name text, task_name text, version text, average_duration_seconds numeric,
		max_duration_seconds numeric, execution_count bigint, error_count bigint, error_rate numeric,
		last_executed_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_slowest_tasks_aggregated' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_slowest_tasks_aggregated(timestamptz, int, int, text, text, text) IS
	'the same for templates as a whole, by the tasks that became complete or ended in error. Errors: 22008, 22023, TC023';

-- Locks: the task row, then the dead letter.
CREATE FUNCTION tasker.create_dead_letter(task_id bigint, notes text DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME', 'tasker_create_dead_letter' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.create_dead_letter(bigint, text) IS
	'puts a task before a person, with reason manual; it goes on as it is. Returns the id of its pending entry, which may be there already. Errors: TC002, TC012 the task is final';

-- Locks: the task row, then the dead letter.
CREATE FUNCTION tasker.resolve_dead_letter(dead_letter_id bigint, resolution text, notes text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_resolve_dead_letter' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.resolve_dead_letter(bigint, text, text) IS
	'closes a pending dead letter as manually_resolved, permanently_failed or cancelled; false when it is closed so already. The task stays as it is: retry_task starts it again, and closes the entry with it. Errors: 22023 no such entry or resolution, TC010 closed otherwise';

-- Locks: only what is free: for tasks that it ends as cancel_task, else the task row; then the dead letter.
CREATE FUNCTION tasker.detect_stale_tasks(dry_run boolean DEFAULT true, max_tasks int DEFAULT 100)
	RETURNS TABLE (task_id bigint, namespace text, task_name text, state text, stale_since timestamptz,
		minutes int, limit_minutes int, action text, limit_name text)
	AS 'MODULE_PATHNAME', 'tasker_detect_stale_tasks' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.detect_stale_tasks(boolean, int) IS
	'the unfinished tasks that stand still for longer than their template''s lifecycle allows, the longest overdue first, with what would be done; a real run does it, and leaves out what somebody has in hand and what nothing is to be done about. state is the one before. Looks at every live task. Errors: 22023, TC023';

-- Locks: only what is free.
CREATE FUNCTION tasker.configure(name text, value text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'tasker_configure' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.configure(text, text) IS
	'stores a setting with the data (tasker.settings), or takes it back (NULL): retention_days, how long tasks that ended and events are kept, 1 to 36500, and idempotency_retention_days, the same for the keys of tasks. By default all of them are kept for ever. run_maintenance does the work. Errors: 22023 no such setting or value, 22004';

CREATE FUNCTION tasker.run_maintenance(max_items int DEFAULT 1000) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'tasker_run_maintenance' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.run_maintenance(int) IS
	'does what nobody asks for: fails steps whose last lease ran out, notifies workers of retries and delays whose time came, makes the tasks of schedules that are due, treats stale tasks (of the next max_items live ones: each call goes on where the last stopped), closes dead letters of tasks that completed, forgets workers not seen for a day and flow keys not used for an hour, drops what is older than configure() allows (docs/retention.md). At most max_items of each in a shard; waits for nobody; may run in any number of sessions at once. Returns the counts. Errors: 22023, TC023';

-- ---------------------------------------------------------------------------
-- Functions: pausing what tasks belong to.  Locks: the row of the pause.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.pause_namespace(namespace text, reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_pause_namespace' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.pause_namespace(text, text) IS
	'no step of any task of the namespace is claimed until it is resumed: one row, whatever there is. Claims in hand may end, heartbeats and signals work, tasks can be created, and all of it waits. It counts from each session''s next call after the commit. False when it is paused already. Errors: 42704 unknown namespace, 22004';

CREATE FUNCTION tasker.resume_namespace(namespace text, reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_resume_namespace' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.resume_namespace(text, text) IS
	'ends the pause of a namespace, and wakes its workers; what is paused by itself in it, a template or a task, stays so. False when it is not paused. Errors: 42704, 22004';

CREATE FUNCTION tasker.pause_template(name text, namespace text DEFAULT 'default', reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_pause_template' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.pause_template(text, text, text) IS
	'pause_namespace for the tasks of one template, in all its versions. False when it is paused already. Errors: TC001 unknown template, 22004';

CREATE FUNCTION tasker.resume_template(name text, namespace text DEFAULT 'default', reason text DEFAULT NULL) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_resume_template' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.resume_template(text, text, text) IS
	'ends the pause of a template, and wakes its workers. False when it is not paused. Errors: TC001, 22004';

CREATE FUNCTION tasker.list_pauses(namespace text DEFAULT NULL)
	RETURNS TABLE (namespace text, task_name text, paused_at timestamptz, paused_by text, reason text,
		resumed_at timestamptz, resumed_by text, resume_reason text)
	AS 'MODULE_PATHNAME', 'tasker_list_pauses' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.list_pauses(text) IS
	'the pauses of namespaces (task_name null) and templates, of one namespace or of all, the newest first; resumed_at is null for what is paused now';

-- ---------------------------------------------------------------------------
-- Functions: schedules.  Locks: the row of the schedule.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.create_schedule(name text, task_name text, cron text, context jsonb DEFAULT '{}',
	namespace text DEFAULT 'default', version text DEFAULT NULL, timezone text DEFAULT 'UTC',
	priority int DEFAULT 0, catch_up text DEFAULT 'latest')
	RETURNS TABLE (schedule_id int, created boolean, next_due_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_create_schedule' LANGUAGE C VOLATILE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.create_schedule(text, text, text, jsonb, text, text, text, int, text) IS
	'makes a task of a template (NULL version: the highest there is then) at each time that five crontab fields mean on the wall clock of a time zone, or @yearly, @monthly, @weekly, @daily, @hourly; once each, by run_maintenance or the background worker. Of several times that passed unnoticed, catch_up latest makes up for the latest, all for each. The same schedule again: created false. Errors: TC001, TC022, 22023 malformed cron, unknown time zone or a time that never comes, 23505 another one of this name, 22004';

CREATE FUNCTION tasker.list_schedules(namespace text DEFAULT NULL)
	RETURNS TABLE (schedule_id int, namespace text, name text, task_name text, version text, cron text, timezone text,
		context jsonb, priority int, catch_up text, paused_at timestamptz, next_due_at timestamptz,
		last_due_at timestamptz, last_task_id bigint, last_error text, created_at timestamptz, created_by text)
	AS 'MODULE_PATHNAME', 'tasker_list_schedules' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.list_schedules(text) IS
	'the schedules of one namespace or of all, by namespace and name; next_due_at is null while one is paused, last_error says why the last time made no task';

CREATE FUNCTION tasker.pause_schedule(name text, namespace text DEFAULT 'default') RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_pause_schedule' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.pause_schedule(text, text) IS
	'a schedule makes no tasks until it is resumed; false when it is paused already. Errors: 42704 unknown schedule, 22004';

CREATE FUNCTION tasker.resume_schedule(name text, namespace text DEFAULT 'default') RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_resume_schedule' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.resume_schedule(text, text) IS
	'ends the pause of a schedule; times that passed in it are not made up for. False when it is not paused. Errors: 42704, 22004';

CREATE FUNCTION tasker.drop_schedule(name text, namespace text DEFAULT 'default') RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_drop_schedule' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.drop_schedule(text, text) IS
	'deletes a schedule; tasks that it made stay. False when there is none of this name. Errors: 22004';

-- ---------------------------------------------------------------------------
-- Functions: events.  They lock nothing.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.publish_event(name text, payload jsonb DEFAULT '{}', task_id bigint DEFAULT NULL,
	workflow_step_id bigint DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME', 'tasker_publish_event' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.publish_event(text, jsonb, bigint, bigint) IS
	'stores an event of one''s own in this transaction, for read_events, and notifies tasker_events of its name and ids (tasker_core.notify tasks or steps); a workflow_step_id names the task too. Returns the event''s id. Errors: 22004 null name, 22023 name not allowed or a step of another task, TC002 unknown task, TC003 unknown step, TC023 payload too large';

-- Locks: the row of the step that takes it and, as complete_step, what follows; with nobody waiting, the task row.
CREATE FUNCTION tasker.send_signal(task_id bigint, name text, payload jsonb DEFAULT 'null') RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_send_signal' LANGUAGE C VOLATILE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.send_signal(bigint, text, jsonb) IS
	'sends a signal to a task: true when a waiting step took it, with the payload as its result; false when it is kept for the next step of the task that waits for that name. One step takes it, at most. Errors: TC002 unknown task, TC012 the task is over, 22004 null, 22023 no step of its template waits for that name, TC023 payload too large';

CREATE FUNCTION tasker.read_events(after text DEFAULT NULL, max_events int DEFAULT 100, pattern text DEFAULT '*')
	RETURNS TABLE (cursor text, name text, task_id bigint, workflow_step_id bigint, payload jsonb, occurred_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_read_events' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.read_events(text, int, text) IS
	'the events after a cursor (NULL: from the first), oldest first, of names that match the pattern, in which * stands for any characters. Whoever goes on from the last cursor it got misses none and gets none twice: events come in an order that later commits do not change, so those behind the oldest transaction still running are held back (events_lag). Errors: 22023 no cursor, one ahead of this database, or an empty pattern, TC023 more than 10000 events';

CREATE FUNCTION tasker.events_lag()
	RETURNS TABLE (head text, xmin xid8, held_back_by int, prepared_as text, since timestamptz, oldest_waiting_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_events_lag' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 1;

COMMENT ON FUNCTION tasker.events_lag() IS
	'how far read_events can read: head is the cursor of a reader that has read everything; xmin the oldest transaction still running, which holds back what was written since it began. held_back_by is its process (or prepared_as its name), in whichever database, and since when it runs, where the owner of tasker_core may see it; oldest_waiting_at is the time of the oldest event that is committed and cannot be read yet, null when there is none';

-- ---------------------------------------------------------------------------
-- Functions: graphs, single tasks and steps, the queue.  They lock nothing.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.calculate_dependency_levels(task_id bigint)
	RETURNS TABLE (workflow_step_id bigint, dependency_level int)
	AS 'MODULE_PATHNAME', 'tasker_calculate_dependency_levels' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.calculate_dependency_levels(bigint) IS
	'the longest path from a root to each step of a task, roots 0, in time linear in steps and edges. An unknown task has no rows';

CREATE FUNCTION tasker.get_step_transitive_dependencies(workflow_step_id bigint)
	RETURNS TABLE (workflow_step_id bigint, task_id bigint, name text, distance int, current_state text, results jsonb)
	AS 'MODULE_PATHNAME', 'tasker_get_step_transitive_dependencies' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 10;

COMMENT ON FUNCTION tasker.get_step_transitive_dependencies(bigint) IS
	'every step that this one depends on, directly or not, each once, with its shortest distance (parents 1); the nearest first. Errors: TC003';

CREATE FUNCTION tasker.get_next_ready_tasks(max_tasks int DEFAULT 5)
	RETURNS TABLE (task_id bigint, namespace text, task_name text, priority int, ready_steps bigint,
		oldest_ready_at timestamptz)
	AS 'MODULE_PATHNAME', 'tasker_get_next_ready_tasks' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 5;

COMMENT ON FUNCTION tasker.get_next_ready_tasks(int) IS
	'the tasks whose steps would be claimed next, by priority, then age: priority is the highest of the task''s ready steps, oldest_ready_at the oldest of those. Reads the index of claims, so tasks that cannot run are never in the way. Errors: 22023, TC023';

CREATE FUNCTION tasker.explain_step(workflow_step_id bigint)
	RETURNS TABLE (reason text, detail text)
	AS 'MODULE_PATHNAME', 'tasker_explain_step' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 2;

COMMENT ON FUNCTION tasker.explain_step(bigint) IS
	'why a step is not running, the most decisive reason first: its state where it has ended (complete, error, cancelled, skipped, resolved_manually), claimed, lease_expired, runs_as_task, blocked_by_failures, task_ended, task_paused, namespace_paused, template_paused, waiting_for_dependencies, held_up_by, waiting_for_retry, scheduled, delayed, no_live_worker, queue_position. Times are in UTC. Errors: TC003';

CREATE FUNCTION tasker.task_graph(task_id bigint, format text DEFAULT 'mermaid') RETURNS text
	AS 'MODULE_PATHNAME', 'tasker_task_graph' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.task_graph(bigint, text) IS
	'the steps of a task and how they depend on each other, coloured by state: a mermaid flowchart, a dot graph, or text. Errors: TC002, 22023 unknown format';

CREATE FUNCTION tasker.template_graph(name text, namespace text DEFAULT 'default', version text DEFAULT NULL,
	format text DEFAULT 'mermaid') RETURNS text
	AS 'MODULE_PATHNAME', 'tasker_template_graph' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.template_graph(text, text, text, text) IS
	'task_graph of a template, without states; NULL version: the highest. Errors: TC001, 22023 unknown format';

CREATE FUNCTION tasker.get_task(task_id bigint) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'tasker_get_task' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.get_task(bigint) IS
	'everything about a task in one document: {"task": {...}, "steps": [{"workflow_step_id", "name", "state", "depends_on", "attempts", "results", "error", "started_at", "finished_at"}], "progress": {...}}; error is that of the newest attempt, times are ISO 8601 in UTC. Errors: TC002';

CREATE FUNCTION tasker.get_step(workflow_step_id bigint) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'tasker_get_step' LANGUAGE C STABLE PARALLEL UNSAFE;

COMMENT ON FUNCTION tasker.get_step(bigint) IS
	'one step as in get_task, with what a claim of it would say, every attempt (attempt_history) and every move that was none (moves). Errors: TC003';

CREATE FUNCTION tasker.list_tasks(filters jsonb DEFAULT '{}', max_tasks int DEFAULT 100, before_task_id bigint DEFAULT NULL)
	RETURNS TABLE (task_id bigint, namespace text, task_name text, version text, state text, priority int,
		created_at timestamptz, started_at timestamptz, finished_at timestamptz, run_at timestamptz,
		paused_at timestamptz, failed_steps int, tags text[], correlation_id uuid, parent_correlation_id uuid,
		initiator text, source_system text, reason text, idempotency_key text, parent_step_id bigint)
	AS 'MODULE_PATHNAME', 'tasker_list_tasks' LANGUAGE C STABLE PARALLEL UNSAFE ROWS 100;

COMMENT ON FUNCTION tasker.list_tasks(jsonb, int, bigint) IS
	'tasks that match every filter, the newest first; the task_id of the last row as before_task_id gives the next page. Filters: namespace, name, version, state, tag, correlation_id, created_after (inclusive), created_before; parent_task_id (those that run, or ran, for its steps); times without a zone are in UTC. Errors: 22023 unknown filter or state, 22008 infinite time, TC023';

-- ---------------------------------------------------------------------------
-- Functions: JSON Schema.
-- ---------------------------------------------------------------------------

-- Locks nothing, reads no table.
CREATE FUNCTION tasker.validate_json_schema(schema jsonb, document jsonb)
	RETURNS TABLE (path text, message text)
	AS 'MODULE_PATHNAME', 'tasker_validate_json_schema' LANGUAGE C IMMUTABLE PARALLEL SAFE ROWS 1;

COMMENT ON FUNCTION tasker.validate_json_schema(jsonb, jsonb) IS
	'what is wrong with a document by a JSON Schema (draft 2020-12), with its SQL/JSON path; the first ten errors, no rows when it matches. What create_task does with an input_schema, and complete_step with a result_schema. Errors: 22023 invalid or unsupported schema, 22004 null argument, TC023 more work than the bound';

-- ---------------------------------------------------------------------------
-- Functions: arithmetic.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.calculate_backoff(strategy text, attempt int, base_ms bigint DEFAULT 1000,
	max_ms bigint DEFAULT 30000, jitter float8 DEFAULT 0, seed bigint DEFAULT NULL) RETURNS bigint
	AS 'MODULE_PATHNAME', 'tasker_calculate_backoff' LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION tasker.calculate_backoff(text, int, bigint, bigint, float8, bigint) IS
	'milliseconds before the next attempt: exponential base*2^(attempt-1), linear base*attempt, fibonacci base*fib(attempt), none 0; capped at max_ms, then +/- jitter drawn from seed (NULL seed: no jitter), then kept within 0 and max_ms. The function that decides real retries. Errors: 22023, 22004';

CREATE FUNCTION tasker.library_version() RETURNS text
	AS 'MODULE_PATHNAME', 'tasker_library_version' LANGUAGE C IMMUTABLE PARALLEL SAFE;

COMMENT ON FUNCTION tasker.library_version() IS
	'version of the loaded library; equals that of the extension unless one of the two was upgraded alone';

-- ---------------------------------------------------------------------------
-- Views for people and programs.  They read with the owner's rights, and show each
-- reader the namespaces he was granted: security_barrier, so that no condition of a
-- query sees a row before that is decided.
-- ---------------------------------------------------------------------------

CREATE FUNCTION tasker.sees_namespace(namespace_id int) RETURNS boolean
	AS 'MODULE_PATHNAME', 'tasker_sees_namespace' LANGUAGE C STABLE PARALLEL RESTRICTED;

COMMENT ON FUNCTION tasker.sees_namespace(int) IS
	'whether the caller may read what belongs to a namespace; the filter of the views. Errors: 42501 no access to read';

-- Every step of every task, whether it has a row or not.  Conditions on task_id
-- reach the indexes of all four tables.
CREATE VIEW tasker.workflow_steps WITH (security_barrier) AS
SELECT t.task_id,
	t.task_id * 1000000 + s.step_no AS workflow_step_id,
	s.step_no,
	d.named_step_id,
	s.name,
	CASE
		WHEN q.phase IN ('c', 't', 'm') THEN 'in_progress'
		WHEN q.waits_for_retry THEN 'waiting_for_retry'
		WHEN q.phase IN ('r', 'w', 's', 'p') THEN 'pending'
		WHEN h.to_state IN ('complete', 'error', 'cancelled', 'skipped', 'resolved_manually') THEN h.to_state
		WHEN t.state IN ('cancelled', 'resolved_manually') OR (t.state = 'error' AND n.on_failure = 'fail_fast')
			THEN 'cancelled'
		ELSE 'pending'
	END AS state,
	coalesce(CASE WHEN q.phase <> 'x' THEN q.attempts END,
		(SELECT a.attempt FROM tasker.step_attempts a
		WHERE a.task_id = t.task_id AND a.step_no = s.step_no AND a.shard_key = t.shard_key AND a.slot = t.slot
			AND a.attempt_no > coalesce((SELECT max(m.after_attempt_no) FROM tasker.step_moves m
				WHERE m.task_id = t.task_id AND m.step_no = s.step_no AND m.shard_key = t.shard_key AND m.slot = t.slot
					AND m.verb IN ('reset', 'retry_task')), 0)
		ORDER BY a.attempt_no DESC LIMIT 1), 0) AS attempts,
	d.max_attempts,
	greatest(-32768, least(32767, t.priority::bigint + d.priority))::int AS priority,
	d.queue,
	CASE
		WHEN q.phase <> 'x' THEN q.remaining_parents
		-- without a row none of its parents counts
		WHEN q.phase IS NULL AND t.finished_at IS NULL AND s.step_no = d.step_no
			AND (h.to_state IS NULL OR h.to_state IN ('pending', 'waiting_for_retry'))
			THEN (SELECT count(*)::int FROM tasker.named_step_edges p
				WHERE p.named_task_id = t.named_task_id AND p.to_step_no = s.step_no)
	END AS remaining_parents,
	CASE WHEN q.phase IN ('r', 'c') THEN q.visible_at END AS visible_at,
	coalesce(q.worker_id, h.worker_id) AS worker_id,
	CASE WHEN q.phase = 'c' THEN q.visible_at END AS lease_expires_at,
	h.results,
	coalesce(CASE WHEN h.to_state = 'error' AND h.reason IS NOT NULL THEN jsonb_build_object('message', h.reason) END,
		e.error) AS last_error,
	q.checkpoint,
	coalesce(q.claimed_at, h.claimed_at) AS started_at,
	CASE WHEN (q.phase IS NULL OR q.phase = 'x')
		AND h.to_state IN ('complete', 'error', 'cancelled', 'skipped', 'resolved_manually') THEN h.recorded_at
		WHEN q.phase IS NULL AND (t.state IN ('cancelled', 'resolved_manually')
			OR (t.state = 'error' AND n.on_failure = 'fail_fast')) THEN t.finished_at
	END AS finished_at
FROM tasker.tasks t
JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
JOIN tasker.named_steps d ON d.named_task_id = t.named_task_id
-- the step itself, and its instances where it is a map
CROSS JOIN LATERAL (
	SELECT d.step_no, d.name
	UNION ALL
	SELECT x.step_no, CASE d.step_type
			WHEN 'batch_worker' THEN d.name || '_' || lpad(i.number, greatest(3, length(i.number)), '0')
			ELSE d.name || '[' || (x.step_no - m.first) || ']' END
	FROM (SELECT n.step_count + 1 + (array_position(n.map_steps, d.step_no) - 1) * n.map_room AS first) m
	JOIN tasker.task_extra_steps x ON x.task_id = t.task_id AND x.shard_key = t.shard_key AND x.slot = t.slot
		AND x.step_no >= m.first AND x.step_no < m.first + n.map_room
	CROSS JOIN LATERAL (SELECT (x.step_no - m.first + 1)::text AS number) i) s
LEFT JOIN tasker.step_queue q
	ON q.task_id = t.task_id AND q.step_no = s.step_no AND q.shard_key = t.shard_key
-- the newest attempt or move
LEFT JOIN LATERAL (
	SELECT r.* FROM (
		(SELECT a.attempt_no, 0::bigint AS move_id, a.to_state, a.worker_id, a.claimed_at,
			a.finished_at AS recorded_at, a.results, NULL AS reason
		FROM tasker.step_attempts a
		WHERE a.task_id = t.task_id AND a.step_no = s.step_no AND a.shard_key = t.shard_key AND a.slot = t.slot
		ORDER BY a.attempt_no DESC LIMIT 1)
		UNION ALL
		(SELECT m.after_attempt_no, m.move_id, m.to_state, m.worker_id, m.claimed_at, m.moved_at, m.results, m.reason
		FROM tasker.step_moves m
		WHERE m.task_id = t.task_id AND m.step_no = s.step_no AND m.shard_key = t.shard_key AND m.slot = t.slot
		ORDER BY m.move_id DESC LIMIT 1)) r
	ORDER BY r.attempt_no DESC, r.move_id DESC LIMIT 1) h ON true
LEFT JOIN LATERAL (
	SELECT f.error FROM tasker.step_attempts f
	WHERE f.task_id = t.task_id AND f.step_no = s.step_no AND f.shard_key = t.shard_key AND f.slot = t.slot AND f.error IS NOT NULL
	ORDER BY f.attempt_no DESC LIMIT 1) e ON true
WHERE tasker.sees_namespace(n.namespace_id);

COMMENT ON VIEW tasker.workflow_steps IS 'every step of every task with its present state; filter by task_id';

-- Parents and children of every step of every task.
CREATE VIEW tasker.workflow_step_edges WITH (security_barrier) AS
SELECT t.task_id,
	t.task_id * 1000000 + e.from_step_no AS from_step_id,
	t.task_id * 1000000 + e.to_step_no AS to_step_id,
	f.name AS from_name,
	s.name AS to_name
FROM tasker.tasks t
JOIN tasker.named_step_edges e ON e.named_task_id = t.named_task_id
JOIN tasker.named_steps f ON f.named_task_id = e.named_task_id AND f.step_no = e.from_step_no
JOIN tasker.named_steps s ON s.named_task_id = e.named_task_id AND s.step_no = e.to_step_no
JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
WHERE tasker.sees_namespace(n.namespace_id);

COMMENT ON VIEW tasker.workflow_step_edges IS 'which step of a task waits for which: to_step_id depends on from_step_id; filter by task_id';

CREATE VIEW tasker.step_dag_relationships WITH (security_barrier) AS
SELECT t.task_id * 1000000 + s.step_no AS workflow_step_id,
	t.task_id,
	s.named_step_id,
	s.name,
	p.ids AS parent_step_ids,
	c.ids AS child_step_ids,
	cardinality(p.ids) AS parent_count,
	cardinality(c.ids) AS child_count,
	cardinality(p.ids) = 0 AS is_root,
	cardinality(c.ids) = 0 AS is_leaf,
	s.min_depth AS min_depth_from_root
FROM tasker.tasks t
JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id
CROSS JOIN LATERAL (SELECT ARRAY(
	SELECT t.task_id * 1000000 + e.from_step_no FROM tasker.named_step_edges e
	WHERE e.named_task_id = s.named_task_id AND e.to_step_no = s.step_no
	ORDER BY e.from_step_no) AS ids OFFSET 0) p
CROSS JOIN LATERAL (SELECT ARRAY(
	SELECT t.task_id * 1000000 + e.to_step_no FROM tasker.named_step_edges e
	WHERE e.named_task_id = s.named_task_id AND e.from_step_no = s.step_no
	ORDER BY e.to_step_no) AS ids OFFSET 0) c
WHERE tasker.sees_namespace((SELECT n.namespace_id FROM tasker.named_tasks n WHERE n.named_task_id = t.named_task_id));

COMMENT ON VIEW tasker.step_dag_relationships IS 'the place of every step in the graph of its task; filter by task_id';

-- A row a template, for whoever has only SQL.  Reads what is live, and the newest end of the history: its cost does not
-- grow with what has happened.
CREATE VIEW tasker.stats WITH (security_barrier) AS
WITH moment AS MATERIALIZED (
	SELECT clock_timestamp() AS now),
held AS MATERIALIZED (
	SELECT DISTINCT n.named_task_id
	FROM tasker.pauses p
	JOIN tasker.named_tasks n ON n.namespace_id = p.namespace_id AND n.name = coalesce(p.task_name, n.name)
	WHERE p.resumed_at IS NULL),
live AS (
	SELECT l.named_task_id,
		count(*) FILTER (WHERE q.phase = 'r' AND l.open AND q.visible_at <= m.now) AS ready,
		count(*) FILTER (WHERE q.phase = 'c') AS in_progress,
		count(*) FILTER (WHERE q.phase = 'c' AND q.visible_at <= m.now) AS lease_expired,
		count(*) FILTER (WHERE q.phase = 'r' AND l.open AND q.visible_at > m.now) AS later,
		count(*) FILTER (WHERE q.phase IN ('w', 's', 't', 'm')) AS waiting,
		count(*) FILTER (WHERE q.phase = 'r' AND NOT l.open) AS paused,
		count(*) FILTER (WHERE q.phase = 'p') AS throttled,
		min(q.visible_at) FILTER (WHERE q.phase = 'r' AND l.open AND q.visible_at <= m.now) AS oldest_ready_at
	FROM tasker.step_queue q
	CROSS JOIN LATERAL (
		SELECT i.named_task_id, q.lane_id > 0 AND h.named_task_id IS NULL AS open
		FROM tasker.lanes i LEFT JOIN held h ON h.named_task_id = i.named_task_id
		WHERE i.lane_id = abs(q.lane_id)) l
	CROSS JOIN moment m
	GROUP BY l.named_task_id),
recent AS (
	SELECT t.named_task_id,
		count(*) FILTER (WHERE a.outcome = 'completed') AS completed,
		count(*) FILTER (WHERE a.outcome <> 'completed') AS failed,
		avg(extract(epoch FROM a.finished_at - a.claimed_at)) FILTER (WHERE a.outcome = 'completed') AS seconds
	FROM (SELECT h.task_id, h.shard_key, h.outcome, h.claimed_at, h.finished_at FROM tasker.step_attempts h
		ORDER BY h.event_xact DESC, h.event_seq DESC LIMIT 10000) a
	JOIN tasker.tasks t ON t.task_id = a.task_id AND t.shard_key = a.shard_key
	CROSS JOIN moment m
	WHERE a.finished_at > m.now - interval '5 minutes'
	GROUP BY t.named_task_id),
letters AS (
	SELECT t.named_task_id, count(*) AS pending
	FROM tasker.dead_letters d
	JOIN tasker.tasks t ON t.task_id = d.task_id AND t.shard_key = d.shard_key
	WHERE d.state = 'pending'
	GROUP BY t.named_task_id)
SELECT s.name AS namespace, n.name, n.version,
	coalesce(l.ready, 0) AS ready,
	coalesce(l.in_progress, 0) AS in_progress,
	coalesce(l.lease_expired, 0) AS lease_expired,
	coalesce(l.later, 0) AS later,
	coalesce(l.waiting, 0) AS waiting,
	coalesce(l.paused, 0) AS paused,
	l.oldest_ready_at,
	extract(epoch FROM m.now - l.oldest_ready_at)::float8 AS oldest_ready_age_seconds,
	coalesce(d.pending, 0) AS dead_letters,
	coalesce(r.completed, 0) AS completed_5m,
	coalesce(r.failed, 0) AS failed_5m,
	r.seconds::float8 AS avg_seconds_5m,
	coalesce(l.throttled, 0) AS throttled
FROM tasker.named_tasks n
JOIN tasker.task_namespaces s ON s.namespace_id = n.namespace_id
CROSS JOIN moment m
LEFT JOIN live l ON l.named_task_id = n.named_task_id
LEFT JOIN recent r ON r.named_task_id = n.named_task_id
LEFT JOIN letters d ON d.named_task_id = n.named_task_id
WHERE tasker.sees_namespace(n.namespace_id);
COMMENT ON VIEW tasker.stats IS 'what is going on, a row a template version. Reads live steps, pending dead letters and the newest 10,000 attempts';
COMMENT ON COLUMN tasker.stats.ready IS 'steps that can be claimed now';
COMMENT ON COLUMN tasker.stats.in_progress IS 'steps in the hands of workers';
COMMENT ON COLUMN tasker.stats.lease_expired IS 'those of them whose lease ran out and that nobody has taken since';
COMMENT ON COLUMN tasker.stats.later IS 'steps that wait for a time: a retry, a delay or run_at';
COMMENT ON COLUMN tasker.stats.waiting IS 'joins that wait for the rest of their parents, steps that wait for a signal or run as tasks of their own, and maps that wait for their instances; before a parent of it has ended, no step is counted anywhere here';
COMMENT ON COLUMN tasker.stats.paused IS 'steps that could be claimed or wait for a time, of tasks that are paused, or whose namespace or template is';
COMMENT ON COLUMN tasker.stats.throttled IS 'steps that a concurrency or rate limit keeps back, as far as a claim has met them: flow_limits';
COMMENT ON COLUMN tasker.stats.dead_letters IS 'tasks that wait for a person';
COMMENT ON COLUMN tasker.stats.completed_5m IS 'attempts that completed in the last five minutes, among the newest 10,000';
COMMENT ON COLUMN tasker.stats.failed_5m IS 'attempts that failed or lost their lease in the last five minutes, among the newest 10,000';
COMMENT ON COLUMN tasker.stats.avg_seconds_5m IS 'average seconds from claim to end of those that completed';

-- The same by what workers choose from.
CREATE VIEW tasker.queue_stats WITH (security_barrier) AS
SELECT s.name AS namespace, l.queue,
	count(*) FILTER (WHERE q.phase = 'r' AND h.open AND q.visible_at <= m.now) AS ready,
	count(*) FILTER (WHERE q.phase = 'c') AS in_progress,
	count(*) FILTER (WHERE q.phase = 'c' AND q.visible_at <= m.now) AS lease_expired,
	count(*) FILTER (WHERE q.phase = 'r' AND h.open AND q.visible_at > m.now) AS later,
	count(*) FILTER (WHERE q.phase IN ('w', 's', 't', 'm')) AS waiting,
	count(*) FILTER (WHERE q.phase = 'r' AND NOT h.open) AS paused,
	min(q.visible_at) FILTER (WHERE q.phase = 'r' AND h.open AND q.visible_at <= m.now) AS oldest_ready_at,
	count(*) FILTER (WHERE q.phase = 'p') AS throttled
FROM (SELECT clock_timestamp() AS now OFFSET 0) m
CROSS JOIN tasker.step_queue q
JOIN tasker.lanes l ON l.lane_id = abs(q.lane_id)
JOIN tasker.named_tasks n ON n.named_task_id = l.named_task_id
JOIN tasker.task_namespaces s ON s.namespace_id = n.namespace_id
LEFT JOIN (SELECT DISTINCT k.named_task_id FROM tasker.pauses p
	JOIN tasker.named_tasks k ON k.namespace_id = p.namespace_id AND k.name = coalesce(p.task_name, k.name)
	WHERE p.resumed_at IS NULL) d ON d.named_task_id = n.named_task_id
CROSS JOIN LATERAL (SELECT q.lane_id > 0 AND d.named_task_id IS NULL AS open) h
WHERE tasker.sees_namespace(n.namespace_id)
GROUP BY s.name, l.queue;
COMMENT ON VIEW tasker.queue_stats IS 'live steps by namespace and queue; the columns are those of stats';

-- Who is held up by which limit.
CREATE VIEW tasker.flow_limits WITH (security_barrier) AS
SELECT s.name AS namespace, k.task_name, nullif(k.step_name, '') AS step_name, k.key,
	k.concurrency_limit, k.rate_limit, k.rate_period_seconds, k.used AS running, w.waiting, k.next_at, k.last_used_at
FROM tasker.flow_keys k
JOIN tasker.task_namespaces s ON s.namespace_id = k.namespace_id
CROSS JOIN LATERAL (SELECT count(*) AS waiting FROM tasker.step_queue q
	WHERE q.flow_key_id = k.flow_key_id AND q.phase = 'p') w
WHERE tasker.sees_namespace(k.namespace_id);
COMMENT ON VIEW tasker.flow_limits IS 'concurrency and rate limits, a row a key that is in use (docs/dynamic.md): what runs, and what waits for it';
COMMENT ON COLUMN tasker.flow_limits.step_name IS 'the step that it limits; null: the steps of the template together';
COMMENT ON COLUMN tasker.flow_limits.key IS 'the value that the path key led to; empty where it led to none, or there is none';
COMMENT ON COLUMN tasker.flow_limits.running IS 'claims that count: at most concurrency_limit, but for what began under another version''s';
COMMENT ON COLUMN tasker.flow_limits.waiting IS 'steps that it keeps back';
COMMENT ON COLUMN tasker.flow_limits.next_at IS 'when the next of them may be claimed; null: none waits, or one that runs has to end first';

-- Workers are of no namespace: for readers of all of them.
CREATE VIEW tasker.worker_stats AS
SELECT w.worker_id, w.role, w.first_seen_at, w.last_seen_at,
	w.last_seen_at > clock_timestamp() - interval '1 minute' AS live,
	w.namespaces, w.task_names, w.queues, coalesce(c.claims, 0) AS claims
FROM tasker.workers w
LEFT JOIN (SELECT q.worker_id, count(*) AS claims FROM tasker.step_queue q WHERE q.phase = 'c' GROUP BY q.worker_id) c
	ON c.worker_id = w.worker_id;
COMMENT ON VIEW tasker.worker_stats IS 'workers with the filters of their last claim and the number of claims they hold';
COMMENT ON COLUMN tasker.worker_stats.live IS 'seen in the last minute';

CREATE VIEW tasker.recent_attempts WITH (security_barrier) AS
SELECT a.task_id, a.task_id * 1000000 + a.step_no AS workflow_step_id, s.name AS namespace, n.name AS task_name, n.version,
	a.outcome, a.worker_id, a.claimed_at, a.finished_at
FROM (SELECT h.task_id, h.step_no, h.shard_key, h.outcome, h.worker_id, h.claimed_at, h.finished_at FROM tasker.step_attempts h
	ORDER BY h.event_xact DESC, h.event_seq DESC LIMIT 20000) a
JOIN tasker.tasks t ON t.task_id = a.task_id AND t.shard_key = a.shard_key
JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
JOIN tasker.task_namespaces s ON s.namespace_id = n.namespace_id
WHERE tasker.sees_namespace(n.namespace_id);
COMMENT ON VIEW tasker.recent_attempts IS 'the newest 20,000 attempts that ended, of all tasks';

CREATE VIEW tasker.dead_letter_details WITH (security_barrier) AS
SELECT d.dead_letter_id, d.task_id, d.workflow_step_id, s.name AS namespace, n.name AS task_name, n.version,
	(SELECT p.name FROM tasker.named_steps p
	WHERE p.named_task_id = t.named_task_id AND p.step_no = coalesce(
		n.map_steps[(d.workflow_step_id % 1000000 + n.map_room - n.step_count - 1) / n.map_room],
		d.workflow_step_id % 1000000)) AS step_name,
	d.reason, d.state, d.snapshot, d.created_at, d.resolved_at, d.resolved_by, d.notes
FROM tasker.dead_letters d
JOIN tasker.tasks t ON t.task_id = d.task_id AND t.shard_key = d.shard_key
JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
JOIN tasker.task_namespaces s ON s.namespace_id = n.namespace_id
WHERE tasker.sees_namespace(n.namespace_id);
COMMENT ON VIEW tasker.dead_letter_details IS 'dead letters with the names of what they are about';

-- What happened to every step, from the tables of history.  A claim is not
-- written down by itself: it is in the attempt or the move that ended it, or it
-- is live.  A task that is cancelled, or fails fast, takes along, with one record,
-- whatever has not ended.  Of events at one place in the history the order is: the claim, its
-- end, then moves.
CREATE VIEW tasker.workflow_step_transitions WITH (security_barrier) AS
SELECT h.task_id,
	h.task_id * 1000000 + h.step_no AS workflow_step_id,
	(SELECT CASE WHEN i.index < 0 THEN s.name
			WHEN s.step_type = 'batch_worker' THEN s.name || '_' || lpad((i.index + 1)::text, greatest(3, length((i.index + 1)::text)), '0')
			ELSE s.name || '[' || i.index || ']' END
	FROM tasker.tasks t
	JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
	CROSS JOIN LATERAL (SELECT CASE WHEN h.step_no <= n.step_count THEN -1 ELSE (h.step_no - n.step_count - 1) % n.map_room END AS index) i
	JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id
		AND s.step_no = coalesce(n.map_steps[(h.step_no + n.map_room - n.step_count - 1) / n.map_room], h.step_no)
	WHERE t.task_id = h.task_id) AS name,
	h.from_state,
	h.to_state,
	h.at,
	h.who,
	h.why,
	h.transition_no
FROM (
	SELECT e.task_id, e.step_no, e.to_state, e.at, e.who, e.why, e.of_task,
		lag(e.to_state, 1, 'pending') OVER history AS from_state,
		row_number() OVER history AS transition_no
	FROM (
		SELECT a.task_id, a.step_no, a.attempt_no AS place, 0::bigint AS move_id, 0 AS ordinal, false AS of_task,
			'in_progress' AS to_state, a.claimed_at AS at, a.worker_id AS who, 'claimed' AS why
		FROM tasker.step_attempts a
		UNION ALL
		SELECT a.task_id, a.step_no, a.attempt_no, 0, 1, false, a.to_state, a.finished_at, a.worker_id, a.outcome
		FROM tasker.step_attempts a
		UNION ALL
		SELECT m.task_id, m.step_no, m.after_attempt_no, m.move_id, 2, false, 'in_progress', m.claimed_at,
			coalesce(m.worker_id, m.recorded_as, m.recorded_by), CASE WHEN m.worker_id IS NULL THEN m.verb ELSE 'claimed' END
		FROM tasker.step_moves m
		WHERE m.claimed_at IS NOT NULL
		UNION ALL
		SELECT m.task_id, m.step_no, m.after_attempt_no, m.move_id, 3, false, m.to_state, m.moved_at,
			CASE WHEN m.verb IN ('release', 'yield') THEN m.worker_id ELSE coalesce(m.recorded_as, m.recorded_by) END,
			concat_ws(': ', m.verb, m.reason)
		FROM tasker.step_moves m
		UNION ALL
		SELECT q.task_id, q.step_no, 2147483647, 0, 0, false, 'in_progress', q.claimed_at, q.worker_id,
			CASE q.phase WHEN 'm' THEN 'map' ELSE 'claimed' END
		FROM tasker.step_queue q
		WHERE q.phase IN ('c', 'm')
		UNION ALL
		SELECT t.task_id, s.step_no, 2147483647, 0, 4, true, 'cancelled', t.finished_at,
			coalesce(r.recorded_as, r.recorded_by), concat_ws(': ', 'task ' || t.state, r.reason)
		FROM tasker.tasks t
		JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id
		CROSS JOIN LATERAL (
			SELECT d.step_no FROM tasker.named_steps d WHERE d.named_task_id = t.named_task_id
			UNION ALL
			SELECT i.step_no FROM tasker.task_extra_steps i
			WHERE i.task_id = t.task_id AND i.shard_key = t.shard_key AND i.slot = t.slot) s
		CROSS JOIN LATERAL (
			SELECT x.recorded_as, x.recorded_by, x.reason FROM tasker.task_transitions x
			WHERE x.task_id = t.task_id AND x.shard_key = t.shard_key AND x.slot = t.slot
			ORDER BY x.transition_id DESC LIMIT 1) r
		WHERE t.state IN ('cancelled', 'resolved_manually') OR (t.state = 'error' AND n.on_failure = 'fail_fast')) e
	WINDOW history AS (PARTITION BY e.task_id, e.step_no ORDER BY e.place, e.move_id, e.ordinal)) h
WHERE NOT (h.of_task AND h.from_state IN ('complete', 'error', 'cancelled', 'skipped', 'resolved_manually'))
	AND tasker.sees_namespace((SELECT n.namespace_id FROM tasker.tasks t
		JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id WHERE t.task_id = h.task_id))
	-- the history outlives a task that retention dropped, for a while
	AND EXISTS (SELECT FROM tasker.tasks t WHERE t.task_id = h.task_id);

COMMENT ON VIEW tasker.workflow_step_transitions IS 'every change of every step''s state, with who (a worker, or a role) and why; transition_no counts per step, from 1, in the order in which they happened; filter by task_id';

-- ---------------------------------------------------------------------------
-- Dump and restore: a restored database goes on working.
-- ---------------------------------------------------------------------------

SELECT pg_catalog.pg_extension_config_dump('tasker.settings', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.access_grants', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.task_namespaces', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.named_tasks', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.named_steps', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.named_step_edges', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.lanes', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.pauses', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.tasks', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.step_queue', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.flow_keys', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.signals', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.errands', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.history_slots', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.event_horizon', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.event_epochs', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.idempotency_keys', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.task_starts', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.dead_letters', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.maintenance', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.workers', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.schedules', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.schedule_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.namespace_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.named_task_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.named_step_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.lane_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.pause_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.task_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.step_move_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.flow_key_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.signal_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.errand_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.task_transition_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.task_pause_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.dead_letter_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('tasker.domain_event_id_seq', '');

-- ---------------------------------------------------------------------------
-- Owner and privileges: whoever installs the extension owns it, and nobody else
-- has any right.
-- ---------------------------------------------------------------------------

ALTER TABLE tasker.settings OWNER TO @extowner@;
ALTER TABLE tasker.access_grants OWNER TO @extowner@;
ALTER TABLE tasker.task_namespaces OWNER TO @extowner@;
ALTER TABLE tasker.named_tasks OWNER TO @extowner@;
ALTER TABLE tasker.named_steps OWNER TO @extowner@;
ALTER TABLE tasker.named_step_edges OWNER TO @extowner@;
ALTER TABLE tasker.lanes OWNER TO @extowner@;
ALTER TABLE tasker.pauses OWNER TO @extowner@;
ALTER TABLE tasker.tasks OWNER TO @extowner@;
ALTER TABLE tasker.step_queue OWNER TO @extowner@;
ALTER TABLE tasker.step_attempts OWNER TO @extowner@;
ALTER TABLE tasker.step_moves OWNER TO @extowner@;
ALTER TABLE tasker.flow_keys OWNER TO @extowner@;
ALTER TABLE tasker.signals OWNER TO @extowner@;
ALTER TABLE tasker.errands OWNER TO @extowner@;
ALTER TABLE tasker.task_transitions OWNER TO @extowner@;
ALTER TABLE tasker.task_pauses OWNER TO @extowner@;
ALTER TABLE tasker.task_extra_steps OWNER TO @extowner@;
ALTER TABLE tasker.step_checkpoints OWNER TO @extowner@;
ALTER TABLE tasker.domain_events OWNER TO @extowner@;
ALTER TABLE tasker.history_slots OWNER TO @extowner@;
ALTER TABLE tasker.event_horizon OWNER TO @extowner@;
ALTER TABLE tasker.event_epochs OWNER TO @extowner@;
ALTER TABLE tasker.idempotency_keys OWNER TO @extowner@;
ALTER TABLE tasker.task_starts OWNER TO @extowner@;
ALTER TABLE tasker.dead_letters OWNER TO @extowner@;
ALTER TABLE tasker.maintenance OWNER TO @extowner@;
ALTER TABLE tasker.workers OWNER TO @extowner@;
ALTER TABLE tasker.schedules OWNER TO @extowner@;
ALTER VIEW tasker.workflow_steps OWNER TO @extowner@;
ALTER VIEW tasker.workflow_step_edges OWNER TO @extowner@;
ALTER VIEW tasker.step_dag_relationships OWNER TO @extowner@;
ALTER VIEW tasker.workflow_step_transitions OWNER TO @extowner@;
ALTER VIEW tasker.stats OWNER TO @extowner@;
ALTER VIEW tasker.queue_stats OWNER TO @extowner@;
ALTER VIEW tasker.flow_limits OWNER TO @extowner@;
ALTER VIEW tasker.worker_stats OWNER TO @extowner@;
ALTER VIEW tasker.recent_attempts OWNER TO @extowner@;
ALTER VIEW tasker.dead_letter_details OWNER TO @extowner@;
ALTER SEQUENCE tasker.namespace_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.named_task_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.named_step_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.lane_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.pause_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.task_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.step_move_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.flow_key_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.signal_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.errand_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.task_transition_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.task_pause_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.dead_letter_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.schedule_id_seq OWNER TO @extowner@;
ALTER SEQUENCE tasker.domain_event_id_seq OWNER TO @extowner@;

-- Nobody but the owner sees a row, not even who was given SELECT by hand.  There are no
-- policies: pg_dump would dump those of an extension, and a restore meet its own.  Not
-- forced, so that the owner can dump.  dead_letters is read by readers of all namespaces.
ALTER TABLE tasker.task_starts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.settings ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.access_grants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.task_namespaces ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.named_tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.named_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.named_step_edges ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.lanes ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.pauses ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.event_epochs ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.tasks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.step_queue ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.step_attempts ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.step_moves ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.flow_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.signals ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.errands ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.task_transitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.task_pauses ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.maintenance ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.schedules ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.task_extra_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.step_checkpoints ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.domain_events ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.history_slots ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.event_horizon ENABLE ROW LEVEL SECURITY;
ALTER TABLE tasker.workers ENABLE ROW LEVEL SECURITY;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA tasker FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA tasker TO @extowner@ WITH GRANT OPTION;
