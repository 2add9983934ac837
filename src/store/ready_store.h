/*
 * ready_store.h
 *	  What is ready to be claimed, for people who look: nothing is locked.
 *
 * Reads the ranges of the claim index that claims read, lane by lane, so the
 * cost depends on how much is asked for, not on how much waits.
 */
#ifndef TC_READY_STORE_H
#define TC_READY_STORE_H

#include "store/lane_store.h"
#include "store/step_store.h"

/* A task with steps that a claim would take now. */
typedef struct TcReadyTask
{
	int64		task_id;
	int32		priority;		/* the highest of its ready steps */
	TimestampTz oldest_ready_at;	/* of the steps with that priority */
	int64		ready_steps;
} TcReadyTask;

/*
 * The first max_tasks of one shard in the order of claims.  lanes is sorted by
 * priority, highest first.
 */
extern int	tc_ready_tasks(int32 shard_key, const TcLane **lanes, int nlanes, int max_tasks,
						   TcReadyTask **tasks);

/* How many ready steps of the lanes come before one that is ready as well. */
typedef struct TcQueuePosition
{
	int64		before;			/* counted up to limit */
	int64		of_higher_priority;
} TcQueuePosition;

extern TcQueuePosition tc_ready_position(const TcLane **lanes, int nlanes, const TcLane *own_lane,
										 TcStepKey key, TimestampTz visible_at, int64 limit);

#endif							/* TC_READY_STORE_H */
