/*
 * task_document.c
 *	  Everything about one task, or one step, in one JSON document.
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "errors.h"
#include "ops/graph.h"
#include "ops/queries.h"
#include "store/document_store.h"

void
tc_require_task_view(int64 task_id, TcTaskView *view)
{
	if (!tc_view_load(task_id, view))
		tc_raise_task_not_found(task_id);
}

void
tc_require_step_view(TcStepKey key, TcTaskView *view)
{
	if (!tc_view_load(key.task_id, view) || tc_view_position(view, key.step_no) < 0)
		tc_raise_step_not_found(tc_step_id(key.task_id, key.step_no));
}

/* ---- progress ------------------------------------------------------------ */

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static void
push_number(JsonbParseState **state, const char *name, Datum number)
{
	JsonbValue	value = {.type = jbvNumeric};

	push_key(state, name);
	value.val.numeric = DatumGetNumeric(number);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_count(JsonbParseState **state, const char *name, int32 count)
{
	push_number(state, name, DirectFunctionCall1(int4_numeric, Int32GetDatum(count)));
}

static void
push_word(JsonbParseState **state, const char *name, const char *word)
{
	JsonbValue	value = {.type = jbvString};

	push_key(state, name);
	value.val.string.val = unconstify(char *, word);
	value.val.string.len = strlen(word);
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* What get_task_execution_context says, under the names of its columns. */
static struct varlena *
progress_of(const TcTaskView *view)
{
	JsonbParseState *state = NULL;
	TcExecutionContext context;
	int32	   *steps = context.steps;

	tc_execution_context(view, &context);
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_count(&state, "total_steps", context.total);
	push_count(&state, "pending_steps", steps[TC_STEP_PENDING]);
	push_count(&state, "in_progress_steps", steps[TC_STEP_IN_PROGRESS]);
	push_count(&state, "waiting_for_retry_steps", steps[TC_STEP_WAITING_FOR_RETRY]);
	push_count(&state, "completed_steps", steps[TC_STEP_COMPLETE] + steps[TC_STEP_RESOLVED_MANUALLY]);
	push_count(&state, "failed_steps", steps[TC_STEP_ERROR]);
	push_count(&state, "cancelled_steps", steps[TC_STEP_CANCELLED]);
	push_count(&state, "skipped_steps", steps[TC_STEP_SKIPPED]);
	push_count(&state, "ready_steps", context.ready);
	push_number(&state, "completion_percentage", tc_completion_percentage(&context));
	push_word(&state, "execution_status", context.execution_status);
	push_word(&state, "recommended_action", context.recommended_action);
	push_word(&state, "health_status", context.health_status);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ---- documents ----------------------------------------------------------- */

struct varlena *
tc_get_task(int64 task_id)
{
	TcTaskView	view;
	TcMember	members[3];

	tc_require_task_view(task_id, &view);
	members[0] = (TcMember) {"task", tc_document_task(task_id)};
	members[1] = (TcMember) {"steps", tc_document_steps(&view)};
	members[2] = (TcMember) {"progress", progress_of(&view)};
	return tc_document_object(members, lengthof(members));
}

/* Reads this step alone, however many the task has. */
struct varlena *
tc_get_step(TcStepKey key)
{
	TcTaskView	view;
	int32		position;

	if (!tc_view_load_step(key, &view) || (position = tc_view_position(&view, key.step_no)) < 0)
		tc_raise_step_not_found(tc_step_id(key.task_id, key.step_no));
	return tc_document_step(&view, position, tc_view_next_retry_at(&view.steps[position]));
}
