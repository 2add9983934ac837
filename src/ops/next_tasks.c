/*
 * next_tasks.c
 *	  Which tasks would be worked on next.
 */
#include "postgres.h"

#include "compat.h"
#include "ops/graph.h"

/* As claims: the highest priority first, then the one that has been ready for longest. */
static int
compare_order_of_claims(const void *a, const void *b)
{
	const TcReadyTask *x = a;
	const TcReadyTask *y = b;

	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	if (x->oldest_ready_at != y->oldest_ready_at)
		return x->oldest_ready_at < y->oldest_ready_at ? -1 : 1;
	return x->task_id < y->task_id ? -1 : x->task_id > y->task_id;
}

/* The first of all shards are among the first of each. */
int
tc_next_ready_tasks(int max_tasks, TcReadyTask **tasks)
{
	TcLaneFilter everything = {.with_sql = true};
	const TcLane **lanes;
	int			nlanes = tc_lane_select(&everything, &lanes);
	int			nshards = tc_shard_count();
	int			n = 0;

	*tasks = NULL;
	if (max_tasks == 0 || nlanes == 0)
		return 0;
	for (int32 shard = 0; shard < nshards; shard++)
	{
		TcReadyTask *found;
		int			count = tc_ready_tasks(shard, lanes, nlanes, max_tasks, &found);

		if (n == 0)
			*tasks = found;
		else
		{
			*tasks = repalloc(*tasks, sizeof(TcReadyTask) * (n + count + 1));
			memcpy(*tasks + n, found, sizeof(TcReadyTask) * count);
		}
		n += count;
	}
	qsort(*tasks, n, sizeof(TcReadyTask), compare_order_of_claims);
	return Min(n, max_tasks);
}
