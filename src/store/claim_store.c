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
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "compat.h"
#include "domain/states.h"
#include "store/claim_marks.h"
#include "store/claim_store.h"
#include "store/history_table.h"
#include "store/queue_table.h"
#include "store/tasks_table.h"

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

static TcQueueRange
range_at(const TcClaimRanges *ranges, int i)
{
	TcQueueRange range = {
		.shard_key = ranges->shard_key,
		.lane_id = ranges->lane_ids[i],
		.phase = ranges->phases[i],
		.low = ranges->lows[i],
		.high = tc_session_now(),
	};

	return range;
}

/* A claim that, once its lease ran out, cannot be taken again: as TC_EXHAUSTED. */
static bool
is_exhausted(TcScan *scan)
{
	return tc_scan_char(scan, TC_QUEUE_phase) == TC_PHASE_CLAIMED &&
		tc_scan_int32(scan, TC_QUEUE_attempts) + 1 >= tc_scan_int32(scan, TC_QUEUE_max_attempts);
}

/* What has been found by now. */
typedef struct Found
{
	TcCandidate *candidates;
	int			n;
	int			size;
} Found;

static void
add_candidate(Found *found, TcScan *scan, int32 priority)
{
	TcCandidate *candidate;

	if (found->n == found->size)
	{
		found->size *= 2;
		found->candidates = repalloc_huge(found->candidates, sizeof(TcCandidate) * found->size);
	}
	candidate = &found->candidates[found->n++];
	candidate->key.task_id = tc_scan_int64(scan, TC_QUEUE_task_id);
	candidate->key.step_no = tc_scan_int32(scan, TC_QUEUE_step_no);
	candidate->lane_id = tc_scan_int32(scan, TC_QUEUE_lane_id);
	candidate->phase = tc_scan_char(scan, TC_QUEUE_phase);
	candidate->priority = priority;
	candidate->visible_at = tc_scan_timestamptz(scan, TC_QUEUE_visible_at);
}

/* Returns the time of the first row that is there, whether it can be claimed or not. */
static TimestampTz
look_at_range(TcScan *scan, Found *found, int32 priority, int max_steps)
{
	TimestampTz first = TC_NO_TIME;
	int			end = found->n + max_steps;

	while (found->n < end && tc_scan_next(scan))
	{
		CHECK_FOR_INTERRUPTS();
		if (first == TC_NO_TIME)
			first = tc_scan_timestamptz(scan, TC_QUEUE_visible_at);
		if (!is_exhausted(scan))
			add_candidate(found, scan, priority);
	}
	return first;
}

/* Priority, then age. */
static int
compare_candidates(const void *a, const void *b)
{
	const TcCandidate *x = a;
	const TcCandidate *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->visible_at != y->visible_at)
		return x->visible_at < y->visible_at ? -1 : 1;
	return tc_step_key_compare(x, y);
}

/* Ranges come in the order of their priority: once there is enough, none that follows is looked at. */
static int
peek(const TcClaimRanges *ranges, int max_steps, TcCandidate **candidates, TimestampTz *firsts)
{
	Found		found = {.candidates = palloc(sizeof(TcCandidate) * 64), .size = 64};
	TcScan		scan = {0};

	for (int i = 0; i < ranges->n; i++)
	{
		TcQueueRange range = range_at(ranges, i);

		if (found.n >= max_steps && ranges->priorities[i] < ranges->priorities[i - 1])
			break;
		tc_queue_seek_range(&scan, TC_WRITE, &range);
		firsts[i] = look_at_range(&scan, &found, ranges->priorities[i], max_steps);
	}
	tc_scan_end(&scan);
	qsort(found.candidates, found.n, sizeof(TcCandidate), compare_candidates);
	*candidates = found.candidates;
	return Min(found.n, max_steps);
}

static const TcLane *
lane_in_scope(const TcClaimScope *scope, int32 lane_id)
{
	for (int i = 0; i < scope->nlanes; i++)
	{
		if (scope->lanes[i]->lane_id == lane_id)
			return scope->lanes[i];
	}
	return NULL;
}

/* The rows of one task stand together in the primary key. */
static int
peek_task(const TcClaimScope *scope, int max_steps, TcCandidate **candidates)
{
	Found		found = {.candidates = palloc(sizeof(TcCandidate) * 64), .size = 64};
	TcScan		scan = {0};

	tc_queue_seek_steps(&scan, TC_WRITE, scope->task_id, 1, PG_INT32_MAX);
	while (tc_scan_next(&scan))
	{
		const TcLane *lane = lane_in_scope(scope, tc_scan_int32(&scan, TC_QUEUE_lane_id));
		char		phase = tc_scan_char(&scan, TC_QUEUE_phase);

		CHECK_FOR_INTERRUPTS();
		if (lane != NULL && (phase == TC_PHASE_READY || phase == TC_PHASE_CLAIMED) &&
			tc_scan_timestamptz(&scan, TC_QUEUE_visible_at) <= tc_session_now() && !is_exhausted(&scan))
			add_candidate(&found, &scan, lane->priority);
	}
	tc_scan_end(&scan);
	qsort(found.candidates, found.n, sizeof(TcCandidate), compare_candidates);
	*candidates = found.candidates;
	return Min(found.n, max_steps);
}

/* Ranges being read, and what each began with. */
typedef struct Walk
{
	const TcClaimRanges *ranges;
	TimestampTz *firsts;
	TimestampTz began;
	int64		blocks;
} Walk;

static int64
blocks_by_now(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

static Walk
begin_walk(const TcClaimRanges *ranges)
{
	Walk		walk = {
		.ranges = ranges,
		.firsts = palloc(sizeof(TimestampTz) * Max(ranges->n, 1)),
		.began = GetCurrentTimestamp(),
		.blocks = blocks_by_now(),
	};

	for (int i = 0; i < ranges->n; i++)
		walk.firsts[i] = TC_NOT_LOOKED;
	return walk;
}

/* Marks what was read from its beginning, if it took long for so many rows. */
static void
end_walk(const Walk *walk, int nrows)
{
	if (tc_marks_walked(blocks_by_now() - walk->blocks, walk->ranges->n, nrows))
		tc_marks_set(walk->ranges, walk->firsts, walk->began);
}

static int
peek_and_mark(const TcClaimRanges *ranges, int max_steps, TcCandidate **candidates)
{
	Walk		walk = begin_walk(ranges);
	int			count = peek(ranges, max_steps, candidates, walk.firsts);

	end_walk(&walk, max_steps);
	return count;
}

int
tc_claim_peek(const TcClaimScope *scope, int max_steps, TcCandidate **candidates)
{
	TcClaimRanges ranges;
	int			count;

	if (scope->task_id != 0)
		return peek_task(scope, max_steps, candidates);
	ranges = ranges_of(scope, "rc");
	count = peek_and_mark(&ranges, max_steps, candidates);
	if (!ranges.marked || count >= max_steps || !tc_marks_may_walk(count == 0))
		return count;
	tc_marks_ignore(&ranges);
	return peek_and_mark(&ranges, max_steps, candidates);
}

/* Returns the time of the first row that is there, exhausted or not. */
static TimestampTz
look_for_exhausted(TcScan *scan, int64 task_id, TcStepKey *keys, int max_steps, int *n)
{
	TimestampTz first = TC_NO_TIME;

	while (*n < max_steps && tc_scan_next(scan))
	{
		TcStepKey	key = {tc_scan_int64(scan, TC_QUEUE_task_id), tc_scan_int32(scan, TC_QUEUE_step_no)};

		CHECK_FOR_INTERRUPTS();
		if (first == TC_NO_TIME)
			first = tc_scan_timestamptz(scan, TC_QUEUE_visible_at);
		if (is_exhausted(scan) && (task_id == 0 || task_id == key.task_id))
			keys[(*n)++] = key;
	}
	return first;
}

int
tc_claim_find_exhausted(const TcClaimScope *scope, int max_steps, TcStepKey **keys)
{
	TcClaimRanges ranges = ranges_of(scope, "c");
	Walk		walk = begin_walk(&ranges);
	TcScan		scan = {0};
	int			n = 0;

	*keys = palloc(sizeof(TcStepKey) * Max(max_steps, 1));
	for (int i = 0; i < ranges.n && n < max_steps; i++)
	{
		TcQueueRange range = range_at(&ranges, i);

		tc_queue_seek_range(&scan, TC_WRITE, &range);
		walk.firsts[i] = look_for_exhausted(&scan, scope->task_id, *keys, max_steps, &n);
	}
	tc_scan_end(&scan);
	end_walk(&walk, n);
	return n;
}

/* ---- locks --------------------------------------------------------------- */

/*
 * The sources in the order in which they first appear, which are few, each from its
 * oldest candidate on; wanted tells how many rows to take from each.
 */
static TcClaimRanges
count_sources(const TcClaimScope *scope, const TcCandidate *candidates, int n, int *wanted)
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
			sources.lows[s] = candidates[i].visible_at;
			wanted[s] = 0;
			sources.n++;
		}
		sources.lows[s] = Min(sources.lows[s], candidates[i].visible_at);
		wanted[s]++;
	}
	return sources;
}

/* Is the row at hand still to be claimed, as one of this lane and phase? */
static bool
is_claimable(TcScan *scan, int32 lane_id, char phase)
{
	return tc_scan_int32(scan, TC_QUEUE_lane_id) == lane_id && tc_scan_char(scan, TC_QUEUE_phase) == phase &&
		tc_scan_timestamptz(scan, TC_QUEUE_visible_at) <= tc_session_now() && !is_exhausted(scan);
}

/* Locks the row at hand, unless somebody else holds it; that may have changed it. */
static bool
take(TcScan *scan, int32 lane_id, char phase, TcQueueRow *row)
{
	if (!is_claimable(scan, lane_id, phase) || !tc_scan_lock(scan, LockTupleExclusive, LockWaitSkip) ||
		!is_claimable(scan, lane_id, phase))
		return false;
	tc_queue_read(scan, row);
	return true;
}

/*
 * A source is one range of the index: a lane and a phase.  A row that another
 * claimer holds is passed over for the next one of the same source.
 */
static int
lock_sources(const TcClaimScope *scope, const TcCandidate *candidates, int n, TcQueueRow *rows)
{
	int		   *wanted = palloc(sizeof(int) * Max(n, 1));
	TcClaimRanges sources = count_sources(scope, candidates, n, wanted);
	int			nrows = 0;
	TcScan		scan = {0};

	for (int s = 0; s < sources.n; s++)
	{
		TcQueueRange range = range_at(&sources, s);

		tc_queue_seek_range(&scan, TC_WRITE, &range);
		while (wanted[s] > 0 && tc_scan_next(&scan))
		{
			CHECK_FOR_INTERRUPTS();
			if (!take(&scan, range.lane_id, range.phase, &rows[nrows]))
				continue;
			nrows++;
			wanted[s]--;
		}
	}
	tc_scan_end(&scan);
	return nrows;
}

int
tc_claim_lock_exactly(const TcClaimScope *scope, const TcCandidate *candidates, int n, TcQueueRow **rows)
{
	TcCandidate *sorted = palloc(sizeof(TcCandidate) * Max(n, 1));
	int			nrows = 0;
	TcScan		scan = {0};

	*rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	memcpy(sorted, candidates, sizeof(TcCandidate) * n);
	qsort(sorted, n, sizeof(TcCandidate), tc_step_key_compare);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_queue_seek(&scan, TC_WRITE, sorted[i].key);
		if (tc_scan_next(&scan) && take(&scan, sorted[i].lane_id, sorted[i].phase, &(*rows)[nrows]))
			nrows++;
	}
	tc_scan_end(&scan);
	return nrows;
}

int
tc_claim_lock(const TcClaimScope *scope, const TcCandidate *candidates, int n, TcQueueRow **rows)
{
	if (scope->task_id != 0)
		return tc_claim_lock_exactly(scope, candidates, n, rows);
	*rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	return lock_sources(scope, candidates, n, *rows);
}

/* ---- what a worker needs ------------------------------------------------- */

int
tc_claim_read_tasks(const int64 *task_ids, int n, TcClaimTask **tasks)
{
	int			found = 0;
	TcScan		scan = {0};

	*tasks = palloc(sizeof(TcClaimTask) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcClaimTask *task = &(*tasks)[found];

		CHECK_FOR_INTERRUPTS();
		tc_tasks_seek(&scan, TC_WRITE, task_ids[i]);
		if (!tc_scan_next(&scan))
			continue;
		task->task_id = task_ids[i];
		task->state = tc_tasks_state(&scan);
		task->context = tc_scan_varlena(&scan, TC_TASK_COLUMN_context);
		task->correlation_id = PointerGetDatum(tc_scan_fixed(&scan, TC_TASK_COLUMN_correlation_id, UUID_LEN));
		task->priority = tc_scan_int32(&scan, TC_TASK_COLUMN_priority);
		found++;
	}
	tc_scan_end(&scan);
	return found;
}

struct varlena *
tc_claim_read_result(TcStepKey key)
{
	TcTaskRow  *task;

	return tc_task_read_latest(&key.task_id, 1, &task) == 0 ? NULL : tc_history_results(key, task->slot);
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static void
push_results(JsonbParseState **state, const struct varlena *results)
{
	JsonbValue	value = {.type = jbvNull};

	if (results != NULL && !JB_ROOT_IS_SCALAR((Jsonb *) results))
	{
		value.type = jbvBinary;
		value.val.binary.data = &((Jsonb *) results)->root;
		value.val.binary.len = VARSIZE(results) - VARHDRSZ;
	}
	else if (results != NULL)
		JsonbExtractScalar(&((Jsonb *) results)->root, &value);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/*
 * null for a parent that failed and lets its children run.  The object is handed back;
 * what it is made of goes at once, since results may be large and a batch long.
 */
static struct varlena *
results_of_parents(const TcParentResult *parents, int n)
{
	MemoryContext making = AllocSetContextCreate(CurrentMemoryContext, "tasker_core results", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(making);
	struct varlena **results = palloc(sizeof(struct varlena *) * Max(n, 1));
	JsonbParseState *state = NULL;
	Datum		object;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		results[i] = tc_history_results(parents[i].parent, parents[i].slot);
		push_key(&state, parents[i].parent_name);
		push_results(&state, results[i]);
	}
	object = JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	MemoryContextSwitchTo(tc_session_caller_context());
	object = datumCopy(object, false, -1);
	for (int i = 0; i < n; i++)
	{
		if (results[i] != NULL)
			pfree(results[i]);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(making);
	return (struct varlena *) DatumGetPointer(object);
}

void
tc_claim_read_results(const TcParentResult *parents, int nparents, struct varlena **results, int nclaims)
{
	int			end = 0;

	for (int i = 0; i < nclaims; i++)
	{
		int			start = end;

		while (end < nparents && parents[end].claim == i)
			end++;
		results[i] = results_of_parents(parents + start, end - start);
	}
}
