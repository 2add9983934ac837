/*
 * template_values.c
 *	  Reading the values of template keys: texts, numbers, words, objects.
 *
 * A read function gets a value that is not null, reports what is wrong with it,
 * and otherwise fills the field.
 */
#include "postgres.h"

#include <math.h>

#include "common/jsonapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "compat.h"
#include "schema/json_schema.h"
#include "store/template_reader.h"

/* Enough for any number that is in range, and for numeric_in() never to fail. */
#define MAX_NUMERIC_TEXT	64

static bool has_unprintable(const char *text, int length);
static char *list_words(const TcKey *key, int n);
static Numeric json_number(const TcKey *key, const JsonbValue *json);
static bool number_between(Numeric number, int64 min, int64 max);
static bool whole_number(const TcKey *key, const JsonbValue *json, int64 *result);

/* ---- texts --------------------------------------------------------------- */

void
tc_read_text(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	if (json->type != jbvString)
		tc_fault(reader, path, "must be a text, not %s", tc_json_describe(json));
	else if (json->val.string.len < key->min)
		tc_fault(reader, path, "must not be empty");
	else
	{
		value->text = tc_json_string(json);
		value->json = *json;
	}
}

void
tc_read_name(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	const char *problem;

	if (json->type != jbvString)
	{
		tc_fault(reader, path, "must be a text, not %s", tc_json_describe(json));
		return;
	}
	problem = tc_name_problem(json->val.string.val, json->val.string.len, key->max, key->forbidden);
	if (problem != NULL)
		tc_fault(reader, path, "%s: %s", problem, tc_json_describe(json));

	/* a bad name still names something: what refers to it is no further fault */
	value->text = tc_json_string(json);
	value->json = *json;
}

const char *
tc_name_problem(const char *name, int length, int64 max_chars, char forbidden)
{
	if (length == 0)
		return "must not be empty";
	if (pg_mbstrlen_with_len(name, length) > max_chars)
		return psprintf("must have at most " INT64_FORMAT " characters", max_chars);
	if (name[0] == ' ' || name[length - 1] == ' ')
		return "must not begin or end with a space";
	if (has_unprintable(name, length))
		return "must not hold control characters";
	if (forbidden != '\0' && memchr(name, forbidden, length) != NULL)
		return psprintf("must not hold \"%c\"", forbidden);
	return NULL;
}

/* ASCII controls, and in UTF-8 those from U+0080 to U+009F. */
static bool
has_unprintable(const char *text, int length)
{
	bool		utf8 = GetDatabaseEncoding() == PG_UTF8;

	for (int i = 0; i < length; i++)
	{
		unsigned char c = text[i];

		if (c < 0x20 || c == 0x7f)
			return true;
		if (utf8 && c == 0xc2 && i + 1 < length && (unsigned char) text[i + 1] < 0xa0)
			return true;
	}
	return false;
}

void
tc_read_version(TcReader *reader, const TcPath *path, const TcKey *key,
				const JsonbValue *json, TcValue *value)
{
	/* the lowest of all semantic versions: what sorts below it is none */
	static const char lowest[] = "0.0.0-0";

	tc_read_name(reader, path, key, json, value);
	if (value->text != NULL && tc_version_compare(value->text, lowest) < 0)
		tc_warn(reader, path,
				"%s is not a semantic version and counts as lower than every one that is",
				tc_quote_name(value->text));
}

void
tc_read_word(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	int			supported = 0;
	int			found = -1;

	for (int i = 0; key->words[i] != NULL; i++)
	{
		if (json->type == jbvString && strlen(key->words[i]) == json->val.string.len &&
			memcmp(key->words[i], json->val.string.val, json->val.string.len) == 0)
			found = i;
		supported = i + 1;
	}
	if (key->supported != 0)
		supported = key->supported;

	if (found < 0)
		tc_fault(reader, path, "must be %s, not %s",
				 list_words(key, supported), tc_json_describe(json));
	else if (found >= supported)
		tc_fault(reader, path, "\"%s\" is not supported by this version", key->words[found]);
	else
	{
		value->integer = found;
		value->json = *json;
	}
}

static char *
list_words(const TcKey *key, int n)
{
	StringInfoData out;

	initStringInfo(&out);
	for (int i = 0; i < n; i++)
		appendStringInfo(&out, "%s\"%s\"",
						 i == 0 ? "" : i == n - 1 ? " or " : ", ", key->words[i]);
	return out.data;
}

/* ---- numbers ------------------------------------------------------------- */

/* The number a value is, or spells where the key allows it; NULL = none. */
static Numeric
json_number(const TcKey *key, const JsonbValue *json)
{
	char	   *text;

	if (json->type == jbvNumeric)
		return json->val.numeric;
	if (json->type != jbvString || !key->numeric_text || json->val.string.len > MAX_NUMERIC_TEXT)
		return NULL;
	text = tc_json_string(json);
	if (text[strspn(text, "0123456789.-")] != '\0' || !IsValidJsonNumber(text, strlen(text)))
		return NULL;
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(text),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static bool
number_between(Numeric number, int64 min, int64 max)
{
	return DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
											 NumericGetDatum(int64_to_numeric(min)))) >= 0 &&
		DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(number),
										  NumericGetDatum(int64_to_numeric(max)))) <= 0;
}

static bool
whole_number(const TcKey *key, const JsonbValue *json, int64 *result)
{
	Numeric		number = json_number(key, json);

	if (number == NULL || !number_between(number, PG_INT64_MIN, PG_INT64_MAX))
		return false;
	*result = DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(number)));

	/* numeric_int8() rounds */
	return number_between(number, *result, *result);
}

void
tc_read_integer(TcReader *reader, const TcPath *path, const TcKey *key,
				const JsonbValue *json, TcValue *value)
{
	int64		integer;

	if (!whole_number(key, json, &integer) || integer < key->min || integer > key->max)
		tc_fault(reader, path, "must be a whole number from " INT64_FORMAT " to " INT64_FORMAT
				 ", not %s", key->min, key->max, tc_json_describe(json));
	else
		tc_value_set_integer(value, integer);
}

/* A step is always tried once, so none at all can only mean one. */
void
tc_read_attempts(TcReader *reader, const TcPath *path, const TcKey *key,
				 const JsonbValue *json, TcValue *value)
{
	int64		integer;

	if (whole_number(key, json, &integer) && integer == 0)
	{
		tc_warn(reader, path, "0 is taken as 1: a step is always tried once");
		tc_value_set_integer(value, 1);
	}
	else
		tc_read_integer(reader, path, key, json, value);
}

/* Seconds, stored as milliseconds; the range is in milliseconds, too. */
void
tc_read_seconds(TcReader *reader, const TcPath *path, const TcKey *key,
				const JsonbValue *json, TcValue *value)
{
	Numeric		number = json_number(key, json);
	double		seconds;

	if (number == NULL || !number_between(number, key->min / 1000, key->max / 1000))
	{
		tc_fault(reader, path, "must be a number of seconds from " INT64_FORMAT " to " INT64_FORMAT
				 ", not %s", key->min / 1000, key->max / 1000, tc_json_describe(json));
		return;
	}
	seconds = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(number)));
	tc_value_set_integer(value, (int64) rint(seconds * 1000));
}

void
tc_read_number(TcReader *reader, const TcPath *path, const TcKey *key,
			   const JsonbValue *json, TcValue *value)
{
	Numeric		number = json_number(key, json);

	if (number == NULL || !number_between(number, key->min, key->max))
	{
		tc_fault(reader, path, "must be a number from " INT64_FORMAT " to " INT64_FORMAT
				 ", not %s", key->min, key->max, tc_json_describe(json));
		return;
	}
	value->number = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(number)));
	value->json = *json;
}

/* ---- other types --------------------------------------------------------- */

void
tc_read_bool(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	if (json->type != jbvBool)
	{
		tc_fault(reader, path, "must be true or false, not %s", tc_json_describe(json));
		return;
	}
	value->integer = json->val.boolean;
	value->json = *json;
}

/* An empty object says what an absent one says, so it is not written. */
void
tc_read_object(TcReader *reader, const TcPath *path, const TcKey *key,
			   const JsonbValue *json, TcValue *value)
{
	if (tc_json_object(json) == NULL)
		tc_fault(reader, path, "must be an object, not %s", tc_json_describe(json));
	else if (!tc_json_is_empty(json))
		value->json = *json;
}

void
tc_read_array(TcReader *reader, const TcPath *path, const TcKey *key,
			  const JsonbValue *json, TcValue *value)
{
	if (tc_json_array(json) == NULL)
		tc_fault(reader, path, "must be an array, not %s", tc_json_describe(json));
	else
		value->json = *json;
}

/* Any value; whoever knows what it means checks it. */
void
tc_read_json(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	value->json = *json;
}

/* A schema that every value matches says what an absent one says, so it is not written. */
void
tc_read_schema(TcReader *reader, const TcPath *path, const TcKey *key,
			   const JsonbValue *json, TcValue *value)
{
	tc_schema_check(json, tc_path_text(path), &reader->faults, &reader->warnings);
	if (!tc_json_is_empty(json) && !(json->type == jbvBool && json->val.boolean))
		value->json = *json;
}

void
tc_read_unsupported(TcReader *reader, const TcPath *path, const TcKey *key,
					const JsonbValue *json, TcValue *value)
{
	if (!tc_json_is_empty(json))
		tc_fault(reader, path, "not supported by this version");
}
