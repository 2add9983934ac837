/*
 * pause_store.c
 *	  Namespaces and templates that are paused.
 *
 * The cache holds what is paused now, which is next to nothing.  Like that of the
 * lanes it is rebuilt as a whole when tc_cache_generation() moved on.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "store/pause_store.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/templates_table.h"

typedef struct PausedName
{
	const char *namespace_name;
	const char *task_name;		/* NULL = the whole namespace */
} PausedName;

typedef struct PauseCache
{
	MemoryContext context;
	uint64		generation;
	int			n;
	PausedName *names;
} PauseCache;

static PauseCache *cache = NULL;

enum
{
	PAUSE_namespace_id, PAUSE_task_name
};

static TcTable pauses_table = {
	.name = "pauses",
	.columns = {"namespace_id", "task_name"},
};

static void
read_pause(TcScan *pauses, TcScan *namespaces, PausedName *name, MemoryContext context)
{
	tc_namespaces_seek(namespaces, tc_scan_int32(pauses, PAUSE_namespace_id));
	if (!tc_scan_next(namespaces))
		elog(ERROR, "a namespace that is paused does not exist");
	name->namespace_name = tc_scan_text_in(namespaces, TC_NAMESPACE_COLUMN_name, context);
	name->task_name = tc_scan_text_in(pauses, PAUSE_task_name, context);
}

/* The index holds what is paused now. */
static void
read_current(PauseCache *fresh)
{
	int			size = 8;
	TcScan		pauses;
	TcScan		namespaces = {0};

	fresh->n = 0;
	fresh->names = MemoryContextAlloc(fresh->context, sizeof(PausedName) * size);
	tc_scan_begin(&pauses, &pauses_table, "pauses_current_idx", TC_LATEST, NULL, 0);
	while (tc_scan_next(&pauses))
	{
		CHECK_FOR_INTERRUPTS();
		if (fresh->n == size)
		{
			size *= 2;
			fresh->names = repalloc(fresh->names, sizeof(PausedName) * size);
		}
		read_pause(&pauses, &namespaces, &fresh->names[fresh->n++], fresh->context);
	}
	tc_scan_end(&namespaces);
	tc_scan_end(&pauses);
}

static PauseCache *
load_cache(void)
{
	uint64		generation = tc_cache_generation();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tasker_core pauses",
												  ALLOCSET_SMALL_SIZES);
	PauseCache *fresh = MemoryContextAlloc(context, sizeof(PauseCache));

	fresh->context = context;
	fresh->generation = generation;
	read_current(fresh);
	return fresh;
}

/* Complete before it is kept: an error while loading leaves the old one. */
static const PauseCache *
current_cache(void)
{
	PauseCache *fresh;

	if (cache != NULL && cache->generation == tc_cache_generation())
		return cache;
	fresh = load_cache();
	if (cache != NULL)
		MemoryContextDelete(cache->context);
	MemoryContextSetParent(fresh->context, TopMemoryContext);
	cache = fresh;
	return cache;
}

bool
tc_is_paused(const char *namespace_name, const char *task_name)
{
	const PauseCache *paused = current_cache();

	for (int i = 0; i < paused->n; i++)
	{
		const PausedName *name = &paused->names[i];

		if (strcmp(name->namespace_name, namespace_name) == 0 &&
			(name->task_name == NULL || strcmp(name->task_name, task_name) == 0))
			return true;
	}
	return false;
}

/* ---- beginning and ending ------------------------------------------------ */

/* Of several sessions that pause the same at one time, one does. */
static TcPlan plan_begin = {
	.sql =
	"INSERT INTO tasker.pauses (namespace_id, task_name, paused_at, paused_by, paused_as, reason)"
	" SELECT n.namespace_id, $2, $3, $4, $5, $6 FROM tasker.task_namespaces n WHERE n.name = $1"
	" ON CONFLICT DO NOTHING",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID},
};

static TcPlan plan_end = {
	.sql =
	"UPDATE tasker.pauses p SET resumed_at = $3, resumed_by = $4, resumed_as = $5, resume_reason = $6"
	" FROM tasker.task_namespaces n"
	" WHERE n.name = $1 AND p.namespace_id = n.namespace_id AND p.task_name IS NOT DISTINCT FROM $2"
	"  AND p.resumed_at IS NULL",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 6,
	.argtypes = {TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID},
};

static bool
write_pause(TcPlan *plan, const char *namespace_name, const char *task_name, const char *reason)
{
	char		nulls[7] = "      ";
	Datum		values[6] = {
		CStringGetTextDatum(namespace_name), tc_text_or_null(task_name, &nulls[1]),
		TimestampTzGetDatum(tc_session_now()), CStringGetTextDatum(tc_session_role()),
		tc_text_or_null(tc_session_acting_role(), &nulls[4]), tc_text_or_null(reason, &nulls[5])
	};

	if (tc_plan_run(plan, values, nulls) == 0)
		return false;
	tc_cache_invalidate();
	return true;
}

bool
tc_pause_begin(const char *namespace_name, const char *task_name, const char *reason)
{
	return write_pause(&plan_begin, namespace_name, task_name, reason);
}

bool
tc_pause_end(const char *namespace_name, const char *task_name, const char *reason)
{
	return write_pause(&plan_end, namespace_name, task_name, reason);
}

static TcPlan plan_namespace = {
	.sql = "SELECT 1 FROM tasker.task_namespaces n WHERE n.name = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

bool
tc_namespace_exists(const char *namespace_name)
{
	Datum		values[1] = {CStringGetTextDatum(namespace_name)};

	return tc_plan_run(&plan_namespace, values, NULL) > 0;
}

/* ---- reading ------------------------------------------------------------- */

#define COLUMNS \
	"SELECT n.name, p.task_name, p.paused_at, coalesce(p.paused_as, p.paused_by), p.reason, p.resumed_at," \
	" coalesce(p.resumed_as, p.resumed_by), p.resume_reason" \
	" FROM tasker.pauses p JOIN tasker.task_namespaces n ON n.namespace_id = p.namespace_id"

static TcPlan plan_of = {
	.sql =
	COLUMNS " WHERE n.name = $1 AND (p.task_name IS NULL OR p.task_name = $2) AND p.resumed_at IS NULL"
	" ORDER BY p.task_name NULLS FIRST",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

static TcPlan plan_list = {
	.sql = COLUMNS " WHERE $1 IS NULL OR n.name = $1 ORDER BY p.pause_id DESC",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

static int
read_pauses(int n, TcPause **pauses)
{
	*pauses = MemoryContextAlloc(tc_session_caller_context(), sizeof(TcPause) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcPause    *pause = &(*pauses)[i];

		pause->namespace_name = tc_row_text(i, 1);
		pause->task_name = tc_row_text(i, 2);
		pause->paused_at = tc_row_timestamptz(i, 3);
		pause->paused_by = tc_row_text(i, 4);
		pause->reason = tc_row_text(i, 5);
		pause->resumed_at = tc_row_timestamptz(i, 6);
		pause->resumed_by = tc_row_text(i, 7);
		pause->resume_reason = tc_row_text(i, 8);
	}
	return n;
}

int
tc_pauses_of(const char *namespace_name, const char *task_name, TcPause **pauses)
{
	Datum		values[2] = {CStringGetTextDatum(namespace_name), CStringGetTextDatum(task_name)};

	return read_pauses((int) tc_plan_run(&plan_of, values, NULL), pauses);
}

int
tc_pauses_list(const char *namespace_name, TcPause **pauses)
{
	char		nulls[2] = " ";
	Datum		values[1] = {tc_text_or_null(namespace_name, &nulls[0])};

	return read_pauses((int) tc_plan_run(&plan_list, values, nulls), pauses);
}
