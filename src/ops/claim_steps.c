/*
 * claim_steps.c
 *	  A worker asks for steps to run.
 *
 * Claims do not wait: what another transaction holds, queue rows and task rows
 * alike, is passed over, and where SKIP LOCKED waits all the same the claim gives
 * up within milliseconds.  So they can stand anywhere in a transaction without
 * taking part in a deadlock.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/priority.h"
#include "events/events.h"
#include "ops/children.h"
#include "ops/claim.h"
#include "ops/maps.h"
#include "ops/signals.h"
#include "ops/steps.h"
#include "store/attempt.h"
#include "store/instance_store.h"
#include "store/signal_store.h"
#include "store/task_store.h"
#include "store/template_store.h"
#include "store/worker_store.h"

/* Tokens are exact in every client, JavaScript's doubles included. */
#define TOKEN_MASK ((INT64CONST(1) << 53) - 1)

/* Lost last attempts that one claim closes, so that its own cost stays bounded. */
#define MAX_EXHAUSTED_PER_CLAIM 100

/* The second look finds what the first lost to other claimers. */
#define MAX_LOOKS 2


static int64
random_token(void)
{
	uint64		token;

	do
	{
		if (!pg_strong_random(&token, sizeof(token)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a claim token"),
					 errdetail("The system's source of random numbers failed."),
					 errhint("Call claim_steps again.")));
		token &= TOKEN_MASK;
	} while (token == 0);
	return (int64) token;
}

/* The lease a worker asked for, and no longer than the step may take. */
static TimestampTz
lease_end(const TcClaimRequest *request, const TcStep *step)
{
	double		seconds = request->lease_seconds;

	if (step->timeout_seconds > 0 && request->grace_seconds > 0)
		seconds = step->timeout_seconds + request->grace_seconds;
	else if (step->timeout_seconds > 0)
		seconds = Min(seconds, step->timeout_seconds);
	return tc_session_now() + (TimestampTz) (seconds * USECS_PER_SEC);
}

/* ---- tasks that a claim starts ------------------------------------------- */

static int
distinct_tasks(const TcQueueRow *rows, int n, int64 **task_ids)
{
	*task_ids = palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*task_ids)[i] = rows[i].key.task_id;
	return tc_task_ids_sort_unique(*task_ids, n);
}

static TcClaimTask *
find_task(TcClaimTask *tasks, int n, int64 task_id)
{
	StaticAssertStmt(offsetof(TcClaimTask, task_id) == 0, "task_id comes first");
	return bsearch(&task_id, tasks, n, sizeof(TcClaimTask), tc_task_id_compare);
}

/* Somebody else may have started them meanwhile. */
static void
look_again(TcClaimTask *tasks, int n, int64 *task_ids, int npending)
{
	TcTaskRow  *rows;
	int			nrows = tc_task_read_latest(task_ids, npending, &rows);

	for (int i = 0; i < nrows; i++)
		find_task(tasks, n, rows[i].task_id)->state = rows[i].state;
}

static void
start_pending(TcClaimTask *tasks, int n)
{
	int64	   *pending = palloc(sizeof(int64) * Max(n, 1));
	int64	   *started = palloc(sizeof(int64) * Max(n, 1));
	int			npending = 0;
	int			nstarted;

	for (int i = 0; i < n; i++)
	{
		tasks[i].started = false;
		if (tasks[i].state == TC_TASK_PENDING)
			pending[npending++] = tasks[i].task_id;
	}
	if (npending == 0)
		return;
	memcpy(started, pending, sizeof(int64) * npending);
	nstarted = tc_task_start(started, npending);
	for (int i = 0; i < nstarted; i++)
	{
		TcClaimTask *task = find_task(tasks, n, started[i]);

		task->state = TC_TASK_IN_PROGRESS;
		task->started = true;
		tc_event_task(TC_EVENT_TASK_STARTED, started[i]);
	}
	if (nstarted < npending)
		look_again(tasks, n, pending, npending);
}

/*
 * A task whose row somebody else holds may not be started by us; unless that
 * was another claimer that has just started it, its steps are left for the next
 * claim.  Returns how many rows remain; tasks holds what their workers see.
 */
int
tc_claim_start_tasks(TcQueueRow *rows, int n, TcClaimTask **tasks, int *ntasks)
{
	int64	   *task_ids;
	int			kept = 0;

	*ntasks = distinct_tasks(rows, n, &task_ids);
	*ntasks = tc_claim_read_tasks(task_ids, *ntasks, tasks);
	start_pending(*tasks, *ntasks);
	for (int i = 0; i < n; i++)
	{
		const TcClaimTask *task = find_task(*tasks, *ntasks, rows[i].key.task_id);

		if (task != NULL && task->state == TC_TASK_IN_PROGRESS)
			rows[kept++] = rows[i];
	}
	return kept;
}

/* ---- one look ------------------------------------------------------------ */

/* A row with an expired lease: its attempt is lost, and on record. */
void
tc_claim_record_lost(TcQueueRow *rows, int n)
{
	TcQueueRow *expired = palloc(sizeof(TcQueueRow) * Max(n, 1));
	int			nexpired = 0;

	for (int i = 0; i < n; i++)
	{
		if (rows[i].phase != TC_PHASE_CLAIMED)
			continue;
		expired[nexpired++] = rows[i];
		rows[i].attempts++;
		rows[i].attempt_no++;
		tc_event_step(TC_EVENT_STEP_LEASE_EXPIRED, rows[i].key.task_id, rows[i].key.step_no);
	}
	if (nexpired > 0)
		tc_queue_record_expired(expired, nexpired);
}

void
tc_claim_take(TcClaimBatch *batch, TcQueueRow *rows, int n, TcClaimTask *tasks, int ntasks)
{
	int64	   *tokens = palloc(sizeof(int64) * Max(n, 1));
	TimestampTz *lease_until = palloc(sizeof(TimestampTz) * Max(n, 1));

	tc_claim_record_lost(rows, n);
	for (int i = 0; i < n; i++)
	{
		TcClaim    *claim = &batch->claims[batch->n++];
		const TcClaimTask *task = find_task(tasks, ntasks, rows[i].key.task_id);

		claim->row = rows[i];
		claim->lane = tc_lane_get(rows[i].lane_id);
		claim->step = tc_step_of(tc_template_get(claim->lane->named_task_id), rows[i].key.step_no);
		claim->claim_token = tokens[i] = random_token();
		claim->lease_until = lease_until[i] = lease_end(batch->request, claim->step);
		claim->task_context = task->context;
		claim->correlation_id = task->correlation_id;
		claim->priority = tc_priority_of_step(task->priority, claim->step->priority);
		tc_event_timer(lease_until[i]);
	}
	tc_queue_claim(rows, tokens, lease_until, n, batch->request->worker_id);
	for (int i = 0; i < ntasks; i++)
	{
		if (tasks[i].started)
			batch->started[batch->nstarted++] = tasks[i].task_id;
	}
}

typedef struct Catch
{
	TcClaimBatch *batch;
	const TcClaimScope *scope;
	const TcCandidate *candidates;
	int			ncandidates;
	int			nrows;
} Catch;

/*
 * Locks and claims in one subtransaction: a row that one locks and the other
 * updates would need a multixact.
 */
static bool
catch_rows(void *arg)
{
	Catch	   *catch = arg;
	TcQueueRow *rows;
	TcClaimTask *tasks;
	int			ntasks;

	catch->nrows = tc_claim_lock(catch->scope, catch->candidates, catch->ncandidates, &rows);
	qsort(rows, catch->nrows, sizeof(TcQueueRow), tc_step_key_compare);
	catch->nrows = tc_claim_start_tasks(rows, catch->nrows, &tasks, &ntasks);
	if (catch->nrows == 0)
		return false;
	tc_claim_take(catch->batch, rows, catch->nrows, tasks, ntasks);
	return true;
}

bool
tc_claim_catch(TcClaimBatch *batch, const TcClaimScope *scope, const TcCandidate *candidates, int n)
{
	Catch		catch = {.batch = batch, .scope = scope, .candidates = candidates, .ncandidates = n};

	if (!tc_attempt(catch_rows, &catch, TC_WAIT_BRIEFLY))
		return true;
	return catch.nrows < catch.ncandidates;
}

/* Returns whether another look may find more. */
static bool
look(TcClaimBatch *batch, const TcClaimScope *scope)
{
	TcCandidate *candidates;
	int			n = tc_claim_peek(scope, batch->request->max_steps - batch->n, &candidates);

	return n > 0 && tc_claim_catch(batch, scope, candidates, n);
}

static void
close_exhausted(const TcClaimScope *scope)
{
	TcStepKey  *keys;
	int			n = tc_claim_find_exhausted(scope, MAX_EXHAUSTED_PER_CLAIM, &keys);

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_fail_exhausted(keys[i]);
	}
}

static void
settle_waits(const TcClaimScope *scope)
{
	TcStepKey  *keys;
	int			n = tc_waits_find_due(scope, MAX_EXHAUSTED_PER_CLAIM, &keys);

	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		tc_settle_wait(keys[i]);
	}
}

static bool
has_limits(const TcClaimScope *scope)
{
	for (int i = 0; i < scope->nlanes; i++)
	{
		if (scope->lanes[i]->limited)
			return true;
	}
	return false;
}

static void
claim_from_shard(TcClaimBatch *batch, TcClaimScope *scope)
{
	close_exhausted(scope);
	settle_waits(scope);
	if (tc_lanes_nest())
		tc_errands_do(scope->shard_key, MAX_EXHAUSTED_PER_CLAIM);
	if (has_limits(scope))
	{
		tc_claim_let_out();
		tc_claim_limited(batch, scope);
		return;
	}
	for (int looks = 0; looks < MAX_LOOKS && batch->n < batch->request->max_steps; looks++)
	{
		if (!look(batch, scope))
			break;
	}
}

/* ---- what a worker needs ------------------------------------------------- */

static const TcTemplate *
template_of(const TcClaim *claim)
{
	return tc_template_get(claim->lane->named_task_id);
}

static int32
node_of(const TcClaim *claim)
{
	return tc_node_of(template_of(claim), claim->row.key.step_no);
}

static int64
count_parents(const TcClaimBatch *batch)
{
	int64		total = 0;

	for (int i = 0; i < batch->n; i++)
		total += tc_dag_parent_count(&template_of(&batch->claims[i])->dag, node_of(&batch->claims[i]));
	return total;
}

/* Instances of one map have the same parents, and mostly come together: one reads for all. */
static bool
shares_results(const TcClaimBatch *batch, int i)
{
	const TcClaim *claim = &batch->claims[i];
	const TcClaim *previous = claim - 1;

	return i > 0 && tc_is_instance(template_of(claim), claim->row.key.step_no) &&
		claim->step == previous->step && claim->row.key.task_id == previous->row.key.task_id;
}

static void
add_results(TcClaimBatch *batch)
{
	TcParentResult *parents = palloc(sizeof(TcParentResult) * Max(count_parents(batch), 1));
	struct varlena **results = palloc(sizeof(struct varlena *) * Max(batch->n, 1));
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		const TcTemplate *template = template_of(&batch->claims[i]);
		const TcDag *dag = &template->dag;
		TcStepKey	key = batch->claims[i].row.key;
		int32		node = node_of(&batch->claims[i]);

		for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1] && !shares_results(batch, i); p++)
		{
			parents[n].claim = i;
			parents[n].parent.task_id = key.task_id;
			parents[n].slot = batch->claims[i].row.slot;
			parents[n].parent.step_no = dag->parents[p] + 1;
			parents[n++].parent_name = template->steps[dag->parents[p]].name;
		}
	}
	tc_claim_read_results(parents, n, results, batch->n);
	for (int i = 0; i < batch->n; i++)
		batch->claims[i].dependency_results = results[i];
}

/* A batchable step is given its batch_config. */
static struct varlena *
inputs_of_batchable(const TcStep *step)
{
	JsonbParseState *state = NULL;
	JsonbValue	key = {.type = jbvString};
	JsonbValue	config = {.type = jbvBinary};

	key.val.string.val = "batch_config";
	key.val.string.len = strlen("batch_config");
	config.val.binary.data = &((Jsonb *) step->batch_config)->root;
	config.val.binary.len = VARSIZE(step->batch_config) - VARHDRSZ;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, &config);
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static void
add_inputs_of_instances(TcClaimBatch *batch)
{
	TcClaim   **instances = palloc(sizeof(TcClaim *) * Max(batch->n, 1));
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * Max(batch->n, 1));
	struct varlena **inputs = palloc(sizeof(struct varlena *) * Max(batch->n, 1));
	int			n = 0;

	for (int i = 0; i < batch->n; i++)
	{
		TcClaim    *claim = &batch->claims[i];

		if (!tc_is_instance(template_of(claim), claim->row.key.step_no))
			continue;
		claim->step_name = tc_step_display_name(template_of(claim), claim->row.key.step_no,
												palloc(TC_STEP_NAME_BYTES));
		instances[n] = claim;
		keys[n++] = claim->row.key;
		claim->dependency_results = shares_results(batch, i) ? claim[-1].dependency_results
			: tc_map_without_items(template_of(claim), claim->step, claim->dependency_results);
	}
	if (n == 0)
		return;
	tc_instances_inputs(keys, n, inputs);
	for (int i = 0; i < n; i++)
		instances[i]->inputs = inputs[i];
}

/* Handed back, so in the caller's context. */
static void
add_inputs(TcClaimBatch *batch)
{
	MemoryContext old = MemoryContextSwitchTo(tc_session_caller_context());

	for (int i = 0; i < batch->n; i++)
	{
		batch->claims[i].step_name = batch->claims[i].step->name;
		batch->claims[i].inputs = batch->claims[i].step->batch_config != NULL ?
			inputs_of_batchable(batch->claims[i].step) : NULL;
	}
	add_inputs_of_instances(batch);
	MemoryContextSwitchTo(old);
}

/* Highest priority first, then by age: as they were ready, not as they are leased. */
static int
compare_claims(const void *a, const void *b)
{
	const TcClaim *x = a;
	const TcClaim *y = b;

	if (x->lane->priority != y->lane->priority)
		return x->lane->priority > y->lane->priority ? -1 : 1;
	if (x->row.visible_at != y->row.visible_at)
		return x->row.visible_at < y->row.visible_at ? -1 : 1;
	return tc_step_key_compare(&x->row.key, &y->row.key);
}

/* Shards take turns at being first, so that none is served only when others are empty. */
static int
first_shard(int nshards)
{
	static uint32 turn = 0;

	return (int) (turn++ % (uint32) nshards);
}

/* Who claims from one task only does not say what it serves otherwise. */
static void
touch_worker(const TcClaimRequest *request)
{
	TcWorkerScope scope = {request->filter, request->shard_keys, request->nshard_keys};

	tc_worker_touch(request->worker_id, request->task_id == 0 ? &scope : NULL);
}

int
tc_claim_steps(const TcClaimRequest *request, TcClaim **claims)
{
	int			nshards = request->shard_keys ? request->nshard_keys : tc_shard_count();
	TcClaimBatch batch = {.request = request};
	TcClaimScope scope = {.task_id = request->task_id};
	int			first;

	touch_worker(request);
	scope.nlanes = tc_lane_select(&request->filter, &scope.lanes);
	batch.claims = palloc(sizeof(TcClaim) * Max(request->max_steps, 1));
	batch.started = palloc(sizeof(int64) * Max(request->max_steps, 1));
	*claims = batch.claims;
	if (scope.nlanes == 0 || nshards == 0 || request->max_steps == 0)
		return 0;

	first = first_shard(nshards);
	for (int i = 0; i < nshards && batch.n < request->max_steps; i++)
	{
		int			shard = (first + i) % nshards;

		scope.shard_key = request->shard_keys ? request->shard_keys[shard] : shard;
		if (request->task_id != 0 && scope.shard_key != tc_shard_key(request->task_id))
			continue;
		claim_from_shard(&batch, &scope);
	}
	if (batch.nstarted > 0 && tc_lanes_nest())
		tc_children_began(batch.started, batch.nstarted);
	qsort(batch.claims, batch.n, sizeof(TcClaim), compare_claims);
	add_results(&batch);
	add_inputs(&batch);
	return batch.n;
}
