/*
 * template_reader.c
 *	  Reading template documents by tables of keys.
 *
 * Nothing here knows which keys there are: template_json.c has the tables, and
 * template_values.c the functions that read the value of a key.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/numeric.h"

#include "compat.h"
#include "store/template_reader.h"

static char *message_at(const TcPath *path, const char *format, va_list args)
			pg_attribute_printf(2, 0);
static void append_path(StringInfo out, const TcPath *path);
static void read_key(TcReader *reader, const TcPath *parent, const TcKey *key,
					 const JsonbValue *json, TcValue *values);
static void warn_unknown_keys(TcReader *reader, const TcPath *path, JsonbContainer *object,
							  const TcKey *keys);
static bool is_listed(const TcKey *keys, const JsonbValue *name);
static void write_field(TcReader *reader, const char *key, const TcValue *value);

void
tc_reader_begin(TcReader *reader)
{
	memset(reader, 0, sizeof(TcReader));
	reader->names = tc_step_names_create();
}

/* ---- messages ------------------------------------------------------------ */

void
tc_fault(TcReader *reader, const TcPath *path, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	reader->faults = lappend(reader->faults, message_at(path, format, args));
	va_end(args);
}

void
tc_warn(TcReader *reader, const TcPath *path, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	reader->warnings = lappend(reader->warnings, message_at(path, format, args));
	va_end(args);
}

static char *
message_at(const TcPath *path, const char *format, va_list args)
{
	StringInfoData out;
	int			needed;

	initStringInfo(&out);
	append_path(&out, path);
	appendStringInfoString(&out, ": ");
	for (;;)
	{
		va_list		copy;

		va_copy(copy, args);
		needed = appendStringInfoVA(&out, format, copy);
		va_end(copy);
		if (needed == 0)
			return out.data;
		enlargeStringInfo(&out, needed);
	}
}

char *
tc_path_text(const TcPath *path)
{
	StringInfoData out;

	initStringInfo(&out);
	append_path(&out, path);
	return out.data;
}

/* Keys that are no plain words are written as in steps[0]["a key"]. */
static void
append_path(StringInfo out, const TcPath *path)
{
	static const char word_chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (path->parent != NULL)
		append_path(out, path->parent);

	if (path->key == NULL)
		appendStringInfo(out, "[%d]", path->index);
	else if (path->key[0] == '\0' || path->key[strspn(path->key, word_chars)] != '\0')
		appendStringInfo(out, "[%s]", tc_quote_name(path->key));
	else
		appendStringInfo(out, "%s%s", path->parent == NULL ? "" : ".", path->key);
}

/* ---- objects ------------------------------------------------------------- */

void
tc_read_keys(TcReader *reader, const TcPath *path, JsonbContainer *object,
			 const TcKey *keys, TcValue *values)
{
	uint32		listed = 0;

	for (const TcKey *key = keys; key->name != NULL; key++)
	{
		JsonbValue	json;

		if (getKeyJsonValueFromContainer(object, key->name, strlen(key->name), &json) == NULL)
			continue;
		listed++;
		if (json.type != jbvNull)
			read_key(reader, path, key, &json, values);
	}
	if (listed < JsonContainerSize(object))
		warn_unknown_keys(reader, path, object, keys);
}

static void
read_key(TcReader *reader, const TcPath *parent, const TcKey *key,
		 const JsonbValue *json, TcValue *values)
{
	TcPath		path = {.parent = parent, .key = key->name};
	TcValue    *value = &values[key->field];

	if (key->nested != NULL)
	{
		if (tc_json_object(json) != NULL)
			tc_read_keys(reader, &path, tc_json_object(json), key->nested, values);
		else
			tc_fault(reader, &path, "must be an object, not %s", tc_json_describe(json));
		return;
	}
	if (key->note != NULL && !tc_json_is_empty(json))
		tc_warn(reader, &path, "%s", key->note);
	if (key->read == tc_read_kept || key->read == tc_read_unsupported)
		value = NULL;			/* they fill no field */
	else if (value->key != NULL && !key->accumulates)
	{
		tc_warn(reader, &path, "ignored, because %s is given as well", value->key->name);
		return;
	}
	else
		value->key = key;
	key->read(reader, &path, key, json, value);
}

static void
warn_unknown_keys(TcReader *reader, const TcPath *path, JsonbContainer *object,
				  const TcKey *keys)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbIteratorToken token;
	JsonbValue	json;

	/* skipNested: nested objects come as one value, without their keys */
	while ((token = JsonbIteratorNext(&iterator, &json, true)) != WJB_DONE)
	{
		if (token == WJB_KEY && !is_listed(keys, &json))
		{
			TcPath		here = {.parent = path, .key = tc_json_string(&json)};

			tc_warn(reader, &here, "unknown key, not stored");
		}
	}
}

static bool
is_listed(const TcKey *keys, const JsonbValue *name)
{
	for (const TcKey *key = keys; key->name != NULL; key++)
	{
		if (strlen(key->name) == name->val.string.len &&
			memcmp(key->name, name->val.string.val, name->val.string.len) == 0)
			return true;
	}
	return false;
}

/* ---- fields -------------------------------------------------------------- */

const char *
tc_value_text(const TcValue *value, const char *otherwise)
{
	return value->text != NULL ? value->text : otherwise;
}

int64
tc_value_integer(const TcValue *value, int64 otherwise)
{
	return value->key != NULL ? value->integer : otherwise;
}

double
tc_value_number(const TcValue *value, double otherwise)
{
	return value->key != NULL ? value->number : otherwise;
}

void
tc_value_set_text(TcValue *value, const char *text)
{
	value->text = text;
	value->json.type = jbvString;
	value->json.val.string.val = unconstify(char *, text);
	value->json.val.string.len = strlen(text);
}

void
tc_value_set_integer(TcValue *value, int64 integer)
{
	value->integer = integer;
	value->json.type = jbvNumeric;
	value->json.val.numeric = int64_to_numeric(integer);
}

/* ---- the normal form ----------------------------------------------------- */

void
tc_write_key(TcReader *reader, const char *key)
{
	JsonbValue	json = {.type = jbvString};

	json.val.string.val = unconstify(char *, key);
	json.val.string.len = strlen(key);
	pushJsonbValue(&reader->output, WJB_KEY, &json);
}

void
tc_read_kept(TcReader *reader, const TcPath *path, const TcKey *key,
			 const JsonbValue *json, TcValue *value)
{
	JsonbValue	copy = *json;

	if (tc_json_is_empty(json))
		return;
	tc_write_key(reader, key->name);
	pushJsonbValue(&reader->output, WJB_VALUE, &copy);
}

/* Fields without a value are left out, and so are blocks without a field. */
void
tc_write_fields(TcReader *reader, const TcFieldName *names, const TcValue *values, int nfields)
{
	const char *open_block = NULL;

	for (int i = 0; i < nfields; i++)
	{
		if (values[i].json.type == jbvNull && values[i].references == NIL)
			continue;
		if (names[i].block != open_block)
		{
			if (open_block != NULL)
				pushJsonbValue(&reader->output, WJB_END_OBJECT, NULL);
			open_block = names[i].block;
			if (open_block != NULL)
			{
				tc_write_key(reader, open_block);
				pushJsonbValue(&reader->output, WJB_BEGIN_OBJECT, NULL);
			}
		}
		write_field(reader, names[i].key, &values[i]);
	}
	if (open_block != NULL)
		pushJsonbValue(&reader->output, WJB_END_OBJECT, NULL);
}

static void
write_field(TcReader *reader, const char *key, const TcValue *value)
{
	JsonbValue	json = value->json;
	ListCell   *cell;

	tc_write_key(reader, key);
	if (value->references == NIL)
	{
		pushJsonbValue(&reader->output, WJB_VALUE, &json);
		return;
	}
	pushJsonbValue(&reader->output, WJB_BEGIN_ARRAY, NULL);
	foreach(cell, value->references)
	{
		const TcReference *reference = lfirst(cell);

		json.type = jbvString;
		json.val.string.val = unconstify(char *, reference->target->name);
		json.val.string.len = strlen(reference->target->name);
		pushJsonbValue(&reader->output, WJB_ELEM, &json);
	}
	pushJsonbValue(&reader->output, WJB_END_ARRAY, NULL);
}
