/*
 * maps.c
 *	  Steps that run once for each element of an array: they begin, their
 *	  instances enter the queue and end, and so do they.
 *
 * A batch worker is a map over the cursors that its batchable step named.  While
 * its instances run, the row of a map (phase m) counts them as a join counts its
 * parents, and is locked like one: after the rows of steps that end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/states.h"
#include "guc.h"
#include "ops/maps.h"
#include "schema/batch.h"
#include "schema/condition.h"
#include "store/instance_store.h"

/* A JSON array holds no more, whatever max_payload_size says. */
#define MAX_RESULT_BYTES (INT64CONST(200) * 1024 * 1024)

static const struct varlena *
json(const char *text)
{
	return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
}

/* ---- a map begins -------------------------------------------------------- */

static TcStart
fail(const char *reason)
{
	return tc_start_ended(TC_STEP_ERROR, TC_VERB_MAP, reason, NULL);
}

static int32
width_limit(const TcTemplate *template)
{
	return Min(tc_guc_max_map_width, template->map_room);
}

static TcStart
begin(const TcStarter *starter, TimestampTz ready_at, JsonbContainer *array, const struct varlena *items)
{
	uint32		count = JsonContainerSize(array);
	int32		limit = width_limit(starter->template);
	TcStart		start = {
		.phase = TC_PHASE_MAP,
		.visible_at = ready_at,
		.began_at = tc_session_now(),
		.items = items,
		.count = (int32) count,
	};

	if (count > limit)
		return fail(psprintf("TC023: the array has %u elements, the limit is %d", count, limit));
	if (count == 0)
		return tc_start_ended(TC_STEP_COMPLETE, TC_VERB_MAP, "the array is empty", json("[]"));
	return start;
}

static char *
path_text(const JsonbValue *path)
{
	JsonbValue	copy = *path;

	if (path->type == jbvString)
		return tc_json_string(path);
	return JsonbToCString(NULL, &JsonbValueToJsonb(&copy)->root, 0);
}

static TcStart
start_map(TcStarter *starter, int32 node, TimestampTz ready_at)
{
	JsonbValue	path = tc_json_root(starter->template->steps[node].map_over);
	TcInputs	inputs = tc_starter_inputs(starter);
	JsonbValue	value;

	if (!tc_path_value(&path, &inputs, &value))
		return fail(psprintf("there is nothing at %s to map over", path_text(&path)));
	if (tc_json_array(&value) == NULL)
		return fail(psprintf("%s is no array to map over, but %s", path_text(&path), tc_json_describe(&value)));
	return begin(starter, ready_at, tc_json_array(&value), (struct varlena *) JsonbValueToJsonb(&value));
}

/* Without a result of its batchable step, which was skipped then, there are no batches. */
static TcStart
start_batches(TcStarter *starter, int32 node, TimestampTz ready_at)
{
	const TcStep *step = &starter->template->steps[node];
	TcInputs	inputs = tc_starter_inputs(starter);
	const struct varlena *results = inputs.results(inputs.arg, step->batchable);
	const struct varlena *cursors = NULL;
	const char *path;
	const char *wrong = results == NULL ? NULL
		: tc_batch_read(step->name, width_limit(starter->template), results, &cursors, &path);

	if (wrong != NULL)
		return fail(psprintf("the result of step \"%s\": %s %s",
							 starter->template->steps[step->batchable].name, path, wrong));
	if (cursors == NULL)
		return tc_start_ended(TC_STEP_COMPLETE, TC_VERB_MAP, "there are no batches", json("[]"));
	return begin(starter, ready_at, &((Jsonb *) cursors)->root, cursors);
}

TcStart
tc_map_start(TcStarter *starter, int32 node, TimestampTz ready_at)
{
	if (starter->template->steps[node].type == TC_TYPE_BATCH_WORKER)
		return start_batches(starter, node, ready_at);
	return start_map(starter, node, ready_at);
}

void
tc_map_begin_row(TcQueueRow *row, const TcStep *step, const TcStart *start)
{
	row->remaining_parents = start->count;
	row->satisfied_parents = step->parallelism == 0 ? start->count : Min(step->parallelism, start->count);
}

/* ---- instances ----------------------------------------------------------- */

TcQueueRow
tc_instance_row(const TcQueueRow *map, const TcTemplate *template, int32 step_no)
{
	TcQueueRow	row = {
		.key = {map->key.task_id, step_no},
		.slot = map->slot,
		.phase = TC_PHASE_READY,
		.lane_id = map->lane_id,
		.visible_at = Max(tc_session_now(), map->visible_at),
		.max_attempts = tc_step_attempt_limit(tc_step_of(template, step_no)),
	};

	return row;
}

static void
insert_instances(const TcQueueRow *map, const TcTemplate *template, const TcStart *start, int32 first)
{
	const TcStep *step = tc_step_of(template, map->key.step_no);
	int64		task_id = map->key.task_id;

	if (step->type == TC_TYPE_BATCH_WORKER)
		tc_instances_insert_batches(task_id, first, start->items,
									tc_batch_metadata(template->steps[step->batchable].batch_config,
													  tc_failure_rule_name(step->instance_failure)));
	else
		tc_instances_insert(task_id, first, start->count, start->items);
}

int32
tc_map_make_instances(const TcQueueRow *row, const TcTemplate *template, const TcStart *start)
{
	int32		first = tc_map_first(template, row->key.step_no - 1);
	int32		n = row->satisfied_parents;
	TcQueueRow *rows = palloc(sizeof(TcQueueRow) * n);

	insert_instances(row, template, start, first);
	for (int32 i = 0; i < n; i++)
		rows[i] = tc_instance_row(row, template, first + i);
	tc_queue_insert(rows, n);
	pfree(rows);
	return n;
}

/* Those at places from `from` on that have neither a row nor an end; a person may have reset one before. */
static int32
find_next(const TcQueueRow *map, const TcTemplate *template, int32 from, int32 n, TcQueueRow *rows)
{
	int32		first = tc_map_first(template, map->key.step_no - 1);
	int32		found = 0;

	for (int32 i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		rows[found] = tc_instance_row(map, template, first + from + i);
		if (!tc_queue_recall(&rows[found]))
			found++;
	}
	return found;
}

int32
tc_map_admit(TcQueueRow *row, const TcTemplate *template, int32 n)
{
	int32		count = tc_instances_count_latest(row->key.task_id, template, row->key.step_no - 1);
	TcQueueRow *rows = palloc(sizeof(TcQueueRow) * Max(n, 1));
	int32		found = 0;

	while (found < n && row->satisfied_parents < count)
	{
		int32		look = Min(n - found, count - row->satisfied_parents);

		found += find_next(row, template, row->satisfied_parents, look, rows + found);
		row->satisfied_parents += look;
	}
	if (found > 0)
		tc_queue_insert(rows, found);
	return found;
}

bool
tc_instance_counts(TcStepState state, TcFailureRule rule)
{
	return tc_step_state_is_ended(state) && (state != TC_STEP_ERROR || rule == TC_ON_FAILURE_CONTINUE);
}

bool
tc_step_exists(const TcTemplate *template, TcStepKey key)
{
	if (!tc_is_instance(template, key.step_no))
		return key.step_no >= 1;
	return tc_node_of(template, key.step_no) >= 0 && tc_instance_exists(key);
}

/* ---- a map ends ---------------------------------------------------------- */

TcStart
tc_map_end(TcStepKey key, const TcTemplate *template)
{
	int32		node = key.step_no - 1;
	int64		limit = Min((int64) tc_guc_max_payload_kb * 1024, MAX_RESULT_BYTES);
	int32		count = tc_instances_count_latest(key.task_id, template, node);
	int64		bytes;
	struct varlena *results = tc_instances_results(key.task_id, tc_map_first(template, node), count,
												   limit, &bytes);

	if (results == NULL)
		return fail(psprintf("TC023: the results of its %d instances have " INT64_FORMAT
							 " bytes, the limit is " INT64_FORMAT, count, bytes, limit));
	return tc_start_ended(TC_STEP_COMPLETE, TC_VERB_MAP, NULL, results);
}

/* ---- what an instance is given ------------------------------------------- */

/* Where the items are in dependency_results; NIL = elsewhere. */
static List *
place_of_items(const TcTemplate *template, const TcStep *step)
{
	JsonbValue	path;
	List	   *parts;

	if (step->type == TC_TYPE_BATCH_WORKER)
		return list_make3(unconstify(char *, template->steps[step->batchable].name),
						  "batch_processing_outcome", "cursor_configs");
	path = tc_json_root(step->map_over);
	parts = tc_path_parts(&path);
	return strcmp(linitial(parts), "results") == 0 ? list_delete_first(parts) : NIL;
}

struct varlena *
tc_map_without_items(const TcTemplate *template, const TcStep *step,
					 const struct varlena *dependency_results)
{
	List	   *parts = place_of_items(template, step);
	Datum	   *texts = palloc(sizeof(Datum) * Max(list_length(parts), 1));
	ArrayType  *path;

	if (parts == NIL)
		return unconstify(struct varlena *, dependency_results);
	for (int i = 0; i < list_length(parts); i++)
		texts[i] = CStringGetTextDatum(list_nth(parts, i));
	path = construct_array(texts, list_length(parts), TEXTOID, -1, false, TYPALIGN_INT);
	return (struct varlena *) DatumGetPointer(DirectFunctionCall4(jsonb_set,
																  PointerGetDatum(dependency_results),
																  PointerGetDatum(path),
																  PointerGetDatum(json("null")),
																  BoolGetDatum(false)));
}
