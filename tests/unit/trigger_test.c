/*
 * trigger_test.c
 *	  Trigger rules: every rule with every mixture of up to four parents.
 */
#include "postgres_fe.h"

#include <math.h>

#include "domain/trigger.h"
#include "tap.h"

#define MAX_PARENTS 4

/* The rules as they are documented, over single parents. */
static TcVerdict
expected(TcTriggerRule rule, const TcParentFate *parents, int n)
{
	bool		all_ended = true;
	bool		any[TC_PARENT_FATE_COUNT] = {false};

	for (int i = 0; i < n; i++)
	{
		any[parents[i]] = true;
		all_ended = all_ended && parents[i] != TC_PARENT_OPEN;
	}
	if (n == 0)
		return TC_VERDICT_RUNS;
	if (rule == TC_TRIGGER_ALL_DONE)
		return all_ended ? TC_VERDICT_RUNS : TC_VERDICT_WAITS;
	if (rule == TC_TRIGGER_ALL_SATISFIED)
	{
		if (any[TC_PARENT_CANCELLED])
			return TC_VERDICT_CANCELLED;
		if (any[TC_PARENT_SKIPPED])
			return TC_VERDICT_SKIPPED;
		return any[TC_PARENT_OPEN] || any[TC_PARENT_FAILED] ? TC_VERDICT_WAITS : TC_VERDICT_RUNS;
	}
	if (rule == TC_TRIGGER_ONE_SATISFIED && any[TC_PARENT_SATISFIED])
		return TC_VERDICT_RUNS;
	if (!all_ended || any[TC_PARENT_FAILED])
		return TC_VERDICT_WAITS;
	return any[TC_PARENT_SATISFIED] ? TC_VERDICT_RUNS : TC_VERDICT_SKIPPED;
}

/* A join that counted parents off one by one comes to the same verdict as one that sees them all. */
static bool
recalled_agrees(TcTriggerRule rule, const TcParentFate *parents, int n, TcVerdict verdict)
{
	int32		remaining = n;
	int32		satisfied = 0;

	for (int i = 0; i < n; i++)
	{
		TcParents	known = tc_trigger_recall(rule, n, remaining, satisfied);
		TcVerdict	so_far;

		known.fates[TC_PARENT_OPEN]--;
		known.fates[parents[i]]++;
		so_far = tc_trigger_verdict(rule, &known);
		if (so_far == TC_VERDICT_SKIPPED || so_far == TC_VERDICT_CANCELLED || so_far == TC_VERDICT_RUNS)
			return so_far == verdict || verdict == TC_VERDICT_CANCELLED;
		remaining = tc_trigger_remaining(rule, &known);
		satisfied = known.fates[TC_PARENT_SATISFIED];
	}
	return verdict == TC_VERDICT_WAITS || n == 0;
}

static void
test_verdicts(TcTriggerRule rule)
{
	int			wrong = 0;
	int			forgetful = 0;
	int			mixtures = 0;

	for (int n = 0; n <= MAX_PARENTS; n++)
	{
		int			count = (int) pow(TC_PARENT_FATE_COUNT, n);

		for (int code = 0; code < count; code++)
		{
			TcParentFate parents[MAX_PARENTS];
			TcParents	counts = {{0}};
			TcVerdict	verdict;

			for (int i = 0, rest = code; i < n; i++, rest /= TC_PARENT_FATE_COUNT)
			{
				parents[i] = (TcParentFate) (rest % TC_PARENT_FATE_COUNT);
				counts.fates[parents[i]]++;
			}
			verdict = expected(rule, parents, n);
			mixtures++;
			wrong += tc_trigger_verdict(rule, &counts) != verdict;
			forgetful += !recalled_agrees(rule, parents, n, verdict);
		}
	}
	tap_is_int(mixtures, 781, "%s: all mixtures were tried", tc_trigger_rule_name(rule));
	tap_is_int(wrong, 0, "%s: every verdict is as documented", tc_trigger_rule_name(rule));
	tap_is_int(forgetful, 0, "%s: counting one by one comes to the same", tc_trigger_rule_name(rule));
}

static void
test_fates(void)
{
	static const struct
	{
		TcStepState state;
		TcFailureRule rule;
		bool		taken;
		TcParentFate fate;
	}			cases[] = {
		{TC_STEP_PENDING, TC_ON_FAILURE_FAIL, true, TC_PARENT_OPEN},
		{TC_STEP_IN_PROGRESS, TC_ON_FAILURE_SKIP, true, TC_PARENT_OPEN},
		{TC_STEP_WAITING_FOR_RETRY, TC_ON_FAILURE_CONTINUE, true, TC_PARENT_OPEN},
		{TC_STEP_COMPLETE, TC_ON_FAILURE_FAIL, true, TC_PARENT_SATISFIED},
		{TC_STEP_COMPLETE, TC_ON_FAILURE_FAIL, false, TC_PARENT_SKIPPED},
		{TC_STEP_RESOLVED_MANUALLY, TC_ON_FAILURE_SKIP, true, TC_PARENT_SATISFIED},
		{TC_STEP_RESOLVED_MANUALLY, TC_ON_FAILURE_FAIL, false, TC_PARENT_SKIPPED},
		{TC_STEP_SKIPPED, TC_ON_FAILURE_CONTINUE, true, TC_PARENT_SKIPPED},
		{TC_STEP_CANCELLED, TC_ON_FAILURE_CONTINUE, true, TC_PARENT_CANCELLED},
		{TC_STEP_ERROR, TC_ON_FAILURE_FAIL, true, TC_PARENT_FAILED},
		{TC_STEP_ERROR, TC_ON_FAILURE_SKIP, true, TC_PARENT_SKIPPED},
		{TC_STEP_ERROR, TC_ON_FAILURE_CONTINUE, true, TC_PARENT_SATISFIED},
	};

	for (int i = 0; i < lengthof(cases); i++)
		tap_is_int(tc_parent_fate(cases[i].state, cases[i].rule, cases[i].taken), cases[i].fate,
				   "fate of a parent, case %d", i + 1);
}

int
main(void)
{
	for (int rule = 0; rule < TC_TRIGGER_RULE_COUNT; rule++)
	{
		TcTriggerRule parsed = TC_TRIGGER_RULE_COUNT;

		tap_ok(tc_trigger_rule_parse(tc_trigger_rule_name((TcTriggerRule) rule), &parsed) &&
			   parsed == (TcTriggerRule) rule, "rule %d has a name of its own", rule);
		test_verdicts((TcTriggerRule) rule);
	}
	test_fates();
	return tap_done();
}
