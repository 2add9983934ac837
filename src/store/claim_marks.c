/*
 * claim_marks.c
 *	  Where in the claim index the live rows of a lane begin.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "store/claim_marks.h"
#include "store/session.h"
#include "store/store_init.h"

/* A mark hides a row that was committed late for no longer than this. */
#define MARK_LIFE USECS_PER_SEC

/* Of how many times its own duration a walk may be one, and when a claim that found nothing walks. */
#define WALK_SHARE 10
#define WALK_FOR_NOTHING (USECS_PER_SEC / 10)

/* Blocks beyond what a look needs: a descent a range, a few rows a block. */
#define WALK_IS_LONG 16
#define BLOCKS_PER_RANGE 4
#define BLOCKS_PER_ROW 2

/* Where all places of a mark are taken, the oldest one goes: its range is walked again. */
#define TABLE_SIZE 4096
#define PLACES_OF_MARK 8

typedef struct MarkKey
{
	Oid			database;
	int32		shard_key;
	int32		lane_id;
	int32		phase;			/* an int, so that the key has no padding */
} MarkKey;

/* Times are the server's, not the session's, whose clock tests move; low is one of rows. */
typedef struct Mark
{
	MarkKey		key;
	TimestampTz low;
	TimestampTz made_at;
} Mark;

typedef struct MarkTable
{
	LWLock	   *lock;			/* NULL = the table is this backend's */
	pg_atomic_uint64 newest;	/* when the last mark was made; read without the lock */
	Mark		marks[TABLE_SIZE];
} MarkTable;

static MarkTable *own = NULL;	/* NULL = there were none yet */
static MarkTable *shared = NULL;	/* NULL = the library is not preloaded */

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

static TimestampTz last_walk = 0;
static TimestampTz next_walk = 0;

/* ---- set up -------------------------------------------------------------- */

#define TRANCHE "tasker_core claim marks"

static void
init_table(MarkTable *table, LWLock *lock)
{
	memset(table, 0, sizeof(MarkTable));
	table->lock = lock;
	pg_atomic_init_u64(&table->newest, 0);
}

static void
request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(MarkTable)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct(TRANCHE, sizeof(MarkTable), &found);
	if (!found)
		init_table(shared, &GetNamedLWLockTranche(TRANCHE)->lock);
	LWLockRelease(AddinShmemInitLock);
}

void
tc_marks_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}

/* ---- tables -------------------------------------------------------------- */

static void
lock_table(MarkTable *table, LWLockMode mode)
{
	if (table->lock != NULL)
		LWLockAcquire(table->lock, mode);
}

static void
unlock_table(MarkTable *table)
{
	if (table->lock != NULL)
		LWLockRelease(table->lock);
}

/* One from the future was made before somebody set the clock. */
static bool
is_alive(TimestampTz made_at, TimestampTz now)
{
	return made_at <= now && now < made_at + MARK_LIFE;
}

static MarkKey
key_of(const TcClaimRanges *ranges, int i)
{
	MarkKey		key = {MyDatabaseId, ranges->shard_key, ranges->lane_ids[i], ranges->phases[i]};

	return key;
}

/* The mark of that key; else the place for it, which is the oldest of those that it may have. */
static Mark *
find_place(MarkTable *table, const MarkKey *key)
{
	uint32		hash = hash_bytes((const unsigned char *) key, sizeof(MarkKey));
	Mark	   *oldest = NULL;

	for (int i = 0; i < PLACES_OF_MARK; i++)
	{
		Mark	   *mark = &table->marks[(hash + i) % TABLE_SIZE];

		if (memcmp(&mark->key, key, sizeof(MarkKey)) == 0)
			return mark;
		if (oldest == NULL || mark->made_at < oldest->made_at)
			oldest = mark;
	}
	return oldest;
}

static void
apply(MarkTable *table, TcClaimRanges *ranges, TimestampTz now)
{
	if (table == NULL || !is_alive((TimestampTz) pg_atomic_read_u64(&table->newest), now))
		return;
	lock_table(table, LW_SHARED);
	for (int i = 0; i < ranges->n; i++)
	{
		MarkKey		key = key_of(ranges, i);
		const Mark *mark = find_place(table, &key);

		if (memcmp(&mark->key, &key, sizeof(MarkKey)) != 0 || !is_alive(mark->made_at, now) ||
			mark->low > tc_session_now() || mark->low <= ranges->lows[i])
			continue;
		ranges->lows[i] = mark->low;
		ranges->marked = true;
	}
	unlock_table(table);
}

void
tc_marks_apply(TcClaimRanges *ranges)
{
	TimestampTz now = GetCurrentTimestamp();

	tc_marks_ignore(ranges);
	if (!IsolationUsesXactSnapshot())
		apply(shared, ranges, now);
	apply(own, ranges, now);
}

void
tc_marks_ignore(TcClaimRanges *ranges)
{
	ranges->marked = false;
	for (int i = 0; i < ranges->n; i++)
		ranges->lows[i] = DT_NOBEGIN;
}

/* ---- walks --------------------------------------------------------------- */

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

/* What this transaction has deleted, its rollback brings back; a snapshot that is kept misses what is new. */
static MarkTable *
table_to_write(void)
{
	if (shared != NULL && !IsolationUsesXactSnapshot() && !TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return shared;
	if (own == NULL)
	{
		own = MemoryContextAlloc(TopMemoryContext, sizeof(MarkTable));
		init_table(own, NULL);
	}
	return own;
}

/* Exhausted rows and those that others hold count: they are live. */
void
tc_marks_set(const TcClaimRanges *ranges, const TimestampTz *firsts, TimestampTz walk_began)
{
	MarkTable  *table = table_to_write();
	TimestampTz now = GetCurrentTimestamp();

	lock_table(table, LW_EXCLUSIVE);
	for (int i = 0; i < ranges->n; i++)
	{
		MarkKey		key = key_of(ranges, i);
		Mark	   *mark;

		if (firsts[i] == TC_NOT_LOOKED || !TIMESTAMP_IS_NOBEGIN(ranges->lows[i]))
			continue;
		mark = find_place(table, &key);
		mark->key = key;
		mark->low = firsts[i] == TC_NO_TIME ? tc_session_now() : firsts[i];
		mark->made_at = now;
	}
	pg_atomic_write_u64(&table->newest, (uint64) now);
	unlock_table(table);
	if (ranges->marked)
		return;
	last_walk = now;
	next_walk = now + (now - walk_began) * WALK_SHARE;
}
