/*
 * schemas.c
 *	  Contexts and results that do not match the schemas of their template.
 *
 * Whether they do is for src/schema to find out.  Finding out is bounded; what
 * exceeds the bound is refused like what does not match, by another SQLSTATE.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "compat.h"
#include "domain/instances.h"
#include "errors.h"
#include "guc.h"
#include "ops/schemas.h"
#include "schema/batch.h"
#include "schema/decision.h"
#include "store/session.h"

static char *result_message(int64 workflow_step_id, const TcSchemaReport *report);
static void append_string(StringInfo out, const char *key, const char *value);

void
tc_require_context(const TcTemplate *template, const struct varlena *context, int ordinal)
{
	TcSchemaReport report;
	char	   *document = ordinal == 0 ? "context" : psprintf("context of request %d", ordinal);

	if (template->input_schema == NULL ||
		tc_schema_validate(template->input_schema, context, &report))
		return;
	tc_require_bounds(document, &report);
	ereport(ERROR,
			(errcode(TC_ERRCODE_SCHEMA_MISMATCH),
			 errmsg("%s does not match the input_schema of template \"%s/%s\" version \"%s\"",
					document, template->namespace_name, template->name, template->version),
			 errdetail("%s", tc_schema_report_lines(&report)),
			 errhint("Correct the context; nothing was stored. tasker.get_task_template() shows the schema.")));
}

static TcSchemaReport *
check_schema(const TcStep *step, const struct varlena *results)
{
	TcSchemaReport *report = palloc0(sizeof(TcSchemaReport));

	if (step->result_schema != NULL && !tc_schema_validate(step->result_schema, results, report))
		return report;
	pfree(report);
	return NULL;
}

/* The step whose instances run the batches of a batchable step. */
static int32
worker_of(const TcTemplate *template, int32 node)
{
	int			map = 0;

	while (template->steps[template->map_nodes[map]].batchable != node)
		map++;
	return template->map_nodes[map];
}

/* Where they say which branches to take, the decision is in *taken. */
static TcSchemaReport *
check_decision(const TcTemplate *template, int32 node, const struct varlena *results, bool **taken)
{
	TcSchemaReport *report = palloc0(sizeof(TcSchemaReport));

	*taken = palloc(sizeof(bool) * (tc_dag_child_count(&template->dag, node) + 1));
	report->of_decision = true;
	report->errors[0].message = tc_decision_read(template, node, results, *taken,
												 &report->errors[0].path);
	if (report->errors[0].message != NULL)
	{
		report->nerrors = 1;
		return report;
	}
	pfree(report);
	return NULL;
}

/* Do they say which batches there are? */
static TcSchemaReport *
check_batches(const TcTemplate *template, int32 node, const struct varlena *results)
{
	TcSchemaReport *report = palloc0(sizeof(TcSchemaReport));
	const struct varlena *cursors;

	report->of_batches = true;
	report->errors[0].message = tc_batch_read(template->steps[worker_of(template, node)].name,
											  Min(tc_guc_max_map_width, template->map_room), results,
											  &cursors, &report->errors[0].path);
	if (report->errors[0].message != NULL)
	{
		report->nerrors = 1;
		return report;
	}
	pfree(report);
	return NULL;
}

const TcSchemaReport *
tc_check_results(const TcTemplate *template, int32 node, const struct varlena *results,
				 bool **taken)
{
	const TcStep *step = &template->steps[node];
	MemoryContext old;
	TcSchemaReport *report;

	*taken = NULL;
	if (step->result_schema == NULL && step->type != TC_TYPE_DECISION && step->type != TC_TYPE_BATCHABLE)
		return NULL;
	old = MemoryContextSwitchTo(tc_session_caller_context());
	report = check_schema(step, results);
	if (report == NULL && step->type == TC_TYPE_DECISION)
		report = check_decision(template, node, results, taken);
	else if (report == NULL && step->type == TC_TYPE_BATCHABLE)
		report = check_batches(template, node, results);
	MemoryContextSwitchTo(old);
	return report;
}

const bool *
tc_require_outcome(const TcTemplate *template, TcStepKey key, const struct varlena *results)
{
	int32		node = tc_node_of(template, key.step_no);
	TcStepType	type = template->steps[node].type;
	const TcSchemaReport *report;
	bool	   *taken = NULL;

	if (type != TC_TYPE_DECISION && type != TC_TYPE_BATCHABLE)
		return NULL;
	if (results == NULL)
		results = (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum("null")));
	report = type == TC_TYPE_DECISION ? check_decision(template, node, results, &taken)
		: check_batches(template, node, results);
	if (report != NULL)
		tc_raise_invalid_results(tc_step_id(key.task_id, key.step_no), report);
	return taken;
}

void
tc_raise_invalid_results(int64 workflow_step_id, const TcSchemaReport *report)
{
	tc_require_bounds("results", report);
	ereport(ERROR,
			(errcode(TC_ERRCODE_SCHEMA_MISMATCH),
			 errmsg("%s", result_message(workflow_step_id, report)),
			 errdetail("%s", tc_schema_report_lines(report)),
			 report->of_batches ?
			 errhint("Nothing was changed. Say which batches there are, or none: {\"batch_processing_outcome\": {\"type\": \"no_batches\"}}.") :
			 report->of_decision ?
			 errhint("Nothing was changed. Name branches that the template has, or none: {\"branches\": []}.") :
			 errhint("The claim is still held: complete the step with results that match, or fail it. tasker.get_task_template() shows the schema.")));
}

struct varlena *
tc_invalid_results_json(int64 workflow_step_id, const TcSchemaReport *report)
{
	bool		mismatch = report->bound == TC_SCHEMA_WITHIN_BOUNDS;
	StringInfoData out;

	initStringInfo(&out);
	append_string(&out, "{\"sqlstate\":", mismatch ? "TC022" : "TC023");
	append_string(&out, ",\"message\":", result_message(workflow_step_id, report));
	appendStringInfoString(&out, ",\"errors\":[");
	for (int i = 0; mismatch && i < report->nerrors; i++)
	{
		append_string(&out, i == 0 ? "{\"path\":" : ",{\"path\":", report->errors[i].path);
		append_string(&out, ",\"message\":", report->errors[i].message);
		appendStringInfoChar(&out, '}');
	}
	appendStringInfoString(&out, "]}");
	return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in,
																  CStringGetDatum(out.data)));
}

void
tc_require_bounds(const char *document, const TcSchemaReport *report)
{
	static const char hint[] = "Simplify the schema (references that lead into each other multiply), or pass a smaller document.";

	if (report->bound == TC_SCHEMA_TOO_MANY_STEPS)
		tc_raise_limit(psprintf("the number of steps of validating the %s", document),
					   TC_SCHEMA_MAX_STEPS + 1, TC_SCHEMA_MAX_STEPS, hint);
	if (report->bound == TC_SCHEMA_TOO_DEEP)
		tc_raise_limit(psprintf("the depth of validating the %s", document),
					   TC_SCHEMA_MAX_DEPTH + 1, TC_SCHEMA_MAX_DEPTH, hint);
}

static char *
result_message(int64 workflow_step_id, const TcSchemaReport *report)
{
	if (report->of_decision)
		return psprintf("results of step " INT64_FORMAT " do not say which branches to take",
						workflow_step_id);
	if (report->of_batches)
		return psprintf("results of step " INT64_FORMAT " do not say which batches there are",
						workflow_step_id);
	if (report->bound == TC_SCHEMA_WITHIN_BOUNDS)
		return psprintf("results of step " INT64_FORMAT " do not match its result_schema",
						workflow_step_id);
	return psprintf("validating the results of step " INT64_FORMAT " exceeds the limit",
					workflow_step_id);
}

static void
append_string(StringInfo out, const char *key, const char *value)
{
	appendStringInfoString(out, key);
	escape_json(out, value);
}
