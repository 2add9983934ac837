/*
 * claim_marks.c
 *	  Where in the claim index the live rows of a lane begin.
 */
#include "postgres.h"

#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store/claim_marks.h"
#include "store/session.h"

/* A mark hides a row that was committed late for no longer than this. */
#define MARK_LIFE USECS_PER_SEC

/* Of how many times its own duration a walk may be one, and when a claim that found nothing walks. */
#define WALK_SHARE 10
#define WALK_FOR_NOTHING (USECS_PER_SEC / 10)

/* Blocks beyond what a look needs: a descent a range, a few rows a block. */
#define WALK_IS_LONG 16
#define BLOCKS_PER_RANGE 4
#define BLOCKS_PER_ROW 2

typedef struct MarkKey
{
	int32		shard_key;
	int32		lane_id;
	int32		phase;			/* an int, so that the key has no padding */
} MarkKey;

typedef struct Mark
{
	MarkKey		key;
	TimestampTz low;
} Mark;

/*
 * The marks of the last walk; tc_marks_set() replaces them all.  Times are the
 * server's, not the session's, whose clock tests move.
 */
static HTAB *marks = NULL;
static TimestampTz marks_end = 0;
static TimestampTz last_walk = 0;
static TimestampTz next_walk = 0;

static MarkKey
key_of(const TcClaimRanges *ranges, int i)
{
	MarkKey		key = {ranges->shard_key, ranges->lane_ids[i], ranges->phases[i]};

	return key;
}

void
tc_marks_apply(TcClaimRanges *ranges)
{
	bool		alive = marks != NULL && GetCurrentTimestamp() < marks_end;

	ranges->marked = false;
	for (int i = 0; i < ranges->n; i++)
	{
		MarkKey		key = key_of(ranges, i);
		Mark	   *mark = alive ? hash_search(marks, &key, HASH_FIND, NULL) : NULL;

		ranges->lows[i] = DT_NOBEGIN;
		if (mark == NULL || mark->low > tc_session_now())
			continue;
		ranges->lows[i] = mark->low;
		ranges->marked = true;
	}
}

bool
tc_marks_may_walk(bool found_nothing)
{
	TimestampTz now = GetCurrentTimestamp();

	return now >= next_walk || (found_nothing && now >= last_walk + WALK_FOR_NOTHING);
}

bool
tc_marks_walked(int64 blocks, int nranges, int max_steps)
{
	return blocks > WALK_IS_LONG + (int64) BLOCKS_PER_RANGE * nranges + (int64) BLOCKS_PER_ROW * max_steps;
}

void
tc_marks_forget(void)
{
	marks_end = 0;
}

static void
new_marks(void)
{
	HASHCTL		control = {
		.keysize = sizeof(MarkKey), .entrysize = sizeof(Mark), .hcxt = CacheMemoryContext
	};

	if (marks != NULL)
		hash_destroy(marks);
	marks = NULL;				/* should the next line fail */
	marks = hash_create("tasker_core claim marks", 64, &control,
						HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Exhausted rows and those that others hold count: they are live. */
void
tc_marks_set(const TcClaimRanges *ranges, const TimestampTz *firsts, TimestampTz walk_began)
{
	TimestampTz end = GetCurrentTimestamp();

	new_marks();
	for (int i = 0; i < ranges->n; i++)
	{
		MarkKey		key = key_of(ranges, i);
		Mark	   *mark;

		if (firsts[i] == TC_NOT_LOOKED)
			continue;
		mark = hash_search(marks, &key, HASH_ENTER, NULL);
		mark->low = firsts[i] == TC_NO_TIME ? tc_session_now() : firsts[i];
	}
	marks_end = end + MARK_LIFE;
	last_walk = end;
	next_walk = end + (end - walk_began) * WALK_SHARE;
}
