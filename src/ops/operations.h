/*
 * operations.h
 *	  What keeps the system as a whole going.
 */
#ifndef TC_OPERATIONS_H
#define TC_OPERATIONS_H

#include "ops/retention.h"
#include "store/dead_letter_store.h"
#include "store/stale_store.h"

/* ---- dead letters -------------------------------------------------------- */

/* Puts a task before a person; returns the id of its pending entry.  TC002, TC012. */
extern int64 tc_create_dead_letter(int64 task_id, const char *notes);

/* Closes a pending entry; false when it is in that state already. */
extern bool tc_resolve_dead_letter(int64 dead_letter_id, TcDeadLetterState state, const char *notes);

/* ---- stale tasks --------------------------------------------------------- */

/* The longest overdue of all stale tasks. */
extern int	tc_find_stale_tasks(bool actionable, int max_tasks, TcStaleTask **stale);

/*
 * Does to a task what its template wants done; false, with nothing changed, when
 * somebody else has it in hand or it is stale no more.
 */
extern bool tc_treat_stale_task(TcStaleTask *stale);

/* ---- maintenance --------------------------------------------------------- */

typedef struct TcMaintenanceResult
{
	int			leases_failed;	/* last attempts whose lease ran out */
	int			waits_ended;	/* steps that a signal came for, or none in time */
	int			errands_done;	/* between parents and children: what could not be done at once */
	int			namespaces_notified;	/* a step's time came there */
	int			schedules_fired;
	int			stale_tasks_failed;
	int			stale_tasks_dead_lettered;
	int			dead_letters_closed;
	int			workers_forgotten;
	int			flow_keys_forgotten;
	TcRetentionResult retention;
} TcMaintenanceResult;

/* At most max_items of each kind of work in a shard; waits for nobody. */
extern void tc_run_maintenance(int max_items, TcMaintenanceResult *result);

/*
 * committed_late: the first time of a step that was over, perhaps, when its
 * transaction committed; DT_NOEND = there is none.
 */
typedef struct TcMaintenanceScope
{
	int			max_items;
	TimestampTz committed_late;
} TcMaintenanceScope;

/*
 * The same in parts, which add to the result.  The prompt ones are those that the
 * time of a step makes due.
 */
extern int	tc_maintenance_part_count(void);
extern bool tc_maintenance_part_is_prompt(int part);
extern void tc_maintenance_run_part(int part, const TcMaintenanceScope *scope,
									TcMaintenanceResult *result);

/*
 * The first time of a step since workers were told last, which may be over, or of a
 * schedule after fired_until; TC_NO_TIME = there is none.
 */
extern TimestampTz tc_maintenance_next_time(TimestampTz fired_until);

/* For when it is not known any more which namespaces have work. */
extern void tc_notify_all_namespaces(void);

#endif							/* TC_OPERATIONS_H */
