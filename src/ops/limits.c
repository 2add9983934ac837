/*
 * limits.c
 *	  What is too large to be accepted.
 */
#include "postgres.h"

#include "utils/jsonb.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "ops/limits.h"
#include "store/limit_store.h"

/* A level takes eight bytes at least, so that what is small need not be looked at. */
#define BYTES_PER_LEVEL 8

static void
limit_depth(const struct varlena *json, const char *name)
{
	JsonbIterator *iterator = JsonbIteratorInit(&((Jsonb *) json)->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			depth++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		if (depth > tc_guc_max_json_depth)
			tc_raise_limit(psprintf("the nesting depth of %s", name), depth, tc_guc_max_json_depth,
						   "Store deep data elsewhere and pass a reference, or raise tasker_core.max_json_depth.");
	}
}

void
tc_limit_payload(const struct varlena *json, const char *name)
{
	int64		limit = (int64) tc_guc_max_payload_kb * 1024;
	int64		size = VARSIZE_ANY(json);

	if (size > limit)
		tc_raise_limit(psprintf("the size of %s in bytes", name), size, limit,
					   "Store large data elsewhere and pass a reference, or raise tasker_core.max_payload_size.");
	if (size > (int64) tc_guc_max_json_depth * BYTES_PER_LEVEL)
		limit_depth(json, name);
}

void
tc_limit_template(const TcTemplate *template)
{
	int64		edges = 0;

	if (template->nsteps > tc_guc_max_template_steps)
		tc_raise_limit("the number of steps of the template", template->nsteps,
					   tc_guc_max_template_steps,
					   "Split the workflow, or raise tasker_core.max_template_steps.");
	for (int32 node = 0; node < template->nsteps; node++)
		edges += tc_dag_parent_count(&template->dag, node);
	if (edges > tc_guc_max_template_edges)
		tc_raise_limit("the number of dependencies of the template", edges, tc_guc_max_template_edges,
					   "Let steps depend on one that joins them, or raise tasker_core.max_template_edges.");
}

void
tc_limit_starts(const char *role, int n)
{
	int64		starts;

	if (tc_guc_max_task_starts_per_minute == 0 || n == 0)
		return;
	starts = tc_limit_note_starts(role, n);
	if (starts > tc_guc_max_task_starts_per_minute)
		tc_raise_limit("the number of tasks that this role creates in a minute", starts,
					   tc_guc_max_task_starts_per_minute,
					   "Try again in a minute, or have tasker_core.max_task_starts_per_minute raised.");
}

void
tc_limit_pending(const char *namespace_name)
{
	int64		pending;

	if (tc_guc_max_pending_tasks == 0)
		return;
	pending = tc_limit_pending_tasks(namespace_name);
	if (pending > tc_guc_max_pending_tasks)
		tc_raise_limit(psprintf("the number of pending tasks in namespace \"%s\"", namespace_name),
					   pending, tc_guc_max_pending_tasks,
					   "Wait until workers have claimed some, or have tasker_core.max_pending_tasks raised.");
}
