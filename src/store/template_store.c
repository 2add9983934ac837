/*
 * template_store.c
 *	  Templates in the tables, and compiled once per backend.
 *
 * The cache is one memory context: the compiled templates by id, and the ids by
 * name.  It is dropped as a whole when tc_cache_generation() has moved on since
 * it was begun, or when it has grown too big, and refilled on demand.  Compiled
 * templates may be in use then, so what is dropped goes to the memory
 * context of the outermost caller, which outlives the bracket and frees it soon
 * after.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "compat.h"
#include "domain/instances.h"
#include "errors.h"
#include "guc.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/template_flow.h"
#include "store/template_store.h"

typedef struct TemplateCache
{
	MemoryContext context;
	uint64		generation;		/* of tc_cache_generation(), before anything was read */
	HTAB	   *templates;		/* of CompiledTemplate */
	HTAB	   *ids;			/* of TemplateId */
} TemplateCache;

typedef struct CompiledTemplate
{
	int32		named_task_id;	/* hash key */
	const TcTemplate *template;
} CompiledTemplate;

typedef struct TemplateName
{
	const char *namespace_name;
	const char *name;
	const char *version;		/* "" = the highest */
} TemplateName;

typedef struct TemplateId
{
	TemplateName name;			/* hash key */
	int32		named_task_id;
} TemplateId;

/* NULL, or complete; made by current_cache(), dropped by drop_cache(). */
static TemplateCache *cache = NULL;

static TemplateCache *current_cache(void);
static void begin_cache(void);
static void drop_cache(void);
static uint32 name_hash(const void *key, Size keysize);
static int	name_match(const void *a, const void *b, Size keysize);
static TcTemplate *compile(int32 named_task_id);
static void load_header(TcTemplate *template);
static void load_steps(TcTemplate *template);
static void load_step(TcStep *step, uint64 row);
static void load_edges(TcTemplate *template);
static char *row_text_here(uint64 row, int column);
static struct varlena *row_varlena_here(uint64 row, int column);
static int32 look_up(const char *namespace_name, const char *name, const char *version);
static int32 look_up_highest(const char *namespace_name, const char *name);
static void remember_id(const TemplateName *name, int32 named_task_id);
static bool find_same(const TcTemplate *template, const struct varlena *hash,
					  int32 *named_task_id, bool *same);
static int32 insert_header(const TcTemplate *template, const struct varlena *definition,
						   const struct varlena *hash);
static void insert_steps(const TcTemplate *template, int32 named_task_id);
static void insert_edges(const TcTemplate *template, int32 named_task_id);
static int	compare_summaries(const void *a, const void *b);

/* ---- statements ---------------------------------------------------------- */

/*
 * These run with a new snapshot, though they only read: what fills the cache
 * must not be older than the generation it is filed under.
 */
static TcPlan plan_header = {
	.sql =
	"SELECT n.name, t.name, t.version, t.identity_strategy, t.step_count, t.on_failure = 'fail_fast',"
	" t.input_schema, t.retired_at IS NOT NULL"
	" FROM tasker.named_tasks t"
	" JOIN tasker.task_namespaces n ON n.namespace_id = t.namespace_id"
	" WHERE t.named_task_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

static TcPlan plan_steps = {
	.sql =
	"SELECT named_step_id, name, queue, priority, handler_class, handler_method, handler_resolver,"
	" handler_config, retryable, max_attempts, backoff, backoff_base_ms, max_backoff_ms, jitter,"
	" coalesce(timeout_seconds, 0), on_failure, result_schema, step_type, trigger_rule,"
	" condition, unmet_fails, delay_seconds, signal_name, coalesce(signal_timeout_seconds, -1), signal_on_timeout,"
	" run_at, workflow, flow_limits, map_over, batch_config, parallelism, instance_failure"
	" FROM tasker.named_steps WHERE named_task_id = $1 ORDER BY step_no",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

static TcPlan plan_edges = {
	.sql =
	"SELECT from_step_no, to_step_no"
	" FROM tasker.named_step_edges WHERE named_task_id = $1 ORDER BY to_step_no, from_step_no",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

static TcPlan plan_find_version = {
	.sql =
	"SELECT t.named_task_id FROM tasker.task_namespaces n"
	" JOIN tasker.named_tasks t ON t.namespace_id = n.namespace_id"
	" WHERE n.name = $1 AND t.name = $2 AND t.version = $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID},
};

static TcPlan plan_find_versions = {
	.sql =
	"SELECT t.named_task_id, t.version, t.retired_at IS NOT NULL FROM tasker.task_namespaces n"
	" JOIN tasker.named_tasks t ON t.namespace_id = n.namespace_id"
	" WHERE n.name = $1 AND t.name = $2 ORDER BY t.retired_at IS NOT NULL, t.named_task_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

static TcPlan plan_find_same = {
	.sql =
	"SELECT t.named_task_id, t.definition_hash = $4 FROM tasker.task_namespaces n"
	" JOIN tasker.named_tasks t ON t.namespace_id = n.namespace_id"
	" WHERE n.name = $1 AND t.name = $2 AND t.version = $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 4,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BYTEAOID},
};

static TcPlan plan_definition = {
	.sql = "SELECT definition FROM tasker.named_tasks WHERE named_task_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {INT4OID},
};

static TcPlan plan_list = {
	.sql =
	"SELECT t.named_task_id, n.name, t.name, t.version, t.definition ->> 'description',"
	" t.step_count, t.created_at, t.retired_at"
	" FROM tasker.task_namespaces n"
	" JOIN tasker.named_tasks t ON t.namespace_id = n.namespace_id"
	" WHERE $1 IS NULL OR n.name = $1",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

/* The look-up first, so that a namespace that is there costs no id. */
static TcPlan plan_insert_namespace = {
	.sql =
	"INSERT INTO tasker.task_namespaces (name, created_at) SELECT $1, $2"
	" WHERE NOT EXISTS (SELECT FROM tasker.task_namespaces WHERE name = $1)"
	" ON CONFLICT (name) DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 2,
	.argtypes = {TEXTOID, TIMESTAMPTZOID},
};

static TcPlan plan_insert_header = {
	.sql =
	"INSERT INTO tasker.named_tasks (namespace_id, name, version, identity_strategy, step_count,"
	" definition, definition_hash, created_at, created_by, on_failure, input_schema, created_as, map_steps, map_room)"
	" SELECT namespace_id, $2, $3, $4, $5, $6, $7, $8, $9,"
	" CASE WHEN $10 THEN 'fail_fast' ELSE 'continue' END, $11, $12, nullif($13, '{}'), $14"
	" FROM tasker.task_namespaces WHERE name = $1"
	" ON CONFLICT (namespace_id, name, version) DO NOTHING"
	" RETURNING named_task_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 14,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID, JSONBOID, BYTEAOID,
	TIMESTAMPTZOID, TEXTOID, BOOLOID, JSONBOID, TEXTOID, INT4ARRAYOID, INT4OID},
};

static TcPlan plan_insert_steps = {
	.sql =
	"INSERT INTO tasker.named_steps (named_task_id, step_no, name, queue, priority,"
	" handler_class, handler_method, handler_resolver, handler_config, retryable, max_attempts,"
	" backoff, backoff_base_ms, max_backoff_ms, jitter, timeout_seconds, on_failure, min_depth, result_schema,"
	" step_type, trigger_rule, condition, unmet_fails, delay_seconds, signal_name, signal_timeout_seconds,"
	" signal_on_timeout, run_at, workflow, flow_limits, map_over, batch_config, parallelism, instance_failure)"
	" SELECT $1, s.step_no, s.name, s.queue, s.priority,"
	" s.handler_class, s.handler_method, s.handler_resolver, s.handler_config, s.retryable,"
	" s.max_attempts, s.backoff, s.backoff_base_ms, s.max_backoff_ms, s.jitter,"
	" nullif(s.timeout_seconds, 0), s.on_failure, s.min_depth, s.result_schema, s.step_type, s.trigger_rule,"
	" s.condition, s.unmet_fails, s.delay_seconds, s.signal_name, nullif(s.signal_timeout, -1), s.signal_on_timeout,"
	" s.run_at, s.workflow, s.flow_limits, s.map_over, s.batch_config, s.parallelism, s.instance_failure"
	" FROM unnest($2::text[], $3::text[], $4::int[], $5::text[], $6::text[], $7::text[],"
	" $8::jsonb[], $9::boolean[], $10::int[], $11::text[], $12::bigint[], $13::bigint[],"
	" $14::float8[], $15::int[], $16::text[], $17::int[], $18::jsonb[], $19::text[], $20::text[],"
	" $21::jsonb[], $22::boolean[], $23::float8[], $24::text[], $25::float8[], $26::text[],"
	" $27::jsonb[], $28::jsonb[], $29::jsonb[], $30::jsonb[], $31::jsonb[], $32::int[], $33::text[]) WITH ORDINALITY"
	" AS s(name, queue, priority, handler_class, handler_method, handler_resolver,"
	" handler_config, retryable, max_attempts, backoff, backoff_base_ms, max_backoff_ms,"
	" jitter, timeout_seconds, on_failure, min_depth, result_schema, step_type, trigger_rule,"
	" condition, unmet_fails, delay_seconds, signal_name, signal_timeout, signal_on_timeout,"
	" run_at, workflow, flow_limits, map_over, batch_config, parallelism, instance_failure, step_no)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 33,
	.argtypes = {INT4OID, TEXTARRAYOID, TEXTARRAYOID, INT4ARRAYOID, TEXTARRAYOID, TEXTARRAYOID,
	TEXTARRAYOID, JSONBARRAYOID, BOOLARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT8ARRAYOID,
	INT8ARRAYOID, FLOAT8ARRAYOID, INT4ARRAYOID, TEXTARRAYOID, INT4ARRAYOID, JSONBARRAYOID,
	TEXTARRAYOID, TEXTARRAYOID, JSONBARRAYOID, BOOLARRAYOID, FLOAT8ARRAYOID, TEXTARRAYOID,
	FLOAT8ARRAYOID, TEXTARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID, JSONBARRAYOID,
	INT4ARRAYOID, TEXTARRAYOID},
};

static TcPlan plan_insert_edges = {
	.sql =
	"INSERT INTO tasker.named_step_edges (named_task_id, from_step_no, to_step_no)"
	" SELECT $1, e.from_step_no, e.to_step_no"
	" FROM unnest($2::int[], $3::int[]) AS e(from_step_no, to_step_no)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 3,
	.argtypes = {INT4OID, INT4ARRAYOID, INT4ARRAYOID},
};

static TcPlan plan_retire = {
	.sql =
	"UPDATE tasker.named_tasks t SET retired_at = CASE WHEN $4 THEN $5 END,"
	" retired_by = CASE WHEN $4 THEN $6 END"
	" FROM tasker.task_namespaces n"
	" WHERE n.namespace_id = t.namespace_id AND n.name = $1 AND t.name = $2"
	"  AND ($3 IS NULL OR t.version = $3) AND (t.retired_at IS NULL) = $4",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TEXTOID},
};

/* ---- the cache ----------------------------------------------------------- */

static TemplateCache *
current_cache(void)
{
	if (cache != NULL && cache->generation != tc_cache_generation())
		drop_cache();
	if (cache == NULL)
		begin_cache();
	return cache;
}

static void
begin_cache(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "tasker_core templates",
												  ALLOCSET_DEFAULT_SIZES);
	TemplateCache *fresh = MemoryContextAlloc(context, sizeof(TemplateCache));
	HASHCTL		by_id = {
		.keysize = sizeof(int32),
		.entrysize = sizeof(CompiledTemplate),
		.hcxt = context,
	};
	HASHCTL		by_name = {
		.keysize = sizeof(TemplateName),
		.entrysize = sizeof(TemplateId),
		.hash = name_hash,
		.match = name_match,
		.hcxt = context,
	};

	fresh->context = context;
	fresh->generation = tc_cache_generation();
	fresh->templates = hash_create("tasker_core templates by id", 64, &by_id,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	fresh->ids = hash_create("tasker_core templates by name", 64, &by_name,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	MemoryContextSetParent(context, CacheMemoryContext);
	cache = fresh;
}

static void
drop_cache(void)
{
	MemoryContext context = cache->context;

	cache = NULL;
	MemoryContextSetParent(context, tc_session_outermost_context());
}

static uint32
name_hash(const void *key, Size keysize)
{
	const TemplateName *name = key;
	uint32		hash;

	hash = hash_bytes((const unsigned char *) name->namespace_name, strlen(name->namespace_name));
	hash = hash_combine(hash, hash_bytes((const unsigned char *) name->name, strlen(name->name)));
	return hash_combine(hash, hash_bytes((const unsigned char *) name->version,
										 strlen(name->version)));
}

static int
name_match(const void *a, const void *b, Size keysize)
{
	const TemplateName *left = a;
	const TemplateName *right = b;

	return strcmp(left->namespace_name, right->namespace_name) != 0 ||
		strcmp(left->name, right->name) != 0 ||
		strcmp(left->version, right->version) != 0;
}

/* ---- compiled templates -------------------------------------------------- */

const TcTemplate *
tc_template_get(int32 named_task_id)
{
	CompiledTemplate *entry = hash_search(current_cache()->templates, &named_task_id,
										  HASH_FIND, NULL);
	const TcTemplate *template;

	if (entry != NULL)
		return entry->template;

	if (MemoryContextMemAllocated(cache->context, true) > (Size) tc_guc_template_cache_kb * 1024)
	{
		drop_cache();
		begin_cache();
	}
	template = compile(named_task_id);
	entry = hash_search(cache->templates, &named_task_id, HASH_ENTER, NULL);
	entry->template = template;
	return template;
}

/* In a context of its own, which joins the cache only when it is complete. */
static TcTemplate *
compile(int32 named_task_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tasker_core template",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TcTemplate *template = palloc0(sizeof(TcTemplate));

	template->named_task_id = named_task_id;
	load_header(template);
	load_steps(template);
	load_edges(template);
	MemoryContextSwitchTo(old);
	MemoryContextSetParent(context, cache->context);
	return template;
}

static void
load_header(TcTemplate *template)
{
	Datum		values[] = {Int32GetDatum(template->named_task_id)};

	if (tc_plan_run(&plan_header, values, NULL) != 1)
		tc_raise_corrupt_state("tasker.named_tasks", template->named_task_id,
							   "A template that is referred to does not exist.");
	template->namespace_name = row_text_here(0, 1);
	template->name = row_text_here(0, 2);
	template->version = row_text_here(0, 3);
	if (!tc_identity_strategy_parse(tc_row_text(0, 4), &template->identity))
		tc_raise_corrupt_state("tasker.named_tasks", template->named_task_id,
							   "The identity strategy is unknown.");
	template->nsteps = tc_row_int32(0, 5);
	template->fail_fast = tc_row_bool(0, 6);
	template->retired = tc_row_bool(0, 8);
	template->input_schema = row_varlena_here(0, 7);
}

static void
load_steps(TcTemplate *template)
{
	Datum		values[] = {Int32GetDatum(template->named_task_id)};

	if (tc_plan_run(&plan_steps, values, NULL) != template->nsteps)
		tc_raise_corrupt_state("tasker.named_tasks", template->named_task_id,
							   "step_count is not the number of its rows in tasker.named_steps.");
	template->steps = palloc0(sizeof(TcStep) * template->nsteps);
	for (int32 i = 0; i < template->nsteps; i++)
	{
		CHECK_FOR_INTERRUPTS();
		load_step(&template->steps[i], i);
		template->nests = template->nests || template->steps[i].workflow != NULL;
	}
}

static void
load_step(TcStep *step, uint64 row)
{
	step->named_step_id = tc_row_int32(row, 1);
	step->name = row_text_here(row, 2);
	step->name_text = row_varlena_here(row, 2);
	step->queue = row_text_here(row, 3);
	step->priority = tc_row_int32(row, 4);
	step->handler_class = row_text_here(row, 5);
	step->handler_method = row_text_here(row, 6);
	step->handler_resolver = row_text_here(row, 7);
	step->handler_config = row_varlena_here(row, 8);
	step->retryable = tc_row_bool(row, 9);
	step->max_attempts = tc_row_int32(row, 10);
	if (!tc_backoff_strategy_parse(tc_row_text(row, 11), &step->backoff.strategy))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id,
							   "The backoff strategy is unknown.");
	step->backoff.base_ms = tc_row_int64(row, 12);
	step->backoff.max_ms = tc_row_int64(row, 13);
	step->backoff.jitter = tc_row_float8(row, 14);
	step->timeout_seconds = tc_row_int32(row, 15);
	if (!tc_failure_rule_parse(tc_row_text(row, 16), &step->on_failure))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id,
							   "The failure rule is unknown.");
	step->result_schema = row_varlena_here(row, 17);
	if (!tc_step_type_parse(tc_row_text(row, 18), &step->type))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id, "The step type is unknown.");
	if (!tc_trigger_rule_parse(tc_row_text(row, 19), &step->trigger_rule))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id,
							   "The trigger rule is unknown.");
	step->condition = row_varlena_here(row, 20);
	step->unmet_fails = tc_row_bool(row, 21);
	step->delay_seconds = tc_row_float8(row, 22);
	step->signal_name = row_text_here(row, 23);
	step->signal_timeout = tc_row_float8(row, 24);
	if (!tc_timeout_rule_parse(tc_row_text(row, 25), &step->on_timeout))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id,
							   "The timeout rule is unknown.");
	step->run_at = row_varlena_here(row, 26);
	step->workflow = row_varlena_here(row, 27);
	step->flow = tc_flow_from_json(tc_row_varlena(row, 28));
	step->map_over = row_varlena_here(row, 29);
	step->batch_config = row_varlena_here(row, 30);
	step->parallelism = tc_row_int32(row, 31);
	if (!tc_failure_rule_parse(tc_row_text(row, 32), &step->instance_failure))
		tc_raise_corrupt_state("tasker.named_steps", step->named_step_id,
							   "The failure rule of instances is unknown.");
	step->batchable = -1;
}

static void
load_edges(TcTemplate *template)
{
	Datum		values[] = {Int32GetDatum(template->named_task_id)};
	int32		nedges = (int32) tc_plan_run(&plan_edges, values, NULL);
	TcEdge	   *edges = palloc(sizeof(TcEdge) * Max(nedges, 1));

	for (int32 i = 0; i < nedges; i++)
	{
		edges[i].from = tc_row_int32(i, 1) - 1;
		edges[i].to = tc_row_int32(i, 2) - 1;
		if (edges[i].from < 0 || edges[i].from >= edges[i].to || edges[i].to >= template->nsteps)
			tc_raise_corrupt_state("tasker.named_tasks", template->named_task_id,
								   "A row of tasker.named_step_edges points to no step.");
	}
	tc_dag_build(&template->dag, template->nsteps, edges, nedges);
	tc_template_find_maps(template);
	pfree(edges);
}

/* A text in the current context, NULL as NULL. */
static char *
row_text_here(uint64 row, int column)
{
	const char *text = tc_row_text(row, column);

	return text == NULL ? NULL : pstrdup(text);
}

/* The same for any other varlena. */
static struct varlena *
row_varlena_here(uint64 row, int column)
{
	struct varlena *value = tc_row_varlena(row, column);

	return value == NULL ? NULL : memcpy(palloc(VARSIZE(value)), value, VARSIZE(value));
}

/* ---- ids by name --------------------------------------------------------- */

int32
tc_template_find(const char *namespace_name, const char *name, const char *version)
{
	TemplateName key = {
		.namespace_name = namespace_name,
		.name = name,
		.version = version != NULL ? version : "",
	};
	TemplateId *entry;
	int32		found;

	/* it stands for the highest in our keys, and no template has it */
	if (version != NULL && version[0] == '\0')
		return 0;

	/* a version that was committed while our transaction ran counts from now on */
	AcceptInvalidationMessages();
	entry = hash_search(current_cache()->ids, &key, HASH_FIND, NULL);
	if (entry != NULL)
		return entry->named_task_id;

	if (version != NULL)
		found = look_up(namespace_name, name, version);
	else
		found = look_up_highest(namespace_name, name);

	/*
	 * Under a transaction's own snapshot we may have missed what other
	 * transactions here would see, and never hear of it again.
	 */
	if (found != 0 && !IsolationUsesXactSnapshot())
		remember_id(&key, found);
	return found;
}

static int32
look_up(const char *namespace_name, const char *name, const char *version)
{
	Datum		values[] = {
		CStringGetTextDatum(namespace_name),
		CStringGetTextDatum(name),
		CStringGetTextDatum(version),
	};

	return tc_plan_run(&plan_find_version, values, NULL) == 0 ? 0 : tc_row_int32(0, 1);
}

/* Of versions that differ in build metadata alone, the one registered last. */
static int32
look_up_highest(const char *namespace_name, const char *name)
{
	Datum		values[] = {
		CStringGetTextDatum(namespace_name),
		CStringGetTextDatum(name),
	};
	uint64		rows = tc_plan_run(&plan_find_versions, values, NULL);
	const char *highest = NULL;
	int32		found = 0;

	for (uint64 i = 0; i < rows; i++)
	{
		const char *version = tc_row_text(i, 2);

		/* retired ones come last, and count only where there is nothing else */
		if (tc_row_bool(i, 3) && found != 0 && !tc_row_bool(0, 3))
			break;

		if (highest == NULL || tc_version_compare(version, highest) >= 0)
		{
			highest = version;
			found = tc_row_int32(i, 1);
		}
	}
	return found;
}

/* If the look-up brought the news that the cache is stale, the entry goes with it. */
static void
remember_id(const TemplateName *name, int32 named_task_id)
{
	MemoryContext context = cache->context;
	TemplateName kept = {
		.namespace_name = MemoryContextStrdup(context, name->namespace_name),
		.name = MemoryContextStrdup(context, name->name),
		.version = MemoryContextStrdup(context, name->version),
	};
	TemplateId *entry = hash_search(cache->ids, &kept, HASH_ENTER, NULL);

	entry->named_task_id = named_task_id;
}

/* ---- storing ------------------------------------------------------------- */

TcInsertVerdict
tc_template_insert(const TcTemplate *template, const struct varlena *definition,
				   const struct varlena *hash, int32 *named_task_id)
{
	bool		same;

	if (!find_same(template, hash, named_task_id, &same))
	{
		*named_task_id = insert_header(template, definition, hash);
		if (*named_task_id != 0)
		{
			insert_steps(template, *named_task_id);
			insert_edges(template, *named_task_id);
			return TC_INSERT_CREATED;
		}

		/* another session was first, and has committed: a new snapshot sees it */
		if (!find_same(template, hash, named_task_id, &same))
			elog(ERROR, "version \"%s\" of template \"%s\" neither inserted nor found",
				 template->version, template->name);
	}
	return same ? TC_INSERT_SAME : TC_INSERT_CONFLICT;
}

static bool
find_same(const TcTemplate *template, const struct varlena *hash,
		  int32 *named_task_id, bool *same)
{
	Datum		values[] = {
		CStringGetTextDatum(template->namespace_name),
		CStringGetTextDatum(template->name),
		CStringGetTextDatum(template->version),
		PointerGetDatum(hash),
	};

	if (tc_plan_run(&plan_find_same, values, NULL) == 0)
		return false;
	*named_task_id = tc_row_int32(0, 1);
	*same = tc_row_bool(0, 2);
	return true;
}

/* The numbers of the maps, in order. */
static Datum
map_steps(const TcTemplate *template)
{
	int32	   *step_nos = palloc(sizeof(int32) * Max(template->nmaps, 1));

	for (int32 map = 0; map < template->nmaps; map++)
		step_nos[map] = template->map_nodes[map] + 1;
	return tc_array_int32(step_nos, template->nmaps);
}

/* Returns 0 when the version is there already. */
static int32
insert_header(const TcTemplate *template, const struct varlena *definition,
			  const struct varlena *hash)
{
	Datum		values[] = {
		CStringGetTextDatum(template->namespace_name),
		CStringGetTextDatum(template->name),
		CStringGetTextDatum(template->version),
		CStringGetTextDatum(tc_identity_strategy_name(template->identity)),
		Int32GetDatum(template->nsteps),
		PointerGetDatum(definition),
		PointerGetDatum(hash),
		TimestampTzGetDatum(tc_session_now()),
		CStringGetTextDatum(tc_session_role()),
		BoolGetDatum(template->fail_fast),
		PointerGetDatum(template->input_schema),
		(Datum) 0,
		map_steps(template),
		Int32GetDatum(template->map_room),
	};
	char		nulls[lengthof(values)];
	Datum		namespace_values[] = {values[0], values[7]};

	memset(nulls, ' ', sizeof(nulls));
	if (template->input_schema == NULL)
		nulls[10] = 'n';
	values[11] = tc_text_or_null(tc_session_acting_role(), &nulls[11]);
	tc_plan_run(&plan_insert_namespace, namespace_values, NULL);
	return tc_plan_run(&plan_insert_header, values, nulls) == 0 ? 0 : tc_row_int32(0, 1);
}

/* One array of a member of every step, for insert_steps(). */
#define DEFINE_STEP_COLUMN(function, ctype, expression, make_array) \
static Datum \
function(const TcTemplate *template) \
{ \
	ctype	   *column = palloc(sizeof(ctype) * template->nsteps); \
 \
	for (int32 i = 0; i < template->nsteps; i++) \
	{ \
		const TcStep *step = &template->steps[i]; \
 \
		column[i] = expression; \
	} \
	return make_array(column, template->nsteps); \
}

DEFINE_STEP_COLUMN(names, const char *, step->name, tc_array_text)
DEFINE_STEP_COLUMN(queues, const char *, step->queue, tc_array_text)
DEFINE_STEP_COLUMN(priorities, int32, step->priority, tc_array_int32)
DEFINE_STEP_COLUMN(handler_classes, const char *, step->handler_class, tc_array_text)
DEFINE_STEP_COLUMN(handler_methods, const char *, step->handler_method, tc_array_text)
DEFINE_STEP_COLUMN(handler_resolvers, const char *, step->handler_resolver, tc_array_text)
DEFINE_STEP_COLUMN(handler_configs, const struct varlena *, step->handler_config, tc_array_jsonb)
DEFINE_STEP_COLUMN(retryables, bool, step->retryable, tc_array_bool)
DEFINE_STEP_COLUMN(max_attempts, int32, step->max_attempts, tc_array_int32)
DEFINE_STEP_COLUMN(backoffs, const char *, tc_backoff_strategy_name(step->backoff.strategy),
				   tc_array_text)
DEFINE_STEP_COLUMN(backoff_bases, int64, step->backoff.base_ms, tc_array_int64)
DEFINE_STEP_COLUMN(max_backoffs, int64, step->backoff.max_ms, tc_array_int64)
DEFINE_STEP_COLUMN(jitters, double, step->backoff.jitter, tc_array_float8)
DEFINE_STEP_COLUMN(timeouts, int32, step->timeout_seconds, tc_array_int32)
DEFINE_STEP_COLUMN(failure_rules, const char *, tc_failure_rule_name(step->on_failure), tc_array_text)
DEFINE_STEP_COLUMN(step_types, const char *, tc_step_type_name(step->type), tc_array_text)
DEFINE_STEP_COLUMN(trigger_rules, const char *, tc_trigger_rule_name(step->trigger_rule), tc_array_text)
DEFINE_STEP_COLUMN(conditions, const struct varlena *, step->condition, tc_array_jsonb)
DEFINE_STEP_COLUMN(unmet_fails, bool, step->unmet_fails, tc_array_bool)
DEFINE_STEP_COLUMN(delays, double, step->delay_seconds, tc_array_float8)
DEFINE_STEP_COLUMN(signal_names, const char *, step->signal_name, tc_array_text)
DEFINE_STEP_COLUMN(run_ats, const struct varlena *, step->run_at, tc_array_jsonb)
DEFINE_STEP_COLUMN(workflows, const struct varlena *, step->workflow, tc_array_jsonb)
DEFINE_STEP_COLUMN(signal_timeouts, double, step->signal_timeout, tc_array_float8)
DEFINE_STEP_COLUMN(timeout_rules, const char *, tc_timeout_rule_name(step->on_timeout), tc_array_text)
DEFINE_STEP_COLUMN(flow_limits, const struct varlena *, tc_flow_to_json(&step->flow), tc_array_jsonb)
DEFINE_STEP_COLUMN(map_overs, const struct varlena *, step->map_over, tc_array_jsonb)
DEFINE_STEP_COLUMN(batch_configs, const struct varlena *, step->batch_config, tc_array_jsonb)
DEFINE_STEP_COLUMN(parallelisms, int32, step->parallelism, tc_array_int32)
DEFINE_STEP_COLUMN(instance_failures, const char *, tc_failure_rule_name(step->instance_failure), tc_array_text)
DEFINE_STEP_COLUMN(result_schemas, const struct varlena *, step->result_schema, tc_array_jsonb)

static Datum
min_depths(const TcTemplate *template)
{
	int32	   *depths = palloc(sizeof(int32) * template->nsteps);

	tc_dag_min_depths(&template->dag, depths);
	return tc_array_int32(depths, template->nsteps);
}

static void
insert_steps(const TcTemplate *template, int32 named_task_id)
{
	Datum		values[] = {
		Int32GetDatum(named_task_id),
		names(template),
		queues(template),
		priorities(template),
		handler_classes(template),
		handler_methods(template),
		handler_resolvers(template),
		handler_configs(template),
		retryables(template),
		max_attempts(template),
		backoffs(template),
		backoff_bases(template),
		max_backoffs(template),
		jitters(template),
		timeouts(template),
		failure_rules(template),
		min_depths(template),
		result_schemas(template),
		step_types(template),
		trigger_rules(template),
		conditions(template),
		unmet_fails(template),
		delays(template),
		signal_names(template),
		signal_timeouts(template),
		timeout_rules(template),
		run_ats(template),
		workflows(template),
		flow_limits(template),
		map_overs(template),
		batch_configs(template),
		parallelisms(template),
		instance_failures(template),
	};

	tc_plan_run(&plan_insert_steps, values, NULL);
}

static void
insert_edges(const TcTemplate *template, int32 named_task_id)
{
	const TcDag *dag = &template->dag;
	int32	   *from = palloc(sizeof(int32) * Max(dag->nedges, 1));
	int32	   *to = palloc(sizeof(int32) * Max(dag->nedges, 1));
	Datum		values[3];

	if (dag->nedges == 0)
		return;
	for (int32 node = 0; node < dag->n; node++)
	{
		for (int32 i = dag->parent_start[node]; i < dag->parent_start[node + 1]; i++)
		{
			from[i] = dag->parents[i] + 1;
			to[i] = node + 1;
		}
	}
	values[0] = Int32GetDatum(named_task_id);
	values[1] = tc_array_int32(from, dag->nedges);
	values[2] = tc_array_int32(to, dag->nedges);
	tc_plan_run(&plan_insert_edges, values, NULL);
}

/* ---- reading back -------------------------------------------------------- */

struct varlena *
tc_template_definition(int32 named_task_id)
{
	Datum		values[] = {Int32GetDatum(named_task_id)};

	if (tc_plan_run(&plan_definition, values, NULL) != 1)
		tc_raise_corrupt_state("tasker.named_tasks", named_task_id,
							   "A template that was found does not exist.");
	return tc_row_varlena(0, 1);
}

int
tc_template_list(const char *namespace_name, TcTemplateSummary **summaries)
{
	Datum		values[] = {
		namespace_name == NULL ? (Datum) 0 : CStringGetTextDatum(namespace_name),
	};
	int			n = (int) tc_plan_run(&plan_list, values, namespace_name == NULL ? "n" : NULL);

	*summaries = MemoryContextAllocHuge(tc_session_caller_context(),
										sizeof(TcTemplateSummary) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcTemplateSummary *summary = &(*summaries)[i];

		summary->named_task_id = tc_row_int32(i, 1);
		summary->namespace_name = tc_row_text(i, 2);
		summary->name = tc_row_text(i, 3);
		summary->version = tc_row_text(i, 4);
		summary->description = tc_row_text(i, 5);
		summary->step_count = tc_row_int32(i, 6);
		summary->created_at = tc_row_timestamptz(i, 7);
		summary->retired_at = tc_row_timestamptz(i, 8);
	}
	qsort(*summaries, n, sizeof(TcTemplateSummary), compare_summaries);
	return n;
}

/* By bytes, so that the order is the same under every locale. */
static int
compare_summaries(const void *a, const void *b)
{
	const TcTemplateSummary *left = a;
	const TcTemplateSummary *right = b;
	int			order = strcmp(left->namespace_name, right->namespace_name);

	if (order == 0)
		order = strcmp(left->name, right->name);
	if (order == 0)
		order = tc_version_compare(left->version, right->version);
	if (order == 0)
		order = left->named_task_id < right->named_task_id ? -1 : 1;
	return order;
}

int
tc_template_retire(const char *namespace_name, const char *name, const char *version, bool retired)
{
	const char *role = tc_session_acting_role() ? tc_session_acting_role() : tc_session_role();
	Datum		values[6] = {
		CStringGetTextDatum(namespace_name), CStringGetTextDatum(name), 0, BoolGetDatum(retired),
		TimestampTzGetDatum(tc_session_now()), CStringGetTextDatum(role)
	};
	char		nulls[6] = "      ";
	int			changed;

	values[2] = tc_text_or_null(version, &nulls[2]);
	changed = (int) tc_plan_run(&plan_retire, values, nulls);
	if (changed > 0)
		tc_cache_invalidate();
	return changed;
}
