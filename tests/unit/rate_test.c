/*
 * rate_test.c
 *	  Rate limits: never exceeded in any period, and never stricter than they say.
 */
#include "postgres_fe.h"

#include "domain/rate.h"
#include "tap.h"

#define SECOND INT64CONST(1000000)
#define START (INT64CONST(800000000) * SECOND)
#define MAX_STARTS 4096

static uint64 seed = 20260101;

/* A small generator of its own, so that every run is the same. */
static uint32
random_below(uint32 n)
{
	seed = seed * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return (uint32) ((seed >> 33) % n);
}

static void
test_single(void)
{
	TcRate		rate = {0};

	tap_is_int(tc_rate_available(&rate, START), PG_INT32_MAX, "without a limit any number may start");
	tc_rate_change(&rate, 3, 60 * SECOND, START);
	tap_is_int(tc_rate_available(&rate, START), 3, "all of a fresh limit may start at once");
	tap_ok(tc_rate_next(&rate, START) == START, "and now");
	tc_rate_take(&rate, START, 2);
	tap_is_int(tc_rate_available(&rate, START), 1, "what started counts");
	tc_rate_take(&rate, START + 30 * SECOND, 1);
	tap_is_int(tc_rate_available(&rate, START + 30 * SECOND), 0, "until the limit is reached");
	tap_ok(tc_rate_next(&rate, START + 31 * SECOND) == START + 61 * SECOND,
		   "the next may start when the first are a period and a bucket ago");
	tap_is_int(tc_rate_available(&rate, START + 61 * SECOND), 2, "and then as many as are forgotten");
	tap_is_int(tc_rate_available(&rate, START + 91 * SECOND), 3, "until all are");
	tap_is_int(tc_rate_available(&rate, START - 1000 * SECOND), 0, "a clock that goes back forgets nothing");
	tc_rate_take(&rate, START + 200 * SECOND, 1);
	tap_is_int(tc_rate_available(&rate, START + 199 * SECOND), 0, "nothing starts before what has started already");
	tap_ok(tc_rate_next(&rate, START + 199 * SECOND) == START + 200 * SECOND, "but then");
	tc_rate_take(&rate, START, 1);
	tap_is_int(tc_rate_available(&rate, START), 1, "a clock that was set back goes on from there");
	tap_is_int(tc_rate_available(&rate, START + 61 * SECOND), 3, "and forgets in time");
}

static void
test_change(void)
{
	TcRate		rate = {0};

	tc_rate_change(&rate, 5, 10 * SECOND, START);
	tc_rate_take(&rate, START, 4);
	tc_rate_change(&rate, 6, 10 * SECOND, START + SECOND);
	tap_is_int(tc_rate_available(&rate, START + SECOND), 2, "a new limit counts what started under the old one");
	tc_rate_change(&rate, 2, 20 * SECOND, START + SECOND);
	tap_is_int(tc_rate_available(&rate, START + SECOND), 0, "a lower one may be exceeded already");
	tap_ok(tc_rate_next(&rate, START + SECOND) > START + 20 * SECOND, "and then waits for a whole period");
	tc_rate_change(&rate, 0, 0, START);
	tap_is_int(tc_rate_available(&rate, START), PG_INT32_MAX, "a limit can be lifted");
}

/* Starts as many as may, at random times; then looks at every period that ends with a start. */
static void
test_random(int32 limit, int64 period)
{
	static int64 starts[MAX_STARTS];
	TcRate		rate = {0};
	int64		now = START;
	int			n = 0;
	bool		never_exceeded = true;
	bool		waits_no_longer = true;

	tc_rate_change(&rate, limit, period, now);
	while (n + limit < MAX_STARTS)
	{
		int32		available = tc_rate_available(&rate, now);
		int32		wanted = 1 + (int32) random_below(3);
		int32		take = Min(available, wanted);

		tc_rate_take(&rate, now, take);
		for (int i = 0; i < take; i++)
			starts[n++] = now;
		if (take == 0)
		{
			int64		next = tc_rate_next(&rate, now);

			waits_no_longer = waits_no_longer && next > now && tc_rate_available(&rate, next) > 0 &&
				tc_rate_available(&rate, next - 1) == 0 &&
				(n < limit || next <= starts[n - limit] + period + 2 * (period / TC_RATE_BUCKETS + 1));
			now = random_below(2) == 0 ? next : next + random_below((uint32) period);
		}
		else
			now += random_below((uint32) (period / 10 + 1));
	}
	for (int i = limit; i < n; i++)
		never_exceeded = never_exceeded && starts[i] - starts[i - limit] >= period;
	tap_ok(never_exceeded, "never more than %d in %lld us", limit, (long long) period);
	tap_ok(waits_no_longer, "and who waits, waits until the first is forgotten, and no longer");
}

int
main(void)
{
	test_single();
	test_change();
	test_random(1, SECOND);
	test_random(1, 60);
	test_random(10, SECOND);
	test_random(7, 999983);
	test_random(100, 60 * SECOND);
	return tap_done();
}
