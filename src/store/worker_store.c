/*
 * worker_store.c
 *	  Who is alive.
 */
#include "postgres.h"

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

/*
 * The row is written by whoever gets it: locked by another thread of the same
 * worker means that it is being written just now.  The advisory lock keeps two
 * first inserts of one worker from waiting for each other.
 */
static TcPlan plan_touch = {
	.sql =
	"WITH known AS MATERIALIZED ("
	" SELECT w.worker_id, w.last_seen_at FROM tasker.workers w WHERE w.worker_id = $1),"
	"free AS MATERIALIZED ("
	" SELECT w.worker_id FROM tasker.workers w"
	" WHERE w.worker_id = $1 AND w.last_seen_at <= $2::timestamptz - interval '10 seconds'"
	" FOR NO KEY UPDATE SKIP LOCKED),"
	"seen AS ("
	" UPDATE tasker.workers w SET last_seen_at = $2, role = $3 FROM free f WHERE w.worker_id = f.worker_id)"
	"INSERT INTO tasker.workers (worker_id, first_seen_at, last_seen_at, role)"
	" SELECT $1, $2, $2, $3 WHERE NOT EXISTS (SELECT FROM known)"
	" AND pg_try_advisory_xact_lock(hashtextextended('tasker_core worker ' || $1, 0))"
	" ON CONFLICT DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 3,
	.argtypes = {TEXTOID, TIMESTAMPTZOID, TEXTOID},
};

void
tc_worker_touch(const char *worker_id)
{
	TimestampTz now = tc_session_now();
	Datum		values[3];

	if (touched_worker != NULL && strcmp(touched_worker, worker_id) == 0 &&
		now >= touched_at && now < touched_at + TOUCH_INTERVAL)
		return;

	values[0] = CStringGetTextDatum(worker_id);
	values[1] = TimestampTzGetDatum(now);
	values[2] = CStringGetTextDatum(tc_session_role());
	tc_plan_run(&plan_touch, values, NULL);

	if (touched_worker != NULL)
		pfree(touched_worker);
	touched_worker = NULL;
	touched_worker = MemoryContextStrdup(TopMemoryContext, worker_id);
	touched_at = now;
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
