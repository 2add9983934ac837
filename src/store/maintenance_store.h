/*
 * maintenance_store.h
 *	  How far maintenance has come.
 *
 * One row a shard.  The look at live tasks goes round: each call goes on where
 * the last one stopped, whichever session made it.
 */
#ifndef TC_MAINTENANCE_STORE_H
#define TC_MAINTENANCE_STORE_H

#include "store/session.h"

typedef struct TcMaintenancePosition
{
	int64		next_task_id;	/* 0 = from the beginning */
	TimestampTz ran_at;			/* TC_NO_TIME = never */
} TcMaintenancePosition;

/* The round is one session's at a time, until its transaction ends; never waits. */
extern bool tc_maintenance_take_turn(void);

/* For who has the turn. */
extern void tc_maintenance_read(int32 shard, TcMaintenancePosition *position);
extern void tc_maintenance_write(int32 shard, const TcMaintenancePosition *position);

/* The first time of a step in a shard after `after`; TC_NO_TIME = none. */
extern TimestampTz tc_maintenance_next_due(int32 shard, TimestampTz after);

/* The names of all namespaces. */
extern int	tc_maintenance_all_namespaces(const char ***names);

/* Namespaces of which a step's time came after `after` (TC_NO_TIME = ever). */
extern int	tc_maintenance_due_namespaces(int32 shard, TimestampTz after, const char ***names);

#endif							/* TC_MAINTENANCE_STORE_H */
