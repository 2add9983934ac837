/*
 * plans.c
 *	  Statements prepared once per backend and run through SPI.
 *
 * Plans are generic, and made for large tables whatever the tables hold just
 * now.  Our statements reach every row by key, and a plan is kept until the
 * statistics change; made while the queue is empty, it may well be a sequential
 * scan, a hash join or the wrong index, which turns a claim of microseconds into
 * one of seconds just when the load is high.  Reports, which read whole tables,
 * are left to the planner.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "jit/jit.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/store_init.h"

/* What the planner is told of every table that a statement of ours reads. */
#define ASSUMED_TUPLES 1e7
#define ASSUMED_PAGES 2e5
#define ASSUMED_INDEX_PAGES 5e4
#define ASSUMED_INDEX_HEIGHT 2

static planner_hook_type previous_planner = NULL;
static get_relation_info_hook_type previous_relation_info = NULL;

/* True while a statement of ours runs; the end of the (sub)transaction resets it after an error. */
static bool plan_for_large_tables = false;

/*
 * The row whose columns were asked for last, taken apart: each column by itself
 * would be looked for from the beginning of the row.  A new statement forgets it.
 */
static struct
{
	SPITupleTable *table;
	uint64		row;
	Datum		values[TC_PLAN_MAX_COLUMNS];
	bool		nulls[TC_PLAN_MAX_COLUMNS];
}			row_at_hand;

static void
plan_prepare(TcPlan *plan)
{
	SPIPlanPtr	prepared;

	prepared = SPI_prepare_cursor(plan->sql, plan->nargs, plan->argtypes,
								  plan->kind == TC_REPORT ? CURSOR_OPT_CUSTOM_PLAN
								  : CURSOR_OPT_GENERIC_PLAN);
	if (prepared == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", plan->sql,
			 SPI_result_code_string(SPI_result));
	if (SPI_keepplan(prepared) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", plan->sql);
	plan->plan = prepared;
}

uint64
tc_plan_run(TcPlan *plan, Datum *values, const char *nulls)
{
	MemoryContext caller = CurrentMemoryContext;
	int			result;

	Assert(plan->nargs <= TC_PLAN_MAX_ARGS);

	row_at_hand.table = NULL;
	plan_for_large_tables = plan->kind != TC_REPORT;
	if (plan->plan == NULL)
		plan_prepare(plan);
	if (plan->kind == TC_LATEST)
		result = SPI_execute_snapshot(plan->plan, values, nulls, GetLatestSnapshot(),
									  InvalidSnapshot, false, true, 0);
	else
		result = SPI_execute_plan(plan->plan, values, nulls, plan->kind != TC_WRITE, 0);
	plan_for_large_tables = false;
	MemoryContextSwitchTo(caller);	/* SPI leaves us in a context of its own */

	if (result != plan->expect)
		elog(ERROR, "unexpected result of \"%s\": %s", plan->sql,
			 SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * The planner reads these settings as plain variables, so no setting of the
 * session changes, and nothing has to be undone but the values.  No JIT: for
 * the size the planner assumes it would compile statements of a few rows, at
 * 50 ms each.
 */
static PlannedStmt *
plan_by_index(Query *parse, const char *query_string, int cursor_options,
			  ParamListInfo bound_params)
{
	bool		seqscan = enable_seqscan;
	bool		hashjoin = enable_hashjoin;
	bool		mergejoin = enable_mergejoin;
	bool		bitmapscan = enable_bitmapscan;
	bool		jit = jit_enabled;
	PlannedStmt *result;

	PG_TRY();
	{
		enable_seqscan = enable_hashjoin = enable_mergejoin = enable_bitmapscan = false;
		jit_enabled = false;
		if (previous_planner)
			result = previous_planner(parse, query_string, cursor_options, bound_params);
		else
			result = standard_planner(parse, query_string, cursor_options, bound_params);
	}
	PG_FINALLY();
	{
		enable_seqscan = seqscan;
		enable_hashjoin = hashjoin;
		enable_mergejoin = mergejoin;
		enable_bitmapscan = bitmapscan;
		jit_enabled = jit;
	}
	PG_END_TRY();
	return result;
}

static void
plans_relation_info(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	ListCell   *cell;

	if (previous_relation_info)
		previous_relation_info(root, relid, inhparent, rel);
	if (!plan_for_large_tables)
		return;
	rel->pages = ASSUMED_PAGES;
	rel->tuples = ASSUMED_TUPLES;
	rel->allvisfrac = 0;
	foreach(cell, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		index->pages = ASSUMED_INDEX_PAGES;
		index->tuples = ASSUMED_TUPLES;
		index->tree_height = ASSUMED_INDEX_HEIGHT;
	}
}

static PlannedStmt *
plans_planner(Query *parse, const char *query_string, int cursor_options,
			  ParamListInfo bound_params)
{
	if (plan_for_large_tables)
		return plan_by_index(parse, query_string, cursor_options, bound_params);
	if (previous_planner)
		return previous_planner(parse, query_string, cursor_options, bound_params);
	return standard_planner(parse, query_string, cursor_options, bound_params);
}

void
tc_plans_init(void)
{
	previous_planner = planner_hook;
	planner_hook = plans_planner;
	previous_relation_info = get_relation_info_hook;
	get_relation_info_hook = plans_relation_info;
}

void
tc_plans_reset(void)
{
	plan_for_large_tables = false;
}

/* ---- rows ---------------------------------------------------------------- */

Datum
tc_row_datum(uint64 row, int column, bool *isnull)
{
	if (row_at_hand.table != SPI_tuptable || row_at_hand.row != row)
	{
		Assert(SPI_tuptable->tupdesc->natts <= TC_PLAN_MAX_COLUMNS);
		heap_deform_tuple(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, row_at_hand.values,
						  row_at_hand.nulls);
		row_at_hand.table = SPI_tuptable;
		row_at_hand.row = row;
	}
	*isnull = row_at_hand.nulls[column - 1];
	return row_at_hand.values[column - 1];
}

/* For columns that a statement of ours never returns as NULL. */
static Datum
row_value(uint64 row, int column)
{
	bool		isnull;
	Datum		value = tc_row_datum(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

bool
tc_row_isnull(uint64 row, int column)
{
	bool		isnull;

	(void) tc_row_datum(row, column, &isnull);
	return isnull;
}

int16
tc_row_int16(uint64 row, int column)
{
	return DatumGetInt16(row_value(row, column));
}

int64
tc_row_int64(uint64 row, int column)
{
	return DatumGetInt64(row_value(row, column));
}

int32
tc_row_int32(uint64 row, int column)
{
	return DatumGetInt32(row_value(row, column));
}

bool
tc_row_bool(uint64 row, int column)
{
	return DatumGetBool(row_value(row, column));
}

char
tc_row_char(uint64 row, int column)
{
	return DatumGetChar(row_value(row, column));
}

double
tc_row_float8(uint64 row, int column)
{
	return DatumGetFloat8(row_value(row, column));
}

TimestampTz
tc_row_timestamptz(uint64 row, int column)
{
	bool		isnull;
	Datum		value = tc_row_datum(row, column, &isnull);

	return isnull ? TC_NO_TIME : DatumGetTimestampTz(value);
}

char *
tc_row_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = tc_row_datum(row, column, &isnull);
	MemoryContext old;
	char	   *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(tc_session_caller_context());
	copy = TextDatumGetCString(value);
	MemoryContextSwitchTo(old);
	return copy;
}

struct varlena *
tc_row_varlena(uint64 row, int column)
{
	bool		isnull;
	Datum		value = tc_row_datum(row, column, &isnull);
	MemoryContext old;
	struct varlena *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(tc_session_caller_context());
	copy = PG_DETOAST_DATUM_COPY(value);
	MemoryContextSwitchTo(old);
	return copy;
}

void *
tc_row_fixed(uint64 row, int column, size_t size)
{
	bool		isnull;
	Datum		value = tc_row_datum(row, column, &isnull);
	void	   *copy;

	if (isnull)
		return NULL;
	copy = MemoryContextAlloc(tc_session_caller_context(), size);
	memcpy(copy, DatumGetPointer(value), size);
	return copy;
}

Datum
tc_row_copy(uint64 row, int column, bool *isnull)
{
	Form_pg_attribute attribute = TupleDescAttr(SPI_tuptable->tupdesc, column - 1);
	Datum		value = tc_row_datum(row, column, isnull);
	MemoryContext old;

	if (*isnull)
		return (Datum) 0;
	old = MemoryContextSwitchTo(tc_session_caller_context());
	value = datumCopy(value, attribute->attbyval, attribute->attlen);
	MemoryContextSwitchTo(old);
	return value;
}

/* ---- parameters -------------------------------------------------------------- */

Datum
tc_text_or_null(const char *value, char *isnull)
{
	*isnull = value == NULL ? 'n' : ' ';
	return value == NULL ? (Datum) 0 : CStringGetTextDatum(value);
}

static Datum
array_of(Datum *datums, bool *nulls, int n, Oid type, int16 len, bool byval, char align)
{
	int			dims[1] = {n};
	int			lower[1] = {1};

	if (n == 0)
		return PointerGetDatum(construct_empty_array(type));
	return PointerGetDatum(construct_md_array(datums, nulls, 1, dims, lower,
											  type, len, byval, align));
}

#define DEFINE_FIXED_ARRAY(name, ctype, todatum, type, len, align) \
Datum \
name(const ctype *values, int n) \
{ \
	Datum	   *datums = palloc(sizeof(Datum) * Max(n, 1)); \
 \
	for (int i = 0; i < n; i++) \
		datums[i] = todatum(values[i]); \
	return array_of(datums, NULL, n, type, len, true, align); \
}

DEFINE_FIXED_ARRAY(tc_array_int64, int64, Int64GetDatum, INT8OID, 8, TYPALIGN_DOUBLE)
DEFINE_FIXED_ARRAY(tc_array_int32, int32, Int32GetDatum, INT4OID, 4, TYPALIGN_INT)
DEFINE_FIXED_ARRAY(tc_array_bool, bool, BoolGetDatum, BOOLOID, 1, TYPALIGN_CHAR)
DEFINE_FIXED_ARRAY(tc_array_float8, double, Float8GetDatum, FLOAT8OID, 8, TYPALIGN_DOUBLE)
DEFINE_FIXED_ARRAY(tc_array_char, char, CharGetDatum, CHAROID, 1, TYPALIGN_CHAR)
DEFINE_FIXED_ARRAY(tc_array_timestamptz, TimestampTz, TimestampTzGetDatum,
				   TIMESTAMPTZOID, 8, TYPALIGN_DOUBLE)

Datum
tc_array_text(const char *const *values, int n)
{
	Datum	   *datums = palloc0(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = values[i] == NULL;
		if (!nulls[i])
			datums[i] = CStringGetTextDatum(values[i]);
	}
	return array_of(datums, nulls, n, TEXTOID, -1, false, TYPALIGN_INT);
}

Datum
tc_array_jsonb(const struct varlena *const *values, int n)
{
	Datum	   *datums = palloc0(sizeof(Datum) * Max(n, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(n, 1));

	for (int i = 0; i < n; i++)
	{
		nulls[i] = values[i] == NULL;
		datums[i] = PointerGetDatum(values[i]);
	}
	return array_of(datums, nulls, n, JSONBOID, -1, false, TYPALIGN_INT);
}
