/*
 * worker_store.h
 *	  Who is alive.
 */
#ifndef TC_WORKER_STORE_H
#define TC_WORKER_STORE_H

/*
 * Notes that the worker was seen.  Writes at most every ten seconds a backend
 * and never waits, so that many threads of one worker cost one row write now
 * and then.
 */
extern void tc_worker_touch(const char *worker_id);

/* Forgets workers that were not seen for a day; passes over what is locked.  Returns how many. */
extern int	tc_workers_forget(int max_workers);

#endif							/* TC_WORKER_STORE_H */
