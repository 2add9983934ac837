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

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "domain/priority.h"
#include "domain/template.h"
#include "store/access_store.h"
#include "store/lane_store.h"
#include "store/pause_store.h"
#include "store/plans.h"
#include "store/session.h"

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

/* The snapshot of a transaction would hide what others added since, and so would the cache. */
static TcPlan plan_load = {
	.sql =
	"SELECT l.lane_id, l.named_task_id, n.name, t.name, t.version, l.queue, l.task_priority, l.priority::int,"
	" EXISTS (SELECT FROM tasker.named_steps s WHERE s.named_task_id = l.named_task_id AND s.signal_name IS NOT NULL),"
	" EXISTS (SELECT FROM tasker.named_steps s WHERE s.named_task_id = l.named_task_id AND s.workflow IS NOT NULL),"
	" EXISTS (SELECT FROM tasker.named_steps s WHERE s.named_task_id = l.named_task_id AND s.queue = l.queue"
	"  AND s.flow_limits IS NOT NULL)"
	" FROM tasker.lanes l"
	" JOIN tasker.named_tasks t ON t.named_task_id = l.named_task_id"
	" JOIN tasker.task_namespaces n ON n.namespace_id = t.namespace_id"
	" ORDER BY l.priority DESC, l.lane_id",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
};

static char *
copy_text(uint64 row, int column, MemoryContext context)
{
	return MemoryContextStrdup(context, tc_row_text(row, column));
}

static void
read_lane(uint64 row, TcLane *lane, MemoryContext context)
{
	lane->lane_id = tc_row_int32(row, 1);
	lane->named_task_id = tc_row_int32(row, 2);
	lane->namespace_name = copy_text(row, 3, context);
	lane->task_name = copy_text(row, 4, context);
	lane->task_version = copy_text(row, 5, context);
	lane->queue = copy_text(row, 6, context);
	lane->task_priority = tc_row_int32(row, 7);
	lane->priority = (int16) tc_row_int32(row, 8);
	lane->waits = tc_row_bool(row, 9);
	lane->nests = tc_row_bool(row, 10);
	lane->paused = false;
	lane->limited = tc_row_bool(row, 11);
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
	fresh->n = (int) tc_plan_run(&plan_load, NULL, NULL);
	fresh->lanes = MemoryContextAllocHuge(context, sizeof(TcLane) * Max(fresh->n, 1));
	for (int i = 0; i < fresh->n; i++)
		read_lane(i, &fresh->lanes[i], context);
	fresh->nests = false;
	for (int i = 0; i < fresh->n; i++)
		fresh->nests = fresh->nests || fresh->lanes[i].nests;
	for (int i = 0; i < fresh->n; i++)
		fresh->lanes[i].paused = tc_is_paused(fresh->lanes[i].namespace_name, fresh->lanes[i].task_name);
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
