/*
 * schema_check.c
 *	  What is wrong with a schema.
 *
 * First every schema within the document is looked at where it stands, then
 * what references lead to and was not among them.  Last come the loops: a
 * schema that applies itself to the same value again would never come to an
 * end, whatever the value.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/hsearch.h"

#include "errors.h"
#include "schema/json_schema.h"
#include "schema/keywords.h"

/* A schema that is an object.  One that is true or false needs no look. */
typedef struct Visit
{
	JsonbContainer *schema;		/* hash key */
	char	   *path;
	enum
	{
		LOOPS_UNKNOWN,
		LOOPS_OPEN,				/* on the way that is being followed */
		LOOPS_NONE
	}			loops;
} Visit;

typedef struct Reference
{
	JsonbValue	reference;
	char	   *path;			/* of the "$ref" */
} Reference;

typedef struct Checker
{
	JsonbValue	root;
	StringInfoData path;		/* of what is being looked at */
	int			depth;
	List	   *faults;
	List	   *warnings;
	HTAB	   *visits;			/* of Visit */
	List	   *visited;		/* of the same Visit *, in order */
	List	   *references;		/* of Reference * */
} Checker;

typedef void (*CheckFunction) (Checker *checker, const JsonbValue *value);

static void begin_visits(Checker *checker);
static void add_fault(Checker *checker, const char *format, ...) pg_attribute_printf(2, 3);
static void add_warning(Checker *checker, const char *format, ...) pg_attribute_printf(2, 3);
static char *message_at(const Checker *checker, const char *format, va_list args)
			pg_attribute_printf(2, 0);
static int	enter_key(Checker *checker, const JsonbValue *key);
static int	enter_index(Checker *checker, int index);
static void leave(Checker *checker, int length);
static void check_schema(Checker *checker, const JsonbValue *value);
static void check_keywords(Checker *checker, JsonbContainer *schema);
static void check_keyword(Checker *checker, JsonbContainer *schema, const TcKeyword *keyword,
						  const JsonbValue *value);
static void follow_references(Checker *checker);
static bool find_loop(Checker *checker, Visit *visit, int depth);
static bool find_loop_through(Checker *checker, const TcKeyword *keyword,
							  const JsonbValue *value, int depth);
static bool find_loop_at(Checker *checker, const JsonbValue *schema, int depth);

void
tc_schema_check(const JsonbValue *schema, const char *name, List **faults, List **warnings)
{
	Checker		checker = {.root = *schema};
	ListCell   *cell;

	initStringInfo(&checker.path);
	appendStringInfoString(&checker.path, name);
	begin_visits(&checker);
	check_schema(&checker, schema);
	follow_references(&checker);
	if (checker.faults == NIL)
	{
		foreach(cell, checker.visited)
		{
			if (find_loop(&checker, lfirst(cell), 0))
				break;
		}
	}
	*faults = list_concat(*faults, checker.faults);
	*warnings = list_concat(*warnings, checker.warnings);
}

static void
begin_visits(Checker *checker)
{
	HASHCTL		control = {
		.keysize = sizeof(JsonbContainer *),
		.entrysize = sizeof(Visit),
		.hcxt = CurrentMemoryContext,
	};

	checker->visits = hash_create("schemas", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* ---- messages ------------------------------------------------------------ */

static void
add_fault(Checker *checker, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	checker->faults = lappend(checker->faults, message_at(checker, format, args));
	va_end(args);
}

static void
add_warning(Checker *checker, const char *format, ...)
{
	va_list		args;

	va_start(args, format);
	checker->warnings = lappend(checker->warnings, message_at(checker, format, args));
	va_end(args);
}

static char *
message_at(const Checker *checker, const char *format, va_list args)
{
	StringInfoData out;
	int			needed;

	initStringInfo(&out);
	appendStringInfo(&out, "%s: ", checker->path.data);
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

/* Both return what leave() needs.  Paths are written as those of templates are. */
static int
enter_key(Checker *checker, const JsonbValue *key)
{
	static const char word_chars[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$";
	int			length = checker->path.len;
	char	   *text = tc_json_string(key);

	if (text[0] == '\0' || text[strspn(text, word_chars)] != '\0')
		appendStringInfo(&checker->path, "[%s]", tc_quote_name(text));
	else
		appendStringInfo(&checker->path, ".%s", text);
	pfree(text);
	return length;
}

static int
enter_index(Checker *checker, int index)
{
	int			length = checker->path.len;

	appendStringInfo(&checker->path, "[%d]", index);
	return length;
}

static void
leave(Checker *checker, int length)
{
	checker->path.len = length;
	checker->path.data[length] = '\0';
}

/* ---- values of keywords -------------------------------------------------- */

/* For members: they report at their own place. */
static void
check_members(Checker *checker, const JsonbValue *value, CheckFunction check)
{
	TcJsonCursor member;

	tc_json_begin(&member, value->val.binary.data);
	while (tc_json_next(&member))
	{
		int			length = tc_json_object(value) != NULL ? enter_key(checker, &member.key) :
			enter_index(checker, member.index);

		check(checker, &member.value);
		leave(checker, length);
	}
}

static bool
require(Checker *checker, bool met, const char *what, const JsonbValue *value)
{
	if (!met)
		add_fault(checker, "must be %s, not %s", what, tc_json_describe(value));
	return met;
}

static void
check_anything(Checker *checker, const JsonbValue *value)
{
}

static void
check_text(Checker *checker, const JsonbValue *value)
{
	require(checker, value->type == jbvString, "a text", value);
}

static void
check_flag(Checker *checker, const JsonbValue *value)
{
	require(checker, value->type == jbvBool, "true or false", value);
}

static void
check_list(Checker *checker, const JsonbValue *value)
{
	require(checker, tc_json_array(value) != NULL, "an array", value);
}

static void
check_number(Checker *checker, const JsonbValue *value)
{
	require(checker, value->type == jbvNumeric, "a number", value);
}

static void
check_positive(Checker *checker, const JsonbValue *value)
{
	require(checker, value->type == jbvNumeric && tc_json_compare_integer(0, value) < 0,
			"a number above 0", value);
}

static void
check_count(Checker *checker, const JsonbValue *value)
{
	require(checker, tc_json_is_integer(value) && tc_json_compare_integer(0, value) <= 0,
			"a whole number from 0 on", value);
}

static void
check_pattern(Checker *checker, const JsonbValue *value)
{
	const char *problem;

	if (!require(checker, value->type == jbvString, "a regular expression", value))
		return;
	problem = tc_pattern_problem(value);
	if (problem != NULL)
		add_fault(checker, "the pattern %s %s", tc_json_describe(value), problem);
}

/* Texts, none of them twice; each is checked as well. */
static void
check_different_texts(Checker *checker, const JsonbValue *value, CheckFunction check)
{
	TcJsonCursor text;
	JsonbValue *texts;
	int			n = 0;

	if (!require(checker, tc_json_array(value) != NULL, "an array of texts", value))
		return;
	texts = palloc(sizeof(JsonbValue) * (JsonContainerSize(tc_json_array(value)) + 1));
	tc_json_begin(&text, tc_json_array(value));
	while (tc_json_next(&text))
	{
		int			length = enter_index(checker, text.index);

		check(checker, &text.value);
		leave(checker, length);
		texts[n++] = text.value;
	}
	qsort(texts, n, sizeof(JsonbValue), tc_json_compare);
	for (int i = 1; i < n; i++)
	{
		if (tc_json_compare(&texts[i - 1], &texts[i]) == 0)
			add_fault(checker, "holds %s twice", tc_json_describe(&texts[i]));
	}
	pfree(texts);
}

static void
check_names(Checker *checker, const JsonbValue *value)
{
	check_different_texts(checker, value, check_text);
}

static void
check_name_lists(Checker *checker, const JsonbValue *value)
{
	if (require(checker, tc_json_object(value) != NULL, "an object of arrays of texts", value))
		check_members(checker, value, check_names);
}

static void
check_type_name(Checker *checker, const JsonbValue *value)
{
	for (int i = 0; tc_json_type_names[i] != NULL; i++)
	{
		if (tc_json_is_string(value, tc_json_type_names[i]))
			return;
	}
	require(checker, false,
			"null, boolean, number, integer, string, array, object or a list of such names", value);
}

static void
check_type(Checker *checker, const JsonbValue *value)
{
	if (tc_json_array(value) == NULL)
		check_type_name(checker, value);
	else if (JsonContainerSize(tc_json_array(value)) == 0)
		add_fault(checker, "must name at least one type");
	else
		check_different_texts(checker, value, check_type_name);
}

static void
check_schema_list(Checker *checker, const JsonbValue *value)
{
	if (!require(checker, tc_json_array(value) != NULL, "an array of schemas", value))
		return;
	if (JsonContainerSize(tc_json_array(value)) == 0)
		add_fault(checker, "must hold at least one schema");
	check_members(checker, value, check_schema);
}

static void
check_schemas(Checker *checker, const JsonbValue *value)
{
	if (require(checker, tc_json_object(value) != NULL, "an object of schemas", value))
		check_members(checker, value, check_schema);
}

static void
check_pattern_schemas(Checker *checker, const JsonbValue *value)
{
	TcJsonCursor member;

	check_schemas(checker, value);
	if (tc_json_object(value) == NULL)
		return;
	tc_json_begin(&member, tc_json_object(value));
	while (tc_json_next(&member))
		check_pattern(checker, &member.key);
}

/* Where it leads is looked at later, when it is known what has been seen. */
static void
check_reference(Checker *checker, const JsonbValue *value)
{
	JsonbValue	target;
	const char *problem;
	Reference  *reference;

	if (!require(checker, value->type == jbvString, "a reference", value))
		return;
	problem = tc_schema_resolve(&checker->root, value, &target);
	if (problem != NULL)
	{
		add_fault(checker, "the reference %s %s", tc_json_describe(value), problem);
		return;
	}
	reference = palloc(sizeof(Reference));
	reference->reference = *value;
	reference->path = pstrdup(checker->path.data);
	checker->references = lappend(checker->references, reference);
}

/*
 * Drafts 6 and 7 have no keyword left that would mean something else now
 * without being refused, but one: they ignore what stands beside "$ref".
 */
static void
check_dialect(Checker *checker, const JsonbValue *value)
{
	static const char *const known[] = {
		"https://json-schema.org/draft/2020-12/schema", "https://json-schema.org/draft/2020-12/schema#",
		"https://json-schema.org/draft/2019-09/schema", "https://json-schema.org/draft/2019-09/schema#",
		"http://json-schema.org/draft-07/schema", "http://json-schema.org/draft-07/schema#",
		"http://json-schema.org/draft-06/schema", "http://json-schema.org/draft-06/schema#",
	};

	for (int i = 0; i < lengthof(known); i++)
	{
		if (tc_json_is_string(value, known[i]))
			return;
	}
	require(checker, false, "\"https://json-schema.org/draft/2020-12/schema\" (2019-09, draft-07 and"
			" draft-06 are read as that)", value);
}

/* Anywhere but at the root it would change what references within mean. */
static void
check_identifier(Checker *checker, const JsonbValue *value)
{
	check_text(checker, value);
	if (checker->depth > 1)
		add_fault(checker, "only the schema as a whole may have an identifier");
}

static const CheckFunction checks[] = {
	[TC_SHAPE_ANYTHING] = check_anything,
	[TC_SHAPE_TEXT] = check_text,
	[TC_SHAPE_FLAG] = check_flag,
	[TC_SHAPE_LIST] = check_list,
	[TC_SHAPE_NUMBER] = check_number,
	[TC_SHAPE_POSITIVE] = check_positive,
	[TC_SHAPE_COUNT] = check_count,
	[TC_SHAPE_PATTERN] = check_pattern,
	[TC_SHAPE_TYPE] = check_type,
	[TC_SHAPE_NAMES] = check_names,
	[TC_SHAPE_NAME_LISTS] = check_name_lists,
	[TC_SHAPE_SCHEMA] = check_schema,
	[TC_SHAPE_SCHEMA_LIST] = check_schema_list,
	[TC_SHAPE_SCHEMAS] = check_schemas,
	[TC_SHAPE_PATTERN_SCHEMAS] = check_pattern_schemas,
	[TC_SHAPE_REFERENCE] = check_reference,
	[TC_SHAPE_DIALECT] = check_dialect,
	[TC_SHAPE_IDENTIFIER] = check_identifier,
};

/* ---- schemas ------------------------------------------------------------- */

static void
check_schema(Checker *checker, const JsonbValue *value)
{
	JsonbContainer *schema = tc_json_object(value);
	Visit	   *visit;
	bool		seen;

	CHECK_FOR_INTERRUPTS();
	if (schema == NULL)
	{
		require(checker, value->type == jbvBool, "a schema (an object, true or false)", value);
		return;
	}
	visit = hash_search(checker->visits, &schema, HASH_ENTER, &seen);
	if (seen)
		return;
	visit->path = pstrdup(checker->path.data);
	visit->loops = LOOPS_UNKNOWN;
	checker->visited = lappend(checker->visited, visit);

	if (++checker->depth > TC_SCHEMA_MAX_DEPTH)
		tc_raise_limit("nesting depth of the schema", checker->depth, TC_SCHEMA_MAX_DEPTH,
					   "Put parts of it under \"$defs\", and refer to them.");
	check_stack_depth();
	check_keywords(checker, schema);
	checker->depth--;
}

static void
check_keywords(Checker *checker, JsonbContainer *schema)
{
	TcJsonCursor member;

	tc_json_begin(&member, schema);
	while (tc_json_next(&member))
	{
		const TcKeyword *keyword = tc_keyword_find(&member.key);
		int			length;

		if (keyword != NULL && keyword->shape == TC_SHAPE_REFUSED)
		{
			add_fault(checker, "keyword \"%s\" is not supported%s%s", keyword->name,
					  keyword->instead != NULL ? ": " : "",
					  keyword->instead != NULL ? keyword->instead : "");
			continue;
		}
		length = enter_key(checker, &member.key);
		if (keyword == NULL)
			add_warning(checker, "unknown keyword, has no effect");
		else
			check_keyword(checker, schema, keyword, &member.value);
		leave(checker, length);
	}
}

static void
check_keyword(Checker *checker, JsonbContainer *schema, const TcKeyword *keyword,
			  const JsonbValue *value)
{
	JsonbValue	ignored;

	if (keyword->companion != NULL &&
		!tc_json_member(schema, keyword->companion, strlen(keyword->companion), &ignored))
		add_warning(checker, "has no effect without \"%s\"", keyword->companion);
	if (keyword->instead != NULL && tc_json_array(value) != NULL)
		add_fault(checker, "must not be an array: %s", keyword->instead);
	else
		checks[keyword->shape] (checker, value);
}

/* The list grows while it is worked through. */
static void
follow_references(Checker *checker)
{
	for (int i = 0; i < list_length(checker->references); i++)
	{
		const Reference *reference = list_nth(checker->references, i);
		JsonbValue	target;

		(void) tc_schema_resolve(&checker->root, &reference->reference, &target);
		resetStringInfo(&checker->path);
		appendStringInfo(&checker->path, "%s (%s)", reference->path,
						 tc_json_describe(&reference->reference));
		checker->depth = 1;		/* it is not the root */
		check_schema(checker, &target);
	}
}

/* ---- loops --------------------------------------------------------------- */

/* Follows what applies to the same value; true when that leads back, which is a fault. */
static bool
find_loop(Checker *checker, Visit *visit, int depth)
{
	TcJsonCursor member;
	bool		found = false;

	if (visit->loops == LOOPS_NONE)
		return false;
	if (visit->loops == LOOPS_OPEN || depth > TC_SCHEMA_MAX_DEPTH)
	{
		resetStringInfo(&checker->path);
		appendStringInfoString(&checker->path, visit->path);
		add_fault(checker, visit->loops == LOOPS_OPEN ?
				  "refers to itself for the same value, which would never end" :
				  "stands at the end of too long a chain of references");
		return true;
	}
	check_stack_depth();
	visit->loops = LOOPS_OPEN;
	tc_json_begin(&member, visit->schema);
	while (!found && tc_json_next(&member))
	{
		const TcKeyword *keyword = tc_keyword_find(&member.key);

		if (keyword != NULL && keyword->in_place)
			found = find_loop_through(checker, keyword, &member.value, depth);
	}
	tc_json_end(&member);
	visit->loops = LOOPS_NONE;
	return found;
}

static bool
find_loop_through(Checker *checker, const TcKeyword *keyword, const JsonbValue *value, int depth)
{
	TcJsonCursor member;
	JsonbValue	target;
	bool		found = false;

	if (keyword->shape == TC_SHAPE_REFERENCE)
	{
		(void) tc_schema_resolve(&checker->root, value, &target);
		return find_loop_at(checker, &target, depth);
	}
	if (keyword->shape == TC_SHAPE_SCHEMA)
		return find_loop_at(checker, value, depth);

	tc_json_begin(&member, value->val.binary.data);
	while (!found && tc_json_next(&member))
		found = find_loop_at(checker, &member.value, depth);
	tc_json_end(&member);
	return found;
}

static bool
find_loop_at(Checker *checker, const JsonbValue *schema, int depth)
{
	JsonbContainer *container = tc_json_object(schema);
	Visit	   *visit;

	if (container == NULL)
		return false;
	visit = hash_search(checker->visits, &container, HASH_FIND, NULL);
	return find_loop(checker, visit, depth + 1);
}
