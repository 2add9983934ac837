/*
 * guc.c
 *	  The settings (tasker_core.*): their registration, range and check.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "domain/template.h"
#include "guc.h"

int			tc_guc_notify = TC_NOTIFY_TASKS;
double		tc_guc_max_retry_after = 3600.0;
double		tc_guc_clock_offset = 0.0;
int			tc_guc_max_payload_kb = 16 * 1024;
int			tc_guc_max_template_steps = 10000;
int			tc_guc_max_template_edges = 100000;
int			tc_guc_max_map_width = TC_MAX_MAP_WIDTH;
int			tc_guc_max_json_depth = 1000;
int			tc_guc_max_nesting = 64;
int			tc_guc_max_pending_tasks = 0;
int			tc_guc_max_task_starts_per_minute = 0;
int			tc_guc_template_cache_kb = 65536;
int			tc_guc_shard_count = 1;
char	   *tc_guc_databases = "";
char	   *tc_guc_worker_role = "";
int			tc_guc_maintenance_interval = 10000;
int			tc_guc_notify_interval = 10;
int			tc_guc_max_sql_workers = 2;
int			tc_guc_max_sql_workers_per_role = 1;
int			tc_guc_sql_step_timeout = 300;

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

/* What one caller may ask for; superusers set them, for a server, a database or a role. */
static void
define_limits(void)
{
	DefineCustomIntVariable("tasker_core.max_template_steps",
							"The most steps that a template may have when it is registered.",
							NULL,
							&tc_guc_max_template_steps, 10000, 1, 999999,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_template_edges",
							"The most dependencies that the steps of a template may have together.",
							NULL,
							&tc_guc_max_template_edges, 100000, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_map_width",
							"The most elements that a map may run for, and the most batches of a batchable step.",
							NULL,
							&tc_guc_max_map_width, TC_MAX_MAP_WIDTH, 1, TC_MAX_MAP_WIDTH,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_json_depth",
							"How deep a context, result, error, checkpoint or payload may be nested.",
							NULL,
							&tc_guc_max_json_depth, 1000, 1, 100000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_nesting",
							"How many levels of sub-workflows a task may have below it.",
							"A step that would be one more fails for good.",
							&tc_guc_max_nesting, 64, 0, 1000,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_pending_tasks",
							"The most tasks of a namespace that may wait for their first claim; 0 is no limit.",
							"Creating a task counts them, when there is a limit.",
							&tc_guc_max_pending_tasks, 0, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_task_starts_per_minute",
							"The most tasks that a role may create in a minute; 0 is no limit.",
							"Creating a task writes a row for the count, when there is a limit.",
							&tc_guc_max_task_starts_per_minute, 0, 0, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
}

static bool
check_databases(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	bool		well_formed = SplitIdentifierString(copy, ',', &names);
	int			n = list_length(names);

	list_free(names);
	pfree(copy);
	if (!well_formed)
		GUC_check_errdetail("It is no list of database names.");
	else if (n > TC_MAX_DATABASES)
		GUC_check_errdetail("It names %d databases; at most %d can have a background worker.",
							n, TC_MAX_DATABASES);
	return well_formed && n <= TC_MAX_DATABASES;
}

static void
define_worker_settings(void)
{
	DefineCustomStringVariable("tasker_core.databases",
							   "The databases that have a background worker, separated by commas.",
							   "Takes effect where shared_preload_libraries has tasker_core. A name that is not in lower case is put in double quotes.",
							   &tc_guc_databases, "",
							   PGC_SIGHUP, GUC_LIST_INPUT, check_databases, NULL, NULL);
	DefineCustomStringVariable("tasker_core.worker_role",
							   "The role as which background workers run; it needs LOGIN and nothing else.",
							   "Empty: the owner of the extension.",
							   &tc_guc_worker_role, "",
							   PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.maintenance_interval",
							"How often the background worker does all of maintenance.",
							"Retries, schedules and leases do not wait for it. It is also how often a database without the extension is looked at.",
							&tc_guc_maintenance_interval, 10000, 100, 3600000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.notify_interval",
							"The least time between two transactions in which the background worker notifies.",
							"What committed transactions have to tell meanwhile is sent in one.",
							&tc_guc_notify_interval, 10, 1, 10000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

static void
define_sql_worker_settings(void)
{
	DefineCustomIntVariable("tasker_core.max_sql_workers",
							"The most processes that run SQL steps in a database at a time; 0 is none.",
							"Each is a session of the role that registered the steps, started when some are due, and takes one of max_worker_processes.",
							&tc_guc_max_sql_workers, 2, 0, TC_MAX_SQL_WORKERS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.max_sql_workers_per_role",
							"The most of them that run steps of one role.",
							NULL,
							&tc_guc_max_sql_workers_per_role, 1, 1, TC_MAX_SQL_WORKERS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.sql_step_timeout",
							"How long a SQL step without timeout_seconds may take in such a process.",
							NULL,
							&tc_guc_sql_step_timeout, 300, 1, 86400,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
}

void
tc_guc_init(void)
{
	define_limits();
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
	DefineCustomIntVariable("tasker_core.template_cache_size",
							"How much memory a session keeps compiled templates in.",
							"When they are more, they are forgotten, and compiled again as they are needed.",
							&tc_guc_template_cache_kb, 64 * 1024, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("tasker_core.shard_count",
							"How many shards CREATE EXTENSION lays tasks out in.",
							"Stored in tasker.settings then; without effect on an extension that exists.",
							&tc_guc_shard_count, 1, 1, 1024,
							PGC_USERSET, 0, NULL, NULL, NULL);
	define_worker_settings();
	define_sql_worker_settings();
	MarkGUCPrefixReserved("tasker_core");
}
