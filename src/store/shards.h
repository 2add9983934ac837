/*
 * shards.h
 *	  Batches that span several shards are run one shard at a time.
 *
 * Every statement names one shard_key by equality, so that it stays a statement
 * about one shard wherever the tables live.  With the usual shard count of 1 a
 * batch is one run.
 */
#ifndef TC_SHARDS_H
#define TC_SHARDS_H

#include "store/session.h"

/*
 * The end (exclusive) of the run of tasks from `start` on that live in one
 * shard; the ids are sorted by (shard_key, task_id).
 */
static inline int
tc_shard_run_end(const int64 *task_ids, int start, int n)
{
	int32		shard = tc_shard_key(task_ids[start]);
	int			end = start + 1;

	while (end < n && tc_shard_key(task_ids[end]) == shard)
		end++;
	return end;
}

#endif							/* TC_SHARDS_H */
