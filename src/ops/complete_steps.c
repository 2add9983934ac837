/*
 * complete_steps.c
 *	  Results come back: steps complete, children become ready, tasks end.
 *
 * Locks, in this order: the queue rows of the completed steps, those of the
 * joins behind them, the rows of the tasks in which nothing became ready, and the
 * flow keys that the claims held.
 * A completion that readied a child leaves the task row alone, since that child
 * will run; so the branches of a task do not wait for one another.
 *
 * Results that do not match their schema change nothing: the claim stays.
 */
#include "postgres.h"

#include "compat.h"
#include "events/events.h"
#include "ops/flow.h"
#include "ops/maps.h"
#include "ops/progress.h"
#include "ops/schemas.h"
#include "ops/steps.h"
#include "store/lane_store.h"
#include "store/template_store.h"

/* The items whose claims are live: parallel arrays. */
typedef struct Held
{
	TcCompletion **items;
	TcQueueRow *rows;
	int			n;
} Held;

/* Do its results match the schema of their step?  The claim is live. */
static bool
accept_results(TcCompletion *item, const TcQueueRow *row)
{
	const TcTemplate *template = tc_template_get(tc_lane_get(row->lane_id)->named_task_id);

	item->task_state = TC_TASK_IN_PROGRESS;
	item->invalid = tc_check_results(template, tc_node_of(template, row->key.step_no), item->results, &item->taken);
	item->status = item->invalid == NULL ? TC_COMPLETED : TC_INVALID_RESULT;
	return item->invalid == NULL;
}

/* Both sides are sorted, and no key stands twice. */
static void
match_claims(TcCompletion *items, int n, TcQueueRow *rows, int nrows, Held *held)
{
	int			r = 0;

	held->items = palloc(sizeof(TcCompletion *) * Max(n, 1));
	held->rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	held->n = 0;
	for (int i = 0; i < n; i++)
	{
		items[i].status = TC_LEASE_LOST;
		items[i].steps_ready = 0;
		while (r < nrows && tc_step_key_compare(&rows[r], &items[i]) < 0)
			r++;
		if (r == nrows || tc_step_key_compare(&rows[r], &items[i]) != 0 ||
			rows[r].phase != TC_PHASE_CLAIMED || rows[r].claim_token != items[i].claim_token)
			continue;
		if (!accept_results(&items[i], &rows[r]))
			continue;
		held->items[held->n] = &items[i];
		held->rows[held->n++] = rows[r];
	}
}

static void
store_results(const Held *held)
{
	const struct varlena **results = palloc(sizeof(struct varlena *) * Max(held->n, 1));

	for (int i = 0; i < held->n; i++)
		results[i] = held->items[i]->results;
	tc_queue_complete(held->rows, results, held->n);
}

static void
complete_held(Held *held)
{
	TcEnded    *ended = palloc(sizeof(TcEnded) * Max(held->n, 1));

	if (held->n == 0)
		return;
	store_results(held);
	for (int i = 0; i < held->n; i++)
	{
		ended[i] = tc_ended_of(&held->rows[i], TC_STEP_COMPLETE);
		ended[i].taken = held->items[i]->taken;
		tc_event_step(TC_EVENT_STEP_COMPLETED, ended[i].key.task_id, ended[i].key.step_no);
	}
	tc_progress(ended, held->n);
	tc_flow_release(held->rows, held->n);
	for (int i = 0; i < held->n; i++)
	{
		held->items[i]->steps_ready = ended[i].steps_ready;
		held->items[i]->task_state = ended[i].task_state;
	}
}

/* ---- claims that are not live -------------------------------------------- */

static void
mark_already_completed(TcCompletion **items, int n)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * n);
	int64	   *tokens = palloc(sizeof(int64) * n);
	TcPastAttempt *past;
	int			npast;

	for (int i = 0; i < n; i++)
	{
		keys[i] = items[i]->key;
		tokens[i] = items[i]->claim_token;
	}
	npast = tc_attempts_by_token(keys, tokens, n, &past);
	for (int p = 0; p < npast; p++)
	{
		TcStepKey  *key = bsearch(&past[p].key, keys, n, sizeof(TcStepKey), tc_step_key_compare);

		if (past[p].to_state == TC_STEP_COMPLETE)
			items[key - keys]->status = TC_ALREADY_COMPLETED;
	}
}

static void
fill_in_tasks(TcCompletion **items, int n)
{
	int64	   *task_ids = palloc(sizeof(int64) * n);
	TcTaskRow  *tasks;
	int			ntasks;

	for (int i = 0; i < n; i++)
		task_ids[i] = items[i]->key.task_id;
	ntasks = tc_task_read_latest(task_ids, tc_task_ids_sort_unique(task_ids, n), &tasks);
	for (int i = 0; i < n; i++)
	{
		const TcTaskRow *task = tc_task_find(tasks, ntasks, items[i]->key.task_id);

		if (task == NULL || !tc_step_exists(tc_template_get(task->named_task_id), items[i]->key))
			items[i]->status = TC_NOT_FOUND;
		else
			items[i]->task_state = task->state;
	}
}

/* Was it completed by this very claim, does it exist at all, or was it lost? */
static void
explain_lost(TcCompletion *items, int n)
{
	TcCompletion **lost = palloc(sizeof(TcCompletion *) * Max(n, 1));
	int			nlost = 0;

	for (int i = 0; i < n; i++)
	{
		if (items[i].status == TC_LEASE_LOST)
			lost[nlost++] = &items[i];
	}
	if (nlost == 0)
		return;
	mark_already_completed(lost, nlost);
	fill_in_tasks(lost, nlost);
}

void
tc_complete_steps(TcCompletion *items, int n)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * Max(n, 1));
	TcQueueRow *rows;
	int			nrows;
	Held		held;

	qsort(items, n, sizeof(TcCompletion), tc_step_key_compare);
	for (int i = 0; i < n; i++)
		keys[i] = items[i].key;

	nrows = tc_queue_lock_claims(keys, n, &rows);
	match_claims(items, n, rows, nrows, &held);
	complete_held(&held);
	explain_lost(items, n);
}
