/*
 * condition.c
 *	  Conditions as data: comparisons over a task's context and the results of a
 *	  step's parents.
 *
 * A condition is kept as it was written and interpreted; one that was checked
 * when its template was registered can neither fail nor surprise here.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "compat.h"
#include "schema/condition.h"

#define MAX_CONDITION_DEPTH 50

/* ---- paths --------------------------------------------------------------- */

/* The parts of a path: texts separated by dots, or the elements of an array. */
List *
tc_path_parts(const JsonbValue *path)
{
	List	   *parts = NIL;
	char	   *text;

	if (tc_json_array(path) != NULL)
	{
		TcJsonCursor cursor;

		tc_json_begin(&cursor, tc_json_array(path));
		while (tc_json_next(&cursor))
			parts = lappend(parts, cursor.value.type == jbvString ? tc_json_string(&cursor.value) : NULL);
		tc_json_end(&cursor);
		return parts;
	}
	text = tc_json_string(path);
	for (;;)
	{
		char	   *dot = strchr(text, '.');

		parts = lappend(parts, text);
		if (dot == NULL)
			return parts;
		*dot = '\0';
		text = dot + 1;
	}
}

static void
fault(List **faults, const char *name, const char *format,...) pg_attribute_printf(3, 4);

static void
fault(List **faults, const char *name, const char *format,...)
{
	StringInfoData out;
	va_list		args;

	initStringInfo(&out);
	appendStringInfo(&out, "%s: ", name);
	for (;;)
	{
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&out, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(&out, needed);
	}
	*faults = lappend(*faults, out.data);
}

static bool
is_listed(const char *name, List *names)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		if (strcmp(lfirst(cell), name) == 0)
			return true;
	}
	return false;
}

void
tc_path_check(const JsonbValue *path, const char *name, List *parents, List **faults)
{
	List	   *parts;
	ListCell   *cell;

	if (path->type != jbvString && tc_json_array(path) == NULL)
	{
		fault(faults, name, "must be a path, as text or as an array of its parts, not %s",
			  tc_json_describe(path));
		return;
	}
	parts = tc_path_parts(path);
	foreach(cell, parts)
	{
		if (lfirst(cell) == NULL || ((char *) lfirst(cell))[0] == '\0')
		{
			fault(faults, name, "the parts of a path must be texts that are not empty");
			return;
		}
	}
	if (parts != NIL && strcmp(linitial(parts), "context") == 0)
		return;
	if (parts == NIL || strcmp(linitial(parts), "results") != 0 || list_length(parts) < 2)
		fault(faults, name, "must begin with context, or with results and the name of a parent");
	else if (!is_listed(lsecond(parts), parents))
		fault(faults, name, "%s is no parent of the step", tc_quote_name(lsecond(parts)));
}

/* A position in an array: digits alone, no leading zeros. */
static bool
position_in_array(const char *part, uint32 *position)
{
	size_t		length = strlen(part);

	if (length > 9 || strspn(part, "0123456789") != length || (part[0] == '0' && length > 1))
		return false;
	*position = (uint32) strtoul(part, NULL, 10);
	return true;
}

static bool
descend(JsonbValue *value, const char *part)
{
	JsonbContainer *object = tc_json_object(value);
	JsonbContainer *array = tc_json_array(value);
	uint32		position;

	if (object != NULL)
		return tc_json_member(object, part, strlen(part), value);
	return array != NULL && position_in_array(part, &position) && tc_json_element(array, position, value);
}

static int32
find_step(const TcTemplate *template, const char *name)
{
	for (int32 node = 0; node < template->nsteps; node++)
	{
		if (strcmp(template->steps[node].name, name) == 0)
			return node;
	}
	elog(ERROR, "a condition names step \"%s\", which the template does not have", name);
}

bool
tc_path_value(const JsonbValue *path, const TcInputs *inputs, JsonbValue *value)
{
	List	   *parts = tc_path_parts(path);
	const struct varlena *document = inputs->context;
	int			first = 1;

	if (strcmp(linitial(parts), "results") == 0)
	{
		document = inputs->results(inputs->arg, find_step(inputs->template, lsecond(parts)));
		first = 2;
	}
	if (document == NULL)
		return false;
	*value = tc_json_root(document);
	for (int i = first; i < list_length(parts); i++)
	{
		if (!descend(value, list_nth(parts, i)))
			return false;
	}
	return true;
}

/* ---- comparisons --------------------------------------------------------- */

typedef enum Op
{
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_LESS,
	OP_LESS_EQUAL,
	OP_GREATER,
	OP_GREATER_EQUAL,
	OP_IN,
	OP_NOT_IN,
	OP_CONTAINS,
	OP_EXISTS,
	OP_MISSING,
	OP_COUNT
} Op;

static const char *const op_names[OP_COUNT] = {
	[OP_EQUAL] = "=",
	[OP_NOT_EQUAL] = "!=",
	[OP_LESS] = "<",
	[OP_LESS_EQUAL] = "<=",
	[OP_GREATER] = ">",
	[OP_GREATER_EQUAL] = ">=",
	[OP_IN] = "in",
	[OP_NOT_IN] = "not_in",
	[OP_CONTAINS] = "contains",
	[OP_EXISTS] = "exists",
	[OP_MISSING] = "missing",
};

static Op
find_op(const JsonbValue *name)
{
	int			op = 0;

	while (op < OP_COUNT && !tc_json_is_string(name, op_names[op]))
		op++;
	return (Op) op;
}

/* Two numbers, or two texts by bytes; false where they cannot be compared. */
static bool
compare(const JsonbValue *a, const JsonbValue *b, int *order)
{
	if (a->type == jbvNumeric && b->type == jbvNumeric)
	{
		*order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, NumericGetDatum(a->val.numeric),
												   NumericGetDatum(b->val.numeric)));
		return true;
	}
	if (a->type == jbvString && b->type == jbvString)
	{
		*order = memcmp(a->val.string.val, b->val.string.val,
						Min(a->val.string.len, b->val.string.len));
		if (*order == 0)
			*order = a->val.string.len - b->val.string.len;
		return true;
	}
	return false;
}

static bool
is_element(const JsonbValue *value, const JsonbValue *list)
{
	TcJsonCursor cursor;
	bool		found = false;

	tc_json_begin(&cursor, tc_json_array(list));
	while (!found && tc_json_next(&cursor))
		found = tc_json_equal(value, &cursor.value);
	tc_json_end(&cursor);
	return found;
}

static struct varlena *
document_of(const JsonbValue *value)
{
	JsonbValue	copy = *value;

	return (struct varlena *) JsonbValueToJsonb(&copy);
}

/* as the operator @> */
static bool
contains(const JsonbValue *whole, const JsonbValue *part)
{
	return DatumGetBool(DirectFunctionCall2(jsonb_contains, PointerGetDatum(document_of(whole)),
											PointerGetDatum(document_of(part))));
}

static bool
comparison_holds(Op op, const JsonbValue *found, const JsonbValue *value)
{
	int			order;

	switch (op)
	{
		case OP_EQUAL:
			return tc_json_equal(found, value);
		case OP_NOT_EQUAL:
			return !tc_json_equal(found, value);
		case OP_LESS:
			return compare(found, value, &order) && order < 0;
		case OP_LESS_EQUAL:
			return compare(found, value, &order) && order <= 0;
		case OP_GREATER:
			return compare(found, value, &order) && order > 0;
		case OP_GREATER_EQUAL:
			return compare(found, value, &order) && order >= 0;
		case OP_IN:
			return is_element(found, value);
		case OP_NOT_IN:
			return !is_element(found, value);
		case OP_CONTAINS:
			return contains(found, value);
		case OP_EXISTS:
			return true;
		case OP_MISSING:
			return false;
		case OP_COUNT:
			break;
	}
	pg_unreachable();
}

/* ---- conditions ---------------------------------------------------------- */

static bool
get(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return tc_json_member(object, key, strlen(key), value);
}

static bool holds(const JsonbValue *condition, const TcInputs *inputs);

static bool
compares(JsonbContainer *object, const TcInputs *inputs)
{
	JsonbValue	path;
	JsonbValue	name;
	JsonbValue	value = {.type = jbvNull};
	JsonbValue	found;
	Op			op;

	get(object, "path", &path);
	get(object, "op", &name);
	get(object, "value", &value);
	op = find_op(&name);
	if (!tc_path_value(&path, inputs, &found))
		return op == OP_MISSING || op == OP_NOT_EQUAL || op == OP_NOT_IN;
	return comparison_holds(op, &found, &value);
}

/* all: none fails; any: one holds */
static bool
several_hold(const JsonbValue *list, bool all, const TcInputs *inputs)
{
	TcJsonCursor cursor;
	bool		result = all;

	tc_json_begin(&cursor, tc_json_array(list));
	while (result == all && tc_json_next(&cursor))
		result = holds(&cursor.value, inputs);
	tc_json_end(&cursor);
	return result;
}

static bool
holds(const JsonbValue *condition, const TcInputs *inputs)
{
	JsonbContainer *object = tc_json_object(condition);
	JsonbValue	inner;

	check_stack_depth();
	if (get(object, "all", &inner))
		return several_hold(&inner, true, inputs);
	if (get(object, "any", &inner))
		return several_hold(&inner, false, inputs);
	if (get(object, "not", &inner))
		return !holds(&inner, inputs);
	return compares(object, inputs);
}

bool
tc_condition_holds(const struct varlena *condition, const TcInputs *inputs)
{
	JsonbValue	root = tc_json_root(condition);

	return holds(&root, inputs);
}

/* ---- checks -------------------------------------------------------------- */

typedef struct Check
{
	List	   *parents;
	List	  **faults;
} Check;

static void check(const Check *c, const JsonbValue *condition, const char *name, int depth);

static void
check_list(const Check *c, const JsonbValue *list, const char *name, int depth)
{
	TcJsonCursor cursor;

	if (tc_json_array(list) == NULL || JsonContainerSize(tc_json_array(list)) == 0)
	{
		fault(c->faults, name, "must be an array of at least one condition, not %s",
			  tc_json_describe(list));
		return;
	}
	tc_json_begin(&cursor, tc_json_array(list));
	while (tc_json_next(&cursor))
		check(c, &cursor.value, psprintf("%s[%d]", name, cursor.index), depth);
	tc_json_end(&cursor);
}

static void
check_value(const Check *c, JsonbContainer *object, Op op, const char *name)
{
	const char *here = psprintf("%s.value", name);
	bool		unary = op == OP_EXISTS || op == OP_MISSING;
	JsonbValue	value;

	if (!get(object, "value", &value))
	{
		if (!unary)
			fault(c->faults, here, "missing");
	}
	else if (unary)
		fault(c->faults, here, "must not be given for \"%s\"", op_names[op]);
	else if ((op == OP_IN || op == OP_NOT_IN) && tc_json_array(&value) == NULL)
		fault(c->faults, here, "must be an array, not %s", tc_json_describe(&value));
	else if (op >= OP_LESS && op <= OP_GREATER_EQUAL && value.type != jbvNumeric &&
			 value.type != jbvString)
		fault(c->faults, here, "must be a number or a text, not %s", tc_json_describe(&value));
}

static void
check_comparison(const Check *c, JsonbContainer *object, const char *name)
{
	JsonbValue	part;
	Op			op;

	if (get(object, "path", &part))
		tc_path_check(&part, psprintf("%s.path", name), c->parents, c->faults);
	else
		fault(c->faults, name, "must have all, any, not, or a path and an op");
	if (!get(object, "op", &part))
		fault(c->faults, psprintf("%s.op", name), "missing");
	else if ((op = find_op(&part)) == OP_COUNT)
		fault(c->faults, psprintf("%s.op", name),
			  "must be =, !=, <, <=, >, >=, in, not_in, contains, exists or missing, not %s",
			  tc_json_describe(&part));
	else
		check_value(c, object, op, name);
}

/* A key that means nothing would be a condition that nobody meant. */
static void
check_keys(const Check *c, JsonbContainer *object, const char *name)
{
	static const char *const comparison[] = {"path", "op", "value", NULL};
	static const char *const combination[] = {"all", "any", "not", NULL};
	TcJsonCursor cursor;
	int			combined = 0;

	for (int i = 0; combination[i] != NULL; i++)
	{
		JsonbValue	ignored;

		combined += get(object, combination[i], &ignored) ? 1 : 0;
	}
	tc_json_begin(&cursor, object);
	while (tc_json_next(&cursor))
	{
		const char *const *allowed = combined > 0 ? combination : comparison;

		while (*allowed != NULL && !tc_json_is_string(&cursor.key, *allowed))
			allowed++;
		if (*allowed == NULL)
			fault(c->faults, name, "unknown key %s", tc_json_describe(&cursor.key));
	}
	tc_json_end(&cursor);
	if (combined > 1)
		fault(c->faults, name, "must have one of all, any and not");
}

static void
check(const Check *c, const JsonbValue *condition, const char *name, int depth)
{
	JsonbContainer *object = tc_json_object(condition);
	JsonbValue	inner;

	if (depth > MAX_CONDITION_DEPTH)
	{
		fault(c->faults, name, "is nested more than %d deep", MAX_CONDITION_DEPTH);
		return;
	}
	if (object == NULL)
	{
		fault(c->faults, name, "must be a condition (an object), not %s", tc_json_describe(condition));
		return;
	}
	check_keys(c, object, name);
	if (get(object, "all", &inner))
		check_list(c, &inner, psprintf("%s.all", name), depth + 1);
	else if (get(object, "any", &inner))
		check_list(c, &inner, psprintf("%s.any", name), depth + 1);
	else if (get(object, "not", &inner))
		check(c, &inner, psprintf("%s.not", name), depth + 1);
	else
		check_comparison(c, object, name);
}

void
tc_condition_check(const JsonbValue *condition, const char *name, List *parents, List **faults)
{
	Check		c = {parents, faults};

	check(&c, condition, name, 1);
}
