/*
 * dead_letter_store.c
 *	  Failures that wait for a person.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/dead_letter_store.h"
#include "store/instance_store.h"
#include "store/plans.h"
#include "store/shards.h"

static const char *const state_names[] = {
#define X(id, name) [TC_DEAD_LETTER_##id] = name,
	TC_DEAD_LETTER_STATES(X)
#undef X
};

const char *
tc_dead_letter_state_name(TcDeadLetterState state)
{
	return state_names[state];
}

bool
tc_dead_letter_state_parse(const char *name, TcDeadLetterState *state)
{
	for (int i = 0; i < TC_DEAD_LETTER_STATE_COUNT; i++)
	{
		if (strcmp(name, state_names[i]) == 0)
		{
			*state = (TcDeadLetterState) i;
			return true;
		}
	}
	return false;
}

/* ---- recording ----------------------------------------------------------- */

/*
 * The failure shown is the newest that still stands: no reset, resolution or
 * later attempt has followed it.  An error too long for a summary stays in the
 * history alone.
 */
static TcPlan plan_record = {
	.sql =
	"INSERT INTO tasker.dead_letters (task_id, shard_key, workflow_step_id, reason, state, snapshot,"
	" notes, created_at)"
	" SELECT t.task_id, $1, t.task_id * 1000000 + f.step_no,"
	" coalesce($3, CASE WHEN f.outcome = 'lease_expired' THEN 'lease_expired'"
	"  WHEN f.attempt < f.max_attempts THEN 'permanent_error' ELSE 'max_attempts_exhausted' END),"
	" 'pending', jsonb_build_object('namespace', ns.name, 'task_name', n.name, 'task_version', n.version,"
	"  'failed_steps', t.failed_steps)"
	" || CASE WHEN f.step_no IS NULL THEN '{}' ELSE jsonb_build_object('step_name', f.name,"
	"  'attempts', f.attempt, 'max_attempts', f.max_attempts, 'worker_id', f.worker_id,"
	"  'error', CASE WHEN octet_length(f.error::text) <= 4096 THEN f.error END) END"
	" || coalesce($4, '{}'), $5, $6"
	" FROM unnest($2::bigint[]) AS i(task_id)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" JOIN tasker.named_tasks n ON n.named_task_id = t.named_task_id"
	" JOIN tasker.task_namespaces ns ON ns.namespace_id = n.namespace_id"
	" LEFT JOIN LATERAL ("
	"  SELECT e.*, " TC_NAME_OF_STEP("n", "s", "e.step_no") " AS name, s.max_attempts FROM ("
	"   SELECT a.step_no, a.outcome, a.attempt, a.worker_id, a.error, a.finished_at"
	"   FROM tasker.step_attempts a"
	"   WHERE a.task_id = t.task_id AND a.shard_key = $1 AND a.slot = t.slot AND a.to_state = 'error'"
	"    AND NOT EXISTS (SELECT FROM tasker.step_moves m WHERE m.task_id = a.task_id"
	"     AND m.step_no = a.step_no AND m.shard_key = $1 AND m.slot = t.slot AND m.after_attempt_no >= a.attempt_no)"
	"   UNION ALL"
	"   SELECT m.step_no, m.verb, 0, m.worker_id, jsonb_build_object('message', m.reason), m.moved_at"
	"   FROM tasker.step_moves m"
	"   WHERE m.task_id = t.task_id AND m.shard_key = $1 AND m.slot = t.slot AND m.to_state = 'error'"
	"    AND NOT EXISTS (SELECT FROM tasker.step_moves l WHERE l.task_id = m.task_id"
	"     AND l.step_no = m.step_no AND l.shard_key = $1 AND l.slot = t.slot AND l.move_id > m.move_id)) e"
	"  JOIN tasker.named_steps s ON s.named_task_id = t.named_task_id"
	"   AND s.step_no = " TC_NAMED_STEP_NO("n", "e.step_no")
	"  WHERE CASE WHEN e.step_no > n.step_count THEN s.instance_failure ELSE s.on_failure END = 'fail'"
	"  ORDER BY e.finished_at DESC, e.step_no LIMIT 1) f ON true"
	" ORDER BY t.task_id"
	" ON CONFLICT (task_id, shard_key) WHERE state = 'pending' DO UPDATE SET"
	"  workflow_step_id = coalesce(excluded.workflow_step_id, dead_letters.workflow_step_id),"
	"  reason = CASE WHEN excluded.reason = 'manual' THEN dead_letters.reason ELSE excluded.reason END,"
	"  snapshot = dead_letters.snapshot || excluded.snapshot,"
	"  notes = coalesce(excluded.notes, dead_letters.notes)"
	" RETURNING dead_letter_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 6,
	.argtypes = {INT4OID, INT8ARRAYOID, TEXTOID, JSONBOID, TEXTOID, TIMESTAMPTZOID},
};

static void
record_in_shard(const int64 *task_ids, int n, const char *reason, const char *notes,
				const struct varlena *details)
{
	Datum		values[6];
	char		nulls[6];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(tc_shard_key(task_ids[0]));
	values[1] = tc_array_int64(task_ids, n);
	values[2] = tc_text_or_null(reason, &nulls[2]);
	values[3] = PointerGetDatum(details);
	nulls[3] = details == NULL ? 'n' : ' ';
	values[4] = tc_text_or_null(notes, &nulls[4]);
	values[5] = TimestampTzGetDatum(tc_session_now());
	if (tc_plan_run(&plan_record, values, nulls) != n)
		elog(ERROR, "a locked task row vanished");
}

void
tc_dead_letters_record_failed(const int64 *task_ids, int n)
{
	int			end;

	for (int start = 0; start < n; start = end)
	{
		end = tc_shard_run_end(task_ids, start, n);
		record_in_shard(task_ids + start, end - start, NULL, NULL, NULL);
	}
}

int64
tc_dead_letter_record(int64 task_id, const char *reason, const char *notes,
					  const struct varlena *details)
{
	record_in_shard(&task_id, 1, reason, notes, details);
	return tc_row_int64(0, 1);
}

/* ---- closing ------------------------------------------------------------- */

static TcPlan plan_settle = {
	.sql =
	"UPDATE tasker.dead_letters SET state = $3, resolved_at = $4, resolved_by = $5, resolved_as = $6,"
	" notes = coalesce($7, notes)"
	" WHERE task_id = $1 AND shard_key = $2 AND state = 'pending'",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 7,
	.argtypes = {INT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID},
};

void
tc_dead_letter_settle(int64 task_id, TcDeadLetterState state, const char *notes)
{
	Datum		values[7];
	char		nulls[7];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(task_id);
	values[1] = Int32GetDatum(tc_shard_key(task_id));
	values[2] = CStringGetTextDatum(state_names[state]);
	values[3] = TimestampTzGetDatum(tc_session_now());
	values[4] = CStringGetTextDatum(tc_session_role());
	values[5] = tc_text_or_null(tc_session_acting_role(), &nulls[5]);
	values[6] = tc_text_or_null(notes, &nulls[6]);
	tc_plan_run(&plan_settle, values, nulls);
}

/*
 * Whoever ends or resumes a task by hand settles its entry at once; a task that
 * was stale, or was put here by hand, and then completed leaves its entry to us.
 */
static TcPlan plan_close_moot = {
	.sql =
	"WITH moot AS MATERIALIZED ("
	" SELECT d.dead_letter_id, d.shard_key FROM tasker.dead_letters d"
	" JOIN tasker.tasks t ON t.task_id = d.task_id AND t.shard_key = d.shard_key"
	" WHERE d.shard_key = $1 AND d.state = 'pending' AND d.reason IN ('stale', 'manual') AND t.state = 'complete'"
	" ORDER BY d.task_id LIMIT $2 FOR NO KEY UPDATE OF t, d SKIP LOCKED)"
	"UPDATE tasker.dead_letters d SET state = 'cancelled', resolved_at = $3, resolved_by = $4,"
	" resolved_as = $5, notes = coalesce(d.notes || E'\\n', '') || 'the task is complete'"
	" FROM moot m WHERE d.dead_letter_id = m.dead_letter_id AND d.shard_key = m.shard_key",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 5,
	.argtypes = {INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

int
tc_dead_letters_close_moot(int max_items)
{
	int			closed = 0;

	for (int32 shard = 0; shard < tc_shard_count() && closed < max_items; shard++)
	{
		Datum		values[5];
		char		nulls[5];

		memset(nulls, ' ', sizeof(nulls));
		values[0] = Int32GetDatum(shard);
		values[1] = Int32GetDatum(max_items - closed);
		values[2] = TimestampTzGetDatum(tc_session_now());
		values[3] = CStringGetTextDatum(tc_session_role());
		values[4] = tc_text_or_null(tc_session_acting_role(), &nulls[4]);
		closed += (int) tc_plan_run(&plan_close_moot, values, nulls);
	}
	return closed;
}

/* ---- looking up ---------------------------------------------------------- */

static TcPlan plan_find = {
	.sql =
	"SELECT task_id, state FROM tasker.dead_letters WHERE dead_letter_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

/* The id does not tell the shard. */
int64
tc_dead_letter_task(int64 dead_letter_id)
{
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		Datum		values[2] = {Int64GetDatum(dead_letter_id), Int32GetDatum(shard)};

		if (tc_plan_run(&plan_find, values, NULL) == 1)
			return tc_row_int64(0, 1);
	}
	return 0;
}

TcDeadLetterState
tc_dead_letter_state(int64 dead_letter_id, int64 task_id)
{
	Datum		values[2] = {
		Int64GetDatum(dead_letter_id), Int32GetDatum(tc_shard_key(task_id))
	};
	TcDeadLetterState state;

	if (tc_plan_run(&plan_find, values, NULL) != 1 ||
		!tc_dead_letter_state_parse(tc_row_text(0, 2), &state))
		elog(ERROR, "dead letter " INT64_FORMAT " vanished", dead_letter_id);
	return state;
}
