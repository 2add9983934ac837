/*
 * signals.c
 *	  Signals to tasks, and the steps that wait for them.
 *
 * Locks of a sender: the row of the step that takes the signal, then what follows
 * when a step ends.  With nobody waiting: the task row, and under it one more
 * look, so that a step that begins to wait at the same moment is not missed (see
 * signal_store.h).
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/limits.h"
#include "ops/progress.h"
#include "ops/signals.h"
#include "store/attempt.h"
#include "store/signal_store.h"
#include "store/task_store.h"
#include "store/template_store.h"

typedef struct Signal
{
	int64		task_id;
	const TcTemplate *template;
	const char *name;
	const struct varlena *payload;
} Signal;

static bool
waits_for(const TcTemplate *template, int32 node, const char *name)
{
	const char *own = template->steps[node].signal_name;

	return own != NULL && strcmp(own, name) == 0;
}

static void
require_receiver(const TcTemplate *template, const char *name)
{
	for (int32 node = 0; node < template->nsteps; node++)
	{
		if (waits_for(template, node, name))
			return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("no step waits for signal \"%s\"", name),
			 errdetail("No step of template \"%s/%s\" version \"%s\" has wait_for_signal with that name.",
					   template->namespace_name, template->name, template->version),
			 errhint("tasker.get_task_template() shows what its steps wait for.")));
}

/* The first step that waits for it now; false when none does. */
static bool
find_receiver(const Signal *signal, TcStepKey *key)
{
	TcStepKey  *waits;
	int			n = tc_waits_read(signal->task_id, &waits);

	for (int i = 0; i < n; i++)
	{
		if (!waits_for(signal->template, waits[i].step_no - 1, signal->name))
			continue;
		*key = waits[i];
		return true;
	}
	return false;
}

static TcStart
start_of_signal(const char *name, const struct varlena *payload)
{
	TcStart		start = {
		.state = TC_STEP_COMPLETE,
		.verb = TC_VERB_SIGNAL,
		.reason = name,
		.results = payload,
	};

	return start;
}

static bool
deliver(const Signal *signal, TcStepKey key)
{
	TcStart		start = start_of_signal(signal->name, signal->payload);
	TcQueueRow	row;
	TcEnded		ended;

	if (!tc_queue_lock_wait(key, TC_PHASE_SIGNAL, TC_LOCK_WAITS, &row))
		return false;
	tc_signal_insert(signal->task_id, signal->name, signal->payload, key.step_no);
	tc_end_by_itself(&row, &start, &ended);
	return true;
}

/* Only the task row is held: whoever began to wait meanwhile is served from the start. */
static bool
keep(void *arg)
{
	const Signal *signal = arg;
	TcTaskRow  *task;
	TcStepKey	key;

	if (tc_task_lock(&signal->task_id, 1, false, &task) != 1)
		tc_raise_task_not_found(signal->task_id);
	if (tc_task_state_is_final(task->state))
		tc_raise_task_not_active(signal->task_id, task->state, "signalled");
	if (find_receiver(signal, &key))
		return false;
	tc_signal_insert(signal->task_id, signal->name, signal->payload, 0);
	return true;
}

/* The wait that was found cannot be locked: it ended, or a snapshot of before it began hides it for good. */
static void
refuse_old_snapshot(int64 task_id)
{
	if (!IsolationUsesXactSnapshot())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access: a wait for this signal began or ended meanwhile"),
			 errdetail("Task " INT64_FORMAT " changed after this transaction took its snapshot.", task_id),
			 errhint("Try the transaction again.")));
}

bool
tc_send_signal(int64 task_id, const char *name, const struct varlena *payload)
{
	Signal		signal = {.task_id = task_id, .name = name, .payload = payload};
	TcTaskRow  *task;
	TcStepKey	key;

	tc_limit_payload(payload, "payload");
	if (tc_task_read_latest(&task_id, 1, &task) != 1)
		tc_raise_task_not_found(task_id);
	signal.template = tc_template_get(task->named_task_id);
	require_receiver(signal.template, name);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (find_receiver(&signal, &key))
		{
			if (deliver(&signal, key))
				return true;
			refuse_old_snapshot(task_id);
		}
		else if (tc_attempt(keep, &signal, TC_WAIT_AS_LONG_AS_IT_TAKES))
			return false;
	}
}

/* ---- waits that are due -------------------------------------------------- */

/* The time counts from when the task is to run, where that is later. */
static TimestampTz
deadline_of(const TcQueueRow *row, const TcStep *step)
{
	TcTaskRow  *task;

	if (tc_task_read_latest(&row->key.task_id, 1, &task) != 1)
		elog(ERROR, "a step in the queue has no task");
	return tc_wait_deadline(step, Max(row->claimed_at, task->run_at));
}

static bool
settle_wait(void *arg)
{
	TcStepKey	key = *(TcStepKey *) arg;
	TcStart		start;
	TcQueueRow	row;
	TcEnded		ended;
	const TcStep *step;
	struct varlena *payload;

	if (!tc_queue_lock_wait(key, TC_PHASE_SIGNAL, TC_LOCK_SKIPS, &row) || row.lane_id < 0 || row.visible_at > tc_session_now())
		return false;
	step = &tc_template_of_lane(row.lane_id)->steps[key.step_no - 1];
	payload = tc_signal_take(key, step->signal_name);
	if (payload != NULL)
		start = start_of_signal(step->signal_name, payload);
	else if (deadline_of(&row, step) <= tc_session_now())
		start = tc_start_of_timeout(step);
	else
	{
		tc_waits_set_time(&key, 1, deadline_of(&row, step));
		return true;
	}
	tc_end_by_itself(&row, &start, &ended);
	return true;
}

bool
tc_settle_wait(TcStepKey key)
{
	return tc_attempt(settle_wait, &key, TC_WAIT_BRIEFLY);
}
