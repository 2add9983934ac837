/*
 * event_store.c
 *	  Events in the order in which they can be read: rows of the history, events
 *	  of one's own, and the epochs that make transaction ids comparable.
 *
 * Transactions commit in another order than that of their ids, and sequences
 * are no better.  But once every transaction below an id is over, the rows below
 * it are all there, and stay what they are: a reader stops at the oldest id that
 * is still running in its snapshot.
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/xid8.h"

#include "compat.h"
#include "store/event_store.h"
#include "store/instance_store.h"
#include "store/access_store.h"
#include "store/plans.h"
#include "store/slot_store.h"

/* ---- epochs --------------------------------------------------------------- */

/* Neither operators nor functions: it also runs outside the session bracket. */
#define EPOCHS_SQL \
	"SELECT e.epoch, e.system_identifier, e.database_oid, e.timeline FROM tasker.event_epochs e"

static TcPlan plan_epochs_latest = {
	.sql = EPOCHS_SQL,
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
};

static TcPlan plan_epochs = {
	.sql = EPOCHS_SQL,
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
};

static TcPlan plan_begin_epoch = {
	.sql =
	"INSERT INTO tasker.event_epochs (epoch, system_identifier, database_oid, timeline, started_at)"
	" VALUES ($1, $2, $3, $4, $5)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 5,
	.argtypes = {INT4OID, INT8OID, INT8OID, INT4OID, TIMESTAMPTZOID},
};

/* A standby replays what its primary wrote, on whatever timeline that is. */
static TcEventOrigin
origin_here(void)
{
	TcEventOrigin here = {
		.system_identifier = (int64) GetSystemIdentifier(),
		.database_oid = MyDatabaseId,
		.timeline = RecoveryInProgress() ? 0 : (int32) GetWALInsertionTimeLine(),
	};

	return here;
}

static TcEventEra
read_era(TcPlan *plan, TcEventOrigin here)
{
	int			n = (int) tc_plan_run(plan, NULL, NULL);
	TcEventEpoch *recorded = palloc(sizeof(TcEventEpoch) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		recorded[i].epoch = tc_row_int32(i, 1);
		recorded[i].origin.system_identifier = tc_row_int64(i, 2);
		recorded[i].origin.database_oid = tc_row_int64(i, 3);
		recorded[i].origin.timeline = tc_row_int32(i, 4);
	}
	return tc_event_era(recorded, n, here);
}

static void
record_epoch(int32 epoch, TcEventOrigin here)
{
	Datum		values[5] = {
		Int32GetDatum(epoch), Int64GetDatum(here.system_identifier),
		Int64GetDatum(here.database_oid), Int32GetDatum(here.timeline),
		TimestampTzGetDatum(GetCurrentTimestamp())
	};

	if (epoch > TC_EVENT_EPOCH_MAX)
		elog(ERROR, "event epoch %d exceeds %d", epoch, TC_EVENT_EPOCH_MAX);
	tc_plan_run(&plan_begin_epoch, values, NULL);
	tc_cache_note_addition();
}

/*
 * The epoch that this transaction writes in.  Transactions that find it not
 * recorded come to the same number, and each records it: so none waits, and it
 * is on record whichever of them commits.
 */
static int32
epoch_to_write(void)
{
	static int32 epoch = 0;
	static int32 timeline = 0;
	static uint64 generation = 0;
	TcEventOrigin here;
	TcEventEra	era;

	if (epoch != 0 && generation == tc_cache_generation() &&
		timeline == (int32) GetWALInsertionTimeLine())
		return epoch;

	here = origin_here();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	era = read_era(&plan_epochs_latest, here);
	if (!era.recorded)
		record_epoch(era.epoch, here);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");

	epoch = era.epoch;
	timeline = here.timeline;
	generation = tc_cache_generation();
	return epoch;
}

/* ---- writing -------------------------------------------------------------- */

int64
tc_event_current_xact(void)
{
	int64		xid = (int64) U64FromFullTransactionId(GetTopFullTransactionId());

	if (xid >= TC_EVENT_XID_LIMIT)
		elog(ERROR, "transaction id " INT64_FORMAT " is too large for an event", xid);
	return tc_event_xact(epoch_to_write(), xid);
}

int32
tc_event_next_seq(void)
{
	static FullTransactionId counted_for = {0};
	static int32 seq = 0;
	FullTransactionId current = GetTopFullTransactionId();

	if (!FullTransactionIdEquals(counted_for, current))
	{
		counted_for = current;
		seq = 0;
	}
	if (seq == PG_INT32_MAX)
		elog(ERROR, "too many events in one transaction");
	return ++seq;
}

static TcPlan plan_insert = {
	.sql =
	"INSERT INTO tasker.domain_events"
	" (event_id, shard_key, slot, name, task_id, step_no, payload, published_at, recorded_by, recorded_as)"
	" SELECT i.event_id, coalesce($1, (i.event_id % $2)::int), $10, $3, $4, $5, $6, $7, $8, $9"
	" FROM (SELECT nextval('tasker.domain_event_id_seq') AS event_id) i"
	" RETURNING event_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 10,
	.argtypes = {INT4OID, INT4OID, TEXTOID, INT8OID, INT4OID, JSONBOID, TIMESTAMPTZOID,
		TEXTOID, TEXTOID, INT2OID},
};

int64
tc_event_insert(const TcNewEvent *event)
{
	Datum		values[10];
	char		nulls[10];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(tc_shard_key(event->task_id));
	values[1] = Int32GetDatum(tc_shard_count());
	values[2] = CStringGetTextDatum(event->name);
	values[3] = Int64GetDatum(event->task_id);
	nulls[0] = nulls[3] = event->task_id == 0 ? 'n' : ' ';
	values[4] = Int32GetDatum(event->step_no);
	nulls[4] = event->step_no == 0 ? 'n' : ' ';
	values[5] = PointerGetDatum(event->payload);
	values[6] = TimestampTzGetDatum(tc_session_now());
	values[7] = CStringGetTextDatum(tc_session_role());
	values[8] = tc_text_or_null(tc_session_acting_role(), &nulls[8]);
	values[9] = Int16GetDatum(tc_slot_current());
	tc_plan_run(&plan_insert, values, nulls);
	return tc_row_int64(0, 1);
}

/* ---- the horizon ---------------------------------------------------------- */

/*
 * Both come from the caller's snapshot, as the rows do: a transaction that is
 * over for the one is over for the other.  The caller's own transaction runs, so
 * its own rows are never below.
 */
void
tc_event_horizon(TcEventHorizon *horizon)
{
	Datum		snapshot = DirectFunctionCall1(pg_current_snapshot, (Datum) 0);
	Datum		xmin = DirectFunctionCall1(pg_snapshot_xmin, snapshot);

	horizon->oldest_running = (int64) U64FromFullTransactionId(DatumGetFullTransactionId(xmin));
	horizon->era = read_era(&plan_epochs, origin_here());
}

/* The rows of a transaction count from 1, so that all of them are after this. */
TcEventCursor
tc_event_head(const TcEventHorizon *horizon)
{
	return tc_event_cursor(tc_event_xact(horizon->era.epoch, horizon->oldest_running), 0, 0);
}

/* A standby may be behind the server that gave the cursor. */
bool
tc_event_cursor_is_ahead(const TcEventHorizon *horizon, TcEventCursor cursor)
{
	int64		next = (int64) U64FromFullTransactionId(ReadNextFullTransactionId());

	return !RecoveryInProgress() && cursor.xact > tc_event_xact(horizon->era.epoch, next);
}

/* ---- rows ----------------------------------------------------------------- */

/* jsonb would write a time in the session's time zone. */
#define UTC(time) "to_char(" time " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

StaticAssertDecl(TC_SOURCE_TASKS == 0 && TC_SOURCE_TASK_TRANSITIONS == 1 &&
				 TC_SOURCE_TASK_PAUSES == 2 && TC_SOURCE_STEP_ATTEMPTS == 3 &&
				 TC_SOURCE_STEP_MOVES == 4 && TC_SOURCE_STEP_CHECKPOINTS == 5 && TC_SOURCE_DOMAIN_EVENTS == 6,
				 "the statement below numbers the sources");

/* $13: the namespaces that the caller may see, null for all; what has no task is in none. */
#define OWN \
	"  AND ($13 IS NULL OR EXISTS (SELECT FROM tasker.tasks o" \
	"   JOIN tasker.named_tasks k ON k.named_task_id = o.named_task_id" \
	"   JOIN tasker.task_namespaces w ON w.namespace_id = k.namespace_id" \
	"   WHERE o.task_id = x.task_id AND o.shard_key = (x.task_id % $12)::int AND w.name = ANY ($13)))"

/*
 * The rows of one table, by its index.  `wanted` is the parameter with the kinds
 * asked for; where none is, the table is not read.
 */
#define ROWS_OF(source, table, kind, step_no, occurred_at, facts, wanted) \
	"(SELECT " source " AS source, " kind " AS kind, x.event_xact, x.event_seq, x.task_id," \
	" " step_no " AS step_no, x." occurred_at " AS occurred_at, " facts " AS facts" \
	" FROM tasker." table " x" \
	" WHERE (x.event_xact, x.event_seq) >= ($1, $2) AND x.event_xact < $3" \
	"  AND cardinality(" wanted ") > 0 AND " kind " = ANY (" wanted ")" OWN \
	" ORDER BY x.event_xact, x.event_seq LIMIT $4)"

static TcPlan plan_rows = {
	.sql =
	"SELECT e.source, e.kind, e.event_xact, e.event_seq, e.task_id, e.step_no, e.occurred_at,"
	" CASE WHEN e.source = 6 THEN e.facts ELSE"
	"  jsonb_build_object('namespace', n.name, 'task_name', d.name, 'task_version', d.version)"
	"  || CASE WHEN e.step_no IS NULL THEN '{}' ELSE jsonb_build_object('step_name', " TC_NAME_OF_STEP("d", "s", "e.step_no") ") END"
	"  || e.facts END"
	" FROM (SELECT * FROM ("
	ROWS_OF("0", "tasks", "'created'", "NULL::int", "created_at",
			"jsonb_build_object('priority', x.priority, 'correlation_id', x.correlation_id,"
			" 'initiator', x.initiator, 'source_system', x.source_system, 'reason', x.reason)", "$5")
	" UNION ALL "
	ROWS_OF("1", "task_transitions", "x.from_state || '>' || x.to_state", "NULL::int", "moved_at",
			"jsonb_build_object('from_state', x.from_state, 'to_state', x.to_state, 'reason', x.reason,"
			" 'metadata', x.metadata, 'recorded_by', x.recorded_by)", "$6")
	" UNION ALL "
	ROWS_OF("2", "task_pauses", "CASE WHEN x.paused THEN 'paused' ELSE 'resumed' END", "NULL::int",
			"moved_at",
			"jsonb_build_object('reason', x.reason, 'recorded_by', x.recorded_by)", "$7")
	" UNION ALL "
	ROWS_OF("3", "step_attempts", "x.outcome || '>' || x.to_state", "x.step_no", "finished_at",
			"jsonb_build_object('to_state', x.to_state, 'attempt', x.attempt, 'worker_id', x.worker_id,"
			" 'duration_seconds', extract(epoch FROM x.finished_at - x.claimed_at),"
			" 'error', x.error, 'next_retry_at', " UTC("x.next_retry_at") ")", "$8")
	" UNION ALL "
	ROWS_OF("4", "step_moves", "x.verb || '>' || x.to_state", "x.step_no", "moved_at",
			"jsonb_build_object('from_state', x.from_state, 'to_state', x.to_state, 'reason', x.reason,"
			" 'metadata', x.metadata, 'worker_id', x.worker_id, 'recorded_by', x.recorded_by)", "$9")
	" UNION ALL "
	ROWS_OF("5", "step_checkpoints", "'stored'", "x.step_no", "stored_at",
			"jsonb_build_object('attempt', x.attempt, 'worker_id', x.worker_id, 'recorded_by', x.recorded_by)", "$10")
	" UNION ALL "
	"(SELECT 6, x.name, x.event_xact, x.event_seq, x.task_id, x.step_no, x.published_at, x.payload"
	" FROM tasker.domain_events x"
	" WHERE (x.event_xact, x.event_seq) >= ($1, $2) AND x.event_xact < $3"
	"  AND $11 IS NOT NULL AND x.name LIKE $11 COLLATE \"C\"" OWN
	" ORDER BY x.event_xact, x.event_seq LIMIT $4)"
	") merged ORDER BY event_xact, event_seq LIMIT $4) e"
	" LEFT JOIN tasker.tasks t ON t.task_id = e.task_id AND t.shard_key = (e.task_id % $12)::int"
	" LEFT JOIN tasker.named_tasks d ON d.named_task_id = t.named_task_id"
	" LEFT JOIN tasker.task_namespaces n ON n.namespace_id = d.namespace_id"
	" LEFT JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id"
	"  AND s.step_no = " TC_NAMED_STEP_NO("d", "e.step_no")
	" ORDER BY e.event_xact, e.event_seq",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 13,
	.argtypes = {INT8OID, INT4OID, INT8OID, INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID, INT4OID, TEXTARRAYOID},
};

/* The pattern as LIKE has it. */
static char *
like_pattern(const char *pattern)
{
	StringInfoData like;

	initStringInfo(&like);
	for (const char *p = pattern; *p != '\0'; p++)
	{
		if (*p == '\\' || *p == '%' || *p == '_')
			appendStringInfoChar(&like, '\\');
		appendStringInfoChar(&like, *p == '*' ? '%' : *p);
	}
	return like.data;
}

static void
bind_kinds(Datum *values, char *nulls, const char *pattern)
{
	const char *kinds[TC_MAX_EVENT_KINDS];

	for (int source = 0; source < TC_SOURCE_DERIVED_COUNT; source++)
	{
		int			n = tc_event_kinds((TcEventSource) source, pattern, kinds);

		values[source] = tc_array_text(kinds, n);
	}
	values[TC_SOURCE_DOMAIN_EVENTS] =
		tc_text_or_null(tc_event_pattern_is_open(pattern) ? like_pattern(pattern) : NULL,
						&nulls[TC_SOURCE_DOMAIN_EVENTS]);
}

static void
read_event_row(uint64 i, TcEventRow *row)
{
	row->source = (TcEventSource) tc_row_int32(i, 1);
	row->kind = tc_row_text(i, 2);
	row->event_xact = tc_row_int64(i, 3);
	row->event_seq = tc_row_int32(i, 4);
	row->task_id = tc_row_isnull(i, 5) ? 0 : tc_row_int64(i, 5);
	row->step_no = tc_row_isnull(i, 6) ? 0 : tc_row_int32(i, 6);
	row->occurred_at = tc_row_timestamptz(i, 7);
	row->payload = tc_row_varlena(i, 8);
}

int
tc_event_rows(const TcEventHorizon *horizon, TcEventCursor from, const char *pattern, int limit,
			  TcEventRow **rows)
{
	Datum		values[13];
	char		nulls[13];
	int			n;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(from.xact);
	values[1] = Int32GetDatum(tc_event_cursor_seq(&from));
	values[2] = Int64GetDatum(tc_event_head(horizon).xact);
	values[3] = Int64GetDatum(limit);
	bind_kinds(&values[4], &nulls[4], pattern);
	values[11] = Int32GetDatum(tc_shard_count());
	values[12] = tc_scope_namespaces(&nulls[12]);

	n = (int) tc_plan_run(&plan_rows, values, nulls);
	*rows = palloc(sizeof(TcEventRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		read_event_row(i, &(*rows)[i]);

		/* of an earlier epoch of this server: a prepared transaction may still be open */
		if (!tc_event_is_settled(&horizon->era, (*rows)[i].event_xact, horizon->oldest_running))
			return i;
	}
	return n;
}

/* ---- what was dropped ----------------------------------------------------- */

static TcPlan plan_oldest = {
	.sql = "SELECT h.event_xact, h.ordinal FROM tasker.event_horizon h",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
};

bool
tc_event_oldest(TcEventCursor *cursor)
{
	if (tc_plan_run(&plan_oldest, NULL, NULL) == 0)
		return false;
	cursor->xact = tc_row_int64(0, 1);
	cursor->ordinal = tc_row_int64(0, 2);
	return true;
}

static TcPlan plan_move_oldest = {
	.sql =
	"INSERT INTO tasker.event_horizon AS h (event_xact, ordinal, moved_at) VALUES ($1, $2, $3)"
	" ON CONFLICT (only_row) DO UPDATE SET event_xact = excluded.event_xact, ordinal = excluded.ordinal,"
	"  moved_at = excluded.moved_at"
	" WHERE (excluded.event_xact, excluded.ordinal) > (h.event_xact, h.ordinal)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, TIMESTAMPTZOID},
};

static void
move_oldest(TcEventCursor cursor)
{
	Datum		values[3] = {
		Int64GetDatum(cursor.xact), Int64GetDatum(cursor.ordinal),
		TimestampTzGetDatum(tc_session_now())
	};

	tc_plan_run(&plan_move_oldest, values, NULL);
}

#define ROWS_OF_TASKS(source, table, kind, wanted) \
	"SELECT " source " AS source, " kind " AS kind, x.event_xact, x.event_seq" \
	" FROM unnest($2::bigint[]) AS i(task_id)" \
	" JOIN tasker." table " x ON x.task_id = i.task_id AND x.shard_key = $1 AND x.slot = $3" \
	" WHERE " kind " = ANY (" wanted ")"

/* Every task that ended has a row in task_transitions, after that of its creation. */
static TcPlan plan_newest_of_tasks = {
	.sql =
	"WITH dropped AS MATERIALIZED ("
	ROWS_OF_TASKS("1", "task_transitions", "x.from_state || '>' || x.to_state", "$4") " UNION ALL "
	ROWS_OF_TASKS("2", "task_pauses", "CASE WHEN x.paused THEN 'paused' ELSE 'resumed' END", "$5") " UNION ALL "
	ROWS_OF_TASKS("3", "step_attempts", "x.outcome || '>' || x.to_state", "$6") " UNION ALL "
	ROWS_OF_TASKS("4", "step_moves", "x.verb || '>' || x.to_state", "$7") " UNION ALL "
	ROWS_OF_TASKS("5", "step_checkpoints", "'stored'", "$8") ")"
	"SELECT d.source, d.kind, d.event_xact, d.event_seq FROM dropped d"
	" ORDER BY d.event_xact DESC, d.event_seq DESC LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 8,
	.argtypes = {INT4OID, INT8ARRAYOID, INT2OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID},
};

void
tc_event_note_dropped(int32 shard, int16 slot, const int64 *task_ids, int n)
{
	Datum		values[3 + TC_SOURCE_DOMAIN_EVENTS + 1];
	char		nulls[3 + TC_SOURCE_DOMAIN_EVENTS + 1];
	const TcEventRule *rule;

	memset(nulls, ' ', sizeof(nulls));
	/* the kinds of the first source, which is not among ours, are overwritten */
	bind_kinds(&values[2], &nulls[2], "*");
	values[0] = Int32GetDatum(shard);
	values[1] = tc_array_int64(task_ids, n);
	values[2] = Int16GetDatum(slot);
	if (tc_plan_run(&plan_newest_of_tasks, values, NULL) == 0)
		return;
	rule = tc_event_rule((TcEventSource) tc_row_int32(0, 1), tc_row_text(0, 2));
	move_oldest(tc_event_cursor(tc_row_int64(0, 3), tc_row_int32(0, 4),
								rule->events[1] == TC_EVENT_NONE ? 0 : 1));
}

static TcPlan plan_newest_own = {
	.sql =
	"SELECT x.event_xact, x.event_seq FROM tasker.domain_events x WHERE x.slot = $1"
	" ORDER BY x.event_xact DESC, x.event_seq DESC LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT2OID},
};

void
tc_event_note_dropped_own(int16 slot)
{
	Datum		values[1] = {Int16GetDatum(slot)};

	if (tc_plan_run(&plan_newest_own, values, NULL) > 0)
		move_oldest(tc_event_cursor(tc_row_int64(0, 1), tc_row_int32(0, 2), 0));
}

/* ---- lag ------------------------------------------------------------------ */

#define OLDEST_OF(table, occurred_at) \
	"(SELECT x." occurred_at " AS occurred_at FROM tasker." table " x WHERE x.event_xact >= $1" \
	" ORDER BY x.event_xact, x.event_seq LIMIT 1)"

static TcPlan plan_oldest_waiting = {
	.sql =
	"SELECT min(w.occurred_at) FROM ("
	OLDEST_OF("tasks", "created_at") " UNION ALL "
	OLDEST_OF("task_transitions", "moved_at") " UNION ALL "
	OLDEST_OF("task_pauses", "moved_at") " UNION ALL "
	OLDEST_OF("step_attempts", "finished_at") " UNION ALL "
	OLDEST_OF("step_moves", "moved_at") " UNION ALL "
	OLDEST_OF("step_checkpoints", "stored_at") " UNION ALL "
	OLDEST_OF("domain_events", "published_at")
	") w",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* The start of a transaction is shown to whom pg_stat_activity would show it. */
static TcPlan plan_session = {
	.sql = "SELECT s.xact_start FROM pg_stat_get_activity($1) s",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

static TcPlan plan_prepared = {
	.sql = "SELECT p.gid, p.prepared FROM pg_prepared_xacts p WHERE p.transaction = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {XIDOID},
};

void
tc_event_holder(const TcEventHorizon *horizon, TcEventHolder *holder)
{
	TransactionId xid = (TransactionId) horizon->oldest_running;
	Datum		values[1] = {Int64GetDatum(tc_event_head(horizon).xact)};

	holder->pid = 0;
	holder->prepared_as = NULL;
	holder->since = TC_NO_TIME;
	tc_plan_run(&plan_oldest_waiting, values, NULL);
	holder->oldest_waiting_at = tc_row_timestamptz(0, 1);
	if (RecoveryInProgress())
		return;

	values[0] = TransactionIdGetDatum(xid);
	if (tc_plan_run(&plan_prepared, values, NULL) > 0)
	{
		holder->prepared_as = tc_row_text(0, 1);
		holder->since = tc_row_timestamptz(0, 2);
		return;
	}
	holder->pid = BackendXidGetPid(xid);
	values[0] = Int32GetDatum(holder->pid);
	if (holder->pid != 0 && tc_plan_run(&plan_session, values, NULL) > 0)
		holder->since = tc_row_timestamptz(0, 1);
}
