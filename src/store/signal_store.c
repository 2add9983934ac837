/*
 * signal_store.c
 *	  Signals, and the steps that wait for them.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "events/events.h"
#include "store/plans.h"
#include "store/signal_store.h"

/* ---- signals ------------------------------------------------------------- */

static TcPlan plan_insert = {
	.sql =
	"INSERT INTO tasker.signals (task_id, shard_key, name, payload, sent_at, step_no, taken_at,"
	" recorded_by, recorded_as)"
	" VALUES ($1, $2, $3, $4, $5, nullif($6, 0), CASE WHEN $6 <> 0 THEN $5 END, $7, $8)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 8,
	.argtypes = {INT8OID, INT4OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID},
};

void
tc_signal_insert(int64 task_id, const char *name, const struct varlena *payload, int32 taken_by)
{
	Datum		values[8];
	char		nulls[8];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(task_id);
	values[1] = Int32GetDatum(tc_shard_key(task_id));
	values[2] = CStringGetTextDatum(name);
	values[3] = PointerGetDatum(payload);
	values[4] = TimestampTzGetDatum(tc_session_now());
	values[5] = Int32GetDatum(taken_by);
	values[6] = CStringGetTextDatum(tc_session_role());
	values[7] = tc_text_or_null(tc_session_acting_role(), &nulls[7]);
	tc_plan_run(&plan_insert, values, nulls);
}

static TcPlan plan_oldest = {
	.sql =
	"SELECT s.signal_id FROM tasker.signals s"
	" WHERE s.task_id = $1 AND s.shard_key = $2 AND s.name = $3 AND s.step_no IS NULL"
	" ORDER BY s.signal_id LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, TEXTOID},
};

static TcPlan plan_take = {
	.sql =
	"UPDATE tasker.signals s SET step_no = $4, taken_at = $5"
	" WHERE s.task_id = $1 AND s.shard_key = $2 AND s.signal_id = $3 AND s.step_no IS NULL"
	" RETURNING s.payload",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE_RETURNING,
	.nargs = 5,
	.argtypes = {INT8OID, INT4OID, INT8OID, INT4OID, TIMESTAMPTZOID},
};

struct varlena *
tc_signal_take(TcStepKey key, const char *name)
{
	Datum		oldest[3] = {
		Int64GetDatum(key.task_id), Int32GetDatum(tc_shard_key(key.task_id)),
		CStringGetTextDatum(name)
	};

	while (tc_plan_run(&plan_oldest, oldest, NULL) > 0)
	{
		Datum		taken[5] = {
			oldest[0], oldest[1], Int64GetDatum(tc_row_int64(0, 1)), Int32GetDatum(key.step_no),
			TimestampTzGetDatum(tc_session_now())
		};

		if (tc_plan_run(&plan_take, taken, NULL) == 1)
			return tc_row_varlena(0, 1);
	}
	return NULL;
}

static TcPlan plan_is_kept = {
	.sql =
	"SELECT 1 FROM tasker.signals s"
	" WHERE s.task_id = $1 AND s.shard_key = $2 AND s.step_no IS NULL LIMIT 1",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

bool
tc_signal_is_kept(int64 task_id)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};

	return tc_plan_run(&plan_is_kept, values, NULL) > 0;
}

/* ---- waits --------------------------------------------------------------- */

static TcPlan plan_waits = {
	.sql =
	"SELECT q.step_no FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.shard_key = $2 AND q.phase = 's' ORDER BY q.step_no",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

int
tc_waits_read(int64 task_id, TcStepKey **keys)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};
	int			n = (int) tc_plan_run(&plan_waits, values, NULL);

	*keys = palloc(sizeof(TcStepKey) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*keys)[i].task_id = task_id;
		(*keys)[i].step_no = tc_row_int32(i, 1);
	}
	return n;
}

static TcPlan plan_find_due = {
	.sql =
	"SELECT d.task_id, d.step_no"
	" FROM unnest($2::int[]) AS l(lane_id)"
	" CROSS JOIN LATERAL ("
	"  SELECT q.task_id, q.step_no FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = 's'"
	"   AND " TC_IN_CLAIM_INDEX " AND q.visible_at <= $3 AND ($5 = 0 OR q.task_id = $5)"
	"  ORDER BY q.visible_at, q.task_id, q.step_no LIMIT $4) d"
	" LIMIT $4",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 5,
	.argtypes = {INT4OID, INT4ARRAYOID, TIMESTAMPTZOID, INT8OID, INT8OID},
};

int
tc_waits_find_due(const TcClaimScope *scope, int max_steps, TcStepKey **keys)
{
	int32	   *lane_ids = palloc(sizeof(int32) * Max(scope->nlanes, 1));
	int			nlanes = 0;
	Datum		values[5];
	int			n;

	*keys = NULL;
	for (int i = 0; i < scope->nlanes; i++)
	{
		if (scope->lanes[i]->waits)
			lane_ids[nlanes++] = scope->lanes[i]->lane_id;
	}
	if (nlanes == 0)
		return 0;
	values[0] = Int32GetDatum(scope->shard_key);
	values[1] = tc_array_int32(lane_ids, nlanes);
	values[2] = TimestampTzGetDatum(tc_session_now());
	values[3] = Int64GetDatum(max_steps);
	values[4] = Int64GetDatum(scope->task_id);
	n = (int) tc_plan_run(&plan_find_due, values, NULL);
	*keys = palloc(sizeof(TcStepKey) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*keys)[i].task_id = tc_row_int64(i, 1);
		(*keys)[i].step_no = tc_row_int32(i, 2);
	}
	return n;
}

static TcPlan plan_set_time = {
	.sql =
	"UPDATE tasker.step_queue q SET visible_at = $4"
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3 AND q.phase = 's'",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT8OID, INT4OID, INT4OID, TIMESTAMPTZOID},
};

void
tc_waits_set_time(const TcStepKey *keys, int n, TimestampTz visible_at)
{
	for (int i = 0; i < n; i++)
	{
		Datum		values[4] = {
			Int64GetDatum(keys[i].task_id), Int32GetDatum(keys[i].step_no),
			Int32GetDatum(tc_shard_key(keys[i].task_id)), TimestampTzGetDatum(visible_at)
		};

		tc_plan_run(&plan_set_time, values, NULL);
	}
	tc_event_timer(visible_at);
}
