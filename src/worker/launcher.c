/*
 * launcher.c
 *	  Keeps one background worker running for each database that has one.
 *
 * Connected to no database, so that it keeps none from being dropped.  On a
 * standby the postmaster starts it with the promotion.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "events/board.h"
#include "guc.h"
#include "worker/make_way.h"
#include "worker/worker.h"

#define FIRST_DELAY_MS 1000
#define LONGEST_DELAY_MS 60000

/* A worker that lived so long failed for a new reason. */
#define LONG_LIFE (60 * USECS_PER_SEC)

/* Why a worker is not started; said once. */
typedef enum Obstacle
{
	NO_OBSTACLE,
	NO_SUCH_ROLE,
	ROLE_MAY_NOT_LOG_IN,
	NO_FREE_SLOT
} Obstacle;

/* By the number of the board. */
typedef struct Charge
{
	BackgroundWorkerHandle *handle; /* NULL = does not run */
	TimestampTz started_at;
	TimestampTz start_at;
	int			delay_ms;
	Obstacle	obstacle;
} Charge;

static Charge charges[TC_MAX_BOARDS];

/* ---- settings ------------------------------------------------------------ */

/* Without a database, catalogs of the server are read without their indexes. */
static Oid
find_database(const char *name)
{
	Relation	databases = table_open(DatabaseRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			database = InvalidOid;

	ScanKeyInit(&key, Anum_pg_database_datname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	scan = systable_beginscan(databases, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn)
		database = ((Form_pg_database) GETSTRUCT(tuple))->oid;
	systable_endscan(scan);
	table_close(databases, AccessShareLock);
	return database;
}

static bool
is_wanted(Oid database, const Oid *wanted, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (wanted[i] == database)
			return true;
	}
	return false;
}

/* In a transaction.  A database that does not exist (yet) is passed over. */
static int
read_wanted(Oid *wanted)
{
	char	   *names = pstrdup(tc_guc_databases);
	List	   *list;
	ListCell   *cell;
	int			n = 0;

	if (!SplitIdentifierString(names, ',', &list))
		return 0;
	foreach(cell, list)
	{
		Oid			database = find_database(lfirst(cell));

		if (OidIsValid(database) && !is_wanted(database, wanted, n) && n < TC_MAX_BOARDS)
			wanted[n++] = database;
	}
	return n;
}

/* ---- as whom ------------------------------------------------------------- */

static Obstacle
check_role(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		may_log_in;

	if (!HeapTupleIsValid(tuple))
		return NO_SUCH_ROLE;
	may_log_in = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return may_log_in ? NO_OBSTACLE : ROLE_MAY_NOT_LOG_IN;
}

/*
 * As the role that the setting names; else as the owner of the extension, which
 * a start without a role looks up.
 */
static Obstacle
choose_role(int board)
{
	Obstacle	obstacle;
	Oid			role;

	if (tc_guc_worker_role[0] != '\0')
		role = get_role_oid(tc_guc_worker_role, true);
	else if (tc_board_outcome(board) == TC_OUTCOME_OWNER_FOUND)
		role = tc_board_role(board);
	else
	{
		tc_board_set_role(board, InvalidOid);
		return NO_OBSTACLE;
	}
	tc_board_set_role(board, role);
	obstacle = check_role(role);
	if (obstacle != NO_OBSTACLE)
		tc_board_forget_outcome(board); /* the extension may have another owner by then */
	return obstacle;
}

static void
say_obstacle(int board, Obstacle obstacle)
{
	if (charges[board].obstacle == obstacle)
		return;
	charges[board].obstacle = obstacle;
	switch (obstacle)
	{
		case NO_OBSTACLE:
			break;
		case NO_SUCH_ROLE:
			ereport(LOG,
					(errmsg("tasker_core does not start a background worker for database %u",
							tc_board_database(board)),
					 errdetail("The role \"%s\" that tasker_core.worker_role names does not exist.",
							   tc_guc_worker_role)));
			break;
		case ROLE_MAY_NOT_LOG_IN:
			ereport(LOG,
					(errmsg("tasker_core does not start a background worker for database %u",
							tc_board_database(board)),
					 errdetail("Role %u, as which it would run, is not permitted to log in.",
							   tc_board_role(board)),
					 errhint("Give it LOGIN, or name another role in tasker_core.worker_role.")));
			break;
		case NO_FREE_SLOT:
			ereport(LOG,
					(errmsg("tasker_core could not start a background worker for database %u",
							tc_board_database(board)),
					 errhint("Increase max_worker_processes.")));
			break;
	}
}

/* ---- starting and ending ------------------------------------------------- */

static Obstacle
register_worker(int board)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_main_arg = Int32GetDatum(board),
		.bgw_notify_pid = MyProcPid,
	};
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	strlcpy(worker.bgw_library_name, "tasker_core", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tc_worker_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "tasker_core worker", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "tasker_core worker", sizeof(worker.bgw_type));
	registered = RegisterDynamicBackgroundWorker(&worker, &charges[board].handle);
	MemoryContextSwitchTo(old);
	return registered ? NO_OBSTACLE : NO_FREE_SLOT;
}

/* A worker that an earlier launcher started tells this one nothing: another one takes its place. */
static void
start(int board, TimestampTz now)
{
	Charge	   *charge = &charges[board];
	Obstacle	obstacle;

	if (tc_board_dismiss(board))
	{
		charge->start_at = now + FIRST_DELAY_MS * INT64CONST(1000);
		return;
	}
	obstacle = choose_role(board);
	tc_board_invite(board);
	if (obstacle == NO_OBSTACLE)
		obstacle = register_worker(board);
	if (obstacle != NO_OBSTACLE || OidIsValid(tc_board_role(board)))
		say_obstacle(board, obstacle);
	charge->started_at = now;
	if (obstacle != NO_OBSTACLE)
		charge->start_at = now + tc_guc_maintenance_interval * INT64CONST(1000);
}

/* When the next worker of this board is to start, by how the last one ended. */
static TimestampTz
next_start(int board, TimestampTz now)
{
	Charge	   *charge = &charges[board];

	switch (tc_board_outcome(board))
	{
		case TC_OUTCOME_OWNER_FOUND:
		case TC_OUTCOME_RESTART:
			return now;
		case TC_OUTCOME_NO_EXTENSION:
			return now + tc_guc_maintenance_interval * INT64CONST(1000);
		case TC_OUTCOME_MADE_WAY:
			return tc_board_away_until(board);
		case TC_OUTCOME_UNKNOWN:
			break;
	}
	if (charge->started_at + LONG_LIFE < now)
		charge->delay_ms = 0;
	charge->delay_ms = charge->delay_ms == 0 ? FIRST_DELAY_MS
		: Min(charge->delay_ms * 2, LONGEST_DELAY_MS);
	return Max(now + charge->delay_ms * INT64CONST(1000), tc_board_away_until(board));
}

/* Does the worker still run?  If it has just ended, its successor is scheduled. */
static bool
runs(int board, TimestampTz now)
{
	Charge	   *charge = &charges[board];
	pid_t		pid;

	if (charge->handle == NULL)
		return false;
	if (GetBackgroundWorkerPid(charge->handle, &pid) != BGWH_STOPPED)
		return true;
	pfree(charge->handle);
	charge->handle = NULL;
	charge->start_at = next_start(board, now);
	return false;
}

/* ---- the story ----------------------------------------------------------- */

/* Gives a board to each database that has none, and takes it from those not wanted any more. */
static void
distribute_boards(const Oid *wanted, int n, TimestampTz now)
{
	bool		has_board[TC_MAX_BOARDS] = {false};

	for (int board = 0; board < TC_MAX_BOARDS; board++)
	{
		Oid			database = tc_board_database(board);

		if (!OidIsValid(database))
			continue;
		for (int i = 0; i < n; i++)
			has_board[i] |= wanted[i] == database;
		if (is_wanted(database, wanted, n))
			continue;
		if (runs(board, now))
			TerminateBackgroundWorker(charges[board].handle);
		else
			tc_board_release(board);
	}
	for (int i = 0; i < n; i++)
	{
		int			board = has_board[i] ? -1 : tc_board_assign(wanted[i]);

		if (board >= 0)
			memset(&charges[board], 0, sizeof(Charge));
	}
}

/* Returns when there is something to do again. */
static TimestampTz
look_after_all(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = now + tc_guc_maintenance_interval * INT64CONST(1000);
	Oid			wanted[TC_MAX_BOARDS];
	int			n;

	StartTransactionCommand();
	n = read_wanted(wanted);
	distribute_boards(wanted, n, now);
	for (int board = 0; board < TC_MAX_BOARDS; board++)
	{
		Charge	   *charge = &charges[board];

		if (!OidIsValid(tc_board_database(board)) || runs(board, now))
			continue;
		if (!is_wanted(tc_board_database(board), wanted, n))
			charge->start_at = now + FIRST_DELAY_MS * INT64CONST(1000);	/* not free yet */
		else if (now >= charge->start_at)
			start(board, now);
		if (charge->handle == NULL)
			next = Min(next, charge->start_at);
	}
	CommitTransactionCommand();
	return next;
}

void
tc_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	for (;;)
	{
		TimestampTz next = look_after_all();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next),
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}
}

void
tc_worker_init(void)
{
	BackgroundWorker launcher = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = 5,
	};

	if (!process_shared_preload_libraries_in_progress)
		return;
	tc_board_init();
	tc_make_way_init();
	strlcpy(launcher.bgw_library_name, "tasker_core", sizeof(launcher.bgw_library_name));
	strlcpy(launcher.bgw_function_name, "tc_launcher_main", sizeof(launcher.bgw_function_name));
	strlcpy(launcher.bgw_name, "tasker_core launcher", sizeof(launcher.bgw_name));
	strlcpy(launcher.bgw_type, "tasker_core launcher", sizeof(launcher.bgw_type));
	RegisterBackgroundWorker(&launcher);
}
