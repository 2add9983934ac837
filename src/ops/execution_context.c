/*
 * execution_context.c
 *	  How a task is doing, in counts and in words.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"

#include "compat.h"
#include "domain/states.h"
#include "ops/queries.h"

/* What a task as a whole is doing: the first that holds, in this order. */
typedef enum Execution
{
	PAUSED,
	PAUSED_ABOVE,
	HAS_READY_STEPS,
	PROCESSING,
	WAITING_FOR_RETRY,
	BLOCKED_BY_FAILURES,
	ALL_COMPLETE,
	CANCELLED,
	THROTTLED,
	SCHEDULED,
	WAITING_FOR_DEPENDENCIES
} Execution;

static const struct
{
	const char *status;
	const char *action;
}			execution_names[] = {
	[PAUSED] = {"paused", "resume_task"},
	[PAUSED_ABOVE] = {"paused", "resume_namespace_or_template"},
	[HAS_READY_STEPS] = {"has_ready_steps", "execute_ready_steps"},
	[PROCESSING] = {"processing", "wait_for_completion"},
	[WAITING_FOR_RETRY] = {"waiting_for_retry", "wait_for_retry"},
	[BLOCKED_BY_FAILURES] = {"blocked_by_failures", "handle_failures"},
	[ALL_COMPLETE] = {"all_complete", "finalize_task"},
	[CANCELLED] = {"cancelled", "none"},
	[THROTTLED] = {"throttled", "wait_for_limit"},
	[SCHEDULED] = {"scheduled", "wait_for_schedule"},
	[WAITING_FOR_DEPENDENCIES] = {"waiting_for_dependencies", "wait_for_dependencies"},
};

static Execution
execution_of(const TcTaskView *view, const TcExecutionContext *context)
{
	if (view->task.paused_at != TC_NO_TIME && !tc_task_state_is_final(view->task.state))
		return PAUSED;
	if (view->held_above && !tc_task_state_is_ended(view->task.state))
		return PAUSED_ABOVE;
	if (context->ready > 0)
		return HAS_READY_STEPS;
	if (context->steps[TC_STEP_IN_PROGRESS] > context->idle)
		return PROCESSING;
	if (context->steps[TC_STEP_WAITING_FOR_RETRY] > 0)
		return WAITING_FOR_RETRY;
	if (view->task.state == TC_TASK_ERROR)
		return BLOCKED_BY_FAILURES;
	if (view->task.state == TC_TASK_COMPLETE || view->task.state == TC_TASK_RESOLVED_MANUALLY)
		return ALL_COMPLETE;
	if (view->task.state == TC_TASK_CANCELLED)
		return CANCELLED;
	if (context->throttled > 0)
		return THROTTLED;
	if (view->task.run_at != TC_NO_TIME && view->task.run_at > tc_session_now())
		return SCHEDULED;
	return WAITING_FOR_DEPENDENCIES;
}

/*
 * healthy: nothing failed; recovering: a retry is pending, or other work goes
 * on beside a failure; blocked: a failure, of a step or of the task as a whole,
 * and nothing goes on.  A pause changes none of this.
 */
static const char *
health_of(const TcTaskView *view, const TcExecutionContext *context)
{
	if (context->blocking == 0 && context->steps[TC_STEP_WAITING_FOR_RETRY] == 0 &&
		view->task.state != TC_TASK_ERROR)
		return "healthy";
	return tc_task_state_is_ended(view->task.state) ? "blocked" : "recovering";
}

/* Others do the work of a step that is in progress and no worker's: instances, or a task whose time may not have come. */
static bool
is_idle(const TcStepView *step)
{
	return step->live && (step->phase == TC_PHASE_MAP ||
						  (step->phase == TC_PHASE_TASK && step->visible_at > tc_session_now()));
}

void
tc_execution_context(const TcTaskView *view, TcExecutionContext *context)
{
	Execution	execution;

	memset(context, 0, sizeof(*context));
	context->total = view->nsteps;
	for (int32 i = 0; i < context->total; i++)
	{
		context->steps[view->steps[i].state]++;
		if (tc_view_is_ready(view, i))
			context->ready++;
		if (view->steps[i].live && view->steps[i].phase == TC_PHASE_PARKED)
			context->throttled++;
		if (tc_view_blocks(view, i))
			context->blocking++;
		if (is_idle(&view->steps[i]))
			context->idle++;
	}
	execution = execution_of(view, context);
	context->execution_status = execution_names[execution].status;
	context->recommended_action = execution_names[execution].action;
	context->health_status = health_of(view, context);
}

Datum
tc_completion_percentage(const TcExecutionContext *context)
{
	int64		ended_well = context->steps[TC_STEP_COMPLETE] +
		context->steps[TC_STEP_RESOLVED_MANUALLY] + context->steps[TC_STEP_SKIPPED];
	Datum		percent = DirectFunctionCall2(numeric_div,
											  DirectFunctionCall1(int8_numeric, Int64GetDatum(ended_well * 100)),
											  DirectFunctionCall1(int8_numeric, Int64GetDatum(context->total)));

	return DirectFunctionCall2(numeric_round, percent, Int32GetDatum(2));
}
