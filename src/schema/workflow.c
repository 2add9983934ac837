/*
 * workflow.c
 *	  What a step that is a sub-workflow runs: a template, and the context of its task.
 *
 * Kept as it was written, and interpreted, like a condition.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "schema/workflow.h"

static const char *const keys[] = {"name", "namespace", "version", "context", NULL};

static bool
get(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return object != NULL && tc_json_member(object, key, strlen(key), value);
}

/* {"path": ...}, and no other key. */
static bool
is_reference(const JsonbValue *value, JsonbValue *path)
{
	JsonbContainer *object = tc_json_object(value);

	return object != NULL && JsonContainerSize(object) == 1 && get(object, "path", path);
}

/* ---- checks -------------------------------------------------------------- */

static void
fault(List **faults, const char *name, const char *key, const char *what)
{
	*faults = lappend(*faults, key == NULL ? psprintf("%s: %s", name, what)
					  : psprintf("%s.%s: %s", name, key, what));
}

static void
check_text(JsonbContainer *object, const char *key, int max_chars, const char *name, List **faults)
{
	JsonbValue	value;

	if (!get(object, key, &value))
		return;
	if (value.type != jbvString || value.val.string.len == 0)
		fault(faults, name, key, psprintf("must be a text that is not empty, not %s", tc_json_describe(&value)));
	else if (value.val.string.len > max_chars * 4)
		fault(faults, name, key, psprintf("must have %d characters at most", max_chars));
}

static void
check_context(const JsonbValue *value, const char *name, List *parents, List **faults)
{
	JsonbContainer *container = tc_json_object(value) ? tc_json_object(value) : tc_json_array(value);
	TcJsonCursor cursor;
	JsonbValue	path;

	check_stack_depth();
	if (container == NULL)
		return;
	if (is_reference(value, &path))
	{
		tc_path_check(&path, psprintf("%s.path", name), parents, faults);
		return;
	}
	tc_json_begin(&cursor, container);
	while (tc_json_next(&cursor))
		check_context(&cursor.value, tc_json_object(value) ? psprintf("%s.%s", name, tc_json_string(&cursor.key))
					  : psprintf("%s[%d]", name, cursor.index), parents, faults);
	tc_json_end(&cursor);
}

static void
check_keys(JsonbContainer *object, const char *name, List **faults)
{
	TcJsonCursor cursor;

	tc_json_begin(&cursor, object);
	while (tc_json_next(&cursor))
	{
		const char *const *known = keys;

		while (*known != NULL && !tc_json_is_string(&cursor.key, *known))
			known++;
		if (*known == NULL)
			fault(faults, name, NULL, psprintf("unknown key %s", tc_json_describe(&cursor.key)));
	}
	tc_json_end(&cursor);
}

void
tc_workflow_check(const JsonbValue *workflow, const char *name, List *parents, List **faults)
{
	JsonbContainer *object = tc_json_object(workflow);
	JsonbValue	value;

	if (object == NULL)
	{
		fault(faults, name, NULL, psprintf("must be an object, not %s", tc_json_describe(workflow)));
		return;
	}
	check_keys(object, name, faults);
	if (!get(object, "name", &value))
		fault(faults, name, "name", "missing");
	check_text(object, "name", TC_NAME_MAX_CHARS, name, faults);
	check_text(object, "namespace", TC_NAME_MAX_CHARS, name, faults);
	check_text(object, "version", TC_VERSION_MAX_CHARS, name, faults);
	if (!get(object, "context", &value))
		return;
	if (tc_json_object(&value) == NULL)
		fault(faults, name, "context", psprintf("must be an object, not %s", tc_json_describe(&value)));
	check_context(&value, psprintf("%s.context", name), parents, faults);
}

/* ---- reading ------------------------------------------------------------- */

static const char *
text_of(JsonbContainer *object, const char *key)
{
	JsonbValue	value;

	return get(object, key, &value) ? tc_json_string(&value) : NULL;
}

TcWorkflow
tc_workflow_read(const struct varlena *workflow)
{
	JsonbValue	root = tc_json_root(workflow);
	JsonbContainer *object = tc_json_object(&root);
	TcWorkflow	result = {
		.name = text_of(object, "name"),
		.namespace_name = text_of(object, "namespace"),
		.version = text_of(object, "version"),
	};

	return result;
}

/* ---- the context --------------------------------------------------------- */

static JsonbValue *push_resolved(JsonbParseState **state, JsonbIteratorToken token, const JsonbValue *value,
								 const TcInputs *inputs);

static JsonbValue *
push_members(JsonbParseState **state, const JsonbValue *value, const TcInputs *inputs)
{
	bool		is_object = tc_json_object(value) != NULL;
	TcJsonCursor cursor;

	pushJsonbValue(state, is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	tc_json_begin(&cursor, is_object ? tc_json_object(value) : tc_json_array(value));
	while (tc_json_next(&cursor))
	{
		JsonbValue	path;
		JsonbValue	found = cursor.value;

		if (is_reference(&cursor.value, &path) && !tc_path_value(&path, inputs, &found))
		{
			if (is_object)
				continue;
			found.type = jbvNull;
		}
		else if (is_reference(&cursor.value, &path))
		{
			/* what is there stands for itself, whatever it looks like */
			if (is_object)
				pushJsonbValue(state, WJB_KEY, &cursor.key);
			pushJsonbValue(state, is_object ? WJB_VALUE : WJB_ELEM, &found);
			continue;
		}
		if (is_object)
			pushJsonbValue(state, WJB_KEY, &cursor.key);
		push_resolved(state, is_object ? WJB_VALUE : WJB_ELEM, &found, inputs);
	}
	tc_json_end(&cursor);
	return pushJsonbValue(state, is_object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
}

static JsonbValue *
push_resolved(JsonbParseState **state, JsonbIteratorToken token, const JsonbValue *value, const TcInputs *inputs)
{
	JsonbValue	copy = *value;

	check_stack_depth();
	if (tc_json_object(value) != NULL || tc_json_array(value) != NULL)
		return push_members(state, value, inputs);
	return pushJsonbValue(state, token, &copy);
}

struct varlena *
tc_workflow_context(const struct varlena *workflow, const TcInputs *inputs)
{
	JsonbValue	root = tc_json_root(workflow);
	JsonbValue	context;
	JsonbValue	path;
	JsonbParseState *state = NULL;

	if (!get(tc_json_object(&root), "context", &context))
		return unconstify(struct varlena *, inputs->context);
	if (!is_reference(&context, &path))
		return (struct varlena *) JsonbValueToJsonb(push_members(&state, &context, inputs));
	if (!tc_path_value(&path, inputs, &context) || tc_json_object(&context) == NULL)
		return NULL;
	return (struct varlena *) JsonbValueToJsonb(&context);
}
