/*
 * sql_workers.h
 *	  The processes that run SQL steps, as the worker of their database keeps them.
 *
 * They are its children in all but the name: it starts them, it is told when they
 * end, and they are ended with it.
 */
#ifndef TC_SQL_WORKERS_H
#define TC_SQL_WORKERS_H

#include "nodes/pg_list.h"
#include "utils/timestamp.h"

/* How long one waits for more to do. */
#define TC_SQL_WORKER_PATIENCE_MS 3000

/* What one is started with, in bgw_extra. */
typedef struct TcSqlWorkerOrder
{
	Oid			database;
	Oid			role;
} TcSqlWorkerOrder;

/* Once in the life of the database's worker. */
extern void tc_sql_workers_init(void);

/* Has one ended since the last time?  Then there is room for another. */
extern bool tc_sql_workers_ended(void);

/*
 * In the bracket: for each role that has SQL steps due, wakes those that run and
 * starts one more where settings allow it.  Returns when to look again for a role
 * that has to wait because its last one ended too soon; TC_NEVER = none has.
 */
extern TimestampTz tc_sql_workers_attend(void);

/* Ends all, and waits a few seconds for it. */
extern void tc_sql_workers_stop(void);

#endif							/* TC_SQL_WORKERS_H */
