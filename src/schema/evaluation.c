/*
 * evaluation.c
 *	  Validating a document: the walk through the schema, its bounds, and the
 *	  report.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "compat.h"
#include "schema/evaluation.h"
#include "schema/keywords.h"

static bool apply_keywords(TcEvaluation *evaluation, const TcSite *site);
static void exceed(TcEvaluation *evaluation, TcSchemaBound bound);
static void append_path(StringInfo out, const TcLocation *where);

bool
tc_schema_validate(const struct varlena *schema, const struct varlena *document,
				   TcSchemaReport *report)
{
	JsonbValue	value = tc_json_root(document);
	TcEvaluation evaluation = {.root = tc_json_root(schema), .report = report};
	bool		matches;

	report->bound = TC_SCHEMA_WITHIN_BOUNDS;
	report->nerrors = 0;
	matches = tc_schema_apply(&evaluation, &evaluation.root, &value, NULL);
	return matches && report->bound == TC_SCHEMA_WITHIN_BOUNDS;
}

char *
tc_schema_report_lines(const TcSchemaReport *report)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < report->nerrors; i++)
		appendStringInfo(&out, "%s%s: %s", i == 0 ? "" : "\n",
						 report->errors[i].path, report->errors[i].message);
	return out.data;
}

/* ---- schemas ------------------------------------------------------------- */

bool
tc_schema_apply(TcEvaluation *evaluation, const JsonbValue *schema,
				const JsonbValue *value, const TcLocation *where)
{
	TcSite		site = {tc_json_object(schema), value, where};
	bool		matches;

	if (schema->type == jbvBool)
		return schema->val.boolean || TC_SCHEMA_MISMATCH(evaluation, where, "is not allowed");
	Assert(site.schema != NULL);
	if (!tc_schema_spend(evaluation, 1))
		return false;
	if (evaluation->depth == TC_SCHEMA_MAX_DEPTH || stack_is_too_deep())
	{
		exceed(evaluation, TC_SCHEMA_TOO_DEEP);
		return false;
	}
	evaluation->depth++;
	matches = apply_keywords(evaluation, &site);
	evaluation->depth--;
	return matches;
}

static bool
apply_keywords(TcEvaluation *evaluation, const TcSite *site)
{
	TcJsonType	type = tc_json_type(site->value);
	TcJsonCursor member;
	bool		matches = true;

	tc_json_begin(&member, site->schema);
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&member))
	{
		const TcKeyword *keyword = tc_keyword_find(&member.key);

		if (keyword != NULL && (keyword->subjects & type) != 0 &&
			!keyword->apply(evaluation, site, &member.value))
			matches = false;
	}
	tc_json_end(&member);
	return matches;
}

bool
tc_schema_test(TcEvaluation *evaluation, const JsonbValue *schema, const JsonbValue *value)
{
	bool		matches;

	evaluation->quiet++;
	matches = tc_schema_apply(evaluation, schema, value, NULL);
	evaluation->quiet--;
	return matches;
}

/* ---- bounds -------------------------------------------------------------- */

bool
tc_schema_spend(TcEvaluation *evaluation, int64 steps)
{
	CHECK_FOR_INTERRUPTS();
	evaluation->steps += steps;
	if (evaluation->steps > TC_SCHEMA_MAX_STEPS)
		exceed(evaluation, TC_SCHEMA_TOO_MANY_STEPS);
	return evaluation->report->bound == TC_SCHEMA_WITHIN_BOUNDS;
}

static void
exceed(TcEvaluation *evaluation, TcSchemaBound bound)
{
	if (evaluation->report->bound == TC_SCHEMA_WITHIN_BOUNDS)
		evaluation->report->bound = bound;
}

bool
tc_schema_goes_on(const TcEvaluation *evaluation, bool matches)
{
	return evaluation->report->bound == TC_SCHEMA_WITHIN_BOUNDS &&
		(matches || tc_schema_wants_errors(evaluation));
}

/* ---- the report ---------------------------------------------------------- */

bool
tc_schema_wants_errors(const TcEvaluation *evaluation)
{
	return evaluation->quiet == 0 && evaluation->report->nerrors < TC_SCHEMA_MAX_ERRORS;
}

bool
tc_schema_error(TcEvaluation *evaluation, const TcLocation *where, const char *format, ...)
{
	TcSchemaError *error = &evaluation->report->errors[evaluation->report->nerrors++];
	StringInfoData path;
	StringInfoData message;
	int			needed;

	initStringInfo(&path);
	append_path(&path, where);
	error->path = path.data;

	initStringInfo(&message);
	for (;;)
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&message, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&message, needed);
	}
	error->message = message.data;
	return false;
}

/* As jsonpath has it: keys that are no plain words stand in quotes. */
static void
append_path(StringInfo out, const TcLocation *where)
{
	static const char word_chars[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	char	   *key;

	if (where == NULL)
	{
		appendStringInfoChar(out, '$');
		return;
	}
	append_path(out, where->parent);
	if (where->key == NULL)
	{
		appendStringInfo(out, "[%d]", where->index);
		return;
	}
	key = tc_json_string(where->key);
	if (key[0] == '\0' || (key[0] >= '0' && key[0] <= '9') || key[strspn(key, word_chars)] != '\0')
		appendStringInfo(out, ".%s", tc_quote_name(key));
	else
		appendStringInfo(out, ".%s", key);
}
