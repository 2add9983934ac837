/*
 * retention.c
 *	  What is old is dropped.
 *
 * The history tables are rings of eight members.  One slot is current: new tasks
 * go there.  It is followed by the next one after a sixth of the retention time,
 * so that six slots lie between the current one and the one whose time is over.
 * Of that one, tasks that ended long ago are removed and the others moved to the
 * current slot, in bounded parts; then its members are truncated, which takes as
 * long for a million rows as for one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ops/configure.h"
#include "ops/retention.h"
#include "store/attempt.h"
#include "store/event_store.h"
#include "store/slot_store.h"
#include "store/step_store.h"
#include "store/task_store.h"

/* Slots between the current one and the one that is emptied. */
#define SLOTS_PER_RETENTION (TC_SLOT_COUNT - 2)

#define NO_LIMIT (-1)

/* ---- turning the ring ----------------------------------------------------- */

static bool
is_used(const TcSlot *slots, int n, int16 slot)
{
	for (int i = 0; i < n; i++)
	{
		if (slots[i].slot == slot)
			return true;
	}
	return false;
}

/* A ring that was never turned holds what came since the beginning of time. */
static bool
turn(const TcSlot *slots, int n, TimestampTz retention)
{
	int16		current = n == 0 ? 0 : slots[n - 1].slot;
	int16		next = (current + 1) % TC_SLOT_COUNT;

	if (n > 0 && tc_session_now() < slots[n - 1].began_at + retention / SLOTS_PER_RETENTION)
		return false;
	if (is_used(slots, n, next))
		return false;			/* not emptied so far: the current one goes on */
	tc_slot_turn(current, next);
	return true;
}

/* ---- emptying a slot ------------------------------------------------------ */

typedef struct Part
{
	int32		shard;
	int16		slot;
	int16		current;
	TimestampTz before;
	int64	   *task_ids;
	int			n;
	int64	   *dropped;		/* in ascending order, as task_ids */
	int			ndropped;
} Part;

/* From here on their events cannot be read any more, although the history is still there. */
static bool
drop_ended(void *arg)
{
	Part	   *part = arg;

	memcpy(part->dropped, part->task_ids, sizeof(int64) * part->n);
	part->ndropped = tc_slot_drop_tasks(part->shard, part->dropped, part->n, part->before);
	tc_event_note_dropped(part->shard, part->slot, part->dropped, part->ndropped);
	return part->ndropped > 0;
}

typedef struct Move
{
	int64		task_id;
	int16		from;
	int16		to;
} Move;

/* The locks of a change of the task's shape, if all of them are free. */
static bool
move_on(void *arg)
{
	Move	   *move = arg;
	TcQueueRow *rows;
	TcTaskRow  *task;
	int			nlocked;

	tc_queue_lock_task_nowait(move->task_id, &rows, &nlocked);
	if (tc_task_lock(&move->task_id, 1, true, &task) != 1 || task->slot != move->from ||
		tc_queue_read_task(move->task_id, &rows) != nlocked)
		return false;
	tc_slot_move_task(move->task_id, move->from, move->to);
	return true;
}

static void
move_rest(const Part *part, TcRetentionResult *result)
{
	int			d = 0;

	for (int i = 0; i < part->n; i++)
	{
		Move		move = {part->task_ids[i], part->slot, part->current};

		CHECK_FOR_INTERRUPTS();
		if (d < part->ndropped && part->dropped[d] == move.task_id)
			d++;
		else if (tc_attempt(move_on, &move, TC_WAIT_BRIEFLY))
			result->tasks_moved_on++;
	}
}

/*
 * What somebody has in hand just now is passed over; as long as there is such a
 * task the round over the slot begins anew.
 */
static void
empty_part(TcSlot *slot, int16 current, TimestampTz before, int max_items, TcRetentionResult *result)
{
	Part		part = {
		.shard = slot->next_shard_key, .slot = slot->slot, .current = current, .before = before
	};

	part.n = tc_slot_tasks(part.shard, part.slot, slot->next_task_id, max_items, &part.task_ids);
	part.dropped = palloc(sizeof(int64) * Max(part.n, 1));
	if (!tc_attempt(drop_ended, &part, TC_WAIT_BRIEFLY))
		part.ndropped = 0;
	result->tasks_dropped += part.ndropped;
	move_rest(&part, result);

	if (part.n == max_items)
		slot->next_task_id = part.task_ids[part.n - 1] + 1;
	else
	{
		slot->next_task_id = 0;
		slot->next_shard_key = (slot->next_shard_key + 1) % tc_shard_count();
		if (slot->next_shard_key == 0 && !tc_slot_has_tasks(slot->slot))
			slot->emptied_xact = tc_event_current_xact();
	}
	tc_slot_write_progress(slot);
}

/* ---- truncating it -------------------------------------------------------- */

/* A task that came late, from a transaction that was open all the time, is seen under the lock. */
static bool
truncate_if_empty(void *arg)
{
	TcSlot	   *slot = arg;

	tc_slot_lock(slot->slot);
	if (tc_slot_has_tasks(slot->slot))
		return false;
	tc_event_note_dropped_own(slot->slot);
	tc_slot_truncate(slot->slot);
	return true;
}

static bool
truncate_slot(TcSlot *slot)
{
	if (!tc_slot_is_unseen(slot->emptied_xact))
		return false;
	if (tc_slot_has_tasks(slot->slot))
	{
		slot->emptied_xact = 0;
		tc_slot_write_progress(slot);
		return false;
	}
	return tc_attempt(truncate_if_empty, slot, TC_WAIT_BRIEFLY);
}

/* ---- the story ------------------------------------------------------------ */

static TimestampTz
days(int32 n)
{
	return (TimestampTz) n * USECS_PER_DAY;
}

static void
retain_history(TimestampTz retention, int max_items, TcRetentionResult *result)
{
	TimestampTz before = tc_session_now() - retention;
	TcSlot	   *slots;
	int			n = tc_slots_read(&slots);

	if (turn(slots, n, retention))
	{
		result->slots_begun = 1;
		n = tc_slots_read(&slots);
	}
	if (slots[0].ended_at == TC_NO_TIME || slots[0].ended_at > before)
		return;
	if (slots[0].emptied_xact == 0)
		empty_part(&slots[0], slots[n - 1].slot, before, max_items, result);
	else
		result->slots_truncated = truncate_slot(&slots[0]) ? 1 : 0;
}

void
tc_retain(int max_items, TcRetentionResult *result)
{
	int32		history = tc_setting(TC_SETTING_RETENTION_DAYS, NO_LIMIT);
	int32		keys = tc_setting(TC_SETTING_IDEMPOTENCY_RETENTION_DAYS, NO_LIMIT);

	if (keys != NO_LIMIT)
		result->idempotency_keys_dropped =
			tc_task_forget_keys(tc_session_now() - days(keys), max_items);
	if (history != NO_LIMIT)
		retain_history(days(history), max_items, result);
}
