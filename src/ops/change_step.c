/*
 * change_step.c
 *	  A person moves a step: reset, resolve, skip, cancel; or retries a task.
 *
 * The change is first made in memory, on the task as it is under its locks;
 * then the queue is brought in line with it.  What has to be in the queue
 * follows from the states and the graph alone, so all changes share that part.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "events/events.h"
#include "ops/changes.h"
#include "ops/children.h"
#include "ops/flow.h"
#include "ops/maps.h"
#include "ops/progress.h"
#include "ops/schemas.h"
#include "ops/steps.h"
#include "store/dead_letter_store.h"
#include "store/lane_store.h"

/* A change as it grows: moves to record, steps whose row is stale. */
typedef struct Change
{
	TcHeldTask	held;
	TcStepMove *moves;
	int			nmoves;
	int			nrecorded;		/* of them, those that are on record already */
	bool	   *touched;		/* by position in the view: the row, if any, is no longer right */
	bool	   *admitted;		/* the same, of instances: they have a row from now on */
	TcStarter	starter;
	TcStart    *starts;			/* by node: how it started; phase 0 = it did not, now */
	int32		readied;
	int32		launched;		/* steps that run as tasks, from now on */
	TcQueueRow *gone;			/* rows that left the queue */
	int			ngone;
} Change;

/*
 * A failure that ended a whole task left its other steps as if cancelled, with
 * nothing on record; whatever resumes the task takes that back.
 */
static void
forget_fail_fast(TcTaskView *view)
{
	if (!view->template->fail_fast || view->task.state != TC_TASK_ERROR)
		return;
	for (int32 i = 0; i < view->nsteps; i++)
	{
		TcStepView *step = &view->steps[i];

		if (step->state == TC_STEP_CANCELLED && !(step->recorded && step->last_recorded == TC_STEP_CANCELLED))
			step->state = TC_STEP_PENDING;
	}
}

static void
begin_change(Change *change, int64 task_id)
{
	int32		nsteps;

	tc_hold_task(task_id, &change->held);
	nsteps = change->held.view.nsteps;
	change->moves = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(TcStepMove) * 2 * nsteps);
	change->starts = palloc0(sizeof(TcStart) * change->held.view.template->nsteps);
	tc_starter_begin(&change->starter, task_id, change->held.view.template);
	change->touched = palloc0(sizeof(bool) * nsteps);
	change->admitted = palloc0(sizeof(bool) * nsteps);
	change->gone = palloc(sizeof(TcQueueRow) * nsteps);
	change->nmoves = change->nrecorded = 0;
	change->readied = change->launched = 0;
	change->ngone = 0;
}

static const TcQueueRow *
row_of(const TcHeldTask *held, int32 position)
{
	TcStepKey	key = {held->view.task.task_id, tc_view_step_no(&held->view, position)};

	return bsearch(&key, held->rows, held->nrows, sizeof(TcQueueRow), tc_step_key_compare);
}

/* Moves a step in memory and notes what goes on record. */
static void
move_step(Change *change, int32 position, const TcChangeRequest *request)
{
	TcStepView *step = &change->held.view.steps[position];
	const TcQueueRow *row = row_of(&change->held, position);
	bool		claimed = row != NULL && row->phase == TC_PHASE_CLAIMED;
	bool		begun = claimed || (row != NULL && row->phase == TC_PHASE_TASK);
	TcStepMove *move = &change->moves[change->nmoves];

	memset(move, 0, sizeof(*move));
	move->ordinal = change->nmoves++;
	move->key.task_id = change->held.view.task.task_id;
	move->key.step_no = tc_view_step_no(&change->held.view, position);
	move->after_attempt_no = step->history_rows;
	move->verb = request->verb;
	move->from = step->state;
	move->to = request->to;
	move->worker_id = claimed ? row->worker_id : NULL;
	move->claimed_at = begun ? row->claimed_at : TC_NO_TIME;
	move->results = request->results;
	move->reason = request->reason;
	move->metadata = request->metadata;

	step->state = request->to;
	step->taken = request->taken;
	if (request->to == TC_STEP_PENDING)
		step->attempts = 0;
	if (request->results != NULL && !tc_view_is_instance(&change->held.view, position))
		tc_starter_know(&change->starter, position, request->results);
	change->touched[position] = true;
}

static int
compare_moves(const void *a, const void *b)
{
	int			order = tc_step_key_compare(a, b);

	return order != 0 ? order : ((const TcStepMove *) a)->ordinal - ((const TcStepMove *) b)->ordinal;
}

static void
record_moves(Change *change)
{
	TcStepMove *moves = change->moves + change->nrecorded;
	int			n = change->nmoves - change->nrecorded;

	qsort(moves, n, sizeof(TcStepMove), compare_moves);
	tc_step_record_moves(moves, n);
	change->nrecorded = change->nmoves;
}

static void
end_by_itself(Change *change, int32 node, const TcStart *start, TimestampTz claimed_at)
{
	TcTaskView *view = &change->held.view;
	TcStepKey	key = {view->task.task_id, node + 1};
	TcStepMove *move = &change->moves[change->nmoves];

	*move = tc_move_of_start(key, start);
	move->ordinal = change->nmoves++;
	move->after_attempt_no = view->steps[node].history_rows;
	if (claimed_at != TC_NO_TIME)
		move->claimed_at = claimed_at;
	view->steps[node].state = start->state;
	change->touched[node] = true;
	if (start->results != NULL)
		tc_starter_know(&change->starter, node, start->results);
}

/* Its turn has come: it has a row from now on, or has ended. */
static void
start_step(Change *change, int32 node)
{
	TcTaskView *view = &change->held.view;
	TcStart		start = tc_start_step(&change->starter, node, Max(tc_session_now(), view->task.run_at));

	change->touched[node] = true;
	change->starts[node] = start;
	if (start.phase == 0)
		end_by_itself(change, node, &start, TC_NO_TIME);
}

/* ---- maps ---------------------------------------------------------------- */

/* The instances of a step that has any; NULL of all others. */
static const TcMapView *
instances_of(const TcTaskView *view, int32 node)
{
	const TcMapView *map = tc_view_map(view, node);

	return map != NULL && map->count > 0 ? map : NULL;
}

/* Its map has ended without them: those that are open end with it, and those that failed block nothing any more. */
static void
cancel_instances(Change *change, const TcMapView *map, const char *reason)
{
	TcChangeRequest cancel = {.verb = TC_VERB_CASCADE, .to = TC_STEP_CANCELLED, .reason = reason};

	for (int32 i = map->position; i < map->position + map->count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!tc_step_state_is_ended(change->held.view.steps[i].state) || tc_view_blocks(&change->held.view, i))
			move_step(change, i, &cancel);
	}
}

/* It ends with its instances, and they with it.  What they were moved to has to be on record before it is read. */
static void
settle_map(Change *change, int32 node, const TcMapView *map, const char *reason)
{
	TcTaskView *view = &change->held.view;
	const TcQueueRow *row = row_of(&change->held, node);
	TcStart		start;

	if (tc_step_state_is_ended(view->steps[node].state))
	{
		if (view->steps[node].state != TC_STEP_ERROR && change->touched[node])
			cancel_instances(change, map, reason);
		return;
	}
	if (tc_view_map_progress(view, map).waited_for > 0)
		return;
	record_moves(change);
	start = tc_map_end((TcStepKey) {view->task.task_id, node + 1}, view->template);
	end_by_itself(change, node, &start, row != NULL ? row->claimed_at : TC_NO_TIME);
}

/*
 * Which instances have a row from now on: those that have one, and others up to
 * the limit of the map.  Returns the place of the first that has to wait.
 */
static int32
admit_instances(Change *change, int32 node, const TcMapView *map)
{
	const TcTaskView *view = &change->held.view;
	int32		parallelism = view->template->steps[node].parallelism;
	int32		free = parallelism == 0 ? map->count : parallelism;
	int32		first_waiting = map->count;

	for (int32 i = map->position; i < map->position + map->count; i++)
	{
		change->admitted[i] = !tc_step_state_is_ended(view->steps[i].state) && view->steps[i].live;
		free -= change->admitted[i] ? 1 : 0;
	}
	for (int32 i = map->position; i < map->position + map->count; i++)
	{
		if (tc_step_state_is_ended(view->steps[i].state) || change->admitted[i])
			continue;
		change->admitted[i] = free-- > 0;
		if (!change->admitted[i])
			first_waiting = Min(first_waiting, i - map->position);
	}
	return first_waiting;
}

/*
 * What was skipped or cancelled takes along what its trigger rule lets, and so on
 * down, but not past a step that people resolved: its children have what they want.
 * What starts by itself and may run now, starts.  Nodes are in topological order.
 */
static void
settle_steps(Change *change, const TcChangeRequest *request)
{
	const TcTaskView *view = &change->held.view;
	TcChangeRequest onward = {.verb = TC_VERB_CASCADE, .reason = request->reason};

	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		const TcMapView *map = instances_of(view, node);
		TcVerdict	verdict;

		CHECK_FOR_INTERRUPTS();
		if (map != NULL)
		{
			settle_map(change, node, map, request->reason);
			continue;
		}
		if (view->steps[node].state != TC_STEP_PENDING ||
			(tc_view_is_triggered(&view->steps[node]) && !change->touched[node]))
			continue;
		verdict = tc_view_verdict(view, node);
		if (verdict == TC_VERDICT_RUNS && tc_step_is_gated(&view->template->steps[node]))
			start_step(change, node);
		if (verdict == TC_VERDICT_WAITS || verdict == TC_VERDICT_RUNS)
			continue;
		onward.to = verdict == TC_VERDICT_SKIPPED ? TC_STEP_SKIPPED : TC_STEP_CANCELLED;
		move_step(change, node, &onward);
	}
}

/* ---- the queue follows --------------------------------------------------- */

/* Parents that may still end, after a reset perhaps, and would then look for this child. */
static int32
unended_parents(const TcTaskView *view, int32 node)
{
	const TcDag *dag = &view->template->dag;
	int32		n = 0;

	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
	{
		if (!tc_step_state_is_ended(view->steps[dag->parents[p]].state) ||
			tc_view_blocks(view, dag->parents[p]))
			n++;
	}
	return n;
}

/*
 * What the queue has to hold for a step; phase 0 = nothing.  A step that its
 * rule has let run stays in the queue, though a failed parent is tried again; a
 * join waits there once a parent of it counts.
 */
static TcQueueRow
wanted_row(Change *change, int32 node)
{
	const TcTaskView *view = &change->held.view;
	const TcMapView *map = instances_of(view, node);
	const TcStepView *step = &view->steps[node];
	TcParents	parents = tc_view_parents(view, node);
	int32		remaining = tc_trigger_remaining(tc_view_trigger_rule(view, node), &parents);
	int32		nparents = tc_dag_parent_count(&view->template->dag, node);
	TcQueueRow	row = {.key = {view->task.task_id, node + 1}};

	if (tc_step_state_is_ended(step->state))
	{
		row.remaining_parents = unended_parents(view, node);
		row.phase = row.remaining_parents > 0 ? TC_PHASE_ENDED : 0;
	}
	else if (map != NULL)
	{
		row.phase = TC_PHASE_MAP;
		row.remaining_parents = tc_view_map_progress(view, map).waited_for;
		row.satisfied_parents = admit_instances(change, node, map);
	}
	else if (tc_view_verdict(view, node) == TC_VERDICT_RUNS ||
			 (tc_view_is_triggered(step) && !change->touched[node]))
	{
		row.phase = change->starts[node].phase != 0 ? change->starts[node].phase : TC_PHASE_READY;
		if (row.phase == TC_PHASE_MAP)
			tc_map_begin_row(&row, &view->template->steps[node], &change->starts[node]);
	}
	else if (nparents > 1 && remaining < nparents)
	{
		row.phase = TC_PHASE_WAITING;
		row.remaining_parents = remaining;
		row.satisfied_parents = parents.fates[TC_PARENT_SATISFIED];
	}
	return row;
}

/* The same for an instance; that of its map was looked at before. */
static TcQueueRow
wanted_row_of_instance(const Change *change, int32 position)
{
	TcQueueRow	row = {
		.key = {change->held.view.task.task_id, tc_view_step_no(&change->held.view, position)},
		.phase = change->admitted[position] ? TC_PHASE_READY : 0,
	};

	return row;
}

static bool
row_is_right(const TcQueueRow *row, bool touched, const TcQueueRow *wanted)
{
	if (row == NULL || wanted->phase == 0)
		return row == NULL && wanted->phase == 0;
	if (touched)
		return false;
	if (wanted->phase == TC_PHASE_READY)
		return tc_phase_is_live(row->phase);
	return row->phase == wanted->phase && row->remaining_parents == wanted->remaining_parents &&
		row->satisfied_parents == wanted->satisfied_parents;
}

/*
 * What people make ready keeps to the task's run_at, like everything else in it; and
 * instances to the time from which on their map runs.  One that is reset is delayed anew.
 */
static TimestampTz
ready_at(const Change *change, int32 position)
{
	const TcTaskView *view = &change->held.view;
	int32		node = tc_view_node(view, position);
	const TcQueueRow *map = row_of(&change->held, node);
	TimestampTz time = Max(tc_session_now(), view->task.run_at);
	TimestampTz delayed = tc_step_ready_at(&view->template->steps[node], time);

	if (instances_of(view, node) == NULL || map == NULL)
		return delayed;
	if (position == node)
		return map->visible_at;
	return Max(change->touched[position] ? delayed : time, map->visible_at);
}

/* The rest of a new row. */
static void
fill_row(const Change *change, TcQueueRow *row, int32 position)
{
	const TcTaskView *view = &change->held.view;
	int32		node = tc_view_node(view, position);
	const TcStep *definition = &view->template->steps[node];
	const TcStepView *step = &view->steps[position];
	bool		started = position == node && change->starts[node].phase != 0;

	row->lane_id = tc_lane_for(view->task.named_task_id, definition->queue, view->task.priority,
							   definition->priority);
	if (view->task.paused_at != TC_NO_TIME)
		row->lane_id = -row->lane_id;
	row->visible_at = started ? change->starts[node].visible_at : ready_at(change, position);
	row->attempts = step->attempts;
	row->max_attempts = tc_step_attempt_limit(definition);
	row->attempt_no = step->history_rows;
	row->slot = view->task.slot;
}

static void
align_queue(Change *change)
{
	const TcTaskView *view = &change->held.view;
	int32		nsteps = view->nsteps;
	TcStepKey  *stale = palloc(sizeof(TcStepKey) * nsteps);
	TcQueueRow *fresh = palloc(sizeof(TcQueueRow) * nsteps);
	TcQueueRow *running = palloc(sizeof(TcQueueRow) * nsteps);
	int			nstale = 0;
	int			nfresh = 0;
	int			nrunning = 0;

	for (int32 i = 0; i < nsteps; i++)
	{
		const TcQueueRow *row = row_of(&change->held, i);
		TcQueueRow	wanted = tc_view_is_instance(view, i) ? wanted_row_of_instance(change, i)
			: wanted_row(change, i);

		CHECK_FOR_INTERRUPTS();
		if (row_is_right(row, change->touched[i], &wanted))
			continue;
		if (row != NULL && row->phase == TC_PHASE_MAP && wanted.phase == TC_PHASE_MAP)
		{
			wanted.visible_at = row->visible_at;
			running[nrunning++] = wanted;
			continue;			/* other counts; it runs on since it began */
		}
		if (row != NULL)
		{
			change->gone[change->ngone++] = *row;
			stale[nstale++] = row->key;
		}
		if (wanted.phase == 0)
			continue;
		fill_row(change, &wanted, i);
		fresh[nfresh++] = wanted;
		if (wanted.phase == TC_PHASE_READY)
			change->readied++;
		if (wanted.phase == TC_PHASE_TASK)
			change->launched++;
	}
	tc_queue_remove(stale, nstale);
	tc_queue_settle_waiting(running, nrunning);
	tc_queue_insert(fresh, nfresh);
	for (int i = 0; i < nfresh; i++)
	{
		if (fresh[i].phase == TC_PHASE_MAP && instances_of(view, fresh[i].key.step_no - 1) == NULL)
			change->readied += tc_map_make_instances(&fresh[i], view->template,
													 &change->starts[fresh[i].key.step_no - 1]);
	}
}

/* ---- the task follows ---------------------------------------------------- */

static void
move_task(TcTaskRow *task, TcTaskState to, const TcChangeRequest *request)
{
	TcTaskMove	move = {.task_id = task->task_id, .from = task->state, .to = to};

	if (tc_task_move(move.from, move.to) != TC_MOVE_LEGAL)
		return;
	tc_task_write_moves(&move, 1, request->reason, request->metadata);
	task->state = to;
}

/* The failed steps are counted on the task: the change may have taken some back. */
static void
recount_failed(const TcTaskView *view)
{
	int32		failed = 0;

	for (int32 i = 0; i < view->nsteps; i++)
		failed += tc_view_blocks(view, i) ? 1 : 0;
	if (failed != view->task.failed_steps)
		tc_task_add_failed(view->task.task_id, failed - view->task.failed_steps);
}

/* Every step was cancelled, or skipped with one that was: so is the task.  Instances went with their maps. */
static bool
all_cancelled(const TcTaskView *view)
{
	bool		cancelled = false;

	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		TcStepState state = view->steps[node].state;

		if (state != TC_STEP_CANCELLED && state != TC_STEP_SKIPPED)
			return false;
		cancelled = cancelled || state == TC_STEP_CANCELLED;
	}
	return cancelled;
}

static void
settle_task(Change *change, const TcChangeRequest *request)
{
	TcTaskView *view = &change->held.view;

	recount_failed(view);
	if (view->task.state == TC_TASK_ERROR)
		tc_dead_letter_settle(view->task.task_id, TC_DEAD_LETTER_MANUALLY_RESOLVED, request->reason);
	if (view->task.state != TC_TASK_IN_PROGRESS)
	{
		TcEvent		event = view->task.state == TC_TASK_ERROR ? TC_EVENT_TASK_RETRIED
			: TC_EVENT_TASK_STARTED;

		move_task(&view->task, TC_TASK_IN_PROGRESS, request);
		tc_event_task(event, view->task.task_id);
		if (event == TC_EVENT_TASK_RETRIED)
			tc_child_goes_on(view->task.task_id, view->task.parent_step_id);
		else if (view->task.parent_step_id != 0)
			tc_children_began(&view->task.task_id, 1);
	}
	if (all_cancelled(view))
	{
		tc_queue_clear(view->task.task_id);
		move_task(&view->task, TC_TASK_CANCELLED, request);
		tc_event_task(TC_EVENT_TASK_CANCELLED, view->task.task_id);
		tc_child_ended(view->task.task_id, view->task.parent_step_id, TC_TASK_CANCELLED);
		return;
	}
	tc_progress_close(&view->task.task_id, NULL, 1, &view->task.state);
}

static void
announce(const Change *change)
{
	const TcTaskView *view = &change->held.view;

	for (int i = 0; i < change->nmoves; i++)
	{
		const TcStepMove *move = &change->moves[i];

		switch (move->to)
		{
			case TC_STEP_PENDING:
				tc_event_step(TC_EVENT_STEP_RESET, move->key.task_id, move->key.step_no);
				break;
			case TC_STEP_SKIPPED:
				tc_event_step(TC_EVENT_STEP_SKIPPED, move->key.task_id, move->key.step_no);
				break;
			case TC_STEP_CANCELLED:
				tc_event_step(TC_EVENT_STEP_CANCELLED, move->key.task_id, move->key.step_no);
				break;
			case TC_STEP_RESOLVED_MANUALLY:
				tc_event_step(TC_EVENT_STEP_RESOLVED_MANUALLY, move->key.task_id, move->key.step_no);
				break;
			case TC_STEP_COMPLETE:
				tc_event_step(TC_EVENT_STEP_COMPLETED, move->key.task_id, move->key.step_no);
				break;
			case TC_STEP_ERROR:
				tc_event_step(TC_EVENT_STEP_FAILED, move->key.task_id, move->key.step_no);
				break;
			default:
				break;
		}
	}
	if (change->readied > 0 && view->task.paused_at == TC_NO_TIME)
		tc_event_ready(view->template->namespace_name);
}

static void
look_for_signals(const Change *change)
{
	for (int32 node = 0; node < change->held.view.template->nsteps; node++)
	{
		TcStepKey	key = {change->held.view.task.task_id, node + 1};

		if (change->starts[node].phase == TC_PHASE_SIGNAL)
			tc_look_for_signals(&key, 1);
	}
}

/* Steps that run as tasks: those that ended, or begin anew, have no use for the task that ran for them. */
static void
disown_children(const Change *change, const TcChangeRequest *request)
{
	const TcTaskView *view = &change->held.view;
	bool	   *nodes;

	if (!view->template->nests)
		return;
	nodes = palloc0(sizeof(bool) * view->template->nsteps);
	for (int32 node = 0; node < view->template->nsteps; node++)
	{
		const TcQueueRow *row = row_of(&change->held, node);

		nodes[node] = change->touched[node] && (tc_step_state_is_ended(view->steps[node].state) ||
												(row != NULL && row->phase == TC_PHASE_TASK));
	}
	tc_children_disown(view->task.task_id, view->template, nodes, false, request->reason);
}

static void
launch_children(const Change *change)
{
	for (int32 node = 0; node < change->held.view.template->nsteps; node++)
	{
		TcStepKey	key = {change->held.view.task.task_id, node + 1};

		if (change->starts[node].phase == TC_PHASE_TASK)
			tc_children_launch(&key, 1);
	}
}

/* What other tasks made of the change, and this one of that. */
static void
look_again(TcTaskRow *task)
{
	TcTaskRow  *latest;

	if (tc_task_read_latest(&task->task_id, 1, &latest) == 1)
		task->state = latest->state;
}

static void
end_change(Change *change, const TcChangeRequest *request)
{
	uint64		errands = tc_children_done();

	settle_steps(change, request);
	record_moves(change);
	align_queue(change);
	settle_task(change, request);
	look_for_signals(change);
	announce(change);
	disown_children(change, request);
	launch_children(change);
	tc_flow_release(change->gone, change->ngone);
	if (tc_children_done() != errands)
		look_again(&change->held.view.task);
}

/* ---- the operations ------------------------------------------------------ */

static void
require_expected(const TcChangeRequest *request, TcStepState state)
{
	if (request->expected == NULL || *request->expected == state)
		return;
	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("step " INT64_FORMAT " is not in the expected state",
					tc_step_id(request->key.task_id, request->key.step_no)),
			 errdetail("It is in state \"%s\", expected was \"%s\".",
					   tc_step_state_name(state), tc_step_state_name(*request->expected)),
			 errhint("Look at the step again and decide anew.")));
}

/* What came after it has gone on without it. */
static void
refuse_passed_over(int64 step_id, TcFailureRule rule)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("step " INT64_FORMAT " failed and was passed over", step_id),
			 errdetail("Its template says on_failure: %s, so the steps that depend on it %s.",
					   tc_failure_rule_name(rule),
					   rule == TC_ON_FAILURE_SKIP ? "were skipped" : "went on without it"),
			 errhint("Create a new task to run it again.")));
}

/* Its array has become steps already; another one has no place beside them. */
static void
refuse_running_map(int64 step_id, const TcMapProgress *progress)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("step " INT64_FORMAT " is a map whose instances run", step_id),
			 errdetail("%d of its %d instances have not ended well yet.", progress->waited_for,
					   progress->total),
			 errhint("Reset, resolve or skip single instances; or resolve, skip or cancel the step with all of them.")));
}

/* A move that no person can make, or none at all. */
static bool
verb_of(TcStepState to, TcMoveVerb *verb)
{
	switch (to)
	{
		case TC_STEP_PENDING:
			*verb = TC_VERB_RESET;
			return true;
		case TC_STEP_CANCELLED:
			*verb = TC_VERB_CANCEL;
			return true;
		case TC_STEP_SKIPPED:
			*verb = TC_VERB_SKIP;
			return true;
		case TC_STEP_RESOLVED_MANUALLY:
			*verb = TC_VERB_RESOLVE;
			return true;
		case TC_STEP_IN_PROGRESS:
		case TC_STEP_WAITING_FOR_RETRY:
		case TC_STEP_COMPLETE:
		case TC_STEP_ERROR:
		case TC_STEP_STATE_COUNT:
			break;
	}
	return false;
}

static void
refuse_by_hand(int64 step_id, TcStepState to)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_ILLEGAL_TRANSITION),
			 errmsg("step " INT64_FORMAT " cannot be moved to %s by hand", step_id,
					tc_step_state_name(to)),
			 errdetail("Only workers lead a step there, with claim_steps, complete_step and fail_step."),
			 errhint("By hand a step goes to pending, cancelled, skipped or resolved_manually.")));
}

/* Is there anything to do, and may it be done?  The verb is what it is done as. */
static bool
may_change(const Change *change, const TcChangeRequest *request, TcMoveVerb *verb)
{
	const TcTaskView *view = &change->held.view;
	int64		step_id = tc_step_id(request->key.task_id, request->key.step_no);
	int32		position = tc_view_position(view, request->key.step_no);
	const TcMapView *map = tc_view_is_instance(view, position) ? NULL : instances_of(view, position);
	TcStepState from;

	from = view->steps[position].state;
	require_expected(request, from);
	if (tc_step_move(from, request->to) == TC_MOVE_NOOP)
		return false;
	if (tc_task_state_is_final(view->task.state))
		tc_raise_task_not_active(view->task.task_id, view->task.state, "changed");
	if (tc_step_move(from, request->to) == TC_MOVE_ILLEGAL)
		tc_raise_illegal_step_move(step_id, from, request->to);
	if (!verb_of(request->to, verb))
		refuse_by_hand(step_id, request->to);
	if (from == TC_STEP_ERROR && !tc_view_blocks(view, position))
		refuse_passed_over(step_id, tc_failure_rule_of(view->template, request->key.step_no));
	if (map != NULL && from == TC_STEP_IN_PROGRESS && request->to == TC_STEP_PENDING)
	{
		TcMapProgress progress = tc_view_map_progress(view, map);

		refuse_running_map(step_id, &progress);
	}
	return true;
}

void
tc_change_step(const TcChangeRequest *request, TcChangeResult *result)
{
	Change		change;
	TcChangeRequest move = *request;

	tc_require_step(request->key);
	begin_change(&change, request->key.task_id);
	result->changed = may_change(&change, request, &move.verb);
	if (result->changed)
	{
		forget_fail_fast(&change.held.view);
		if (move.to == TC_STEP_RESOLVED_MANUALLY)
			move.taken = tc_require_outcome(change.held.view.template, request->key, move.results);
		move_step(&change, tc_view_position(&change.held.view, request->key.step_no), &move);
		end_change(&change, &move);
	}
	result->task_state = change.held.view.task.state;
	result->steps_ready = change.readied;
}

int32
tc_retry_task(int64 task_id, const char *reason, const struct varlena *metadata)
{
	TcChangeRequest request = {
		.verb = TC_VERB_RETRY_TASK, .to = TC_STEP_PENDING, .reason = reason, .metadata = metadata
	};
	Change		change;
	int32		retried = 0;

	begin_change(&change, task_id);
	if (change.held.view.task.state != TC_TASK_ERROR)
		return 0;
	forget_fail_fast(&change.held.view);
	for (int32 i = 0; i < change.held.view.nsteps; i++)
	{
		if (!tc_view_blocks(&change.held.view, i))
			continue;
		move_step(&change, i, &request);
		retried++;
	}
	end_change(&change, &request);

	/* a deadline leaves no step in error */
	return retried > 0 ? retried : change.readied + change.launched;
}
