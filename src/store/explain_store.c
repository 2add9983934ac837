/*
 * explain_store.c
 *	  Who did what to a step or a task, and when: the facts behind an explanation.
 */
#include "postgres.h"

#include "compat.h"
#include "store/explain_store.h"
#include "store/plans.h"
#include "store/slot_store.h"

/* An error's message where it has one, else all of it; an operator gets the first 200 characters. */
static TcPlan plan_attempt = {
	.sql =
	"SELECT a.attempt, a.outcome = 'lease_expired',"
	" left(coalesce(a.error ->> 'message', a.error #>> '{}'), 200), a.worker_id, a.finished_at"
	" FROM tasker.step_attempts a WHERE a.task_id = $1 AND a.shard_key = $2 AND a.step_no = $3"
	"  AND a.slot = " TC_SLOT_OF("$1", "$2")
	" ORDER BY a.attempt_no DESC LIMIT 1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

static TcPlan plan_move = {
	.sql =
	"SELECT m.verb, coalesce(m.recorded_as, m.recorded_by), m.reason, m.moved_at"
	" FROM tasker.step_moves m WHERE m.task_id = $1 AND m.shard_key = $2 AND m.step_no = $3"
	"  AND m.slot = " TC_SLOT_OF("$1", "$2")
	" ORDER BY m.move_id DESC LIMIT 1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

static TcPlan plan_pause = {
	.sql =
	"SELECT CASE WHEN p.paused THEN 'pause' ELSE 'resume' END,"
	" coalesce(p.recorded_as, p.recorded_by), p.reason, p.moved_at"
	" FROM tasker.task_pauses p WHERE p.task_id = $1 AND p.shard_key = $2"
	"  AND p.slot = " TC_SLOT_OF("$1", "$2")
	" ORDER BY p.pause_id DESC LIMIT 1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

static TcPlan plan_task_move = {
	.sql =
	"SELECT t.to_state, coalesce(t.recorded_as, t.recorded_by), t.reason, t.moved_at"
	" FROM tasker.task_transitions t WHERE t.task_id = $1 AND t.shard_key = $2"
	"  AND t.slot = " TC_SLOT_OF("$1", "$2")
	" ORDER BY t.transition_id DESC LIMIT 1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

static TcPlan plan_holder = {
	.sql =
	"SELECT q.worker_id FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 AND q.step_no = $3 AND q.phase = 'c'",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

static bool
find(TcPlan *plan, int64 task_id, int32 step_no)
{
	Datum		values[3] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(step_no)
	};

	return tc_plan_run(plan, values, NULL) == 1;
}

static bool
find_deed(TcPlan *plan, int64 task_id, int32 step_no, TcDeed *deed)
{
	if (!find(plan, task_id, step_no))
		return false;
	deed->what = tc_row_text(0, 1);
	deed->role = tc_row_text(0, 2);
	deed->reason = tc_row_text(0, 3);
	deed->done_at = tc_row_timestamptz(0, 4);
	return true;
}

bool
tc_explain_attempt(TcStepKey key, TcAttemptFacts *facts)
{
	if (!find(&plan_attempt, key.task_id, key.step_no))
		return false;
	facts->attempt = tc_row_int32(0, 1);
	facts->lease_expired = tc_row_bool(0, 2);
	facts->error = tc_row_text(0, 3);
	facts->worker_id = tc_row_text(0, 4);
	facts->finished_at = tc_row_timestamptz(0, 5);
	return true;
}

bool
tc_explain_move(TcStepKey key, TcDeed *deed)
{
	return find_deed(&plan_move, key.task_id, key.step_no, deed);
}

bool
tc_explain_pause(int64 task_id, TcDeed *deed)
{
	return find_deed(&plan_pause, task_id, 0, deed);
}

bool
tc_explain_task_move(int64 task_id, TcDeed *deed)
{
	return find_deed(&plan_task_move, task_id, 0, deed);
}

const char *
tc_explain_holder(TcStepKey key)
{
	return find(&plan_holder, key.task_id, key.step_no) ? tc_row_text(0, 1) : NULL;
}
