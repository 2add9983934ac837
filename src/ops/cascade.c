/*
 * cascade.c
 *	  Steps end, and children of theirs end without having run: a parent was
 *	  skipped, or took another branch.
 *
 * A task's steps stand in topological order, so one pass from the first step that
 * ended decides everything below it, whatever ends on the way.  Before that the
 * rows of all joins that the pass can come to are locked, in order; nothing is
 * written until it is over.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/trigger.h"
#include "events/events.h"
#include "ops/progress.h"

/* A task in which steps ended. */
typedef struct Affected
{
	TcEnded    *ended;			/* the steps of this task among all that ended */
	int			n;
	const TcTemplate *template;
	bool	   *reached;		/* by node: the pass may come to it */
	TcParents  *news;			/* by node: parents that ended now */
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
	TcQueueRow *born;			/* rows of children that have none */
	int			nborn;
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

	for (int c = template->dag.child_start[node]; c < template->dag.child_start[node + 1]; c++)
	{
		if (takes_along(ended, template, c))
			return true;
	}
	return false;
}

/* Children of what may end are reached; those that it may take along may end, too. */
static int64
reach(Affected *task)
{
	const TcDag *dag = &task->template->dag;
	bool	   *may_end = palloc0(sizeof(bool) * dag->n);
	int64		n = 0;

	task->reached = palloc0(sizeof(bool) * dag->n);
	for (int i = 0; i < task->n; i++)
	{
		int32		node = task->ended[i].key.step_no - 1;

		for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
		{
			task->reached[dag->children[c]] = true;
			if (takes_along(&task->ended[i], task->template, c))
				may_end[dag->children[c]] = true;
		}
	}
	for (int32 node = task->ended[0].key.step_no; node < dag->n; node++)
	{
		CHECK_FOR_INTERRUPTS();
		n += task->reached[node] ? 1 : 0;
		for (int c = dag->child_start[node]; may_end[node] && c < dag->child_start[node + 1]; c++)
			task->reached[dag->children[c]] = may_end[dag->children[c]] = true;
	}
	pfree(may_end);
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
		}
		last->n++;
	}
}

static void
lock_reached(Cascade *cascade)
{
	int64		total = 0;
	TcStepKey  *keys;
	int			n = 0;

	for (int t = 0; t < cascade->ntasks; t++)
		total += reach(&cascade->tasks[t]);
	keys = palloc(sizeof(TcStepKey) * Max(total, 1));
	for (int t = 0; t < cascade->ntasks; t++)
	{
		const Affected *task = &cascade->tasks[t];

		for (int32 node = 0; node < task->template->nsteps; node++)
		{
			if (!task->reached[node])
				continue;
			keys[n].task_id = task->ended->key.task_id;
			keys[n++].step_no = node + 1;
		}
	}
	cascade->nwaiting = tc_queue_lock_waiting(keys, n, &cascade->waiting);
	cascade->moves = palloc0(sizeof(TcStepMove) * Max(total, 1));
	cascade->settled = palloc(sizeof(TcQueueRow) * Max(total, 1));
	cascade->born = palloc(sizeof(TcQueueRow) * Max(total, 1));
}

/* ---- one step ------------------------------------------------------------ */

static void
tell_children(Affected *task, const TcEnded *ended)
{
	const TcDag *dag = &task->template->dag;
	int32		node = ended->key.step_no - 1;

	for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
		task->news[dag->children[c]].fates[tc_fate_for_child(ended, task->template, c)]++;
}

static void
end_with_parents(Cascade *cascade, Affected *task, int32 node, TcStepState state)
{
	TcEnded		ended = {
		.key = {task->ended->key.task_id, node + 1},
		.lane_id = task->ended->lane_id,
		.state = state,
	};
	TcStepMove *move = &cascade->moves[cascade->nmoves++];

	move->key = ended.key;
	move->verb = TC_VERB_CASCADE;
	move->from = TC_STEP_PENDING;
	move->to = state;
	tc_event_step(state == TC_STEP_SKIPPED ? TC_EVENT_STEP_SKIPPED : TC_EVENT_STEP_CANCELLED,
				  ended.key.task_id, ended.key.step_no);
	tell_children(task, &ended);
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
		row.phase = TC_PHASE_READY;
		row.remaining_parents = 0;
		row.visible_at = tc_session_now();
		task->ended[task->n - 1].steps_ready++;
	}
	else if (verdict != TC_VERDICT_WAITS)
	{
		row.phase = TC_PHASE_ENDED;
		end_with_parents(cascade, task, node, verdict == TC_VERDICT_SKIPPED ? TC_STEP_SKIPPED
						 : TC_STEP_CANCELLED);
	}
	cascade->settled[cascade->nsettled++] = row;
}

static void
settle_single(Cascade *cascade, Affected *task, int32 node)
{
	switch (tc_trigger_verdict(task->template->steps[node].trigger_rule, &task->news[node]))
	{
		case TC_VERDICT_WAITS:
			break;
		case TC_VERDICT_RUNS:
			cascade->born[cascade->nborn++] = tc_child_row(task->ended, node);
			break;
		case TC_VERDICT_SKIPPED:
			end_with_parents(cascade, task, node, TC_STEP_SKIPPED);
			break;
		case TC_VERDICT_CANCELLED:
			end_with_parents(cascade, task, node, TC_STEP_CANCELLED);
			break;
	}
}

/*
 * A join without a row that waits has run, or runs; a step that keeps a place has
 * ended.
 */
static void
settle(Cascade *cascade, Affected *task, int32 node)
{
	TcStepKey	key = {task->ended->key.task_id, node + 1};
	const TcQueueRow *row = bsearch(&key, cascade->waiting, cascade->nwaiting, sizeof(TcQueueRow),
									tc_step_key_compare);

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

static void
settle_task(Cascade *cascade, Affected *task)
{
	task->news = palloc0(sizeof(TcParents) * task->template->nsteps);
	for (int i = 0; i < task->n; i++)
		tell_children(task, &task->ended[i]);
	for (int32 node = task->ended[0].key.step_no; node < task->template->nsteps; node++)
	{
		CHECK_FOR_INTERRUPTS();
		if (has_news(&task->news[node]))
			settle(cascade, task, node);
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
		if (inserted[i])
			cascade->tasks[t].ended[cascade->tasks[t].n - 1].steps_ready++;
	}
}

void
tc_cascade(TcEnded *ended, int n)
{
	Cascade		cascade = {0};

	split_by_task(&cascade, ended, n);
	lock_reached(&cascade);
	for (int t = 0; t < cascade.ntasks; t++)
		settle_task(&cascade, &cascade.tasks[t]);
	if (cascade.nmoves > 0)
		tc_step_record_moves(cascade.moves, cascade.nmoves);
	if (cascade.nsettled > 0)
		tc_queue_settle_waiting(cascade.settled, cascade.nsettled);
	if (cascade.nborn > 0)
		insert_born(&cascade);
}
