/*
 * sql_workers.c
 *	  The processes that run SQL steps, as the worker of their database keeps them.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/value.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#include "compat.h"
#include "events/board.h"
#include "guc.h"
#include "store/lane_store.h"
#include "store/sql_role.h"
#include "worker/sql_workers.h"

#define FIRST_DELAY_MS 1000
#define LONGEST_DELAY_MS 60000
#define STOP_PATIENCE (5 * USECS_PER_SEC)
#define STOP_POLL_MS 20
#define SAY_AGAIN (600 * USECS_PER_SEC)

/* By role; a place whose process has ended is kept for its delay. */
typedef struct Place
{
	BackgroundWorkerHandle *handle; /* NULL = does not run */
	Oid			role;
	TimestampTz started_at;
	TimestampTz start_at;		/* the next one, not before */
	int			delay_ms;
} Place;

static Place places[TC_MAX_SQL_WORKERS];

/* The role whose turn it was last; others come first now. */
static char last_role[NAMEDATALEN] = "";

/* When that was said last. */
static TimestampTz said_no_slot_at = 0;

/* ---- ending -------------------------------------------------------------- */

static void
terminate_all(void)
{
	for (int i = 0; i < TC_MAX_SQL_WORKERS; i++)
	{
		if (places[i].handle != NULL)
			TerminateBackgroundWorker(places[i].handle);
	}
}

/* However the worker ends; nothing may be waited for here. */
static void
terminate_at_exit(int code, Datum arg)
{
	terminate_all();
}

void
tc_sql_workers_init(void)
{
	before_shmem_exit(terminate_at_exit, (Datum) 0);
}

/* One that ended before its patience did was ended by something: a longer pause each time. */
static void
note_end(Place *place, TimestampTz now)
{
	bool		too_soon = now - place->started_at < TC_SQL_WORKER_PATIENCE_MS * INT64CONST(1000);

	pfree(place->handle);
	place->handle = NULL;
	place->delay_ms = !too_soon ? 0
		: Min(Max(place->delay_ms * 2, FIRST_DELAY_MS), LONGEST_DELAY_MS);
	place->start_at = now + place->delay_ms * INT64CONST(1000);
}

bool
tc_sql_workers_ended(void)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		some = false;

	for (int i = 0; i < TC_MAX_SQL_WORKERS; i++)
	{
		pid_t		pid;

		if (places[i].handle == NULL || GetBackgroundWorkerPid(places[i].handle, &pid) != BGWH_STOPPED)
			continue;
		note_end(&places[i], now);
		some = true;
	}
	return some;
}

static int
count_running(void)
{
	int			n = 0;

	for (int i = 0; i < TC_MAX_SQL_WORKERS; i++)
		n += places[i].handle != NULL ? 1 : 0;
	return n;
}

void
tc_sql_workers_stop(void)
{
	TimestampTz give_up = GetCurrentTimestamp() + STOP_PATIENCE;

	terminate_all();
	while (count_running() > 0 && GetCurrentTimestamp() < give_up)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, STOP_POLL_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		(void) tc_sql_workers_ended();
	}
}

/* ---- starting ------------------------------------------------------------ */

static bool
start(Place *place, Oid role)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_notify_pid = MyProcPid,
	};
	TcSqlWorkerOrder order = {MyDatabaseId, role};
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	StaticAssertStmt(sizeof(TcSqlWorkerOrder) <= BGW_EXTRALEN, "an order has to fit into bgw_extra");
	memcpy(worker.bgw_extra, &order, sizeof(order));
	strlcpy(worker.bgw_library_name, "tasker_core", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "tc_sql_worker_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "tasker_core SQL worker", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "tasker_core SQL worker", sizeof(worker.bgw_type));
	registered = RegisterDynamicBackgroundWorker(&worker, &place->handle);
	MemoryContextSwitchTo(old);
	if (!registered)
		place->handle = NULL;
	if (registered && place->role != role)
		place->delay_ms = 0;
	place->role = role;
	place->started_at = GetCurrentTimestamp();
	return registered;
}

static void
say_no_slot(const char *role, TimestampTz now)
{
	if (said_no_slot_at != 0 && now < said_no_slot_at + SAY_AGAIN)
		return;
	said_no_slot_at = now;
	ereport(LOG,
			(errmsg("tasker_core could not start a background worker for SQL steps"),
			 errdetail("Steps of role \"%s\" in database %u wait until there is a free place.", role,
					   MyDatabaseId),
			 errhint("Increase max_worker_processes, or lower tasker_core.max_sql_workers.")));
}

/* Returns how many run for the role; *waits: the end of its longest delay. */
static int
wake(Oid role, TimestampTz *waits_until)
{
	int			n = 0;

	*waits_until = 0;
	for (int i = 0; i < TC_MAX_SQL_WORKERS; i++)
	{
		Place	   *place = &places[i];
		pid_t		pid;
		PGPROC	   *process;

		if (place->role != role)
			continue;
		if (place->handle == NULL)
		{
			*waits_until = Max(*waits_until, place->start_at);
			continue;
		}
		n++;
		if (GetBackgroundWorkerPid(place->handle, &pid) == BGWH_STARTED &&
			(process = BackendPidGetProc(pid)) != NULL)
			SetLatch(&process->procLatch);
	}
	return n;
}

/* The role's own, which knows how the last one ended; else one that is of no use to another role. */
static Place *
find_place(Oid role, TimestampTz now)
{
	Place	   *found = NULL;

	for (int i = 0; i < TC_MAX_SQL_WORKERS; i++)
	{
		if (places[i].handle != NULL)
			continue;
		if (places[i].role == role)
			return &places[i];
		if (found == NULL && places[i].start_at <= now)
			found = &places[i];
	}
	return found;
}

/* Returns when to look again for this role, if it has to wait for a time. */
static TimestampTz
attend(const char *role_name)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz waits_until;
	Oid			role;
	Place	   *place;

	if (tc_sql_role_obstacle(role_name, &role) != TC_SQL_NO_OBSTACLE ||
		wake(role, &waits_until) >= tc_guc_max_sql_workers_per_role ||
		count_running() >= tc_guc_max_sql_workers)
		return TC_NEVER;
	if (waits_until > now)
		return waits_until;
	place = find_place(role, now);
	if (place == NULL)
		return TC_NEVER;
	if (start(place, role))
		strlcpy(last_role, role_name, sizeof(last_role));
	else
		say_no_slot(role_name, now);	/* the next round of maintenance tries again */
	return TC_NEVER;
}

TimestampTz
tc_sql_workers_attend(void)
{
	TimestampTz again = TC_NEVER;
	List	   *roles;
	ListCell   *cell;

	if (tc_guc_max_sql_workers == 0 || !tc_lanes_have_sql())
		return TC_NEVER;
	roles = tc_sql_roles_due(last_role);
	foreach(cell, roles)
	{
		TimestampTz at = attend(strVal(lfirst(cell)));

		again = Min(again, at);
	}
	return again;
}
