/*
 * ready_store.c
 *	  What is ready to be claimed, for people who look: nothing is locked.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "store/claim_store.h"
#include "store/plans.h"
#include "store/ready_store.h"
#include "store/step_store.h"

/* How many steps are looked at first, per task that is wanted; then four times as many. */
#define STEPS_PER_TASK 4

/*
 * Many steps of one task may stand in front of the next task's, so the window
 * of $4 steps is widened until it holds enough tasks.  It is a prefix of the
 * order of claims, so the tasks in it come in their order too.
 */
static TcPlan plan_tasks = {
	.sql =
	"WITH ready AS MATERIALIZED ("
	" SELECT c.task_id, l.priority, c.visible_at"
	" FROM unnest($2::int[], $3::int[]) AS l(lane_id, priority)"
	" CROSS JOIN (VALUES ('r'::\"char\"), ('c')) AS p(phase)"
	" CROSS JOIN LATERAL ("
	"  SELECT q.task_id, q.step_no, q.visible_at FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = p.phase"
	"   AND " TC_IN_CLAIM_INDEX " AND q.visible_at <= $5"
	"   AND NOT " TC_EXHAUSTED
	"  ORDER BY q.visible_at, q.task_id, q.step_no LIMIT $4) c"
	" ORDER BY l.priority DESC, c.visible_at, c.task_id, c.step_no LIMIT $4),"
	"front AS ("
	" SELECT DISTINCT ON (r.task_id) r.task_id, r.priority, r.visible_at"
	" FROM ready r ORDER BY r.task_id, r.priority DESC, r.visible_at)"
	"SELECT f.task_id, f.priority, f.visible_at, n.steps, (SELECT count(*) FROM ready)"
	" FROM (SELECT * FROM front ORDER BY priority DESC, visible_at, task_id LIMIT $6) f"
	" CROSS JOIN LATERAL ("
	"  SELECT count(*) AS steps FROM tasker.step_queue q"
	"  WHERE q.task_id = f.task_id AND q.shard_key = $1 AND q.phase IN ('r', 'c')"
	"   AND q.visible_at <= $5 AND NOT " TC_EXHAUSTED ") n"
	" ORDER BY f.priority DESC, f.visible_at, f.task_id",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 6,
	.argtypes = {INT4OID, INT4ARRAYOID, INT4ARRAYOID, INT8OID, TIMESTAMPTZOID, INT8OID},
};

static void
bind_lanes(Datum *values, const TcLane **lanes, int nlanes)
{
	int32	   *lane_ids = palloc(sizeof(int32) * Max(nlanes, 1));
	int32	   *priorities = palloc(sizeof(int32) * Max(nlanes, 1));

	for (int i = 0; i < nlanes; i++)
	{
		lane_ids[i] = lanes[i]->lane_id;
		priorities[i] = lanes[i]->priority;
	}
	values[0] = tc_array_int32(lane_ids, nlanes);
	values[1] = tc_array_int32(priorities, nlanes);
}

int
tc_ready_tasks(int32 shard_key, const TcLane **lanes, int nlanes, int max_tasks,
			   TcReadyTask **tasks)
{
	int64		window = (int64) max_tasks * STEPS_PER_TASK;
	Datum		values[6];
	int			count;

	values[0] = Int32GetDatum(shard_key);
	bind_lanes(values + 1, lanes, nlanes);
	values[4] = TimestampTzGetDatum(tc_session_now());
	values[5] = Int64GetDatum(max_tasks);
	for (;; window *= 4)
	{
		CHECK_FOR_INTERRUPTS();
		values[3] = Int64GetDatum(window);
		count = (int) tc_plan_run(&plan_tasks, values, NULL);
		if (count == max_tasks || count == 0 || tc_row_int64(0, 5) < window)
			break;
	}
	*tasks = palloc(sizeof(TcReadyTask) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		TcReadyTask *task = &(*tasks)[i];

		task->task_id = tc_row_int64(i, 1);
		task->priority = tc_row_int32(i, 2);
		task->oldest_ready_at = tc_row_timestamptz(i, 3);
		task->ready_steps = tc_row_int64(i, 4);
	}
	return count;
}

/*
 * All of what is ready in lanes of higher priority ($4), and what has been
 * ready for longer in those of the same.
 */
static TcPlan plan_position = {
	.sql =
	"SELECT count(*), count(*) FILTER (WHERE b.priority > $4) FROM ("
	" SELECT l.priority"
	" FROM unnest($2::int[], $3::int[]) AS l(lane_id, priority)"
	" CROSS JOIN (VALUES ('r'::\"char\"), ('c')) AS p(phase)"
	" CROSS JOIN LATERAL ("
	"  SELECT FROM tasker.step_queue q"
	"  WHERE q.shard_key = $1 AND q.lane_id = l.lane_id AND q.phase = p.phase AND " TC_IN_CLAIM_INDEX
	"   AND q.visible_at <= CASE WHEN l.priority > $4 THEN $8 ELSE $5 END"
	"   AND (l.priority > $4 OR (q.visible_at, q.task_id, q.step_no) < ($5, $6, $7))"
	"   AND NOT " TC_EXHAUSTED
	"  LIMIT $9) q"
	" WHERE l.priority >= $4 LIMIT $9) b",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
	.nargs = 9,
	.argtypes = {INT4OID, INT4ARRAYOID, INT4ARRAYOID, INT4OID, TIMESTAMPTZOID, INT8OID, INT4OID,
		TIMESTAMPTZOID, INT8OID},
};

TcQueuePosition
tc_ready_position(const TcLane **lanes, int nlanes, const TcLane *own_lane,
				  TcStepKey key, TimestampTz visible_at, int64 limit)
{
	TcQueuePosition position;
	Datum		values[9];

	values[0] = Int32GetDatum(tc_shard_key(key.task_id));
	bind_lanes(values + 1, lanes, nlanes);
	values[3] = Int32GetDatum(own_lane->priority);
	values[4] = TimestampTzGetDatum(visible_at);
	values[5] = Int64GetDatum(key.task_id);
	values[6] = Int32GetDatum(key.step_no);
	values[7] = TimestampTzGetDatum(tc_session_now());
	values[8] = Int64GetDatum(limit);
	tc_plan_run(&plan_position, values, NULL);
	position.before = tc_row_int64(0, 1);
	position.of_higher_priority = tc_row_int64(0, 2);
	return position;
}
