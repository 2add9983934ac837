/*
 * sql_worker.c
 *	  A process that runs SQL steps, as the role that registered them.
 *
 * Its session is authorised as that role from the start, with the settings of the
 * role, so that a function has nothing within its reach that its author has not.
 * A step is claimed in one transaction and run in the next, together with its
 * completion: a function that takes the process or the server down with it has lost
 * an attempt, and comes again when its lease is over, not with the restart.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/extension.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "ops/sql_steps.h"
#include "store/session.h"
#include "store/sql_role.h"
#include "worker/sql_workers.h"
#include "worker/worker.h"

/* Without work it ends after so long; and after so much of it, so that other roles have their turn. */
#define PATIENCE_MS TC_SQL_WORKER_PATIENCE_MS
#define LIFE (60 * USECS_PER_SEC)

/* Of what a step needs; emptied for each. */
static MemoryContext step_context;

/* ---- transactions -------------------------------------------------------- */

typedef void (*Work) (void *arg);

static void
begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(step_context);
}

static void
commit_transaction(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(step_context);
}

/* What was in the way, with everything rolled back. */
static ErrorData *
roll_back(void)
{
	ErrorData  *error;

	MemoryContextSwitchTo(step_context);
	error = CopyErrorData();
	HOLD_INTERRUPTS();
	disable_all_timeouts(false);
	QueryCancelPending = false;
	AbortCurrentTransaction();
	FlushErrorState();
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(step_context);
	return error;
}

/* NULL, or what went wrong. */
static ErrorData *
in_transaction(Work work, void *arg)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		begin_transaction();
		work(arg);
		commit_transaction();
	}
	PG_CATCH();
	{
		error = roll_back();
	}
	PG_END_TRY();
	return error;
}

/* The next worker tries again. */
static void
end_for(ErrorData *error)
{
	ThrowErrorData(error);		/* to the server's log */
	proc_exit(1);
}

/* ---- may it go on? ------------------------------------------------------- */

/* In the transaction; a role that was renamed has other steps. */
static bool
may_run(void)
{
	char	   *role = GetUserNameFromId(GetUserId(), true);
	Oid			oid;
	TcSqlObstacle obstacle;

	if (role == NULL || tc_guc_max_sql_workers == 0 ||
		!OidIsValid(get_extension_oid("tasker_core", true)))
		return false;
	tc_session_begin_unasked();
	obstacle = tc_sql_role_obstacle(role, &oid);
	tc_session_end();
	return obstacle == TC_SQL_NO_OBSTACLE;
}

/* What DISCARD ALL does but for plans (and LISTEN, which is refused here): each step begins as in a session of its own. */
static void
forget_last_step(void)
{
	ResetAllOptions();
	DropAllPreparedStatements();
	LockReleaseAll(USER_LOCKMETHOD, true);
	ResetTempTableNamespace();
	ResetSequenceCaches();
}

/* ---- one step ------------------------------------------------------------ */

typedef struct Turn
{
	TcSqlStep	step;
	bool		allowed;
	bool		claimed;
} Turn;

/* On disk before the function runs, whatever synchronous_commit says. */
static void
claim(void *arg)
{
	Turn	   *turn = arg;

	forget_last_step();
	turn->allowed = may_run();
	turn->claimed = turn->allowed && tc_sql_step_claim(&turn->step, tc_guc_sql_step_timeout);
	if (turn->claimed)
		ForceSyncCommit();
}

/* statement_timeout counts as it does for a statement of the role. */
static void
run(void *arg)
{
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	tc_sql_step_run(arg);
	if (StatementTimeout > 0)
		disable_timeout(STATEMENT_TIMEOUT, false);
}

typedef struct Failure
{
	const TcSqlStep *step;
	const ErrorData *error;
} Failure;

static void
fail(void *arg)
{
	const Failure *failure = arg;

	tc_sql_step_fail(failure->step, failure->error);
}

static char *
describe(const TcSqlStep *step)
{
	return psprintf("SQL step " INT64_FORMAT ": %s", tc_step_id(step->key.task_id, step->key.step_no),
					step->function_name);
}

/* A claim that was lost meanwhile, as to a cancellation of the task, needs no end. */
static void
run_claimed(TcSqlStep *step)
{
	Failure		failure = {.step = step};
	ErrorData  *error;

	debug_query_string = describe(step);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	failure.error = in_transaction(run, step);
	if (failure.error != NULL)
	{
		error = in_transaction(fail, &failure);
		if (error != NULL && error->sqlerrcode != TC_ERRCODE_LEASE_LOST)
			end_for(error);
	}
	debug_query_string = NULL;
}

/* False: there is none. */
static bool
run_next(void)
{
	Turn		turn = {.allowed = false};
	ErrorData  *error;

	MemoryContextReset(step_context);
	pgstat_report_activity(STATE_RUNNING, "claim of a SQL step");
	error = in_transaction(claim, &turn);
	if (error != NULL)
		end_for(error);
	if (!turn.allowed)
		proc_exit(0);
	if (turn.claimed)
		run_claimed(&turn.step);
	pgstat_report_activity(STATE_IDLE, NULL);
	pgstat_report_stat(true);
	return turn.claimed;
}

/* ---- the loop ------------------------------------------------------------ */

/* False: nobody woke it. */
static bool
wait_for_work(void)
{
	int			events = WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								   PATIENCE_MS, PG_WAIT_EXTENSION);

	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	return (events & WL_LATCH_SET) != 0;
}

void
tc_sql_worker_main(Datum arg)
{
	TcSqlWorkerOrder order;
	TimestampTz began = GetCurrentTimestamp();

	memcpy(&order, MyBgworkerEntry->bgw_extra, sizeof(order));
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(order.database, order.role, 0);
	process_session_preload_libraries();
	tc_sql_steps_require_own_session();

	pgstat_report_appname("tasker_core SQL worker");
	step_context = AllocSetContextCreate(TopMemoryContext, "tasker_core SQL step",
										 ALLOCSET_DEFAULT_SIZES);
	while (GetCurrentTimestamp() - began < LIFE)
	{
		if (!run_next() && !wait_for_work())
			break;
		CHECK_FOR_INTERRUPTS();
	}
	proc_exit(0);
}
