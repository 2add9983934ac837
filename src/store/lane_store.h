/*
 * lane_store.h
 *	  Lanes: what a claim can choose by.
 *
 * A lane is one template, one queue and one priority.  All of them are cached
 * in every backend that asks: there are a few per template.  The claim index
 * begins with the lane, so rows of other namespaces, queues or templates never
 * stand in front of the ones a worker wants.
 */
#ifndef TC_LANE_STORE_H
#define TC_LANE_STORE_H

#include "tasker_core.h"

typedef struct TcLane
{
	int32		lane_id;
	int32		named_task_id;
	const char *namespace_name;
	const char *task_name;
	const char *task_version;
	const char *queue;
	int32		task_priority;	/* of its tasks, or the band of it (domain/priority.h) */
	int16		priority;		/* with the step's, the same way */
	bool		waits;			/* steps of its template wait for signals */
	bool		nests;			/* steps of its template run as tasks */
	bool		paused;			/* its namespace or template is paused */
	bool		limited;		/* steps of its template and queue have concurrency or rate limits */
} TcLane;

/* Which lanes a worker serves; NULL lists mean all. */
typedef struct TcLaneFilter
{
	char	  **namespaces;
	int			nnamespaces;
	char	  **task_names;		/* namespace/name or namespace/name@version */
	int			ntask_names;
	char	  **queues;
	int			nqueues;
	bool		with_sql;		/* SQL steps too, though no list names their queue */
} TcLaneFilter;

/* The lane of an id (its absolute value), of rows that exist. */
extern const TcLane *tc_lane_get(int32 lane_id);

/* The lane of a step of a task, added when it is the first of its kind. */
extern int32 tc_lane_for(int32 named_task_id, const char *queue,
						 int32 task_priority, int32 step_priority);

/* Would a worker with this filter take steps of the lane? */
extern bool tc_lane_matches(const TcLane *lane, const TcLaneFilter *filter);

/* Is there a lane of SQL steps, of any role? */
extern bool tc_lanes_have_sql(void);

/*
 * The lanes that match, are not paused, and that the caller may see, highest priority first.  Pointers stay valid until the
 * bracket ends.
 */
extern int	tc_lane_select(const TcLaneFilter *filter, const TcLane ***lanes);

/* Is there any lane whose template has steps that run as tasks? */
extern bool tc_lanes_nest(void);

#endif							/* TC_LANE_STORE_H */
