/*
 * worker.c
 *	  The background worker of one database.
 *
 * It sends what committed transactions left on the board, does the prompt parts
 * of maintenance when a step's time has come, and all of maintenance every
 * tasker_core.maintenance_interval.  Each is a short transaction; an error is
 * logged and the work is taken up again after a pause, while sessions notify by
 * themselves.  Its session is authorised from the start as a role that needs no
 * rights but to connect.  It starts the processes that run SQL steps, too.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "compat.h"
#include "events/board.h"
#include "events/events.h"
#include "guc.h"
#include "ops/operations.h"
#include "store/lane_store.h"
#include "worker/sql_workers.h"
#include "worker/worker.h"

#define EXTENSION_NAME "tasker_core"

/* Of each kind of maintenance at a time. */
#define MAX_ITEMS 1000

/* The least time between two looks at what is due: what cannot be done just now stays due. */
#define PROMPT_INTERVAL_MS 100

#define FIRST_PAUSE_MS 1000
#define LONGEST_PAUSE_MS 60000

#define MS_TO_USECS(ms) ((ms) * INT64CONST(1000))

/* What the loop goes by. */
typedef struct Agenda
{
	TimestampTz next_round;
	TimestampTz next_prompt;	/* not before, whatever is due */
	TimestampTz next_send;		/* the same for notices */
	TimestampTz next_attend;	/* the same for SQL steps that are due */
	TimestampTz attend_again;	/* when one that is due may be run */
	bool		attend;			/* some may have become due */
	TimestampTz resume_at;		/* after an error */
	int			pause_ms;		/* 0 = the last thing went well */
} Agenda;

/* Taken from the board and not yet sent; in notices_context. */
static TcNotices notices;
static bool has_notices = false;
static MemoryContext notices_context;

/* ---- coming and going ---------------------------------------------------- */

static void
leave(TcBoardOutcome outcome)
{
	tc_sql_workers_stop();
	tc_board_leave(outcome);
	proc_exit(0);
}

/* In a transaction. */
static Oid
extension_owner(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return owner;
}

/* As the bootstrap superuser: looks up as whom to run, touches nothing else, and ends. */
static void
look_up_owner(int board)
{
	Oid			owner;

	StartTransactionCommand();
	owner = extension_owner();
	CommitTransactionCommand();
	tc_board_set_role(board, owner);
	leave(OidIsValid(owner) ? TC_OUTCOME_OWNER_FOUND : TC_OUTCOME_NO_EXTENSION);
}

/* ---- short transactions -------------------------------------------------- */

typedef void (*Work) (void *arg);

static void
run_work(Work work, void *arg)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	if (!OidIsValid(get_extension_oid(EXTENSION_NAME, true)))
	{
		CommitTransactionCommand();
		leave(TC_OUTCOME_NO_EXTENSION);
	}
	PushActiveSnapshot(GetTransactionSnapshot());
	tc_session_begin_unasked();
	work(arg);
	tc_session_end();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static void
clean_up_after_error(void)
{
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	EmitErrorReport();
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
}

/* False after an error, which is on record in the server's log then. */
static bool
in_transaction(const char *what, Work work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	pgstat_report_activity(STATE_RUNNING, what);
	PG_TRY();
	{
		run_work(work, arg);
		done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		clean_up_after_error();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
	return done;
}

/* ---- notices ------------------------------------------------------------- */

static void
send_taken(void *arg)
{
	if (notices.everything)
		tc_notify_all_namespaces();
	tc_events_send(notices.namespaces, notices.payloads);
	if (notices.everything || notices.namespaces != NIL)
		*(bool *) arg |= tc_lanes_have_sql();
}

/* *sql: SQL steps may be among what they tell of. */
static bool
send_notices(bool *sql)
{
	if (!has_notices)
	{
		MemoryContext old = MemoryContextSwitchTo(notices_context);

		has_notices = tc_board_take(&notices);
		MemoryContextSwitchTo(old);
	}
	if (!has_notices)
		return true;
	if (!in_transaction("notify", send_taken, sql))
		return false;
	has_notices = false;
	MemoryContextReset(notices_context);
	return true;
}

/* ---- maintenance --------------------------------------------------------- */

/* By the clock that steps are measured by. */
static TimestampTz
steps_now(void)
{
	return GetCurrentTimestamp() + (TimestampTz) (tc_guc_clock_offset * USECS_PER_SEC);
}

typedef struct Part
{
	int			part;
	TcMaintenanceScope scope;
	TcMaintenanceResult result;
} Part;

static void
run_part(void *arg)
{
	Part	   *part = arg;

	tc_maintenance_run_part(part->part, &part->scope, &part->result);
}

static void
plan_timer(void *arg)
{
	TimestampTz next = tc_maintenance_next_time(*(TimestampTz *) arg);

	tc_board_plan(next == TC_NO_TIME ? TC_NEVER : next);
}

/*
 * Sessions post the times of what they commit from before the look at the tables
 * on, so that none falls in between.
 */
static bool
maintain(bool only_prompt)
{
	TcMaintenanceScope scope = {MAX_ITEMS, tc_board_expect_timers()};
	TimestampTz began = steps_now();

	for (int i = 0; i < tc_maintenance_part_count(); i++)
	{
		Part		part = {.part = i, .scope = scope};

		if (only_prompt && !tc_maintenance_part_is_prompt(i))
			continue;
		if (!in_transaction("maintenance", run_part, &part))
			return false;
		if (part.result.leases_failed >= MAX_ITEMS)
			tc_board_plan(GetCurrentTimestamp());	/* there may be more */
	}
	return in_transaction("maintenance", plan_timer, &began);
}

/* ---- the loop ------------------------------------------------------------ */

static int64
prompt_interval(void)
{
	return MS_TO_USECS(Max(tc_guc_notify_interval, PROMPT_INTERVAL_MS));
}

/* Of what is done once an interval: a time further away than that is from before the clock was set back. */
static bool
has_come(TimestampTz at, TimestampTz now, int64 interval)
{
	return now >= at || at > now + interval;
}

static void
attend_sql_steps(void *arg)
{
	*(TimestampTz *) arg = tc_sql_workers_attend();
}

/* What was told, became due, or has a process free for it again. */
static bool
attend(Agenda *agenda, TimestampTz now)
{
	if (tc_sql_workers_ended() || now >= agenda->attend_again)
	{
		agenda->attend = true;
		agenda->attend_again = TC_NEVER;
	}
	if (!agenda->attend || !has_come(agenda->next_attend, now, prompt_interval()))
		return true;
	agenda->attend = false;
	agenda->next_attend = now + prompt_interval();
	return in_transaction("SQL steps", attend_sql_steps, &agenda->attend_again);
}

/* Does what is due; false after an error. */
static bool
work_once(Agenda *agenda)
{
	TimestampTz now = GetCurrentTimestamp();

	if (has_come(agenda->next_send, now, MS_TO_USECS(tc_guc_notify_interval)) &&
		(has_notices || tc_board_has_notices()))
	{
		agenda->next_send = now + MS_TO_USECS(tc_guc_notify_interval);
		if (!send_notices(&agenda->attend))
			return false;
	}
	if (has_come(agenda->next_round, now, MS_TO_USECS(tc_guc_maintenance_interval)))
	{
		agenda->next_round = now + MS_TO_USECS(tc_guc_maintenance_interval);
		agenda->next_prompt = now + prompt_interval();
		agenda->attend = true;
		if (!maintain(false))
			return false;
	}
	else if (has_come(agenda->next_prompt, now, prompt_interval()) && steps_now() >= tc_board_timer())
	{
		agenda->next_prompt = now + prompt_interval();
		agenda->attend = true;
		if (!maintain(true))
			return false;
	}
	return attend(agenda, now);
}

static TimestampTz
next_wake(const Agenda *agenda)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz timer = tc_board_timer();
	TimestampTz wake = agenda->next_round;

	if (agenda->pause_ms > 0)
		return agenda->resume_at;
	if (has_notices || tc_board_has_notices())
		wake = Min(wake, agenda->next_send);
	if (timer != TC_NEVER)
		wake = Min(wake, Max(agenda->next_prompt, timer - steps_now() + now));
	if (agenda->attend)
		wake = Min(wake, agenda->next_attend);
	wake = Min(wake, agenda->attend_again);
	return wake;
}

static void
work(Agenda *agenda)
{
	TimestampTz now = GetCurrentTimestamp();

	if (agenda->pause_ms > 0 && now < agenda->resume_at &&
		agenda->resume_at <= now + MS_TO_USECS(agenda->pause_ms))
		return;
	if (work_once(agenda))
	{
		agenda->pause_ms = 0;
		tc_board_set_open(true);
		return;
	}
	tc_board_set_open(false);
	agenda->next_round = 0;		/* no times were posted meanwhile */
	agenda->pause_ms = agenda->pause_ms == 0 ? FIRST_PAUSE_MS
		: Min(agenda->pause_ms * 2, LONGEST_PAUSE_MS);
	agenda->resume_at = now + MS_TO_USECS(agenda->pause_ms);
}

static void
reload(void)
{
	char	   *role = pstrdup(tc_guc_worker_role);

	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	if (strcmp(role, tc_guc_worker_role) != 0)
		leave(TC_OUTCOME_RESTART);
	pfree(role);
}

static void
wait_for_work(const Agenda *agenda)
{
	long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), next_wake(agenda));

	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
		reload();
	if (tc_board_asked_to_leave())
		leave(TC_OUTCOME_MADE_WAY);
}

void
tc_worker_main(Datum arg)
{
	int			board = DatumGetInt32(arg);
	Agenda		agenda = {.attend_again = TC_NEVER};
	MemoryContext context;
	Oid			role;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	if (!tc_board_attach(board))
		proc_exit(0);
	tc_sql_workers_init();
	role = tc_board_role(board);
	BackgroundWorkerInitializeConnectionByOid(tc_board_database(board), role, 0);
	if (!OidIsValid(role))
		look_up_owner(board);

	pgstat_report_appname("tasker_core worker");
	notices_context = AllocSetContextCreate(TopMemoryContext, "tasker_core notices",
											ALLOCSET_DEFAULT_SIZES);
	context = AllocSetContextCreate(TopMemoryContext, "tasker_core worker", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		MemoryContextSwitchTo(context);
		work(&agenda);
		wait_for_work(&agenda);
		MemoryContextReset(context);
	}
}
