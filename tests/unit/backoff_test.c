/*
 * backoff_test.c
 *	  The delay series, their limits, and the jitter.
 */
#include "postgres_fe.h"

#include <math.h>

#include "common/pg_prng.h"

#include "domain/backoff.h"
#include "tap.h"

#define SEED	UINT64CONST(20240229)
#define DRAWS	100000

static int64
delay(TcBackoffStrategy strategy, int64 base_ms, int64 max_ms, int64 attempt)
{
	TcBackoffPolicy policy = {strategy, base_ms, max_ms, 0.5};

	return tc_backoff_delay_ms(&policy, attempt, NULL);
}

/* The delays of attempts 1 ... 8 as text, good until the next call. */
static const char *
series(TcBackoffStrategy strategy, int64 base_ms, int64 max_ms)
{
	static char text[256];
	size_t		used = 0;

	for (int attempt = 1; attempt <= 8; attempt++)
		used += snprintf(text + used, sizeof(text) - used, "%s" INT64_FORMAT,
						 attempt > 1 ? " " : "", delay(strategy, base_ms, max_ms, attempt));
	return text;
}

static void
test_series(void)
{
	tap_is_text(series(TC_BACKOFF_EXPONENTIAL, 1000, 30000),
				"1000 2000 4000 8000 16000 30000 30000 30000", "exponential, capped");
	tap_is_text(series(TC_BACKOFF_EXPONENTIAL, 3, 1000000),
				"3 6 12 24 48 96 192 384", "exponential");
	tap_is_text(series(TC_BACKOFF_EXPONENTIAL, 1, 64),
				"1 2 4 8 16 32 64 64", "exponential, the cap is reached exactly");
	tap_is_text(series(TC_BACKOFF_LINEAR, 1000, 5500),
				"1000 2000 3000 4000 5000 5500 5500 5500", "linear, capped");
	tap_is_text(series(TC_BACKOFF_LINEAR, 250, 1000000),
				"250 500 750 1000 1250 1500 1750 2000", "linear");
	tap_is_text(series(TC_BACKOFF_FIBONACCI, 100, 1500),
				"100 100 200 300 500 800 1300 1500", "fibonacci, capped");
	tap_is_text(series(TC_BACKOFF_FIBONACCI, 1, 1000000),
				"1 1 2 3 5 8 13 21", "fibonacci");
	tap_is_text(series(TC_BACKOFF_NONE, 1000, 30000), "0 0 0 0 0 0 0 0", "none");
}

static void
test_limits(void)
{
	for (int i = 0; i < TC_BACKOFF_NONE; i++)
	{
		TcBackoffStrategy strategy = (TcBackoffStrategy) i;
		const char *name = tc_backoff_strategy_name(strategy);

		tap_is_text(series(strategy, 5000, 700), "700 700 700 700 700 700 700 700",
					"%s, base above the cap", name);
		tap_is_text(series(strategy, 1000, 0), "0 0 0 0 0 0 0 0",
					"%s, cap 0", name);
		tap_is_text(series(strategy, 0, 30000), "0 0 0 0 0 0 0 0",
					"%s, base 0", name);
		tap_is_int(delay(strategy, 1000, 30000, PG_INT32_MAX), 30000,
				   "%s, attempt 2^31 - 1", name);
		tap_is_int(delay(strategy, 1000, 30000, PG_INT64_MAX), 30000,
				   "%s, attempt 2^63 - 1", name);
		tap_is_int(delay(strategy, PG_INT64_MAX, PG_INT64_MAX, PG_INT64_MAX), PG_INT64_MAX,
				   "%s, everything at its highest", name);
		tap_is_int(delay(strategy, 0, PG_INT64_MAX, PG_INT64_MAX), 0,
				   "%s, base 0 at the highest attempt", name);
		tap_is_int(delay(strategy, 1000, 30000, 0), 1000,
				   "%s, attempt 0 counts as 1", name);
		tap_is_int(delay(strategy, 1000, 30000, PG_INT64_MIN), 1000,
				   "%s, a negative attempt counts as 1", name);
	}
	tap_is_int(delay(TC_BACKOFF_EXPONENTIAL, 1, PG_INT64_MAX, 63), INT64CONST(1) << 62,
			   "the highest power of two that fits");
	tap_is_int(delay(TC_BACKOFF_EXPONENTIAL, 1, PG_INT64_MAX, 64), PG_INT64_MAX,
			   "the first power of two that does not");
	tap_is_int(delay(TC_BACKOFF_FIBONACCI, 1, PG_INT64_MAX, 92),
			   INT64CONST(7540113804746346429), "the highest fibonacci number that fits");
	tap_is_int(delay(TC_BACKOFF_FIBONACCI, 1, PG_INT64_MAX, 93), PG_INT64_MAX,
			   "the first fibonacci number that does not");
}

/* By the definition, step by step, in floating point wide enough to be exact below 2^63. */
static int64
naive_delay(TcBackoffStrategy strategy, int64 base_ms, int64 max_ms, int64 attempt)
{
	long double factor = 1;
	long double before = 0;

	for (int64 i = 1; i < attempt; i++)
	{
		long double next = strategy == TC_BACKOFF_EXPONENTIAL ? factor * 2 :
			strategy == TC_BACKOFF_LINEAR ? factor + 1 : factor + before;

		before = factor;
		factor = next;
	}
	return factor * base_ms < max_ms ? (int64) (factor * base_ms) : max_ms;
}

static void
test_random_policies(void)
{
	pg_prng_state prng;
	int			wrong = 0;

	pg_prng_seed(&prng, SEED);
	for (int i = 0; i < 20000; i++)
	{
		TcBackoffStrategy strategy = pg_prng_uint64_range(&prng, 0, TC_BACKOFF_NONE - 1);
		int64		base_ms = pg_prng_uint64(&prng) >> pg_prng_uint64_range(&prng, 1, 63);
		int64		max_ms = pg_prng_uint64(&prng) >> pg_prng_uint64_range(&prng, 1, 63);
		int64		attempt = pg_prng_uint64_range(&prng, 1, 100);
		int64		got = delay(strategy, base_ms, max_ms, attempt);
		int64		want = naive_delay(strategy, base_ms, max_ms, attempt);

		if (got != want && wrong++ == 0)
			tap_diag("%s, base " INT64_FORMAT ", max " INT64_FORMAT ", attempt " INT64_FORMAT
					 ": got " INT64_FORMAT ", want " INT64_FORMAT,
					 tc_backoff_strategy_name(strategy), base_ms, max_ms, attempt, got, want);
	}
	tap_is_int(wrong, 0, "20,000 random policies agree with the definition");
}

typedef struct JitterCase
{
	const char *name;
	TcBackoffPolicy policy;
	int64		attempt;
	int64		lowest;			/* both ends are possible, nothing outside is */
	int64		middle;
	int64		highest;
} JitterCase;

static const JitterCase jitter_cases[] = {
	{"10 % of 1000", {TC_BACKOFF_LINEAR, 100, 30000, 0.1}, 10, 900, 1000, 1100},
	{"50 % of 8000", {TC_BACKOFF_EXPONENTIAL, 1000, 30000, 0.5}, 4, 4000, 8000, 12000},
	{"100 % of 13", {TC_BACKOFF_FIBONACCI, 1, 100, 1.0}, 7, 0, 13, 26},
	{"25 % of 1000, cap at 1100", {TC_BACKOFF_LINEAR, 1000, 1100, 0.25}, 1, 750, 1000, 1100},
	{"more than 100 % counts as 100 %", {TC_BACKOFF_LINEAR, 50, 1000, 7.5}, 1, 0, 50, 100},
};

static void
test_jitter(const JitterCase *jitter)
{
	pg_prng_state prng;
	int64		lowest = PG_INT64_MAX;
	int64		highest = PG_INT64_MIN;
	int			below = 0;
	int			above = 0;

	pg_prng_seed(&prng, SEED);
	for (int i = 0; i < DRAWS; i++)
	{
		uint64		random = pg_prng_uint64(&prng);
		int64		drawn = tc_backoff_delay_ms(&jitter->policy, jitter->attempt, &random);

		lowest = Min(lowest, drawn);
		highest = Max(highest, drawn);
		below += drawn < jitter->middle;
		above += drawn > jitter->middle;
	}
	tap_ok(lowest >= jitter->lowest && highest <= jitter->highest,
		   "jitter of %s stays within its bounds", jitter->name);
	tap_ok(lowest <= jitter->lowest + (jitter->middle - jitter->lowest) / 100 &&
		   highest >= jitter->highest - (jitter->highest - jitter->middle) / 100,
		   "jitter of %s comes near both bounds", jitter->name);
	tap_ok(below > DRAWS * 0.45 && above > DRAWS * 0.45,
		   "jitter of %s goes up as often as down", jitter->name);
	tap_diag(INT64_FORMAT " to " INT64_FORMAT ", %d below, %d above",
			 lowest, highest, below, above);
}

static void
test_jitter_extremes(void)
{
	TcBackoffPolicy widest = {TC_BACKOFF_LINEAR, PG_INT64_MAX, PG_INT64_MAX, 1.0};
	TcBackoffPolicy capped = {TC_BACKOFF_EXPONENTIAL, 1000, 30000, 1.0};
	pg_prng_state prng;
	int			outside = 0;

	pg_prng_seed(&prng, SEED);
	for (int i = 0; i < DRAWS; i++)
	{
		uint64		random = pg_prng_uint64(&prng);
		int64		attempt = pg_prng_uint64(&prng) >> 1;
		int64		drawn = tc_backoff_delay_ms(&capped, attempt, &random);

		outside += drawn < 0 || drawn > capped.max_ms;
		outside += tc_backoff_delay_ms(&widest, attempt, &random) < 0;
	}
	tap_is_int(outside, 0, "jitter of the whole delay stays within 0 and the cap");
}

static void
test_no_jitter(void)
{
	static const double none[] = {0.0, -0.0, -1.0, -INFINITY, NAN};
	TcBackoffPolicy policy = {TC_BACKOFF_LINEAR, 1000, 30000, 1.0};
	uint64		random = 7;

	tap_is_int(tc_backoff_delay_ms(&policy, 3, NULL), 3000, "no random bits, no jitter");
	for (int i = 0; i < lengthof(none); i++)
	{
		policy.jitter = none[i];
		tap_is_int(tc_backoff_delay_ms(&policy, 3, &random), 3000,
				   "jitter %g is none", none[i]);
	}

	policy.jitter = 1.0;
	policy.strategy = TC_BACKOFF_NONE;
	tap_is_int(tc_backoff_delay_ms(&policy, 3, &random), 0, "strategy none has no jitter");
}

static void
test_seeds(void)
{
	TcBackoffPolicy policy = {TC_BACKOFF_LINEAR, 10000, 30000, 0.1};
	int			below = 0;
	int			above = 0;
	int			unstable = 0;

	for (uint64 seed = 0; seed < 1000; seed++)
	{
		int64		drawn = tc_backoff_delay_ms(&policy, 1, &seed);

		below += drawn < 10000;
		above += drawn > 10000;
		unstable += drawn != tc_backoff_delay_ms(&policy, 1, &seed);
	}
	tap_ok(below > 400 && above > 400, "small seeds in a row go both up and down");
	tap_is_int(unstable, 0, "one seed always gives one delay");
}

static void
test_names(void)
{
	TcBackoffStrategy strategy = TC_BACKOFF_FIBONACCI;

	tap_is_text(tc_backoff_strategy_name(TC_BACKOFF_EXPONENTIAL), "exponential", "exponential");
	tap_is_text(tc_backoff_strategy_name(TC_BACKOFF_LINEAR), "linear", "linear");
	tap_is_text(tc_backoff_strategy_name(TC_BACKOFF_FIBONACCI), "fibonacci", "fibonacci");
	tap_is_text(tc_backoff_strategy_name(TC_BACKOFF_NONE), "none", "none");
	tap_ok(!tc_backoff_strategy_parse("Linear", &strategy), "names are case-sensitive");
	tap_ok(!tc_backoff_strategy_parse("", &strategy), "the empty name is unknown");
	tap_is_int(strategy, TC_BACKOFF_FIBONACCI, "an unknown name leaves the result alone");
	tap_ok(tc_backoff_strategy_parse("linear", &strategy) && strategy == TC_BACKOFF_LINEAR,
		   "a known name is found");
}

int
main(void)
{
	tap_diag("seed " UINT64_FORMAT, SEED);
	test_series();
	test_limits();
	test_random_policies();
	for (int i = 0; i < lengthof(jitter_cases); i++)
		test_jitter(&jitter_cases[i]);
	test_jitter_extremes();
	test_no_jitter();
	test_seeds();
	test_names();
	return tap_done();
}
