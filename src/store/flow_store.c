/*
 * flow_store.c
 *	  Flow keys: what limits how many steps run at once, and how often they start.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "domain/order.h"
#include "events/events.h"
#include "store/flow_store.h"
#include "store/plans.h"

/* ---- by name ------------------------------------------------------------- */

static void
bind_names(Datum *values, const TcFlowName *names, int n)
{
	int32	   *tasks = palloc(sizeof(int32) * Max(n, 1));
	const char **steps = palloc(sizeof(char *) * Max(n, 1));
	const char **texts = palloc(sizeof(char *) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		tasks[i] = names[i].named_task_id;
		steps[i] = names[i].step_name;
		texts[i] = names[i].text;
	}
	values[0] = tc_array_int32(tasks, n);
	values[1] = tc_array_text(steps, n);
	values[2] = tc_array_text(texts, n);
}

static TcPlan plan_find = {
	.sql =
	"SELECT i.ord::int, k.flow_key_id"
	" FROM unnest($1::int[], $2::text[], $3::text[]) WITH ORDINALITY AS i(named_task_id, step_name, key, ord)"
	" JOIN tasker.named_tasks t ON t.named_task_id = i.named_task_id"
	" JOIN tasker.flow_keys k ON k.namespace_id = t.namespace_id AND k.task_name = t.name"
	"  AND k.step_name = i.step_name AND k.key = i.key",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID},
};

void
tc_flow_find(const TcFlowName *names, int n, int64 *ids)
{
	Datum		values[3];
	uint64		count;

	memset(ids, 0, sizeof(int64) * n);
	bind_names(values, names, n);
	count = tc_plan_run(&plan_find, values, NULL);
	for (uint64 i = 0; i < count; i++)
		ids[tc_row_int32(i, 1) - 1] = tc_row_int64(i, 2);
}

/* Its limits come with the first step that is claimed. */
static TcPlan plan_add = {
	.sql =
	"INSERT INTO tasker.flow_keys (namespace_id, task_name, step_name, key, named_task_id, used, waiting, last_used_at)"
	" SELECT DISTINCT t.namespace_id, t.name, i.step_name, i.key, 0, 0, false, $4"
	" FROM unnest($1::int[], $2::text[], $3::text[]) AS i(named_task_id, step_name, key)"
	" JOIN tasker.named_tasks t ON t.named_task_id = i.named_task_id"
	" ORDER BY 1, 2, 3, 4"
	" ON CONFLICT (namespace_id, task_name, step_name, key) DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 4,
	.argtypes = {INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
};

void
tc_flow_add(const TcFlowName *names, int n)
{
	Datum		values[4];

	bind_names(values, names, n);
	values[3] = TimestampTzGetDatum(tc_session_now());
	tc_plan_run(&plan_add, values, NULL);
}

/* ---- reading and writing ------------------------------------------------- */

#define KEY_SQL \
	"SELECT k.flow_key_id, k.named_task_id, coalesce(k.concurrency_limit, 0), coalesce(k.rate_limit, 0)," \
	" coalesce(k.rate_period_seconds, 0), coalesce(k.rate_bucket, 0), k.rate_starts::text, k.used, k.waiting," \
	" k.next_at, k.key" \
	" FROM unnest($1::bigint[]) AS i(flow_key_id)" \
	" JOIN tasker.flow_keys k ON k.flow_key_id = i.flow_key_id" \
	" ORDER BY k.flow_key_id"

static TcPlan plan_read = {
	.sql = KEY_SQL,
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

static TcPlan plan_lock_free = {
	.sql = KEY_SQL " FOR UPDATE OF k SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT8ARRAYOID},
};

/* The text form of an array of integers: {1,0,2}. */
static void
read_starts(const char *text, TcRate *rate)
{
	const char *at = text;

	for (int i = 0; text != NULL && i <= TC_RATE_BUCKETS && *at != '\0' && *at != '}'; i++)
	{
		char	   *end;

		rate->counts[i] = (int32) strtol(at + 1, &end, 10);
		at = end;
	}
}

static char *
write_starts(const TcRate *rate)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i <= TC_RATE_BUCKETS; i++)
		appendStringInfo(&text, "%c%d", i == 0 ? '{' : ',', rate->counts[i]);
	appendStringInfoChar(&text, '}');
	return text.data;
}

static void
read_key(uint64 row, TcFlowKey *key)
{
	memset(key, 0, sizeof(*key));
	key->flow_key_id = tc_row_int64(row, 1);
	key->named_task_id = tc_row_int32(row, 2);
	key->concurrency = tc_row_int32(row, 3);
	key->rate.limit = tc_row_int32(row, 4);
	key->rate.period = (int64) (tc_row_float8(row, 5) * USECS_PER_SEC);
	key->rate.newest = tc_row_int64(row, 6);
	read_starts(tc_row_text(row, 7), &key->rate);
	key->used = tc_row_int32(row, 8);
	key->waiting = tc_row_bool(row, 9);
	key->next_at = tc_row_timestamptz(row, 10);
	key->text = tc_row_text(row, 11);
}

static int
read_keys(TcPlan *plan, const int64 *ids, int n, TcFlowKey **keys)
{
	Datum		values[1] = {tc_array_int64(ids, n)};
	int			count = (int) tc_plan_run(plan, values, NULL);

	*keys = palloc(sizeof(TcFlowKey) * Max(count, 1));
	for (int i = 0; i < count; i++)
		read_key(i, &(*keys)[i]);
	return count;
}

int
tc_flow_read(const int64 *ids, int n, TcFlowKey **keys)
{
	return read_keys(&plan_read, ids, n, keys);
}

int
tc_flow_lock_free(const int64 *ids, int n, TcFlowKey **keys)
{
	return read_keys(&plan_lock_free, ids, n, keys);
}

int32
tc_flow_room(const TcFlowKey *key)
{
	int32		slots = key->concurrency == 0 ? PG_INT32_MAX : Max(key->concurrency - key->used, 0);

	return Min(slots, tc_rate_available(&key->rate, tc_session_now()));
}

void
tc_flow_adopt(TcFlowKey *key, const TcFlowLimits *limits, int32 named_task_id)
{
	if (named_task_id <= key->named_task_id)
		return;
	key->named_task_id = named_task_id;
	key->concurrency = limits->concurrency;
	key->next_at = TC_NO_TIME;
	tc_rate_change(&key->rate, limits->rate, (int64) (limits->period_seconds * USECS_PER_SEC), tc_session_now());
}

/* When parked rows are to be let out, if not before. */
static TimestampTz
next_time(const TcFlowKey *key)
{
	TimestampTz next;

	if (!key->waiting || (key->concurrency > 0 && key->used >= key->concurrency))
		return TC_NO_TIME;
	next = key->rate.limit == 0 ? tc_session_now() : tc_rate_next(&key->rate, tc_session_now());
	if (next <= tc_session_now() && key->next_at != TC_NO_TIME)
		return key->next_at;
	return next;
}

static TcPlan plan_write = {
	.sql =
	"UPDATE tasker.flow_keys k SET named_task_id = i.version, concurrency_limit = nullif(i.concurrency, 0),"
	" rate_limit = nullif(i.rate, 0), rate_period_seconds = nullif(i.period, 0), used = i.used, waiting = i.waiting,"
	" next_at = nullif(i.next_at, '-infinity'), rate_bucket = nullif(i.bucket, 0), rate_starts = i.starts::int[], last_used_at = $11"
	" FROM unnest($1::bigint[], $2::int[], $3::int[], $4::int[], $5::float8[], $6::int[], $7::boolean[],"
	"  $8::timestamptz[], $9::bigint[], $10::text[])"
	"  AS i(flow_key_id, version, concurrency, rate, period, used, waiting, next_at, bucket, starts)"
	" WHERE k.flow_key_id = i.flow_key_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 11,
	.argtypes = {INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, FLOAT8ARRAYOID, INT4ARRAYOID, BOOLARRAYOID,
		TIMESTAMPTZARRAYOID, INT8ARRAYOID, TEXTARRAYOID, TIMESTAMPTZOID},
};

/* Keys as columns. */
typedef struct KeyColumns
{
	int64	   *ids;
	int32	   *versions;
	int32	   *concurrency;
	int32	   *rates;
	double	   *periods;
	int32	   *used;
	bool	   *waiting;
	TimestampTz *next_at;
	int64	   *buckets;
	const char **starts;
} KeyColumns;

static KeyColumns
key_columns(TcFlowKey *keys, int n)
{
	KeyColumns	columns = {
		palloc(sizeof(int64) * n), palloc(sizeof(int32) * n), palloc(sizeof(int32) * n), palloc(sizeof(int32) * n),
		palloc(sizeof(double) * n), palloc(sizeof(int32) * n), palloc(sizeof(bool) * n),
		palloc(sizeof(TimestampTz) * n), palloc(sizeof(int64) * n), palloc(sizeof(char *) * n)
	};

	for (int i = 0; i < n; i++)
	{
		TcFlowKey  *key = &keys[i];

		key->next_at = next_time(key);
		if (key->next_at > tc_session_now())
			tc_event_timer(key->next_at);
		columns.ids[i] = key->flow_key_id;
		columns.versions[i] = key->named_task_id;
		columns.concurrency[i] = key->concurrency;
		columns.rates[i] = key->rate.limit;
		columns.periods[i] = key->rate.period / (double) USECS_PER_SEC;
		columns.used[i] = key->used;
		columns.waiting[i] = key->waiting;
		columns.next_at[i] = key->next_at;
		columns.buckets[i] = key->rate.newest;
		columns.starts[i] = key->rate.limit == 0 ? NULL : write_starts(&key->rate);
	}
	return columns;
}

void
tc_flow_write(TcFlowKey *keys, int n)
{
	KeyColumns	columns;
	Datum		values[11];

	if (n == 0)
		return;
	columns = key_columns(keys, n);
	values[0] = tc_array_int64(columns.ids, n);
	values[1] = tc_array_int32(columns.versions, n);
	values[2] = tc_array_int32(columns.concurrency, n);
	values[3] = tc_array_int32(columns.rates, n);
	values[4] = tc_array_float8(columns.periods, n);
	values[5] = tc_array_int32(columns.used, n);
	values[6] = tc_array_bool(columns.waiting, n);
	values[7] = tc_array_timestamptz(columns.next_at, n);
	values[8] = tc_array_int64(columns.buckets, n);
	values[9] = tc_array_text(columns.starts, n);
	values[10] = TimestampTzGetDatum(tc_session_now());
	if (tc_plan_run(&plan_write, values, NULL) != n)
		elog(ERROR, "a locked flow key vanished");
}

/* ---- claims end ---------------------------------------------------------- */

static TcPlan plan_give_back = {
	.sql =
	"WITH locked AS MATERIALIZED ("
	" SELECT k.flow_key_id, i.n FROM unnest($1::bigint[], $2::int[]) AS i(flow_key_id, n)"
	" JOIN tasker.flow_keys k ON k.flow_key_id = i.flow_key_id"
	" ORDER BY k.flow_key_id FOR UPDATE OF k)"
	"UPDATE tasker.flow_keys k SET used = k.used - l.n, last_used_at = $3,"
	" next_at = CASE WHEN k.waiting THEN $3 END"
	" FROM locked l, tasker.task_namespaces s"
	" WHERE k.flow_key_id = l.flow_key_id AND s.namespace_id = k.namespace_id"
	" RETURNING CASE WHEN k.next_at <= $3 THEN s.name END",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE_RETURNING,
	.nargs = 3,
	.argtypes = {INT8ARRAYOID, INT4ARRAYOID, TIMESTAMPTZOID},
};

void
tc_flow_give_back(const int64 *ids, const int32 *counts, int n)
{
	Datum		values[3] = {
		tc_array_int64(ids, n), tc_array_int32(counts, n), TimestampTzGetDatum(tc_session_now())
	};

	if (tc_plan_run(&plan_give_back, values, NULL) != n)
		elog(ERROR, "a claim held a flow key that does not exist");
	for (int i = 0; i < n; i++)
	{
		if (!tc_row_isnull(i, 1))
			tc_event_ready(tc_row_text(i, 1));
	}
}

/* ---- parking ------------------------------------------------------------- */

/* A claim whose lease ran out is parked as the retry that it is. */
static TcPlan plan_park = {
	.sql =
	"UPDATE tasker.step_queue q SET phase = 'p', flow_key_id = i.flow_key_id,"
	" visible_at = CASE WHEN q.phase = 'c' THEN $5 ELSE q.visible_at END,"
	" waits_for_retry = q.waits_for_retry OR q.phase = 'c', attempts = i.attempts, attempt_no = i.attempt_no,"
	" claim_token = NULL, claimed_at = NULL, worker_id = NULL"
	" FROM unnest($2::bigint[], $3::int[], $4::bigint[], $6::int[], $7::int[])"
	"  AS i(task_id, step_no, flow_key_id, attempts, attempt_no)"
	" WHERE q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 7,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT8ARRAYOID, TIMESTAMPTZOID, INT4ARRAYOID, INT4ARRAYOID},
};

/* Of one shard: claims look at one at a time. */
void
tc_flow_park(const TcQueueRow *rows, int n)
{
	int64	   *task_ids = palloc(sizeof(int64) * Max(n, 1));
	int32	   *step_nos = palloc(sizeof(int32) * Max(n, 1));
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	int32	   *attempts = palloc(sizeof(int32) * Max(n, 1));
	int32	   *attempt_nos = palloc(sizeof(int32) * Max(n, 1));
	Datum		values[7];

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		task_ids[i] = rows[i].key.task_id;
		step_nos[i] = rows[i].key.step_no;
		ids[i] = rows[i].flow_key_id;
		attempts[i] = rows[i].attempts;
		attempt_nos[i] = rows[i].attempt_no;
	}
	values[0] = Int32GetDatum(tc_shard_key(task_ids[0]));
	values[1] = tc_array_int64(task_ids, n);
	values[2] = tc_array_int32(step_nos, n);
	values[3] = tc_array_int64(ids, n);
	values[4] = TimestampTzGetDatum(tc_session_now());
	values[5] = tc_array_int32(attempts, n);
	values[6] = tc_array_int32(attempt_nos, n);
	if (tc_plan_run(&plan_park, values, NULL) != n)
		elog(ERROR, "a locked queue row vanished");
}

static TcPlan plan_parked_for = {
	.sql =
	"SELECT q.flow_key_id FROM tasker.step_queue q"
	" WHERE q.task_id = $1 AND q.step_no = $2 AND q.shard_key = $3 AND q.phase = 'p'",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

int64
tc_flow_parked_for(TcStepKey key)
{
	Datum		values[3] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no), Int32GetDatum(tc_shard_key(key.task_id))
	};

	return tc_plan_run(&plan_parked_for, values, NULL) == 0 ? 0 : tc_row_int64(0, 1);
}

static TcPlan plan_let_go = {
	.sql =
	"WITH lost AS MATERIALIZED ("
	" SELECT q.task_id, q.step_no, q.flow_key_id FROM tasker.lanes l"
	" JOIN LATERAL (SELECT q.task_id, q.step_no, q.flow_key_id FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = -l.lane_id AND q.phase = 'c' AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at <= $2 AND q.flow_key_id IS NOT NULL"
	"  ORDER BY q.visible_at LIMIT $3 FOR UPDATE SKIP LOCKED) q ON true"
	" LIMIT $3)"
	"UPDATE tasker.step_queue q SET flow_key_id = NULL FROM lost l"
	" WHERE q.task_id = l.task_id AND q.step_no = l.step_no AND q.shard_key = $1"
	" RETURNING q.task_id, q.step_no, l.flow_key_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE_RETURNING,
	.nargs = 3,
	.argtypes = {INT4OID, TIMESTAMPTZOID, INT8OID},
};

int
tc_flow_let_go(int32 shard_key, int max_rows, TcQueueRow **rows)
{
	Datum		values[3] = {
		Int32GetDatum(shard_key), TimestampTzGetDatum(tc_session_now()), Int64GetDatum(max_rows)
	};
	int			n = (int) tc_plan_run(&plan_let_go, values, NULL);

	*rows = palloc0(sizeof(TcQueueRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		(*rows)[i].key.task_id = tc_row_int64(i, 1);
		(*rows)[i].key.step_no = tc_row_int32(i, 2);
		(*rows)[i].phase = TC_PHASE_CLAIMED;
		(*rows)[i].flow_key_id = tc_row_int64(i, 3);
	}
	return n;
}

static TcPlan plan_find_due = {
	.sql =
	"SELECT k.flow_key_id FROM tasker.flow_keys k WHERE k.next_at <= $1 ORDER BY k.next_at LIMIT $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, INT8OID},
};

int
tc_flow_find_due(int max_keys, int64 **ids)
{
	Datum		values[2] = {TimestampTzGetDatum(tc_session_now()), Int64GetDatum(max_keys)};
	int			n = (int) tc_plan_run(&plan_find_due, values, NULL);

	*ids = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*ids)[i] = tc_row_int64(i, 1);
	qsort(*ids, n, sizeof(int64), tc_int64_compare);
	return n;
}

/*
 * One look at each lane in which rows are parked.  Workers of one lane may be gone, so
 * each gets as many: what comes too late for the key is parked again.
 */
static TcPlan plan_let_out = {
	.sql =
	"WITH RECURSIVE lanes AS ("
	" SELECT (SELECT q.lane_id FROM tasker.step_queue q"
	"  WHERE q.flow_key_id = $1 AND q.phase = 'p' AND q.shard_key = $2 ORDER BY q.lane_id LIMIT 1) AS lane_id"
	" UNION ALL"
	" SELECT (SELECT q.lane_id FROM tasker.step_queue q"
	"  WHERE q.flow_key_id = $1 AND q.phase = 'p' AND q.shard_key = $2 AND q.lane_id > l.lane_id"
	"  ORDER BY q.lane_id LIMIT 1) FROM lanes l WHERE l.lane_id IS NOT NULL),"
	"first AS MATERIALIZED ("
	" SELECT f.task_id, f.step_no FROM lanes l CROSS JOIN LATERAL ("
	"  SELECT q.task_id, q.step_no FROM tasker.step_queue q"
	"  WHERE q.flow_key_id = $1 AND q.phase = 'p' AND q.shard_key = $2 AND q.lane_id = l.lane_id"
	"  ORDER BY q.task_id, q.step_no LIMIT $3 FOR UPDATE SKIP LOCKED) f"
	" WHERE l.lane_id IS NOT NULL)"
	"UPDATE tasker.step_queue q SET phase = 'r', flow_key_id = NULL, visible_at = $4"
	" FROM first f WHERE q.task_id = f.task_id AND q.step_no = f.step_no AND q.shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 4,
	.argtypes = {INT8OID, INT4OID, INT8OID, TIMESTAMPTZOID},
};

static TcPlan plan_remain = {
	.sql =
	"SELECT FROM tasker.step_queue q WHERE q.flow_key_id = $1 AND q.phase = 'p' AND q.shard_key = $2 LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

void
tc_flow_let_out(const TcFlowKey *key, int max_rows, bool *remain)
{
	Datum		values[4] = {
		Int64GetDatum(key->flow_key_id), 0, Int64GetDatum(max_rows), TimestampTzGetDatum(tc_session_now())
	};

	*remain = false;
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		values[1] = Int32GetDatum(shard);
		if (max_rows > 0)
			tc_plan_run(&plan_let_out, values, NULL);
		*remain = *remain || tc_plan_run(&plan_remain, values, NULL) > 0;
	}
}

/* ---- tidying up, and looking --------------------------------------------- */

static TcPlan plan_forget = {
	.sql =
	"DELETE FROM tasker.flow_keys WHERE flow_key_id = ANY (ARRAY("
	" SELECT k.flow_key_id FROM tasker.flow_keys k"
	" WHERE k.used = 0 AND NOT k.waiting AND k.last_used_at < $1"
	"  AND k.last_used_at + coalesce(k.rate_period_seconds, 0) * 2 * interval '1 second' < $2"
	" ORDER BY k.flow_key_id LIMIT $3 FOR UPDATE SKIP LOCKED))",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 3,
	.argtypes = {TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID},
};

int
tc_flow_forget(TimestampTz before, int max_keys)
{
	Datum		values[3] = {
		TimestampTzGetDatum(before), TimestampTzGetDatum(tc_session_now()), Int64GetDatum(max_keys)
	};

	return (int) tc_plan_run(&plan_forget, values, NULL);
}

static TcPlan plan_holders = {
	.sql =
	"SELECT q.task_id, q.step_no FROM tasker.step_queue q"
	" WHERE q.flow_key_id = $1 AND q.phase = 'c' AND q.shard_key = $2"
	" ORDER BY q.lane_id, q.task_id, q.step_no LIMIT $3",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT8OID},
};

int
tc_flow_holders(int64 flow_key_id, int max_steps, TcStepKey **keys)
{
	int			n = 0;

	*keys = palloc(sizeof(TcStepKey) * Max(max_steps, 1));
	for (int32 shard = 0; shard < tc_shard_count() && n < max_steps; shard++)
	{
		Datum		values[3] = {Int64GetDatum(flow_key_id), Int32GetDatum(shard), Int64GetDatum(max_steps - n)};
		int			count = (int) tc_plan_run(&plan_holders, values, NULL);

		for (int i = 0; i < count; i++, n++)
		{
			(*keys)[n].task_id = tc_row_int64(i, 1);
			(*keys)[n].step_no = tc_row_int32(i, 2);
		}
	}
	return n;
}

static TcPlan plan_count_parked = {
	.sql =
	"SELECT count(*)::int FROM (SELECT FROM tasker.step_queue q"
	" WHERE q.flow_key_id = $1 AND q.phase = 'p' AND q.shard_key = $2 LIMIT $3) p",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT8OID},
};

int
tc_flow_count_parked(int64 flow_key_id, int limit)
{
	int			n = 0;

	for (int32 shard = 0; shard < tc_shard_count() && n < limit; shard++)
	{
		Datum		values[3] = {Int64GetDatum(flow_key_id), Int32GetDatum(shard), Int64GetDatum(limit - n)};

		tc_plan_run(&plan_count_parked, values, NULL);
		n += tc_row_int32(0, 1);
	}
	return n;
}

/* All of it is read at once: the counts belong together. */
static TcPlan plan_verify = {
	.sql =
	"SELECT s.name, k.task_name, k.key, k.used, c.claims, k.waiting, c.parked,"
	" c.parked > 0 AND k.next_at IS NULL AND (k.concurrency_limit IS NULL OR k.used < k.concurrency_limit)"
	" FROM tasker.flow_keys k JOIN tasker.task_namespaces s ON s.namespace_id = k.namespace_id"
	" CROSS JOIN LATERAL ("
	"  SELECT count(*) FILTER (WHERE q.phase = 'c') AS claims, count(*) FILTER (WHERE q.phase = 'p') AS parked"
	"  FROM tasker.step_queue q WHERE q.flow_key_id = k.flow_key_id) c"
	" WHERE k.used <> c.claims OR (c.parked > 0 AND NOT k.waiting)"
	"  OR (c.parked > 0 AND k.next_at IS NULL AND (k.concurrency_limit IS NULL OR k.used < k.concurrency_limit))"
	" ORDER BY k.flow_key_id",
	.kind = TC_REPORT,
	.expect = SPI_OK_SELECT,
};

int
tc_flow_verify(TcFlowMismatch **mismatches)
{
	int			n = (int) tc_plan_run(&plan_verify, NULL, NULL);

	*mismatches = palloc(sizeof(TcFlowMismatch) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcFlowMismatch *mismatch = &(*mismatches)[i];

		mismatch->namespace_name = tc_row_text(i, 1);
		mismatch->task_name = tc_row_text(i, 2);
		mismatch->text = tc_row_text(i, 3);
		mismatch->used = tc_row_int32(i, 4);
		mismatch->claims = tc_row_int64(i, 5);
		mismatch->waiting = tc_row_bool(i, 6);
		mismatch->parked = tc_row_int64(i, 7);
		mismatch->forgotten = tc_row_bool(i, 8);
	}
	return n;
}
