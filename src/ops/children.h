/*
 * children.h
 *	  Steps that run as tasks of their own, and what passes between parent and child.
 *
 * Every function here does at once what it can without waiting for locks, and writes
 * down the rest (child_store.h).  None fails because of it.
 */
#ifndef TC_CHILDREN_H
#define TC_CHILDREN_H

#include "domain/template.h"
#include "store/step_store.h"
#include "store/task_store.h"

/* The turn of these steps has come: their rows are of phase task. */
extern void tc_children_launch(const TcStepKey *keys, int n);

/* These tasks have begun.  What they run for has too: a task that was scheduled with them is pending until then. */
extern void tc_children_began(const int64 *task_ids, int n);

/* A task has ended in this state; what it ran for follows.  Nothing for a task that is no child. */
extern void tc_child_ended(int64 task_id, int64 parent_step_id, TcTaskState state);

/* A task in error goes on: so does the step it runs for. */
extern void tc_child_goes_on(int64 task_id, int64 parent_step_id);

/*
 * Nobody waits for the children of these steps of a task any more (nodes NULL: of any);
 * those that have not ended are cancelled.  With keep_failed, those in error stay, since
 * their step is in error too and may be tried again.
 */
extern void tc_children_disown(int64 task_id, const TcTemplate *template, const bool *nodes,
							   bool keep_failed, const char *reason);

/*
 * How many errands this session has done so far.  Where that grew during a call, its tasks may
 * have changed once more, and what the call answers has to be read again.
 */
extern uint64 tc_children_done(void);

/* Errands of a shard that somebody wrote down: those whose rows are free by now.  Returns how many were done. */
extern int	tc_errands_do(int32 shard_key, int max);

#endif							/* TC_CHILDREN_H */
