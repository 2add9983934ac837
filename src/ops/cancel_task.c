/*
 * cancel_task.c
 *	  A task is called off, or ended by hand; paused, or resumed.
 *
 * Once the task is held, no worker can end a step of it.  A task that ends takes
 * its queue rows along: the claims are gone, and with them the right to report.
 */
#include "postgres.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "ops/changes.h"
#include "ops/children.h"
#include "ops/flow.h"
#include "store/dead_letter_store.h"

static void
cancel_claims(const TcHeldTask *held, const char *reason)
{
	TcStepMove *moves = palloc(sizeof(TcStepMove) * Max(held->nrows, 1));
	int			nmoves = 0;

	for (int i = 0; i < held->nrows; i++)
	{
		const TcQueueRow *row = &held->rows[i];

		if (row->phase == TC_PHASE_ENDED)
			continue;
		tc_event_step(TC_EVENT_STEP_CANCELLED, row->key.task_id, row->key.step_no);
		if (row->phase == TC_PHASE_CLAIMED || row->phase == TC_PHASE_TASK)
			moves[nmoves++] = tc_move_of_claim(row, TC_VERB_CANCEL, TC_STEP_CANCELLED, reason);
	}
	tc_step_record_moves(moves, nmoves);
}

static bool
end_task(int64 task_id, TcTaskState to, const char *done, const char *reason,
		 const struct varlena *metadata)
{
	TcTaskMove	move = {.task_id = task_id, .to = to};
	TcHeldTask	held;

	tc_hold_task(task_id, &held);
	move.from = held.view.task.state;
	if (tc_task_move(move.from, move.to) == TC_MOVE_NOOP)
		return false;
	if (tc_task_move(move.from, move.to) == TC_MOVE_ILLEGAL)
		tc_raise_task_not_active(task_id, move.from, done);

	cancel_claims(&held, reason);
	tc_queue_clear(task_id);
	tc_task_write_moves(&move, 1, reason, metadata);
	tc_dead_letter_settle(task_id, to == TC_TASK_CANCELLED ? TC_DEAD_LETTER_CANCELLED
						  : TC_DEAD_LETTER_MANUALLY_RESOLVED, reason);
	tc_children_disown(task_id, held.view.template, NULL, false, reason);
	tc_child_ended(task_id, held.view.task.parent_step_id, to);
	tc_flow_release(held.rows, held.nrows);
	return true;
}

bool
tc_cancel_task(int64 task_id, const char *reason, const struct varlena *metadata)
{
	if (!end_task(task_id, TC_TASK_CANCELLED, "cancelled", reason, metadata))
		return false;
	tc_event_task(TC_EVENT_TASK_CANCELLED, task_id);
	return true;
}

bool
tc_resolve_task(int64 task_id, const char *reason, const struct varlena *metadata)
{
	if (!end_task(task_id, TC_TASK_RESOLVED_MANUALLY, "resolved", reason, metadata))
		return false;
	tc_event_task(TC_EVENT_TASK_RESOLVED_MANUALLY, task_id);
	return true;
}

/* Nobody was told of the times of a paused task. */
static void
post_times(const TcHeldTask *held)
{
	for (int i = 0; i < held->nrows; i++)
	{
		const TcQueueRow *row = &held->rows[i];

		if (tc_phase_is_live(row->phase))
			tc_event_timer(row->visible_at);
	}
}

/* Steps that run as tasks, and whose turn came in the pause. */
static void
launch_waiting(const TcHeldTask *held)
{
	for (int i = 0; i < held->nrows; i++)
	{
		if (held->rows[i].phase == TC_PHASE_TASK)
			tc_children_launch(&held->rows[i].key, 1);
	}
}

/* Claims that are held may still end; what they make ready is born paused. */
static bool
set_paused(int64 task_id, bool paused, const char *reason)
{
	TcHeldTask	held;

	tc_hold_task(task_id, &held);
	if (tc_task_state_is_final(held.view.task.state))
		tc_raise_task_not_active(task_id, held.view.task.state, paused ? "paused" : "resumed");
	if ((held.view.task.paused_at != TC_NO_TIME) == paused)
		return false;
	tc_queue_set_paused(task_id, paused);
	tc_task_set_paused(task_id, paused, reason);
	tc_event_task(paused ? TC_EVENT_TASK_PAUSED : TC_EVENT_TASK_RESUMED, task_id);
	if (!paused)
	{
		tc_event_ready(held.view.template->namespace_name);
		post_times(&held);
		launch_waiting(&held);
	}
	return true;
}

bool
tc_pause_task(int64 task_id, const char *reason)
{
	return set_paused(task_id, true, reason);
}

bool
tc_resume_task(int64 task_id, const char *reason)
{
	return set_paused(task_id, false, reason);
}
