/*
 * template.h
 *	  A workflow template in memory (pure C).
 *
 * The same structure serves a definition being registered and a stored version
 * being run.  Steps are numbered in a topological order: steps[i] has step_no
 * i + 1, and node i of the dag.
 */
#ifndef TC_TEMPLATE_H
#define TC_TEMPLATE_H

#include "domain/backoff.h"
#include "domain/dag.h"
#include "tasker_core.h"

#define TC_IDENTITY_STRATEGIES(X) \
	X(ALWAYS_UNIQUE, "always_unique") \
	X(STRICT, "strict") \
	X(CALLER_PROVIDED, "caller_provided")

typedef enum TcIdentityStrategy
{
#define X(id, name) TC_IDENTITY_##id,
	TC_IDENTITY_STRATEGIES(X)
#undef X
	TC_IDENTITY_STRATEGY_COUNT
} TcIdentityStrategy;

/* What the final failure of a step means for its children and its task. */
#define TC_FAILURE_RULES(X) \
	X(FAIL, "fail")				/* children never run, the task ends in error */ \
	X(SKIP, "skip")				/* children are skipped, as if this step were */ \
	X(CONTINUE, "continue")		/* children run, with null as this step's result */

typedef enum TcFailureRule
{
#define X(id, name) TC_ON_FAILURE_##id,
	TC_FAILURE_RULES(X)
#undef X
	TC_FAILURE_RULE_COUNT
} TcFailureRule;

#define TC_STEP_TYPES(X) \
	X(STANDARD, "standard") \
	X(DEFERRED_CONVERGENCE, "deferred_convergence")	/* its trigger rule is none_failed */ \
	X(DECISION, "decision")		/* its result names the branches to take */ \
	X(BATCHABLE, "batchable") \
	X(BATCH_WORKER, "batch_worker")

typedef enum TcStepType
{
#define X(id, name) TC_TYPE_##id,
	TC_STEP_TYPES(X)
#undef X
	TC_STEP_TYPE_COUNT
} TcStepType;

/* What a step does about its parents: trigger.h. */
#define TC_TRIGGER_RULES(X) \
	X(ALL_SATISFIED, "all_satisfied") \
	X(NONE_FAILED, "none_failed") \
	X(ONE_SATISFIED, "one_satisfied") \
	X(ALL_DONE, "all_done")

typedef enum TcTriggerRule
{
#define X(id, name) TC_TRIGGER_##id,
	TC_TRIGGER_RULES(X)
#undef X
	TC_TRIGGER_RULE_COUNT
} TcTriggerRule;

/* What happens to a step that waited for a signal for too long. */
#define TC_TIMEOUT_RULES(X) \
	X(FAIL, "fail") \
	X(SKIP, "skip") \
	X(COMPLETE, "complete")		/* with result null */

typedef enum TcTimeoutRule
{
#define X(id, name) TC_ON_TIMEOUT_##id,
	TC_TIMEOUT_RULES(X)
#undef X
	TC_TIMEOUT_RULE_COUNT
} TcTimeoutRule;

/* What a step may be refused for, and what applies where a key is absent. */
#define TC_NAME_MAX_CHARS			128
#define TC_VERSION_MAX_CHARS		64
#define TC_DEFAULT_NAMESPACE		"default"
#define TC_DEFAULT_VERSION			"0.1.0"
#define TC_DEFAULT_QUEUE			"default"
#define TC_DEFAULT_MAX_ATTEMPTS		3
#define TC_MAX_MAX_ATTEMPTS			100
#define TC_DEFAULT_BACKOFF_BASE_MS	1000
#define TC_DEFAULT_MAX_BACKOFF_MS	30000
#define TC_DEFAULT_JITTER			0.1

/* The most instances that a map may have. */
#define TC_MAX_MAP_WIDTH			100000

/* Steps that are SQL have a queue of the role that registered them: this, and its name. */
#define TC_SQL_QUEUE				"sql:"

static inline bool
tc_queue_is_sql(const char *queue)
{
	return strncmp(queue, TC_SQL_QUEUE, strlen(TC_SQL_QUEUE)) == 0;
}

/* How many of a step may run at once, and how often it may start: all that have the same key together. */
typedef struct TcFlowLimits
{
	bool		shared;			/* the template's: with all its steps that have none of their own */
	const struct varlena *key;	/* jsonb: path to what tells them apart; NULL = they are one */
	int32		concurrency;	/* 0 = as many as you like */
	int32		rate;			/* starts in a period; 0 = as many as you like */
	double		period_seconds;
} TcFlowLimits;

typedef struct TcStep
{
	int32		named_step_id;	/* 0 until stored */
	const char *name;
	const struct varlena *name_text;	/* the name as SQL has it; NULL until stored */
	TcStepType	type;
	TcTriggerRule trigger_rule;
	const char *queue;
	int32		priority;		/* added to the task's */
	const char *handler_class;	/* may be NULL */
	const char *handler_method; /* may be NULL */
	const char *handler_resolver;	/* may be NULL */
	const struct varlena *handler_config;	/* jsonb object, `{}` when absent */
	bool		retryable;
	int32		max_attempts;
	TcBackoffPolicy backoff;
	int32		timeout_seconds;	/* 0 = none */
	TcFailureRule on_failure;
	const struct varlena *result_schema;	/* jsonb, NULL = any result */
	const struct varlena *condition;	/* jsonb: when; NULL = none */
	bool		unmet_fails;	/* else it is skipped */
	double		delay_seconds;
	const struct varlena *run_at;	/* jsonb: the path to a time; NULL = none */
	const char *signal_name;	/* what it waits for instead of a worker; NULL = nothing */
	double		signal_timeout;	/* seconds; negative = none */
	TcTimeoutRule on_timeout;
	const struct varlena *workflow; /* jsonb: what it runs as a task, instead of a worker; NULL = nothing */
	TcFlowLimits flow;
	const struct varlena *map_over; /* jsonb: the path of the array that it runs for; NULL = it is no map */
	const struct varlena *batch_config; /* jsonb, of a batchable step; NULL = none */
	int32		parallelism;	/* of a map: how many instances may be in the queue; 0 = all */
	TcFailureRule instance_failure; /* of a map: what the final failure of an instance means: fail or continue */
	int32		batchable;		/* of a batch worker: the node that names its batches */
} TcStep;

static inline bool
tc_step_is_limited(const TcStep *step)
{
	return step->flow.concurrency > 0 || step->flow.rate > 0;
}

/* Does it run once for each element of an array?  Its instances are steps of their own. */
static inline bool
tc_step_is_map(const TcStep *step)
{
	return step->map_over != NULL || step->type == TC_TYPE_BATCH_WORKER;
}

/* When its turn comes, does it take more than a row for workers? */
static inline bool
tc_step_is_gated(const TcStep *step)
{
	return step->condition != NULL || step->signal_name != NULL || step->run_at != NULL ||
		step->workflow != NULL || tc_step_is_map(step);
}

/* How often a step is tried: once where it may not be retried. */
static inline int32
tc_step_attempt_limit(const TcStep *step)
{
	return step->retryable ? step->max_attempts : 1;
}

/* When it is ready, if its turn comes at that time (in microseconds). */
static inline int64
tc_step_ready_at(const TcStep *step, int64 time)
{
	return time + (int64) (step->delay_seconds * 1000000.0);
}

typedef struct TcTemplate
{
	int32		named_task_id;	/* 0 until stored */
	const char *namespace_name;
	const char *name;
	const char *version;
	TcIdentityStrategy identity;
	bool		fail_fast;
	bool		retired;		/* no new tasks of it; not part of its content */		/* the first failure that counts ends the task */
	const struct varlena *input_schema; /* jsonb, NULL = any context */
	int32		nsteps;
	bool		nests;			/* steps of it run as tasks of their own */
	TcStep	   *steps;
	TcDag		dag;

	/*
	 * Instances of maps have numbers after those of the steps: map_room of them are
	 * set apart for each map, in the order of the maps, whatever becomes of it.  So
	 * no two maps ever want the same number, and a number tells its map.
	 */
	int32		nmaps;
	int32	   *map_nodes;
	int32		map_room;		/* 1 at least */
} TcTemplate;

extern const char *tc_identity_strategy_name(TcIdentityStrategy strategy);
extern bool tc_identity_strategy_parse(const char *name, TcIdentityStrategy *strategy);

extern const char *tc_failure_rule_name(TcFailureRule rule);
extern bool tc_failure_rule_parse(const char *name, TcFailureRule *rule);

extern const char *tc_step_type_name(TcStepType type);
extern bool tc_step_type_parse(const char *name, TcStepType *type);

extern const char *tc_timeout_rule_name(TcTimeoutRule rule);
extern bool tc_timeout_rule_parse(const char *name, TcTimeoutRule *rule);

extern const char *tc_trigger_rule_name(TcTriggerRule rule);
extern bool tc_trigger_rule_parse(const char *name, TcTriggerRule *rule);

/*
 * Order of two version texts by semantic versioning 2.0 (0.10.0 > 0.9.0;
 * 1.0.0-rc.1 < 1.0.0; build metadata ignored).  A text that is no semantic
 * version sorts below every one that is, and by bytes among its like.
 */
extern int	tc_version_compare(const char *a, const char *b);

#endif							/* TC_TEMPLATE_H */
