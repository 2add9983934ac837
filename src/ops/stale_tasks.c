/*
 * stale_tasks.c
 *	  Tasks that have stood still for longer than their template allows.
 *
 * Nothing here waits: a task that somebody has in hand just now is left for
 * another time.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/states.h"
#include "events/events.h"
#include "ops/changes.h"
#include "ops/children.h"
#include "ops/flow.h"
#include "ops/operations.h"
#include "store/attempt.h"

/* How many live tasks one statement looks at. */
#define TASKS_PER_LOOK 1000

static int
compare_stale(const void *a, const void *b)
{
	const TcStaleTask *x = a;
	const TcStaleTask *y = b;

	if (x->stale_since != y->stale_since)
		return x->stale_since < y->stale_since ? -1 : 1;
	return x->task_id < y->task_id ? -1 : 1;
}

/* Adds those of one look, and keeps the longest overdue. */
static int
merge_stale(TcStaleTask *kept, int nkept, const TcStaleTask *more, int nmore, int max_tasks)
{
	memcpy(kept + nkept, more, sizeof(TcStaleTask) * nmore);
	qsort(kept, nkept + nmore, sizeof(TcStaleTask), compare_stale);
	return Min(nkept + nmore, max_tasks);
}

int
tc_find_stale_tasks(bool actionable, int max_tasks, TcStaleTask **stale)
{
	int			found = 0;

	*stale = palloc(sizeof(TcStaleTask) * Max(max_tasks, 1) * 2);
	for (int32 shard = 0; shard < tc_shard_count() && max_tasks > 0; shard++)
	{
		int64		next = 0;
		int64	   *task_ids;
		int			n;

		while ((n = tc_stale_next_tasks(shard, next, TASKS_PER_LOOK, &task_ids)) > 0)
		{
			TcStaleTask *more;
			int			nmore;

			CHECK_FOR_INTERRUPTS();
			nmore = tc_stale_find(task_ids, n, actionable, max_tasks, &more);
			found = merge_stale(*stale, found, more, nmore, max_tasks);
			next = task_ids[n - 1] + 1;
		}
	}
	return found;
}

/* ---- ending in error ----------------------------------------------------- */

/*
 * Claims are taken from their workers, and waits are over: the steps are pending,
 * and none of them counts as failed, because the task as a whole ran out of time.
 */
static void
stop_steps(const TcHeldTask *held, const char *reason)
{
	TcStepMove *moves = palloc(sizeof(TcStepMove) * Max(held->nrows, 1));
	int			n = 0;

	for (int i = 0; i < held->nrows; i++)
	{
		const TcQueueRow *row = &held->rows[i];

		if (row->phase == TC_PHASE_CLAIMED || row->phase == TC_PHASE_TASK)
			moves[n++] = tc_move_of_claim(row, TC_VERB_CASCADE, TC_STEP_PENDING, reason);
		else if (row->waits_for_retry)
		{
			TcStepMove	move = {
				.key = row->key,
				.after_attempt_no = row->attempt_no,
				.verb = TC_VERB_CASCADE,
				.from = TC_STEP_WAITING_FOR_RETRY,
				.to = TC_STEP_PENDING,
				.reason = reason,
			};

			moves[n++] = move;
		}
	}
	tc_step_record_moves(moves, n);
	tc_queue_clear(held->view.task.task_id);
}

/* {"stale": details}: verify_task knows by it why a task is in error without a failed step. */
static struct varlena *
mark_stale(struct varlena *details)
{
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString};
	JsonbValue	value = {.type = jbvBinary};

	key.val.string.val = "stale";
	key.val.string.len = strlen("stale");
	value.val.binary.data = &((Jsonb *) details)->root;
	value.val.binary.len = VARSIZE(details) - VARHDRSZ;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, &value);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
end_in_error(const TcHeldTask *held, const TcStaleTask *stale)
{
	TcTaskMove	start = {.task_id = stale->task_id, .from = TC_TASK_PENDING, .to = TC_TASK_IN_PROGRESS};
	TcTaskMove	end = {.task_id = stale->task_id, .from = TC_TASK_IN_PROGRESS, .to = TC_TASK_ERROR};
	struct varlena *metadata = mark_stale(stale->details);

	stop_steps(held, stale->explanation);
	if (held->view.task.state == TC_TASK_PENDING)
		tc_task_write_moves(&start, 1, stale->explanation, metadata);
	tc_task_write_moves(&end, 1, stale->explanation, metadata);
	tc_event_task(TC_EVENT_TASK_FAILED, stale->task_id);
	tc_children_disown(stale->task_id, held->view.template, NULL, true, stale->explanation);
	tc_child_ended(stale->task_id, held->view.task.parent_step_id, TC_TASK_ERROR);
	tc_flow_release(held->rows, held->nrows);
}

/* ---- the story ----------------------------------------------------------- */

/* The locks that the treatment takes; a dead letter alone changes no step. */
static bool
hold(const TcStaleTask *stale, TcHeldTask *held)
{
	TcTaskRow  *task;

	if (stale->ends)
		return tc_hold_task_nowait(stale->task_id, held);
	return tc_task_lock(&stale->task_id, 1, true, &task) == 1;
}

static bool
treat(void *arg)
{
	TcStaleTask *stale = arg;
	TcStaleTask *again;
	TcHeldTask	held;

	/* it was found without a lock: look again, now that nobody can change it */
	if (!hold(stale, &held) || tc_stale_find(&stale->task_id, 1, true, 1, &again) != 1)
		return false;
	/* its time ran out between the two looks: its steps are not held, the next round ends it */
	if (again->ends && !stale->ends)
		return false;
	*stale = *again;
	if (stale->ends)
		end_in_error(&held, stale);
	if (stale->dead_letter)
		tc_dead_letter_record(stale->task_id, "stale", NULL, stale->details);
	return true;
}

bool
tc_treat_stale_task(TcStaleTask *stale)
{
	return tc_attempt(treat, stale, TC_WAIT_BRIEFLY);
}
