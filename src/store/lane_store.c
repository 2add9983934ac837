/*
 * lane_store.c
 *	  Lanes: what a claim can choose by, cached per backend.
 *
 * The cache lives in a child of TopMemoryContext and is rebuilt, as a whole,
 * when tc_cache_generation() moved on: somebody committed a new lane, a pause or a new
 * template, or a transaction of ours that had added one rolled back.  A stale
 * cache is freed at the next look-up after its bracket, never within one.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "domain/priority.h"
#include "domain/template.h"
#include "errors.h"
#include "store/access_store.h"
#include "store/direct.h"
#include "store/lane_store.h"
#include "store/pause_store.h"
#include "store/session.h"
#include "store/templates_table.h"

#define LANE_COLUMNS(X) X(lane_id) X(named_task_id) X(queue) X(task_priority) X(priority)

enum
{
#define X(name) LANE_##name,
	LANE_COLUMNS(X)
#undef X
};

/* So many lanes of a template and queue have a priority each; further ones have a band. */
#define EXACT_LANES 128

typedef struct LaneCache
{
	MemoryContext context;
	uint64		generation;
	int			n;
	TcLane	   *lanes;			/* highest priority first, then by id */
	bool		nests;			/* one of them does */
	int			nids;
	int		   *by_id;			/* lane_id -> position, -1 = none */
} LaneCache;

static LaneCache *cache = NULL;

static TcTable lanes_table = {
	.name = "lanes",
#define X(name) [LANE_##name] = #name,
	.columns = {LANE_COLUMNS(X)},
#undef X
};

/* ---- reading ------------------------------------------------------------- */

/* The snapshot of a transaction would hide what others added since, and so would the cache. */
static void
read_lanes(LaneCache *fresh)
{
	int			size = 64;
	TcScan		scan;

	fresh->n = 0;
	fresh->lanes = MemoryContextAllocZero(fresh->context, sizeof(TcLane) * size);
	tc_scan_begin(&scan, &lanes_table, "lanes_pkey", TC_LATEST, NULL, 0);
	while (tc_scan_next(&scan))
	{
		TcLane	   *lane;

		CHECK_FOR_INTERRUPTS();
		if (fresh->n == size)
		{
			size *= 2;
			fresh->lanes = repalloc_huge(fresh->lanes, sizeof(TcLane) * size);
		}
		lane = &fresh->lanes[fresh->n++];
		memset(lane, 0, sizeof(TcLane));
		lane->lane_id = tc_scan_int32(&scan, LANE_lane_id);
		lane->named_task_id = tc_scan_int32(&scan, LANE_named_task_id);
		lane->queue = tc_scan_text_in(&scan, LANE_queue, fresh->context);
		lane->task_priority = tc_scan_int32(&scan, LANE_task_priority);
		lane->priority = tc_scan_int16(&scan, LANE_priority);
	}
	tc_scan_end(&scan);
}

/* Scans that stay open from one template to the next. */
typedef struct TemplateScans
{
	TcScan		templates;
	TcScan		namespaces;
	TcScan		steps;
} TemplateScans;

static void
read_names(TemplateScans *scans, TcLane *lane, MemoryContext context)
{
	tc_templates_seek(&scans->templates, lane->named_task_id);
	if (!tc_scan_next(&scans->templates))
		tc_raise_corrupt_state("tasker.lanes", lane->lane_id, "Its template does not exist.");
	tc_namespaces_seek(&scans->namespaces, tc_scan_int32(&scans->templates, TC_TEMPLATE_COLUMN_namespace_id));
	if (!tc_scan_next(&scans->namespaces))
		tc_raise_corrupt_state("tasker.named_tasks", lane->named_task_id, "Its namespace does not exist.");
	lane->namespace_name = tc_scan_text_in(&scans->namespaces, TC_NAMESPACE_COLUMN_name, context);
	lane->task_name = tc_scan_text_in(&scans->templates, TC_TEMPLATE_COLUMN_name, context);
	lane->task_version = tc_scan_text_in(&scans->templates, TC_TEMPLATE_COLUMN_version, context);
	lane->paused = tc_is_paused(lane->namespace_name, lane->task_name);
}

static void
add_step(TcScan *step, TcLane *lanes, int n)
{
	bool		waits = !tc_scan_isnull(step, TC_TEMPLATE_STEP_signal_name);
	bool		nests = !tc_scan_isnull(step, TC_TEMPLATE_STEP_workflow);
	bool		limited = !tc_scan_isnull(step, TC_TEMPLATE_STEP_flow_limits);
	char	   *queue;

	if (!waits && !nests && !limited)
		return;
	queue = tc_scan_text_in(step, TC_TEMPLATE_STEP_queue, CurrentMemoryContext);

	for (int i = 0; i < n; i++)
	{
		lanes[i].waits = lanes[i].waits || waits;
		lanes[i].nests = lanes[i].nests || nests;
		lanes[i].limited = lanes[i].limited || (limited && strcmp(queue, lanes[i].queue) == 0);
	}
	pfree(queue);
}

/* What the lanes of one template have from it. */
static void
read_template(TemplateScans *scans, TcLane *lanes, int n, MemoryContext context)
{
	read_names(scans, &lanes[0], context);
	for (int i = 1; i < n; i++)
	{
		lanes[i].namespace_name = lanes[0].namespace_name;
		lanes[i].task_name = lanes[0].task_name;
		lanes[i].task_version = lanes[0].task_version;
		lanes[i].paused = lanes[0].paused;
	}
	tc_template_steps_seek(&scans->steps, lanes[0].named_task_id);
	while (tc_scan_next(&scans->steps))
	{
		CHECK_FOR_INTERRUPTS();
		add_step(&scans->steps, lanes, n);
	}
}

static int
compare_templates(const void *a, const void *b)
{
	const TcLane *x = a;
	const TcLane *y = b;

	return x->named_task_id != y->named_task_id ? (x->named_task_id < y->named_task_id ? -1 : 1) : 0;
}

static void
read_templates(LaneCache *fresh)
{
	TemplateScans scans = {0};
	int			end;

	qsort(fresh->lanes, fresh->n, sizeof(TcLane), compare_templates);
	for (int start = 0; start < fresh->n; start = end)
	{
		for (end = start + 1; end < fresh->n; end++)
		{
			if (compare_templates(&fresh->lanes[start], &fresh->lanes[end]) != 0)
				break;
		}
		read_template(&scans, &fresh->lanes[start], end - start, fresh->context);
	}
	tc_scan_end(&scans.steps);
	tc_scan_end(&scans.namespaces);
	tc_scan_end(&scans.templates);
}

/* ---- the cache ----------------------------------------------------------- */

/* Highest priority first. */
static int
compare_lanes(const void *a, const void *b)
{
	const TcLane *x = a;
	const TcLane *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return x->lane_id < y->lane_id ? -1 : 1;
}

static void
index_by_id(LaneCache *fresh)
{
	fresh->nids = 0;
	for (int i = 0; i < fresh->n; i++)
		fresh->nids = Max(fresh->nids, fresh->lanes[i].lane_id + 1);
	fresh->by_id = MemoryContextAlloc(fresh->context, sizeof(int) * Max(fresh->nids, 1));
	for (int id = 0; id < fresh->nids; id++)
		fresh->by_id[id] = -1;
	for (int i = 0; i < fresh->n; i++)
		fresh->by_id[fresh->lanes[i].lane_id] = i;
}

static LaneCache *
load_cache(void)
{
	uint64		generation = tc_cache_generation();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tasker_core lanes",
												  ALLOCSET_DEFAULT_SIZES);
	LaneCache  *fresh = MemoryContextAlloc(context, sizeof(LaneCache));

	fresh->context = context;
	fresh->generation = generation;
	read_lanes(fresh);
	read_templates(fresh);
	qsort(fresh->lanes, fresh->n, sizeof(TcLane), compare_lanes);
	fresh->nests = false;
	for (int i = 0; i < fresh->n; i++)
		fresh->nests = fresh->nests || fresh->lanes[i].nests;
	index_by_id(fresh);
	return fresh;
}

/*
 * Complete before it is kept: an error while loading leaves the old cache.  The
 * old one goes with the outermost caller's context, since a lane of it may still
 * be in use.
 */
static LaneCache *
reload_cache(void)
{
	LaneCache  *fresh = load_cache();

	if (cache != NULL)
		MemoryContextSetParent(cache->context, tc_session_outermost_context());
	MemoryContextSetParent(fresh->context, TopMemoryContext);
	cache = fresh;
	return cache;
}

static LaneCache *
current_cache(void)
{
	if (cache != NULL && cache->generation == tc_cache_generation())
		return cache;
	return reload_cache();
}

static const TcLane *
find_lane(const LaneCache *lanes, int32 id)
{
	return id >= lanes->nids || lanes->by_id[id] < 0 ? NULL : &lanes->lanes[lanes->by_id[id]];
}

const TcLane *
tc_lane_get(int32 lane_id)
{
	int32		id = abs(lane_id);
	const TcLane *lane = find_lane(current_cache(), id);

	/* one that this very call added is not known yet */
	if (lane == NULL)
		lane = find_lane(reload_cache(), id);
	if (lane == NULL)
		elog(ERROR, "lane %d does not exist", id);
	return lane;
}

static TcPlan plan_add = {
	.sql =
	"INSERT INTO tasker.lanes (named_task_id, queue, task_priority, priority)"
	" VALUES ($1, $2, $3, $4) RETURNING lane_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 4,
	.argtypes = {INT4OID, TEXTOID, INT4OID, INT2OID},
};

static int32
add_lane(int32 named_task_id, const char *queue, int32 task_priority, int16 priority)
{
	Datum		values[4] = {
		Int32GetDatum(named_task_id), CStringGetTextDatum(queue),
		Int32GetDatum(task_priority), Int16GetDatum(priority)
	};
	int32		lane_id;

	tc_plan_run(&plan_add, values, NULL);
	lane_id = tc_row_int32(0, 1);
	tc_cache_invalidate();
	return lane_id;
}

/* NULL when there is none; *siblings is how many lanes the template and queue have. */
static const TcLane *
look_for_lane(int32 named_task_id, const char *queue, int32 task_priority, int16 priority, int *siblings)
{
	LaneCache  *lanes = current_cache();

	*siblings = 0;
	for (int i = 0; i < lanes->n; i++)
	{
		const TcLane *lane = &lanes->lanes[i];

		if (lane->named_task_id != named_task_id || strcmp(lane->queue, queue) != 0)
			continue;
		if (lane->priority == priority && lane->task_priority == task_priority)
			return lane;
		(*siblings)++;
	}
	return NULL;
}

/*
 * A claim looks at every lane it serves, so there must not be one for each task:
 * when a template and queue have many, further priorities share bands.
 */
int32
tc_lane_for(int32 named_task_id, const char *queue, int32 task_priority, int32 step_priority)
{
	int16		priority = (int16) tc_priority_of_step(task_priority, step_priority);
	int			siblings;
	const TcLane *lane = look_for_lane(named_task_id, queue, task_priority, priority, &siblings);

	if (lane == NULL && siblings >= EXACT_LANES)
	{
		task_priority = tc_priority_band(task_priority);
		priority = (int16) tc_priority_band(tc_priority_of_step(task_priority, step_priority));
		lane = look_for_lane(named_task_id, queue, task_priority, priority, &siblings);
	}
	return lane != NULL ? lane->lane_id : add_lane(named_task_id, queue, task_priority, priority);
}

/* ---- choosing ------------------------------------------------------------ */

static bool
is_listed(const char *name, char *const *list, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

/*
 * "namespace/name" or "namespace/name@version": a namespace has no slash and a
 * name no @, so the first of each splits it.
 */
static bool
matches_task_name(const TcLane *lane, const char *wanted)
{
	size_t		namespace_length = strlen(lane->namespace_name);
	size_t		name_length = strlen(lane->task_name);

	if (strncmp(wanted, lane->namespace_name, namespace_length) != 0 ||
		wanted[namespace_length] != '/')
		return false;
	wanted += namespace_length + 1;
	if (strncmp(wanted, lane->task_name, name_length) != 0)
		return false;
	wanted += name_length;
	return *wanted == '\0' || (*wanted == '@' && strcmp(wanted + 1, lane->task_version) == 0);
}

bool
tc_lane_matches(const TcLane *lane, const TcLaneFilter *filter)
{
	if (filter->namespaces && !is_listed(lane->namespace_name, filter->namespaces, filter->nnamespaces))
		return false;
	if (filter->queues == NULL && !filter->with_sql && tc_queue_is_sql(lane->queue))
		return false;
	if (filter->queues && !is_listed(lane->queue, filter->queues, filter->nqueues))
		return false;
	if (filter->task_names == NULL)
		return true;
	for (int i = 0; i < filter->ntask_names; i++)
	{
		if (matches_task_name(lane, filter->task_names[i]))
			return true;
	}
	return false;
}

bool
tc_lanes_have_sql(void)
{
	LaneCache  *all = current_cache();

	for (int i = 0; i < all->n; i++)
	{
		if (tc_queue_is_sql(all->lanes[i].queue))
			return true;
	}
	return false;
}

int
tc_lane_select(const TcLaneFilter *filter, const TcLane ***lanes)
{
	LaneCache  *all = current_cache();
	int			n = 0;

	*lanes = palloc(sizeof(TcLane *) * Max(all->n, 1));
	for (int i = 0; i < all->n; i++)
	{
		if (!all->lanes[i].paused && tc_lane_matches(&all->lanes[i], filter) &&
			tc_scope_has_namespace(all->lanes[i].namespace_name))
			(*lanes)[n++] = &all->lanes[i];
	}
	return n;
}

bool
tc_lanes_nest(void)
{
	return current_cache()->nests;
}
