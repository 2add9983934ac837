/*
 * guc.h
 *	  The settings (tasker_core.*), as plain variables.
 */
#ifndef TC_GUC_H
#define TC_GUC_H

/* What NOTIFY is sent for; each level includes those before it. */
typedef enum TcNotifyLevel
{
	TC_NOTIFY_OFF,
	TC_NOTIFY_READY,			/* tasker_ready: a namespace has work */
	TC_NOTIFY_TASKS,			/* and task.* and published events on tasker_events */
	TC_NOTIFY_STEPS				/* and step.* on tasker_events */
} TcNotifyLevel;

extern int	tc_guc_notify;
extern double tc_guc_max_retry_after;
extern double tc_guc_clock_offset;
extern int	tc_guc_max_payload_kb;
extern int	tc_guc_max_template_steps;
extern int	tc_guc_max_template_edges;
extern int	tc_guc_max_map_width;
extern int	tc_guc_max_json_depth;
extern int	tc_guc_max_nesting;
extern int	tc_guc_max_pending_tasks;	/* 0 = no limit, as below */
extern int	tc_guc_max_task_starts_per_minute;
extern int	tc_guc_template_cache_kb;
extern int	tc_guc_shard_count; /* read by the install script alone */

/* How many databases can have a background worker. */
#define TC_MAX_DATABASES 32

/* How many SQL workers a database can have. */
#define TC_MAX_SQL_WORKERS 32

/* of the background worker */
extern char *tc_guc_databases;
extern char *tc_guc_worker_role;
extern int	tc_guc_maintenance_interval;	/* ms */
extern int	tc_guc_notify_interval; /* ms */
extern int	tc_guc_max_sql_workers;
extern int	tc_guc_max_sql_workers_per_role;
extern int	tc_guc_sql_step_timeout;	/* s */

extern void tc_guc_init(void);

#endif							/* TC_GUC_H */
