/*
 * operations_api.c
 *	  SQL entry points: dead letters, stale tasks, maintenance.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/configure.h"
#include "ops/operations.h"

PG_FUNCTION_INFO_V1(tasker_create_dead_letter);
PG_FUNCTION_INFO_V1(tasker_resolve_dead_letter);
PG_FUNCTION_INFO_V1(tasker_detect_stale_tasks);
PG_FUNCTION_INFO_V1(tasker_configure);
PG_FUNCTION_INFO_V1(tasker_run_maintenance);

#define DEFAULT_STALE_TASKS 100
#define DEFAULT_MAINTENANCE_ITEMS 1000

/* ---- dead letters -------------------------------------------------------- */

Datum
tasker_create_dead_letter(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	char	   *notes = tc_arg_text(fcinfo, 1);
	int64		dead_letter_id;

	tc_session_begin(fcinfo);
	dead_letter_id = tc_create_dead_letter(task_id, notes);
	tc_session_end();
	PG_RETURN_INT64(dead_letter_id);
}

Datum
tasker_resolve_dead_letter(PG_FUNCTION_ARGS)
{
	int64		dead_letter_id = tc_arg_required_int64(fcinfo, 0, "dead_letter_id");
	char	   *resolution = tc_arg_required_text(fcinfo, 1, "resolution");
	char	   *notes = tc_arg_text(fcinfo, 2);
	TcDeadLetterState state;
	bool		done;

	if (!tc_dead_letter_state_parse(resolution, &state) || state == TC_DEAD_LETTER_PENDING)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("resolution is no way to close a dead letter"),
				 errdetail("There is no resolution \"%s\".", resolution),
				 errhint("Resolutions are manually_resolved, permanently_failed and cancelled.")));
	tc_session_begin(fcinfo);
	done = tc_resolve_dead_letter(dead_letter_id, state, notes);
	tc_session_end();
	PG_RETURN_BOOL(done);
}

/* ---- stale tasks --------------------------------------------------------- */

/* What is, or would be, done to a task: by whether it ends and gets a dead letter. */
static const char *
action_name(const TcStaleTask *stale, bool dry_run)
{
	static const char *const names[2][2][2] = {
		{{"none", "moved_to_dlq_only"},
		{"transitioned_to_error_only", "transitioned_to_dlq_and_error"}},
		{{"none", "would_move_to_dlq_only"},
		{"would_transition_to_error_only", "would_transition_to_dlq_and_error"}},
	};

	return names[dry_run][stale->ends][stale->dead_letter];
}

static void
emit_stale(TcEmit *emit, const TcStaleTask *stale, bool dry_run)
{
	tc_emit_int64(emit, stale->task_id);
	tc_emit_text(emit, stale->namespace_name);
	tc_emit_text(emit, stale->task_name);
	tc_emit_text(emit, tc_task_state_name(stale->state));
	tc_emit_timestamptz(emit, stale->stale_since);
	tc_emit_int32(emit, stale->minutes);
	tc_emit_int32(emit, stale->limit_minutes);
	tc_emit_text(emit, action_name(stale, dry_run));
	tc_emit_text(emit, stale->limit_name);
	tc_emit_row(emit);
}

Datum
tasker_detect_stale_tasks(PG_FUNCTION_ARGS)
{
	bool		dry_run = tc_arg_bool(fcinfo, 0, true);
	int32		max_tasks = tc_arg_int32(fcinfo, 1, DEFAULT_STALE_TASKS);
	TcStaleTask *stale;
	TcEmit		emit;
	int			n;

	tc_check_count("max_tasks", max_tasks, 0);
	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_find_stale_tasks(!dry_run, max_tasks, &stale);
	for (int i = 0; i < n; i++)
	{
		if (dry_run || tc_treat_stale_task(&stale[i]))
			emit_stale(&emit, &stale[i], dry_run);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

/* ---- settings that belong to the data ------------------------------------ */

Datum
tasker_configure(PG_FUNCTION_ARGS)
{
	char	   *name = tc_arg_required_text(fcinfo, 0, "name");
	char	   *value = tc_arg_text(fcinfo, 1);

	tc_session_begin(fcinfo);
	tc_configure(name, value);
	tc_session_end();
	PG_RETURN_VOID();
}

/* ---- maintenance --------------------------------------------------------- */

Datum
tasker_run_maintenance(PG_FUNCTION_ARGS)
{
	int32		max_items = tc_arg_int32(fcinfo, 0, DEFAULT_MAINTENANCE_ITEMS);
	TcMaintenanceResult result;
	char	   *json;

	tc_check_count("max_items", max_items, 1);
	tc_session_begin(fcinfo);
	tc_run_maintenance(max_items, &result);
	tc_session_end();

	json = psprintf("{\"leases_failed\": %d, \"waits_ended\": %d, \"errands_done\": %d, \"namespaces_notified\": %d, \"schedules_fired\": %d,"
					" \"stale_tasks_failed\": %d, \"stale_tasks_dead_lettered\": %d, \"dead_letters_closed\": %d,"
					" \"workers_forgotten\": %d, \"flow_keys_forgotten\": %d, \"history_slots_begun\": %d, \"tasks_dropped\": %d,"
					" \"tasks_moved_on\": %d, \"history_slots_truncated\": %d, \"idempotency_keys_dropped\": %d}",
					result.leases_failed, result.waits_ended, result.errands_done, result.namespaces_notified, result.schedules_fired,
					result.stale_tasks_failed, result.stale_tasks_dead_lettered, result.dead_letters_closed,
					result.workers_forgotten, result.flow_keys_forgotten, result.retention.slots_begun,
					result.retention.tasks_dropped, result.retention.tasks_moved_on, result.retention.slots_truncated,
					result.retention.idempotency_keys_dropped);
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(json)));
}
