/*
 * dead_letter_store.h
 *	  Failures that wait for a person.
 *
 * The row of a dead letter is locked after the row of its task, and by nobody
 * who does not hold that.
 */
#ifndef TC_DEAD_LETTER_STORE_H
#define TC_DEAD_LETTER_STORE_H

#include "store/session.h"
#include "tasker_core.h"

#define TC_DEAD_LETTER_STATES(X) \
	X(PENDING, "pending") \
	X(MANUALLY_RESOLVED, "manually_resolved") \
	X(PERMANENTLY_FAILED, "permanently_failed") \
	X(CANCELLED, "cancelled")

typedef enum TcDeadLetterState
{
#define X(id, name) TC_DEAD_LETTER_##id,
	TC_DEAD_LETTER_STATES(X)
#undef X
	TC_DEAD_LETTER_STATE_COUNT
} TcDeadLetterState;

extern const char *tc_dead_letter_state_name(TcDeadLetterState state);
extern bool tc_dead_letter_state_parse(const char *name, TcDeadLetterState *state);

/*
 * One pending entry for each task, whose rows the caller holds, sorted by
 * (shard_key, task_id).  A task that has one already keeps it, with what is new.
 * The reason is read from the newest final failure.
 */
extern void tc_dead_letters_record_failed(const int64 *task_ids, int n);

/*
 * The same for one task and another cause; details (a jsonb object, may be
 * NULL) go into the snapshot.  Returns the id of the entry.
 */
extern int64 tc_dead_letter_record(int64 task_id, const char *reason, const char *notes,
								   const struct varlena *details);

/* Closes the pending entry of a task, if it has one. */
extern void tc_dead_letter_settle(int64 task_id, TcDeadLetterState state, const char *notes);

/*
 * Closes pending entries of tasks that have come to a good end by themselves;
 * passes over what is locked.  Returns how many.
 */
extern int	tc_dead_letters_close_moot(int max_items);

/* The task of an entry, 0 when there is no such entry. */
extern int64 tc_dead_letter_task(int64 dead_letter_id);

/* The state of an entry in its newest version. */
extern TcDeadLetterState tc_dead_letter_state(int64 dead_letter_id, int64 task_id);

#endif							/* TC_DEAD_LETTER_STORE_H */
