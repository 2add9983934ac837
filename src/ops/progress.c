/*
 * progress.c
 *	  What follows when steps end: children become ready, tasks close.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "ops/progress.h"
#include "store/dead_letter_store.h"
#include "store/lane_store.h"
#include "store/template_store.h"

/* A join that some of the ended steps are parents of. */
typedef struct JoinCount
{
	TcStepKey	key;			/* first: sorted by it */
	int			last_parent;	/* position in parents */
	int32		satisfied;
} JoinCount;

/* A child with one parent, about to enter the queue. */
typedef struct ReadyChild
{
	TcQueueRow	row;			/* first: sorted by its key */
	int			parent;			/* position in parents */
} ReadyChild;

/* What the parents lead to, collected before anything is written. */
typedef struct Children
{
	ReadyChild *ready;
	int			nready;
	JoinCount  *joins;
	int			njoins;
} Children;

static const TcTemplate *
template_of(const TcQueueRow *row, const TcLane **lane)
{
	*lane = tc_lane_get(row->lane_id);
	return tc_template_get((*lane)->named_task_id);
}

static int64
count_children(const TcQueueRow *parents, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
	{
		const TcLane *lane;
		const TcTemplate *template = template_of(&parents[i], &lane);

		total += tc_dag_child_count(&template->dag, parents[i].key.step_no - 1);
	}
	return total;
}

/* A child of a paused task's step is born paused: it inherits the lane's sign. */
static int32
lane_of_child(const TcQueueRow *parent, const TcLane *lane, const TcStep *child)
{
	int32		lane_id = tc_lane_for(lane->named_task_id, child->queue,
									  lane->task_priority, child->priority);

	return parent->lane_id < 0 ? -lane_id : lane_id;
}

static void
add_child(Children *children, const TcQueueRow *parents, int i,
		  const TcTemplate *template, const TcLane *lane, int32 node)
{
	const TcStep *step = &template->steps[node];
	TcStepKey	key = {parents[i].key.task_id, node + 1};

	if (tc_dag_parent_count(&template->dag, node) > 1)
	{
		JoinCount  *join = &children->joins[children->njoins++];

		join->key = key;
		join->last_parent = i;
		join->satisfied = 1;
	}
	else
	{
		ReadyChild *child = &children->ready[children->nready++];
		TcQueueRow *row = &child->row;

		child->parent = i;
		memset(row, 0, sizeof(*row));
		row->key = key;
		row->phase = TC_PHASE_READY;
		row->lane_id = lane_of_child(&parents[i], lane, step);
		row->visible_at = tc_session_now();
		row->max_attempts = tc_step_attempt_limit(step);
	}
}

/* Sorts the joins and folds the counts of each into one. */
static void
fold_joins(Children *children)
{
	JoinCount  *joins = children->joins;
	int			folded = 0;

	qsort(joins, children->njoins, sizeof(JoinCount), tc_step_key_compare);
	for (int i = 0; i < children->njoins; i++)
	{
		if (folded > 0 && tc_step_key_compare(&joins[folded - 1], &joins[i]) == 0)
		{
			joins[folded - 1].satisfied += joins[i].satisfied;
			joins[folded - 1].last_parent = Max(joins[folded - 1].last_parent, joins[i].last_parent);
		}
		else
			joins[folded++] = joins[i];
	}
	children->njoins = folded;
}

static void
collect_children(const TcQueueRow *parents, int n, Children *children)
{
	int64		total = count_children(parents, n);

	children->ready = palloc(sizeof(ReadyChild) * Max(total, 1));
	children->joins = palloc(sizeof(JoinCount) * Max(total, 1));
	children->nready = children->njoins = 0;
	for (int i = 0; i < n; i++)
	{
		const TcLane *lane;
		const TcTemplate *template = template_of(&parents[i], &lane);
		const TcDag *dag = &template->dag;
		int32		node = parents[i].key.step_no - 1;

		CHECK_FOR_INTERRUPTS();
		for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
			add_child(children, parents, i, template, lane, dag->children[c]);
	}
	fold_joins(children);
}

static void
count_down_joins(const Children *children, int32 *readied)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * children->njoins);
	int32	   *satisfied = palloc(sizeof(int32) * children->njoins);
	TcQueueRow *rows;
	int			n;

	for (int i = 0; i < children->njoins; i++)
	{
		keys[i] = children->joins[i].key;
		satisfied[i] = children->joins[i].satisfied;
	}
	n = tc_queue_count_down(keys, satisfied, children->njoins, &rows);
	for (int i = 0; i < n; i++)
	{
		const JoinCount *join;

		if (rows[i].phase != TC_PHASE_READY)
			continue;
		join = bsearch(&rows[i].key, children->joins, children->njoins, sizeof(JoinCount),
					   tc_step_key_compare);
		readied[join->last_parent]++;
	}
}

/* Parents are sorted, but the children of one may lie among those of the next. */
static void
insert_children(const Children *children, int32 *readied)
{
	TcQueueRow *rows = palloc(sizeof(TcQueueRow) * children->nready);
	bool	   *inserted = palloc(sizeof(bool) * children->nready);

	qsort(children->ready, children->nready, sizeof(ReadyChild), tc_step_key_compare);
	for (int i = 0; i < children->nready; i++)
		rows[i] = children->ready[i].row;
	tc_queue_insert_children(rows, children->nready, inserted);
	for (int i = 0; i < children->nready; i++)
	{
		if (inserted[i])
			readied[children->ready[i].parent]++;
	}
}

void
tc_progress_children(const TcQueueRow *parents, int n, int32 *readied)
{
	Children	children;

	collect_children(parents, n, &children);
	memset(readied, 0, sizeof(int32) * n);
	if (children.njoins > 0)
		count_down_joins(&children, readied);
	if (children.nready > 0)
		insert_children(&children, readied);
	for (int i = 0; i < n; i++)
	{
		if (readied[i] > 0 && parents[i].lane_id > 0)
			tc_event_ready(tc_lane_get(parents[i].lane_id)->namespace_name);
	}
}

/* ---- closing ------------------------------------------------------------- */

/*
 * What is left in the queue of a task that ends: joins that will never run, and
 * places kept by steps that people ended.  A task that ends in error is put before
 * a person in the same transaction, so that none is missed.
 */
static void
end_tasks(const TcTaskMove *moves, const TcQueueRest *rests, int n)
{
	int64	   *failed = palloc(sizeof(int64) * n);
	int			nfailed = 0;

	for (int i = 0; i < n; i++)
	{
		if (rests[i] != TC_REST_NONE)
			tc_queue_clear(moves[i].task_id);
		if (moves[i].to == TC_TASK_ERROR)
			failed[nfailed++] = moves[i].task_id;
	}
	tc_task_write_moves(moves, n, NULL, NULL);
	tc_dead_letters_record_failed(failed, nfailed);
	for (int i = 0; i < n; i++)
		tc_event_task(moves[i].to == TC_TASK_ERROR ? TC_EVENT_TASK_FAILED : TC_EVENT_TASK_COMPLETED,
					  moves[i].task_id);
}

/* failed: how many steps of each task to count as failed. */
static void
close_tasks(const int64 *task_ids, int n, int32 failed, TcTaskState *states)
{
	TcTaskMove *moves = palloc(sizeof(TcTaskMove) * Max(n, 1));
	TcQueueRest *rests = palloc(sizeof(TcQueueRest) * Max(n, 1));
	int			nmoves = 0;
	TcTaskRow  *tasks;

	if (tc_task_lock(task_ids, n, false, &tasks) != n)
		elog(ERROR, "a step in the queue has no task");
	tc_queue_rest(task_ids, n, rests);
	for (int i = 0; i < n; i++)
	{
		TcTaskMove	move = {task_ids[i], tasks[i].state, TC_TASK_COMPLETE, failed};

		states[i] = tasks[i].state;
		if (rests[i] == TC_REST_RUNNABLE || tc_task_state_is_ended(tasks[i].state))
		{
			if (failed != 0)
				tc_task_add_failed(task_ids[i], failed);
			continue;
		}
		if (tasks[i].failed_steps + failed > 0)
			move.to = TC_TASK_ERROR;
		if (tc_task_move(move.from, move.to) != TC_MOVE_LEGAL)
			tc_raise_illegal_task_move(move.task_id, move.from, move.to);
		states[i] = move.to;
		rests[nmoves] = rests[i];
		moves[nmoves++] = move;
	}
	if (nmoves > 0)
		end_tasks(moves, rests, nmoves);
}

void
tc_progress_close(const int64 *task_ids, int n, TcTaskState *states)
{
	close_tasks(task_ids, n, 0, states);
}

TcTaskState
tc_progress_failed(int64 task_id)
{
	TcTaskState state;

	close_tasks(&task_id, 1, 1, &state);
	return state;
}
