/*
 * limit_store.h
 *	  Counts that limits are measured against.
 */
#ifndef TC_LIMIT_STORE_H
#define TC_LIMIT_STORE_H

/* The tasks of a namespace that are pending and not paused, this transaction's own included. */
extern int64 tc_limit_pending_tasks(const char *namespace_name);

/* Notes that the calling role creates n tasks; returns how many that makes in a minute. */
extern int64 tc_limit_note_starts(const char *role, int n);

#endif							/* TC_LIMIT_STORE_H */
