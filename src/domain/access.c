/*
 * access.c
 *	  Who may call which function.
 *
 * The table is what grant_access() grants EXECUTE by, what every call is checked
 * against, and what function_access() and docs/security.md show.  A function that
 * is not in it can be called by admins alone.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/access.h"

#define ADMIN		(1 << TC_ACCESS_ADMIN)
#define PRODUCER	(1 << TC_ACCESS_PRODUCER | ADMIN)
#define WORKER		(1 << TC_ACCESS_WORKER | ADMIN)
#define OPERATOR	(1 << TC_ACCESS_OPERATOR | ADMIN)
#define READER		(1 << TC_ACCESS_READER | OPERATOR)
#define ANY			TC_EVERY_ACCESS

static const TcFunctionAccess functions[] = {
	/* templates */
	{"register_task_template", PRODUCER, TC_NAMESPACES_BY_FUNCTION},
	{"validate_task_template", ANY, TC_NAMESPACES_NONE},
	{"get_task_template", PRODUCER | WORKER | READER, TC_NAMESPACES_BY_FUNCTION},
	{"retire_task_template", PRODUCER, TC_NAMESPACES_BY_FUNCTION},
	{"list_task_templates", PRODUCER | WORKER | READER, TC_NAMESPACES_BY_FUNCTION},
	{"template_graph", PRODUCER | WORKER | READER, TC_NAMESPACES_BY_FUNCTION},

	/* tasks */
	{"create_task", PRODUCER, TC_NAMESPACES_BY_FUNCTION},
	{"create_tasks", PRODUCER, TC_NAMESPACES_BY_FUNCTION},
	{"create_task_from_definition", PRODUCER, TC_NAMESPACES_BY_FUNCTION},

	/* moves made by people */
	{"cancel_task", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"pause_task", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"resume_task", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"retry_task", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"cancel_tasks", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"retry_tasks", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"erase_task_payload", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"transition_task", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"transition_step", OPERATOR, TC_NAMESPACES_BY_STEP},
	{"reset_step", OPERATOR, TC_NAMESPACES_BY_STEP},
	{"resolve_step", OPERATOR, TC_NAMESPACES_BY_STEP},
	{"skip_step", OPERATOR, TC_NAMESPACES_BY_STEP},
	{"create_dead_letter", OPERATOR, TC_NAMESPACES_BY_TASK},
	{"resolve_dead_letter", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"pause_namespace", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"resume_namespace", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"pause_template", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"resume_template", OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"list_pauses", READER, TC_NAMESPACES_BY_FUNCTION},

	/* the verbs of workers */
	{"claim_steps", WORKER, TC_NAMESPACES_BY_FUNCTION},
	{"complete_step", WORKER, TC_NAMESPACES_BY_STEP},
	{"complete_steps", WORKER, TC_NAMESPACES_BY_FUNCTION},
	{"complete_and_claim", WORKER, TC_NAMESPACES_BY_FUNCTION},
	{"checkpoint_step", WORKER, TC_NAMESPACES_BY_STEP},
	{"fail_step", WORKER, TC_NAMESPACES_BY_STEP},
	{"heartbeat", WORKER, TC_NAMESPACES_BY_FUNCTION},
	{"release_steps", WORKER, TC_NAMESPACES_BY_FUNCTION},
	{"run_sql_steps", PRODUCER | WORKER, TC_NAMESPACES_BY_FUNCTION},

	/* questions about tasks and steps */
	{"get_step_readiness_status", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_step_readiness_status_batch", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_task_execution_context", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_task_execution_contexts_batch", READER, TC_NAMESPACES_BY_FUNCTION},
	{"calculate_dependency_levels", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_step_transitive_dependencies", WORKER | READER, TC_NAMESPACES_BY_STEP},
	{"get_next_ready_tasks", READER, TC_NAMESPACES_BY_FUNCTION},
	{"explain_step", READER, TC_NAMESPACES_BY_STEP},
	{"task_graph", READER, TC_NAMESPACES_BY_TASK},
	{"get_task", READER, TC_NAMESPACES_BY_TASK},
	{"get_step", READER, TC_NAMESPACES_BY_STEP},
	{"list_tasks", READER, TC_NAMESPACES_BY_FUNCTION},
	{"verify_task", READER, TC_NAMESPACES_BY_FUNCTION},
	{"verify_all", READER, TC_NAMESPACES_BY_FUNCTION},

	/* reports about the system as a whole */
	{"get_system_health_counts", READER, TC_NAMESPACES_ALL},
	{"get_analytics_metrics", READER, TC_NAMESPACES_ALL},
	{"get_slowest_steps", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_slowest_tasks", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_slowest_steps_aggregated", READER, TC_NAMESPACES_BY_FUNCTION},
	{"get_slowest_tasks_aggregated", READER, TC_NAMESPACES_BY_FUNCTION},

	/* signals */
	{"send_signal", PRODUCER | WORKER | OPERATOR, TC_NAMESPACES_BY_TASK},

	/* operations */
	{"detect_stale_tasks", OPERATOR, TC_NAMESPACES_ALL},
	{"run_maintenance", OPERATOR, TC_NAMESPACES_ALL},
	{"configure", ADMIN, TC_NAMESPACES_ALL},

	/* schedules */
	{"create_schedule", PRODUCER, TC_NAMESPACES_BY_FUNCTION},
	{"list_schedules", PRODUCER | READER, TC_NAMESPACES_BY_FUNCTION},
	{"pause_schedule", PRODUCER | OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"resume_schedule", PRODUCER | OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"drop_schedule", PRODUCER | OPERATOR, TC_NAMESPACES_BY_FUNCTION},

	/* events */
	{"publish_event", PRODUCER | WORKER | OPERATOR, TC_NAMESPACES_BY_FUNCTION},
	{"read_events", READER, TC_NAMESPACES_BY_FUNCTION},
	{"events_lag", READER, TC_NAMESPACES_NONE},
	{"event_xact", ADMIN, TC_NAMESPACES_NONE},
	{"event_seq", ADMIN, TC_NAMESPACES_NONE},

	/* access itself */
	{"grant_access", ADMIN, TC_NAMESPACES_ALL},
	{"revoke_access", ADMIN, TC_NAMESPACES_ALL},
	{"list_access", ADMIN, TC_NAMESPACES_ALL},
	{"function_access", ANY, TC_NAMESPACES_NONE},
	{"sees_namespace", READER, TC_NAMESPACES_BY_FUNCTION},

	/* arithmetic */
	{"validate_json_schema", ANY, TC_NAMESPACES_NONE},
	{"calculate_backoff", ANY, TC_NAMESPACES_NONE},
	{"library_version", ANY, TC_NAMESPACES_NONE},
};

/* None of them shows a claim token: those are in the hands of the worker that claimed. */
static const TcReadableRelation readable[] = {
	{"workflow_steps", true},
	{"workflow_step_edges", true},
	{"step_dag_relationships", true},
	{"workflow_step_transitions", true},
	{"stats", true},
	{"queue_stats", true},
	{"flow_limits", true},
	{"recent_attempts", true},
	{"dead_letter_details", true},
	{"dead_letters", false},
	{"worker_stats", false},
};

const TcFunctionAccess *
tc_access_functions(int *n)
{
	*n = lengthof(functions);
	return functions;
}

const TcFunctionAccess *
tc_access_of_function(const char *function_name)
{
	for (int i = 0; i < lengthof(functions); i++)
	{
		if (strcmp(functions[i].function_name, function_name) == 0)
			return &functions[i];
	}
	return NULL;
}

const TcReadableRelation *
tc_access_readable(int *n)
{
	*n = lengthof(readable);
	return readable;
}

static const char *const access_names[TC_ACCESS_COUNT] = {
#define X(id, name) [TC_ACCESS_##id] = name,
	TC_ACCESSES(X)
#undef X
};

const char *
tc_access_name(TcAccess access)
{
	return access_names[access];
}

bool
tc_access_parse(const char *name, TcAccess *access)
{
	for (int i = 0; i < TC_ACCESS_COUNT; i++)
	{
		if (strcmp(access_names[i], name) == 0)
		{
			*access = (TcAccess) i;
			return true;
		}
	}
	return false;
}

const char *
tc_namespace_rule_name(TcNamespaceRule rule)
{
	static const char *const names[TC_NAMESPACES_RULE_COUNT] = {
		[TC_NAMESPACES_NONE] = "none",
		[TC_NAMESPACES_BY_TASK] = "by_task",
		[TC_NAMESPACES_BY_STEP] = "by_step",
		[TC_NAMESPACES_BY_FUNCTION] = "by_function",
		[TC_NAMESPACES_ALL] = "all",
	};

	return names[rule];
}

const char *
tc_access_names(TcAccessSet accesses, char *buf, size_t size)
{
	size_t		used = 0;

	buf[0] = '\0';
	for (int i = 0; i < TC_ACCESS_COUNT && used < size; i++)
	{
		bool		is_last = (accesses >> (i + 1)) == 0;

		if ((accesses & (1 << i)) == 0)
			continue;
		used += snprintf(buf + used, size - used, "%s%s",
						 used == 0 ? "" : is_last ? " or " : ", ", access_names[i]);
	}
	return buf;
}
