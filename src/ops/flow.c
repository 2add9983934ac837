/*
 * flow.c
 *	  Limits on how many steps run at once, and on how often they start: which key
 *	  a step has, and what follows when it ends.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/instances.h"
#include "domain/order.h"
#include "ops/flow.h"
#include "schema/condition.h"
#include "store/attempt.h"
#include "store/task_store.h"

/* Longer keys are cut, and told apart by a hash of the whole. */
#define MAX_KEY_BYTES 500

/* ---- claims end ---------------------------------------------------------- */

void
tc_flow_release(const TcQueueRow *rows, int n)
{
	int64	   *ids = NULL;
	int32	   *counts;
	int			nids = 0;
	int			distinct = 0;

	for (int i = 0; i < n; i++)
	{
		if (rows[i].phase != TC_PHASE_CLAIMED || rows[i].flow_key_id == 0)
			continue;
		if (ids == NULL)
			ids = palloc(sizeof(int64) * n);
		ids[nids++] = rows[i].flow_key_id;
	}
	if (nids == 0)
		return;
	counts = palloc(sizeof(int32) * nids);
	qsort(ids, nids, sizeof(int64), tc_int64_compare);
	for (int i = 0; i < nids; i++)
	{
		if (distinct > 0 && ids[distinct - 1] == ids[i])
			counts[distinct - 1]++;
		else
		{
			ids[distinct] = ids[i];
			counts[distinct++] = 1;
		}
	}
	tc_flow_give_back(ids, counts, distinct);
}

typedef struct Lost
{
	int32		shard_key;
	int			max_rows;
} Lost;

static bool
let_go(void *arg)
{
	Lost	   *lost = arg;
	TcQueueRow *rows;
	int			n = tc_flow_let_go(lost->shard_key, lost->max_rows, &rows);

	tc_flow_release(rows, n);
	return n > 0;
}

void
tc_flow_let_go_lost(int32 shard_key, int max_rows)
{
	Lost		lost = {shard_key, max_rows};

	tc_attempt(let_go, &lost, TC_WAIT_BRIEFLY);
}

/* ---- the key of a step --------------------------------------------------- */

/* A scalar is its text (1 and 1.0 are one number), anything else its JSON; nothing, and null, are no text. */
static char *
text_of(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			return pstrdup("");
		case jbvString:
			return tc_json_string(value);
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   DirectFunctionCall1(numeric_trim_scale, NumericGetDatum(value->val.numeric))));
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		default:
			return DatumGetCString(DirectFunctionCall1(jsonb_out, PointerGetDatum(JsonbValueToJsonb(value))));
	}
}

static const char *
bounded(char *text)
{
	int			length = strlen(text);
	uint64		hash;

	if (length <= MAX_KEY_BYTES)
		return text;
	hash = hash_bytes_extended((unsigned char *) text, length, 0);
	text[pg_mbcliplen(text, length, MAX_KEY_BYTES)] = '\0';
	return psprintf("%s#" UINT64_FORMAT, text, hash);
}

/* Results of the parents of one step. */
static const struct varlena *
results_of(void *arg, int32 node)
{
	TcStepKey	key = {*(const int64 *) arg, node + 1};

	return tc_claim_read_result(key);
}

static const char *
key_text(int64 task_id, const TcTemplate *template, const TcFlowLimits *limits, const struct varlena *context)
{
	TcInputs	inputs = {
		.context = context, .results = results_of, .arg = &task_id, .template = template
	};
	JsonbValue	path;
	JsonbValue	value;

	if (limits->key == NULL)
		return "";
	path = tc_json_root(limits->key);
	if (!tc_path_value(&path, &inputs, &value))
		return "";
	return bounded(text_of(&value));
}

/* The contexts of those whose keys are told apart. */
static int
read_contexts(const TcStepKey *keys, const TcTemplate *const *templates, int n, TcClaimTask **tasks)
{
	int64	   *task_ids = palloc(sizeof(int64) * Max(n, 1));
	int			ntasks = 0;

	for (int i = 0; i < n; i++)
	{
		if (templates[i]->steps[tc_node_of(templates[i], keys[i].step_no)].flow.key != NULL)
			task_ids[ntasks++] = keys[i].task_id;
	}
	return ntasks == 0 ? 0 : tc_claim_read_tasks(task_ids, tc_task_ids_sort_unique(task_ids, ntasks), tasks);
}

void
tc_flow_names(const TcStepKey *keys, const TcTemplate *const *templates, int n, TcFlowName *names)
{
	TcClaimTask *tasks = NULL;
	int			ntasks = read_contexts(keys, templates, n, &tasks);

	for (int i = 0; i < n; i++)
	{
		const TcStep *step = tc_step_of(templates[i], keys[i].step_no);
		const TcClaimTask *task = ntasks == 0 ? NULL :
			bsearch(&keys[i].task_id, tasks, ntasks, sizeof(TcClaimTask), tc_task_id_compare);

		names[i].named_task_id = templates[i]->named_task_id;
		names[i].step_name = step->flow.shared ? "" : step->name;
		names[i].text = key_text(keys[i].task_id, templates[i], &step->flow, task == NULL ? NULL : task->context);
	}
}

bool
tc_flow_key_of(TcStepKey step, const TcTemplate *template, TcFlowKey *key)
{
	TcFlowName	name;
	TcFlowKey  *keys;
	int64		id = tc_flow_parked_for(step);

	if (id == 0)
	{
		tc_flow_names(&step, &template, 1, &name);
		tc_flow_find(&name, 1, &id);
	}
	if (id == 0 || tc_flow_read(&id, 1, &keys) == 0)
		return false;
	*key = *keys;
	return true;
}
