/*
 * signal_store.h
 *	  Signals, and the steps that wait for them.
 *
 * A signal is kept until a step takes it.  A sender that finds nobody waiting
 * holds the task row while it puts its signal down; a step that begins to wait
 * looks again under the same lock.  So either of them sees the other.
 */
#ifndef TC_SIGNAL_STORE_H
#define TC_SIGNAL_STORE_H

#include "store/claim_store.h"
#include "store/step_store.h"

/* Puts a signal down: for the step that takes it at once, or for later (0). */
extern void tc_signal_insert(int64 task_id, const char *name, const struct varlena *payload,
							 int32 taken_by);

/*
 * Takes the oldest signal of that name that nobody has taken; NULL when there is
 * none.  Waits for another that is just taking it.
 */
extern struct varlena *tc_signal_take(TcStepKey key, const char *name);

/* Has the task a signal, of any name, that nobody has taken?  Sees all that is committed. */
extern bool tc_signal_is_kept(int64 task_id);

/* The steps of a task that wait for a signal, by number; no lock. */
extern int	tc_waits_read(int64 task_id, TcStepKey **keys);

/* Waits that have to be looked at: their time is over, or there may be a signal. */
extern int	tc_waits_find_due(const TcClaimScope *scope, int max_steps, TcStepKey **keys);

/* When a wait is looked at next. */
extern void tc_waits_set_time(const TcStepKey *keys, int n, TimestampTz visible_at);

#endif							/* TC_SIGNAL_STORE_H */
