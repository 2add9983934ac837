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
#include "ops/children.h"
#include "ops/claim.h"
#include "ops/flow.h"
#include "ops/operations.h"
#include "ops/schedules.h"
#include "ops/signals.h"
#include "ops/steps.h"
#include "store/flow_store.h"
#include "store/maintenance_store.h"
#include "store/signal_store.h"
#include "store/worker_store.h"

/* A flow key that nobody used for so long is forgotten. */
#define FLOW_KEY_LIFE (INT64CONST(3600) * USECS_PER_SEC)

/* Lost last attempts that no claim has come across. */
static void
close_exhausted(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	TcLaneFilter all = {.with_sql = true};
	TcClaimScope claims = {0};
	int			closed = 0;

	claims.nlanes = tc_lane_select(&all, &claims.lanes);
	for (claims.shard_key = 0; claims.shard_key < tc_shard_count() && closed < scope->max_items;
		 claims.shard_key++)
	{
		TcStepKey  *keys;
		int			n = tc_claim_find_exhausted(&claims, scope->max_items - closed, &keys);

		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			closed += tc_fail_exhausted(keys[i]) ? 1 : 0;
		}
	}
	result->leases_failed += closed;
}

/* Waits whose time is over, and those that a signal may have missed. */
static void
settle_waits(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	TcLaneFilter all = {0};
	TcClaimScope waits = {0};
	int			settled = 0;

	waits.nlanes = tc_lane_select(&all, &waits.lanes);
	for (waits.shard_key = 0; waits.shard_key < tc_shard_count() && settled < scope->max_items;
		 waits.shard_key++)
	{
		TcStepKey  *keys;
		int			n = tc_waits_find_due(&waits, scope->max_items - settled, &keys);

		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			settled += tc_settle_wait(keys[i]) ? 1 : 0;
		}
	}
	result->waits_ended += settled;
}

/* What could not be done at once between parents and children. */
static void
do_errands(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
		result->errands_done += tc_errands_do(shard, scope->max_items);
}

/* ---- the round: for who has the turn -------------------------------------- */

static void
read_position(int32 shard, TcMaintenancePosition *position)
{
	tc_maintenance_read(shard, position);
	if (position->ran_at > tc_session_now())
		position->ran_at = TC_NO_TIME;	/* the clock was set back */
}

/* Retries, schedules and leases whose time came since the last look; each namespace once. */
static void
notify_due(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	List	   *told = NIL;

	if (!tc_maintenance_take_turn())
		return;
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		TcMaintenancePosition position;
		const char **names;
		int			n;

		read_position(shard, &position);
		n = tc_maintenance_due_namespaces(shard, Min(position.ran_at, scope->committed_late - 1), &names);
		for (int i = 0; i < n; i++)
		{
			tc_event_ready(names[i]);
			told = list_append_unique(told, makeString(unconstify(char *, names[i])));
		}
		position.ran_at = tc_session_now();
		tc_maintenance_write(shard, &position);
	}
	result->namespaces_notified += list_length(told);
}

/* The next part of the round over the live tasks of a shard; returns where the one after begins. */
static int64
treat_stale_part(int32 shard, int64 from_task_id, int max_items, TcMaintenanceResult *result)
{
	int64	   *task_ids;
	TcStaleTask *stale;
	int			n = tc_stale_next_tasks(shard, from_task_id, max_items, &task_ids);
	int			nstale = n == 0 ? 0 : tc_stale_find(task_ids, n, true, max_items, &stale);

	for (int i = 0; i < nstale; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!tc_treat_stale_task(&stale[i]))
			continue;
		result->stale_tasks_failed += stale[i].ends ? 1 : 0;
		result->stale_tasks_dead_lettered += stale[i].dead_letter ? 1 : 0;
	}
	return n < max_items ? 0 : task_ids[n - 1] + 1;
}

static void
treat_stale(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	if (!tc_maintenance_take_turn())
		return;
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		TcMaintenancePosition position;

		read_position(shard, &position);
		position.next_task_id = treat_stale_part(shard, position.next_task_id, scope->max_items,
												 result);
		tc_maintenance_write(shard, &position);
	}
}

/* Tasks whose time has come. */
static void
fire_schedules(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	result->schedules_fired += tc_fire_schedules(scope->max_items);
}

/* ---- tidying up ----------------------------------------------------------- */

static void
close_moot_dead_letters(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	result->dead_letters_closed += tc_dead_letters_close_moot(scope->max_items);
}

/* First whatever a claim would do, since none may ever come. */
static void
tidy_flow_keys(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
		tc_flow_let_go_lost(shard, scope->max_items);
	tc_claim_let_out();
	result->flow_keys_forgotten += tc_flow_forget(tc_session_now() - FLOW_KEY_LIFE, scope->max_items);
}

static void
forget_workers(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	result->workers_forgotten += tc_workers_forget(scope->max_items);
}

/* Last: it may end with locks that nobody can share. */
static void
retain(const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	if (tc_maintenance_take_turn())
		tc_retain(scope->max_items, &result->retention);
}

/* ---- the story ------------------------------------------------------------ */

/* Each part by itself leaves things as they should be, so it may have a transaction of its own. */
static const struct
{
	void		(*run) (const TcMaintenanceScope *scope, TcMaintenanceResult *result);
	bool		prompt;			/* a step's time makes it due */
}			parts[] =
{
	{close_exhausted, true},
	{settle_waits, true},
	{do_errands, true},
	{notify_due, true},
	{fire_schedules, true},
	{treat_stale, false},
	{close_moot_dead_letters, false},
	{forget_workers, false},
	{tidy_flow_keys, false},
	{retain, false},
};

int
tc_maintenance_part_count(void)
{
	return lengthof(parts);
}

bool
tc_maintenance_part_is_prompt(int part)
{
	return parts[part].prompt;
}

void
tc_maintenance_run_part(int part, const TcMaintenanceScope *scope, TcMaintenanceResult *result)
{
	parts[part].run(scope, result);
}

void
tc_run_maintenance(int max_items, TcMaintenanceResult *result)
{
	TcMaintenanceScope scope = {max_items, DT_NOEND};

	memset(result, 0, sizeof(*result));
	for (int part = 0; part < tc_maintenance_part_count(); part++)
		tc_maintenance_run_part(part, &scope, result);
}

TimestampTz
tc_maintenance_next_time(TimestampTz fired_until)
{
	TimestampTz next = tc_schedule_next_due(fired_until);

	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		TcMaintenancePosition position;
		TimestampTz due;

		read_position(shard, &position);
		due = tc_maintenance_next_due(shard, position.ran_at);
		if (due != TC_NO_TIME && (next == TC_NO_TIME || due < next))
			next = due;
	}
	return next;
}

void
tc_notify_all_namespaces(void)
{
	const char **names;
	int			n = tc_maintenance_all_namespaces(&names);

	for (int i = 0; i < n; i++)
		tc_event_ready(names[i]);
}
