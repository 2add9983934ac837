/*
 * create_task.c
 *	  A task begins: its row and its roots.
 *
 * Only the roots are written; every other step enters the queue when a parent of
 * it ends.  Takes no lock but, where the task has an identity, the one on its
 * key: sessions that race with one key wait for the first, and all but one are
 * given its task.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "errors.h"
#include "events/events.h"
#include "ops/limits.h"
#include "ops/progress.h"
#include "ops/schemas.h"
#include "ops/tasks.h"
#include "ops/templates.h"
#include "store/access_store.h"
#include "store/json_hash.h"
#include "store/lane_store.h"
#include "store/request_store.h"
#include "store/step_store.h"
#include "store/template_store.h"

/* ---- identity ------------------------------------------------------------ */

/* Every part ends with a byte that no name contains, so that no two lists of parts read alike. */
static void
add_part(pg_cryptohash_ctx *context, const char *part, size_t length)
{
	static const uint8 end = 0;

	if (pg_cryptohash_update(context, (const uint8 *) part, length) < 0 ||
		pg_cryptohash_update(context, &end, 1) < 0)
		elog(ERROR, "could not hash an idempotency key");
}

static void
hash_identity(const TcTemplate *template, const char *kind, const char *part, size_t length,
			  uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0)
		elog(ERROR, "could not hash an idempotency key");
	add_part(context, template->namespace_name, strlen(template->namespace_name));
	add_part(context, template->name, strlen(template->name));
	add_part(context, kind, strlen(kind));
	add_part(context, part, length);
	if (pg_cryptohash_final(context, hash, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not hash an idempotency key");
	pg_cryptohash_free(context);
}

/*
 * A key counts whatever the strategy.  All versions of a template share their
 * keys, so that raising the version does not run an order twice.
 */
static bool
identity_of(const TcNewTask *task, const TcTemplate *template, uint8 *hash)
{
	const char *key = task->idempotency_key;
	struct varlena *context_hash;

	if (key != NULL)
	{
		hash_identity(template, "key", key, strlen(key), hash);
		return true;
	}
	switch (template->identity)
	{
		case TC_IDENTITY_ALWAYS_UNIQUE:
			return false;
		case TC_IDENTITY_STRICT:
			context_hash = tc_json_hash(task->context);
			hash_identity(template, "context", VARDATA_ANY(context_hash),
						  VARSIZE_ANY_EXHDR(context_hash), hash);
			return true;
		case TC_IDENTITY_CALLER_PROVIDED:
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("idempotency_key must not be null"),
					 errdetail("Template \"%s/%s\" has identity_strategy caller_provided.",
							   template->namespace_name, template->name),
					 errhint("Pass a key that names the request, such as an order number.")));
		case TC_IDENTITY_STRATEGY_COUNT:
			break;
	}
	pg_unreachable();
}

/* ---- the roots of a new task --------------------------------------------- */

/* The lane of each queue and priority is looked up once; templates have few. */
typedef struct LaneMemo
{
	const char *queue;
	int32		priority;
	int32		lane_id;
} LaneMemo;

static int32
lane_of_step(const TcTemplate *template, const TcStep *step, int32 task_priority, LaneMemo *memo)
{
	if (memo->lane_id == 0 || memo->priority != step->priority ||
		strcmp(memo->queue, step->queue) != 0)
	{
		memo->queue = step->queue;
		memo->priority = step->priority;
		memo->lane_id = tc_lane_for(template->named_task_id, step->queue, task_priority,
									step->priority);
	}
	return memo->lane_id;
}

static int32
count_roots(const TcDag *dag)
{
	int32		n = 0;

	for (int32 node = 0; node < dag->n; node++)
		n += tc_dag_parent_count(dag, node) == 0 ? 1 : 0;
	return n;
}

/* Roots that take more than a row for workers come afterwards; returns a lane of the task if there are any, else 0. */
static int32
insert_roots(int64 task_id, int16 slot, const TcTemplate *template, const TcNewTask *task)
{
	TcQueueRow *rows = palloc0(sizeof(TcQueueRow) * count_roots(&template->dag));
	TimestampTz start = task->run_at == TC_NO_TIME ? tc_session_now() : task->run_at;
	LaneMemo	memo = {0};
	bool		gated = false;
	int			n = 0;

	for (int32 node = 0; node < template->nsteps; node++)
	{
		const TcStep *step = &template->steps[node];
		int32		lane_id;

		CHECK_FOR_INTERRUPTS();
		if (tc_dag_parent_count(&template->dag, node) > 0)
			continue;
		lane_id = lane_of_step(template, step, task->priority, &memo);
		if (tc_step_is_gated(step))
		{
			gated = true;
			continue;
		}
		rows[n++] = (TcQueueRow) {
			.key = {task_id, node + 1},
			.slot = slot,
			.lane_id = lane_id,
			.phase = TC_PHASE_READY,
			.visible_at = tc_step_ready_at(step, start),
			.max_attempts = tc_step_attempt_limit(step),
		};
	}
	tc_queue_insert(rows, n);
	return gated ? memo.lane_id : 0;
}

/* ---- what is refused ----------------------------------------------------- */

static const struct varlena *
empty_object(void)
{
	return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")));
}

static void
check_task(TcNewTask *task)
{
	if (task->context == NULL)
		task->context = empty_object();
	if (!JB_ROOT_IS_OBJECT((Jsonb *) task->context))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context must be a JSON object"),
				 errdetail("It is an array or a scalar."),
				 errhint("Wrap it: jsonb_build_object('value', ...).")));
	tc_limit_payload(task->context, "context");
	if (task->has_run_at && TIMESTAMP_NOT_FINITE(task->run_at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("run_at must be a finite time"),
				 errdetail("A task scheduled at infinity would never run."),
				 errhint("Leave run_at out to run at once.")));
	if (task->idempotency_key != NULL && task->idempotency_key[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("idempotency_key must not be empty"),
				 errdetail("Every task with an empty key would be the same task."),
				 errhint("Leave it out, or pass a key that names the request.")));
}

/* ---- the story ----------------------------------------------------------- */

static void
answer_existing(int64 task_id, TcCreateResult *result)
{
	TcTaskRow  *task;

	result->task_id = task_id;
	result->created = false;
	result->dropped = tc_task_read_latest(&task_id, 1, &task) != 1;
	if (result->dropped)
		return;
	result->step_count = tc_template_get(task->named_task_id)->nsteps;
	result->state = task->state;
}

/* A task on its way. */
typedef struct Creation
{
	uint8		hash[PG_SHA256_DIGEST_LENGTH];	/* first: sorted by it */
	bool		has_identity;
	TcNewTask  *task;
	int			ordinal;		/* in a bulk request, from 1; 0 = alone */
	int64		task_id;
	int64		existing;		/* the task that has this identity, 0 = none */
} Creation;

static void
prepare(Creation *creation, int32 named_task_id, TcNewTask *task, int ordinal)
{
	creation->task = task;
	creation->ordinal = ordinal;
	creation->task->named_task_id = named_task_id;
	creation->task_id = tc_task_next_id();
	creation->existing = 0;
	check_task(task);
	creation->has_identity = identity_of(task, tc_template_get(named_task_id), creation->hash);
}

/* One key twice: the first request makes the task. */
static int
compare_identities(const void *a, const void *b)
{
	const Creation *x = *(Creation *const *) a;
	const Creation *y = *(Creation *const *) b;
	int			order = memcmp(x->hash, y->hash, sizeof(x->hash));

	if (order != 0)
		return order;
	return (x->task_id > y->task_id) - (x->task_id < y->task_id);
}

/* Keys are locks: bulk requests take them in one order, whatever the order of their tasks. */
static void
claim_identities(Creation *creations, int n)
{
	Creation  **keyed = palloc(sizeof(Creation *) * Max(n, 1));
	int			nkeyed = 0;

	for (int i = 0; i < n; i++)
	{
		if (creations[i].has_identity)
			keyed[nkeyed++] = &creations[i];
	}
	qsort(keyed, nkeyed, sizeof(Creation *), compare_identities);
	for (int i = 0; i < nkeyed; i++)
		keyed[i]->existing = tc_task_claim_key(keyed[i]->hash, keyed[i]->task_id);
}

static void
finish(const Creation *creation, TcCreateResult *result)
{
	const TcNewTask *task = creation->task;
	const TcTemplate *template = tc_template_get(task->named_task_id);
	int32		lane_id;
	int16		slot;

	if (creation->existing != 0)
	{
		answer_existing(creation->existing, result);
		return;
	}
	if (template->retired)
		tc_raise_template_retired(template->namespace_name, template->name, template->version);
	tc_require_context(template, task->context, creation->ordinal);

	slot = tc_task_insert(creation->task_id, task);
	lane_id = insert_roots(creation->task_id, slot, template, task);
	tc_event_task(TC_EVENT_TASK_CREATED, creation->task_id);
	if (task->run_at == TC_NO_TIME || task->run_at <= tc_session_now())
		tc_event_ready(template->namespace_name);

	result->task_id = creation->task_id;
	result->created = true;
	result->dropped = false;
	result->step_count = template->nsteps;
	result->state = lane_id == 0 ? TC_TASK_PENDING
		: tc_progress_roots(creation->task_id, template, lane_id, slot, task->run_at);
}

static void limit_created(const TcNewTask *task, const char *role, const TcCreateResult *result);

static void
create_from(int32 named_task_id, TcNewTask *task, int ordinal, TcCreateResult *result)
{
	Creation	creation;

	prepare(&creation, named_task_id, task, ordinal);
	claim_identities(&creation, 1);
	finish(&creation, result);
}

/* The step that it runs for is its identity. */
void
tc_create_child(TcNewTask *task)
{
	Creation	creation = {.task = task, .task_id = tc_task_next_id()};
	TcCreateResult result;

	check_task(task);
	finish(&creation, &result);
	limit_created(task, task->created_as ? task->created_as : task->created_by, &result);
}

static int32
template_of(const TcCreateRequest *request)
{
	const char *namespace_name = request->namespace_name ? request->namespace_name
		: TC_DEFAULT_NAMESPACE;
	int32		named_task_id;

	tc_scope_require_namespace(namespace_name);
	named_task_id = tc_template_find(namespace_name, request->name, request->version);
	if (named_task_id == 0)
		tc_raise_template_not_found(namespace_name, request->name, request->version);
	return named_task_id;
}

/* What is asked for counts against the limits; a task that was there already does not. */
static void
limit_created(const TcNewTask *task, const char *role, const TcCreateResult *result)
{
	if (!result->created)
		return;
	tc_limit_starts(role, 1);
	tc_limit_pending(tc_template_get(task->named_task_id)->namespace_name);
}

/* The same for many: the namespace of each template is counted once. */
static void
limit_all_created(const TcCreateRequest *requests, const TcCreateResult *results, int n)
{
	List	   *templates = NIL;
	ListCell   *cell;
	int			created = 0;

	for (int i = 0; i < n; i++)
	{
		if (!results[i].created)
			continue;
		created++;
		templates = list_append_unique_int(templates, requests[i].task.named_task_id);
	}
	tc_limit_starts(tc_session_caller_role(), created);
	foreach(cell, templates)
		tc_limit_pending(tc_template_get(lfirst_int(cell))->namespace_name);
}

void
tc_create_task(TcCreateRequest *request, TcCreateResult *result)
{
	create_from(template_of(request), &request->task, request->ordinal, result);
	limit_created(&request->task, request->charged_role ? request->charged_role : tc_session_caller_role(),
				  result);
}

int
tc_create_tasks(const struct varlena *requests, TcCreateResult **results)
{
	TcCreateRequest *list;
	int			n = tc_requests_read(requests, &list);
	Creation   *creations = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Creation) * Max(n, 1));

	*results = MemoryContextAllocHuge(tc_session_caller_context(),
									  sizeof(TcCreateResult) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		prepare(&creations[i], template_of(&list[i]), &list[i].task, list[i].ordinal);
	}
	claim_identities(creations, n);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		finish(&creations[i], &(*results)[i]);
	}
	limit_all_created(list, *results, n);
	return n;
}

/* The version of a definition that nobody named is its hash: equal content, one version. */
void
tc_create_task_from_definition(const struct varlena *template, TcNewTask *task,
							   TcCreateResult *result)
{
	create_from(tc_register_by_content(template), task, 0, result);
	limit_created(task, tc_session_caller_role(), result);
}
