/*
 * event_names.c
 *	  Which events there are, and which of them a row of the history stands for
 *	  (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/event_names.h"

static const char *const event_names[] = {
#define X(id, name) [TC_EVENT_##id] = name,
	TC_TASK_EVENTS(X)
	TC_STEP_EVENTS(X)
#undef X
};

static const char *const reserved_prefixes[] = {"task.", "step.", "workflow.", "observability."};

/* A last attempt whose lease ran out is two things that people wait for. */
static const TcEventRule rules[] = {
	{TC_SOURCE_TASKS, "created", {TC_EVENT_TASK_CREATED}},

	{TC_SOURCE_TASK_TRANSITIONS, "pending>in_progress", {TC_EVENT_TASK_STARTED}},
	{TC_SOURCE_TASK_TRANSITIONS, "pending>cancelled", {TC_EVENT_TASK_CANCELLED}},
	{TC_SOURCE_TASK_TRANSITIONS, "pending>resolved_manually", {TC_EVENT_TASK_RESOLVED_MANUALLY}},
	{TC_SOURCE_TASK_TRANSITIONS, "in_progress>complete", {TC_EVENT_TASK_COMPLETED}},
	{TC_SOURCE_TASK_TRANSITIONS, "in_progress>error", {TC_EVENT_TASK_FAILED}},
	{TC_SOURCE_TASK_TRANSITIONS, "in_progress>cancelled", {TC_EVENT_TASK_CANCELLED}},
	{TC_SOURCE_TASK_TRANSITIONS, "in_progress>resolved_manually", {TC_EVENT_TASK_RESOLVED_MANUALLY}},
	{TC_SOURCE_TASK_TRANSITIONS, "error>in_progress", {TC_EVENT_TASK_RETRIED}},
	{TC_SOURCE_TASK_TRANSITIONS, "error>cancelled", {TC_EVENT_TASK_CANCELLED}},
	{TC_SOURCE_TASK_TRANSITIONS, "error>resolved_manually", {TC_EVENT_TASK_RESOLVED_MANUALLY}},

	{TC_SOURCE_TASK_PAUSES, "paused", {TC_EVENT_TASK_PAUSED}},
	{TC_SOURCE_TASK_PAUSES, "resumed", {TC_EVENT_TASK_RESUMED}},

	{TC_SOURCE_STEP_ATTEMPTS, "completed>complete", {TC_EVENT_STEP_COMPLETED}},
	{TC_SOURCE_STEP_ATTEMPTS, "failed>waiting_for_retry", {TC_EVENT_STEP_RETRY_SCHEDULED}},
	{TC_SOURCE_STEP_ATTEMPTS, "failed>error", {TC_EVENT_STEP_FAILED}},
	{TC_SOURCE_STEP_ATTEMPTS, "lease_expired>waiting_for_retry", {TC_EVENT_STEP_LEASE_EXPIRED}},
	{TC_SOURCE_STEP_ATTEMPTS, "lease_expired>error", {TC_EVENT_STEP_LEASE_EXPIRED, TC_EVENT_STEP_FAILED}},

	{TC_SOURCE_STEP_MOVES, "reset>pending", {TC_EVENT_STEP_RESET}},
	{TC_SOURCE_STEP_MOVES, "retry_task>pending", {TC_EVENT_STEP_RESET}},
	{TC_SOURCE_STEP_MOVES, "cancel>cancelled", {TC_EVENT_STEP_CANCELLED}},
	{TC_SOURCE_STEP_MOVES, "cascade>cancelled", {TC_EVENT_STEP_CANCELLED}},
	{TC_SOURCE_STEP_MOVES, "cascade>pending", {TC_EVENT_STEP_CANCELLED}},	/* fail_fast */
	{TC_SOURCE_STEP_MOVES, "skip>skipped", {TC_EVENT_STEP_SKIPPED}},
	{TC_SOURCE_STEP_MOVES, "cascade>skipped", {TC_EVENT_STEP_SKIPPED}},
	{TC_SOURCE_STEP_MOVES, "resolve>resolved_manually", {TC_EVENT_STEP_RESOLVED_MANUALLY}},
	{TC_SOURCE_STEP_MOVES, "condition>skipped", {TC_EVENT_STEP_SKIPPED}},
	{TC_SOURCE_STEP_MOVES, "condition>error", {TC_EVENT_STEP_FAILED}},
	{TC_SOURCE_STEP_MOVES, "signal>complete", {TC_EVENT_STEP_COMPLETED}},
	{TC_SOURCE_STEP_MOVES, "timeout>complete", {TC_EVENT_STEP_COMPLETED}},
	{TC_SOURCE_STEP_MOVES, "timeout>skipped", {TC_EVENT_STEP_SKIPPED}},
	{TC_SOURCE_STEP_MOVES, "timeout>error", {TC_EVENT_STEP_FAILED}},
	{TC_SOURCE_STEP_MOVES, "map>complete", {TC_EVENT_STEP_COMPLETED}},
	{TC_SOURCE_STEP_MOVES, "map>error", {TC_EVENT_STEP_FAILED}},

	{TC_SOURCE_STEP_CHECKPOINTS, "stored", {TC_EVENT_STEP_CHECKPOINTED}},
};

const char *
tc_event_name(TcEvent event)
{
	Assert(event > TC_EVENT_NONE && event < TC_EVENT_COUNT);
	return event_names[event];
}

bool
tc_event_name_is_reserved(const char *name)
{
	for (int i = 0; i < lengthof(reserved_prefixes); i++)
	{
		if (strncmp(name, reserved_prefixes[i], strlen(reserved_prefixes[i])) == 0)
			return true;
	}
	return false;
}

/*
 * After a mismatch only the last star has to be tried further to the right: what
 * the stars before it took can stay as short as it is.
 */
bool
tc_event_matches(const char *pattern, const char *name)
{
	const char *star = NULL;
	const char *tried = NULL;

	while (*name != '\0')
	{
		if (*pattern == '*')
		{
			star = pattern++;
			tried = name;
		}
		else if (*pattern == *name)
		{
			pattern++;
			name++;
		}
		else if (star != NULL)
		{
			pattern = star + 1;
			name = ++tried;
		}
		else
			return false;
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool
tc_event_pattern_is_open(const char *pattern)
{
	size_t		literal = strcspn(pattern, "*");

	for (int i = 0; i < lengthof(reserved_prefixes); i++)
	{
		size_t		length = strlen(reserved_prefixes[i]);

		if (literal >= length && strncmp(pattern, reserved_prefixes[i], length) == 0)
			return false;
	}
	return true;
}

const TcEventRule *
tc_event_rule(TcEventSource source, const char *kind)
{
	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].source == source && strcmp(rules[i].kind, kind) == 0)
			return &rules[i];
	}
	return NULL;
}

static bool
rule_matches(const TcEventRule *rule, const char *pattern)
{
	for (int e = 0; e < TC_EVENTS_PER_ROW; e++)
	{
		if (rule->events[e] != TC_EVENT_NONE &&
			tc_event_matches(pattern, tc_event_name(rule->events[e])))
			return true;
	}
	return false;
}

int
tc_event_kinds(TcEventSource source, const char *pattern, const char *kinds[TC_MAX_EVENT_KINDS])
{
	int			n = 0;

	for (int i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].source != source || !rule_matches(&rules[i], pattern))
			continue;
		Assert(n < TC_MAX_EVENT_KINDS);
		kinds[n++] = rules[i].kind;
	}
	return n;
}
