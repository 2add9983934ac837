/*
 * worker.h
 *	  The background worker: what it does promptly, others do in time.
 *
 * A layer above ops.  Correctness depends on none of it: without
 * shared_preload_libraries, or while it is down, claims find what is due by
 * themselves and tasker.run_maintenance() does the rest.
 */
#ifndef TC_WORKER_H
#define TC_WORKER_H

/* In _PG_init: registers the launcher where the library is preloaded, else nothing. */
extern void tc_worker_init(void);

/* The entry points that the postmaster starts. */
extern PGDLLEXPORT void tc_launcher_main(Datum arg);
extern PGDLLEXPORT void tc_worker_main(Datum board);
extern PGDLLEXPORT void tc_sql_worker_main(Datum arg);

#endif							/* TC_WORKER_H */
