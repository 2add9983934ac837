/*
 * guc.c
 *	  The settings (tasker_core.*): their registration, range and check.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "guc.h"

int			tc_guc_notify = TC_NOTIFY_TASKS;
double		tc_guc_max_retry_after = 3600.0;
double		tc_guc_clock_offset = 0.0;
int			tc_guc_max_payload_kb = 16 * 1024;
int			tc_guc_shard_count = 1;

static const struct config_enum_entry notify_levels[] = {
	{"off", TC_NOTIFY_OFF, false},
	{"ready", TC_NOTIFY_READY, false},
	{"tasks", TC_NOTIFY_TASKS, false},
	{"steps", TC_NOTIFY_STEPS, false},
	{NULL, 0, false}
};

/*
 * Anyone may send less (two-phase commit refuses NOTIFY at all), only a
 * superuser more: every notifying commit takes a lock that the whole cluster
 * shares.  Options of the connection are the user's word too; what a parallel
 * worker takes over has been checked where it was set.
 */
static bool
check_notify(int *newval, void **extra, GucSource source)
{
	if (source < PGC_S_CLIENT || InitializingParallelWorker || *newval <= tc_guc_notify)
		return true;
	if (!IsTransactionState() || superuser())
		return true;
	GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
	GUC_check_errmsg("permission denied to raise \"tasker_core.notify\"");
	GUC_check_errdetail("Only superusers may have more notifications sent than the server is configured for.");
	GUC_check_errhint("Use RESET tasker_core.notify to return to the configured value.");
	return false;
}

void
tc_guc_init(void)
{
	DefineCustomEnumVariable("tasker_core.notify",
							 "What notifications are sent for.",
							 "off, ready (channel tasker_ready), tasks (and task events and published ones on tasker_events), "
							 "steps (and step events). Anyone may lower it, superusers may raise it.",
							 &tc_guc_notify, TC_NOTIFY_TASKS, notify_levels,
							 PGC_USERSET, 0, check_notify, NULL, NULL);
	DefineCustomRealVariable("tasker_core.max_retry_after",
							 "The longest delay that a server may ask for with retry_after_seconds.",
							 NULL,
							 &tc_guc_max_retry_after, 3600.0, 0.0, 31536000.0,
							 PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomRealVariable("tasker_core.clock_offset",
							 "Added to the clock that leases, retries and schedules are measured by; for tests.",
							 NULL,
							 &tc_guc_clock_offset, 0.0, -31536000.0, 31536000.0,
							 PGC_SUSET, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_payload_size",
							"The largest context, result, error or checkpoint that is accepted.",
							NULL,
							&tc_guc_max_payload_kb, 16 * 1024, 1, 1024 * 1024,
							PGC_SUSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.shard_count",
							"How many shards CREATE EXTENSION lays tasks out in.",
							"Stored in tasker.settings then; without effect on an extension that exists.",
							&tc_guc_shard_count, 1, 1, 1024,
							PGC_USERSET, 0, NULL, NULL, NULL);
	MarkGUCPrefixReserved("tasker_core");
}
