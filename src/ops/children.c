/*
 * children.c
 *	  Steps that run as tasks of their own, and what passes between parent and child.
 *
 * Errands are done one after the other, never one within another: what an errand leads to
 * is put behind it in the list, so that neither a long chain of parents nor a deep one of
 * children takes a deep stack.  Each is a subtransaction that gives up within milliseconds
 * where it would have to wait; then it is written down instead.  So no lock is waited for here
 * while a lock of another task is held, in whatever order they come.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "compat.h"
#include "domain/priority.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "guc.h"
#include "ops/changes.h"
#include "ops/children.h"
#include "ops/final_failure.h"
#include "ops/limits.h"
#include "ops/progress.h"
#include "ops/schemas.h"
#include "ops/tasks.h"
#include "schema/workflow.h"
#include "store/access_store.h"
#include "store/attempt.h"
#include "store/child_store.h"
#include "store/claim_store.h"
#include "store/template_store.h"

/* So many are done at once; the others are written down, so that no call grows without a limit. */
#define MAX_AT_ONCE 1000

/* What is to be done now, of TcErrand *, as it grows; put_down() empties it, also after an error. */
static List *work = NIL;
static bool working = false;
static uint64 done_so_far = 0;

/* The child that is being cancelled because nobody waits for it: that is no result. */
static int64 disowned = 0;

static void
add(const TcErrand *errand)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	TcErrand   *copy = palloc(sizeof(TcErrand));

	*copy = *errand;
	work = lappend(work, copy);
	MemoryContextSwitchTo(old);
}

/* ---- how a step ends ----------------------------------------------------- */

static void
end_step(const TcQueueRow *row, TcStepState state, const char *reason, const struct varlena *results)
{
	TcStart		start = {
		.state = state,
		.verb = TC_VERB_WORKFLOW,
		.began_at = row->claimed_at,
		.reason = reason,
		.results = results,
	};
	TcEnded		ended;

	if (state == TC_STEP_ERROR)
		tc_fail_by_itself(row, &start);
	else
		tc_end_by_itself(row, &start, &ended);
}

/* Whatever depends on it goes along, and the task where nothing else is left of it: as when a person cancels it. */
static void
cancel_step(TcStepKey key, const char *reason)
{
	TcChangeRequest request = {.key = key, .to = TC_STEP_CANCELLED, .reason = reason};
	TcChangeResult result;

	tc_change_step(&request, &result);
}

/* ---- results ------------------------------------------------------------- */

static void
push_member(JsonbParseState **state, const char *name, JsonbValue *value)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, value);
}

/* {"task_id": ..., "results": {sink: its result, ...}} */
static struct varlena *
results_of_child(const TcTaskRow *child)
{
	const TcTemplate *template = tc_template_get(child->named_task_id);
	TcParentResult *sinks = palloc(sizeof(TcParentResult) * template->nsteps);
	JsonbParseState *state = NULL;
	JsonbValue	id = {.type = jbvNumeric};
	JsonbValue	all = {.type = jbvBinary};
	struct varlena *results;
	int			n = 0;

	for (int32 node = 0; node < template->nsteps; node++)
	{
		if (tc_dag_child_count(&template->dag, node) > 0)
			continue;
		sinks[n].claim = 0;
		sinks[n].parent.task_id = child->task_id;
		sinks[n].parent.step_no = node + 1;
		sinks[n].slot = child->slot;
		sinks[n++].parent_name = template->steps[node].name;
	}
	tc_claim_read_results(sinks, n, &results, 1);
	id.val.numeric = DatumGetNumeric(DirectFunctionCall1(int8_numeric, Int64GetDatum(child->task_id)));
	all.val.binary.data = &((Jsonb *) results)->root;
	all.val.binary.len = VARSIZE(results) - VARHDRSZ;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_member(&state, "task_id", &id);
	push_member(&state, "results", &all);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* The step's own schema holds for what its task comes to. */
static void
complete_step(const TcQueueRow *row, const TcTaskRow *child, const struct varlena *results)
{
	const TcTemplate *template = tc_template_of_lane(row->lane_id);
	bool	   *taken;

	if (VARSIZE_ANY(results) > (int64) tc_guc_max_payload_kb * 1024)
		end_step(row, TC_STEP_ERROR, psprintf("the results of task " INT64_FORMAT " are larger than tasker_core.max_payload_size",
											  child->task_id), NULL);
	else if (tc_check_results(template, row->key.step_no - 1, results, &taken) != NULL)
		end_step(row, TC_STEP_ERROR, psprintf("the results of task " INT64_FORMAT " do not match the result_schema of the step",
											  child->task_id), NULL);
	else
		end_step(row, TC_STEP_COMPLETE, psprintf("task " INT64_FORMAT " is %s", child->task_id,
												 tc_task_state_name(child->state)), results);
}

/* The row of the step is locked, and its child has ended. */
static void
take_result(const TcQueueRow *row, const TcTaskRow *child, const struct varlena *kept)
{
	switch (child->state)
	{
		case TC_TASK_COMPLETE:
		case TC_TASK_RESOLVED_MANUALLY:
			complete_step(row, child, kept != NULL ? kept : results_of_child(child));
			return;
		case TC_TASK_ERROR:
			end_step(row, TC_STEP_ERROR, psprintf("task " INT64_FORMAT " ended in error", child->task_id), NULL);
			return;
		case TC_TASK_CANCELLED:
			cancel_step(row->key, psprintf("task " INT64_FORMAT " was cancelled", child->task_id));
			return;
		case TC_TASK_PENDING:
		case TC_TASK_IN_PROGRESS:
		case TC_TASK_STATE_COUNT:
			break;
	}
	pg_unreachable();
}

/* ---- making a child ------------------------------------------------------ */

typedef struct Creation
{
	const TcQueueRow *row;
	const TcStep *step;
	const TcTemplate *template;
} Creation;

static const struct varlena *
results_of_parent(void *arg, int32 node)
{
	TcStepKey	key = {*(int64 *) arg, node + 1};

	return tc_claim_read_result(key);
}

static struct varlena *
context_of(const Creation *creation, const TcParentTask *parent)
{
	int64		task_id = creation->row->key.task_id;
	TcInputs	inputs = {
		.context = parent->context, .results = results_of_parent, .arg = &task_id,
		.template = creation->template
	};
	struct varlena *context = tc_workflow_context(creation->step->workflow, &inputs);

	if (context == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workflow.context leads to no JSON object")));
	return context;
}

/* Whoever registered the template has to be allowed to create tasks there, now as then. */
static void
require_access(const TcTemplate *template, const char *namespace_name)
{
	const char *author;

	if (strcmp(namespace_name, template->namespace_name) == 0)
		return;
	author = tc_template_author(template->named_task_id);
	if (tc_role_has_namespace(author, 1 << TC_ACCESS_PRODUCER | 1 << TC_ACCESS_ADMIN, namespace_name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\", which registered the template, has no access to namespace \"%s\"",
					author, namespace_name)));
}

static bool
create_child(void *arg)
{
	const Creation *creation = arg;
	TcWorkflow	workflow = tc_workflow_read(creation->step->workflow);
	const char *namespace_name = workflow.namespace_name ? workflow.namespace_name
		: creation->template->namespace_name;
	TcNewTask	task = {.run_at = TC_NO_TIME};
	TcParentTask parent;

	tc_parent_read(creation->row->key.task_id, &parent);
	if (parent.nesting >= tc_guc_max_nesting)
		tc_raise_limit("the depth of nested sub-workflows", parent.nesting + 1, tc_guc_max_nesting,
					   "Make fewer levels of them, or raise tasker_core.max_nesting.");
	require_access(creation->template, namespace_name);
	task.named_task_id = tc_template_find(namespace_name, workflow.name, workflow.version);
	if (task.named_task_id == 0)
		tc_raise_template_not_found(namespace_name, workflow.name, workflow.version);
	task.context = context_of(creation, &parent);
	task.priority = tc_priority_of_step(parent.priority, creation->step->priority);
	task.initiator = parent.initiator;
	task.parent_correlation_id = parent.correlation_id;
	task.created_by = parent.created_by;
	task.created_as = parent.created_as;
	task.parent_step_id = tc_step_id(creation->row->key.task_id, creation->row->key.step_no);
	task.nesting = parent.nesting + 1;
	task.has_run_at = creation->row->visible_at > tc_session_now();
	if (task.has_run_at)
		task.run_at = creation->row->visible_at;
	tc_create_child(&task);
	return true;
}

/* False where it would have to wait; a step that cannot have its task fails for good. */
static bool
make_child(const TcQueueRow *row)
{
	Creation	creation = {.row = row, .template = tc_template_of_lane(row->lane_id)};
	ErrorData  *error;

	creation.step = &creation.template->steps[row->key.step_no - 1];
	if (tc_attempt_or_error(create_child, &creation, TC_WAIT_BRIEFLY, &error))
		return true;
	if (error == NULL || error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		return false;
	end_step(row, TC_STEP_ERROR, psprintf("its task could not be created: %s%s%s", error->message,
										  error->detail != NULL ? "; " : "", error->detail != NULL ? error->detail : ""),
			 NULL);
	return true;
}

/* ---- errands ------------------------------------------------------------- */

static TcStepKey
step_of(int64 parent_step_id)
{
	TcStepKey	key = {tc_step_id_task(parent_step_id), tc_step_id_no(parent_step_id)};

	return key;
}

/* The row of the step, in its place in the order of locks; false when it waits for no task any more. */
static bool
lock_step(TcStepKey key, TcQueueRow *row)
{
	tc_final_failure_prepare(key);
	return tc_queue_lock_wait(key, TC_PHASE_TASK, TC_LOCK_RAISES, row);
}

static bool
read_task(int64 task_id, TcTaskRow **child)
{
	return tc_task_read_latest(&task_id, 1, child) == 1;
}

static void
retry_child(TcStepKey key, int64 child)
{
	TcErrand	errand = {.kind = TC_ERRAND_RETRY, .key = key, .child = child, .reason = "its parent's step is tried again"};

	add(&errand);
}

/* A step that was tried before has a child: if that is over, or goes on by itself, it counts. */
static bool
launch(const TcErrand *errand)
{
	TcQueueRow	row;
	TcTaskState state;
	TcErrandKind pending;
	TcTaskRow  *task;
	int64		child;

	if (!lock_step(errand->key, &row) || row.lane_id < 0)
		return true;			/* resume_task launches what waits */
	if (!tc_child_newest(errand->key, &child, &state) || state == TC_TASK_CANCELLED)
		return make_child(&row);
	if (tc_errand_exists(child, &pending))
		return pending == TC_ERRAND_CANCEL ? make_child(&row) : true;
	if (state == TC_TASK_ERROR)
		retry_child(errand->key, child);
	else if (tc_task_state_is_final(state) && read_task(child, &task))
		take_result(&row, task, NULL);
	return true;
}

/* A parent that was scheduled is pending, although its children are there: until the first of them has begun. */
static void
start_parents(const TcTaskRow *children, int n)
{
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	int			nids = 0;
	TcTaskRow  *parents;

	for (int i = 0; i < n; i++)
	{
		if (children[i].parent_step_id != 0)
			ids[nids++] = tc_step_id_task(children[i].parent_step_id);
	}
	nids = tc_task_ids_sort_unique(ids, nids);
	nids = nids == 0 ? 0 : tc_task_read_latest(ids, nids, &parents);
	for (int i = 0; i < n && nids > 0; i++)
	{
		TcErrand	errand = {.kind = TC_ERRAND_START, .child = children[i].task_id};
		TcTaskRow  *parent;

		if (children[i].parent_step_id == 0)
			continue;
		errand.key = step_of(children[i].parent_step_id);
		parent = unconstify(TcTaskRow *, tc_task_find(parents, nids, errand.key.task_id));
		if (parent == NULL || parent->state != TC_TASK_PENDING)
			continue;
		add(&errand);
		parent->state = TC_TASK_IN_PROGRESS;	/* once will do */
	}
}

static bool
start(const TcErrand *errand)
{
	int64		task_id = errand->key.task_id;
	TcTaskRow  *task;

	if (!read_task(task_id, &task) || task->state != TC_TASK_PENDING)
		return true;
	if (tc_task_start(&task_id, 1) == 0)
		return false;			/* somebody has it in hand */
	tc_event_task(TC_EVENT_TASK_STARTED, task_id);
	start_parents(task, 1);
	return true;
}

static bool
bring_result(const TcErrand *errand)
{
	TcQueueRow	row;
	TcTaskState state;
	TcTaskRow  *task;
	int64		newest;

	if (!lock_step(errand->key, &row))
		return true;
	if (read_task(errand->child, &task))
	{
		if (!tc_child_newest(errand->key, &newest, &state) || newest != errand->child ||
			!tc_task_state_is_ended(task->state))
			return true;		/* another runs for the step by now, or the same goes on */
		take_result(&row, task, errand->results);
	}
	else if (errand->results != NULL)
	{
		TcTaskRow	dropped = {.task_id = errand->child, .state = TC_TASK_COMPLETE};

		take_result(&row, &dropped, errand->results);
	}
	else
		end_step(&row, TC_STEP_ERROR, psprintf("task " INT64_FORMAT " was dropped before its end was noticed", errand->child), NULL);
	return true;
}

/* The step failed with its child; now that goes on. */
static bool
attach(const TcErrand *errand)
{
	TcChangeRequest request = {.key = errand->key, .to = TC_STEP_PENDING, .reason = errand->reason};
	TcChangeResult result;
	TcTaskState state;
	TcHeldTask	held;
	int64		newest;

	tc_hold_task(errand->key.task_id, &held);
	if (tc_task_state_is_final(held.view.task.state) || !tc_view_blocks(&held.view, errand->key.step_no - 1) ||
		!tc_child_newest(errand->key, &newest, &state) || newest != errand->child ||
		tc_task_state_is_ended(state))
		return true;
	tc_change_step(&request, &result);
	return true;
}

static bool
cancel_child(const TcErrand *errand)
{
	TcTaskRow  *task;
	TcHeldTask	held;

	if (!read_task(errand->child, &task) || tc_task_state_is_final(task->state))
		return true;
	tc_hold_task(errand->child, &held);
	if (tc_task_state_is_final(held.view.task.state))
		return true;			/* it ended just now */
	disowned = errand->child;
	tc_cancel_task(errand->child, errand->reason, NULL);
	return true;
}

static bool
retry(const TcErrand *errand)
{
	TcTaskRow  *task;

	if (read_task(errand->child, &task) && task->state == TC_TASK_ERROR)
		tc_retry_task(errand->child, errand->reason, NULL);
	return true;
}

static bool (*const errands[TC_ERRAND_KIND_COUNT]) (const TcErrand *errand) = {
	[TC_ERRAND_LAUNCH] = launch,
	[TC_ERRAND_START] = start,
	[TC_ERRAND_RESULT] = bring_result,
	[TC_ERRAND_ATTACH] = attach,
	[TC_ERRAND_CANCEL] = cancel_child,
	[TC_ERRAND_RETRY] = retry,
};

static bool
do_errand(void *arg)
{
	const TcErrand *errand = arg;

	if (errand->errand_id != 0 && !tc_errand_take(errand))
		return false;
	return errands[errand->kind] (errand);
}

/* The parent's history may be all that is left of its child one day. */
static void
write_down(TcErrand *errand)
{
	TcTaskRow  *task;

	if (errand->errand_id != 0)
		return;					/* it is */
	if (errand->kind == TC_ERRAND_RESULT && read_task(errand->child, &task) &&
		(task->state == TC_TASK_COMPLETE || task->state == TC_TASK_RESOLVED_MANUALLY))
		errand->results = results_of_child(task);
	tc_errand_insert(errand);
}

/* Whoever is at work here has another task in mind: an error is told, and is not his. */
static void
tell(const TcErrand *errand, const ErrorData *error)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("what task " INT64_FORMAT " and its sub-workflows ask of each other has to wait: %s",
					errand->key.task_id, error->message),
			 errdetail("It concerns step " INT64_FORMAT ".", tc_step_id(errand->key.task_id, errand->key.step_no)),
			 errhint("It is tried again by the next claim, and by run_maintenance.")));
}

/* What a failed attempt put behind itself goes with it. */
static bool
try(TcErrand *errand)
{
	int			before = list_length(work);
	ErrorData  *error;
	bool		done = tc_attempt_or_error(do_errand, errand, TC_WAIT_BRIEFLY, &error);

	disowned = 0;
	if (done)
		return true;
	work = list_truncate(work, before);
	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		tell(errand, error);
	return false;
}

static int
work_all(void)
{
	int			done = 0;

	for (int i = 0; i < list_length(work); i++)
	{
		TcErrand   *errand = list_nth(work, i);

		CHECK_FOR_INTERRUPTS();
		if (i < MAX_AT_ONCE && try(errand))
			done++;
		else
			write_down(errand);
	}
	return done;
}

static void
put_down(void)
{
	list_free_deep(work);
	work = NIL;
	working = false;
	disowned = 0;
}

/*
 * Returns how many were done; none where an errand is under way: what it added is
 * done after it.  An error ends the transaction, or the subtransaction that began
 * this: the list is void then.
 */
static int
work_off(void)
{
	volatile int done = 0;

	if (working)
		return 0;
	working = true;
	PG_TRY();
	{
		done = work_all();
	}
	PG_CATCH();
	{
		put_down();
		PG_RE_THROW();
	}
	PG_END_TRY();
	put_down();
	done_so_far += done;
	return done;
}

/* ---- the story ----------------------------------------------------------- */

void
tc_children_launch(const TcStepKey *keys, int n)
{
	for (int i = 0; i < n; i++)
	{
		TcErrand	errand = {.kind = TC_ERRAND_LAUNCH, .key = keys[i]};

		add(&errand);
	}
	if (n > 0)
		work_off();
}

void
tc_children_began(const int64 *task_ids, int n)
{
	int64	   *ids = palloc(sizeof(int64) * Max(n, 1));
	TcTaskRow  *children;

	memcpy(ids, task_ids, sizeof(int64) * n);
	n = tc_task_ids_sort_unique(ids, n);
	n = tc_task_read_latest(ids, n, &children);
	start_parents(children, n);
	work_off();
}

void
tc_child_ended(int64 task_id, int64 parent_step_id, TcTaskState state)
{
	TcErrand	errand = {.kind = TC_ERRAND_RESULT, .child = task_id};

	if (parent_step_id == 0 || task_id == disowned)
		return;
	errand.key = step_of(parent_step_id);
	add(&errand);
	work_off();
}

void
tc_child_goes_on(int64 task_id, int64 parent_step_id)
{
	TcErrand	errand = {.kind = TC_ERRAND_ATTACH, .child = task_id};

	if (parent_step_id == 0)
		return;
	errand.key = step_of(parent_step_id);
	errand.reason = psprintf("task " INT64_FORMAT " goes on", task_id);
	add(&errand);
	work_off();
}

void
tc_children_disown(int64 task_id, const TcTemplate *template, const bool *nodes, bool keep_failed,
				   const char *reason)
{
	TcChild    *children;
	int			n;

	if (!template->nests)
		return;
	n = tc_children_read(task_id, true, &children);
	for (int i = 0; i < n; i++)
	{
		TcErrand	errand = {
			.kind = TC_ERRAND_CANCEL, .key = children[i].key, .child = children[i].task_id,
			.reason = reason != NULL ? psprintf("with its parent: %s", reason) : "with its parent"
		};

		if (tc_task_state_is_final(children[i].state) ||
			(keep_failed && children[i].state == TC_TASK_ERROR) ||
			(nodes != NULL && !nodes[children[i].key.step_no - 1]))
			continue;
		add(&errand);
	}
	work_off();
}

uint64
tc_children_done(void)
{
	return done_so_far;
}

int
tc_errands_do(int32 shard_key, int max)
{
	TcErrand   *list;
	int			n = tc_errands_read(shard_key, max, &list);

	for (int i = 0; i < n; i++)
		add(&list[i]);
	return n == 0 ? 0 : work_off();
}
