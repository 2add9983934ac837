/*
 * query_api.c
 *	  SQL entry points: questions about tasks, and arithmetic.
 */
#include "postgres.h"

#include <math.h>

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/backoff.h"
#include "domain/order.h"
#include "domain/retry.h"
#include "domain/states.h"
#include "ops/queries.h"
#include "store/access_store.h"

PG_FUNCTION_INFO_V1(tasker_get_step_readiness_status);
PG_FUNCTION_INFO_V1(tasker_get_step_readiness_status_batch);
PG_FUNCTION_INFO_V1(tasker_get_task_execution_context);
PG_FUNCTION_INFO_V1(tasker_get_task_execution_contexts_batch);
PG_FUNCTION_INFO_V1(tasker_verify_task);
PG_FUNCTION_INFO_V1(tasker_verify_all);
PG_FUNCTION_INFO_V1(tasker_calculate_backoff);
PG_FUNCTION_INFO_V1(tasker_library_version);

/*
 * Calls `visit` for each task that exists and the caller may see, each in a context of its own that is
 * reset afterwards, so that any number of tasks fits.
 */
typedef void (*TaskVisitor) (const TcTaskView *view, TcEmit *emit, void *argument);

static void
visit_tasks(FunctionCallInfo fcinfo, const int64 *task_ids, int n, TaskVisitor visit, TcEmit *emit, void *argument)
{
	MemoryContext per_task = AllocSetContextCreate(CurrentMemoryContext, "tasker_core task",
												   ALLOCSET_DEFAULT_SIZES);

	for (int i = 0; i < n; i++)
	{
		MemoryContext old;
		TcTaskView	view;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(per_task);
		tc_session_begin(fcinfo);
		if (tc_scope_has_task(task_ids[i]) && tc_view_load(task_ids[i], &view))
			visit(&view, emit, argument);
		tc_session_end();
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_task);
	}
	MemoryContextDelete(per_task);
}

static int64 *
required_task_ids(FunctionCallInfo fcinfo, int argno, int *n)
{
	int64	   *task_ids;

	tc_arg_require(fcinfo, argno, "task_ids");
	*n = tc_arg_int64_array(fcinfo, argno, "task_ids", &task_ids);
	return task_ids;
}

/* ---- readiness ----------------------------------------------------------- */

/* Which steps to show: sorted ids, or all where ids is NULL. */
typedef struct StepFilter
{
	int64	   *ids;
	int			n;
} StepFilter;

static bool
is_wanted(const StepFilter *filter, int64 step_id)
{
	return filter->ids == NULL ||
		bsearch(&step_id, filter->ids, filter->n, sizeof(int64), tc_int64_compare) != NULL;
}

/* The names of states that came up so far, 0 for others. */
typedef struct StateNames
{
	Datum		texts[TC_STEP_STATE_COUNT];
} StateNames;

static Datum
state_name(StateNames *names, TcStepState state)
{
	if (names->texts[state] == 0)
		names->texts[state] = CStringGetTextDatum(tc_step_state_name(state));
	return names->texts[state];
}

static void
emit_readiness(TcEmit *emit, const TcTaskView *view, int32 position, StateNames *names)
{
	const TcStepView *step = &view->steps[position];
	int32		node = tc_view_node(view, position);
	const TcStep *definition = &view->template->steps[node];
	TcParents	parents = tc_view_parents(view, position);
	int32		total = tc_dag_parent_count(&view->template->dag, node);

	tc_emit_int64(emit, tc_step_id(view->task.task_id, tc_view_step_no(view, position)));
	tc_emit_int64(emit, view->task.task_id);
	tc_emit_int32(emit, definition->named_step_id);
	tc_emit_datum(emit, PointerGetDatum(tc_view_name_text(view, position)));
	tc_emit_datum(emit, state_name(names, step->state));
	tc_emit_bool(emit, tc_view_is_triggered(step) ||
				 tc_trigger_verdict(definition->trigger_rule, &parents) == TC_VERDICT_RUNS);
	tc_emit_bool(emit, tc_retry_eligible(tc_step_state_is_ended(step->state), definition->retryable,
										 step->attempts, step->max_attempts));
	tc_emit_bool(emit, tc_view_is_ready(view, position));
	tc_emit_timestamptz(emit, step->last_failure_at);
	tc_emit_timestamptz(emit, tc_view_next_retry_at(step));
	tc_emit_int32(emit, total);
	tc_emit_int32(emit, total - tc_trigger_remaining(definition->trigger_rule, &parents));
	tc_emit_int32(emit, step->attempts);
	tc_emit_int32(emit, step->max_attempts);
	if (step->state == TC_STEP_WAITING_FOR_RETRY && step->backoff_request_seconds >= 0)
		tc_emit_int32(emit, step->backoff_request_seconds);
	else
		tc_emit_null(emit);
	tc_emit_timestamptz(emit, step->last_attempted_at);
	tc_emit_row(emit);
}

static void
visit_readiness(const TcTaskView *view, TcEmit *emit, void *argument)
{
	StateNames	names = {{0}};

	for (int32 i = 0; i < view->nsteps; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_wanted(argument, tc_step_id(view->task.task_id, tc_view_step_no(view, i))))
			emit_readiness(emit, view, i, &names);
	}
}

Datum
tasker_get_step_readiness_status(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	StepFilter	filter;
	TcEmit		emit;

	filter.n = tc_arg_int64_array(fcinfo, 1, "step_ids", &filter.ids);
	if (filter.ids != NULL)
		qsort(filter.ids, filter.n, sizeof(int64), tc_int64_compare);
	tc_emit_begin(fcinfo, &emit);
	visit_tasks(fcinfo, &task_id, 1, visit_readiness, &emit, &filter);
	PG_RETURN_NULL();
}

Datum
tasker_get_step_readiness_status_batch(PG_FUNCTION_ARGS)
{
	StepFilter	all = {NULL, 0};
	int			n;
	int64	   *task_ids = required_task_ids(fcinfo, 0, &n);
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	visit_tasks(fcinfo, task_ids, n, visit_readiness, &emit, &all);
	PG_RETURN_NULL();
}

/* ---- execution context --------------------------------------------------- */

static void
visit_context(const TcTaskView *view, TcEmit *emit, void *argument)
{
	TcExecutionContext context;
	int32		satisfied;

	tc_execution_context(view, &context);
	satisfied = context.steps[TC_STEP_COMPLETE] + context.steps[TC_STEP_RESOLVED_MANUALLY];
	tc_emit_int64(emit, view->task.task_id);
	tc_emit_int32(emit, view->task.named_task_id);
	tc_emit_text(emit, tc_task_state_name(view->task.state));
	tc_emit_int64(emit, context.total);
	tc_emit_int64(emit, context.steps[TC_STEP_PENDING]);
	tc_emit_int64(emit, context.steps[TC_STEP_IN_PROGRESS]);
	tc_emit_int64(emit, satisfied);
	tc_emit_int64(emit, context.steps[TC_STEP_ERROR]);
	tc_emit_int64(emit, context.ready);
	tc_emit_text(emit, context.execution_status);
	tc_emit_text(emit, context.recommended_action);
	tc_emit_datum(emit, tc_completion_percentage(&context));
	tc_emit_text(emit, context.health_status);
	tc_emit_int64(emit, context.steps[TC_STEP_WAITING_FOR_RETRY]);
	tc_emit_int64(emit, context.steps[TC_STEP_CANCELLED]);
	tc_emit_int64(emit, context.steps[TC_STEP_SKIPPED]);
	tc_emit_row(emit);
}

Datum
tasker_get_task_execution_context(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	visit_tasks(fcinfo, &task_id, 1, visit_context, &emit, NULL);
	PG_RETURN_NULL();
}

Datum
tasker_get_task_execution_contexts_batch(PG_FUNCTION_ARGS)
{
	int			n;
	int64	   *task_ids = required_task_ids(fcinfo, 0, &n);
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	visit_tasks(fcinfo, task_ids, n, visit_context, &emit, NULL);
	PG_RETURN_NULL();
}

/* ---- verification -------------------------------------------------------- */

/* *argument: whether the rows begin with the task's id. */
static void
visit_violations(const TcTaskView *view, TcEmit *emit, void *argument)
{
	bool		with_task_id = *(bool *) argument;
	TcViolation *violations;
	int			n = tc_verify_task(view, &violations);

	for (int i = 0; i < n; i++)
	{
		if (with_task_id)
			tc_emit_int64(emit, view->task.task_id);
		if (violations[i].workflow_step_id == 0)
			tc_emit_null(emit);
		else
			tc_emit_int64(emit, violations[i].workflow_step_id);
		tc_emit_text(emit, violations[i].text);
		tc_emit_row(emit);
	}
}

Datum
tasker_verify_task(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	bool		with_task_id = false;
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	visit_tasks(fcinfo, &task_id, 1, visit_violations, &emit, &with_task_id);
	PG_RETURN_NULL();
}

Datum
tasker_verify_all(PG_FUNCTION_ARGS)
{
	int64		max_tasks = PG_ARGISNULL(0) ? -1 : PG_GETARG_INT32(0);
	bool		with_task_id = true;
	int64	   *task_ids;
	TcEmit		emit;
	int			n;
	const char **of_keys;
	int			nkeys;

	if (!PG_ARGISNULL(0) && max_tasks < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tasks must not be negative"),
				 errdetail("It is " INT64_FORMAT ".", max_tasks),
				 errhint("Pass NULL to verify every task.")));
	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_view_task_ids(max_tasks, &task_ids);
	task_ids = memcpy(MemoryContextAllocHuge(tc_session_caller_context(), sizeof(int64) * Max(n, 1)),
					  task_ids, sizeof(int64) * n);
	nkeys = tc_verify_flow_keys(&of_keys);
	for (int i = 0; i < nkeys; i++)
	{
		tc_emit_null(&emit);
		tc_emit_null(&emit);
		tc_emit_text(&emit, of_keys[i]);
		tc_emit_row(&emit);
	}
	tc_session_end();
	visit_tasks(fcinfo, task_ids, n, visit_violations, &emit, &with_task_id);
	PG_RETURN_NULL();
}

/* ---- arithmetic ---------------------------------------------------------- */

static void
refuse_backoff(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid backoff"),
			 errdetail("%s", what),
			 errhint("%s", hint)));
}

Datum
tasker_calculate_backoff(PG_FUNCTION_ARGS)
{
	char	   *strategy = tc_arg_required_text(fcinfo, 0, "strategy");
	TcBackoffPolicy policy;
	int32		attempt;
	uint64		seed;

	tc_arg_require(fcinfo, 1, "attempt");
	attempt = PG_GETARG_INT32(1);
	policy.base_ms = tc_arg_int64(fcinfo, 2, 1000);
	policy.max_ms = tc_arg_int64(fcinfo, 3, 30000);
	policy.jitter = PG_ARGISNULL(4) ? 0.0 : PG_GETARG_FLOAT8(4);
	if (!tc_backoff_strategy_parse(strategy, &policy.strategy))
		refuse_backoff(psprintf("There is no strategy \"%s\".", strategy),
					   "Strategies are exponential, linear, fibonacci and none.");
	if (attempt < 1)
		refuse_backoff(psprintf("The attempt is %d.", attempt), "Attempts count from 1.");
	if (policy.base_ms < 0 || policy.max_ms < 0)
		refuse_backoff("base_ms or max_ms is negative.", "Pass milliseconds from 0.");
	if (isnan(policy.jitter) || policy.jitter < 0.0 || policy.jitter > 1.0)
		refuse_backoff(psprintf("The jitter is %g.", policy.jitter),
					   "Jitter is a fraction of the delay, from 0 to 1.");
	if (PG_ARGISNULL(5))
		PG_RETURN_INT64(tc_backoff_delay_ms(&policy, attempt, NULL));
	seed = (uint64) PG_GETARG_INT64(5);
	PG_RETURN_INT64(tc_backoff_delay_ms(&policy, attempt, &seed));
}

Datum
tasker_library_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(PointerGetDatum(cstring_to_text(TC_VERSION)));
}
