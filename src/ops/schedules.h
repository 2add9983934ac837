/*
 * schedules.h
 *	  Tasks that are made at certain times.
 */
#ifndef TC_SCHEDULES_H
#define TC_SCHEDULES_H

#include "store/schedule_store.h"

/*
 * Makes a schedule; next_due_at is filled in.  False when it is there already, as it
 * would be made.
 */
extern bool tc_create_schedule(TcSchedule *schedule);

/* Of one namespace or (NULL) of all that the caller may see, by namespace and name. */
extern int	tc_list_schedules(const char *namespace_name, TcSchedule **schedules);

/* Refuse a name that no schedule of the namespace has.  False when it is so already. */
extern bool tc_pause_schedule(const char *namespace_name, const char *name);
extern bool tc_resume_schedule(const char *namespace_name, const char *name);

/* False when there is none. */
extern bool tc_drop_schedule(const char *namespace_name, const char *name);

/*
 * Makes the tasks of schedules that are due; returns how many times that were.  A
 * time of which the task cannot be made is passed over, with the reason in last_error.
 */
extern int	tc_fire_schedules(int max_tasks);

#endif							/* TC_SCHEDULES_H */
