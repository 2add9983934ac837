/*
 * create_task.c
 *	  A task begins: its row, its roots and its joins.
 *
 * Only the roots and the joins are written; every other step enters the queue
 * when its one parent ends.  Takes no lock but, where the task has an identity,
 * the one on its key: sessions that race with one key wait for the first, and
 * all but one are given its task.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha2.h"
#include "miscadmin.h"

#include "compat.h"
#include "errors.h"
#include "events/events.h"
#include "ops/tasks.h"
#include "store/json_hash.h"
#include "store/lane_store.h"
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
identity_of(const TcCreateRequest *request, const TcTemplate *template, uint8 *hash)
{
	const char *key = request->task.idempotency_key;
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
			context_hash = tc_json_hash(request->task.context);
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

/* ---- the live steps of a new task ---------------------------------------- */

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

static void
insert_steps(int64 task_id, const TcTemplate *template, const TcNewTask *task)
{
	TcQueueRow *rows = palloc0(sizeof(TcQueueRow) * template->nsteps);
	TimestampTz start = task->run_at == TC_NO_TIME ? tc_session_now() : task->run_at;
	LaneMemo	memo = {0};
	int			n = 0;

	for (int32 node = 0; node < template->nsteps; node++)
	{
		const TcStep *step = &template->steps[node];
		int32		parents = tc_dag_parent_count(&template->dag, node);

		CHECK_FOR_INTERRUPTS();
		rows[n].lane_id = lane_of_step(template, step, task->priority, &memo);
		if (parents == 1)
			continue;
		rows[n].key.task_id = task_id;
		rows[n].key.step_no = node + 1;
		rows[n].visible_at = start;
		rows[n].remaining_parents = parents;
		rows[n++].max_attempts = step->max_attempts;
	}
	tc_queue_insert(rows, n);
}

/* ---- the story ----------------------------------------------------------- */

static void
answer_existing(int64 task_id, TcCreateResult *result)
{
	TcTaskRow  *task;

	if (tc_task_read_latest(&task_id, 1, &task) != 1)
		elog(ERROR, "an idempotency key names task " INT64_FORMAT ", which does not exist", task_id);
	result->task_id = task_id;
	result->created = false;
	result->step_count = tc_template_get(task->named_task_id)->nsteps;
	result->state = task->state;
}

void
tc_create_task(TcCreateRequest *request, TcCreateResult *result)
{
	int32		named_task_id = tc_template_find(request->namespace_name, request->name,
												 request->version);
	uint8		hash[PG_SHA256_DIGEST_LENGTH];
	const TcTemplate *template;
	int64		existing;
	int64		task_id;

	if (named_task_id == 0)
		tc_raise_template_not_found(request->namespace_name, request->name, request->version);
	template = tc_template_get(named_task_id);
	task_id = tc_task_next_id();
	if (identity_of(request, template, hash) &&
		(existing = tc_task_claim_key(hash, task_id)) != 0)
	{
		answer_existing(existing, result);
		return;
	}

	request->task.named_task_id = named_task_id;
	tc_task_insert(task_id, &request->task);
	insert_steps(task_id, template, &request->task);
	tc_event_task(TC_EVENT_TASK_CREATED, task_id);
	if (request->task.run_at == TC_NO_TIME || request->task.run_at <= tc_session_now())
		tc_event_ready(template->namespace_name);

	result->task_id = task_id;
	result->created = true;
	result->step_count = template->nsteps;
	result->state = TC_TASK_PENDING;
}
