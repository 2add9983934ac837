/*
 * instance_store.c
 *	  Instances of maps: steps made at run time, and what each runs for.
 */
#include "postgres.h"

#include "compat.h"
#include "store/instance_store.h"
#include "store/plans.h"
#include "store/shards.h"
#include "store/slot_store.h"

/* ---- they are made ------------------------------------------------------- */

#define INSERT(inputs, items) \
	"INSERT INTO tasker.task_extra_steps (task_id, step_no, shard_key, slot, inputs)" \
	" SELECT $1, $3 + i.ord - 1, $2, " TC_SLOT_OF("$1", "$2") ", " inputs \
	" FROM jsonb_array_elements(" items ") WITH ORDINALITY AS i(item, ord)"

static TcPlan plan_insert = {
	.sql = INSERT("jsonb_build_object('index', i.ord - 1, 'count', $4, 'item', i.item)", "$5"),
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 5,
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID, JSONBOID},
};

void
tc_instances_insert(int64 task_id, int32 first, int32 count, const struct varlena *items)
{
	Datum		values[5] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(first),
		Int32GetDatum(count), PointerGetDatum(items)
	};

	tc_plan_run(&plan_insert, values, NULL);
}

static TcPlan plan_insert_batches = {
	.sql = INSERT("jsonb_build_object('cursor', i.item, 'batch_metadata', $5, 'is_no_op', false)", "$4"),
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 5,
	.argtypes = {INT8OID, INT4OID, INT4OID, JSONBOID, JSONBOID},
};

void
tc_instances_insert_batches(int64 task_id, int32 first, const struct varlena *cursors,
							const struct varlena *metadata)
{
	Datum		values[5] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(first),
		PointerGetDatum(cursors), PointerGetDatum(metadata)
	};

	tc_plan_run(&plan_insert_batches, values, NULL);
}

/* ---- how many there are -------------------------------------------------- */

/* They are numbered without a break: the last number tells. */
#define COUNT_PLAN(how) { \
	.sql = \
	"SELECT coalesce((SELECT x.step_no - m.first + 1 FROM tasker.task_extra_steps x" \
	"  WHERE x.task_id = $1 AND x.shard_key = $2 AND x.slot = " TC_SLOT_OF("$1", "$2") \
	"   AND x.step_no >= m.first AND x.step_no < m.first + $4" \
	"  ORDER BY x.step_no DESC LIMIT 1), 0)" \
	" FROM unnest($3::int[]) WITH ORDINALITY AS m(first, ord) ORDER BY m.ord", \
	.kind = how, \
	.expect = SPI_OK_SELECT, \
	.nargs = 4, \
	.argtypes = {INT8OID, INT4OID, INT4ARRAYOID, INT4OID}, \
}

static TcPlan plan_count = COUNT_PLAN(TC_READ);
static TcPlan plan_count_latest = COUNT_PLAN(TC_WRITE);

static void
count_instances(TcPlan *plan, int64 task_id, const TcTemplate *template, const int32 *firsts, int n,
	  int32 *counts)
{
	Datum		values[4] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), tc_array_int32(firsts, n),
		Int32GetDatum(template->map_room)
	};

	tc_plan_run(plan, values, NULL);
	for (int i = 0; i < n; i++)
		counts[i] = tc_row_int32(i, 1);
}

void
tc_instances_count(int64 task_id, const TcTemplate *template, int32 *counts)
{
	int32	   *firsts = palloc(sizeof(int32) * Max(template->nmaps, 1));

	for (int32 map = 0; map < template->nmaps; map++)
		firsts[map] = tc_map_first(template, template->map_nodes[map]);
	count_instances(&plan_count, task_id, template, firsts, template->nmaps, counts);
}

int32
tc_instances_count_latest(int64 task_id, const TcTemplate *template, int32 node)
{
	int32		first = tc_map_first(template, node);
	int32		n;

	count_instances(&plan_count_latest, task_id, template, &first, 1, &n);
	return n;
}

static TcPlan plan_exists = {
	.sql =
	"SELECT 1 FROM tasker.task_extra_steps x"
	" WHERE x.task_id = $1 AND x.step_no = $2 AND x.shard_key = $3 AND x.slot = " TC_SLOT_OF("$1", "$3"),
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

bool
tc_instance_exists(TcStepKey key)
{
	Datum		values[3] = {
		Int64GetDatum(key.task_id), Int32GetDatum(key.step_no),
		Int32GetDatum(tc_shard_key(key.task_id))
	};

	return tc_plan_run(&plan_exists, values, NULL) == 1;
}

/* ---- what they run for, and what came of it ------------------------------ */

static TcPlan plan_inputs = {
	.sql =
	"SELECT i.ord, x.inputs"
	" FROM unnest($2::bigint[], $3::int[]) WITH ORDINALITY AS i(task_id, step_no, ord)"
	" JOIN tasker.tasks t ON t.task_id = i.task_id AND t.shard_key = $1"
	" JOIN tasker.task_extra_steps x"
	"  ON x.task_id = i.task_id AND x.step_no = i.step_no AND x.shard_key = $1 AND x.slot = t.slot",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT4OID, INT8ARRAYOID, INT4ARRAYOID},
};

void
tc_instances_inputs(const TcStepKey *keys, int n, struct varlena **inputs)
{
	int64	   *task_ids = palloc(sizeof(int64) * Max(n, 1));
	int32	   *step_nos = palloc(sizeof(int32) * Max(n, 1));
	int			end;

	for (int i = 0; i < n; i++)
	{
		task_ids[i] = keys[i].task_id;
		step_nos[i] = keys[i].step_no;
	}
	for (int start = 0; start < n; start = end)
	{
		Datum		values[3];

		end = tc_shard_run_end(task_ids, start, n);
		values[0] = Int32GetDatum(tc_shard_key(task_ids[start]));
		values[1] = tc_array_int64(task_ids + start, end - start);
		values[2] = tc_array_int32(step_nos + start, end - start);
		if (tc_plan_run(&plan_inputs, values, NULL) != end - start)
			elog(ERROR, "an instance in the queue has no inputs");
		for (int i = 0; i < end - start; i++)
			inputs[start + tc_row_int64(i, 1) - 1] = tc_row_varlena(i, 2);
	}
}

/* A step is completed or resolved once, so there is one result at most. */
#define RESULTS(what) \
	"SELECT " what " FROM generate_series($3, $3 + $4 - 1) AS i(step_no)" \
	" LEFT JOIN LATERAL (" \
	"  SELECT a.results FROM tasker.step_attempts a" \
	"   WHERE a.task_id = $1 AND a.step_no = i.step_no AND a.shard_key = $2 AND a.outcome = 'completed'" \
	"    AND a.slot = " TC_SLOT_OF("$1", "$2") \
	"  UNION ALL" \
	"  SELECT m.results FROM tasker.step_moves m" \
	"   WHERE m.task_id = $1 AND m.step_no = i.step_no AND m.shard_key = $2" \
	"    AND m.to_state IN ('resolved_manually', 'complete') AND m.slot = " TC_SLOT_OF("$1", "$2") \
	"  ) r ON true"

#define RESULTS_PLAN(what) { \
	.sql = RESULTS(what), \
	.kind = TC_WRITE, \
	.expect = SPI_OK_SELECT, \
	.nargs = 4, \
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID}, \
}

static TcPlan plan_results_size = RESULTS_PLAN("coalesce(sum(octet_length(r.results::text)), 0)::bigint");
static TcPlan plan_results = RESULTS_PLAN("jsonb_agg(r.results ORDER BY i.step_no)");

struct varlena *
tc_instances_results(int64 task_id, int32 first, int32 count, int64 max_bytes, int64 *bytes)
{
	Datum		values[4] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), Int32GetDatum(first),
		Int32GetDatum(count)
	};

	tc_plan_run(&plan_results_size, values, NULL);
	*bytes = tc_row_int64(0, 1);
	if (*bytes > max_bytes)
		return NULL;
	tc_plan_run(&plan_results, values, NULL);
	return tc_row_varlena(0, 1);
}
