/*
 * keywords.c
 *	  The keywords of JSON Schema, one entry each.
 *
 * This table is the definition of what is enforced, what is only noted, and
 * what is refused.  A keyword of the standard that would need work to enforce
 * is refused, never ignored; so are the words of older drafts.
 */
#include "postgres.h"

#include "schema/evaluation.h"
#include "schema/keywords.h"

#define IN_DEFS "put the schema under \"$defs\" and refer to it as \"#/$defs/name\""

/* Sorted by name, by bytes. */
static const TcKeyword keywords[] = {
	{.name = "$anchor", .shape = TC_SHAPE_REFUSED, .instead = IN_DEFS},
	{.name = "$comment", .shape = TC_SHAPE_TEXT},
	{.name = "$defs", .shape = TC_SHAPE_SCHEMAS},
	{.name = "$dynamicAnchor", .shape = TC_SHAPE_REFUSED, .instead = IN_DEFS},
	{.name = "$dynamicRef", .shape = TC_SHAPE_REFUSED, .instead = "use \"$ref\""},
	{.name = "$id", .shape = TC_SHAPE_IDENTIFIER},
	{.name = "$recursiveAnchor", .shape = TC_SHAPE_REFUSED, .instead = IN_DEFS},
	{.name = "$recursiveRef", .shape = TC_SHAPE_REFUSED, .instead = "use \"$ref\""},
	{.name = "$ref", .shape = TC_SHAPE_REFERENCE, .apply = tc_apply_reference,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "$schema", .shape = TC_SHAPE_DIALECT},
	{.name = "$vocabulary", .shape = TC_SHAPE_REFUSED},
	{.name = "additionalItems", .shape = TC_SHAPE_REFUSED,
	.instead = "use \"items\" beside \"prefixItems\""},
	{.name = "additionalProperties", .shape = TC_SHAPE_SCHEMA,
	.apply = tc_apply_additional_properties, .subjects = TC_JSON_OBJECT},
	{.name = "allOf", .shape = TC_SHAPE_SCHEMA_LIST, .apply = tc_apply_all_of,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "anyOf", .shape = TC_SHAPE_SCHEMA_LIST, .apply = tc_apply_any_of,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "const", .shape = TC_SHAPE_ANYTHING, .apply = tc_apply_const,
	.subjects = TC_JSON_ANY_TYPE},
	{.name = "contains", .shape = TC_SHAPE_SCHEMA, .apply = tc_apply_contains,
	.subjects = TC_JSON_ARRAY},
	{.name = "contentEncoding", .shape = TC_SHAPE_TEXT},
	{.name = "contentMediaType", .shape = TC_SHAPE_TEXT},
	{.name = "contentSchema", .shape = TC_SHAPE_SCHEMA},
	{.name = "default", .shape = TC_SHAPE_ANYTHING},
	{.name = "definitions", .shape = TC_SHAPE_SCHEMAS},
	{.name = "dependencies", .shape = TC_SHAPE_REFUSED,
	.instead = "use \"dependentRequired\" or \"dependentSchemas\""},
	{.name = "dependentRequired", .shape = TC_SHAPE_NAME_LISTS,
	.apply = tc_apply_dependent_required, .subjects = TC_JSON_OBJECT},
	{.name = "dependentSchemas", .shape = TC_SHAPE_SCHEMAS, .apply = tc_apply_dependent_schemas,
	.subjects = TC_JSON_OBJECT, .in_place = true},
	{.name = "deprecated", .shape = TC_SHAPE_FLAG},
	{.name = "description", .shape = TC_SHAPE_TEXT},
	{.name = "disallow", .shape = TC_SHAPE_REFUSED, .instead = "use \"not\""},
	{.name = "divisibleBy", .shape = TC_SHAPE_REFUSED, .instead = "use \"multipleOf\""},
	{.name = "else", .shape = TC_SHAPE_SCHEMA, .in_place = true, .companion = "if"},
	{.name = "enum", .shape = TC_SHAPE_LIST, .apply = tc_apply_enum,
	.subjects = TC_JSON_ANY_TYPE},
	{.name = "examples", .shape = TC_SHAPE_LIST},
	{.name = "exclusiveMaximum", .shape = TC_SHAPE_NUMBER, .apply = tc_apply_exclusive_maximum,
	.subjects = TC_JSON_NUMBER},
	{.name = "exclusiveMinimum", .shape = TC_SHAPE_NUMBER, .apply = tc_apply_exclusive_minimum,
	.subjects = TC_JSON_NUMBER},
	{.name = "extends", .shape = TC_SHAPE_REFUSED, .instead = "use \"allOf\""},
	{.name = "format", .shape = TC_SHAPE_TEXT},
	{.name = "if", .shape = TC_SHAPE_SCHEMA, .apply = tc_apply_if,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "items", .shape = TC_SHAPE_SCHEMA, .apply = tc_apply_items,
	.subjects = TC_JSON_ARRAY, .instead = "use \"prefixItems\" for an array of schemas"},
	{.name = "maxContains", .shape = TC_SHAPE_COUNT, .companion = "contains"},
	{.name = "maxItems", .shape = TC_SHAPE_COUNT, .apply = tc_apply_max_items,
	.subjects = TC_JSON_ARRAY},
	{.name = "maxLength", .shape = TC_SHAPE_COUNT, .apply = tc_apply_max_length,
	.subjects = TC_JSON_STRING},
	{.name = "maxProperties", .shape = TC_SHAPE_COUNT, .apply = tc_apply_max_properties,
	.subjects = TC_JSON_OBJECT},
	{.name = "maximum", .shape = TC_SHAPE_NUMBER, .apply = tc_apply_maximum,
	.subjects = TC_JSON_NUMBER},
	{.name = "minContains", .shape = TC_SHAPE_COUNT, .companion = "contains"},
	{.name = "minItems", .shape = TC_SHAPE_COUNT, .apply = tc_apply_min_items,
	.subjects = TC_JSON_ARRAY},
	{.name = "minLength", .shape = TC_SHAPE_COUNT, .apply = tc_apply_min_length,
	.subjects = TC_JSON_STRING},
	{.name = "minProperties", .shape = TC_SHAPE_COUNT, .apply = tc_apply_min_properties,
	.subjects = TC_JSON_OBJECT},
	{.name = "minimum", .shape = TC_SHAPE_NUMBER, .apply = tc_apply_minimum,
	.subjects = TC_JSON_NUMBER},
	{.name = "multipleOf", .shape = TC_SHAPE_POSITIVE, .apply = tc_apply_multiple_of,
	.subjects = TC_JSON_NUMBER},
	{.name = "not", .shape = TC_SHAPE_SCHEMA, .apply = tc_apply_not,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "oneOf", .shape = TC_SHAPE_SCHEMA_LIST, .apply = tc_apply_one_of,
	.subjects = TC_JSON_ANY_TYPE, .in_place = true},
	{.name = "pattern", .shape = TC_SHAPE_PATTERN, .apply = tc_apply_pattern,
	.subjects = TC_JSON_STRING},
	{.name = "patternProperties", .shape = TC_SHAPE_PATTERN_SCHEMAS,
	.apply = tc_apply_pattern_properties, .subjects = TC_JSON_OBJECT},
	{.name = "prefixItems", .shape = TC_SHAPE_SCHEMA_LIST, .apply = tc_apply_prefix_items,
	.subjects = TC_JSON_ARRAY},
	{.name = "properties", .shape = TC_SHAPE_SCHEMAS, .apply = tc_apply_properties,
	.subjects = TC_JSON_OBJECT},
	{.name = "propertyNames", .shape = TC_SHAPE_SCHEMA, .apply = tc_apply_property_names,
	.subjects = TC_JSON_OBJECT},
	{.name = "readOnly", .shape = TC_SHAPE_FLAG},
	{.name = "required", .shape = TC_SHAPE_NAMES, .apply = tc_apply_required,
	.subjects = TC_JSON_OBJECT},
	{.name = "then", .shape = TC_SHAPE_SCHEMA, .in_place = true, .companion = "if"},
	{.name = "title", .shape = TC_SHAPE_TEXT},
	{.name = "type", .shape = TC_SHAPE_TYPE, .apply = tc_apply_type,
	.subjects = TC_JSON_ANY_TYPE},
	{.name = "unevaluatedItems", .shape = TC_SHAPE_REFUSED,
	.instead = "use \"items\" beside \"prefixItems\""},
	{.name = "unevaluatedProperties", .shape = TC_SHAPE_REFUSED,
	.instead = "use \"additionalProperties\""},
	{.name = "uniqueItems", .shape = TC_SHAPE_FLAG, .apply = tc_apply_unique_items,
	.subjects = TC_JSON_ARRAY},
	{.name = "writeOnly", .shape = TC_SHAPE_FLAG},
};

const char *const tc_json_type_names[] = {
	"null", "boolean", "number", "string", "array", "object", "integer", NULL
};

static int
compare_name(const void *key, const void *entry)
{
	const JsonbValue *name = key;
	const TcKeyword *keyword = entry;
	size_t		length = strlen(keyword->name);
	int			order = memcmp(name->val.string.val, keyword->name,
							   Min(name->val.string.len, length));

	return order != 0 ? order : name->val.string.len - (int) length;
}

const TcKeyword *
tc_keyword_find(const JsonbValue *name)
{
	return bsearch(name, keywords, lengthof(keywords), sizeof(TcKeyword), compare_name);
}

bool
tc_json_has_type(const JsonbValue *value, const JsonbValue *name)
{
	TcJsonType	type = tc_json_type(value);

	for (int i = 0; tc_json_type_names[i] != NULL; i++)
	{
		if (!tc_json_is_string(name, tc_json_type_names[i]))
			continue;
		return (1 << i) <= TC_JSON_OBJECT ? type == (1 << i) : tc_json_is_integer(value);
	}
	return false;
}
