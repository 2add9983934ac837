/*
 * json_value.c
 *	  Looking at jsonb values.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/numeric.h"

#include "compat.h"
#include "schema/json_value.h"

/* Messages quote at most this much of a name or value: any good name of ASCII in full. */
#define MAX_QUOTED_BYTES	128

static int	compare_strings(const JsonbValue *a, const JsonbValue *b);
static int	compare_containers(const JsonbValue *a, const JsonbValue *b);
static char *number_text(Numeric number);

TcJsonType
tc_json_type(const JsonbValue *json)
{
	switch (json->type)
	{
		case jbvNull:
			return TC_JSON_NULL;
		case jbvBool:
			return TC_JSON_BOOLEAN;
		case jbvNumeric:
			return TC_JSON_NUMBER;
		case jbvString:
			return TC_JSON_STRING;
		case jbvBinary:
			return JsonContainerIsObject(json->val.binary.data) ? TC_JSON_OBJECT : TC_JSON_ARRAY;
		default:
			elog(ERROR, "unexpected type %d in jsonb", (int) json->type);
	}
}

JsonbValue
tc_json_root(const struct varlena *document)
{
	JsonbContainer *root = unconstify(JsonbContainer *, &((const Jsonb *) document)->root);
	JsonbValue	value;

	if (!JsonbExtractScalar(root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = root;
		value.val.binary.len = VARSIZE(document) - VARHDRSZ;
	}
	return value;
}

JsonbContainer *
tc_json_object(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsObject(json->val.binary.data) ?
		json->val.binary.data : NULL;
}

JsonbContainer *
tc_json_array(const JsonbValue *json)
{
	return json->type == jbvBinary && JsonContainerIsArray(json->val.binary.data) ?
		json->val.binary.data : NULL;
}

bool
tc_json_member(JsonbContainer *object, const char *key, int length, JsonbValue *value)
{
	return getKeyJsonValueFromContainer(object, key, length, value) != NULL;
}

bool
tc_json_element(JsonbContainer *array, uint32 index, JsonbValue *value)
{
	JsonbValue *found = getIthJsonbValueFromContainer(array, index);

	if (found == NULL)
		return false;
	*value = *found;
	pfree(found);
	return true;
}

/* ---- members ------------------------------------------------------------- */

void
tc_json_begin(TcJsonCursor *cursor, JsonbContainer *container)
{
	JsonbValue	ignored;

	cursor->iterator = JsonbIteratorInit(container);
	cursor->index = -1;
	(void) JsonbIteratorNext(&cursor->iterator, &ignored, true);
}

/* skipNested: what is nested comes as one value */
bool
tc_json_next(TcJsonCursor *cursor)
{
	JsonbIteratorToken token = JsonbIteratorNext(&cursor->iterator, &cursor->value, true);

	if (token == WJB_KEY)
	{
		cursor->key = cursor->value;
		(void) JsonbIteratorNext(&cursor->iterator, &cursor->value, true);
	}
	else if (token != WJB_ELEM)
		return false;
	cursor->index++;
	return true;
}

void
tc_json_end(TcJsonCursor *cursor)
{
	if (cursor->iterator != NULL)
		pfree(cursor->iterator);
	cursor->iterator = NULL;
}

/* ---- values -------------------------------------------------------------- */

bool
tc_json_is_empty(const JsonbValue *json)
{
	return json->type == jbvNull ||
		(json->type == jbvBinary && JsonContainerSize(json->val.binary.data) == 0);
}

bool
tc_json_is_integer(const JsonbValue *json)
{
	return json->type == jbvNumeric &&
		DatumGetInt32(DirectFunctionCall1(numeric_min_scale,
										  NumericGetDatum(json->val.numeric))) == 0;
}

bool
tc_json_equal(const JsonbValue *a, const JsonbValue *b)
{
	return a->type == b->type && tc_json_compare(a, b) == 0;
}

int
tc_json_compare(const void *a, const void *b)
{
	const JsonbValue *left = a;
	const JsonbValue *right = b;

	if (left->type != right->type)
		return left->type < right->type ? -1 : 1;
	switch (left->type)
	{
		case jbvBool:
			return (int) left->val.boolean - (int) right->val.boolean;
		case jbvNumeric:
			return DatumGetInt32(DirectFunctionCall2(numeric_cmp,
													 NumericGetDatum(left->val.numeric),
													 NumericGetDatum(right->val.numeric)));
		case jbvString:
			return compare_strings(left, right);
		case jbvBinary:
			return compare_containers(left, right);
		default:
			return 0;			/* null */
	}
}

static int
compare_strings(const JsonbValue *a, const JsonbValue *b)
{
	if (a->val.string.len != b->val.string.len)
		return a->val.string.len < b->val.string.len ? -1 : 1;
	return memcmp(a->val.string.val, b->val.string.val, a->val.string.len);
}

static int
compare_containers(const JsonbValue *a, const JsonbValue *b)
{
	TcJsonType	left = tc_json_type(a);
	TcJsonType	right = tc_json_type(b);

	if (left != right)
		return left < right ? -1 : 1;
	return compareJsonbContainers(a->val.binary.data, b->val.binary.data);
}

int
tc_json_compare_integer(int64 integer, const JsonbValue *number)
{
	JsonbValue	converted = {.type = jbvNumeric};
	int			order;

	converted.val.numeric = int64_to_numeric(integer);
	order = tc_json_compare(&converted, number);
	pfree(converted.val.numeric);
	return order;
}

int64
tc_json_size(const JsonbValue *json)
{
	switch (json->type)
	{
		case jbvString:
			return json->val.string.len;
		case jbvNumeric:
			return VARSIZE_ANY(json->val.numeric);
		case jbvBinary:
			return json->val.binary.len;
		default:
			return 1;
	}
}

char *
tc_json_string(const JsonbValue *json)
{
	return pnstrdup(json->val.string.val, json->val.string.len);
}

bool
tc_json_is_string(const JsonbValue *json, const char *text)
{
	return json->type == jbvString && json->val.string.len == strlen(text) &&
		memcmp(json->val.string.val, text, json->val.string.len) == 0;
}

/* ---- in messages --------------------------------------------------------- */

char *
tc_quote_name(const char *name)
{
	return tc_quote_bytes(name, strlen(name));
}

char *
tc_quote_bytes(const char *name, int length)
{
	int			kept = pg_mbcliplen(name, length, MAX_QUOTED_BYTES);
	StringInfoData out;

	initStringInfo(&out);
	escape_json(&out, pnstrdup(name, kept));
	if (kept < length)
		appendStringInfoString(&out, "...");
	return out.data;
}

char *
tc_json_describe(const JsonbValue *json)
{
	if (tc_json_object(json) != NULL)
		return "an object";
	if (tc_json_array(json) != NULL)
		return "an array";
	switch (json->type)
	{
		case jbvNull:
			return "null";
		case jbvBool:
			return json->val.boolean ? "true" : "false";
		case jbvNumeric:
			return number_text(json->val.numeric);
		case jbvString:
			return tc_quote_bytes(json->val.string.val, json->val.string.len);
		default:
			elog(ERROR, "unexpected type %d in jsonb", (int) json->type);
	}
}

/* A JSON number may have a hundred thousand digits. */
static char *
number_text(Numeric number)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(number)));

	if (strlen(text) <= MAX_QUOTED_BYTES)
		return text;
	return psprintf("%.*s...", MAX_QUOTED_BYTES, text);
}
