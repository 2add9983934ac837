/*
 * erase_store.c
 *	  Data taken out of a task.
 *
 * The one place where history is updated.  What was there is gone with the next
 * vacuum; it is in dumps and in the write-ahead log for as long as those are kept.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/erase_store.h"
#include "store/plans.h"
#include "store/session.h"

/* What stands where data was. */
#define ERASED "'{\"erased\": true}'::jsonb"
#define ERASE(column) column " = CASE WHEN " column " IS NOT NULL THEN " ERASED " END"

static TcPlan plan_task = {
	.sql =
	"UPDATE tasker.tasks SET context = " ERASED ", idempotency_key = NULL, erased_at = $3, erased_by = $4,"
	" erased_as = $5 WHERE task_id = $1 AND shard_key = $2 AND erased_at IS NULL",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 5,
	.argtypes = {INT8OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID},
};

#define HISTORY_PLAN(text) { \
	.sql = text " WHERE task_id = $1 AND shard_key = $2 AND slot = $3", \
	.kind = TC_WRITE, \
	.expect = SPI_OK_UPDATE, \
	.nargs = 3, \
	.argtypes = {INT8OID, INT4OID, INT2OID}, \
}

static TcPlan plans_history[] = {
	HISTORY_PLAN("UPDATE tasker.step_attempts SET " ERASE("results") ", " ERASE("error")),
	HISTORY_PLAN("UPDATE tasker.step_moves SET " ERASE("results")),
	HISTORY_PLAN("UPDATE tasker.task_extra_steps SET inputs = " ERASED),
};

static TcPlan plan_letters = {
	.sql =
	"UPDATE tasker.dead_letters SET snapshot = snapshot - 'error'"
	" WHERE task_id = $1 AND shard_key = $2 AND snapshot ? 'error'",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

static TcPlan plan_signals = {
	.sql = "UPDATE tasker.signals SET payload = " ERASED " WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

/* Of a child that could not be brought to it yet. */
static TcPlan plan_errands = {
	.sql = "UPDATE tasker.errands SET results = " ERASED " WHERE child_task_id = $1 AND results IS NOT NULL",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 1,
	.argtypes = {INT8OID},
};

/* Whenever they were published: in any slot. */
static TcPlan plan_events = {
	.sql = "UPDATE tasker.domain_events SET payload = " ERASED " WHERE task_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

bool
tc_erase_payload(int64 task_id, int16 slot)
{
	Datum		values[5] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)),
		TimestampTzGetDatum(tc_session_now()), CStringGetTextDatum(tc_session_role())
	};
	char		nulls[5] = "     ";

	values[4] = tc_text_or_null(tc_session_acting_role(), &nulls[4]);
	if (tc_plan_run(&plan_task, values, nulls) == 0)
		return false;
	values[2] = Int16GetDatum(slot);
	for (int i = 0; i < lengthof(plans_history); i++)
		tc_plan_run(&plans_history[i], values, NULL);
	tc_plan_run(&plan_letters, values, NULL);
	tc_plan_run(&plan_signals, values, NULL);
	tc_plan_run(&plan_errands, values, NULL);
	tc_plan_run(&plan_events, values, NULL);
	return true;
}
