/*
 * start_step.c
 *	  The turn of a step comes: it goes to the workers, waits for a signal, or ends
 *	  at once.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/instant.h"
#include "ops/maps.h"
#include "ops/start_step.h"
#include "store/signal_store.h"

#define MAX_SHOWN 100			/* bytes of a value that is no time */

void
tc_starter_begin(TcStarter *starter, int64 task_id, const TcTemplate *template)
{
	starter->task_id = task_id;
	starter->template = template;
	starter->context = NULL;
	starter->results = NULL;
	starter->known = NULL;
}

static void
make_room(TcStarter *starter)
{
	if (starter->known != NULL)
		return;
	starter->known = palloc0(sizeof(bool) * starter->template->nsteps);
	starter->results = palloc0(sizeof(struct varlena *) * starter->template->nsteps);
}

void
tc_starter_know(TcStarter *starter, int32 node, const struct varlena *results)
{
	make_room(starter);
	starter->results[node] = results;
	starter->known[node] = true;
}

/* ---- conditions ---------------------------------------------------------- */

static const struct varlena *
results_of(void *arg, int32 node)
{
	TcStarter  *starter = arg;

	make_room(starter);
	if (!starter->known[node])
	{
		TcStepKey	key = {starter->task_id, node + 1};

		tc_starter_know(starter, node, tc_claim_read_result(key));
	}
	return starter->results[node];
}

TcInputs
tc_starter_inputs(TcStarter *starter)
{
	TcInputs	inputs = {
		.results = results_of, .arg = starter, .template = starter->template
	};

	if (starter->context == NULL)
	{
		TcClaimTask *task;

		tc_claim_read_tasks(&starter->task_id, 1, &task);
		starter->context = task->context;
	}
	inputs.context = starter->context;
	return inputs;
}

static bool
condition_holds(TcStarter *starter, const TcStep *step)
{
	TcInputs	inputs = tc_starter_inputs(starter);

	return tc_condition_holds(step->condition, &inputs);
}

/* ---- times --------------------------------------------------------------- */

static TimestampTz
later(TimestampTz time, double seconds)
{
	return time + (TimestampTz) (seconds * USECS_PER_SEC);
}

TimestampTz
tc_wait_deadline(const TcStep *step, TimestampTz began_at)
{
	return step->signal_timeout < 0 ? DT_NOEND : later(began_at, step->signal_timeout);
}

/* ---- starts -------------------------------------------------------------- */

TcStart
tc_start_ended(TcStepState state, TcMoveVerb verb, const char *reason, const struct varlena *results)
{
	TcStart		start = {
		.phase = 0,
		.visible_at = TC_NO_TIME,
		.began_at = tc_session_now(),
		.state = state,
		.verb = verb,
		.reason = reason,
		.results = results,
	};

	return start;
}

/* What run_at leads to, in words that fit a record. */
static char *
no_time_text(const JsonbValue *value)
{
	if (value->type != jbvString)
		return psprintf("run_at leads to %s, not to a text with a date and a time", tc_json_describe(value));
	return psprintf("run_at leads to no date and time: \"%.*s\"",
					pg_mbcliplen(value->val.string.val, value->val.string.len, MAX_SHOWN), value->val.string.val);
}

/* Not before the time that is in the data. */
static TcStart
begin_at(TcStarter *starter, const TcStep *step, TcStart ready)
{
	TcInputs	inputs = tc_starter_inputs(starter);
	JsonbValue	path = tc_json_root(step->run_at);
	JsonbValue	value;
	TimestampTz run_at;

	if (!tc_path_value(&path, &inputs, &value))
		return tc_start_ended(TC_STEP_ERROR, TC_VERB_RUN_AT, "run_at leads to nothing", NULL);
	if (value.type != jbvString || !tc_instant_parse(tc_json_string(&value), &run_at))
		return tc_start_ended(TC_STEP_ERROR, TC_VERB_RUN_AT, no_time_text(&value), NULL);
	ready.visible_at = Max(ready.visible_at, run_at);
	return ready;
}

static TcStart
begin_wait(const TcStarter *starter, int32 node, TimestampTz base)
{
	const TcStep *step = &starter->template->steps[node];
	TcStepKey	key = {starter->task_id, node + 1};
	struct varlena *payload = tc_signal_take(key, step->signal_name);
	TcStart		start = {
		.phase = TC_PHASE_SIGNAL,
		.visible_at = tc_wait_deadline(step, base),
		.began_at = tc_session_now(),
	};

	if (payload == NULL)
		return start;
	return tc_start_ended(TC_STEP_COMPLETE, TC_VERB_SIGNAL, step->signal_name, payload);
}

TcStart
tc_start_of_timeout(const TcStep *step)
{
	static const char reason[] = "no signal came in time";

	switch (step->on_timeout)
	{
		case TC_ON_TIMEOUT_FAIL:
			return tc_start_ended(TC_STEP_ERROR, TC_VERB_TIMEOUT, reason, NULL);
		case TC_ON_TIMEOUT_SKIP:
			return tc_start_ended(TC_STEP_SKIPPED, TC_VERB_TIMEOUT, reason, NULL);
		case TC_ON_TIMEOUT_COMPLETE:
			return tc_start_ended(TC_STEP_COMPLETE, TC_VERB_TIMEOUT, reason,
						 (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("null"))));
		case TC_TIMEOUT_RULE_COUNT:
			break;
	}
	pg_unreachable();
}

TcStart
tc_start_step(TcStarter *starter, int32 node, TimestampTz base)
{
	const TcStep *step = &starter->template->steps[node];
	TcStart		ready = {.phase = TC_PHASE_READY, .began_at = TC_NO_TIME};

	if (step->condition != NULL && !condition_holds(starter, step))
		return tc_start_ended(step->unmet_fails ? TC_STEP_ERROR : TC_STEP_SKIPPED, TC_VERB_CONDITION,
					 "its condition does not hold", NULL);
	if (step->signal_name != NULL)
		return begin_wait(starter, node, base);
	ready.visible_at = tc_step_ready_at(step, base);
	if (step->run_at != NULL)
		ready = begin_at(starter, step, ready);
	if (step->workflow != NULL && ready.phase == TC_PHASE_READY)
	{
		ready.phase = TC_PHASE_TASK;
		ready.began_at = tc_session_now();
	}
	if (ready.phase != 0 && tc_step_is_map(step))
		return tc_map_start(starter, node, ready.visible_at);
	return ready;
}

/* A step that was not skipped has been in progress, be it for no time. */
TcStepMove
tc_move_of_start(TcStepKey key, const TcStart *start)
{
	bool		ran = start->state != TC_STEP_SKIPPED;
	TcStepMove	move = {
		.key = key,
		.verb = start->verb,
		.from = ran ? TC_STEP_IN_PROGRESS : TC_STEP_PENDING,
		.to = start->state,
		.claimed_at = ran ? start->began_at : TC_NO_TIME,
		.results = start->results,
		.reason = start->reason,
	};

	return move;
}
