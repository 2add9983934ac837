/*
 * trigger.c
 *	  What a step does about its parents: trigger rules (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/states.h"
#include "domain/trigger.h"

TcParentFate
tc_parent_fate(TcStepState state, TcFailureRule on_failure, bool taken)
{
	static const TcParentFate fate_of_failure[TC_FAILURE_RULE_COUNT] = {
		[TC_ON_FAILURE_FAIL] = TC_PARENT_FAILED,
		[TC_ON_FAILURE_SKIP] = TC_PARENT_SKIPPED,
		[TC_ON_FAILURE_CONTINUE] = TC_PARENT_SATISFIED,
	};

	switch (state)
	{
		case TC_STEP_PENDING:
		case TC_STEP_IN_PROGRESS:
		case TC_STEP_WAITING_FOR_RETRY:
			return TC_PARENT_OPEN;
		case TC_STEP_COMPLETE:
		case TC_STEP_RESOLVED_MANUALLY:
			return taken ? TC_PARENT_SATISFIED : TC_PARENT_SKIPPED;
		case TC_STEP_ERROR:
			return fate_of_failure[on_failure];
		case TC_STEP_CANCELLED:
			return TC_PARENT_CANCELLED;
		case TC_STEP_SKIPPED:
			return TC_PARENT_SKIPPED;
		case TC_STEP_STATE_COUNT:
			break;
	}
	pg_unreachable();
}

/* rows: rules; columns: open, satisfied, skipped, cancelled, failed */
static const bool counts[TC_TRIGGER_RULE_COUNT][TC_PARENT_FATE_COUNT] = {
	[TC_TRIGGER_ALL_SATISFIED] = {false, true, false, false, false},
	[TC_TRIGGER_NONE_FAILED] = {false, true, true, true, false},
	[TC_TRIGGER_ONE_SATISFIED] = {false, true, true, true, false},
	[TC_TRIGGER_ALL_DONE] = {false, true, true, true, true},
};

bool
tc_trigger_counts(TcTriggerRule rule, TcParentFate fate)
{
	return counts[rule][fate];
}

int32
tc_trigger_remaining(TcTriggerRule rule, const TcParents *parents)
{
	int32		remaining = 0;

	for (int fate = 0; fate < TC_PARENT_FATE_COUNT; fate++)
	{
		if (!counts[rule][fate])
			remaining += parents->fates[fate];
	}
	return remaining;
}

/* A root has nothing to wait for, whatever its rule. */
TcVerdict
tc_trigger_verdict(TcTriggerRule rule, const TcParents *parents)
{
	const int32 *fates = parents->fates;
	int32		remaining = tc_trigger_remaining(rule, parents);
	int32		without = fates[TC_PARENT_SKIPPED] + fates[TC_PARENT_CANCELLED];

	switch (rule)
	{
		case TC_TRIGGER_ALL_SATISFIED:
			if (fates[TC_PARENT_CANCELLED] > 0)
				return TC_VERDICT_CANCELLED;
			if (fates[TC_PARENT_SKIPPED] > 0)
				return TC_VERDICT_SKIPPED;
			return remaining == 0 ? TC_VERDICT_RUNS : TC_VERDICT_WAITS;
		case TC_TRIGGER_NONE_FAILED:
			if (remaining > 0)
				return TC_VERDICT_WAITS;
			return fates[TC_PARENT_SATISFIED] > 0 || without == 0 ? TC_VERDICT_RUNS : TC_VERDICT_SKIPPED;
		case TC_TRIGGER_ONE_SATISFIED:
			if (fates[TC_PARENT_SATISFIED] > 0)
				return TC_VERDICT_RUNS;
			if (remaining > 0)
				return TC_VERDICT_WAITS;
			return without == 0 ? TC_VERDICT_RUNS : TC_VERDICT_SKIPPED;
		case TC_TRIGGER_ALL_DONE:
			return remaining == 0 ? TC_VERDICT_RUNS : TC_VERDICT_WAITS;
		case TC_TRIGGER_RULE_COUNT:
			break;
	}
	pg_unreachable();
}

TcParents
tc_trigger_recall(TcTriggerRule rule, int32 nparents, int32 remaining, int32 satisfied)
{
	TcParents	parents = {{0}};

	Assert(remaining + satisfied <= nparents);
	Assert(rule != TC_TRIGGER_ALL_SATISFIED || remaining + satisfied == nparents);
	parents.fates[TC_PARENT_OPEN] = remaining;
	parents.fates[TC_PARENT_SATISFIED] = satisfied;
	parents.fates[TC_PARENT_SKIPPED] = nparents - remaining - satisfied;
	return parents;
}
