/*
 * retention.h
 *	  What is old is dropped.
 */
#ifndef TC_RETENTION_H
#define TC_RETENTION_H

#include "postgres.h"

typedef struct TcRetentionResult
{
	int			slots_begun;	/* the ring was turned */
	int			tasks_dropped;
	int			tasks_moved_on; /* still needed, and moved to the current slot */
	int			slots_truncated;
	int			idempotency_keys_dropped;
} TcRetentionResult;

/*
 * The next part of the work, at most max_items tasks and as many keys.  For one
 * session at a time.  Last in its transaction: it may hold locks on history that
 * nobody can be without.
 */
extern void tc_retain(int max_items, TcRetentionResult *result);

#endif							/* TC_RETENTION_H */
