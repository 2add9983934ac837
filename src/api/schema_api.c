/*
 * schema_api.c
 *	  SQL entry points: JSON Schema by itself.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "api/args.h"
#include "errors.h"
#include "ops/schemas.h"

PG_FUNCTION_INFO_V1(tasker_validate_json_schema);

static void
require_schema(const struct varlena *schema)
{
	JsonbValue	value = tc_json_root(schema);
	List	   *faults = NIL;
	List	   *warnings = NIL;
	StringInfoData lines;
	ListCell   *cell;

	tc_schema_check(&value, "schema", &faults, &warnings);
	if (faults == NIL)
		return;
	initStringInfo(&lines);
	foreach(cell, faults)
		appendStringInfo(&lines, "%s%s", lines.len == 0 ? "" : "\n", (char *) lfirst(cell));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid or unsupported JSON Schema"),
			 errdetail("%s", lines.data),
			 errhint("Correct every line of the detail.")));
}

Datum
tasker_validate_json_schema(PG_FUNCTION_ARGS)
{
	struct varlena *schema;
	TcSchemaReport report;
	TcEmit		emit;

	tc_arg_require(fcinfo, 0, "schema");
	tc_arg_require(fcinfo, 1, "document");
	schema = tc_arg_jsonb(fcinfo, 0);
	require_schema(schema);
	if (!tc_schema_validate(schema, tc_arg_jsonb(fcinfo, 1), &report))
		tc_require_bounds("document", &report);

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < report.nerrors; i++)
	{
		tc_emit_text(&emit, report.errors[i].path);
		tc_emit_text(&emit, report.errors[i].message);
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}
