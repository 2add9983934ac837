/*
 * graph_api.c
 *	  SQL entry points: questions about graphs, single steps and the queue.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "api/checks.h"
#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/graph.h"
#include "ops/templates.h"
#include "store/access_store.h"
#include "store/document_store.h"
#include "store/instance_store.h"
#include "store/list_store.h"
#include "store/template_store.h"

PG_FUNCTION_INFO_V1(tasker_calculate_dependency_levels);
PG_FUNCTION_INFO_V1(tasker_get_step_transitive_dependencies);
PG_FUNCTION_INFO_V1(tasker_get_next_ready_tasks);
PG_FUNCTION_INFO_V1(tasker_explain_step);
PG_FUNCTION_INFO_V1(tasker_task_graph);
PG_FUNCTION_INFO_V1(tasker_template_graph);
PG_FUNCTION_INFO_V1(tasker_get_task);
PG_FUNCTION_INFO_V1(tasker_get_step);
PG_FUNCTION_INFO_V1(tasker_list_tasks);

#define DEFAULT_READY_TASKS 5
#define DEFAULT_LISTED_TASKS 100

/* ---- levels and ancestors ------------------------------------------------ */

/* Instances are as deep as their map. */
static void
emit_levels_of_instances(TcEmit *emit, int64 task_id, const TcTemplate *template, const int32 *levels)
{
	int32	   *counts = palloc(sizeof(int32) * Max(template->nmaps, 1));

	if (template->nmaps == 0)
		return;
	tc_instances_count(task_id, template, counts);
	for (int32 map = 0; map < template->nmaps; map++)
	{
		int32		node = template->map_nodes[map];

		for (int32 i = 0; i < counts[map]; i++)
		{
			CHECK_FOR_INTERRUPTS();
			tc_emit_int64(emit, tc_step_id(task_id, tc_map_first(template, node) + i));
			tc_emit_int32(emit, levels[node]);
			tc_emit_row(emit);
		}
	}
}

Datum
tasker_calculate_dependency_levels(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	TcTaskRow	task;
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	if (tc_scope_has_task(task_id) && tc_task_read(task_id, &task))
	{
		const TcDag *dag = &tc_template_get(task.named_task_id)->dag;
		int32	   *levels = palloc(sizeof(int32) * dag->n);

		tc_dag_levels(dag, levels);
		for (int32 node = 0; node < dag->n; node++)
		{
			CHECK_FOR_INTERRUPTS();
			tc_emit_int64(&emit, tc_step_id(task_id, node + 1));
			tc_emit_int32(&emit, levels[node]);
			tc_emit_row(&emit);
		}
		emit_levels_of_instances(&emit, task_id, tc_template_get(task.named_task_id), levels);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

typedef struct Ancestor
{
	int32		node;
	int32		distance;
} Ancestor;

/* The nearest first. */
static int
compare_ancestors(const void *a, const void *b)
{
	const Ancestor *x = a;
	const Ancestor *y = b;

	return x->distance != y->distance ? x->distance - y->distance : x->node - y->node;
}

static int
find_ancestors(const TcDag *dag, int32 node, Ancestor **ancestors)
{
	int32	   *distance = palloc(sizeof(int32) * dag->n);
	int			n = 0;

	*ancestors = palloc(sizeof(Ancestor) * (tc_dag_ancestors(dag, node, distance) + 1));
	for (int32 other = 0; other < dag->n; other++)
	{
		if (distance[other] > 0)
			(*ancestors)[n++] = (Ancestor) {other, distance[other]};
	}
	qsort(*ancestors, n, sizeof(Ancestor), compare_ancestors);
	return n;
}

static void
emit_ancestors(TcEmit *emit, const TcTaskView *view, const Ancestor *ancestors, int n)
{
	int32	   *step_nos = palloc(sizeof(int32) * (n + 1));
	struct varlena **results = palloc(sizeof(struct varlena *) * (n + 1));

	for (int i = 0; i < n; i++)
		step_nos[i] = ancestors[i].node + 1;
	tc_document_results(view->task.task_id, step_nos, n, results);
	for (int i = 0; i < n; i++)
	{
		int32		node = ancestors[i].node;

		CHECK_FOR_INTERRUPTS();
		tc_emit_int64(emit, tc_step_id(view->task.task_id, node + 1));
		tc_emit_int64(emit, view->task.task_id);
		tc_emit_text(emit, view->template->steps[node].name);
		tc_emit_int32(emit, ancestors[i].distance);
		tc_emit_text(emit, tc_step_state_name(view->steps[node].state));
		tc_emit_jsonb(emit, results[i]);
		tc_emit_row(emit);
	}
}

Datum
tasker_get_step_transitive_dependencies(PG_FUNCTION_ARGS)
{
	TcStepKey	key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id"));
	TcTaskView	view;
	Ancestor   *ancestors;
	TcEmit		emit;
	int			n;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	tc_require_step_view(key, &view);
	n = find_ancestors(&view.template->dag, tc_node_of(view.template, key.step_no), &ancestors);
	emit_ancestors(&emit, &view, ancestors, n);
	tc_session_end();
	PG_RETURN_NULL();
}

/* ---- the queue ----------------------------------------------------------- */

static int32
max_tasks_arg(FunctionCallInfo fcinfo, int argno, int32 otherwise)
{
	int32		max_tasks = tc_arg_int32(fcinfo, argno, otherwise);

	if (max_tasks < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_tasks must not be negative"),
				 errdetail("It is %d.", max_tasks),
				 errhint("Pass how many tasks to return.")));
	if (max_tasks > TC_MAX_BATCH)
		tc_raise_limit("max_tasks", max_tasks, TC_MAX_BATCH, "Ask for fewer tasks at a time.");
	return max_tasks;
}

Datum
tasker_get_next_ready_tasks(PG_FUNCTION_ARGS)
{
	int32		max_tasks = max_tasks_arg(fcinfo, 0, DEFAULT_READY_TASKS);
	TcReadyTask *tasks;
	TcEmit		emit;
	int			n;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_next_ready_tasks(max_tasks, &tasks);
	for (int i = 0; i < n; i++)
	{
		TcTaskRow	task;
		const TcTemplate *template;

		if (!tc_task_read(tasks[i].task_id, &task))
			tc_raise_task_not_found(tasks[i].task_id);
		template = tc_template_get(task.named_task_id);
		tc_emit_int64(&emit, task.task_id);
		tc_emit_text(&emit, template->namespace_name);
		tc_emit_text(&emit, template->name);
		tc_emit_int32(&emit, tasks[i].priority);
		tc_emit_int64(&emit, tasks[i].ready_steps);
		tc_emit_timestamptz(&emit, tasks[i].oldest_ready_at);
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

/* ---- explain_step -------------------------------------------------------- */

Datum
tasker_explain_step(PG_FUNCTION_ARGS)
{
	TcStepKey	key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id"));
	TcTaskView	view;
	TcEmit		emit;
	ListCell   *cell;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	tc_require_step_view(key, &view);
	foreach(cell, tc_explain_step(&view, tc_view_position(&view, key.step_no)))
	{
		const TcReason *reason = lfirst(cell);

		tc_emit_text(&emit, reason->reason);
		tc_emit_text(&emit, reason->detail);
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

/* ---- pictures ------------------------------------------------------------ */

static TcGraphFormat
format_arg(FunctionCallInfo fcinfo, int argno)
{
	char	   *name = tc_arg_text(fcinfo, argno);
	TcGraphFormat format = TC_GRAPH_MERMAID;

	if (name != NULL && !tc_graph_format_parse(name, &format))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown format"),
				 errdetail("There is no format \"%s\".", name),
				 errhint("Formats are mermaid, dot and text.")));
	return format;
}

Datum
tasker_task_graph(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	TcGraphFormat format = format_arg(fcinfo, 1);
	TcTaskView	view;
	char	   *graph;

	tc_session_begin(fcinfo);
	tc_require_task_view(task_id, &view);
	graph = tc_task_graph(&view, format);
	tc_session_end();
	PG_RETURN_TEXT_P(cstring_to_text(graph));
}

Datum
tasker_template_graph(PG_FUNCTION_ARGS)
{
	const char *name = tc_arg_required_text(fcinfo, 0, "name");
	const char *namespace_name = tc_arg_text(fcinfo, 1);
	const char *version = tc_arg_text(fcinfo, 2);
	TcGraphFormat format = format_arg(fcinfo, 3);
	char	   *graph;

	if (namespace_name == NULL)
		namespace_name = TC_DEFAULT_NAMESPACE;
	tc_session_begin(fcinfo);
	graph = tc_template_graph(tc_template_get(tc_find_template(namespace_name, name, version)), format);
	tc_session_end();
	PG_RETURN_TEXT_P(cstring_to_text(graph));
}

/* ---- documents ----------------------------------------------------------- */

Datum
tasker_get_task(PG_FUNCTION_ARGS)
{
	int64		task_id = tc_arg_required_int64(fcinfo, 0, "task_id");
	struct varlena *document;

	tc_session_begin(fcinfo);
	document = tc_get_task(task_id);
	tc_session_end();
	PG_RETURN_POINTER(document);
}

Datum
tasker_get_step(PG_FUNCTION_ARGS)
{
	TcStepKey	key = tc_check_step_id(tc_arg_required_int64(fcinfo, 0, "workflow_step_id"));
	struct varlena *document;

	tc_session_begin(fcinfo);
	document = tc_get_step(key);
	tc_session_end();
	PG_RETURN_POINTER(document);
}

/* ---- lists --------------------------------------------------------------- */

Datum
tasker_list_tasks(PG_FUNCTION_ARGS)
{
	struct varlena *filters = tc_arg_jsonb(fcinfo, 0);
	int32		max_tasks = max_tasks_arg(fcinfo, 1, DEFAULT_LISTED_TASKS);
	int64		before_task_id = tc_arg_int64(fcinfo, 2, PG_INT64_MAX);
	TcListedTask *tasks;
	TcEmit		emit;
	int			n;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_list_tasks(filters, max_tasks, before_task_id, &tasks);
	for (int i = 0; i < n; i++)
	{
		for (int c = 0; c < TC_LIST_COLUMNS; c++)
		{
			if (tasks[i].nulls[c])
				tc_emit_null(&emit);
			else
				tc_emit_datum(&emit, tasks[i].values[c]);
		}
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}
