/*
 * list_store.c
 *	  Tasks that match a filter, newest first.
 *
 * Four ways lead to the tasks: by the parent of sub-workflows, by correlation id, by
 * template, or all of them from the newest down.  Each but the first, where there are
 * few, walks an index in the order of the result and stops when it has enough.  What
 * changes while a task runs (its state) is in no index, so that every update of a task
 * stays HOT.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "compat.h"
#include "domain/states.h"
#include "store/access_store.h"
#include "store/list_store.h"
#include "store/plans.h"

typedef struct Filter
{
	char	   *state;
	char	   *tag;
	void	   *correlation_id; /* uuid */
	bool		by_parent;
	int64		parent_task_id;
	TimestampTz created_after;
	TimestampTz created_before;
	bool		by_template;	/* namespace, name, version or the caller's rights say which */
	Datum		named_task_ids; /* the templates that match those */
	Datum		states;			/* besides: text[], 0 = any */
} Filter;

/* ---- reading the filter -------------------------------------------------- */

static void
refuse(const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid filters"),
			 errdetail("%s", what),
			 errhint("%s", hint)));
}

/* The one filter that is a number; as a string it will do as well. */
#define PARENT "parent_task_id"

static bool
is_filter(const char *key)
{
	static const char *const known[] = {
		"namespace", "name", "version", "state", "tag", "correlation_id",
		"created_after", "created_before", PARENT
	};

	for (int i = 0; i < lengthof(known); i++)
	{
		if (strcmp(known[i], key) == 0)
			return true;
	}
	return false;
}

static void
check_keys(const struct varlena *json)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	const char *key = "";

	if (!JB_ROOT_IS_OBJECT((Jsonb *) json))
		refuse("They are no JSON object.", "Pass an object such as {\"state\": \"error\"}.");
	iterator = JsonbIteratorInit(&((Jsonb *) json)->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			key = pnstrdup(value.val.string.val, value.val.string.len);
			if (!is_filter(key))
				refuse(psprintf("There is no filter \"%s\".", key),
					   "Filters are namespace, name, version, state, tag, correlation_id, created_after, created_before and parent_task_id.");
		}
		else if (token == WJB_VALUE && value.type == jbvNumeric && strcmp(key, PARENT) == 0)
			continue;
		else if (token == WJB_VALUE && value.type != jbvString && value.type != jbvNull)
			refuse(psprintf("The filter \"%s\" is no string.", key), "Pass every value as a string.");
	}
}

static TcPlan plan_filter = {
	.sql =
	"SELECT r.namespace, r.name, r.version, r.state, r.tag, r.correlation_id, r.created_after, r.created_before,"
	" r.parent_task_id"
	" FROM jsonb_to_record($1) AS r(namespace text, name text, version text, state text, tag text,"
	"  correlation_id uuid, created_after timestamptz, created_before timestamptz, parent_task_id bigint)",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {JSONBOID},
};

static TcPlan plan_templates = {
	.sql =
	"SELECT array_agg(k.named_task_id) FROM tasker.named_tasks k"
	" JOIN tasker.task_namespaces n ON n.namespace_id = k.namespace_id"
	" WHERE ($1 IS NULL OR n.name = $1) AND ($2 IS NULL OR k.name = $2) AND ($3 IS NULL OR k.version = $3)"
	"  AND ($4 IS NULL OR n.name = ANY ($4))",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID},
};

static TimestampTz
read_time(int column, const char *name)
{
	TimestampTz time = tc_row_timestamptz(0, column);

	if (!tc_row_isnull(0, column) && TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite time", name),
				 errdetail("It is infinite."),
				 errhint("Leave the filter out.")));
	return time;
}

static void
read_given(const struct varlena *json, Filter *filter, Datum *names, char *nulls)
{
	Datum		document = PointerGetDatum(json);
	TcTaskState state;

	check_keys(json);
	tc_session_pin_utc();		/* a time without a zone is in UTC */
	tc_plan_run(&plan_filter, &document, NULL);
	for (int i = 0; i < 3; i++)
		names[i] = tc_text_or_null(tc_row_text(0, i + 1), &nulls[i]);
	filter->state = tc_row_text(0, 4);
	filter->tag = tc_row_text(0, 5);
	filter->correlation_id = tc_row_fixed(0, 6, UUID_LEN);
	filter->created_after = read_time(7, "created_after");
	filter->created_before = read_time(8, "created_before");
	filter->by_parent = !tc_row_isnull(0, 9);
	if (filter->by_parent)
		filter->parent_task_id = tc_row_int64(0, 9);
	if (filter->state != NULL && !tc_task_state_parse(filter->state, &state))
		refuse(psprintf("There is no state \"%s\".", filter->state),
			   "States are pending, in_progress, complete, error, cancelled and resolved_manually.");
}

/* No filters at all, NULL, are none; the namespaces that the caller may see are one more. */
static void
read_filter(const struct varlena *json, Filter *filter)
{
	Datum		names[4] = {0};
	char		nulls[4] = {'n', 'n', 'n', 'n'};

	filter->created_after = filter->created_before = TC_NO_TIME;
	if (json != NULL)
		read_given(json, filter, names, nulls);
	names[3] = tc_scope_namespaces(&nulls[3]);
	filter->by_template = memchr(nulls, ' ', sizeof(nulls)) != NULL;
	if (!filter->by_template)
		return;
	tc_plan_run(&plan_templates, names, nulls);
	filter->named_task_ids = tc_row_isnull(0, 1) ? tc_array_int32(NULL, 0) :
		PointerGetDatum(tc_row_varlena(0, 1));
}

/* ---- the four ways ------------------------------------------------------- */

/* $1 shard, $2 below this id, $3 how many, $4 … $8 filters, $9 templates, $10 states, $11 and $12 steps of the parent */
#define MATCHES \
	"t.shard_key = $1 AND t.task_id < $2 AND ($4 IS NULL OR t.state = $4)" \
	" AND ($5 IS NULL OR $5 = ANY (t.tags)) AND ($7 IS NULL OR t.created_at >= $7)" \
	" AND ($8 IS NULL OR t.created_at < $8) AND ($10 IS NULL OR t.state = ANY ($10))"

#define NEWEST " ORDER BY t.task_id DESC LIMIT $3"

#define LIST_PLAN(source) { \
	.sql = \
	"SELECT t.task_id, n.name, k.name, k.version, t.state, t.priority, t.created_at, t.started_at," \
	" t.finished_at, t.run_at, t.paused_at, t.failed_steps, t.tags, t.correlation_id," \
	" t.parent_correlation_id, t.initiator, t.source_system, t.reason, t.idempotency_key, t.parent_step_id" \
	" FROM (" source ") t" \
	" JOIN tasker.named_tasks k ON k.named_task_id = t.named_task_id" \
	" JOIN tasker.task_namespaces n ON n.namespace_id = k.namespace_id" \
	" ORDER BY t.task_id DESC", \
	.kind = TC_READ, \
	.expect = SPI_OK_SELECT, \
	.nargs = 12, \
	.argtypes = {INT4OID, INT8OID, INT8OID, TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID, \
		INT4ARRAYOID, TEXTARRAYOID, INT8OID, INT8OID}, \
}

static TcPlan plan_all =
LIST_PLAN("SELECT * FROM tasker.tasks t WHERE " MATCHES NEWEST);

static TcPlan plan_by_correlation =
LIST_PLAN("SELECT * FROM tasker.tasks t WHERE t.correlation_id = $6"
		  " AND ($9 IS NULL OR t.named_task_id = ANY ($9)) AND " MATCHES NEWEST);

static TcPlan plan_by_template =
LIST_PLAN("SELECT t.* FROM unnest($9::int[]) AS i(named_task_id) CROSS JOIN LATERAL ("
		  "SELECT * FROM tasker.tasks t WHERE t.named_task_id = i.named_task_id AND " MATCHES NEWEST
		  ") t" NEWEST);

/* All of them are read before they are sorted: the planner would rather walk every task in their order. */
static TcPlan plan_by_parent =
LIST_PLAN("SELECT * FROM (SELECT * FROM tasker.tasks c"
		  "  WHERE c.parent_step_id BETWEEN $11 AND $12 AND c.shard_key = $1 OFFSET 0) t"
		  " WHERE ($6 IS NULL OR t.correlation_id = $6)"
		  " AND ($9 IS NULL OR t.named_task_id = ANY ($9)) AND " MATCHES NEWEST);

/* The steps of the parent; of one that no task can be, none. */
static void
bind_parent(Datum *values, int64 parent_task_id)
{
	int64		task_id = parent_task_id > TC_MAX_TASK_ID ? 0 : Max(parent_task_id, 0);

	values[0] = Int64GetDatum(tc_step_id(task_id, 1));
	values[1] = Int64GetDatum(tc_step_id(task_id, TC_STEP_ID_FACTOR - 1));
}

static Datum
time_or_null(TimestampTz time, char *isnull)
{
	*isnull = time == TC_NO_TIME ? 'n' : ' ';
	return TimestampTzGetDatum(time);
}

static uint64
find(const Filter *filter, int32 shard_key, int max_tasks, int64 before_task_id)
{
	TcPlan	   *plan = &plan_all;
	Datum		values[12];
	char		nulls[12];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int32GetDatum(shard_key);
	values[1] = Int64GetDatum(before_task_id);
	values[2] = Int64GetDatum(max_tasks);
	values[3] = tc_text_or_null(filter->state, &nulls[3]);
	values[4] = tc_text_or_null(filter->tag, &nulls[4]);
	values[5] = PointerGetDatum(filter->correlation_id);
	nulls[5] = filter->correlation_id == NULL ? 'n' : ' ';
	values[6] = time_or_null(filter->created_after, &nulls[6]);
	values[7] = time_or_null(filter->created_before, &nulls[7]);
	values[8] = filter->named_task_ids;
	nulls[8] = filter->by_template ? ' ' : 'n';
	values[9] = filter->states;
	nulls[9] = filter->states == 0 ? 'n' : ' ';
	bind_parent(values + 10, filter->parent_task_id);
	if (filter->by_parent)
		plan = &plan_by_parent;
	else if (filter->correlation_id != NULL)
		plan = &plan_by_correlation;
	else if (filter->by_template)
		plan = &plan_by_template;
	return tc_plan_run(plan, values, nulls);
}

static int
compare_newest_first(const void *a, const void *b)
{
	int64		x = DatumGetInt64(((const TcListedTask *) a)->values[0]);
	int64		y = DatumGetInt64(((const TcListedTask *) b)->values[0]);

	return x > y ? -1 : x < y;
}

int
tc_list_tasks(const struct varlena *filters, int max_tasks, int64 before_task_id,
			  TcListedTask **tasks)
{
	Filter		filter = {0};
	int32		nshards = tc_shard_count();
	int			n = 0;

	read_filter(filters, &filter);
	*tasks = palloc(0);
	for (int32 shard = 0; shard < nshards; shard++)
	{
		int			count = (int) find(&filter, shard, max_tasks, before_task_id);

		*tasks = repalloc_huge(*tasks, sizeof(TcListedTask) * (n + count + 1));
		for (int i = 0; i < count; i++, n++)
		{
			for (int c = 0; c < TC_LIST_COLUMNS; c++)
				(*tasks)[n].values[c] = tc_row_copy(i, c + 1, &(*tasks)[n].nulls[c]);
		}
	}
	qsort(*tasks, n, sizeof(TcListedTask), compare_newest_first);
	return Min(n, max_tasks);
}

int
tc_list_task_ids(const struct varlena *filters, const char *const *states, int nstates,
				 int max_tasks, int64 **task_ids)
{
	Filter		filter = {0};
	int			n = 0;

	read_filter(filters, &filter);
	filter.states = tc_array_text(states, nstates);
	*task_ids = palloc(0);
	for (int32 shard = 0; shard < tc_shard_count() && n < max_tasks; shard++)
	{
		int			count = (int) find(&filter, shard, max_tasks - n, PG_INT64_MAX);

		*task_ids = repalloc_huge(*task_ids, sizeof(int64) * (n + count + 1));
		for (int i = 0; i < count; i++)
			(*task_ids)[n++] = tc_row_int64(i, 1);
	}
	return n;
}
