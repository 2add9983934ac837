/*
 * assertions.c
 *	  Keywords about a value itself: its type, its size, what it equals.
 *
 * Numbers are PostgreSQL's numeric throughout, so they are exact.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bitutils.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "compat.h"
#include "schema/evaluation.h"
#include "schema/keywords.h"

/* Comparing this many bytes is one step, and so is matching them with a pattern. */
#define BYTES_PER_STEP	32

/* Items differ early more often than not, or sorting them would be slow. */
#define BYTES_PER_STEP_OF_SORT	256

/* What a pattern costs beside that, and a remainder of what may have a hundred thousand digits. */
#define PATTERN_STEPS	10
#define LONG_NUMBER_STEPS 1000

static bool equals(TcEvaluation *evaluation, const JsonbValue *value, const JsonbValue *other);
static char *list_values(const JsonbValue *list);
static bool check_count(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *limit,
						int64 count, int sign, const char *what);
static bool check_names(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *names,
						const JsonbValue *because);

/* ---- types and constants ------------------------------------------------- */

bool
tc_apply_type(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	JsonbContainer *names = tc_json_array(argument);
	TcJsonCursor name;
	bool		matches = false;

	if (names == NULL)
		return tc_json_has_type(site->value, argument) ||
			TC_SCHEMA_MISMATCH(evaluation, site->where, "must be of type %s, not %s",
							   tc_json_string(argument), tc_json_describe(site->value));

	tc_json_begin(&name, names);
	while (!matches && tc_json_next(&name))
		matches = tc_json_has_type(site->value, &name.value);
	tc_json_end(&name);
	return matches ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be of one of the types %s, not %s",
						   list_values(argument), tc_json_describe(site->value));
}

bool
tc_apply_enum(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	TcJsonCursor allowed;
	bool		matches = false;

	tc_json_begin(&allowed, tc_json_array(argument));
	while (!matches && tc_schema_spend(evaluation, 1) && tc_json_next(&allowed))
		matches = equals(evaluation, site->value, &allowed.value);
	tc_json_end(&allowed);
	return matches ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be one of %s, not %s",
						   list_values(argument), tc_json_describe(site->value));
}

bool
tc_apply_const(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	if (equals(evaluation, site->value, argument))
		return true;
	if (argument->type == jbvBinary)
		return TC_SCHEMA_MISMATCH(evaluation, site->where, "must equal the \"const\" of the schema");
	return TC_SCHEMA_MISMATCH(evaluation, site->where, "must be %s, not %s",
							  tc_json_describe(argument), tc_json_describe(site->value));
}

static bool
equals(TcEvaluation *evaluation, const JsonbValue *value, const JsonbValue *other)
{
	int64		size = Min(tc_json_size(value), tc_json_size(other));

	return value->type == other->type &&
		tc_schema_spend(evaluation, size / BYTES_PER_STEP) && tc_json_equal(value, other);
}

/* The first few, for a message. */
static char *
list_values(const JsonbValue *list)
{
	StringInfoData out;
	TcJsonCursor item;

	initStringInfo(&out);
	tc_json_begin(&item, tc_json_array(list));
	while (tc_json_next(&item))
	{
		if (item.index == 10)
		{
			appendStringInfoString(&out, ", ...");
			break;
		}
		appendStringInfo(&out, "%s%s", item.index == 0 ? "" : ", ", tc_json_describe(&item.value));
	}
	tc_json_end(&item);
	return out.data;
}

/* ---- numbers ------------------------------------------------------------- */

bool
tc_apply_minimum(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return tc_json_compare(site->value, argument) >= 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be at least %s, not %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

bool
tc_apply_maximum(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return tc_json_compare(site->value, argument) <= 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be at most %s, not %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

bool
tc_apply_exclusive_minimum(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return tc_json_compare(site->value, argument) > 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be more than %s, not %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

bool
tc_apply_exclusive_maximum(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return tc_json_compare(site->value, argument) < 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be less than %s, not %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

bool
tc_apply_multiple_of(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	JsonbValue	remainder = {.type = jbvNumeric};
	bool		matches;

	if ((tc_json_compare_integer(PG_INT64_MAX, site->value) < 0 ||
		 tc_json_compare_integer(PG_INT64_MIN, site->value) > 0) &&
		!tc_schema_spend(evaluation, LONG_NUMBER_STEPS))
		return false;
	remainder.val.numeric =
		DatumGetNumeric(DirectFunctionCall2(numeric_mod,
											NumericGetDatum(site->value->val.numeric),
											NumericGetDatum(argument->val.numeric)));
	matches = tc_json_compare_integer(0, &remainder) == 0;
	pfree(remainder.val.numeric);
	return matches ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must be a multiple of %s, not %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

/* ---- texts --------------------------------------------------------------- */

bool
tc_apply_min_length(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   pg_mbstrlen_with_len(site->value->val.string.val,
											site->value->val.string.len), 1, "characters");
}

bool
tc_apply_max_length(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   pg_mbstrlen_with_len(site->value->val.string.val,
											site->value->val.string.len), -1, "characters");
}

bool
tc_apply_pattern(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return tc_schema_match(evaluation, argument, site->value) ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must match the pattern %s, not be %s",
						   tc_json_describe(argument), tc_json_describe(site->value));
}

bool
tc_schema_match(TcEvaluation *evaluation, const JsonbValue *pattern, const JsonbValue *text)
{
	return tc_schema_spend(evaluation, PATTERN_STEPS + text->val.string.len / BYTES_PER_STEP) &&
		tc_pattern_matches(pattern, text);
}

/* ---- sizes --------------------------------------------------------------- */

/* sign 1: at least so many; -1: at most. */
static bool
check_count(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *limit,
			int64 count, int sign, const char *what)
{
	return tc_json_compare_integer(count, limit) * sign >= 0 ||
		TC_SCHEMA_MISMATCH(evaluation, site->where, "must have at %s %s %s, not " INT64_FORMAT,
						   sign > 0 ? "least" : "most", tc_json_describe(limit), what, count);
}

bool
tc_apply_min_items(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   JsonContainerSize(site->value->val.binary.data), 1, "items");
}

bool
tc_apply_max_items(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   JsonContainerSize(site->value->val.binary.data), -1, "items");
}

bool
tc_apply_min_properties(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   JsonContainerSize(site->value->val.binary.data), 1, "properties");
}

bool
tc_apply_max_properties(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_count(evaluation, site, argument,
					   JsonContainerSize(site->value->val.binary.data), -1, "properties");
}

/* ---- items and properties ------------------------------------------------ */

/* Sorted, so that it takes n log n comparisons. */
bool
tc_apply_unique_items(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	JsonbContainer *array = tc_json_array(site->value);
	uint32		n = JsonContainerSize(array);
	JsonbValue *items;
	TcJsonCursor item;
	bool		matches = true;

	if (!argument->val.boolean || n < 2)
		return true;
	if (!tc_schema_spend(evaluation, n + tc_json_size(site->value) / BYTES_PER_STEP_OF_SORT *
						 (pg_leftmost_one_pos32(n) + 1)))
		return false;
	items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(JsonbValue) * n);
	tc_json_begin(&item, array);
	while (tc_json_next(&item))
		items[item.index] = item.value;
	qsort(items, n, sizeof(JsonbValue), tc_json_compare);
	for (uint32 i = 1; i < n && matches; i++)
	{
		if (tc_json_compare(&items[i - 1], &items[i]) == 0)
			matches = TC_SCHEMA_MISMATCH(evaluation, site->where,
										 "must not hold an item twice, as it does with %s",
										 tc_json_describe(&items[i]));
	}
	pfree(items);
	return matches;
}

bool
tc_apply_required(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *argument)
{
	return check_names(evaluation, site, argument, NULL);
}

bool
tc_apply_dependent_required(TcEvaluation *evaluation, const TcSite *site,
							const JsonbValue *argument)
{
	TcJsonCursor names;
	bool		matches = true;

	tc_json_begin(&names, tc_json_object(argument));
	while (tc_schema_goes_on(evaluation, matches) && tc_schema_spend(evaluation, 1) &&
		   tc_json_next(&names))
	{
		JsonbValue	ignored;

		if (tc_json_member(tc_json_object(site->value), names.key.val.string.val,
						   names.key.val.string.len, &ignored) &&
			!check_names(evaluation, site, &names.value, &names.key))
			matches = false;
	}
	tc_json_end(&names);
	return matches;
}

static bool
check_names(TcEvaluation *evaluation, const TcSite *site, const JsonbValue *names,
			const JsonbValue *because)
{
	TcJsonCursor name;
	bool		matches = true;

	tc_json_begin(&name, tc_json_array(names));
	while (tc_schema_goes_on(evaluation, matches) && tc_schema_spend(evaluation, 1) &&
		   tc_json_next(&name))
	{
		JsonbValue	ignored;

		if (tc_json_member(tc_json_object(site->value), name.value.val.string.val,
						   name.value.val.string.len, &ignored))
			continue;
		if (because == NULL)
			matches = TC_SCHEMA_MISMATCH(evaluation, site->where, "must have the property %s",
										 tc_json_describe(&name.value));
		else
			matches = TC_SCHEMA_MISMATCH(evaluation, site->where,
										 "must have the property %s, because it has %s",
										 tc_json_describe(&name.value), tc_json_describe(because));
	}
	tc_json_end(&name);
	return matches;
}
