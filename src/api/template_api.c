/*
 * template_api.c
 *	  SQL entry points: templates.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "ops/templates.h"

PG_FUNCTION_INFO_V1(tasker_register_task_template);
PG_FUNCTION_INFO_V1(tasker_validate_task_template);
PG_FUNCTION_INFO_V1(tasker_get_task_template);
PG_FUNCTION_INFO_V1(tasker_list_task_templates);
PG_FUNCTION_INFO_V1(tasker_retire_task_template);

/* A list of char * as text[]; NIL is the empty array, never NULL. */
static Datum
text_array(List *texts)
{
	Datum	   *datums;
	int			n = 0;
	ListCell   *cell;

	if (texts == NIL)
		return PointerGetDatum(construct_empty_array(TEXTOID));
	datums = palloc(sizeof(Datum) * list_length(texts));
	foreach(cell, texts)
		datums[n++] = CStringGetTextDatum(lfirst(cell));
	return PointerGetDatum(construct_array(datums, n, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
tasker_register_task_template(PG_FUNCTION_ARGS)
{
	TcRegistration registration;
	TcEmit		emit;

	tc_arg_require(fcinfo, 0, "template");
	tc_session_begin(fcinfo);
	tc_register_template(tc_arg_jsonb(fcinfo, 0), &registration);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	tc_emit_int32(&emit, registration.named_task_id);
	tc_emit_text(&emit, registration.namespace_name);
	tc_emit_text(&emit, registration.name);
	tc_emit_text(&emit, registration.version);
	tc_emit_bool(&emit, registration.created);
	tc_emit_datum(&emit, text_array(registration.warnings));
	tc_emit_row(&emit);
	return (Datum) 0;
}

Datum
tasker_validate_task_template(PG_FUNCTION_ARGS)
{
	tc_arg_require(fcinfo, 0, "template");
	return text_array(tc_validate_template(tc_arg_jsonb(fcinfo, 0)));
}

Datum
tasker_get_task_template(PG_FUNCTION_ARGS)
{
	const char *name = tc_arg_required_text(fcinfo, 0, "name");
	const char *namespace_name = tc_arg_text(fcinfo, 1);
	const char *version = tc_arg_text(fcinfo, 2);
	struct varlena *normal_form;

	if (namespace_name == NULL)
		namespace_name = TC_DEFAULT_NAMESPACE;
	tc_session_begin(fcinfo);
	normal_form = tc_get_template(name, namespace_name, version);
	tc_session_end();
	PG_RETURN_POINTER(normal_form);
}

Datum
tasker_list_task_templates(PG_FUNCTION_ARGS)
{
	TcTemplateSummary *summaries;
	char	   *namespace_name = tc_arg_text(fcinfo, 0);
	TcEmit		emit;
	int			n;

	tc_session_begin(fcinfo);
	n = tc_list_templates(namespace_name, &summaries);
	tc_session_end();

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
	{
		tc_emit_int32(&emit, summaries[i].named_task_id);
		tc_emit_text(&emit, summaries[i].namespace_name);
		tc_emit_text(&emit, summaries[i].name);
		tc_emit_text(&emit, summaries[i].version);
		tc_emit_text(&emit, summaries[i].description);
		tc_emit_int32(&emit, summaries[i].step_count);
		tc_emit_timestamptz(&emit, summaries[i].created_at);
		tc_emit_timestamptz(&emit, summaries[i].retired_at);
		tc_emit_row(&emit);
	}
	return (Datum) 0;
}

Datum
tasker_retire_task_template(PG_FUNCTION_ARGS)
{
	char	   *name = tc_arg_required_text(fcinfo, 0, "name");
	char	   *namespace_name = tc_arg_text(fcinfo, 1);
	char	   *version = tc_arg_text(fcinfo, 2);
	bool		retired = tc_arg_bool(fcinfo, 3, true);
	int32		changed;

	tc_session_begin(fcinfo);
	changed = tc_retire_template(name, namespace_name ? namespace_name : TC_DEFAULT_NAMESPACE, version,
								 retired);
	tc_session_end();
	PG_RETURN_INT32(changed);
}
