/*
 * slot_store.h
 *	  Which members of the history tables hold what: tasker.history_slots.
 *
 * A task's slot is in its row and in its queue rows, and its history is in the
 * members of that slot.  Whoever writes history holds the task row or a live
 * queue row of the task, so that the slot cannot change meanwhile.
 */
#ifndef TC_SLOT_STORE_H
#define TC_SLOT_STORE_H

#include "store/session.h"

/* The number of members of each table of history. */
#define TC_SLOT_COUNT 8

/* The slot of a task, where the statement has no row of it at hand. */
#define TC_SLOT_OF(task_id, shard_key) \
	"(SELECT s.slot FROM tasker.tasks s WHERE s.task_id = " task_id " AND s.shard_key = " shard_key ")"

/*
 * One statement for each slot: PLAN(slot) names the members, as in
 * "tasker.step_attempts_" slot.  A statement on the parent table is planned over
 * all members, and locks all of them each time.
 */
#define TC_FOR_EACH_SLOT(PLAN) \
	{PLAN("0"), PLAN("1"), PLAN("2"), PLAN("3"), PLAN("4"), PLAN("5"), PLAN("6"), PLAN("7")}

/* Where new tasks and events of one's own go. */
extern int16 tc_slot_current(void);

/* ---- for retention, one session at a time --------------------------------- */

typedef struct TcSlot
{
	int16		slot;
	TimestampTz began_at;
	TimestampTz ended_at;		/* TC_NO_TIME = the current one */
	int32		next_shard_key; /* how far it is emptied */
	int64		next_task_id;
	int64		emptied_xact;	/* no task was left in it in this transaction; 0 = not so far */
} TcSlot;

/* The slots in use, oldest first; none: slot 0, since ever. */
extern int	tc_slots_read(TcSlot **slots);

/* From the end of this transaction on, new tasks go to `to`, which is free. */
extern void tc_slot_turn(int16 from, int16 to);

/* How far a slot is emptied. */
extern void tc_slot_write_progress(const TcSlot *slot);

/* Tasks of a slot, from an id on. */
extern int	tc_slot_tasks(int32 shard, int16 slot, int64 from_task_id, int max_tasks, int64 **task_ids);

/* Is there a task left in any shard? */
extern bool tc_slot_has_tasks(int16 slot);

/*
 * Removes those of the tasks that ended before `before`, for good, with all that
 * is kept by task and in no slot.  Tasks that wait for a person or that somebody
 * has in hand stay.  Returns how many, and writes their ids over task_ids.
 */
extern int	tc_slot_drop_tasks(int32 shard, int64 *task_ids, int n, TimestampTz before);

/* Moves a task and its history; the caller holds the task row and every queue row of it. */
extern void tc_slot_move_task(int64 task_id, int16 from, int16 to);

/*
 * Can nobody see any more what was there before that transaction?  TRUNCATE is
 * not for snapshots: whoever has an older one would see neither the history nor
 * that its tasks are gone.
 */
extern bool tc_slot_is_unseen(int64 event_xact);

/* Locks the members of a slot against everybody, and empties them. */
extern void tc_slot_lock(int16 slot);
extern void tc_slot_truncate(int16 slot);

#endif							/* TC_SLOT_STORE_H */
