/*
 * claim_limited.c
 *	  Claims where steps have concurrency or rate limits.
 *
 * Steps become ready like any other.  The first claim that meets one whose key lets
 * nothing start parks it: its row leaves the range that claims read, so that however
 * many wait behind a limit, none of them is in the way of others.  Whatever ends a
 * claim marks the key as due, under the lock of its row; the next claim of anybody lets
 * as many of the parked rows out as may start.  They come to the end of the line, so
 * keys take turns; within a key the oldest task is first.
 *
 * Locks: the rows of keys, those of steps, those of tasks that are started; all with
 * SKIP LOCKED, in a subtransaction that is rolled back when it has to wait after all.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "domain/instances.h"
#include "domain/order.h"
#include "events/events.h"
#include "ops/claim.h"
#include "ops/flow.h"
#include "store/attempt.h"
#include "store/lane_store.h"

/* Keys that one claim lets rows out of, and rows of each. */
#define MAX_DUE_KEYS 16
#define MAX_LET_OUT 100
#define LET_OUT_AGAIN (1 * USECS_PER_SEC)

/* Each look goes further than the one before, while what it finds has to be parked. */
#define MAX_LOOKS 10
#define WIDER 4
#define WIDEST 512

/* A claim that finds keys held, and nothing else, looks again so often, after so long. */
#define MAX_PAUSES 3
#define PAUSE_MICROSECONDS 2000

typedef enum Decision
{
	LEAVE,						/* for another claim */
	TAKE,
	PARK
} Decision;

/* A step that could be claimed, if its key lets it. */
typedef struct Applicant
{
	TcCandidate candidate;		/* first: found by its key */
	const TcTemplate *template;
	const TcStep *step;
	int64		flow_key_id;	/* 0 = it has no limits, -1 = its key could not be added */
	Decision	decision;
	const TcQueueRow *row;		/* once it is locked */
} Applicant;

/* A key, and what this claim does to it. */
typedef struct HeldKey
{
	TcFlowKey	key;			/* first: found by its id */
	bool		adopted;		/* it has new limits */
	int64		slots;			/* so many more may run, */
	int64		starts;			/* and start */
	int32		started;
	int32		ended;			/* claims whose lease ran out */
	bool		parks;
} HeldKey;

/* What is known from earlier looks of the same claim, both sorted. */
typedef struct Tried
{
	int64	   *keys;			/* flow keys that others held */
	int			nkeys;
	TcStepKey  *rows;			/* steps that others held, or took first */
	int			nrows;
} Tried;

/* One look at the steps that could be claimed, in the order of claims. */
typedef struct Look
{
	TcClaimBatch *batch;
	const TcClaimScope *scope;
	Tried	   *tried;
	Applicant  *applicants;
	int			n;
	HeldKey    *keys;
	int			nkeys;
	int			done;			/* steps taken or parked */
	bool		exhausted;		/* there is nothing further */
} Look;

/* ---- which keys they have ------------------------------------------------ */

typedef struct Names
{
	TcFlowName *names;
	int			n;
} Names;

static bool
add_keys(void *arg)
{
	Names	   *names = arg;

	tc_flow_add(names->names, names->n);
	return true;
}

/* Of two claims that add the same key at the same time one gives up. */
static void
find_keys(TcFlowName *names, int n, int64 *ids)
{
	Names		missing = {palloc(sizeof(TcFlowName) * n), 0};

	tc_flow_find(names, n, ids);
	for (int i = 0; i < n; i++)
	{
		if (ids[i] == 0)
			missing.names[missing.n++] = names[i];
	}
	if (missing.n > 0 && tc_attempt(add_keys, &missing, TC_WAIT_BRIEFLY))
		tc_flow_find(names, n, ids);
}

static void
identify(Look *look)
{
	TcStepKey  *keys = palloc(sizeof(TcStepKey) * look->n);
	const TcTemplate **templates = palloc(sizeof(TcTemplate *) * look->n);
	TcFlowName *names = palloc(sizeof(TcFlowName) * look->n);
	int64	   *ids = palloc(sizeof(int64) * look->n);
	Applicant **limited = palloc(sizeof(Applicant *) * look->n);
	int			n = 0;

	for (int i = 0; i < look->n; i++)
	{
		if (!tc_step_is_limited(look->applicants[i].step))
			continue;
		limited[n] = &look->applicants[i];
		keys[n] = limited[n]->candidate.key;
		templates[n] = limited[n]->template;
		n++;
	}
	if (n == 0)
		return;
	tc_flow_names(keys, templates, n, names);
	find_keys(names, n, ids);
	for (int i = 0; i < n; i++)
		limited[i]->flow_key_id = ids[i] == 0 ? -1 : ids[i];
}

static void
read_applicants(Look *look, const TcCandidate *candidates, int n)
{
	look->applicants = palloc0(sizeof(Applicant) * n);
	look->n = 0;
	for (int i = 0; i < n; i++)
	{
		Applicant  *applicant = &look->applicants[look->n];

		if (bsearch(&candidates[i].key, look->tried->rows, look->tried->nrows, sizeof(TcStepKey), tc_step_key_compare))
			continue;
		applicant->candidate = candidates[i];
		applicant->template = tc_template_get(tc_lane_get(candidates[i].lane_id)->named_task_id);
		applicant->step = tc_step_of(applicant->template, candidates[i].key.step_no);
		look->n++;
	}
	identify(look);
}

/* ---- what may start ------------------------------------------------------ */

/* The keys of applicants that are not left, sorted and distinct; all of them at first. */
static int
keys_of(const Look *look, bool all, int64 **ids)
{
	int			n = 0;
	int			distinct = 0;

	*ids = palloc(sizeof(int64) * Max(look->n, 1));
	for (int i = 0; i < look->n; i++)
	{
		if (look->applicants[i].flow_key_id > 0 && (all || look->applicants[i].decision != LEAVE))
			(*ids)[n++] = look->applicants[i].flow_key_id;
	}
	qsort(*ids, n, sizeof(int64), tc_int64_compare);
	for (int i = 0; i < n; i++)
	{
		if (distinct == 0 || (*ids)[distinct - 1] != (*ids)[i])
			(*ids)[distinct++] = (*ids)[i];
	}
	return distinct;
}

static HeldKey *
key_of(const Look *look, const Applicant *applicant)
{
	return look->nkeys == 0 ? NULL :
		bsearch(&applicant->flow_key_id, look->keys, look->nkeys, sizeof(HeldKey), tc_int64_compare);
}

/* With the limits of the newest version among those that have come to them. */
static void
take_keys(Look *look, const TcFlowKey *keys, int n)
{
	look->keys = palloc0(sizeof(HeldKey) * Max(n, 1));
	look->nkeys = n;
	for (int i = 0; i < n; i++)
		look->keys[i].key = keys[i];
	for (int i = 0; i < look->n; i++)
	{
		HeldKey    *key = key_of(look, &look->applicants[i]);
		int32		version;

		if (key == NULL)
			continue;
		version = key->key.named_task_id;
		tc_flow_adopt(&key->key, &look->applicants[i].step->flow, look->applicants[i].template->named_task_id);
		key->adopted = key->adopted || key->key.named_task_id != version;
	}
}

static void
count_room(HeldKey *key)
{
	key->slots = key->key.concurrency == 0 ? PG_INT32_MAX : (int64) key->key.concurrency - key->key.used;
	key->starts = tc_rate_available(&key->key.rate, tc_session_now());
	key->started = key->ended = 0;
	key->parks = false;
}

/*
 * A claim whose lease ran out holds its key until now, unless its task was paused meanwhile.  It may be another one
 * than the step comes to now: a parent that it did not wait for may have ended since.
 */
static bool
holds_key(const Applicant *applicant)
{
	return applicant->candidate.phase == TC_PHASE_CLAIMED &&
		(applicant->row == NULL || applicant->row->flow_key_id == applicant->flow_key_id);
}

static Decision
decide_one(HeldKey *key, bool holds, bool wanted)
{
	Decision	decision = LEAVE;

	if (holds)
		key->slots++;
	if (key->slots <= 0 || key->starts <= 0)
		decision = PARK;
	else if (wanted)
		decision = TAKE;
	switch (decision)
	{
		case TAKE:
			key->slots--;
			key->starts--;
			key->started++;
			break;
		case PARK:
			key->parks = true;
			break;
		case LEAVE:
			key->slots -= holds ? 1 : 0;
			return decision;
	}
	key->ended += holds ? 1 : 0;
	return decision;
}

/* In the order of claims, so that who comes first starts first. */
static void
decide(Look *look, bool locked)
{
	int			wanted = look->batch->request->max_steps - look->batch->n;

	for (int k = 0; k < look->nkeys; k++)
		count_room(&look->keys[k]);
	for (int i = 0; i < look->n; i++)
	{
		Applicant  *applicant = &look->applicants[i];
		HeldKey    *key = key_of(look, applicant);

		applicant->decision = LEAVE;
		if (locked && applicant->row == NULL)
			continue;
		if (applicant->flow_key_id == 0)
			applicant->decision = wanted > 0 ? TAKE : LEAVE;
		else if (key != NULL)
			applicant->decision = decide_one(key, holds_key(applicant), wanted > 0);
		wanted -= applicant->decision == TAKE ? 1 : 0;
	}
}

/* Without a lock, to see which are worth one. */
static bool
decide_beforehand(Look *look)
{
	int64	   *ids;
	int			nids = keys_of(look, true, &ids);
	int			n = 0;
	TcFlowKey  *keys = NULL;
	int			nkeys;

	for (int i = 0; i < nids; i++)
	{
		if (!bsearch(&ids[i], look->tried->keys, look->tried->nkeys, sizeof(int64), tc_int64_compare))
			ids[n++] = ids[i];
	}
	nkeys = n == 0 ? 0 : tc_flow_read(ids, n, &keys);
	take_keys(look, keys, nkeys);
	decide(look, false);
	for (int i = 0; i < look->n; i++)
	{
		if (look->applicants[i].decision != LEAVE)
			return true;
	}
	return false;
}

/* ---- locks --------------------------------------------------------------- */

static void
lock_keys(Look *look)
{
	int64	   *ids;
	int			nids = keys_of(look, false, &ids);
	TcFlowKey  *keys = NULL;
	int			nkeys = nids == 0 ? 0 : tc_flow_lock_free(ids, nids, &keys);

	take_keys(look, keys, nkeys);
}

/* The rows of those that are taken or parked, as far as their keys are locked. */
static void
lock_rows(Look *look)
{
	TcCandidate *chosen = palloc(sizeof(TcCandidate) * look->n);
	TcQueueRow *rows;
	int			n = 0;
	int			nrows;

	for (int i = 0; i < look->n; i++)
	{
		if (look->applicants[i].decision != LEAVE)
			chosen[n++] = look->applicants[i].candidate;
	}
	nrows = tc_claim_lock_exactly(look->scope, chosen, n, &rows);
	for (int i = 0; i < look->n; i++)
	{
		Applicant  *applicant = &look->applicants[i];

		if (applicant->decision != LEAVE)
			applicant->row = bsearch(&applicant->candidate.key, rows, nrows, sizeof(TcQueueRow), tc_step_key_compare);
	}
}

/* ---- what becomes of them ------------------------------------------------ */

/* The rows of those on which it was decided so, sorted, with their keys. */
static int
rows_to(const Look *look, Decision decision, TcQueueRow **rows)
{
	int			n = 0;

	*rows = palloc(sizeof(TcQueueRow) * Max(look->n, 1));
	for (int i = 0; i < look->n; i++)
	{
		if (look->applicants[i].decision != decision)
			continue;
		(*rows)[n] = *look->applicants[i].row;
		(*rows)[n++].flow_key_id = look->applicants[i].flow_key_id;
	}
	qsort(*rows, n, sizeof(TcQueueRow), tc_step_key_compare);
	return n;
}

/* A task that cannot be started now leaves its steps for later; what they would have held is free. */
static int
start_tasks(Look *look, TcQueueRow *rows, int n, TcClaimTask **tasks, int *ntasks)
{
	int			kept = tc_claim_start_tasks(rows, n, tasks, ntasks);

	if (kept == n)
		return kept;
	for (int i = 0; i < look->n; i++)
	{
		Applicant  *applicant = &look->applicants[i];
		HeldKey    *key = key_of(look, applicant);

		if (applicant->decision != TAKE ||
			bsearch(&applicant->candidate.key, rows, kept, sizeof(TcQueueRow), tc_step_key_compare))
			continue;
		applicant->decision = LEAVE;
		if (key == NULL)
			continue;
		key->started--;
		key->ended -= holds_key(applicant) ? 1 : 0;
	}
	return kept;
}

static void
write_keys(Look *look)
{
	TcFlowKey  *changed = palloc(sizeof(TcFlowKey) * Max(look->nkeys, 1));
	int			n = 0;

	for (int i = 0; i < look->nkeys; i++)
	{
		HeldKey    *held = &look->keys[i];

		if (held->started == 0 && held->ended == 0 && !held->parks && !held->adopted)
			continue;
		held->key.used += held->started - held->ended;
		held->key.waiting = held->key.waiting || held->parks;
		tc_rate_take(&held->key.rate, tc_session_now(), held->started);
		changed[n++] = held->key;
	}
	tc_flow_write(changed, n);
}

/* The places of claims whose lease ran out under another key than their steps have now. */
static void
release_other_keys(const Look *look)
{
	TcQueueRow *rows = palloc(sizeof(TcQueueRow) * Max(look->n, 1));
	int			n = 0;

	for (int i = 0; i < look->n; i++)
	{
		const Applicant *applicant = &look->applicants[i];

		if (applicant->decision != LEAVE && !holds_key(applicant))
			rows[n++] = *applicant->row;
	}
	tc_flow_release(rows, n);
}

static bool
catch_limited(void *arg)
{
	Look	   *look = arg;
	TcQueueRow *taken;
	TcQueueRow *parked;
	TcClaimTask *tasks;
	int			ntasks;
	int			ntaken;
	int			nparked;

	lock_keys(look);
	decide(look, false);
	lock_rows(look);
	decide(look, true);
	ntaken = rows_to(look, TAKE, &taken);
	ntaken = start_tasks(look, taken, ntaken, &tasks, &ntasks);
	nparked = rows_to(look, PARK, &parked);
	look->done = ntaken + nparked;
	if (look->done == 0)
		return false;
	write_keys(look);
	release_other_keys(look);
	tc_claim_record_lost(parked, nparked);
	tc_flow_park(parked, nparked);
	tc_claim_take(look->batch, taken, ntaken, tasks, ntasks);
	return true;
}

/* ---- looks --------------------------------------------------------------- */

static void
note_key(Tried *tried, int64 flow_key_id)
{
	if (bsearch(&flow_key_id, tried->keys, tried->nkeys, sizeof(int64), tc_int64_compare))
		return;
	tried->keys[tried->nkeys++] = flow_key_id;
	qsort(tried->keys, tried->nkeys, sizeof(int64), tc_int64_compare);
}

/* What was worth a lock and is left all the same is somebody else's: the next look goes past it. */
static void
note_tried(Look *look, const Decision *before)
{
	Tried	   *tried = look->tried;

	tried->keys = repalloc(tried->keys, sizeof(int64) * (tried->nkeys + look->n));
	tried->rows = repalloc(tried->rows, sizeof(TcStepKey) * (tried->nrows + look->n));
	for (int i = 0; i < look->n; i++)
	{
		const Applicant *applicant = &look->applicants[i];

		if (before[i] == LEAVE || (applicant->decision != LEAVE && look->done > 0))
			continue;
		if (applicant->flow_key_id > 0 && key_of(look, applicant) == NULL)
			note_key(tried, applicant->flow_key_id);
		else
			tried->rows[tried->nrows++] = applicant->candidate.key;
	}
	qsort(tried->rows, tried->nrows, sizeof(TcStepKey), tc_step_key_compare);
}

static void
look_limited(Look *look, const TcCandidate *candidates, int n)
{
	Decision   *before;

	read_applicants(look, candidates, n);
	look->done = 0;
	if (look->n == 0 || !decide_beforehand(look))
		return;
	before = palloc(sizeof(Decision) * look->n);
	for (int i = 0; i < look->n; i++)
		before[i] = look->applicants[i].decision;
	if (!tc_attempt(catch_limited, look, TC_WAIT_BRIEFLY))
		look->done = 0;
	note_tried(look, before);
}

static bool
any_limited(const TcCandidate *candidates, int n)
{
	for (int i = 0; i < n; i++)
	{
		if (tc_lane_get(candidates[i].lane_id)->limited)
			return true;
	}
	return false;
}

static void
look_at(Look *look, int width)
{
	int			wanted = look->batch->request->max_steps - look->batch->n;
	TcCandidate *candidates;
	int			n = tc_claim_peek(look->scope, Max(wanted, width), &candidates);
	bool		more = n == Max(wanted, width);

	look->done = 0;
	if (n > 0 && any_limited(candidates, n))
		look_limited(look, candidates, n);
	else if (n > 0)
		more = tc_claim_catch(look->batch, look->scope, candidates, Min(n, wanted));
	look->exhausted = !more && look->done == 0;
}

/* All there was is under keys that others held: most hold them for no longer than a commit takes. */
static void
look_again(Look *look, int width)
{
	for (int i = 0; i < MAX_PAUSES && look->batch->n == 0 && look->tried->nkeys > 0; i++)
	{
		CHECK_FOR_INTERRUPTS();
		pg_usleep(PAUSE_MICROSECONDS);
		look->tried->nkeys = look->tried->nrows = 0;
		look_at(look, width);
	}
}

static bool
is_full(const TcClaimBatch *batch)
{
	return batch->n >= batch->request->max_steps;
}

void
tc_claim_limited(TcClaimBatch *batch, const TcClaimScope *scope)
{
	Tried		tried = {palloc(sizeof(int64)), 0, palloc(sizeof(TcStepKey)), 0};
	Look		look = {.batch = batch, .scope = scope, .tried = &tried};
	int			width = 1;

	for (int looks = 0; looks < MAX_LOOKS && !is_full(batch) && !look.exhausted; looks++)
	{
		CHECK_FOR_INTERRUPTS();
		look_at(&look, width);
		width = Min(width * WIDER, WIDEST);
	}
	look_again(&look, width);
}

/* ---- parked rows come out ------------------------------------------------ */

typedef struct Due
{
	int64	   *ids;
	int			n;
} Due;

static bool
let_out(void *arg)
{
	Due		   *due = arg;
	TcFlowKey  *keys;
	int			n = tc_flow_lock_free(due->ids, due->n, &keys);

	for (int i = 0; i < n; i++)
	{
		int32		room = tc_flow_room(&keys[i]);

		CHECK_FOR_INTERRUPTS();
		if (keys[i].next_at == TC_NO_TIME || keys[i].next_at > tc_session_now())
			continue;
		tc_flow_let_out(&keys[i], Min(room, MAX_LET_OUT), &keys[i].waiting);

		/* should none of them be claimed, others get their turn: their worker may be gone, or their task */
		if (room <= MAX_LET_OUT)
			keys[i].next_at = tc_session_now() + LET_OUT_AGAIN;
	}
	tc_flow_write(keys, n);
	return n > 0;
}

void
tc_claim_let_out(void)
{
	Due			due;

	due.n = tc_flow_find_due(MAX_DUE_KEYS, &due.ids);
	if (due.n > 0)
		tc_attempt(let_out, &due, TC_WAIT_BRIEFLY);
}
