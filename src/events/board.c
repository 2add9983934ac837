/*
 * board.c
 *	  What committing sessions leave for the background worker, in shared memory.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "compat.h"
#include "events/board.h"

/* A name has at most 128 characters. */
#define NAMESPACE_BYTES (128 * 4 + 1)
#define NAMESPACE_SLOTS 32
#define PAYLOAD_BYTES (32 * 1024)

#define STAY_AWAY (10 * USECS_PER_SEC)
#define MAKE_WAY_PATIENCE (5 * USECS_PER_SEC)
#define MAKE_WAY_POLL_MS 10

typedef struct Board
{
	LWLock	   *lock;			/* for all that follows */
	Oid			database;		/* InvalidOid = free */
	uint32		generation;		/* counts the databases it was for */
	Oid			role;
	pid_t		worker;			/* 0 = none */
	Latch	   *latch;			/* of the worker, while there is one */
	bool		open;
	TcBoardOutcome outcome;
	bool		asked_to_leave;
	TimestampTz away_until;

	pg_atomic_uint64 timer;		/* read without the lock, too */

	bool		everything;
	int			nnamespaces;
	char		namespaces[NAMESPACE_SLOTS][NAMESPACE_BYTES];
	Size		payload_bytes;
	Size		reserved_bytes;
	char		payloads[PAYLOAD_BYTES];
} Board;

/* NULL = this server has no boards.  Set once, when a process attaches to shared memory. */
static Board *boards = NULL;

static shmem_request_hook_type previous_request = NULL;
static shmem_startup_hook_type previous_startup = NULL;

/* The board this process works for; NULL in every other one. */
static Board *own = NULL;

/* Where this session found its database's board last. */
static int	last_found = 0;

/* What this transaction has reserved; reset at its end. */
static Board *reserved_on = NULL;
static uint32 reserved_generation;
static Size reserved_bytes;

/* ---- set up -------------------------------------------------------------- */

static void
request(void)
{
	if (previous_request)
		previous_request();
	RequestAddinShmemSpace(MAXALIGN(sizeof(Board) * TC_MAX_BOARDS));
	RequestNamedLWLockTranche("tasker_core", TC_MAX_BOARDS);
}

static void
startup(void)
{
	bool		found;

	if (previous_startup)
		previous_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	boards = ShmemInitStruct("tasker_core boards", sizeof(Board) * TC_MAX_BOARDS, &found);
	if (!found)
	{
		LWLockPadded *locks = GetNamedLWLockTranche("tasker_core");

		memset(boards, 0, sizeof(Board) * TC_MAX_BOARDS);
		for (int i = 0; i < TC_MAX_BOARDS; i++)
		{
			boards[i].lock = &locks[i].lock;
			pg_atomic_init_u64(&boards[i].timer, (uint64) TC_NEVER);
		}
	}
	LWLockRelease(AddinShmemInitLock);
}

void
tc_board_init(void)
{
	previous_request = shmem_request_hook;
	shmem_request_hook = request;
	previous_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}

static TimestampTz
timer_of(Board *board)
{
	return (TimestampTz) pg_atomic_read_u64(&board->timer);
}

static void
wake(const Board *board)
{
	if (board->latch != NULL)
		SetLatch(board->latch);
}

/* ---- sessions ------------------------------------------------------------ */

/* The board of this session's database; a worker's own postings would be in its way. */
static Board *
find_board(void)
{
	if (boards == NULL || own != NULL)
		return NULL;
	for (int i = 0; i < TC_MAX_BOARDS; i++)
	{
		int			at = (last_found + i) % TC_MAX_BOARDS;

		if (((volatile Board *) boards)[at].database == MyDatabaseId)
		{
			last_found = at;
			return &boards[at];
		}
	}
	return NULL;
}

bool
tc_board_is_open(void)
{
	volatile Board *board = find_board();

	return board != NULL && board->open;
}

bool
tc_board_reserve(Size bytes)
{
	Board	   *board = find_board();

	if (board == NULL)
		return false;
	LWLockAcquire(board->lock, LW_EXCLUSIVE);
	if (board->database == MyDatabaseId && board->open &&
		board->payload_bytes + board->reserved_bytes + bytes <= PAYLOAD_BYTES)
	{
		board->reserved_bytes += bytes;
		reserved_on = board;
		reserved_generation = board->generation;
		reserved_bytes = bytes;
	}
	LWLockRelease(board->lock);
	return reserved_on != NULL;
}

/* Under the lock.  The board may have become another database's. */
static bool
take_back_reservation(void)
{
	if (reserved_on->generation != reserved_generation)
		return false;
	reserved_on->reserved_bytes -= reserved_bytes;
	return true;
}

void
tc_board_unreserve(void)
{
	if (reserved_on == NULL)
		return;
	LWLockAcquire(reserved_on->lock, LW_EXCLUSIVE);
	(void) take_back_reservation();
	LWLockRelease(reserved_on->lock);
	reserved_on = NULL;
}

static void
post_namespace(Board *board, const char *name)
{
	for (int i = 0; i < board->nnamespaces; i++)
	{
		if (strcmp(board->namespaces[i], name) == 0)
			return;
	}
	if (board->nnamespaces < NAMESPACE_SLOTS && strlen(name) < NAMESPACE_BYTES)
		strcpy(board->namespaces[board->nnamespaces++], name);
	else
		board->everything = true;
}

static void
post_payload(Board *board, const char *payload)
{
	Size		bytes = strlen(payload) + 1;

	if (board->payload_bytes + board->reserved_bytes + bytes > PAYLOAD_BYTES)
		return;
	memcpy(board->payloads + board->payload_bytes, payload, bytes);
	board->payload_bytes += bytes;
}

static bool
has_notices(const Board *board)
{
	return board->everything || board->nnamespaces > 0 || board->payload_bytes > 0;
}

/* Under the lock. */
static void
post(Board *board, const TcPosting *posting)
{
	bool		rang = has_notices(board);
	ListCell   *cell;

	foreach(cell, posting->namespaces)
		post_namespace(board, lfirst(cell));
	foreach(cell, posting->payloads)
		post_payload(board, lfirst(cell));
	if (posting->timer < timer_of(board))
	{
		pg_atomic_write_u64(&board->timer, (uint64) posting->timer);
		rang = false;
	}
	if (!rang)
		wake(board);
}

/*
 * A worker that ended meanwhile finds the postings when it is back: the board
 * keeps them until it is for another database.
 */
void
tc_board_post(const TcPosting *posting)
{
	Board	   *board = reserved_on ? reserved_on : find_board();

	/* most claims: their leases end after what the worker waits for */
	if (board == NULL || (reserved_on == NULL && posting->namespaces == NIL &&
						  posting->timer >= timer_of(board)))
		return;
	LWLockAcquire(board->lock, LW_EXCLUSIVE);
	if (reserved_on == NULL ? board->database == MyDatabaseId : take_back_reservation())
		post(board, posting);
	LWLockRelease(board->lock);
	reserved_on = NULL;
}

/* ---- making way ---------------------------------------------------------- */

static bool
ask_to_leave(Board *board, Oid database)
{
	bool		asked;

	LWLockAcquire(board->lock, LW_EXCLUSIVE);
	asked = board->database == database;
	if (asked)
	{
		board->away_until = GetCurrentTimestamp() + STAY_AWAY;
		board->asked_to_leave = true;
		wake(board);
	}
	LWLockRelease(board->lock);
	return asked;
}

static bool
has_left(Board *board, Oid database)
{
	bool		left;

	LWLockAcquire(board->lock, LW_SHARED);
	left = board->database != database || board->worker == 0;
	LWLockRelease(board->lock);
	return left;
}

void
tc_board_make_way(Oid database)
{
	TimestampTz give_up = GetCurrentTimestamp() + MAKE_WAY_PATIENCE;

	for (int i = 0; boards != NULL && i < TC_MAX_BOARDS; i++)
	{
		if (!ask_to_leave(&boards[i], database))
			continue;
		while (!has_left(&boards[i], database) && GetCurrentTimestamp() < give_up)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 MAKE_WAY_POLL_MS, PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
}

/* ---- the launcher -------------------------------------------------------- */

int
tc_board_assign(Oid database)
{
	for (int i = 0; i < TC_MAX_BOARDS; i++)
	{
		Board	   *board = &boards[i];

		if (OidIsValid(board->database))
			continue;			/* only the launcher writes it */
		LWLockAcquire(board->lock, LW_EXCLUSIVE);
		board->database = database;
		board->generation++;
		board->role = InvalidOid;
		board->outcome = TC_OUTCOME_UNKNOWN;
		board->asked_to_leave = false;
		board->away_until = 0;
		pg_atomic_write_u64(&board->timer, (uint64) TC_NEVER);
		board->everything = false;
		board->nnamespaces = 0;
		board->payload_bytes = board->reserved_bytes = 0;
		LWLockRelease(board->lock);
		return i;
	}
	return -1;
}

/* Under the lock.  False: there is no worker. */
static bool
dismiss(Board *board)
{
	if (board->worker == 0)
		return false;
	board->asked_to_leave = true;
	wake(board);
	return true;
}

bool
tc_board_dismiss(int board)
{
	bool		dismissed;

	LWLockAcquire(boards[board].lock, LW_EXCLUSIVE);
	dismissed = dismiss(&boards[board]);
	LWLockRelease(boards[board].lock);
	return dismissed;
}

void
tc_board_release(int board)
{
	LWLockAcquire(boards[board].lock, LW_EXCLUSIVE);
	if (!dismiss(&boards[board]))
	{
		boards[board].database = InvalidOid;
		boards[board].generation++;
	}
	LWLockRelease(boards[board].lock);
}

void
tc_board_forget_outcome(int board)
{
	LWLockAcquire(boards[board].lock, LW_EXCLUSIVE);
	boards[board].outcome = TC_OUTCOME_UNKNOWN;
	LWLockRelease(boards[board].lock);
}

void
tc_board_set_role(int board, Oid role)
{
	boards[board].role = role;
}

/* Takes the request to leave back. */
void
tc_board_invite(int board)
{
	LWLockAcquire(boards[board].lock, LW_EXCLUSIVE);
	if (boards[board].away_until <= GetCurrentTimestamp())
		boards[board].asked_to_leave = false;
	LWLockRelease(boards[board].lock);
}

Oid
tc_board_role(int board)
{
	return boards[board].role;
}

Oid
tc_board_database(int board)
{
	return boards[board].database;
}

TcBoardOutcome
tc_board_outcome(int board)
{
	return boards[board].outcome;
}

TimestampTz
tc_board_away_until(int board)
{
	TimestampTz until;

	LWLockAcquire(boards[board].lock, LW_SHARED);
	until = boards[board].away_until;
	LWLockRelease(boards[board].lock);
	return until;
}

/* ---- the worker ---------------------------------------------------------- */

static void
close_board(int code, Datum arg)
{
	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	own->open = false;
	own->worker = 0;
	own->latch = NULL;
	LWLockRelease(own->lock);
}

bool
tc_board_attach(int board)
{
	bool		is_free;

	own = &boards[board];
	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	is_free = own->worker == 0 && OidIsValid(own->database);
	if (is_free)
	{
		own->outcome = TC_OUTCOME_UNKNOWN;
		own->worker = MyProcPid;
		own->latch = MyLatch;
		pg_atomic_write_u64(&own->timer, (uint64) TC_NEVER);
	}
	LWLockRelease(own->lock);
	if (is_free)
		before_shmem_exit(close_board, (Datum) 0);
	return is_free;
}

void
tc_board_set_open(bool open)
{
	if (own->open == open)
		return;					/* nobody else writes it */
	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	own->open = open;
	LWLockRelease(own->lock);
}

void
tc_board_leave(TcBoardOutcome outcome)
{
	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	own->outcome = outcome;
	LWLockRelease(own->lock);
}

bool
tc_board_asked_to_leave(void)
{
	return ((volatile Board *) own)->asked_to_leave;
}

bool
tc_board_has_notices(void)
{
	bool		some;

	LWLockAcquire(own->lock, LW_SHARED);
	some = has_notices(own);
	LWLockRelease(own->lock);
	return some;
}

/* What is taken out is copied before memory is allocated for it: not under the lock. */
bool
tc_board_take(TcNotices *notices)
{
	Board	   *copy = palloc(sizeof(Board));
	bool		some;

	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	some = has_notices(own);
	if (some)
	{
		memcpy(copy, own, sizeof(Board));
		own->everything = false;
		own->nnamespaces = 0;
		own->payload_bytes = 0;
	}
	LWLockRelease(own->lock);

	memset(notices, 0, sizeof(*notices));
	if (some)
	{
		notices->everything = copy->everything;
		for (int i = 0; i < copy->nnamespaces; i++)
			notices->namespaces = lappend(notices->namespaces, pstrdup(copy->namespaces[i]));
		for (Size at = 0; at < copy->payload_bytes; at += strlen(copy->payloads + at) + 1)
			notices->payloads = lappend(notices->payloads, pstrdup(copy->payloads + at));
	}
	pfree(copy);
	return some;
}

TimestampTz
tc_board_expect_timers(void)
{
	TimestampTz earliest;

	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	earliest = timer_of(own);
	pg_atomic_write_u64(&own->timer, (uint64) TC_NEVER);
	LWLockRelease(own->lock);
	return earliest;
}

TimestampTz
tc_board_plan(TimestampTz timer)
{
	TimestampTz earliest;

	LWLockAcquire(own->lock, LW_EXCLUSIVE);
	earliest = Min(timer_of(own), timer);
	pg_atomic_write_u64(&own->timer, (uint64) earliest);
	LWLockRelease(own->lock);
	return earliest;
}

TimestampTz
tc_board_timer(void)
{
	return timer_of(own);
}
