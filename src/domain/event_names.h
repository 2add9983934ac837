/*
 * event_names.h
 *	  Which events there are, and which of them a row of the history stands for
 *	  (pure C).
 *
 * One list of names: what NOTIFY tells and what read_events returns can only
 * agree.
 */
#ifndef TC_EVENT_NAMES_H
#define TC_EVENT_NAMES_H

#include "tasker_core.h"

#define TC_TASK_EVENTS(X) \
	X(TASK_CREATED, "task.created") \
	X(TASK_STARTED, "task.started") \
	X(TASK_COMPLETED, "task.completed") \
	X(TASK_FAILED, "task.failed") \
	X(TASK_RETRIED, "task.retried") \
	X(TASK_CANCELLED, "task.cancelled") \
	X(TASK_PAUSED, "task.paused") \
	X(TASK_RESUMED, "task.resumed") \
	X(TASK_RESOLVED_MANUALLY, "task.resolved_manually")

#define TC_STEP_EVENTS(X) \
	X(STEP_COMPLETED, "step.completed") \
	X(STEP_FAILED, "step.failed") \
	X(STEP_RETRY_SCHEDULED, "step.retry_scheduled") \
	X(STEP_LEASE_EXPIRED, "step.lease_expired") \
	X(STEP_RESET, "step.reset") \
	X(STEP_SKIPPED, "step.skipped") \
	X(STEP_CANCELLED, "step.cancelled") \
	X(STEP_RESOLVED_MANUALLY, "step.resolved_manually") \
	X(STEP_CHECKPOINTED, "step.checkpointed")

typedef enum TcEvent
{
	TC_EVENT_NONE,
#define X(id, name) TC_EVENT_##id,
	TC_TASK_EVENTS(X)
	TC_STEP_EVENTS(X)
#undef X
	TC_EVENT_COUNT
} TcEvent;

extern const char *tc_event_name(TcEvent event);

/* Names of one's own: 1 to 100 bytes; these prefixes are ours. */
#define TC_EVENT_NAME_MAX 100
#define TC_EVENT_RESERVED_PREFIXES "task., step., workflow., observability."

extern bool tc_event_name_is_reserved(const char *name);

/* A pattern is a name in which * stands for any characters, also for none. */
extern bool tc_event_matches(const char *pattern, const char *name);

/* May a name of one's own match the pattern? */
extern bool tc_event_pattern_is_open(const char *pattern);

/* ---- rows of the history -------------------------------------------------- */

/* The tables that events are read from; the last one holds those of one's own. */
typedef enum TcEventSource
{
	TC_SOURCE_TASKS,
	TC_SOURCE_TASK_TRANSITIONS,
	TC_SOURCE_TASK_PAUSES,
	TC_SOURCE_STEP_ATTEMPTS,
	TC_SOURCE_STEP_MOVES,
	TC_SOURCE_STEP_CHECKPOINTS,
	TC_SOURCE_DERIVED_COUNT,
	TC_SOURCE_DOMAIN_EVENTS = TC_SOURCE_DERIVED_COUNT
} TcEventSource;

#define TC_EVENTS_PER_ROW 2
#define TC_MAX_EVENT_KINDS 16

/*
 * What a row stands for, by its kind: "created", "from>to" of a transition,
 * "paused" or "resumed", "outcome>to" of an attempt, "verb>to" of a move, "stored".  A kind
 * without a rule is no event.
 */
typedef struct TcEventRule
{
	TcEventSource source;
	const char *kind;
	TcEvent		events[TC_EVENTS_PER_ROW];	/* in this order; TC_EVENT_NONE = only one */
} TcEventRule;

/* NULL where the kind is no event. */
extern const TcEventRule *tc_event_rule(TcEventSource source, const char *kind);

/* The kinds of rows in which some event has a name that matches; returns how many. */
extern int	tc_event_kinds(TcEventSource source, const char *pattern,
						   const char *kinds[TC_MAX_EVENT_KINDS]);

#endif							/* TC_EVENT_NAMES_H */
