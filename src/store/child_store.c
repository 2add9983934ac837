/*
 * child_store.c
 *	  Tasks that are steps of other tasks, and errands between the two.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/uuid.h"

#include "compat.h"
#include "domain/states.h"
#include "events/events.h"
#include "store/child_store.h"
#include "store/plans.h"

static const char *const kind_names[] = {
#define X(id, name) [TC_ERRAND_##id] = name,
	TC_ERRANDS(X)
#undef X
};

static TcErrandKind
parse_kind(const char *name)
{
	for (int i = 0; i < TC_ERRAND_KIND_COUNT; i++)
	{
		if (strcmp(name, kind_names[i]) == 0)
			return (TcErrandKind) i;
	}
	elog(ERROR, "unknown errand \"%s\"", name);
}

/* ---- errands ------------------------------------------------------------- */

/* Sharded by the parent; task_id is its. */
static TcPlan plan_insert = {
	.sql =
	"INSERT INTO tasker.errands (shard_key, task_id, step_no, kind, child_task_id, results, reason, created_at)"
	" VALUES ($1, $2, $3, $4, nullif($5, 0), $6, $7, $8)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 8,
	.argtypes = {INT4OID, INT8OID, INT4OID, TEXTOID, INT8OID, JSONBOID, TEXTOID, TIMESTAMPTZOID},
};

void
tc_errand_insert(const TcErrand *errand)
{
	char		nulls[9] = "        ";
	Datum		values[8] = {
		Int32GetDatum(tc_shard_key(errand->key.task_id)), Int64GetDatum(errand->key.task_id),
		Int32GetDatum(errand->key.step_no), CStringGetTextDatum(kind_names[errand->kind]),
		Int64GetDatum(errand->child), PointerGetDatum(errand->results),
		tc_text_or_null(errand->reason, &nulls[6]), TimestampTzGetDatum(tc_session_now())
	};

	nulls[5] = errand->results == NULL ? 'n' : ' ';
	tc_plan_run(&plan_insert, values, nulls);
	tc_event_timer(tc_session_now());
}

static TcPlan plan_read = {
	.sql =
	"SELECT e.errand_id, e.kind, e.task_id, e.step_no, coalesce(e.child_task_id, 0), e.results, e.reason"
	" FROM tasker.errands e WHERE e.shard_key = $1 ORDER BY e.errand_id LIMIT $2",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT4OID, INT4OID},
};

int
tc_errands_read(int32 shard_key, int max, TcErrand **errands)
{
	Datum		values[2] = {Int32GetDatum(shard_key), Int32GetDatum(max)};
	int			n = (int) tc_plan_run(&plan_read, values, NULL);

	*errands = palloc(sizeof(TcErrand) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcErrand   *errand = &(*errands)[i];

		errand->errand_id = tc_row_int64(i, 1);
		errand->kind = parse_kind(tc_row_text(i, 2));
		errand->key.task_id = tc_row_int64(i, 3);
		errand->key.step_no = tc_row_int32(i, 4);
		errand->child = tc_row_int64(i, 5);
		errand->results = tc_row_varlena(i, 6);
		errand->reason = tc_row_text(i, 7);
	}
	return n;
}

static TcPlan plan_take = {
	.sql = "DELETE FROM tasker.errands WHERE errand_id = $1 AND shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

bool
tc_errand_take(const TcErrand *errand)
{
	Datum		values[2] = {
		Int64GetDatum(errand->errand_id), Int32GetDatum(tc_shard_key(errand->key.task_id))
	};

	return tc_plan_run(&plan_take, values, NULL) == 1;
}

static TcPlan plan_exists = {
	.sql = "SELECT e.kind FROM tasker.errands e WHERE e.child_task_id = $1 AND e.kind <> 'start' ORDER BY e.errand_id DESC LIMIT 1",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT8OID},
};

bool
tc_errand_exists(int64 child, TcErrandKind *kind)
{
	Datum		values[1] = {Int64GetDatum(child)};

	if (tc_plan_run(&plan_exists, values, NULL) == 0)
		return false;
	*kind = parse_kind(tc_row_text(0, 1));
	return true;
}

static TcPlan plan_waits = {
	.sql =
	"SELECT 1 FROM tasker.errands e WHERE e.task_id = $1 AND e.shard_key = $2 AND e.step_no = $3 LIMIT 1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4OID},
};

bool
tc_errand_waits(TcStepKey key)
{
	Datum		values[3] = {
		Int64GetDatum(key.task_id), Int32GetDatum(tc_shard_key(key.task_id)), Int32GetDatum(key.step_no)
	};

	return tc_plan_run(&plan_waits, values, NULL) > 0;
}

/* ---- children ------------------------------------------------------------ */

/* A child may be in any shard: each is asked. */
#define CHILDREN_SQL \
	"SELECT DISTINCT ON (t.parent_step_id) t.parent_step_id, t.task_id, t.state FROM tasker.tasks t" \
	" WHERE t.parent_step_id BETWEEN $1 AND $2 AND t.shard_key = $3" \
	" ORDER BY t.parent_step_id, t.task_id DESC"

static TcPlan plan_children = {
	.sql = CHILDREN_SQL,
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT4OID},
};

static TcPlan plan_children_latest = {
	.sql = CHILDREN_SQL,
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT8OID, INT4OID},
};

static int
compare_children(const void *a, const void *b)
{
	const TcChild *x = a;
	const TcChild *y = b;

	if (x->key.step_no != y->key.step_no)
		return x->key.step_no < y->key.step_no ? -1 : 1;
	return x->task_id > y->task_id ? -1 : x->task_id < y->task_id;
}

/* The newest of each step, among those of all shards. */
static int
keep_newest(TcChild *children, int n)
{
	int			kept = 0;

	qsort(children, n, sizeof(TcChild), compare_children);
	for (int i = 0; i < n; i++)
	{
		if (kept == 0 || children[kept - 1].key.step_no != children[i].key.step_no)
			children[kept++] = children[i];
	}
	return kept;
}

static int
read_children(TcPlan *plan, int64 task_id, int64 first, int64 last, TcChild **children)
{
	int			n = 0;

	*children = palloc(sizeof(TcChild));
	for (int32 shard = 0; shard < tc_shard_count(); shard++)
	{
		Datum		values[3] = {Int64GetDatum(first), Int64GetDatum(last), Int32GetDatum(shard)};
		uint64		count = tc_plan_run(plan, values, NULL);

		*children = repalloc(*children, sizeof(TcChild) * (n + count + 1));
		for (uint64 i = 0; i < count; i++)
		{
			TcChild    *child = &(*children)[n++];

			child->key.task_id = task_id;
			child->key.step_no = (int32) (tc_row_int64(i, 1) % TC_STEP_ID_FACTOR);
			child->task_id = tc_row_int64(i, 2);
			if (!tc_task_state_parse(tc_row_text(i, 3), &child->state))
				elog(ERROR, "unknown state of task " INT64_FORMAT, child->task_id);
		}
	}
	return keep_newest(*children, n);
}

int
tc_children_read(int64 task_id, bool latest, TcChild **children)
{
	return read_children(latest ? &plan_children_latest : &plan_children, task_id, tc_step_id(task_id, 1),
						 tc_step_id(task_id, TC_STEP_ID_FACTOR - 1), children);
}

bool
tc_child_newest(TcStepKey key, int64 *child, TcTaskState *state)
{
	int64		step_id = tc_step_id(key.task_id, key.step_no);
	TcChild    *children;

	if (read_children(&plan_children_latest, key.task_id, step_id, step_id, &children) == 0)
		return false;
	*child = children[0].task_id;
	*state = children[0].state;
	return true;
}

/* ---- what it takes over -------------------------------------------------- */

static TcPlan plan_parent = {
	.sql =
	"SELECT t.context, t.priority, t.correlation_id, t.initiator, t.created_by, t.created_as,"
	" coalesce(t.nesting, 0::smallint)"
	" FROM tasker.tasks t WHERE t.task_id = $1 AND t.shard_key = $2",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

void
tc_parent_read(int64 task_id, TcParentTask *parent)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};

	if (tc_plan_run(&plan_parent, values, NULL) != 1)
		elog(ERROR, "a step in the queue has no task");
	parent->context = tc_row_varlena(0, 1);
	parent->priority = tc_row_int32(0, 2);
	parent->correlation_id = PointerGetDatum(tc_row_fixed(0, 3, UUID_LEN));
	parent->initiator = tc_row_text(0, 4);
	parent->created_by = tc_row_text(0, 5);
	parent->created_as = tc_row_text(0, 6);
	parent->nesting = tc_row_int16(0, 7);
}

static TcPlan plan_author = {
	.sql = "SELECT coalesce(t.created_as, t.created_by) FROM tasker.named_tasks t WHERE t.named_task_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

const char *
tc_template_author(int32 named_task_id)
{
	Datum		values[1] = {Int32GetDatum(named_task_id)};

	tc_plan_run(&plan_author, values, NULL);
	return tc_row_text(0, 1);
}
