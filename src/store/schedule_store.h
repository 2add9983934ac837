/*
 * schedule_store.h
 *	  The schedules table.
 */
#ifndef TC_SCHEDULE_STORE_H
#define TC_SCHEDULE_STORE_H

#include "store/session.h"

#define TC_CATCH_UPS(X) \
	X(LATEST, "latest") \
	X(ALL, "all")

/* What is made up for when several times passed unnoticed: the latest of them, or each. */
typedef enum TcCatchUp
{
#define X(id, name) TC_CATCH_UP_##id,
	TC_CATCH_UPS(X)
#undef X
	TC_CATCH_UP_COUNT
} TcCatchUp;

extern const char *tc_catch_up_name(TcCatchUp catch_up);
extern bool tc_catch_up_parse(const char *name, TcCatchUp *catch_up);

typedef struct TcSchedule
{
	int32		schedule_id;
	const char *namespace_name;
	const char *name;
	const char *task_name;
	const char *version;		/* NULL = the highest there is then */
	const char *cron;
	const char *timezone;
	const struct varlena *context;
	int32		priority;
	TcCatchUp	catch_up;
	TimestampTz paused_at;
	TimestampTz next_due_at;
	TimestampTz last_due_at;
	int64		last_task_id;	/* 0 = none */
	const char *last_error;
	TimestampTz created_at;
	const char *created_by;
} TcSchedule;

/* False, with nothing changed, when the namespace has one of this name. */
extern bool tc_schedule_insert(TcSchedule *schedule);

/* Locks it; false when there is none. */
extern bool tc_schedule_lock(const char *namespace_name, const char *name, TcSchedule *schedule);

/* Of one namespace or (NULL) of all, by namespace and name. */
extern int	tc_schedule_list(const char *namespace_name, TcSchedule **schedules);

/* Locks those that are due, the longest overdue first; passes over what others hold, and n of them by id. */
extern int	tc_schedule_lock_due(int max_schedules, const int32 *passed_over, int n, TcSchedule **schedules);

/* The first time after `after` at which one is due; TC_NO_TIME = none. */
extern TimestampTz tc_schedule_next_due(TimestampTz after);

extern void tc_schedule_set_paused(int32 schedule_id, TimestampTz paused_at, TimestampTz next_due_at);

/* Writes what came of it: next_due_at, last_due_at, last_task_id, last_error. */
extern void tc_schedule_advance(const TcSchedule *schedule);

/* Why its time has no task yet. */
extern void tc_schedule_set_error(int32 schedule_id, const char *error);

extern void tc_schedule_delete(int32 schedule_id);

#endif							/* TC_SCHEDULE_STORE_H */
