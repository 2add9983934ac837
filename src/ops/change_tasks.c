/*
 * change_tasks.c
 *	  One change for many tasks.
 *
 * Each task is a subtransaction of its own that gives up within milliseconds
 * where it would have to wait: what holds the locks of many tasks must not wait
 * for more.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/order.h"
#include "domain/states.h"
#include "ops/bulk.h"
#include "ops/changes.h"
#include "store/attempt.h"
#include "store/list_store.h"

#define MAX_STATES 3

typedef struct Verb
{
	TcTaskState from[MAX_STATES];
	int			nfrom;
	const char *would;
	const char *done;
} Verb;

static const Verb verbs[] = {
	[TC_BULK_CANCEL] = {{TC_TASK_PENDING, TC_TASK_IN_PROGRESS, TC_TASK_ERROR}, 3, "would_cancel", "cancelled"},
	[TC_BULK_RETRY] = {{TC_TASK_ERROR}, 1, "would_retry", "retried"},
};

#define BUSY "busy"
#define UNCHANGED "unchanged"	/* another change was first */

typedef struct Change
{
	const TcBulkRequest *request;
	TcBulkItem *item;
} Change;

static bool
applies(const Verb *verb, TcTaskState state)
{
	for (int i = 0; i < verb->nfrom; i++)
	{
		if (verb->from[i] == state)
			return true;
	}
	return false;
}

static bool
act(const TcBulkRequest *request, int64 task_id)
{
	switch (request->verb)
	{
		case TC_BULK_CANCEL:
			return tc_cancel_task(task_id, request->reason, NULL);
		case TC_BULK_RETRY:
			return tc_retry_task(task_id, request->reason, NULL) > 0;
	}
	pg_unreachable();
}

/* It was found without a lock: it may be in another state by now. */
static bool
change(void *arg)
{
	Change	   *change = arg;
	const Verb *verb = &verbs[change->request->verb];
	TcHeldTask	held;

	tc_hold_task(change->item->task_id, &held);
	if (!applies(verb, held.view.task.state) || !act(change->request, change->item->task_id))
	{
		change->item->outcome = UNCHANGED;
		return false;
	}
	change->item->outcome = verb->done;
	return true;
}

int
tc_change_tasks(const TcBulkRequest *request, TcBulkItem **items)
{
	const Verb *verb = &verbs[request->verb];
	const char *states[MAX_STATES];
	int64	   *task_ids;
	int			n;

	for (int i = 0; i < verb->nfrom; i++)
		states[i] = tc_task_state_name(verb->from[i]);
	n = tc_list_task_ids(request->filters, states, verb->nfrom, request->max_tasks, &task_ids);
	qsort(task_ids, n, sizeof(int64), tc_int64_compare);
	*items = palloc(sizeof(TcBulkItem) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Change		one = {request, &(*items)[i]};

		CHECK_FOR_INTERRUPTS();
		one.item->task_id = task_ids[i];
		one.item->outcome = request->dry_run ? verb->would : BUSY;
		if (!request->dry_run)
			tc_attempt(change, &one, TC_WAIT_BRIEFLY);
	}
	return n;
}
