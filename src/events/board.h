/*
 * board.h
 *	  What committing sessions leave for the background worker, in shared memory.
 *
 * One board for each database that has a worker.  A session posts after its
 * commit, when nothing may fail any more: for that it reserves its place before,
 * while it still can notify by itself.  Names of namespaces take a slot each, and
 * when there is none left the mark "everything" stands for all of them; event
 * payloads take bytes.  Postings and reservations are short and under one LWLock
 * a board, which nobody holds while it waits for anything else.
 *
 * Without shared_preload_libraries there are no boards, and none is ever open.
 */
#ifndef TC_BOARD_H
#define TC_BOARD_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

#include "guc.h"

/* No time: later than any other. */
#define TC_NEVER DT_NOEND

#define TC_MAX_BOARDS TC_MAX_DATABASES

/* In _PG_init of the postmaster: asks for the shared memory. */
extern void tc_board_init(void);

/* ---- for sessions -------------------------------------------------------- */

/* Does a worker send for this database?  Unlocked, so it may end right after. */
extern bool tc_board_is_open(void);

/*
 * Room for payloads of so many bytes, terminators included, until the end of the
 * transaction; false: send them yourself.  Names and times need none.
 */
extern bool tc_board_reserve(Size bytes);

/* Gives the room back. */
extern void tc_board_unreserve(void);

typedef struct TcPosting
{
	List	   *namespaces;		/* of char * */
	List	   *payloads;		/* of char *; what was reserved for */
	TimestampTz timer;			/* the earliest time of a step, or TC_NEVER */
} TcPosting;

/* After the commit: cannot fail. */
extern void tc_board_post(const TcPosting *posting);

/*
 * Asks the worker of a database to go away for a while and waits until it has
 * gone, or for at most five seconds.
 */
extern void tc_board_make_way(Oid database);

/* ---- for the launcher ---------------------------------------------------- */

/* How a worker's life ended, as far as it could say so itself. */
typedef enum TcBoardOutcome
{
	TC_OUTCOME_UNKNOWN,			/* an error, or a signal */
	TC_OUTCOME_OWNER_FOUND,		/* it looked up as whom to run, and nothing else */
	TC_OUTCOME_NO_EXTENSION,
	TC_OUTCOME_MADE_WAY,
	TC_OUTCOME_RESTART			/* settings changed */
} TcBoardOutcome;

/* A free board becomes that of a database; -1 when all are taken. */
extern int	tc_board_assign(Oid database);

/* A board whose worker still runs is not free yet: the worker is asked to leave. */
extern void tc_board_release(int board);

/* The same without releasing the board: is there a worker, which is asked to leave now? */
extern bool tc_board_dismiss(int board);

/* Before a worker starts: as whom (InvalidOid = that is to be looked up), and that it may stay. */
extern void tc_board_set_role(int board, Oid role);
extern void tc_board_invite(int board);
extern Oid	tc_board_role(int board);
extern Oid	tc_board_database(int board);
extern TcBoardOutcome tc_board_outcome(int board);
extern void tc_board_forget_outcome(int board);

/* Until when the worker should stay away, and whom to wake when that is to be looked at. */
extern TimestampTz tc_board_away_until(int board);

/* ---- for the worker ------------------------------------------------------ */

/* This process is the worker of that board for as long as it lives; false: it is not to be one, and must end. */
extern bool tc_board_attach(int board);

/* Whether sessions may leave the sending to this process. */
extern void tc_board_set_open(bool open);
extern void tc_board_leave(TcBoardOutcome outcome);

/* Was the worker asked to make way? */
extern bool tc_board_asked_to_leave(void);

typedef struct TcNotices
{
	bool		everything;		/* every namespace has work */
	List	   *namespaces;		/* of char * */
	List	   *payloads;		/* of char * */
} TcNotices;

/* Is something posted? */
extern bool tc_board_has_notices(void);

/* Takes what is posted, in the current memory context; false = nothing. */
extern bool tc_board_take(TcNotices *notices);

/*
 * Before the tables are asked for the next time: from now on every earlier one is
 * posted.  Returns the earliest one so far.
 */
extern TimestampTz tc_board_expect_timers(void);

/* What the tables said; returns the earliest time known. */
extern TimestampTz tc_board_plan(TimestampTz timer);

/* The earliest time known. */
extern TimestampTz tc_board_timer(void);

#endif							/* TC_BOARD_H */
