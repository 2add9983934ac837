/*
 * cascade.c
 *	  Steps end, and children of theirs end without having run: a parent was
 *	  skipped, or took another branch; a condition does not hold; a signal has come
 *	  already.
 *
 * A task's steps stand in topological order, so one pass from the first step that
 * ended decides everything below it, whatever ends on the way.  Before that the
 * rows of all joins that the pass can come to are locked, in order, and made where
 * there are none; nothing else is written until it is over.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/trigger.h"
#include "events/events.h"
#include "ops/maps.h"
#include "ops/progress.h"

/* Instances of a map that ended now. */
typedef struct InstanceNews
{
	int32		ended;
	int32		counted;		/* of these, those that the map waits for no more */
} InstanceNews;

/* A map that begins: its instances are made when its row is written. */
typedef struct Beginning
{
	TcQueueRow	row;
	TcStart		start;
	TcEnded    *account;		/* what became ready counts for it */
} Beginning;

/* A task in which steps ended. */
typedef struct Affected
{
	TcEnded    *ended;			/* the steps of this task among all that ended */
	int			n;
	const TcTemplate *template;
	TcStarter	starter;
	bool	   *reached;		/* by node: the pass may come to it */
	TcParents  *news;			/* by node: parents that ended now */
	InstanceNews *instances;	/* by node, of maps; NULL = the template has none */
} Affected;

typedef struct Cascade
{
	Affected   *tasks;
	int			ntasks;
	TcQueueRow *waiting;		/* locked rows that wait, or keep a place */
	int			nwaiting;

	/* what will be written */
	TcStepMove *moves;
	int			nmoves;
	TcQueueRow *settled;		/* rows that waited, in their new form */
	int			nsettled;
	TcQueueRow *born;			/* rows of steps that have none */
	int			nborn;
	TcStepKey  *waits;			/* steps that began to wait for a signal */
	int			nwaits;
	TcStepKey  *launches;		/* steps that run as tasks */
	int			nlaunches;
	TcStepKey  *gone;			/* rows of maps that ended */
	int			ngone;
	List	   *beginnings;		/* of Beginning * */
} Cascade;

/* ---- how far it may go --------------------------------------------------- */

static bool
takes_along(const TcEnded *ended, const TcTemplate *template, int child)
{
	TcParentFate fate = tc_fate_for_child(ended, template, child);

	return fate == TC_PARENT_SKIPPED || fate == TC_PARENT_CANCELLED;
}

bool
tc_may_cascade(const TcEnded *ended)
{
	const TcTemplate *template = tc_template_of_lane(ended->lane_id);
	int32		node = ended->key.step_no - 1;

	if (tc_is_instance(template, ended->key.step_no))
		return true;			/* its map may end with it */
	for (int c = template->dag.child_start[node]; c < template->dag.child_start[node + 1]; c++)
	{
		if (takes_along(ended, template, c) ||
			tc_step_is_gated(&template->steps[template->dag.children[c]]))
			return true;
	}
	return false;
}

/* The first step that what has ended may come to. */
static int32
first_reached(const Affected *task)
{
	int32		first = task->template->nsteps;

	for (int i = 0; i < task->n; i++)
	{
		int32		step_no = task->ended[i].key.step_no;

		first = Min(first, tc_is_instance(task->template, step_no) ? tc_node_of(task->template, step_no) : step_no);
	}
	return first;
}

/* Children of what may end are reached; those that it may take along may end, and those that start by themselves. */
static int64
reach(Affected *task)
{
	const TcDag *dag = &task->template->dag;
	const TcStep *steps = task->template->steps;
	bool	   *may_end = palloc0(sizeof(bool) * dag->n);
	int64		n = 0;

	task->reached = palloc0(sizeof(bool) * dag->n);
	for (int i = 0; i < task->n; i++)
	{
		int32		node = tc_node_of(task->template, task->ended[i].key.step_no);

		if (tc_is_instance(task->template, task->ended[i].key.step_no))
		{
			task->reached[node] = may_end[node] = true;
			continue;
		}
		for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
		{
			int32		child = dag->children[c];

			task->reached[child] = true;
			if (takes_along(&task->ended[i], task->template, c) || tc_step_is_gated(&steps[child]))
				may_end[child] = true;
		}
	}
	for (int32 node = first_reached(task); node < dag->n; node++)
	{
		CHECK_FOR_INTERRUPTS();
		n += task->reached[node] ? 1 : 0;
		for (int c = dag->child_start[node]; may_end[node] && c < dag->child_start[node + 1]; c++)
			task->reached[dag->children[c]] = may_end[dag->children[c]] = true;
	}
	pfree(may_end);
	return n;
}

/* All that starts by itself in a new task, and whatever comes after it. */
static int64
reach_from_roots(Affected *task)
{
	const TcDag *dag = &task->template->dag;
	int64		n = 0;

	task->reached = palloc0(sizeof(bool) * dag->n);
	for (int32 node = 0; node < dag->n; node++)
	{
		if (tc_dag_parent_count(dag, node) == 0 && tc_step_is_gated(&task->template->steps[node]))
			task->reached[node] = true;
		n += task->reached[node] ? 1 : 0;
		for (int c = dag->child_start[node]; task->reached[node] && c < dag->child_start[node + 1]; c++)
			task->reached[dag->children[c]] = true;
	}
	return n;
}

static void
split_by_task(Cascade *cascade, TcEnded *ended, int n)
{
	cascade->tasks = palloc0(sizeof(Affected) * n);
	cascade->ntasks = 0;
	for (int i = 0; i < n; i++)
	{
		Affected   *last = &cascade->tasks[Max(cascade->ntasks - 1, 0)];

		if (cascade->ntasks == 0 || last->ended->key.task_id != ended[i].key.task_id)
		{
			last = &cascade->tasks[cascade->ntasks++];
			last->ended = &ended[i];
			last->template = tc_template_of_lane(ended[i].lane_id);
			tc_starter_begin(&last->starter, ended[i].key.task_id, last->template);
		}
		last->n++;
	}
}

/* What has one parent, or none, gets its row when its turn comes. */
static TcJoin
join_of(const Affected *task, int32 node)
{
	TcJoin		join = {.row.key = {task->ended->key.task_id, node + 1}};

	return tc_dag_parent_count(&task->template->dag, node) > 1 ? tc_join_of(task->ended, task->template, node) : join;
}

static void
lock_reached(Cascade *cascade)
{
	int64		total = 0;
	TcJoin	   *joins;
	int			n = 0;

	for (int t = 0; t < cascade->ntasks; t++)
		total += cascade->tasks[t].ended->key.step_no == 0 ? reach_from_roots(&cascade->tasks[t])
			: reach(&cascade->tasks[t]);
	joins = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TcJoin) * Max(total, 1));
	for (int t = 0; t < cascade->ntasks; t++)
	{
		const Affected *task = &cascade->tasks[t];

		for (int32 node = 0; node < task->template->nsteps; node++)
		{
			if (task->reached[node])
				joins[n++] = join_of(task, node);
		}
	}
	cascade->nwaiting = tc_queue_count_down(joins, n, &cascade->waiting);
	pfree(joins);
	cascade->moves = palloc0(sizeof(TcStepMove) * Max(total, 1));
	cascade->settled = palloc(sizeof(TcQueueRow) * Max(total, 1));
	cascade->born = palloc(sizeof(TcQueueRow) * Max(total, 1));
	cascade->waits = palloc(sizeof(TcStepKey) * Max(total, 1));
	cascade->launches = palloc(sizeof(TcStepKey) * Max(total, 1));
	cascade->gone = palloc(sizeof(TcStepKey) * Max(total, 1));
}

/* ---- one step ------------------------------------------------------------ */

static void
tell_map(Affected *task, const TcEnded *ended)
{
	InstanceNews *news = &task->instances[tc_node_of(task->template, ended->key.step_no)];
	TcFailureRule rule = tc_failure_rule_of(task->template, ended->key.step_no);

	news->ended++;
	news->counted += tc_instance_counts(ended->state, rule) ? 1 : 0;
}

static void
tell_children(Affected *task, const TcEnded *ended)
{
	const TcDag *dag = &task->template->dag;
	int32		node = ended->key.step_no - 1;

	if (tc_is_instance(task->template, ended->key.step_no))
	{
		tell_map(task, ended);
		return;
	}

	for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
		task->news[dag->children[c]].fates[tc_fate_for_child(ended, task->template, c)]++;
}

static void
end_step(Cascade *cascade, Affected *task, const TcStepMove *move)
{
	TcEnded		ended = {.key = move->key, .lane_id = task->ended->lane_id, .state = move->to};
	TcEnded    *account = &task->ended[task->n - 1];
	const TcStep *step = &task->template->steps[move->key.step_no - 1];

	cascade->moves[cascade->nmoves++] = *move;
	if (move->to == TC_STEP_ERROR && step->on_failure == TC_ON_FAILURE_FAIL)
		account->failed++;
	account->by_itself = true;
	tc_event_end_by_itself(move->key, move->to);
	tell_children(task, &ended);
}

static void
end_with_parents(Cascade *cascade, Affected *task, int32 node, TcVerdict verdict)
{
	TcStepMove	move = {
		.key = {task->ended->key.task_id, node + 1},
		.verb = TC_VERB_CASCADE,
		.from = TC_STEP_PENDING,
		.to = verdict == TC_VERDICT_SKIPPED ? TC_STEP_SKIPPED : TC_STEP_CANCELLED,
		.claimed_at = TC_NO_TIME,
	};

	end_step(cascade, task, &move);
}

/* Its turn has come.  Returns whether it has a row now, and fills in what that looks like. */
static bool
start(Cascade *cascade, Affected *task, TcQueueRow *row)
{
	int32		node = row->key.step_no - 1;
	TcStart		start = tc_start_step(&task->starter, node, Max(tc_session_now(), task->ended->not_before));
	TcStepMove	move;

	row->remaining_parents = 0;
	row->phase = start.phase;
	row->visible_at = start.visible_at;
	if (start.phase == TC_PHASE_MAP)
	{
		Beginning  *beginning = palloc(sizeof(Beginning));

		tc_map_begin_row(row, &task->template->steps[node], &start);
		*beginning = (Beginning) {*row, start, &task->ended[task->n - 1]};
		cascade->beginnings = lappend(cascade->beginnings, beginning);
	}
	if (start.phase == TC_PHASE_SIGNAL)
	{
		cascade->waits[cascade->nwaits++] = row->key;
		task->ended[task->n - 1].waits = true;
	}
	if (start.phase == TC_PHASE_TASK)
	{
		cascade->launches[cascade->nlaunches++] = row->key;
		if (start.visible_at <= tc_session_now())
			task->ended[task->n - 1].launches = true;
	}
	if (start.phase != 0)
		return true;
	move = tc_move_of_start(row->key, &start);
	move.after_attempt_no = row->attempt_no;
	if (start.state == TC_STEP_COMPLETE)
		tc_starter_know(&task->starter, node, start.results);
	end_step(cascade, task, &move);
	return false;
}

/* What has ended by now of the parents of a join that waits. */
static TcParents
parents_of_join(const TcStep *step, int32 nparents, const TcQueueRow *row, const TcParents *news)
{
	TcParents	parents = tc_trigger_recall(step->trigger_rule, nparents, row->remaining_parents,
											row->satisfied_parents);

	for (int fate = TC_PARENT_OPEN + 1; fate < TC_PARENT_FATE_COUNT; fate++)
	{
		parents.fates[fate] += news->fates[fate];
		parents.fates[TC_PARENT_OPEN] -= news->fates[fate];
	}
	return parents;
}

static void
settle_join(Cascade *cascade, Affected *task, int32 node, TcQueueRow row)
{
	const TcStep *step = &task->template->steps[node];
	TcParents	parents = parents_of_join(step, tc_dag_parent_count(&task->template->dag, node), &row,
										  &task->news[node]);
	TcVerdict	verdict = tc_trigger_verdict(step->trigger_rule, &parents);

	row.satisfied_parents = parents.fates[TC_PARENT_SATISFIED];
	row.remaining_parents = tc_trigger_remaining(step->trigger_rule, &parents);
	if (verdict == TC_VERDICT_RUNS)
	{
		if (!start(cascade, task, &row))
			row.phase = TC_PHASE_ENDED;
		else if (row.phase == TC_PHASE_READY)
			task->ended[task->n - 1].steps_ready++;
	}
	else if (verdict != TC_VERDICT_WAITS)
	{
		row.phase = TC_PHASE_ENDED;
		end_with_parents(cascade, task, node, verdict);
	}
	if (row.phase == TC_PHASE_ENDED)
		row.visible_at = tc_session_now();
	cascade->settled[cascade->nsettled++] = row;
}

static void
settle_single(Cascade *cascade, Affected *task, int32 node)
{
	TcVerdict	verdict = tc_trigger_verdict(task->template->steps[node].trigger_rule,
											 &task->news[node]);
	TcQueueRow	row;

	if (verdict == TC_VERDICT_WAITS)
		return;
	if (verdict != TC_VERDICT_RUNS)
	{
		end_with_parents(cascade, task, node, verdict);
		return;
	}
	row = tc_child_row(task->ended, node);
	if (tc_may_run_already(&task->template->steps[node]) && tc_queue_recall(&row))
		return;
	if (start(cascade, task, &row))
		cascade->born[cascade->nborn++] = row;
}

/* Instances ended: so does their map with the last of them, or others take their places. */
static void
settle_map(Cascade *cascade, Affected *task, int32 node, TcQueueRow row)
{
	const InstanceNews *news = &task->instances[node];
	TcStart		start;
	TcStepMove	move;

	row.remaining_parents -= news->counted;
	if (row.remaining_parents > 0)
	{
		if (task->template->steps[node].parallelism > 0)
			task->ended[task->n - 1].steps_ready += tc_map_admit(&row, task->template, news->ended);
		cascade->settled[cascade->nsettled++] = row;
		return;
	}
	start = tc_map_end(row.key, task->template);
	move = tc_move_of_start(row.key, &start);
	move.after_attempt_no = row.attempt_no;
	move.claimed_at = row.claimed_at;
	if (start.state == TC_STEP_COMPLETE)
		tc_starter_know(&task->starter, node, start.results);
	cascade->gone[cascade->ngone++] = row.key;
	end_step(cascade, task, &move);
}

/*
 * A join without a row that waits has run, or runs, now that all that may wait have
 * one; a step that keeps a place has ended.
 */
static void
settle(Cascade *cascade, Affected *task, int32 node)
{
	TcStepKey	key = {task->ended->key.task_id, node + 1};
	const TcQueueRow *row = bsearch(&key, cascade->waiting, cascade->nwaiting, sizeof(TcQueueRow),
									tc_step_key_compare);

	if (task->instances != NULL && task->instances[node].ended > 0)
	{
		if (row == NULL || row->phase != TC_PHASE_MAP)
			elog(ERROR, "a map of task " INT64_FORMAT " has instances, but no queue row", key.task_id);
		settle_map(cascade, task, node, *row);
		return;
	}
	if (tc_dag_parent_count(&task->template->dag, node) > 1)
	{
		if (row != NULL && row->phase == TC_PHASE_WAITING)
			settle_join(cascade, task, node, *row);
	}
	else if (row == NULL)
		settle_single(cascade, task, node);
}

static bool
has_news(const TcParents *news)
{
	for (int fate = 0; fate < TC_PARENT_FATE_COUNT; fate++)
	{
		if (news->fates[fate] > 0)
			return true;
	}
	return false;
}

/* Step number 0 stands for the task itself, which has just begun. */
static void
settle_task(Cascade *cascade, Affected *task)
{
	bool		begins = task->ended->key.step_no == 0;

	if (task->template->nmaps > 0)
		task->instances = palloc0(sizeof(InstanceNews) * task->template->nsteps);
	task->news = palloc0(sizeof(TcParents) * task->template->nsteps);
	for (int i = 0; i < task->n && !begins; i++)
		tell_children(task, &task->ended[i]);
	for (int32 node = first_reached(task); node < task->template->nsteps; node++)
	{
		CHECK_FOR_INTERRUPTS();
		if (has_news(&task->news[node]) || (task->instances != NULL && task->instances[node].ended > 0))
			settle(cascade, task, node);
		else if (begins && task->reached[node] && tc_dag_parent_count(&task->template->dag, node) == 0)
			settle_single(cascade, task, node);
	}
	pfree(task->news);
}

/* ---- all of it ----------------------------------------------------------- */

static void
insert_born(Cascade *cascade)
{
	bool	   *inserted = palloc(sizeof(bool) * cascade->nborn);
	int			t = 0;

	tc_insert_children(cascade->born, cascade->nborn, inserted);
	for (int i = 0; i < cascade->nborn; i++)
	{
		while (cascade->tasks[t].ended->key.task_id != cascade->born[i].key.task_id)
			t++;
		if (inserted[i] && cascade->born[i].phase == TC_PHASE_READY)
			cascade->tasks[t].ended[cascade->tasks[t].n - 1].steps_ready++;
	}
}

/* Their rows are there, so that their instances are counted from the first on. */
static void
make_instances(Cascade *cascade)
{
	ListCell   *cell;

	foreach(cell, cascade->beginnings)
	{
		const Beginning *beginning = lfirst(cell);

		beginning->account->steps_ready +=
			tc_map_make_instances(&beginning->row, tc_template_of_lane(beginning->row.lane_id), &beginning->start);
	}
}

static void
run(Cascade *cascade, TcFollowUp *follow)
{
	lock_reached(cascade);
	for (int t = 0; t < cascade->ntasks; t++)
		settle_task(cascade, &cascade->tasks[t]);
	if (cascade->nmoves > 0)
		tc_step_record_moves(cascade->moves, cascade->nmoves);
	if (cascade->nsettled > 0)
		tc_queue_settle_waiting(cascade->settled, cascade->nsettled);
	if (cascade->ngone > 0)
		tc_queue_remove(cascade->gone, cascade->ngone);
	if (cascade->nborn > 0)
		insert_born(cascade);
	make_instances(cascade);
	follow->waits = cascade->waits;
	follow->nwaits = cascade->nwaits;
	follow->launches = cascade->launches;
	follow->nlaunches = cascade->nlaunches;
}

void
tc_cascade(TcEnded *ended, int n, TcFollowUp *follow)
{
	Cascade		cascade = {0};

	split_by_task(&cascade, ended, n);
	run(&cascade, follow);
}

void
tc_cascade_roots(TcEnded *task, TcFollowUp *follow)
{
	Cascade		cascade = {0};

	split_by_task(&cascade, task, 1);
	run(&cascade, follow);
}
