/*
 * worker_store.c
 *	  Who is alive, and what they claim.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "store/plans.h"
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

/*
 * The row is written by whoever gets it: locked by another thread of the same
 * worker means that it is being written just now.  The advisory lock keeps two
 * first inserts of one worker from waiting for each other.  Heartbeats that keep
 * the row fresh must not hide for ever that a worker claims something else now.
 */
static TcPlan plan_touch = {
	.sql =
	"WITH known AS MATERIALIZED ("
	" SELECT w.worker_id FROM tasker.workers w WHERE w.worker_id = $1),"
	"free AS MATERIALIZED ("
	" SELECT w.worker_id FROM tasker.workers w"
	" WHERE w.worker_id = $1 AND (w.last_seen_at <= $2::timestamptz - interval '10 seconds'"
	"  OR $4 AND (w.last_claim_at IS NULL OR w.last_claim_at <= $2 - interval '10 seconds'"
	"   AND (w.namespaces, w.task_names, w.queues, w.shard_keys) IS DISTINCT FROM ($5, $6, $7, $8)))"
	" FOR NO KEY UPDATE SKIP LOCKED),"
	"seen AS ("
	" UPDATE tasker.workers w SET last_seen_at = $2, role = $3,"
	"  last_claim_at = CASE WHEN $4 THEN $2 ELSE w.last_claim_at END,"
	"  namespaces = CASE WHEN $4 THEN $5 ELSE w.namespaces END,"
	"  task_names = CASE WHEN $4 THEN $6 ELSE w.task_names END,"
	"  queues = CASE WHEN $4 THEN $7 ELSE w.queues END,"
	"  shard_keys = CASE WHEN $4 THEN $8 ELSE w.shard_keys END"
	" FROM free f WHERE w.worker_id = f.worker_id)"
	"INSERT INTO tasker.workers (worker_id, first_seen_at, last_seen_at, role, last_claim_at,"
	" namespaces, task_names, queues, shard_keys)"
	" SELECT $1, $2, $2, $3, CASE WHEN $4 THEN $2 END, $5, $6, $7, $8"
	" WHERE NOT EXISTS (SELECT FROM known)"
	" AND pg_try_advisory_xact_lock(hashtextextended('tasker_core worker ' || $1, 0))"
	" ON CONFLICT DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
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

static Datum
list_or_null(char *const *names, int n, char *isnull)
{
	*isnull = names == NULL ? 'n' : ' ';
	return names == NULL ? (Datum) 0 : tc_array_text((const char *const *) names, n);
}

static void
bind_scope(Datum *values, char *nulls, const TcWorkerScope *scope)
{
	const TcLaneFilter *filter = &scope->filter;

	values[0] = list_or_null(filter->namespaces, filter->nnamespaces, &nulls[0]);
	values[1] = list_or_null(filter->task_names, filter->ntask_names, &nulls[1]);
	values[2] = list_or_null(filter->queues, filter->nqueues, &nulls[2]);
	nulls[3] = scope->shard_keys == NULL ? 'n' : ' ';
	values[3] = scope->shard_keys == NULL ? (Datum) 0 :
		tc_array_int32(scope->shard_keys, scope->nshard_keys);
}

void
tc_worker_touch(const char *worker_id, const TcWorkerScope *scope)
{
	static const TcWorkerScope everything;
	Datum		values[8];
	char		nulls[8];

	if (was_touched(worker_id, scope != NULL))
		return;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(worker_id);
	values[1] = TimestampTzGetDatum(tc_session_now());
	values[2] = CStringGetTextDatum(tc_session_role());
	values[3] = BoolGetDatum(scope != NULL);
	bind_scope(values + 4, nulls + 4, scope != NULL ? scope : &everything);
	tc_plan_run(&plan_touch, values, nulls);
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
