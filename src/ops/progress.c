/*
 * progress.c
 *	  What follows when steps end: children become ready, or end with them; tasks
 *	  close.
 *
 * Most of the time nothing but the steps that were reported ends, and no statement is
 * needed for what follows: rows for children with one parent, counts on joins.
 * Where a child may end without having run, cascade.c goes through all that follows.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/states.h"
#include "domain/trigger.h"
#include "errors.h"
#include "events/events.h"
#include "ops/children.h"
#include "ops/maps.h"
#include "ops/progress.h"
#include "store/dead_letter_store.h"
#include "store/lane_store.h"
#include "store/signal_store.h"
#include "store/template_store.h"

/* ---- parents and children ------------------------------------------------ */

const TcTemplate *
tc_template_of_lane(int32 lane_id)
{
	return tc_template_get(tc_lane_get(lane_id)->named_task_id);
}

TcParentFate
tc_fate_for_child(const TcEnded *ended, const TcTemplate *template, int child)
{
	int32		node = ended->key.step_no - 1;
	bool		taken = ended->taken == NULL || ended->taken[child - template->dag.child_start[node]];

	return tc_parent_fate(ended->state, template->steps[node].on_failure, taken);
}

TcQueueRow
tc_child_row(const TcEnded *parent, int32 node)
{
	const TcLane *lane = tc_lane_get(parent->lane_id);
	const TcStep *step = &tc_template_get(lane->named_task_id)->steps[node];
	int32		own_lane = tc_lane_for(lane->named_task_id, step->queue, lane->task_priority,
									   step->priority);
	TcQueueRow	row = {
		.key = {parent->key.task_id, node + 1},
		.phase = TC_PHASE_READY,
		.lane_id = parent->lane_id < 0 ? -own_lane : own_lane,
		.slot = parent->slot,
		.visible_at = tc_step_ready_at(step, Max(tc_session_now(), parent->not_before)),
		.max_attempts = tc_step_attempt_limit(step),
	};

	return row;
}

TcJoin
tc_join_of(const TcEnded *parent, const TcTemplate *template, int32 node)
{
	TcJoin		join = {
		.row = tc_child_row(parent, node),
		.at_first = template->steps[node].trigger_rule == TC_TRIGGER_ONE_SATISFIED,
		.may_run = tc_may_run_already(&template->steps[node]),
	};

	join.row.phase = TC_PHASE_WAITING;
	join.row.remaining_parents = tc_dag_parent_count(&template->dag, node);
	return join;
}

/*
 * Before this parent ended, now or once more.  What counts for the other rules has
 * ended for good: only a failed step can be reset.
 */
bool
tc_may_run_already(const TcStep *step)
{
	return step->trigger_rule == TC_TRIGGER_ONE_SATISFIED || step->trigger_rule == TC_TRIGGER_ALL_DONE;
}

static bool
may_cascade(const TcEnded *ended, int n)
{
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (tc_may_cascade(&ended[i]))
			return true;
	}
	return false;
}

/* ---- children that become ready ------------------------------------------ */

/* A join that some of the ended steps are parents of. */
typedef struct Join
{
	TcJoin		count;			/* first: sorted by its key */
	int			last_parent;	/* position in ended */
} Join;

/* A child with one parent, about to enter the queue. */
typedef struct Single
{
	TcQueueRow	row;			/* first: sorted by its key */
	int			parent;			/* position in ended */
} Single;

/* What the ended steps lead to, collected before anything is written. */
typedef struct Children
{
	Single	   *singles;
	int			nsingles;
	Join	   *joins;
	int			njoins;
} Children;

static int64
count_children(const TcEnded *ended, int n)
{
	int64		total = 0;

	for (int i = 0; i < n; i++)
		total += tc_dag_child_count(&tc_template_of_lane(ended[i].lane_id)->dag,
									ended[i].key.step_no - 1);
	return total;
}

static void
add_child(Children *children, const TcEnded *ended, int i, const TcTemplate *template, int child)
{
	int32		node = template->dag.children[child];
	const TcStep *step = &template->steps[node];
	TcParentFate fate = tc_fate_for_child(&ended[i], template, child);

	if (!tc_trigger_counts(step->trigger_rule, fate))
		return;
	if (tc_dag_parent_count(&template->dag, node) > 1)
	{
		Join	   *join = &children->joins[children->njoins++];

		join->count = tc_join_of(&ended[i], template, node);
		join->count.counted = 1;
		join->count.satisfied = fate == TC_PARENT_SATISFIED ? 1 : 0;
		join->last_parent = i;
	}
	else
	{
		Single	   *single = &children->singles[children->nsingles++];

		single->row = tc_child_row(&ended[i], node);
		single->parent = i;
	}
}

/* Sorts the joins and folds the counts of each into one. */
static void
fold_joins(Children *children)
{
	Join	   *joins = children->joins;
	int			folded = 0;

	qsort(joins, children->njoins, sizeof(Join), tc_step_key_compare);
	for (int i = 0; i < children->njoins; i++)
	{
		if (folded > 0 && tc_step_key_compare(&joins[folded - 1], &joins[i]) == 0)
		{
			joins[folded - 1].count.counted += joins[i].count.counted;
			joins[folded - 1].count.satisfied += joins[i].count.satisfied;
			joins[folded - 1].last_parent = Max(joins[folded - 1].last_parent, joins[i].last_parent);
		}
		else
			joins[folded++] = joins[i];
	}
	children->njoins = folded;
}

static void
collect_children(const TcEnded *ended, int n, Children *children)
{
	int64		total = count_children(ended, n);

	children->singles = palloc(sizeof(Single) * Max(total, 1));
	children->joins = palloc(sizeof(Join) * Max(total, 1));
	children->nsingles = children->njoins = 0;
	for (int i = 0; i < n; i++)
	{
		const TcTemplate *template = tc_template_of_lane(ended[i].lane_id);
		int32		node = ended[i].key.step_no - 1;

		CHECK_FOR_INTERRUPTS();
		for (int c = template->dag.child_start[node]; c < template->dag.child_start[node + 1]; c++)
			add_child(children, ended, i, template, c);
	}
	fold_joins(children);
}

static void
count_down_joins(const Children *children, TcEnded *ended)
{
	TcJoin	   *counts = palloc(sizeof(TcJoin) * children->njoins);
	TcQueueRow *rows;
	int			n;

	for (int i = 0; i < children->njoins; i++)
		counts[i] = children->joins[i].count;
	n = tc_queue_count_down(counts, children->njoins, &rows);
	for (int i = 0; i < n; i++)
	{
		const Join *join;

		if (rows[i].phase != TC_PHASE_READY)
			continue;
		join = bsearch(&rows[i].key, children->joins, children->njoins, sizeof(Join),
					   tc_step_key_compare);
		ended[join->last_parent].steps_ready++;
	}
}

/*
 * A step that runs after failures may have run when its parent failed before,
 * was reset, and has ended once more: its history tells.
 */
static void
recall_histories(TcQueueRow *rows, int n, bool *begun)
{
	for (int i = 0; i < n; i++)
	{
		const TcStep *step = tc_step_of(tc_template_of_lane(rows[i].lane_id), rows[i].key.step_no);

		begun[i] = tc_may_run_already(step) && tc_queue_recall(&rows[i]);
	}
}

void
tc_insert_children(TcQueueRow *rows, int n, bool *inserted)
{
	bool	   *begun = palloc(sizeof(bool) * n);
	TcQueueRow *fresh = palloc(sizeof(TcQueueRow) * n);
	bool	   *fresh_inserted = palloc(sizeof(bool) * n);
	int			nfresh = 0;

	recall_histories(rows, n, begun);
	for (int i = 0; i < n; i++)
	{
		if (!begun[i])
			fresh[nfresh++] = rows[i];
	}
	tc_queue_insert_children(fresh, nfresh, fresh_inserted);
	for (int i = 0, f = 0; i < n; i++)
		inserted[i] = !begun[i] && fresh_inserted[f++];
}

/* Parents are sorted, but the children of one may lie among those of the next. */
static void
insert_singles(const Children *children, TcEnded *ended)
{
	TcQueueRow *rows = palloc(sizeof(TcQueueRow) * children->nsingles);
	bool	   *inserted = palloc(sizeof(bool) * children->nsingles);

	qsort(children->singles, children->nsingles, sizeof(Single), tc_step_key_compare);
	for (int i = 0; i < children->nsingles; i++)
		rows[i] = children->singles[i].row;
	tc_insert_children(rows, children->nsingles, inserted);
	for (int i = 0; i < children->nsingles; i++)
	{
		if (inserted[i])
			ended[children->singles[i].parent].steps_ready++;
	}
}

static void
ready_children(TcEnded *ended, int n)
{
	Children	children;

	collect_children(ended, n, &children);
	if (children.njoins > 0)
		count_down_joins(&children, ended);
	if (children.nsingles > 0)
		insert_singles(&children, ended);
}

/* ---- the story ----------------------------------------------------------- */

void
tc_event_end_by_itself(TcStepKey key, TcStepState state)
{
	TcEvent		event = state == TC_STEP_COMPLETE ? TC_EVENT_STEP_COMPLETED
		: state == TC_STEP_ERROR ? TC_EVENT_STEP_FAILED
		: state == TC_STEP_SKIPPED ? TC_EVENT_STEP_SKIPPED : TC_EVENT_STEP_CANCELLED;

	tc_event_step(event, key.task_id, key.step_no);
}

/*
 * A signal that was sent at the same moment did not see these waits, nor they
 * it.  Its sender held the task row, and so do we now: what is kept, is due.
 */
void
tc_look_for_signals(const TcStepKey *waits, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (tc_signal_is_kept(waits[i].task_id))
			tc_waits_set_time(&waits[i], 1, tc_session_now());
	}
}

static bool
blocks(const TcEnded *ended)
{
	return ended->state == TC_STEP_ERROR &&
		tc_failure_rule_of(tc_template_of_lane(ended->lane_id), ended->key.step_no) == TC_ON_FAILURE_FAIL;
}

/*
 * Looks whether a task is over where nothing became ready in it.  One that made
 * something ready leaves the task row alone, since that will run; so the
 * branches of a task do not wait for one another.
 */
static void
close_ended(TcEnded *ended, int n)
{
	int64	   *task_ids = palloc(sizeof(int64) * n);
	int32	   *failed = palloc0(sizeof(int32) * n);
	TcTaskState *states = palloc(sizeof(TcTaskState) * n);
	int			ntasks = 0;
	int			next;

	for (int i = 0; i < n; i = next)
	{
		bool		goes_on = false;
		bool		looks = false;

		failed[ntasks] = 0;
		for (next = i; next < n && ended[next].key.task_id == ended[i].key.task_id; next++)
		{
			goes_on = goes_on || ended[next].steps_ready > 0;
			failed[ntasks] += ended[next].failed;
			looks = looks || ended[next].by_itself || ended[next].waits || ended[next].launches;
			ended[next].task_state = TC_TASK_IN_PROGRESS;
		}
		if (!goes_on || looks || failed[ntasks] > 0)
			task_ids[ntasks++] = ended[i].key.task_id;
	}
	if (ntasks == 0)
		return;

	tc_progress_close(task_ids, failed, ntasks, states);
	for (int i = 0, t = 0; i < n && t < ntasks; i++)
	{
		while (t < ntasks && tc_task_id_compare(&task_ids[t], &ended[i].key.task_id) < 0)
			t++;
		if (t < ntasks && task_ids[t] == ended[i].key.task_id)
			ended[i].task_state = states[t];
	}
}

/* ---- instances of one map ------------------------------------------------ */

/* The usual case for instances; then no rows but that of the map stand between them and what follows. */
static bool
are_of_one_map(const TcEnded *ended, int n)
{
	const TcTemplate *template = tc_template_of_lane(ended->lane_id);
	int32		node;

	if (!tc_is_instance(template, ended->key.step_no))
		return false;
	node = tc_node_of(template, ended->key.step_no);
	for (int i = 1; i < n; i++)
	{
		if (ended[i].key.task_id != ended->key.task_id || tc_node_of(template, ended[i].key.step_no) != node)
			return false;
	}
	return true;
}

static int32
count_satisfied(const TcTemplate *template, const TcEnded *ended, int n)
{
	int32		counted = 0;

	for (int i = 0; i < n; i++)
	{
		if (tc_instance_counts(ended[i].state, tc_failure_rule_of(template, ended[i].key.step_no)))
			counted++;
	}
	return counted;
}

/* All its instances are satisfied.  What follows counts for the last of them. */
static void
end_map(const TcQueueRow *row, const TcTemplate *template, TcEnded *ended, int n)
{
	TcStart		start = tc_map_end(row->key, template);
	TcEnded		map;

	tc_end_by_itself(row, &start, &map);
	ended[n - 1].steps_ready = map.steps_ready;
	for (int i = 0; i < n; i++)
		ended[i].task_state = map.task_state;
}

/* Returns whether the map has ended, and everything that follows is done. */
static bool
progress_map(TcEnded *ended, int n)
{
	const TcTemplate *template = tc_template_of_lane(ended->lane_id);
	TcStepKey	key = {ended->key.task_id, tc_node_of(template, ended->key.step_no) + 1};
	int32		parallelism = template->steps[key.step_no - 1].parallelism;
	int32		counted = count_satisfied(template, ended, n);
	TcQueueRow	row;

	if (counted == 0 && parallelism == 0)
		return false;
	tc_queue_count_down_map(key, counted, &row);
	if (row.remaining_parents == 0)
	{
		end_map(&row, template, ended, n);
		return true;
	}
	if (parallelism > 0)
	{
		ended[n - 1].steps_ready = tc_map_admit(&row, template, n);
		tc_queue_settle_waiting(&row, 1);
	}
	return false;
}

/* ---- all of it ----------------------------------------------------------- */

/* What ended went on to other tasks and back: the states of these may be others by now. */
static void
look_again(TcEnded *ended, int n)
{
	int64	   *task_ids = palloc(sizeof(int64) * n);
	TcTaskRow  *tasks;
	int			ntasks;

	for (int i = 0; i < n; i++)
		task_ids[i] = ended[i].key.task_id;
	ntasks = tc_task_read_latest(task_ids, tc_task_ids_sort_unique(task_ids, n), &tasks);
	for (int i = 0; i < n; i++)
		ended[i].task_state = tc_task_find(tasks, ntasks, ended[i].key.task_id)->state;
}

void
tc_progress(TcEnded *ended, int n)
{
	TcFollowUp	follow = {0};
	uint64		errands = tc_children_done();

	if (n == 0)
		return;
	for (int i = 0; i < n; i++)
	{
		ended[i].steps_ready = 0;
		ended[i].waits = ended[i].launches = false;
		ended[i].failed = blocks(&ended[i]) ? 1 : 0;
	}
	if (are_of_one_map(ended, n))
	{
		if (progress_map(ended, n))
			return;
	}
	else if (may_cascade(ended, n))
		tc_cascade(ended, n, &follow);
	else
		ready_children(ended, n);
	for (int i = 0; i < n; i++)
	{
		if (ended[i].steps_ready > 0 && ended[i].lane_id > 0)
			tc_event_ready(tc_lane_get(ended[i].lane_id)->namespace_name);
	}
	close_ended(ended, n);
	tc_look_for_signals(follow.waits, follow.nwaits);
	tc_children_launch(follow.launches, follow.nlaunches);
	if (tc_children_done() != errands)
		look_again(ended, n);
}

TcTaskState
tc_progress_roots(int64 task_id, const TcTemplate *template, int32 lane_id, int16 slot,
				  TimestampTz not_before)
{
	TcEnded		task = {.key = {task_id, 0}, .lane_id = lane_id, .slot = slot, .not_before = not_before};
	TcFollowUp	follow;

	tc_cascade_roots(&task, &follow);
	task.task_state = TC_TASK_PENDING;
	if (task.by_itself || task.launches)
		close_ended(&task, 1);
	tc_children_launch(follow.launches, follow.nlaunches);
	if (follow.nlaunches > 0)
		look_again(&task, 1);
	return task.task_state;
}

void
tc_leave_by_itself(const TcQueueRow *row, const TcStart *start)
{
	TcStepMove	move = tc_move_of_start(row->key, start);

	move.after_attempt_no = row->attempt_no;
	if (move.claimed_at != TC_NO_TIME)
		move.claimed_at = row->claimed_at;
	tc_step_record_moves(&move, 1);
	tc_queue_remove(&row->key, 1);
	tc_event_end_by_itself(row->key, start->state);
}

void
tc_end_by_itself(const TcQueueRow *row, const TcStart *start, TcEnded *ended)
{
	TcTaskRow  *task;

	if (tc_task_read_latest(&row->key.task_id, 1, &task) != 1)
		elog(ERROR, "a step in the queue has no task");
	tc_leave_by_itself(row, start);
	*ended = tc_ended_of(row, start->state);
	ended->by_itself = true;
	ended->not_before = task->run_at;
	tc_progress(ended, 1);
}

/* ---- closing ------------------------------------------------------------- */

/*
 * What is left in the queue of a task that ends: joins that will never run, and
 * places kept by steps that people ended.  A task that ends in error is put before
 * a person in the same transaction, so that none is missed.
 */
static void
end_tasks(const TcTaskMove *moves, const TcQueueRest *rests, int n, const TcTaskRow *tasks, int ntasks)
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
	for (int i = 0; i < n; i++)
		tc_child_ended(moves[i].task_id, tc_task_find(tasks, ntasks, moves[i].task_id)->parent_step_id,
					   moves[i].to);
}

/* No claim has started these; what ended in them did so by itself, or is done by another task. */
static void
start_pending(TcTaskRow *tasks, int n)
{
	for (int i = 0; i < n; i++)
	{
		TcTaskMove	move = {tasks[i].task_id, TC_TASK_PENDING, TC_TASK_IN_PROGRESS, 0};

		if (tasks[i].state != TC_TASK_PENDING)
			continue;
		tc_task_write_moves(&move, 1, NULL, NULL);
		tc_event_task(TC_EVENT_TASK_STARTED, move.task_id);
		tasks[i].state = TC_TASK_IN_PROGRESS;
		if (tasks[i].parent_step_id != 0)
			tc_children_began(&move.task_id, 1);
	}
}

void
tc_progress_close(const int64 *task_ids, const int32 *failed, int n, TcTaskState *states)
{
	TcTaskMove *moves = palloc(sizeof(TcTaskMove) * Max(n, 1));
	TcQueueRest *rests = palloc(sizeof(TcQueueRest) * Max(n, 1));
	int			nmoves = 0;
	TcTaskRow  *tasks;

	if (tc_task_lock(task_ids, n, false, &tasks) != n)
		elog(ERROR, "a step in the queue has no task");
	start_pending(tasks, n);
	tc_queue_rest(task_ids, n, rests);
	for (int i = 0; i < n; i++)
	{
		int32		more = failed == NULL ? 0 : failed[i];
		TcTaskMove	move = {task_ids[i], tasks[i].state, TC_TASK_COMPLETE, more};

		states[i] = tasks[i].state;
		if (rests[i] == TC_REST_RUNNABLE || tc_task_state_is_ended(tasks[i].state))
		{
			if (more != 0)
				tc_task_add_failed(task_ids[i], more);
			continue;
		}
		if (tasks[i].failed_steps + more > 0)
			move.to = TC_TASK_ERROR;
		if (tc_task_move(move.from, move.to) != TC_MOVE_LEGAL)
			tc_raise_illegal_task_move(move.task_id, move.from, move.to);
		states[i] = move.to;
		rests[nmoves] = rests[i];
		moves[nmoves++] = move;
	}
	if (nmoves > 0)
		end_tasks(moves, rests, nmoves, tasks, n);
}
