/*
 * hold_steps.c
 *	  Claims are held longer, or given back.
 *
 * Locks the queue rows of the steps, and the flow keys of claims that are given back.
 */
#include "postgres.h"

#include "compat.h"
#include "errors.h"
#include "events/events.h"
#include "ops/flow.h"
#include "ops/maps.h"
#include "ops/steps.h"
#include "store/task_store.h"
#include "store/template_store.h"
#include "store/worker_store.h"

/* Sorts the holds, locks their rows and marks which claims are live. */
static int
lock_held(TcHold *holds, int n, TcQueueRow **held)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * Max(n, 1));
	TcQueueRow *rows;
	int			nrows;
	int			nheld = 0;

	qsort(holds, n, sizeof(TcHold), tc_step_key_compare);
	for (int i = 0; i < n; i++)
		keys[i] = holds[i].key;
	nrows = tc_queue_lock_claims(keys, n, &rows);
	for (int i = 0, r = 0; i < n; i++)
	{
		while (r < nrows && tc_step_key_compare(&rows[r], &holds[i]) < 0)
			r++;
		holds[i].held = r < nrows && tc_step_key_compare(&rows[r], &holds[i]) == 0 &&
			rows[r].phase == TC_PHASE_CLAIMED && rows[r].claim_token == holds[i].claim_token;
		if (holds[i].held)
			rows[nheld++] = rows[r];
	}
	*held = rows;
	return nheld;
}

/* No lease becomes shorter, and none reaches beyond the time the step may take. */
static TimestampTz
extended_lease(const TcQueueRow *row, double lease_seconds)
{
	const TcTemplate *template = tc_template_get(tc_lane_get(row->lane_id)->named_task_id);
	const TcStep *step = tc_step_of(template, row->key.step_no);
	TimestampTz lease = Max(row->visible_at,
							tc_session_now() + (TimestampTz) (lease_seconds * USECS_PER_SEC));

	if (step->timeout_seconds == 0)
		return lease;
	return Min(lease, row->claimed_at + step->timeout_seconds * USECS_PER_SEC);
}

void
tc_heartbeat(const char *worker_id, TcHold *holds, int n, double lease_seconds)
{
	TcQueueRow *held;
	int			nheld = lock_held(holds, n, &held);
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * Max(nheld, 1));
	TimestampTz *lease_until = palloc(sizeof(TimestampTz) * Max(nheld, 1));

	for (int i = 0; i < nheld; i++)
	{
		keys[i] = held[i].key;
		lease_until[i] = extended_lease(&held[i], lease_seconds);
	}
	tc_queue_extend(keys, lease_until, nheld);
	tc_worker_touch(worker_id, NULL);
}

int
tc_release_steps(TcHold *holds, int n, double delay_seconds)
{
	TcQueueRow *held;
	int			nheld = lock_held(holds, n, &held);
	TimestampTz visible_at = tc_session_now() + (TimestampTz) (delay_seconds * USECS_PER_SEC);
	TcStepMove *moves;

	if (nheld == 0)
		return 0;
	moves = palloc(sizeof(TcStepMove) * nheld);
	for (int i = 0; i < nheld; i++)
		moves[i] = tc_move_of_claim(&held[i], TC_VERB_RELEASE, TC_STEP_PENDING, NULL);
	tc_step_record_moves(moves, nheld);
	tc_queue_release(held, nheld, visible_at);
	tc_flow_release(held, nheld);
	if (delay_seconds > 0)
		tc_event_timer(visible_at);
	for (int i = 0; i < nheld; i++)
	{
		if (delay_seconds == 0 && held[i].lane_id > 0)
			tc_event_ready(tc_lane_get(held[i].lane_id)->namespace_name);
	}
	return nheld;
}

bool
tc_checkpoint_step(TcStepKey key, int64 claim_token, const struct varlena *checkpoint, bool yield)
{
	TcHold		hold = {.key = key, .claim_token = claim_token};
	TcQueueRow *row;
	TcStepMove	move;

	if (lock_held(&hold, 1, &row) == 0)
		return false;
	tc_queue_set_checkpoint(key, checkpoint);
	tc_event_step(TC_EVENT_STEP_CHECKPOINTED, key.task_id, key.step_no);
	if (!yield)
		return true;

	move = tc_move_of_claim(row, TC_VERB_YIELD, TC_STEP_PENDING, NULL);
	tc_step_record_moves(&move, 1);
	tc_queue_release(row, 1, tc_session_now());
	tc_flow_release(row, 1);
	if (row->lane_id > 0)
		tc_event_ready(tc_lane_get(row->lane_id)->namespace_name);
	return true;
}

TcTaskState
tc_require_step(TcStepKey key)
{
	TcTaskRow  *task;

	if (tc_task_read_latest(&key.task_id, 1, &task) != 1 ||
		!tc_step_exists(tc_template_get(task->named_task_id), key))
		tc_raise_step_not_found(tc_step_id(key.task_id, key.step_no));
	return task->state;
}
