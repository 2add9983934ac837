/*
 * maintenance.c
 *	  What has to happen although nobody asks for it.
 *
 * Correctness depends on none of it: an expired lease is claimable by itself, and
 * workers poll.  Every lock is taken only if it is free, so maintenance waits for
 * nobody and takes part in no deadlock, wherever it stands in a transaction; any
 * number of sessions may run it at once.  Its results in a long transaction are
 * locks held for long, so that each call belongs into a transaction of its own.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "nodes/value.h"

#include "compat.h"
#include "events/events.h"
#include "ops/operations.h"
#include "ops/signals.h"
#include "ops/steps.h"
#include "store/maintenance_store.h"
#include "store/signal_store.h"
#include "store/worker_store.h"

/* Lost last attempts that no claim has come across. */
static int
close_exhausted(int max_items)
{
	TcLaneFilter all = {0};
	TcClaimScope scope = {0};
	int			closed = 0;

	scope.nlanes = tc_lane_select(&all, &scope.lanes);
	for (scope.shard_key = 0; scope.shard_key < tc_shard_count() && closed < max_items;
		 scope.shard_key++)
	{
		TcStepKey  *keys;
		int			n = tc_claim_find_exhausted(&scope, max_items - closed, &keys);

		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			closed += tc_fail_exhausted(keys[i]) ? 1 : 0;
		}
	}
	return closed;
}

/* Waits whose time is over, and those that a signal may have missed. */
static int
settle_waits(int max_items)
{
	TcLaneFilter all = {0};
	TcClaimScope scope = {0};
	int			settled = 0;

	scope.nlanes = tc_lane_select(&all, &scope.lanes);
	for (scope.shard_key = 0; scope.shard_key < tc_shard_count() && settled < max_items;
		 scope.shard_key++)
	{
		TcStepKey  *keys;
		int			n = tc_waits_find_due(&scope, max_items - settled, &keys);

		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			settled += tc_settle_wait(keys[i]) ? 1 : 0;
		}
	}
	return settled;
}

/* Retries, schedules and leases whose time came since the last look; each namespace once. */
static List *
notify_due(int32 shard, TimestampTz last_look, List *told)
{
	const char **names;
	int			n = tc_maintenance_due_namespaces(shard, last_look, &names);

	for (int i = 0; i < n; i++)
	{
		String	   *name = makeString(unconstify(char *, names[i]));

		if (list_member(told, name))
			continue;
		tc_event_ready(names[i]);
		told = lappend(told, name);
	}
	return told;
}

/* The next part of the round over all live tasks. */
static void
treat_stale(int32 shard, int max_items, TcMaintenancePosition *position, TcMaintenanceResult *result)
{
	int64	   *task_ids;
	TcStaleTask *stale;
	int			n = tc_stale_next_tasks(shard, position->next_task_id, max_items, &task_ids);
	int			nstale = n == 0 ? 0 : tc_stale_find(task_ids, n, true, max_items, &stale);

	for (int i = 0; i < nstale; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!tc_treat_stale_task(&stale[i]))
			continue;
		result->stale_tasks_failed += stale[i].ends ? 1 : 0;
		result->stale_tasks_dead_lettered += stale[i].dead_letter ? 1 : 0;
	}
	position->next_task_id = n < max_items ? 0 : task_ids[n - 1] + 1;
}

static void
make_round(int max_items, TcMaintenanceResult *result)
{
	List	   *told = NIL;

	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		TcMaintenancePosition position;

		tc_maintenance_read(shard, &position);
		if (position.ran_at > tc_session_now())
			position.ran_at = TC_NO_TIME;	/* the clock was set back */
		told = notify_due(shard, position.ran_at, told);
		treat_stale(shard, max_items, &position, result);
		position.ran_at = tc_session_now();
		tc_maintenance_write(shard, &position);
	}
	result->namespaces_notified = list_length(told);
}

void
tc_run_maintenance(int max_items, TcMaintenanceResult *result)
{
	memset(result, 0, sizeof(*result));
	result->leases_failed = close_exhausted(max_items);
	result->waits_ended = settle_waits(max_items);
	if (tc_maintenance_take_turn())
		make_round(max_items, result);
	result->dead_letters_closed = tc_dead_letters_close_moot(max_items);
	result->workers_forgotten = tc_workers_forget(max_items);
}
