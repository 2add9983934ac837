/*
 * claim_store.c
 *	  Finding and locking what a worker may claim, and all it needs to run it.
 *
 * Each lane has two ranges in the claim index: ready rows whose time has come,
 * and claims whose lease has run out.  Both are read from their oldest end, or
 * from a mark (claim_marks.h), so the cost depends on how much is asked for, not
 * on how much is waiting or was there.
 */
#include "postgres.h"

#include "executor/instrument.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "domain/states.h"
#include "store/claim_marks.h"
#include "store/claim_store.h"
#include "store/plans.h"
#include "store/shards.h"
#include "store/slot_store.h"

/* ---- candidates ---------------------------------------------------------- */

/* The ranges of the scope's lanes: a phase each of phases. */
static TcClaimRanges
ranges_of(const TcClaimScope *scope, const char *phases)
{
	int			nphases = strlen(phases);
	int			n = scope->nlanes * nphases;
	TcClaimRanges ranges = {
		.shard_key = scope->shard_key,
		.lane_ids = palloc(sizeof(int32) * Max(n, 1)),
		.phases = palloc(Max(n, 1)),
		.priorities = palloc(sizeof(int32) * Max(n, 1)),
		.lows = palloc(sizeof(TimestampTz) * Max(n, 1)),
		.n = n,
	};

	for (int i = 0; i < n; i++)
	{
		const TcLane *lane = scope->lanes[i / nphases];

		ranges.lane_ids[i] = lane->lane_id;
		ranges.phases[i] = phases[i % nphases];
		ranges.priorities[i] = lane->priority;
	}
	tc_marks_apply(&ranges);
	return ranges;
}

/* As parameters $1 to $5. */
static void
bind_ranges(Datum *values, const TcClaimRanges *ranges)
{
	values[0] = Int32GetDatum(ranges->shard_key);
	values[1] = tc_array_int32(ranges->lane_ids, ranges->n);
	values[2] = tc_array_char(ranges->phases, ranges->n);
	values[3] = tc_array_int32(ranges->priorities, ranges->n);
	values[4] = tc_array_timestamptz(ranges->lows, ranges->n);
}

#define RANGES "unnest($2::int[], $3::\"char\"[], $4::int[], $5::timestamptz[]) AS l(lane_id, phase, priority, low)"

static TcPlan plan_peek = {
	.sql =
	"SELECT c.task_id, c.step_no, c.lane_id, c.phase"
	" FROM " RANGES
	" CROSS JOIN LATERAL ("
	"  SELECT q.task_id, q.step_no, q.lane_id, q.phase, q.visible_at"
	"  FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = l.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at >= l.low AND q.visible_at <= $6"
	"   AND NOT " TC_EXHAUSTED
	"  ORDER BY q.visible_at, q.task_id, q.step_no LIMIT $7) c"
	" ORDER BY l.priority DESC, c.visible_at, c.task_id, c.step_no LIMIT $7",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 7,
	.argtypes = {INT4OID, INT4ARRAYOID, CHARARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	TIMESTAMPTZOID, INT8OID},
};

/* The live rows of one task are few and contiguous in the primary key. */
static TcPlan plan_peek_task = {
	.sql =
	"SELECT q.task_id, q.step_no, q.lane_id, q.phase"
	" FROM tasker.step_queue q"
	" JOIN " RANGES " ON l.lane_id = q.lane_id AND l.phase = q.phase"
	" WHERE q.task_id = $8 AND q.shard_key = $1 AND q.visible_at <= $6"
	"  AND NOT " TC_EXHAUSTED
	" ORDER BY l.priority DESC, q.visible_at, q.step_no LIMIT $7",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 8,
	.argtypes = {INT4OID, INT4ARRAYOID, CHARARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	TIMESTAMPTZOID, INT8OID, INT8OID},
};

static int
peek(const TcClaimScope *scope, const TcClaimRanges *ranges, int max_steps)
{
	Datum		values[8];

	bind_ranges(values, ranges);
	values[5] = TimestampTzGetDatum(tc_session_now());
	values[6] = Int64GetDatum(max_steps);
	values[7] = Int64GetDatum(scope->task_id);
	return (int) tc_plan_run(scope->task_id == 0 ? &plan_peek : &plan_peek_task, values, NULL);
}

static TcCandidate *
read_candidates(int count)
{
	TcCandidate *candidates = palloc(sizeof(TcCandidate) * Max(count, 1));

	for (int i = 0; i < count; i++)
	{
		candidates[i].key.task_id = tc_row_int64(i, 1);
		candidates[i].key.step_no = tc_row_int32(i, 2);
		candidates[i].lane_id = tc_row_int32(i, 3);
		candidates[i].phase = tc_row_char(i, 4);
	}
	return candidates;
}

/* Reads the ranges from their very beginning, and marks them if that took long. */
static int
peek_from_start(const TcClaimScope *scope, TcClaimRanges *ranges, int max_steps,
				TcCandidate **candidates)
{
	TimestampTz began = GetCurrentTimestamp();
	int64		blocks = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
	int			count;

	tc_marks_forget();
	tc_marks_apply(ranges);
	count = peek(scope, ranges, max_steps);
	*candidates = read_candidates(count);
	blocks = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read - blocks;
	if (scope->task_id == 0 && tc_marks_walked(blocks, ranges->n, max_steps))
		tc_marks_set(ranges, began);
	return count;
}

int
tc_claim_peek(const TcClaimScope *scope, int max_steps, TcCandidate **candidates)
{
	TcClaimRanges ranges = ranges_of(scope, "rc");
	int			count;

	if (!ranges.marked)
		return peek_from_start(scope, &ranges, max_steps, candidates);
	count = peek(scope, &ranges, max_steps);
	if (count < max_steps && tc_marks_may_walk(count == 0))
		return peek_from_start(scope, &ranges, max_steps, candidates);
	*candidates = read_candidates(count);
	return count;
}

static TcPlan plan_find_exhausted = {
	.sql =
	"SELECT e.task_id, e.step_no"
	" FROM " RANGES
	" CROSS JOIN LATERAL ("
	"  SELECT q.task_id, q.step_no FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = l.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at >= l.low AND q.visible_at <= $6"
	"   AND " TC_EXHAUSTED " AND ($8 = 0 OR q.task_id = $8)"
	"  ORDER BY q.visible_at, q.task_id, q.step_no LIMIT $7) e"
	" LIMIT $7",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 8,
	.argtypes = {INT4OID, INT4ARRAYOID, CHARARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID,
	TIMESTAMPTZOID, INT8OID, INT8OID},
};

int
tc_claim_find_exhausted(const TcClaimScope *scope, int max_steps, TcStepKey **keys)
{
	TcClaimRanges ranges = ranges_of(scope, "c");
	Datum		values[8];
	int			count;

	bind_ranges(values, &ranges);
	values[5] = TimestampTzGetDatum(tc_session_now());
	values[6] = Int64GetDatum(max_steps);
	values[7] = Int64GetDatum(scope->task_id);
	count = (int) tc_plan_run(&plan_find_exhausted, values, NULL);

	*keys = palloc(sizeof(TcStepKey) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		(*keys)[i].task_id = tc_row_int64(i, 1);
		(*keys)[i].step_no = tc_row_int32(i, 2);
	}
	return count;
}

/* ---- locks --------------------------------------------------------------- */

#define LOCKED_COLUMNS \
	"q.task_id, q.step_no, q.lane_id, q.phase, q.waits_for_retry, q.visible_at," \
	" q.attempts, q.max_attempts, q.attempt_no, q.claim_token, q.claimed_at, q.worker_id, q.checkpoint," \
	" q.slot, q.flow_key_id"

/*
 * A source is one range of the index: a lane and a phase.  A row that another
 * claimer holds is passed over for the next one of the same source.
 */
static TcPlan plan_lock = {
	.sql =
	"SELECT " LOCKED_COLUMNS
	" FROM unnest($2::int[], $3::\"char\"[], $4::bigint[], $5::timestamptz[]) AS s(lane_id, phase, wanted, low)"
	" CROSS JOIN LATERAL ("
	"  SELECT * FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = s.lane_id AND q.phase = s.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at >= s.low AND q.visible_at <= $6"
	"   AND NOT " TC_EXHAUSTED
	"  ORDER BY q.visible_at, q.task_id, q.step_no LIMIT s.wanted"
	"  FOR UPDATE SKIP LOCKED) q",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 6,
	.argtypes = {INT4OID, INT4ARRAYOID, CHARARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZOID},
};

static TcPlan plan_lock_task = {
	.sql =
	"SELECT " LOCKED_COLUMNS
	" FROM unnest($2::int[]) AS i(step_no)"
	" JOIN tasker.step_queue q ON q.step_no = i.step_no AND q.task_id = $4 AND q.shard_key = $1"
	" WHERE q.phase IN ('r', 'c') AND q.visible_at <= $3 AND q.lane_id > 0 AND NOT " TC_EXHAUSTED
	" ORDER BY q.step_no FOR UPDATE OF q SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {INT4OID, INT4ARRAYOID, TIMESTAMPTZOID, INT8OID},
};

static void
read_locked_row(uint64 row, TcQueueRow *queue_row)
{
	queue_row->key.task_id = tc_row_int64(row, 1);
	queue_row->key.step_no = tc_row_int32(row, 2);
	queue_row->lane_id = tc_row_int32(row, 3);
	queue_row->phase = tc_row_char(row, 4);
	queue_row->waits_for_retry = tc_row_bool(row, 5);
	queue_row->visible_at = tc_row_timestamptz(row, 6);
	queue_row->remaining_parents = queue_row->satisfied_parents = 0;
	queue_row->attempts = tc_row_int32(row, 7);
	queue_row->max_attempts = tc_row_int32(row, 8);
	queue_row->attempt_no = tc_row_int32(row, 9);
	queue_row->claim_token = tc_row_isnull(row, 10) ? 0 : tc_row_int64(row, 10);
	queue_row->claimed_at = tc_row_timestamptz(row, 11);
	queue_row->worker_id = tc_row_text(row, 12);
	queue_row->checkpoint = tc_row_varlena(row, 13);
	queue_row->slot = tc_row_int16(row, 14);
	queue_row->flow_key_id = tc_row_isnull(row, 15) ? 0 : tc_row_int64(row, 15);
}

/*
 * The sources in the order in which they first appear, which are few; wanted
 * tells how many rows to take from each.
 */
static TcClaimRanges
count_sources(const TcClaimScope *scope, const TcCandidate *candidates, int n, int64 *wanted)
{
	TcClaimRanges sources = {
		.shard_key = scope->shard_key,
		.lane_ids = palloc(sizeof(int32) * Max(n, 1)),
		.phases = palloc(Max(n, 1)),
		.lows = palloc(sizeof(TimestampTz) * Max(n, 1)),
	};

	for (int i = 0; i < n; i++)
	{
		int			s = 0;

		while (s < sources.n && (sources.lane_ids[s] != candidates[i].lane_id ||
								 sources.phases[s] != candidates[i].phase))
			s++;
		if (s == sources.n)
		{
			sources.lane_ids[s] = candidates[i].lane_id;
			sources.phases[s] = candidates[i].phase;
			wanted[s] = 0;
			sources.n++;
		}
		wanted[s]++;
	}
	tc_marks_apply(&sources);
	return sources;
}

static uint64
lock_sources(const TcClaimScope *scope, const TcCandidate *candidates, int n)
{
	int64	   *wanted = palloc(sizeof(int64) * Max(n, 1));
	TcClaimRanges sources = count_sources(scope, candidates, n, wanted);
	Datum		values[6];

	values[0] = Int32GetDatum(scope->shard_key);
	values[1] = tc_array_int32(sources.lane_ids, sources.n);
	values[2] = tc_array_char(sources.phases, sources.n);
	values[3] = tc_array_int64(wanted, sources.n);
	values[4] = tc_array_timestamptz(sources.lows, sources.n);
	values[5] = TimestampTzGetDatum(tc_session_now());
	return tc_plan_run(&plan_lock, values, NULL);
}

static uint64
lock_of_task(const TcClaimScope *scope, const TcCandidate *candidates, int n)
{
	int32	   *step_nos = palloc(sizeof(int32) * Max(n, 1));
	Datum		values[4];

	for (int i = 0; i < n; i++)
		step_nos[i] = candidates[i].key.step_no;
	values[0] = Int32GetDatum(scope->shard_key);
	values[1] = tc_array_int32(step_nos, n);
	values[2] = TimestampTzGetDatum(tc_session_now());
	values[3] = Int64GetDatum(scope->task_id);
	return tc_plan_run(&plan_lock_task, values, NULL);
}

int
tc_claim_lock(const TcClaimScope *scope, const TcCandidate *candidates, int n, TcQueueRow **rows)
{
	uint64		count = scope->task_id == 0 ? lock_sources(scope, candidates, n)
		: lock_of_task(scope, candidates, n);

	*rows = palloc(sizeof(TcQueueRow) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		read_locked_row(i, &(*rows)[i]);
	return (int) count;
}

static TcPlan plan_lock_exactly = {
	.sql =
	"SELECT " LOCKED_COLUMNS
	" FROM unnest($2::bigint[], $3::int[], $4::int[], $5::\"char\"[]) AS i(task_id, step_no, lane_id, phase)"
	" JOIN tasker.step_queue q ON q.task_id = i.task_id AND q.step_no = i.step_no AND q.shard_key = $1"
	" WHERE q.lane_id = i.lane_id AND q.phase = i.phase AND q.visible_at <= $6 AND NOT " TC_EXHAUSTED
	" ORDER BY q.task_id, q.step_no FOR UPDATE OF q SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 6,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, CHARARRAYOID, TIMESTAMPTZOID},
};

int
tc_claim_lock_exactly(const TcClaimScope *scope, const TcCandidate *candidates, int n, TcQueueRow **rows)
{
	int64	   *task_ids = palloc(sizeof(int64) * Max(n, 1));
	int32	   *step_nos = palloc(sizeof(int32) * Max(n, 1));
	int32	   *lane_ids = palloc(sizeof(int32) * Max(n, 1));
	char	   *phases = palloc(Max(n, 1));
	Datum		values[6];
	uint64		count;

	for (int i = 0; i < n; i++)
	{
		task_ids[i] = candidates[i].key.task_id;
		step_nos[i] = candidates[i].key.step_no;
		lane_ids[i] = candidates[i].lane_id;
		phases[i] = candidates[i].phase;
	}
	values[0] = Int32GetDatum(scope->shard_key);
	values[1] = tc_array_int64(task_ids, n);
	values[2] = tc_array_int32(step_nos, n);
	values[3] = tc_array_int32(lane_ids, n);
	values[4] = tc_array_char(phases, n);
	values[5] = TimestampTzGetDatum(tc_session_now());
	count = tc_plan_run(&plan_lock_exactly, values, NULL);
	*rows = palloc(sizeof(TcQueueRow) * Max(count, 1));
	for (uint64 i = 0; i < count; i++)
		read_locked_row(i, &(*rows)[i]);
	return (int) count;
}

/* ---- what a worker needs ------------------------------------------------- */

static TcPlan plan_read_tasks = {
	.sql =
	"SELECT t.task_id, t.state, t.context, t.correlation_id, t.priority"
	" FROM unnest($2::bigint[]) AS i(task_id)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" ORDER BY t.task_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT4OID, INT8ARRAYOID},
};

static void
read_claim_task(uint64 row, TcClaimTask *task)
{
	task->task_id = tc_row_int64(row, 1);
	if (!tc_task_state_parse(tc_row_text(row, 2), &task->state))
		elog(ERROR, "unknown state of task " INT64_FORMAT, task->task_id);
	task->context = tc_row_varlena(row, 3);
	task->correlation_id = PointerGetDatum(tc_row_fixed(row, 4, UUID_LEN));
	task->priority = tc_row_int32(row, 5);
}

int
tc_claim_read_tasks(const int64 *task_ids, int n, TcClaimTask **tasks)
{
	int			found = 0;
	int			end;

	*tasks = palloc(sizeof(TcClaimTask) * Max(n, 1));
	for (int start = 0; start < n; start = end)
	{
		Datum		values[2];
		uint64		count;

		end = tc_shard_run_end(task_ids, start, n);
		values[0] = Int32GetDatum(tc_shard_key(task_ids[start]));
		values[1] = tc_array_int64(task_ids + start, end - start);
		count = tc_plan_run(&plan_read_tasks, values, NULL);
		for (uint64 i = 0; i < count; i++)
			read_claim_task(i, &(*tasks)[found++]);
	}
	return found;
}

/*
 * A step is completed or resolved once, so there is one result per parent; null
 * for one that failed and lets its children run.
 */
#define RESULTS_PLAN(slot) { \
	.sql = \
	"SELECT i.claim, jsonb_object_agg(i.name, r.results)" \
	" FROM unnest($2::bigint[], $3::int[], $4::int[], $5::text[]) AS i(task_id, step_no, claim, name)" \
	" LEFT JOIN LATERAL (" \
	"  SELECT a.results FROM tasker.step_attempts_" slot " a" \
	"   WHERE a.task_id = i.task_id AND a.step_no = i.step_no AND a.shard_key = $1 AND a.outcome = 'completed'" \
	"  UNION ALL" \
	"  SELECT m.results FROM tasker.step_moves_" slot " m" \
	"   WHERE m.task_id = i.task_id AND m.step_no = i.step_no AND m.shard_key = $1" \
	"    AND m.to_state IN ('resolved_manually', 'complete')) r ON true" \
	" GROUP BY i.claim", \
	.kind = TC_WRITE, \
	.expect = SPI_OK_SELECT, \
	.nargs = 5, \
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID, TEXTARRAYOID}, \
}

static TcPlan plans_read_results[TC_SLOT_COUNT] = TC_FOR_EACH_SLOT(RESULTS_PLAN);

static TcPlan plan_read_result = {
	.sql =
	"SELECT a.results FROM tasker.step_attempts a"
	" WHERE a.task_id = $1 AND a.step_no = $2 AND a.shard_key = $3 AND a.outcome = 'completed'"
	"  AND a.slot = " TC_SLOT_OF("$1", "$3")
	" UNION ALL"
	" SELECT m.results FROM tasker.step_moves m"
	" WHERE m.task_id = $1 AND m.step_no = $2 AND m.shard_key = $3 AND m.slot = " TC_SLOT_OF("$1", "$3")
	"  AND m.to_state IN ('resolved_manually', 'complete')",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

struct varlena *
tc_claim_read_result(TcStepKey key)
{
	Datum		values[3] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no),
		Int32GetDatum(tc_shard_key(key.task_id))
	};

	return tc_plan_run(&plan_read_result, values, NULL) == 0 ? NULL : tc_row_varlena(0, 1);
}

static void
read_results_of_slot(const TcParentResult *parents, int n, struct varlena **results)
{
	int64	   *task_ids = palloc(sizeof(int64) * n);
	int32	   *step_nos = palloc(sizeof(int32) * n);
	int32	   *claims = palloc(sizeof(int32) * n);
	const char **names = palloc(sizeof(char *) * n);
	Datum		values[5];
	uint64		count;

	for (int i = 0; i < n; i++)
	{
		task_ids[i] = parents[i].parent.task_id;
		step_nos[i] = parents[i].parent.step_no;
		claims[i] = parents[i].claim;
		names[i] = parents[i].parent_name;
	}
	values[0] = Int32GetDatum(tc_shard_key(task_ids[0]));
	values[1] = tc_array_int64(task_ids, n);
	values[2] = tc_array_int32(step_nos, n);
	values[3] = tc_array_int32(claims, n);
	values[4] = tc_array_text(names, n);
	count = tc_plan_run(&plans_read_results[parents[0].slot], values, NULL);
	for (uint64 i = 0; i < count; i++)
		results[tc_row_int32(i, 1)] = tc_row_varlena(i, 2);
}

static struct varlena *
empty_object(void)
{
	Datum		json = DirectFunctionCall1(jsonb_in, CStringGetDatum("{}"));

	return (struct varlena *) DatumGetPointer(json);
}

void
tc_claim_read_results(const TcParentResult *parents, int nparents,
					  struct varlena **results, int nclaims)
{
	MemoryContext old = MemoryContextSwitchTo(tc_session_caller_context());
	struct varlena *none = empty_object();
	int			end;

	MemoryContextSwitchTo(old);
	for (int i = 0; i < nclaims; i++)
		results[i] = none;
	for (int start = 0; start < nparents; start = end)
	{
		int32		shard = tc_shard_key(parents[start].parent.task_id);

		for (end = start + 1; end < nparents; end++)
		{
			if (tc_shard_key(parents[end].parent.task_id) != shard || parents[end].slot != parents[start].slot)
				break;
		}
		read_results_of_slot(parents + start, end - start, results);
	}
}
