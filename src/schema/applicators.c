/*
 * applicators.c
 *	  Keywords that apply other schemas, to the value itself or to its parts.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "schema/evaluation.h"
#include "schema/keywords.h"

static bool sibling(const TcSite *site, const char *name, JsonbValue *value);
static bool is_additional(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *key);
static bool matches_any_pattern(TcEvaluation *evaluation, JsonbContainer *patterns,
								const JsonbValue *key);
static bool count_within(TcEvaluation *evaluation, const TcSite *site, int64 count);

/* The value of a keyword beside this one. */
static bool
sibling(const TcSite *site, const char *name, JsonbValue *value)
{
	return tc_json_member(site->schema, name, strlen(name), value);
}

/* ---- to the same value --------------------------------------------------- */

bool
tc_apply_reference(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	JsonbValue	target;
	const char *problem = tc_schema_resolve(&evaluation->root, argument, &target);

	if (problem != NULL)
		elog(ERROR, "a reference in a checked schema %s", problem);
	return tc_schema_apply(evaluation, &target, site->value, site->where);
}

bool
tc_apply_all_of(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = true;

	tc_json_begin(&schema, tc_json_array(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&schema))
	{
		if (!tc_schema_apply(evaluation, &schema.value, site->value, site->where))
			matches = false;
	}
	tc_json_end(&schema);
	return matches;
}

bool
tc_apply_any_of(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = false;

	tc_json_begin(&schema, tc_json_array(argument));
	while (!matches && tc_json_next(&schema))
		matches = tc_schema_test(evaluation, &schema.value, site->value);
	tc_json_end(&schema);
	return matches ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "matches none of the schemas of \"anyOf\"");
}

bool
tc_apply_one_of(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor schema;
	int			first = -1;
	int			second = -1;

	tc_json_begin(&schema, tc_json_array(argument));
	while (second < 0 && tc_json_next(&schema))
	{
		if (!tc_schema_test(evaluation, &schema.value, site->value))
			continue;
		if (first < 0)
			first = schema.index;
		else
			second = schema.index;
	}
	tc_json_end(&schema);
	if (first < 0)
		return TC_SCHEMA_MISMATCH(evaluation, site->where,
								  "matches none of the schemas of \"oneOf\"");
	return second < 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where,
						   "matches more than one of the schemas of \"oneOf\": [%d] and [%d]",
						   first, second);
}

bool
tc_apply_not(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return !tc_schema_test(evaluation, argument, site->value) ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must not match the schema of \"not\"");
}

bool
tc_apply_if(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	bool		holds = tc_schema_test(evaluation, argument, site->value);
	JsonbValue	consequence;

	return !sibling(site, holds ? "then" : "else", &consequence) ||
		tc_schema_apply(evaluation, &consequence, site->value, site->where);
}

bool
tc_apply_dependent_schemas(TcEvaluation *evaluation, const TcSite *site,
						   const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = true;

	tc_json_begin(&schema, tc_json_object(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_schema_spend(evaluation, 1) &&
		   tc_json_next(&schema))
	{
		JsonbValue	ignored;

		if (tc_json_member(tc_json_object(site->value), schema.key.val.string.val,
						   schema.key.val.string.len, &ignored) &&
			!tc_schema_apply(evaluation, &schema.value, site->value, site->where))
			matches = false;
	}
	tc_json_end(&schema);
	return matches;
}

/* ---- to properties ------------------------------------------------------- */

bool
tc_apply_properties(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = true;

	tc_json_begin(&schema, tc_json_object(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_schema_spend(evaluation, 1) &&
		   tc_json_next(&schema))
	{
		TcLocation	here = {.parent = site->where, .key = &schema.key};
		JsonbValue	value;

		if (tc_json_member(tc_json_object(site->value), schema.key.val.string.val,
						   schema.key.val.string.len, &value) &&
			!tc_schema_apply(evaluation, &schema.value, &value, &here))
			matches = false;
	}
	tc_json_end(&schema);
	return matches;
}

bool
tc_apply_pattern_properties(TcEvaluation *evaluation, const TcSite *site,
							const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = true;

	tc_json_begin(&schema, tc_json_object(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&schema))
	{
		TcJsonCursor member;

		tc_json_begin(&member, tc_json_object(site->value));
		while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&member))
		{
			TcLocation	here = {.parent = site->where, .key = &member.key};

			if (tc_schema_match(evaluation, &schema.key, &member.key) &&
				!tc_schema_apply(evaluation, &schema.value, &member.value, &here))
				matches = false;
		}
		tc_json_end(&member);
	}
	tc_json_end(&schema);
	return matches;
}

bool
tc_apply_additional_properties(TcEvaluation *evaluation, const TcSite *site,
							   const JsonbValue *argument)
{
	TcJsonCursor member;
	bool		matches = true;

	tc_json_begin(&member, tc_json_object(site->value));
	while (tc_schema_goes_on(evaluation, matches) && tc_schema_spend(evaluation, 1) &&
		   tc_json_next(&member))
	{
		TcLocation	here = {.parent = site->where, .key = &member.key};

		if (is_additional(evaluation, site, &member.key) &&
			!tc_schema_apply(evaluation, argument, &member.value, &here))
			matches = false;
	}
	tc_json_end(&member);
	return matches;
}

/* Named neither by "properties" nor by "patternProperties" of the same schema. */
static bool
is_additional(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *key)
{
	JsonbValue	beside;
	JsonbValue	ignored;

	if (sibling(site, "properties", &beside) &&
		tc_json_member(tc_json_object(&beside), key->val.string.val, key->val.string.len, &ignored))
		return false;
	return !sibling(site, "patternProperties", &beside) ||
		!matches_any_pattern(evaluation, tc_json_object(&beside), key);
}

static bool
matches_any_pattern(TcEvaluation *evaluation, JsonbContainer *patterns, const JsonbValue *key)
{
	TcJsonCursor pattern;
	bool		matches = false;

	tc_json_begin(&pattern, patterns);
	while (!matches && tc_json_next(&pattern))
		matches = tc_schema_match(evaluation, &pattern.key, key);
	tc_json_end(&pattern);
	return matches;
}

bool
tc_apply_property_names(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor member;
	bool		matches = true;

	tc_json_begin(&member, tc_json_object(site->value));
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&member))
	{
		TcLocation	here = {.parent = site->where, .key = &member.key};

		if (!tc_schema_test(evaluation, argument, &member.key))
			matches = TC_SCHEMA_MISMATCH(evaluation, &here,
										 "has a name that \"propertyNames\" does not allow");
	}
	tc_json_end(&member);
	return matches;
}

/* ---- to items ------------------------------------------------------------ */

bool
tc_apply_prefix_items(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor schema;
	bool		matches = true;

	tc_json_begin(&schema, tc_json_array(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&schema))
	{
		TcLocation	here = {.parent = site->where, .index = schema.index};
		JsonbValue	item;

		if (!tc_json_element(tc_json_array(site->value), schema.index, &item))
			break;
		if (!tc_schema_apply(evaluation, &schema.value, &item, &here))
			matches = false;
	}
	tc_json_end(&schema);
	return matches;
}

/* The items that "prefixItems" leaves. */
bool
tc_apply_items(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor item;
	JsonbValue	prefix;
	int			skipped = 0;
	bool		matches = true;

	if (sibling(site, "prefixItems", &prefix))
		skipped = JsonContainerSize(tc_json_array(&prefix));
	tc_json_begin(&item, tc_json_array(site->value));
	while (tc_schema_goes_on(evaluation, matches) && tc_json_next(&item))
	{
		TcLocation	here = {.parent = site->where, .index = item.index};

		if (item.index >= skipped && !tc_schema_apply(evaluation, argument, &item.value, &here))
			matches = false;
	}
	tc_json_end(&item);
	return matches;
}

bool
tc_apply_contains(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor item;
	int64		count = 0;

	tc_json_begin(&item, tc_json_array(site->value));
	while (tc_json_next(&item))
	{
		if (tc_schema_test(evaluation, argument, &item.value))
			count++;
	}
	return count_within(evaluation, site, count);
}

/* "contains" alone means at least one. */
static bool
count_within(TcEvaluation *evaluation, const TcSite *site, int64 count)
{
	static const char format[] = "has " INT64_FORMAT " items that match \"contains\", and must have at %s %s";
	JsonbValue	limit;
	bool		has_min = sibling(site, "minContains", &limit);

	if (has_min ? tc_json_compare_integer(count, &limit) < 0 : count < 1)
		return TC_SCHEMA_MISMATCH(evaluation, site->where, format, count, "least",
								  has_min ? tc_json_describe(&limit) : "1");
	return !sibling(site, "maxContains", &limit) || tc_json_compare_integer(count, &limit) <= 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, format, count, "most",
						   tc_json_describe(&limit));
}
