/*
 * batch.c
 *	  The results of batchable steps: which batches there are.
 *
 *		{"batch_processing_outcome": {"type": "no_batches"}}
 *		{"batch_processing_outcome": {"type": "create_batches", "worker_template_name": "load",
 *		 "worker_count": 2, "total_items": 400, "cursor_configs": [{...}, {...}]}}
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "schema/batch.h"
#include "schema/json_value.h"

static const char outcome_path[] = "$.batch_processing_outcome";
static const char type_path[] = "$.batch_processing_outcome.type";
static const char worker_path[] = "$.batch_processing_outcome.worker_template_name";
static const char count_path[] = "$.batch_processing_outcome.worker_count";
static const char total_path[] = "$.batch_processing_outcome.total_items";
static const char cursors_path[] = "$.batch_processing_outcome.cursor_configs";

static bool
member(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return tc_json_member(object, key, strlen(key), value);
}

static const char *
check_cursors(const JsonbValue *cursors, int32 max_batches)
{
	JsonbContainer *array = tc_json_array(cursors);
	const char *wrong = NULL;
	TcJsonCursor cursor;

	if (array == NULL)
		return psprintf("must be an array, one object for each batch, not %s", tc_json_describe(cursors));
	if (JsonContainerSize(array) == 0)
		return "names no batch: the type for that is \"no_batches\"";
	if (JsonContainerSize(array) > max_batches)
		return psprintf("names %u batches, more than the %d that are allowed", JsonContainerSize(array),
						max_batches);
	tc_json_begin(&cursor, array);
	while (wrong == NULL && tc_json_next(&cursor))
	{
		CHECK_FOR_INTERRUPTS();
		if (tc_json_object(&cursor.value) == NULL)
			wrong = psprintf("must hold objects; element %d is %s", cursor.index,
							 tc_json_describe(&cursor.value));
	}
	tc_json_end(&cursor);
	return wrong;
}

/* What need not be said must be true where it is. */
static const char *
check_rest(JsonbContainer *object, const char *worker, uint32 nbatches, const char **path)
{
	JsonbValue	value;

	*path = worker_path;
	if (member(object, "worker_template_name", &value) && !tc_json_is_string(&value, worker))
		return psprintf("must be %s, the batch worker of the step, not %s", tc_quote_name(worker),
						tc_json_describe(&value));
	*path = count_path;
	if (member(object, "worker_count", &value) &&
		(value.type != jbvNumeric || tc_json_compare_integer(nbatches, &value) != 0))
		return psprintf("must be %u, the number of cursor_configs, not %s", nbatches,
						tc_json_describe(&value));
	*path = total_path;
	if (member(object, "total_items", &value) &&
		(!tc_json_is_integer(&value) || tc_json_compare_integer(0, &value) > 0))
		return psprintf("must be a whole number from 0, not %s", tc_json_describe(&value));
	return NULL;
}

static const char *
read_batches(JsonbContainer *object, const char *worker, int32 max_batches,
			 const struct varlena **cursors, const char **path)
{
	JsonbValue	value;
	const char *wrong;

	*path = cursors_path;
	if (!member(object, "cursor_configs", &value))
		return "is missing";
	wrong = check_cursors(&value, max_batches);
	if (wrong == NULL)
		wrong = check_rest(object, worker, JsonContainerSize(tc_json_array(&value)), path);
	if (wrong == NULL)
		*cursors = (struct varlena *) JsonbValueToJsonb(&value);
	return wrong;
}

const char *
tc_batch_read(const char *worker, int32 max_batches, const struct varlena *results,
			  const struct varlena **cursors, const char **path)
{
	JsonbValue	root = tc_json_root(results);
	JsonbContainer *object = tc_json_object(&root);
	JsonbValue	value;

	*cursors = NULL;
	*path = "$";
	if (object == NULL)
		return psprintf("must be an object that says which batches there are, not %s",
						tc_json_describe(&root));
	*path = outcome_path;
	if (!member(object, "batch_processing_outcome", &value))
		return "is missing: a batchable step says which batches there are";
	object = tc_json_object(&value);
	if (object == NULL)
		return psprintf("must be an object, not %s", tc_json_describe(&value));
	*path = type_path;
	if (!member(object, "type", &value))
		return "is missing: \"create_batches\" or \"no_batches\"";
	if (tc_json_is_string(&value, "no_batches"))
		return NULL;
	if (!tc_json_is_string(&value, "create_batches"))
		return psprintf("must be \"create_batches\" or \"no_batches\", not %s", tc_json_describe(&value));
	return read_batches(object, worker, max_batches, cursors, path);
}

static void
push_member(JsonbParseState **state, const char *name, JsonbValue value)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, &value);
}

struct varlena *
tc_batch_metadata(const struct varlena *batch_config, const char *failure_strategy)
{
	static const char *const copied[] = {"checkpoint_interval", "cursor_field"};
	JsonbContainer *config = &((Jsonb *) batch_config)->root;
	JsonbParseState *state = NULL;
	JsonbValue	strategy = {.type = jbvString};

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < lengthof(copied); i++)
	{
		JsonbValue	value = {.type = jbvNull};

		member(config, copied[i], &value);
		push_member(&state, copied[i], value);
	}
	strategy.val.string.val = unconstify(char *, failure_strategy);
	strategy.val.string.len = strlen(failure_strategy);
	push_member(&state, "failure_strategy", strategy);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}
