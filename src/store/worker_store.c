/*
 * worker_store.c
 *	  Who is alive, and what they claim.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "compat.h"
#include "store/direct.h"
#include "store/session.h"
#include "store/worker_store.h"

#define TOUCH_INTERVAL (10 * USECS_PER_SEC)

/*
 * The worker this backend last wrote for, and when.  A rollback may have taken
 * the write back; the next one comes within the interval, which is what the
 * column promises.
 */
static char *touched_worker = NULL;
static TimestampTz touched_at = 0;
static bool touched_scope = false;

#define WORKER_COLUMNS(X) \
	X(worker_id) X(last_seen_at) X(role) X(last_claim_at) X(namespaces) X(task_names) X(queues) X(shard_keys)

enum
{
#define X(name) WORKER_##name,
	WORKER_COLUMNS(X)
#undef X
};

static TcTable workers_table = {
	.name = "workers",
#define X(name) [WORKER_##name] = #name,
	.columns = {WORKER_COLUMNS(X)},
#undef X
};

/* What is written of a worker: all of it where it claims, else that it was seen. */
typedef struct Touch
{
	const char *worker_id;
	bool		claims;
	Datum		lists[4];		/* namespaces, task_names, queues, shard_keys */
	bool		nulls[4];
} Touch;

/* The advisory lock keeps two first inserts of one worker from waiting for each other. */
static TcPlan plan_add = {
	.sql =
	"INSERT INTO tasker.workers (worker_id, first_seen_at, last_seen_at, role, last_claim_at,"
	" namespaces, task_names, queues, shard_keys)"
	" SELECT $1, $2, $2, $3, CASE WHEN $4 THEN $2 END, $5, $6, $7, $8"
	" WHERE pg_try_advisory_xact_lock(hashtextextended('tasker_core worker ' || $1, 0))"
	" ON CONFLICT DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 8,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID, BOOLOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, INT4ARRAYOID},
};

/* Where the table is not as we made it. */
static TcPlan plan_update = {
	.sql =
	"UPDATE tasker.workers w SET last_seen_at = $2, role = $3,"
	" last_claim_at = CASE WHEN $4 THEN $2 ELSE w.last_claim_at END,"
	" namespaces = CASE WHEN $4 THEN $5 ELSE w.namespaces END,"
	" task_names = CASE WHEN $4 THEN $6 ELSE w.task_names END,"
	" queues = CASE WHEN $4 THEN $7 ELSE w.queues END,"
	" shard_keys = CASE WHEN $4 THEN $8 ELSE w.shard_keys END"
	" WHERE w.worker_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 8,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID, BOOLOID, TEXTARRAYOID, TEXTARRAYOID,
		TEXTARRAYOID, INT4ARRAYOID},
};

static bool
was_touched(const char *worker_id, bool with_scope)
{
	TimestampTz now = tc_session_now();

	return touched_worker != NULL && strcmp(touched_worker, worker_id) == 0 &&
		now >= touched_at && now < touched_at + TOUCH_INTERVAL && (touched_scope || !with_scope);
}

static void
remember_touch(const char *worker_id, bool with_scope)
{
	if (touched_worker != NULL)
		pfree(touched_worker);
	touched_worker = NULL;
	touched_worker = MemoryContextStrdup(TopMemoryContext, worker_id);
	touched_at = tc_session_now();
	touched_scope = with_scope;
}

static void
bind_names(Touch *touch, int i, char *const *names, int n)
{
	touch->nulls[i] = names == NULL;
	touch->lists[i] = names == NULL ? (Datum) 0 : tc_array_text((const char *const *) names, n);
}

static Touch
touch_of(const char *worker_id, const TcWorkerScope *scope)
{
	static const TcWorkerScope everything;
	Touch		touch = {.worker_id = worker_id, .claims = scope != NULL};
	const TcLaneFilter *filter;

	if (scope == NULL)
		scope = &everything;
	filter = &scope->filter;
	bind_names(&touch, 0, filter->namespaces, filter->nnamespaces);
	bind_names(&touch, 1, filter->task_names, filter->ntask_names);
	bind_names(&touch, 2, filter->queues, filter->nqueues);
	touch.nulls[3] = scope->shard_keys == NULL;
	touch.lists[3] = touch.nulls[3] ? (Datum) 0 : tc_array_int32(scope->shard_keys, scope->nshard_keys);
	return touch;
}

static void
write_by_statement(TcPlan *plan, const Touch *touch)
{
	char		nulls[8];
	Datum		values[8] = {
		CStringGetTextDatum(touch->worker_id), TimestampTzGetDatum(tc_session_now()),
		CStringGetTextDatum(tc_session_role()), BoolGetDatum(touch->claims)
	};

	memset(nulls, ' ', sizeof(nulls));
	for (int i = 0; i < lengthof(touch->lists); i++)
	{
		values[4 + i] = touch->lists[i];
		nulls[4 + i] = touch->nulls[i] ? 'n' : ' ';
	}
	tc_plan_run(plan, values, nulls);
}

static void
fill_touch(const void *argument, int i, Datum *values, bool *nulls)
{
	const Touch *touch = argument;

	values[WORKER_last_seen_at] = TimestampTzGetDatum(tc_session_now());
	values[WORKER_role] = CStringGetTextDatum(tc_session_role());
	if (!touch->claims)
		return;
	values[WORKER_last_claim_at] = TimestampTzGetDatum(tc_session_now());
	nulls[WORKER_last_claim_at] = false;
	for (int l = 0; l < lengthof(touch->lists); l++)
	{
		values[WORKER_namespaces + l] = touch->lists[l];
		nulls[WORKER_namespaces + l] = touch->nulls[l];
	}
}

/* Arrays that were made the same way: the same is written the same. */
static bool
has_lists(TcScan *scan, const Touch *touch)
{
	for (int i = 0; i < lengthof(touch->lists); i++)
	{
		struct varlena *list = tc_scan_varlena(scan, WORKER_namespaces + i);

		if ((list == NULL) != touch->nulls[i] ||
			(list != NULL && !datumIsEqual(PointerGetDatum(list), touch->lists[i], false, -1)))
			return false;
	}
	return true;
}

static bool
is_older(TimestampTz time)
{
	return time == TC_NO_TIME || time <= tc_session_now() - TOUCH_INTERVAL;
}

/* Heartbeats that keep the row fresh must not hide for ever that a worker claims something else now. */
static bool
is_due(TcScan *scan, const Touch *touch)
{
	return is_older(tc_scan_timestamptz(scan, WORKER_last_seen_at)) ||
		(touch->claims && is_older(tc_scan_timestamptz(scan, WORKER_last_claim_at)) && !has_lists(scan, touch));
}

/*
 * The row is written by whoever gets it: locked by another thread of the same
 * worker means that it is being written just now.
 */
static void
write_touch(const Touch *touch)
{
	ScanKeyData key;
	TcScan		scan;
	bool		known;
	bool		locked;
	ItemPointerData place;

	tc_scan_key_text(&key, 1, touch->worker_id);
	tc_scan_begin(&scan, &workers_table, "workers_pkey", TC_WRITE, &key, 1);
	known = tc_scan_next(&scan);
	locked = known && is_due(&scan, touch) && tc_scan_lock(&scan, LockTupleNoKeyExclusive, LockWaitSkip) &&
		is_due(&scan, touch);
	if (locked)
		place = scan.slot->tts_tid;
	tc_scan_end(&scan);
	if (!known)
		write_by_statement(&plan_add, touch);
	else if (locked && !tc_direct_update(&workers_table, &place, fill_touch, touch, 1))
		write_by_statement(&plan_update, touch);
}

void
tc_worker_touch(const char *worker_id, const TcWorkerScope *scope)
{
	Touch		touch;

	if (was_touched(worker_id, scope != NULL))
		return;
	touch = touch_of(worker_id, scope);
	write_touch(&touch);
	remember_touch(worker_id, scope != NULL);
}

/* ---- reading ------------------------------------------------------------- */

static TcPlan plan_read_live = {
	.sql =
	"SELECT w.worker_id, w.last_seen_at, w.last_claim_at, w.namespaces, w.task_names, w.queues,"
	" w.shard_keys"
	" FROM tasker.workers w WHERE w.last_seen_at >= $1 ORDER BY w.last_seen_at DESC, w.worker_id",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TIMESTAMPTZOID},
};

static int
read_list(uint64 row, int column, char ***names)
{
	ArrayType  *array = (ArrayType *) tc_row_varlena(row, column);
	Datum	   *datums;
	int			n;

	*names = NULL;
	if (array == NULL)
		return 0;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &datums, NULL, &n);
	*names = palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*names)[i] = TextDatumGetCString(datums[i]);
	return n;
}

static int
read_numbers(uint64 row, int column, const int32 **numbers)
{
	ArrayType  *array = (ArrayType *) tc_row_varlena(row, column);

	*numbers = array == NULL ? NULL : (const int32 *) ARR_DATA_PTR(array);
	return array == NULL ? 0 : ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
}

int
tc_worker_read_live(TimestampTz since, TcWorkerRow **workers)
{
	Datum		values[1] = {TimestampTzGetDatum(since)};
	int			count = (int) tc_plan_run(&plan_read_live, values, NULL);

	*workers = palloc0(sizeof(TcWorkerRow) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		TcWorkerRow *worker = &(*workers)[i];
		TcLaneFilter *filter = &worker->scope.filter;

		worker->worker_id = tc_row_text(i, 1);
		worker->last_seen_at = tc_row_timestamptz(i, 2);
		worker->claims = !tc_row_isnull(i, 3);
		filter->nnamespaces = read_list(i, 4, &filter->namespaces);
		filter->ntask_names = read_list(i, 5, &filter->task_names);
		filter->nqueues = read_list(i, 6, &filter->queues);
		worker->scope.nshard_keys = read_numbers(i, 7, &worker->scope.shard_keys);
	}
	return count;
}

static TcPlan plan_forget = {
	.sql =
	"DELETE FROM tasker.workers WHERE worker_id IN ("
	" SELECT w.worker_id FROM tasker.workers w WHERE w.last_seen_at < $1::timestamptz - interval '24 hours'"
	" ORDER BY w.last_seen_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 2,
	.argtypes = {TIMESTAMPTZOID, INT4OID},
};

int
tc_workers_forget(int max_workers)
{
	Datum		values[2] = {TimestampTzGetDatum(tc_session_now()), Int32GetDatum(max_workers)};

	return (int) tc_plan_run(&plan_forget, values, NULL);
}
