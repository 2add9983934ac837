/*
 * document_store.c
 *	  Tasks and steps as JSON documents.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/states.h"
#include "store/child_store.h"
#include "store/document_store.h"
#include "store/plans.h"
#include "store/slot_store.h"

static TcPlan plan_task = {
	.sql =
	"SELECT to_jsonb(r) FROM ("
	" SELECT t.task_id, n.name AS namespace, k.name AS task_name, k.version, t.named_task_id, t.state,"
	"  t.priority, t.context, t.created_at, t.run_at, t.started_at, t.paused_at, t.finished_at,"
	"  t.idempotency_key, t.correlation_id, t.parent_correlation_id, t.initiator, t.source_system,"
	"  t.reason, t.tags, t.created_by, t.created_as, t.parent_step_id,"
	"  (SELECT jsonb_agg(jsonb_build_object('paused', CASE WHEN p.task_name IS NULL THEN 'namespace' ELSE 'template' END,"
	"    'since', p.paused_at, 'by', coalesce(p.paused_as, p.paused_by), 'reason', p.reason) ORDER BY p.pause_id)"
	"   FROM tasker.pauses p WHERE p.namespace_id = k.namespace_id AND coalesce(p.task_name, k.name) = k.name"
	"    AND p.resumed_at IS NULL) AS held_by"
	" FROM tasker.tasks t"
	" JOIN tasker.named_tasks k ON k.named_task_id = t.named_task_id"
	" JOIN tasker.task_namespaces n ON n.namespace_id = k.namespace_id"
	" WHERE t.task_id = $1 AND t.shard_key = $2) r",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {INT8OID, INT4OID},
};

struct varlena *
tc_document_task(int64 task_id)
{
	Datum		values[2] = {Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id))};

	tc_session_pin_utc();
	if (tc_plan_run(&plan_task, values, NULL) != 1)
		elog(ERROR, "task " INT64_FORMAT " is not in its own snapshot", task_id);
	return tc_row_varlena(0, 1);
}

/* ---- steps --------------------------------------------------------------- */

/*
 * The result is that of the attempt that completed the step, or of the person
 * who resolved it: nothing follows either.  The error is the newest attempt's.
 */
#define STEP_PAYLOADS \
	" LEFT JOIN LATERAL (SELECT a.results, a.error, a.worker_id, a.claimed_at, a.attempt_no" \
	"  FROM tasker.step_attempts a" \
	"  WHERE a.task_id = $1 AND a.step_no = s.step_no AND a.shard_key = $2" \
	"   AND a.slot = " TC_SLOT_OF("$1", "$2") \
	"  ORDER BY a.attempt_no DESC LIMIT 1) a ON true" \
	" LEFT JOIN LATERAL (SELECT m.results," \
	"  CASE WHEN m.to_state = 'error' THEN jsonb_build_object('message', m.reason) END AS error" \
	"  FROM tasker.step_moves m" \
	"  WHERE m.task_id = $1 AND m.step_no = s.step_no AND m.shard_key = $2" \
	"   AND m.slot = " TC_SLOT_OF("$1", "$2") \
	"  ORDER BY m.move_id DESC LIMIT 1) m ON true"

/*
 * What the template says comes as a parameter: joined by step_no, a plan made
 * for small templates would read a large one again for each of its steps.
 */
static TcPlan plan_steps = {
	.sql =
	"SELECT jsonb_agg(jsonb_build_object("
	" 'workflow_step_id', $1 * 1000000 + s.step_no, 'name', s.name, 'state', s.state,"
	" 'depends_on', s.depends_on, 'attempts', s.attempts,"
	" 'results', coalesce(a.results, m.results), 'error', coalesce(m.error, a.error),"
	" 'started_at', s.started_at, 'finished_at', s.finished_at)"
	"  || CASE WHEN s.progress IS NULL THEN '{}' ELSE jsonb_build_object('progress', s.progress) END"
	"  || CASE WHEN s.child IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('child_task_id', s.child) END"
	"  ORDER BY s.step_no)"
	" FROM unnest($3::text[], $4::jsonb[], $5::text[], $6::int[], $7::timestamptz[],"
	"  $8::timestamptz[], $9::int[], $10::jsonb[], $11::bigint[])"
	"  AS s(name, depends_on, state, attempts, started_at, finished_at, step_no, progress, child)"
	STEP_PAYLOADS,
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 11,
	.argtypes = {INT8OID, INT4OID, TEXTARRAYOID, JSONBARRAYOID, TEXTARRAYOID, INT4ARRAYOID,
		TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID, INT4ARRAYOID, JSONBARRAYOID, INT8ARRAYOID},
};

/* The names of the parents, as a JSON array. */
static struct varlena *
parents_of(const TcTemplate *template, int32 node)
{
	const TcDag *dag = &template->dag;
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
	{
		const char *name = template->steps[dag->parents[p]].name;
		JsonbValue	value = {.type = jbvString};

		value.val.string.val = unconstify(char *, name);
		value.val.string.len = strlen(name);
		pushJsonbValue(&state, WJB_ELEM, &value);
	}
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/* What is not ended yet has no such time: an array of times has to hold nulls. */
static Datum
array_of_times(const TimestampTz *times, int n)
{
	Datum	   *datums = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		datums[i] = TimestampTzGetDatum(times[i]);
		nulls[i] = times[i] == TC_NO_TIME;
	}
	return PointerGetDatum(construct_md_array(datums, nulls, 1, &n, &lower, TIMESTAMPTZOID,
											  sizeof(TimestampTz), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* The newest task that ran for each step; null for steps that workers run. */
static Datum
array_of_children(const TcTaskView *view)
{
	int			nsteps = view->nsteps;
	Datum	   *datums = palloc0(sizeof(Datum) * nsteps);
	bool	   *nulls = palloc(sizeof(bool) * nsteps);
	int			lower = 1;
	TcChild    *children;
	int			n = view->template->nests ? tc_children_read(view->task.task_id, false, &children) : 0;

	memset(nulls, true, sizeof(bool) * nsteps);
	for (int i = 0; i < n; i++)
	{
		datums[children[i].key.step_no - 1] = Int64GetDatum(children[i].task_id);
		nulls[children[i].key.step_no - 1] = false;
	}
	return PointerGetDatum(construct_md_array(datums, nulls, 1, &nsteps, &lower, INT8OID,
											  sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Of a map whose instances were made; NULL of all others. */
static struct varlena *
progress_of(const TcTaskView *view, int32 position)
{
	const TcMapView *map = tc_view_is_instance(view, position) ? NULL : tc_view_map(view, position);
	TcMapProgress progress;

	if (map == NULL || map->count == 0)
		return NULL;
	progress = tc_view_map_progress(view, map);
	return (struct varlena *) DatumGetPointer(DirectFunctionCall1(jsonb_in, CStringGetDatum(
																							psprintf("{\"total\": %d, \"completed\": %d, \"failed\": %d}", progress.total,
																									 progress.completed, progress.failed))));
}

/* The steps of a view as columns. */
typedef struct StepColumns
{
	const char **names;
	const struct varlena **parents;
	const char **states;
	int32	   *attempts;
	TimestampTz *started;
	TimestampTz *finished;
	int32	   *step_nos;
	const struct varlena **progress;
} StepColumns;

static StepColumns
step_columns(const TcTaskView *view)
{
	int32		n = view->nsteps;
	StepColumns columns = {
		palloc(sizeof(char *) * n), palloc(sizeof(struct varlena *) * n), palloc(sizeof(char *) * n),
		palloc(sizeof(int32) * n), palloc(sizeof(TimestampTz) * n), palloc(sizeof(TimestampTz) * n),
		palloc(sizeof(int32) * n), palloc(sizeof(struct varlena *) * n)
	};

	for (int32 i = 0; i < n; i++)
	{
		const TcStepView *step = &view->steps[i];

		CHECK_FOR_INTERRUPTS();
		columns.names[i] = tc_view_name(view, i);
		columns.parents[i] = tc_view_is_instance(view, i) ? columns.parents[tc_view_node(view, i)]
			: parents_of(view->template, i);
		columns.states[i] = tc_step_state_name(step->state);
		columns.attempts[i] = step->attempts;
		columns.started[i] = step->last_attempted_at;
		columns.finished[i] = step->finished_at;
		columns.step_nos[i] = tc_view_step_no(view, i);
		columns.progress[i] = progress_of(view, i);
	}
	return columns;
}

struct varlena *
tc_document_steps(const TcTaskView *view)
{
	StepColumns columns = step_columns(view);
	Datum		values[11];

	values[0] = Int64GetDatum(view->task.task_id);
	values[1] = Int32GetDatum(tc_shard_key(view->task.task_id));
	values[2] = tc_array_text(columns.names, view->nsteps);
	values[3] = tc_array_jsonb(columns.parents, view->nsteps);
	values[4] = tc_array_text(columns.states, view->nsteps);
	values[5] = tc_array_int32(columns.attempts, view->nsteps);
	values[6] = array_of_times(columns.started, view->nsteps);
	values[7] = array_of_times(columns.finished, view->nsteps);
	values[8] = tc_array_int32(columns.step_nos, view->nsteps);
	values[9] = tc_array_jsonb(columns.progress, view->nsteps);
	values[10] = array_of_children(view);
	tc_session_pin_utc();
	tc_plan_run(&plan_steps, values, NULL);
	return tc_row_varlena(0, 1);
}

static TcPlan plan_step = {
	.sql =
	"SELECT to_jsonb(r)"
	" || coalesce((SELECT jsonb_build_object('inputs', x.inputs) FROM tasker.task_extra_steps x"
	"  WHERE x.task_id = $1 AND x.step_no = $4 AND x.shard_key = $2 AND x.slot = " TC_SLOT_OF("$1", "$2") "), '{}')"
	" FROM ("
	" SELECT $1 * 1000000 + s.step_no AS workflow_step_id, $1 AS task_id, $13::text AS name, $5::text AS state,"
	"  $11::jsonb AS depends_on, $6::int AS attempts, s.max_attempts,"
	"  coalesce(a.results, m.results) AS results, coalesce(m.error, a.error) AS error, $7::timestamptz AS started_at,"
	"  $8::timestamptz AS finished_at, $9::timestamptz AS next_retry_at,"
	"  coalesce(q.worker_id, a.worker_id) AS worker_id,"
	"  CASE WHEN q.phase = 'c' THEN q.visible_at END AS lease_expires_at, q.checkpoint,"
	"  s.queue, greatest(-32768, least(32767, $10::bigint + s.priority)) AS priority,"
	"  s.timeout_seconds, s.handler_class, s.handler_method, s.handler_resolver, s.handler_config,"
	"  (SELECT coalesce(jsonb_agg(to_jsonb(h) ORDER BY h.attempt_no), '[]') FROM ("
	"   SELECT x.attempt_no, x.attempt, x.outcome, x.worker_id, x.claimed_at, x.finished_at, x.error,"
	"    x.to_state, x.next_retry_at, x.backoff_request_seconds, x.recorded_by, x.recorded_as"
	"   FROM tasker.step_attempts x"
	"   WHERE x.task_id = $1 AND x.step_no = $4 AND x.shard_key = $2"
	"    AND x.slot = " TC_SLOT_OF("$1", "$2") ") h) AS attempt_history,"
	"  (SELECT coalesce(jsonb_agg(to_jsonb(h) - 'move_id' ORDER BY h.move_id), '[]') FROM ("
	"   SELECT x.move_id, x.after_attempt_no, x.verb, x.from_state, x.to_state, x.worker_id,"
	"    x.claimed_at, x.moved_at, x.reason, x.metadata, x.recorded_by, x.recorded_as"
	"   FROM tasker.step_moves x"
	"   WHERE x.task_id = $1 AND x.step_no = $4 AND x.shard_key = $2"
	"    AND x.slot = " TC_SLOT_OF("$1", "$2") ") h) AS moves"
	" FROM (SELECT d.queue, d.priority, d.max_attempts, d.timeout_seconds, d.handler_class, d.handler_method,"
	"  d.handler_resolver, d.handler_config, $4 AS step_no"
	"  FROM tasker.named_steps d WHERE d.named_task_id = $3 AND d.step_no = $12) s"
	" LEFT JOIN tasker.step_queue q ON q.task_id = $1 AND q.step_no = s.step_no AND q.shard_key = $2"
	STEP_PAYLOADS ") r",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 13,
	.argtypes = {INT8OID, INT4OID, INT4OID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, JSONBOID, INT4OID, TEXTOID},
};

static Datum
time_or_null(TimestampTz time, char *isnull)
{
	*isnull = time == TC_NO_TIME ? 'n' : ' ';
	return TimestampTzGetDatum(time);
}

struct varlena *
tc_document_step(const TcTaskView *view, int32 position, TimestampTz next_retry_at)
{
	const TcStepView *step = &view->steps[position];
	int32		node = tc_view_node(view, position);
	Datum		values[13];
	char		nulls[13];

	memset(nulls, ' ', sizeof(nulls));
	values[0] = Int64GetDatum(view->task.task_id);
	values[1] = Int32GetDatum(tc_shard_key(view->task.task_id));
	values[2] = Int32GetDatum(view->task.named_task_id);
	values[3] = Int32GetDatum(tc_view_step_no(view, position));
	values[4] = CStringGetTextDatum(tc_step_state_name(step->state));
	values[5] = Int32GetDatum(step->attempts);
	values[6] = time_or_null(step->last_attempted_at, &nulls[6]);
	values[7] = time_or_null(step->finished_at, &nulls[7]);
	values[8] = time_or_null(next_retry_at, &nulls[8]);
	values[9] = Int32GetDatum(view->task.priority);
	values[10] = PointerGetDatum(parents_of(view->template, node));
	values[11] = Int32GetDatum(node + 1);
	values[12] = PointerGetDatum(tc_view_name_text(view, position));
	tc_session_pin_utc();
	tc_plan_run(&plan_step, values, nulls);
	return tc_row_varlena(0, 1);
}

/* ---- parts --------------------------------------------------------------- */

static TcPlan plan_object = {
	.sql = "SELECT jsonb_object_agg(m.name, m.value) FROM unnest($1::text[], $2::jsonb[]) AS m(name, value)",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTARRAYOID, JSONBARRAYOID},
};

struct varlena *
tc_document_object(const TcMember *members, int n)
{
	const char **names = palloc(sizeof(char *) * n);
	const struct varlena **jsons = palloc(sizeof(struct varlena *) * n);
	Datum		values[2];

	for (int i = 0; i < n; i++)
	{
		names[i] = members[i].name;
		jsons[i] = members[i].value;
	}
	values[0] = tc_array_text(names, n);
	values[1] = tc_array_jsonb(jsons, n);
	tc_plan_run(&plan_object, values, NULL);
	return tc_row_varlena(0, 1);
}

static TcPlan plan_results = {
	.sql =
	"SELECT s.ord, coalesce(a.results, m.results)"
	" FROM unnest($3::int[]) WITH ORDINALITY AS s(step_no, ord)" STEP_PAYLOADS
	" ORDER BY s.ord",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {INT8OID, INT4OID, INT4ARRAYOID},
};

void
tc_document_results(int64 task_id, const int32 *step_nos, int n, struct varlena **results)
{
	Datum		values[3] = {
		Int64GetDatum(task_id), Int32GetDatum(tc_shard_key(task_id)), tc_array_int32(step_nos, n)
	};

	tc_plan_run(&plan_results, values, NULL);
	for (int i = 0; i < n; i++)
		results[i] = tc_row_varlena(i, 2);
}
