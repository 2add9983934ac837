/*
 * template_json.c
 *	  The one place that knows how templates are written.
 *
 * The tables below are the definition of both dialects.  In each, our spelling
 * of a field stands before the others, so that it wins.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/jsonb.h"

#include "errors.h"
#include "schema/condition.h"
#include "schema/workflow.h"
#include "store/json_hash.h"
#include "store/template_json.h"
#include "store/template_reader.h"

#define TC_MAX_TEMPLATE_STEPS	100000
#define TC_MAX_TEMPLATE_DEPTH	100

/* A wait longer than a year is a mistake, and this keeps sums of times in range. */
#define TC_MAX_DELAY_MS			(INT64CONST(365) * 24 * 60 * 60 * 1000)

/* A task that may stand still for more than a year has no limit. */
#define TC_MAX_LIFECYCLE_MINUTES (365 * 24 * 60)

/* Counts stay far from overflow, and a step that waits for longer is forgotten. */
#define MAX_FLOW_LIMIT			1000000
#define MAX_FLOW_PERIOD			(31 * 24 * 60 * 60)

#define NOT_PUBLISHED "stored, but nothing is published for it by this version"
#define NO_EFFECT "stored, but it has no effect"

/* ---- vocabulary ---------------------------------------------------------- */

static const char *const identity_strategies[] = {
#define X(id, name) [TC_IDENTITY_##id] = name,
	TC_IDENTITY_STRATEGIES(X)
#undef X
	NULL
};

static const char *const backoff_strategies[] = {
#define X(id, name) [TC_BACKOFF_##id] = name,
	TC_BACKOFF_STRATEGIES(X)
#undef X
	NULL
};

static const char *const step_types[] = {
#define X(id, name) [TC_TYPE_##id] = name,
	TC_STEP_TYPES(X)
#undef X
	NULL
};

static const char *const trigger_rules[] = {
#define X(id, name) [TC_TRIGGER_##id] = name,
	TC_TRIGGER_RULES(X)
#undef X
	NULL
};

static const char *const step_failure_rules[] = {
#define X(id, name) [TC_ON_FAILURE_##id] = name,
	TC_FAILURE_RULES(X)
#undef X
	NULL
};

static const char *const timeout_rules[] = {
#define X(id, name) [TC_ON_TIMEOUT_##id] = name,
	TC_TIMEOUT_RULES(X)
#undef X
	NULL
};

/* Of the instances of a map; in the order of on_failure's words where that has them. */
static const char *const instance_failure_rules[] = {"fail", "continue", NULL};

/* in the order of the values they are read into; the first word is the default */
static const char *const unmet_rules[] = {"skip", "fail", NULL};
static const char *const task_failure_rules[] = {"continue", "fail_fast", NULL};
static const char *const staleness_actions[] = {"dlq", "error", "none", NULL};

/* ---- keys of a step ------------------------------------------------------ */

typedef enum StepField
{
	STEP_NAME,
	STEP_DESCRIPTION,
	STEP_TYPE,
	STEP_DEPENDS_ON,
	STEP_CALLABLE,
	STEP_METHOD,
	STEP_RESOLVER,
	STEP_INITIALIZATION,
	STEP_SQL,
	STEP_RETRYABLE,
	STEP_MAX_ATTEMPTS,
	STEP_BACKOFF,
	STEP_BACKOFF_BASE_MS,
	STEP_MAX_BACKOFF_MS,
	STEP_JITTER,
	STEP_TIMEOUT_SECONDS,
	STEP_PRIORITY,
	STEP_QUEUE,
	STEP_TRIGGER_RULE,
	STEP_ON_FAILURE,
	STEP_RESULT_SCHEMA,
	STEP_WHEN,
	STEP_WHEN_UNMET,
	STEP_DELAY_SECONDS,
	STEP_RUN_AT,
	STEP_SIGNAL_NAME,
	STEP_SIGNAL_TIMEOUT,
	STEP_SIGNAL_ON_TIMEOUT,
	STEP_WORKFLOW,
	STEP_CONCURRENCY_KEY,
	STEP_CONCURRENCY_LIMIT,
	STEP_RATE_KEY,
	STEP_RATE_LIMIT,
	STEP_RATE_PERIOD,
	STEP_MAP_OVER,
	STEP_MAP_PARALLELISM,
	STEP_MAP_FAILURE,
	STEP_BATCH_SIZE,
	STEP_BATCH_PARALLELISM,
	STEP_BATCH_CURSOR_FIELD,
	STEP_BATCH_CHECKPOINT,
	STEP_BATCH_WORKER,
	STEP_BATCH_FAILURE,
	STEP_FIELD_COUNT
} StepField;

static const char handler_block[] = "handler";
static const char retry_block[] = "retry";
static const char signal_block[] = "wait_for_signal";
static const char concurrency_block[] = "concurrency";
static const char rate_block[] = "rate_limit";
static const char map_block[] = "map";
static const char batch_block[] = "batch_config";

static const TcFieldName step_fields[] = {
	[STEP_NAME] = {NULL, "name"},
	[STEP_DESCRIPTION] = {NULL, "description"},
	[STEP_TYPE] = {NULL, "type"},
	[STEP_DEPENDS_ON] = {NULL, "depends_on"},
	[STEP_CALLABLE] = {handler_block, "callable"},
	[STEP_METHOD] = {handler_block, "method"},
	[STEP_RESOLVER] = {handler_block, "resolver"},
	[STEP_INITIALIZATION] = {handler_block, "initialization"},
	[STEP_SQL] = {handler_block, "sql"},
	[STEP_RETRYABLE] = {retry_block, "retryable"},
	[STEP_MAX_ATTEMPTS] = {retry_block, "max_attempts"},
	[STEP_BACKOFF] = {retry_block, "backoff"},
	[STEP_BACKOFF_BASE_MS] = {retry_block, "backoff_base_ms"},
	[STEP_MAX_BACKOFF_MS] = {retry_block, "max_backoff_ms"},
	[STEP_JITTER] = {retry_block, "jitter"},
	[STEP_TIMEOUT_SECONDS] = {NULL, "timeout_seconds"},
	[STEP_PRIORITY] = {NULL, "priority"},
	[STEP_QUEUE] = {NULL, "queue"},
	[STEP_TRIGGER_RULE] = {NULL, "trigger_rule"},
	[STEP_ON_FAILURE] = {NULL, "on_failure"},
	[STEP_RESULT_SCHEMA] = {NULL, "result_schema"},
	[STEP_WHEN] = {NULL, "when"},
	[STEP_WHEN_UNMET] = {NULL, "when_unmet"},
	[STEP_DELAY_SECONDS] = {NULL, "delay_seconds"},
	[STEP_RUN_AT] = {NULL, "run_at"},
	[STEP_SIGNAL_NAME] = {signal_block, "name"},
	[STEP_SIGNAL_TIMEOUT] = {signal_block, "timeout_seconds"},
	[STEP_SIGNAL_ON_TIMEOUT] = {signal_block, "on_timeout"},
	[STEP_WORKFLOW] = {NULL, "workflow"},
	[STEP_CONCURRENCY_KEY] = {concurrency_block, "key"},
	[STEP_CONCURRENCY_LIMIT] = {concurrency_block, "limit"},
	[STEP_RATE_KEY] = {rate_block, "key"},
	[STEP_RATE_LIMIT] = {rate_block, "limit"},
	[STEP_RATE_PERIOD] = {rate_block, "period_seconds"},
	[STEP_MAP_OVER] = {map_block, "over"},
	[STEP_MAP_PARALLELISM] = {map_block, "parallelism"},
	[STEP_MAP_FAILURE] = {map_block, "failure_strategy"},
	[STEP_BATCH_SIZE] = {batch_block, "batch_size"},
	[STEP_BATCH_PARALLELISM] = {batch_block, "parallelism"},
	[STEP_BATCH_CURSOR_FIELD] = {batch_block, "cursor_field"},
	[STEP_BATCH_CHECKPOINT] = {batch_block, "checkpoint_interval"},
	[STEP_BATCH_WORKER] = {batch_block, "worker_template"},
	[STEP_BATCH_FAILURE] = {batch_block, "failure_strategy"},
};

static const TcKey handler_keys[] = {
	{.name = "callable", .field = STEP_CALLABLE, .read = tc_read_text, .min = 1},
	{.name = "method", .field = STEP_METHOD, .read = tc_read_text, .min = 1},
	{.name = "resolver", .field = STEP_RESOLVER, .read = tc_read_text, .min = 1},
	{.name = "initialization", .field = STEP_INITIALIZATION, .read = tc_read_object},
	{.name = "sql", .field = STEP_SQL, .read = tc_read_text, .min = 1},
	{.name = NULL}
};

static const TcKey retry_keys[] = {
	{.name = "retryable", .field = STEP_RETRYABLE, .read = tc_read_bool},
	{.name = "max_attempts", .field = STEP_MAX_ATTEMPTS, .read = tc_read_attempts,
	.min = 1, .max = TC_MAX_MAX_ATTEMPTS},
	{.name = "backoff", .field = STEP_BACKOFF, .read = tc_read_word, .words = backoff_strategies},
	{.name = "backoff_base_ms", .field = STEP_BACKOFF_BASE_MS, .read = tc_read_integer,
	.max = TC_MAX_DELAY_MS},
	{.name = "max_backoff_ms", .field = STEP_MAX_BACKOFF_MS, .read = tc_read_integer,
	.max = TC_MAX_DELAY_MS},
	{.name = "jitter", .field = STEP_JITTER, .read = tc_read_number, .max = 1},

	{.name = "default_retryable", .field = STEP_RETRYABLE, .read = tc_read_bool},
	{.name = "limit", .field = STEP_MAX_ATTEMPTS, .read = tc_read_attempts,
	.min = 1, .max = TC_MAX_MAX_ATTEMPTS, .numeric_text = true},
	{.name = "default_retry_limit", .field = STEP_MAX_ATTEMPTS, .read = tc_read_attempts,
	.min = 1, .max = TC_MAX_MAX_ATTEMPTS, .numeric_text = true},
	{.name = "initial_delay", .field = STEP_BACKOFF_BASE_MS, .read = tc_read_seconds,
	.max = TC_MAX_DELAY_MS, .numeric_text = true},
	{.name = "max_delay", .field = STEP_MAX_BACKOFF_MS, .read = tc_read_seconds,
	.max = TC_MAX_DELAY_MS, .numeric_text = true},
	{.name = NULL}
};

static const TcKey signal_keys[] = {
	{.name = "name", .field = STEP_SIGNAL_NAME, .read = tc_read_name, .max = TC_NAME_MAX_CHARS},
	{.name = "timeout_seconds", .field = STEP_SIGNAL_TIMEOUT, .read = tc_read_number,
	.max = TC_MAX_DELAY_MS / 1000},
	{.name = "on_timeout", .field = STEP_SIGNAL_ON_TIMEOUT, .read = tc_read_word,
	.words = timeout_rules},
	{.name = NULL}
};

static const TcKey concurrency_keys[] = {
	{.name = "key", .field = STEP_CONCURRENCY_KEY, .read = tc_read_json},
	{.name = "limit", .field = STEP_CONCURRENCY_LIMIT, .read = tc_read_integer, .min = 1, .max = MAX_FLOW_LIMIT},
	{.name = NULL}
};

static const TcKey rate_keys[] = {
	{.name = "key", .field = STEP_RATE_KEY, .read = tc_read_json},
	{.name = "limit", .field = STEP_RATE_LIMIT, .read = tc_read_integer, .min = 1, .max = MAX_FLOW_LIMIT},
	{.name = "period_seconds", .field = STEP_RATE_PERIOD, .read = tc_read_number, .min = 1, .max = MAX_FLOW_PERIOD},
	{.name = NULL}
};

static const TcKey map_keys[] = {
	{.name = "over", .field = STEP_MAP_OVER, .read = tc_read_json},
	{.name = "parallelism", .field = STEP_MAP_PARALLELISM, .read = tc_read_integer,
	.min = 1, .max = TC_MAX_MAP_WIDTH},
	{.name = "failure_strategy", .field = STEP_MAP_FAILURE, .read = tc_read_word,
	.words = instance_failure_rules},
	{.name = NULL}
};

static const TcKey batch_keys[] = {
	{.name = "batch_size", .field = STEP_BATCH_SIZE, .read = tc_read_integer,
	.min = 1, .max = PG_INT32_MAX},
	{.name = "parallelism", .field = STEP_BATCH_PARALLELISM, .read = tc_read_integer,
	.min = 1, .max = TC_MAX_MAP_WIDTH},
	{.name = "cursor_field", .field = STEP_BATCH_CURSOR_FIELD, .read = tc_read_text, .min = 1},
	{.name = "checkpoint_interval", .field = STEP_BATCH_CHECKPOINT, .read = tc_read_integer,
	.min = 1, .max = PG_INT32_MAX},
	{.name = "worker_template", .field = STEP_BATCH_WORKER, .read = tc_read_name,
	.max = TC_NAME_MAX_CHARS},
	{.name = "failure_strategy", .field = STEP_BATCH_FAILURE, .read = tc_read_word,
	.words = instance_failure_rules},
	{.name = NULL}
};

static const TcKey step_keys[] = {
	{.name = "name", .field = STEP_NAME, .read = tc_read_name, .max = TC_NAME_MAX_CHARS},
	{.name = "description", .field = STEP_DESCRIPTION, .read = tc_read_text},
	{.name = "type", .field = STEP_TYPE, .read = tc_read_word,
	.words = step_types},
	{.name = "depends_on", .field = STEP_DEPENDS_ON, .read = tc_read_references,
	.accumulates = true},
	{.name = handler_block, .nested = handler_keys},
	{.name = retry_block, .nested = retry_keys},
	{.name = "timeout_seconds", .field = STEP_TIMEOUT_SECONDS, .read = tc_read_integer,
	.min = 1, .max = PG_INT32_MAX},
	{.name = "priority", .field = STEP_PRIORITY, .read = tc_read_integer,
	.min = PG_INT16_MIN, .max = PG_INT16_MAX},
	{.name = "queue", .field = STEP_QUEUE, .read = tc_read_name, .max = TC_NAME_MAX_CHARS},
	{.name = "trigger_rule", .field = STEP_TRIGGER_RULE, .read = tc_read_word,
	.words = trigger_rules},
	{.name = "on_failure", .field = STEP_ON_FAILURE, .read = tc_read_word,
	.words = step_failure_rules},
	{.name = "result_schema", .field = STEP_RESULT_SCHEMA, .read = tc_read_schema},
	{.name = "when", .field = STEP_WHEN, .read = tc_read_json},
	{.name = "when_unmet", .field = STEP_WHEN_UNMET, .read = tc_read_word, .words = unmet_rules},
	{.name = "delay_seconds", .field = STEP_DELAY_SECONDS, .read = tc_read_number,
	.max = TC_MAX_DELAY_MS / 1000},
	{.name = "run_at", .field = STEP_RUN_AT, .read = tc_read_json},
	{.name = signal_block, .nested = signal_keys},
	{.name = "workflow", .field = STEP_WORKFLOW, .read = tc_read_json},
	{.name = concurrency_block, .nested = concurrency_keys},
	{.name = rate_block, .nested = rate_keys},
	{.name = map_block, .nested = map_keys},
	{.name = batch_block, .nested = batch_keys},

	{.name = "step_type", .field = STEP_TYPE, .read = tc_read_word,
	.words = step_types},
	{.name = "dependencies", .field = STEP_DEPENDS_ON, .read = tc_read_references,
	.accumulates = true},
	{.name = "depends_on_step", .field = STEP_DEPENDS_ON, .read = tc_read_reference,
	.accumulates = true},
	{.name = "depends_on_steps", .field = STEP_DEPENDS_ON, .read = tc_read_references,
	.accumulates = true},
	{.name = "handler_class", .field = STEP_CALLABLE, .read = tc_read_text, .min = 1},
	{.name = "handler_config", .field = STEP_INITIALIZATION, .read = tc_read_object},
	{.name = "default_retryable", .field = STEP_RETRYABLE, .read = tc_read_bool},
	{.name = "default_retry_limit", .field = STEP_MAX_ATTEMPTS, .read = tc_read_attempts,
	.min = 1, .max = TC_MAX_MAX_ATTEMPTS, .numeric_text = true},

	{.name = "lifecycle", .read = tc_read_unsupported},

	{.name = "composition", .read = tc_read_kept},
	{.name = "custom_events", .read = tc_read_kept},
	{.name = "dependent_system", .read = tc_read_kept},
	{.name = "loaded_from", .read = tc_read_kept},
	{.name = "metadata", .read = tc_read_kept},
	{.name = "publishes_events", .read = tc_read_kept, .note = NOT_PUBLISHED},
	{.name = "retry_backoff", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "skippable", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "system_dependencies", .read = tc_read_kept},
	{.name = "system_dependency", .read = tc_read_kept},
	{.name = NULL}
};

/* ---- keys of a template -------------------------------------------------- */

typedef enum TemplateField
{
	TEMPLATE_NAMESPACE,
	TEMPLATE_NAME,
	TEMPLATE_VERSION,
	TEMPLATE_DESCRIPTION,
	TEMPLATE_IDENTITY,
	TEMPLATE_ON_FAILURE,
	TEMPLATE_MAX_DURATION,
	TEMPLATE_MAX_DEPENDENCIES,
	TEMPLATE_MAX_RETRY,
	TEMPLATE_MAX_IN_PROCESS,
	TEMPLATE_STALENESS_ACTION,
	TEMPLATE_AUTO_FAIL,
	TEMPLATE_AUTO_DLQ,
	TEMPLATE_CONCURRENCY_KEY,
	TEMPLATE_CONCURRENCY_LIMIT,
	TEMPLATE_RATE_KEY,
	TEMPLATE_RATE_LIMIT,
	TEMPLATE_RATE_PERIOD,
	TEMPLATE_INPUT_SCHEMA,
	TEMPLATE_STEPS,				/* read, but written step by step */
	TEMPLATE_FIELD_COUNT
} TemplateField;

static const char lifecycle_block[] = "lifecycle";

static const TcFieldName template_fields[] = {
	[TEMPLATE_NAMESPACE] = {NULL, "namespace"},
	[TEMPLATE_NAME] = {NULL, "name"},
	[TEMPLATE_VERSION] = {NULL, "version"},
	[TEMPLATE_DESCRIPTION] = {NULL, "description"},
	[TEMPLATE_IDENTITY] = {NULL, "identity_strategy"},
	[TEMPLATE_ON_FAILURE] = {NULL, "on_failure"},
	[TEMPLATE_MAX_DURATION] = {lifecycle_block, "max_duration_minutes"},
	[TEMPLATE_MAX_DEPENDENCIES] = {lifecycle_block, "max_waiting_for_dependencies_minutes"},
	[TEMPLATE_MAX_RETRY] = {lifecycle_block, "max_waiting_for_retry_minutes"},
	[TEMPLATE_MAX_IN_PROCESS] = {lifecycle_block, "max_steps_in_process_minutes"},
	[TEMPLATE_STALENESS_ACTION] = {lifecycle_block, "staleness_action"},
	[TEMPLATE_AUTO_FAIL] = {lifecycle_block, "auto_fail_on_timeout"},
	[TEMPLATE_AUTO_DLQ] = {lifecycle_block, "auto_dlq_on_timeout"},
	[TEMPLATE_CONCURRENCY_KEY] = {concurrency_block, "key"},
	[TEMPLATE_CONCURRENCY_LIMIT] = {concurrency_block, "limit"},
	[TEMPLATE_RATE_KEY] = {rate_block, "key"},
	[TEMPLATE_RATE_LIMIT] = {rate_block, "limit"},
	[TEMPLATE_RATE_PERIOD] = {rate_block, "period_seconds"},
	[TEMPLATE_INPUT_SCHEMA] = {NULL, "input_schema"},
};

/* What they do, and their defaults, is in stale_store.c. */
static const TcKey lifecycle_keys[] = {
	{.name = "max_duration_minutes", .field = TEMPLATE_MAX_DURATION, .read = tc_read_integer,
	.min = 1, .max = TC_MAX_LIFECYCLE_MINUTES},
	{.name = "max_waiting_for_dependencies_minutes", .field = TEMPLATE_MAX_DEPENDENCIES,
	.read = tc_read_integer, .min = 1, .max = TC_MAX_LIFECYCLE_MINUTES},
	{.name = "max_waiting_for_retry_minutes", .field = TEMPLATE_MAX_RETRY, .read = tc_read_integer,
	.min = 1, .max = TC_MAX_LIFECYCLE_MINUTES},
	{.name = "max_steps_in_process_minutes", .field = TEMPLATE_MAX_IN_PROCESS,
	.read = tc_read_integer, .min = 1, .max = TC_MAX_LIFECYCLE_MINUTES},
	{.name = "staleness_action", .field = TEMPLATE_STALENESS_ACTION, .read = tc_read_word,
	.words = staleness_actions},
	{.name = "auto_fail_on_timeout", .field = TEMPLATE_AUTO_FAIL, .read = tc_read_bool},
	{.name = "auto_dlq_on_timeout", .field = TEMPLATE_AUTO_DLQ, .read = tc_read_bool},
	{.name = NULL}
};

static const TcKey task_concurrency_keys[] = {
	{.name = "key", .field = TEMPLATE_CONCURRENCY_KEY, .read = tc_read_json},
	{.name = "limit", .field = TEMPLATE_CONCURRENCY_LIMIT, .read = tc_read_integer, .min = 1, .max = MAX_FLOW_LIMIT},
	{.name = NULL}
};

static const TcKey task_rate_keys[] = {
	{.name = "key", .field = TEMPLATE_RATE_KEY, .read = tc_read_json},
	{.name = "limit", .field = TEMPLATE_RATE_LIMIT, .read = tc_read_integer, .min = 1, .max = MAX_FLOW_LIMIT},
	{.name = "period_seconds", .field = TEMPLATE_RATE_PERIOD, .read = tc_read_number, .min = 1, .max = MAX_FLOW_PERIOD},
	{.name = NULL}
};

static const TcKey template_keys[] = {
	{.name = "namespace", .field = TEMPLATE_NAMESPACE, .read = tc_read_name,
	.max = TC_NAME_MAX_CHARS, .forbidden = '/'},
	{.name = "name", .field = TEMPLATE_NAME, .read = tc_read_name,
	.max = TC_NAME_MAX_CHARS, .forbidden = '@'},
	{.name = "version", .field = TEMPLATE_VERSION, .read = tc_read_version,
	.max = TC_VERSION_MAX_CHARS},
	{.name = "description", .field = TEMPLATE_DESCRIPTION, .read = tc_read_text},
	{.name = "identity_strategy", .field = TEMPLATE_IDENTITY, .read = tc_read_word,
	.words = identity_strategies},
	{.name = "on_failure", .field = TEMPLATE_ON_FAILURE, .read = tc_read_word,
	.words = task_failure_rules},
	{.name = lifecycle_block, .nested = lifecycle_keys},
	{.name = concurrency_block, .nested = task_concurrency_keys},
	{.name = rate_block, .nested = task_rate_keys},
	{.name = "input_schema", .field = TEMPLATE_INPUT_SCHEMA, .read = tc_read_schema},
	{.name = "steps", .field = TEMPLATE_STEPS, .read = tc_read_array},

	{.name = "namespace_name", .field = TEMPLATE_NAMESPACE, .read = tc_read_name,
	.max = TC_NAME_MAX_CHARS, .forbidden = '/'},
	{.name = "schema", .field = TEMPLATE_INPUT_SCHEMA, .read = tc_read_schema},
	{.name = "step_templates", .field = TEMPLATE_STEPS, .read = tc_read_array},

	{.name = "composition", .read = tc_read_kept},
	{.name = "custom_events", .read = tc_read_kept},
	{.name = "default_dependent_system", .read = tc_read_kept},
	{.name = "dependent_system", .read = tc_read_kept},
	{.name = "domain_events", .read = tc_read_kept},
	{.name = "handler_config", .read = tc_read_kept},
	{.name = "loaded_from", .read = tc_read_kept},
	{.name = "metadata", .read = tc_read_kept},
	{.name = "module_namespace", .read = tc_read_kept},
	{.name = "named_steps", .read = tc_read_kept},
	{.name = "system_dependencies", .read = tc_read_kept},
	{.name = "system_dependency", .read = tc_read_kept},
	{.name = "task_handler", .read = tc_read_kept},
	{.name = "task_handler_class", .read = tc_read_kept},

	{.name = "environments", .read = tc_read_kept,
	.note = "stored, but not merged: the client merges its environment before it registers"},
	{.name = "publishes_events", .read = tc_read_kept, .note = NOT_PUBLISHED},

	/* blocks of settings that templates of the older dialect carry */
	{.name = "constraints", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "default_context", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "default_options", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "error_handling", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "events", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "monitoring", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "performance", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "retry_backoff", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "security", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "settings", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "task_config", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "testing", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = "workflow_config", .read = tc_read_kept, .note = NO_EFFECT},
	{.name = NULL}
};

/* ---- reading ------------------------------------------------------------- */

static void check_depth(const Jsonb *json);
static JsonbValue *read_template(TcReader *reader, const Jsonb *json, TcTemplate *template);
static void require_name(TcReader *reader, const TcPath *parent, const TcValue *name);
static void read_steps(TcReader *reader, const TcValue *steps, TcTemplate *template);
static List *read_step(TcReader *reader, const TcPath *path, const JsonbValue *json,
					   TcStep *step);
static void enter_step_name(TcReader *reader, const TcPath *path, const char *name);
static void fill_step(TcStep *step, const TcValue *values);
static void check_root(TcReader *reader, const TcPath *path, const TcValue *values);
static void check_condition(TcReader *reader, const TcPath *path, const TcValue *values);
static void check_run_at(TcReader *reader, const TcPath *path, const TcValue *values);
static void check_signal(TcReader *reader, const TcPath *path, JsonbContainer *object,
						 const TcValue *values);
static void check_workflow(TcReader *reader, const TcPath *path, const TcValue *values);
static void check_decision(TcReader *reader, const TcPath *path, const TcStep *step,
						   const TcValue *values);
static List *names_of_parents(const TcValue *values);
static TcFlowLimits read_flow(TcReader *reader, const TcPath *path, JsonbContainer *object, List *parents,
							  const TcValue *values);
static void share_limits(TcReader *reader, const TcFlowLimits *shared, TcTemplate *template);
static void check_map(TcReader *reader, const TcPath *path, JsonbContainer *object,
					  const TcStep *step, const TcValue *values);
static void check_batchable(TcReader *reader, const TcPath *path, JsonbContainer *object,
							const TcStep *step);
static void check_whole(TcReader *reader, const TcPath *steps_path, const TcTemplate *template);
static void fill_map(TcStep *step, const TcValue *values);
static void link_batches(TcReader *reader, const TcPath *steps_path, TcTemplate *template,
						 List *const *references);
static const struct varlena *batch_config(const TcValue *values);
static void check_sql(TcReader *reader, const TcPath *path, const TcValue *values);
static void fill_backoff(TcReader *reader, const TcPath *path, TcValue *values,
						 TcBackoffPolicy *backoff);
static const struct varlena *handler_config(const TcValue *initialization);
static const struct varlena *json_document(const TcValue *value);

void
tc_template_parse(const struct varlena *json, TcDefinition *definition)
{
	const Jsonb *document = (const Jsonb *) json;
	TcTemplate *template = palloc0(sizeof(TcTemplate));
	TcReader	reader;
	JsonbValue *normal_form = NULL;

	check_depth(document);
	tc_reader_begin(&reader);
	if (JB_ROOT_IS_OBJECT(document))
		normal_form = read_template(&reader, document, template);
	else
	{
		TcPath		path = {.key = "template"};

		tc_fault(&reader, &path, "must be an object");
	}

	memset(definition, 0, sizeof(TcDefinition));
	definition->faults = reader.faults;
	definition->warnings = reader.warnings;
	definition->namespace_name = template->namespace_name;
	definition->name = template->name;
	if (reader.faults == NIL)
	{
		definition->template = template;
		definition->normal_form = (struct varlena *) JsonbValueToJsonb(normal_form);
		definition->hash = tc_json_hash(definition->normal_form);
	}
}

/* What is nested too deeply would be refused by others that have to read it. */
static void
check_depth(const Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &json->root));
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;
	int			deepest = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			depth++;
		else if (token == WJB_END_OBJECT || token == WJB_END_ARRAY)
			depth--;
		deepest = Max(deepest, depth);
	}
	if (deepest > TC_MAX_TEMPLATE_DEPTH)
		tc_raise_limit("nesting depth of the template", deepest, TC_MAX_TEMPLATE_DEPTH,
					   "Pass deeply nested data in the context of the task, not in the template.");
}

static JsonbValue *
read_template(TcReader *reader, const Jsonb *json, TcTemplate *template)
{
	TcValue		values[TEMPLATE_FIELD_COUNT] = {0};
	JsonbContainer *object = unconstify(JsonbContainer *, &json->root);
	TcFlowLimits flow;
	TcValue		steps;

	pushJsonbValue(&reader->output, WJB_BEGIN_OBJECT, NULL);
	tc_read_keys(reader, NULL, object, template_keys, values);
	require_name(reader, NULL, &values[TEMPLATE_NAME]);

	/* what identifies a version is always written, so that a reader need not know the defaults */
	if (values[TEMPLATE_NAMESPACE].key == NULL)
		tc_value_set_text(&values[TEMPLATE_NAMESPACE], TC_DEFAULT_NAMESPACE);
	if (values[TEMPLATE_VERSION].key == NULL)
		tc_value_set_text(&values[TEMPLATE_VERSION], TC_DEFAULT_VERSION);

	template->namespace_name = tc_value_text(&values[TEMPLATE_NAMESPACE], TC_DEFAULT_NAMESPACE);
	template->name = values[TEMPLATE_NAME].text;
	template->version = tc_value_text(&values[TEMPLATE_VERSION], TC_DEFAULT_VERSION);
	template->identity = tc_value_integer(&values[TEMPLATE_IDENTITY], TC_IDENTITY_ALWAYS_UNIQUE);
	template->fail_fast = tc_value_integer(&values[TEMPLATE_ON_FAILURE], 0) == 1;

	template->input_schema = json_document(&values[TEMPLATE_INPUT_SCHEMA]);

	flow = read_flow(reader, NULL, object, NIL, &values[TEMPLATE_CONCURRENCY_KEY]);
	flow.shared = true;
	steps = values[TEMPLATE_STEPS];
	tc_write_fields(reader, template_fields, values, TEMPLATE_STEPS);
	read_steps(reader, &steps, template);
	share_limits(reader, &flow, template);
	return pushJsonbValue(&reader->output, WJB_END_OBJECT, NULL);
}

static void
require_name(TcReader *reader, const TcPath *parent, const TcValue *name)
{
	TcPath		path = {.parent = parent, .key = "name"};

	if (name->key == NULL)
		tc_fault(reader, &path, "missing");
}

static void
read_steps(TcReader *reader, const TcValue *steps, TcTemplate *template)
{
	TcPath		path = {.key = steps->key != NULL ? steps->key->name : "steps"};
	JsonbContainer *array = tc_json_array(&steps->json);
	List	  **references;

	if (steps->key == NULL)
		tc_fault(reader, &path, "missing");
	else if (array != NULL && JsonContainerSize(array) == 0)
		tc_fault(reader, &path, "must hold at least one step");
	if (array == NULL || JsonContainerSize(array) == 0)
		return;
	if (JsonContainerSize(array) > TC_MAX_TEMPLATE_STEPS)
		tc_raise_limit("number of steps in the template", JsonContainerSize(array),
					   TC_MAX_TEMPLATE_STEPS, "Split the workflow into several templates.");

	template->nsteps = JsonContainerSize(array);
	template->steps = palloc0(sizeof(TcStep) * template->nsteps);
	references = palloc(sizeof(List *) * template->nsteps);

	tc_write_key(reader, "steps");
	pushJsonbValue(&reader->output, WJB_BEGIN_ARRAY, NULL);
	for (int32 i = 0; i < template->nsteps; i++)
	{
		TcPath		here = {.parent = &path, .index = i};

		CHECK_FOR_INTERRUPTS();
		reader->node = i;
		references[i] = read_step(reader, &here, getIthJsonbValueFromContainer(array, i),
								  &template->steps[i]);
	}
	pushJsonbValue(&reader->output, WJB_END_ARRAY, NULL);
	check_whole(reader, &path, template);
	link_batches(reader, &path, template, references);
	tc_template_link(reader, &path, template, references);
}

/* Returns what the step depends on. */
static List *
read_step(TcReader *reader, const TcPath *path, const JsonbValue *json, TcStep *step)
{
	TcValue		values[STEP_FIELD_COUNT] = {0};
	JsonbContainer *object = tc_json_object(json);

	if (object == NULL)
	{
		tc_fault(reader, path, "must be an object, not %s", tc_json_describe(json));
		return NIL;
	}
	pushJsonbValue(&reader->output, WJB_BEGIN_OBJECT, NULL);
	tc_read_keys(reader, path, object, step_keys, values);
	require_name(reader, path, &values[STEP_NAME]);
	if (values[STEP_NAME].text != NULL)
		enter_step_name(reader, path, values[STEP_NAME].text);
	fill_backoff(reader, path, values, &step->backoff);
	fill_step(step, values);
	check_root(reader, path, values);
	check_condition(reader, path, values);
	check_run_at(reader, path, values);
	step->flow = read_flow(reader, path, object, names_of_parents(values), &values[STEP_CONCURRENCY_KEY]);
	check_signal(reader, path, object, values);
	check_workflow(reader, path, values);
	check_decision(reader, path, step, values);
	check_map(reader, path, object, step, values);
	check_batchable(reader, path, object, step);
	check_sql(reader, path, values);
	tc_write_fields(reader, step_fields, values, STEP_FIELD_COUNT);
	pushJsonbValue(&reader->output, WJB_END_OBJECT, NULL);
	return values[STEP_DEPENDS_ON].references;
}

static void
enter_step_name(TcReader *reader, const TcPath *path, const char *name)
{
	TcStepName *entry = tc_step_name(reader, name);
	TcPath		here = {.parent = path, .key = "name"};

	if (entry->node >= 0)
		tc_fault(reader, &here, "duplicate step %s, which is at %s[%d] already",
				 tc_quote_name(name), path->parent->key, entry->node);
	else
		entry->node = reader->node;
}

/* What a batch worker's instances do, its batchable step says: known when the steps are linked. */
static void
fill_map(TcStep *step, const TcValue *values)
{
	bool		batches = step->type == TC_TYPE_BATCHABLE;
	const TcValue *failure = &values[batches ? STEP_BATCH_FAILURE : STEP_MAP_FAILURE];
	bool		otherwise = !batches && step->on_failure == TC_ON_FAILURE_CONTINUE;

	step->map_over = json_document(&values[STEP_MAP_OVER]);
	step->batch_config = batches ? batch_config(values) : NULL;
	step->parallelism = tc_value_integer(&values[batches ? STEP_BATCH_PARALLELISM : STEP_MAP_PARALLELISM], 0);
	step->instance_failure = tc_value_integer(failure, otherwise) == 1 ? TC_ON_FAILURE_CONTINUE
		: TC_ON_FAILURE_FAIL;
	step->batchable = -1;
}

static void
fill_step(TcStep *step, const TcValue *values)
{
	step->name = values[STEP_NAME].text;
	step->queue = tc_value_text(&values[STEP_QUEUE], TC_DEFAULT_QUEUE);
	step->priority = tc_value_integer(&values[STEP_PRIORITY], 0);
	step->handler_class = values[STEP_CALLABLE].text;
	if (values[STEP_SQL].text != NULL)
	{
		step->handler_class = values[STEP_SQL].text;
		step->queue = TC_SQL_QUEUE; /* whose, is known when it is registered */
	}
	step->handler_method = values[STEP_METHOD].text;
	step->handler_resolver = values[STEP_RESOLVER].text;
	step->handler_config = handler_config(&values[STEP_INITIALIZATION]);
	step->retryable = tc_value_integer(&values[STEP_RETRYABLE], true);
	step->max_attempts = tc_value_integer(&values[STEP_MAX_ATTEMPTS], TC_DEFAULT_MAX_ATTEMPTS);
	step->timeout_seconds = tc_value_integer(&values[STEP_TIMEOUT_SECONDS], 0);
	step->type = tc_value_integer(&values[STEP_TYPE], TC_TYPE_STANDARD);
	step->trigger_rule = tc_value_integer(&values[STEP_TRIGGER_RULE],
										  step->type == TC_TYPE_DEFERRED_CONVERGENCE ?
										  TC_TRIGGER_NONE_FAILED : TC_TRIGGER_ALL_SATISFIED);
	step->on_failure = tc_value_integer(&values[STEP_ON_FAILURE], TC_ON_FAILURE_FAIL);
	step->result_schema = json_document(&values[STEP_RESULT_SCHEMA]);
	step->condition = json_document(&values[STEP_WHEN]);
	step->unmet_fails = tc_value_integer(&values[STEP_WHEN_UNMET], 0) == 1;
	step->delay_seconds = tc_value_number(&values[STEP_DELAY_SECONDS], 0);
	step->run_at = json_document(&values[STEP_RUN_AT]);
	step->signal_name = values[STEP_SIGNAL_NAME].text;
	step->signal_timeout = tc_value_number(&values[STEP_SIGNAL_TIMEOUT], -1);
	step->on_timeout = tc_value_integer(&values[STEP_SIGNAL_ON_TIMEOUT], TC_ON_TIMEOUT_FAIL);
	step->workflow = json_document(&values[STEP_WORKFLOW]);
	fill_map(step, values);
}

/* What a step does about its parents means nothing where there are none. */
static void
check_root(TcReader *reader, const TcPath *path, const TcValue *values)
{
	TcPath		here = {.parent = path, .key = "trigger_rule"};

	if (values[STEP_TRIGGER_RULE].key != NULL && values[STEP_DEPENDS_ON].references == NIL)
		tc_warn(reader, &here, "has no effect, because the step depends on none");
}

static void
fault_at(TcReader *reader, const TcPath *path, const char *key, const char *what)
{
	TcPath		here = {.parent = path, .key = key};

	tc_fault(reader, &here, "%s", what);
}

/* What paths may name. */
static List *
names_of_parents(const TcValue *values)
{
	List	   *parents = NIL;
	ListCell   *cell;

	foreach(cell, values[STEP_DEPENDS_ON].references)
		parents = lappend(parents, unconstify(char *, ((TcReference *) lfirst(cell))->target->name));
	return parents;
}

static void
check_condition(TcReader *reader, const TcPath *path, const TcValue *values)
{
	TcPath		here = {.parent = path, .key = "when"};

	if (values[STEP_WHEN].key == NULL)
	{
		if (values[STEP_WHEN_UNMET].key != NULL)
			fault_at(reader, path, "when_unmet", "needs a condition in when");
		return;
	}
	tc_condition_check(&values[STEP_WHEN].json, tc_path_text(&here), names_of_parents(values), &reader->faults);
}

static void
check_run_at(TcReader *reader, const TcPath *path, const TcValue *values)
{
	TcPath		here = {.parent = path, .key = "run_at"};

	if (values[STEP_RUN_AT].key != NULL)
		tc_path_check(&values[STEP_RUN_AT].json, tc_path_text(&here), names_of_parents(values), &reader->faults);
}

/* The five fields of the limits of a step, or of a template: in the same order in both. */
enum
{
	FLOW_CONCURRENCY_KEY,
	FLOW_CONCURRENCY_LIMIT,
	FLOW_RATE_KEY,
	FLOW_RATE_LIMIT,
	FLOW_RATE_PERIOD
};

/* What is no object is a fault already. */
static bool
is_given(JsonbContainer *object, const char *key)
{
	JsonbValue	value;

	return tc_json_member(object, key, strlen(key), &value) && tc_json_object(&value) != NULL;
}

static const struct varlena *
read_flow_key(TcReader *reader, const TcPath *path, const char *block, List *parents, const TcValue *value)
{
	TcPath		outer = {.parent = path, .key = block};
	TcPath		here = {.parent = &outer, .key = "key"};

	if (value->key != NULL)
		tc_path_check(&value->json, tc_path_text(&here), parents, &reader->faults);
	return json_document(value);
}

static TcFlowLimits
read_flow(TcReader *reader, const TcPath *path, JsonbContainer *object, List *parents, const TcValue *values)
{
	bool		concurrency = is_given(object, concurrency_block);
	bool		rate = is_given(object, rate_block);
	TcFlowLimits flow = {
		.key = read_flow_key(reader, path, concurrency_block, parents, &values[FLOW_CONCURRENCY_KEY]),
		.concurrency = tc_value_integer(&values[FLOW_CONCURRENCY_LIMIT], 0),
		.rate = tc_value_integer(&values[FLOW_RATE_LIMIT], 0),
		.period_seconds = tc_value_number(&values[FLOW_RATE_PERIOD], 0),
	};
	const struct varlena *rate_key = read_flow_key(reader, path, rate_block, parents, &values[FLOW_RATE_KEY]);

	if (concurrency && values[FLOW_CONCURRENCY_LIMIT].key == NULL)
		fault_at(reader, path, concurrency_block, "limit is missing");
	if (rate && values[FLOW_RATE_LIMIT].key == NULL)
		fault_at(reader, path, rate_block, "limit is missing");
	if (rate && values[FLOW_RATE_PERIOD].key == NULL)
		fault_at(reader, path, rate_block, "period_seconds is missing");
	if (concurrency && rate &&
		!tc_json_equal(&values[FLOW_CONCURRENCY_KEY].json, &values[FLOW_RATE_KEY].json))
		fault_at(reader, path, rate_block, "key must be that of concurrency");
	if (!concurrency)
		flow.key = rate_key;
	return flow;
}

/* Steps that no worker takes have nothing to limit. */
static void
share_limits(TcReader *reader, const TcFlowLimits *shared, TcTemplate *template)
{
	bool		used = false;

	for (int32 i = 0; i < template->nsteps; i++)
	{
		TcStep	   *step = &template->steps[i];

		if (step->signal_name != NULL || step->workflow != NULL || tc_step_is_limited(step))
			continue;
		step->flow = *shared;
		used = true;
	}
	if (!used && template->nsteps > 0 && (shared->concurrency > 0 || shared->rate > 0))
		fault_at(reader, NULL, shared->concurrency > 0 ? concurrency_block : rate_block,
				 "limits no step: each has limits of its own, or is taken by no worker");
}

/* No worker takes a step that waits for a signal: what is said about workers would be ignored. */
static void
check_signal(TcReader *reader, const TcPath *path, JsonbContainer *object, const TcValue *values)
{
	static const StepField of_workers[] = {
		STEP_CALLABLE, STEP_METHOD, STEP_RESOLVER, STEP_INITIALIZATION, STEP_SQL, STEP_RETRYABLE,
		STEP_MAX_ATTEMPTS, STEP_BACKOFF, STEP_BACKOFF_BASE_MS, STEP_MAX_BACKOFF_MS, STEP_JITTER,
		STEP_TIMEOUT_SECONDS, STEP_RESULT_SCHEMA, STEP_DELAY_SECONDS, STEP_RUN_AT
	};
	static const char *const flow_blocks[] = {concurrency_block, rate_block};
	JsonbValue	ignored;

	if (getKeyJsonValueFromContainer(object, signal_block, strlen(signal_block), &ignored) == NULL ||
		ignored.type == jbvNull)
		return;
	if (values[STEP_SIGNAL_NAME].key == NULL)
		fault_at(reader, path, signal_block, "name is missing");
	if (values[STEP_SIGNAL_ON_TIMEOUT].key != NULL && values[STEP_SIGNAL_TIMEOUT].key == NULL)
		fault_at(reader, path, signal_block, "on_timeout needs timeout_seconds");
	for (int i = 0; i < lengthof(of_workers); i++)
	{
		if (values[of_workers[i]].key != NULL)
			fault_at(reader, path, values[of_workers[i]].key->name,
					 "means nothing for a step that waits for a signal");
	}
	for (int i = 0; i < lengthof(flow_blocks); i++)
	{
		if (is_given(object, flow_blocks[i]))
			fault_at(reader, path, flow_blocks[i], "means nothing for a step that waits for a signal");
	}
}

/* Nor does one take a step that runs as a task: that has workers, attempts and times of its own. */
static void
check_workflow(TcReader *reader, const TcPath *path, const TcValue *values)
{
	static const StepField of_others[] = {
		STEP_CALLABLE, STEP_METHOD, STEP_RESOLVER, STEP_INITIALIZATION, STEP_SQL, STEP_RETRYABLE,
		STEP_MAX_ATTEMPTS, STEP_BACKOFF, STEP_BACKOFF_BASE_MS, STEP_MAX_BACKOFF_MS, STEP_JITTER,
		STEP_TIMEOUT_SECONDS, STEP_QUEUE, STEP_CONCURRENCY_LIMIT, STEP_RATE_LIMIT
	};
	TcPath		here = {.parent = path, .key = "workflow"};

	if (values[STEP_WORKFLOW].key == NULL)
		return;
	tc_workflow_check(&values[STEP_WORKFLOW].json, tc_path_text(&here), names_of_parents(values), &reader->faults);
	for (int i = 0; i < lengthof(of_others); i++)
	{
		if (values[of_others[i]].key != NULL)
			fault_at(reader, path, values[of_others[i]].key->name,
					 "means nothing for a step that runs as a task of its own");
	}
	if (values[STEP_SIGNAL_NAME].key != NULL)
		fault_at(reader, path, signal_block, "a step either waits for a signal or runs as a task; let one follow the other");
}

static void
check_decision(TcReader *reader, const TcPath *path, const TcStep *step, const TcValue *values)
{
	if (step->type != TC_TYPE_DECISION)
		return;
	if (step->on_failure == TC_ON_FAILURE_CONTINUE)
		fault_at(reader, path, "on_failure", "must not be \"continue\" for a decision: without its result no branch can be taken");
	if (step->signal_name != NULL)
		fault_at(reader, path, signal_block, "a decision is made by a worker; let one follow the wait");
	if (step->workflow != NULL)
		fault_at(reader, path, "workflow", "a decision is made by a worker; let one follow the sub-workflow");
}

/*
 * What only shows when all steps are read: a decision wants branches, and what
 * ends by itself must not end everything else with it.
 */
static void
check_whole(TcReader *reader, const TcPath *steps_path, const TcTemplate *template)
{
	for (int32 i = 0; i < template->nsteps; i++)
	{
		TcPath		path = {.parent = steps_path, .index = i};
		const TcStep *step = &template->steps[i];

		if (step->name == NULL)
			continue;
		if (step->type == TC_TYPE_DECISION && tc_step_name(reader, step->name)->referrer < 0)
			fault_at(reader, &path, "type", "a decision needs at least one step that depends on it");
		if (!template->fail_fast || step->on_failure != TC_ON_FAILURE_FAIL)
			continue;
		if (step->unmet_fails)
			fault_at(reader, &path, "when_unmet", "\"fail\" is not supported in a template with on_failure \"fail_fast\"");
		if (step->run_at != NULL)
			fault_at(reader, &path, "run_at", "is not supported in a template with on_failure \"fail_fast\": a value that is no time fails the step");
		if (step->signal_timeout >= 0 && step->on_timeout == TC_ON_TIMEOUT_FAIL)
			fault_at(reader, &path, signal_block, "on_timeout \"fail\" is not supported in a template with on_failure \"fail_fast\"");
	}
}

/* ---- maps and batches ---------------------------------------------------- */

static bool
has_block(JsonbContainer *object, const char *block)
{
	JsonbValue	value;

	return tc_json_member(object, block, strlen(block), &value) && value.type != jbvNull;
}

static List *
names_of(const List *references)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, references)
		names = lappend(names, unconstify(char *, ((TcReference *) lfirst(cell))->target->name));
	return names;
}

/* Rules that let a step run before its parents ended, or more than once, would take the array away under its instances. */
static void
check_instances(TcReader *reader, const TcPath *path, const TcStep *step)
{
	if (step->trigger_rule == TC_TRIGGER_ONE_SATISFIED || step->trigger_rule == TC_TRIGGER_ALL_DONE)
		fault_at(reader, path, "trigger_rule", "must be \"all_satisfied\" or \"none_failed\" for a step with instances");
	if (step->on_failure == TC_ON_FAILURE_SKIP)
		fault_at(reader, path, "on_failure", "must not be \"skip\" for a step with instances: \"continue\" puts null in the place of one that failed");
	if (step->signal_name != NULL)
		fault_at(reader, path, signal_block, "a step with instances is run by workers; let it follow the wait");
}

static void
check_map(TcReader *reader, const TcPath *path, JsonbContainer *object, const TcStep *step,
		  const TcValue *values)
{
	TcPath		map = {.parent = path, .key = map_block};
	TcPath		over = {.parent = &map, .key = "over"};

	if (has_block(object, map_block))
	{
		if (step->type != TC_TYPE_STANDARD && step->type != TC_TYPE_DEFERRED_CONVERGENCE)
			tc_fault(reader, &map, "goes with no type \"%s\"", tc_step_type_name(step->type));
		if (values[STEP_MAP_OVER].key == NULL)
			tc_fault(reader, &over, "missing");
		else
			tc_path_check(&values[STEP_MAP_OVER].json, tc_path_text(&over),
						  names_of(values[STEP_DEPENDS_ON].references), &reader->faults);
	}
	if (tc_step_is_map(step))
		check_instances(reader, path, step);
	if (step->workflow != NULL && (tc_step_is_map(step) || step->type == TC_TYPE_BATCHABLE))
		fault_at(reader, path, "workflow", "a step with instances, or that names batches, is run by workers");
}

static void
check_batchable(TcReader *reader, const TcPath *path, JsonbContainer *object, const TcStep *step)
{
	if (step->type != TC_TYPE_BATCHABLE)
	{
		if (has_block(object, batch_block))
			fault_at(reader, path, batch_block, "is for steps of type \"batchable\"");
		return;
	}
	if (step->on_failure == TC_ON_FAILURE_CONTINUE)
		fault_at(reader, path, "on_failure", "must not be \"continue\" for a batchable step: without its result there are no batches");
	if (step->signal_name != NULL)
		fault_at(reader, path, signal_block, "a worker says which batches there are; let one follow the wait");
}

/* What a batchable step and the workers of its batches know of each other. */
static const struct varlena *
batch_config(const TcValue *values)
{
	static const StepField fields[] = {
		STEP_BATCH_SIZE, STEP_BATCH_PARALLELISM, STEP_BATCH_CURSOR_FIELD, STEP_BATCH_CHECKPOINT,
		STEP_BATCH_WORKER, STEP_BATCH_FAILURE
	};
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(fields); i++)
	{
		JsonbValue	key = {.type = jbvString};
		JsonbValue	value = values[fields[i]].json;

		if (values[fields[i]].key == NULL)
			continue;
		key.val.string.val = unconstify(char *, step_fields[fields[i]].key);
		key.val.string.len = strlen(step_fields[fields[i]].key);
		pushJsonbValue(&state, WJB_KEY, &key);
		pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The batchable steps that a step depends on: the last of them, and how many. */
static int
count_batchables(const TcTemplate *template, const List *references, int32 *batchable)
{
	ListCell   *cell;
	int			n = 0;

	foreach(cell, references)
	{
		int32		node = ((TcReference *) lfirst(cell))->target->node;

		if (node < 0 || template->steps[node].type != TC_TYPE_BATCHABLE)
			continue;
		*batchable = node;
		n++;
	}
	return n;
}

static bool
in_config(const TcStep *batchable, const char *key, JsonbValue *value)
{
	Jsonb	   *config = (Jsonb *) batchable->batch_config;

	return tc_json_member(&config->root, key, strlen(key), value);
}

/* How the instances of a batch worker are run, the batch_config of its batchable step says. */
static void
link_worker(TcReader *reader, const TcPath *batchable_path, const TcStep *batchable, TcStep *worker)
{
	TcPath		block = {.parent = batchable_path, .key = batch_block};
	TcPath		here = {.parent = &block, .key = "worker_template"};
	JsonbValue	value;

	worker->parallelism = batchable->parallelism;
	if (in_config(batchable, "failure_strategy", &value))
		worker->instance_failure = batchable->instance_failure;
	if (worker->name != NULL && in_config(batchable, "worker_template", &value) &&
		value.type == jbvString && !tc_json_is_string(&value, worker->name))
		tc_fault(reader, &here, "must be the batch worker that depends on the step, %s",
				 tc_quote_name(worker->name));
}

/* Each batchable step has one batch worker, and each batch worker one batchable step. */
static void
link_batches(TcReader *reader, const TcPath *steps_path, TcTemplate *template,
			 List *const *references)
{
	int32	   *workers = palloc0(sizeof(int32) * template->nsteps);

	for (int32 i = 0; i < template->nsteps; i++)
	{
		TcPath		path = {.parent = steps_path, .index = i};
		int32		batchable;

		if (template->steps[i].type != TC_TYPE_BATCH_WORKER)
			continue;
		if (count_batchables(template, references[i], &batchable) != 1)
		{
			fault_at(reader, &path, "depends_on", "a batch worker depends on one batchable step");
			continue;
		}
		workers[batchable]++;
		path.index = batchable;
		link_worker(reader, &path, &template->steps[batchable], &template->steps[i]);
	}
	for (int32 i = 0; i < template->nsteps; i++)
	{
		TcPath		path = {.parent = steps_path, .index = i};

		if (template->steps[i].type == TC_TYPE_BATCHABLE && workers[i] != 1)
			fault_at(reader, &path, "type", "a batchable step needs one step of type \"batch_worker\" that depends on it");
	}
}

/* A function is all there is to say of a SQL step; its queue is that of its role. */
static void
check_sql(TcReader *reader, const TcPath *path, const TcValue *values)
{
	static const StepField others[] = {STEP_CALLABLE, STEP_METHOD, STEP_RESOLVER, STEP_QUEUE};
	TcPath		handler = {.parent = path, .key = handler_block};
	TcPath		sql = {.parent = &handler, .key = "sql"};
	TcPath		queue = {.parent = path, .key = "queue"};

	if (values[STEP_SQL].text == NULL)
	{
		if (values[STEP_QUEUE].text != NULL && tc_queue_is_sql(values[STEP_QUEUE].text))
			tc_fault(reader, &queue, "must not begin with \"" TC_SQL_QUEUE "\", which is for steps that are SQL");
		return;
	}
	for (int i = 0; i < lengthof(others); i++)
	{
		if (values[others[i]].key != NULL)
			tc_fault(reader, &sql, "goes with no %s", values[others[i]].key->name);
	}
}

/* A base above the cap is capped; that is worth a warning where it was written. */
static void
fill_backoff(TcReader *reader, const TcPath *path, TcValue *values, TcBackoffPolicy *backoff)
{
	TcValue    *base = &values[STEP_BACKOFF_BASE_MS];

	backoff->strategy = tc_value_integer(&values[STEP_BACKOFF], TC_BACKOFF_EXPONENTIAL);
	backoff->base_ms = tc_value_integer(base, TC_DEFAULT_BACKOFF_BASE_MS);
	backoff->max_ms = tc_value_integer(&values[STEP_MAX_BACKOFF_MS], TC_DEFAULT_MAX_BACKOFF_MS);
	backoff->jitter = tc_value_number(&values[STEP_JITTER], TC_DEFAULT_JITTER);

	if (backoff->base_ms <= backoff->max_ms)
		return;
	if (base->key != NULL)
	{
		TcPath		retry = {.parent = path, .key = retry_block};
		TcPath		here = {.parent = &retry, .key = base->key->name};

		tc_warn(reader, &here, INT64_FORMAT " ms is more than the longest backoff, "
				INT64_FORMAT " ms, which is used instead", backoff->base_ms, backoff->max_ms);
		tc_value_set_integer(base, backoff->max_ms);
	}
	backoff->base_ms = backoff->max_ms;
}

static const struct varlena *
handler_config(const TcValue *initialization)
{
	const struct varlena *config = json_document(initialization);
	JsonbParseState *state = NULL;

	if (config != NULL)
		return config;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* NULL where there is nothing to store. */
static const struct varlena *
json_document(const TcValue *value)
{
	JsonbValue	json = value->json;

	return json.type == jbvNull ? NULL : (struct varlena *) JsonbValueToJsonb(&json);
}
