/*
 * priority_test.c
 *	  The bands of priorities: few, in order, exact where priorities are small.
 */
#include "postgres_fe.h"

#include "domain/priority.h"
#include "tap.h"

static void
test_steps(void)
{
	tap_is_int(tc_priority_of_step(3, 4), 7, "a step's priority is added to the task's");
	tap_is_int(tc_priority_of_step(PG_INT32_MAX, PG_INT32_MAX), PG_INT16_MAX, "and kept within smallint");
	tap_is_int(tc_priority_of_step(PG_INT32_MIN, -1), PG_INT16_MIN, "on both sides");
}

static void
test_bands(void)
{
	int32		last = tc_priority_band(PG_INT16_MIN - 1);
	int			bands = 1;
	bool		in_order = true;
	bool		exact = true;
	bool		close = true;
	bool		stable = true;

	for (int32 p = PG_INT16_MIN; p <= PG_INT16_MAX + 1; p++)
	{
		int32		band = tc_priority_band(p);
		int32		clamped = Max(PG_INT16_MIN, Min(p, PG_INT16_MAX));

		in_order = in_order && band >= last;
		exact = exact && (p < -32 || p > 31 || band == p);
		close = close && abs(clamped - band) * 8 <= abs(clamped);
		stable = stable && tc_priority_band(band) == band;
		bands += band != last ? 1 : 0;
		last = band;
	}
	tap_ok(in_order, "a higher priority is never in a lower band");
	tap_ok(exact, "from -32 to 31 each has its own");
	tap_ok(close, "the others are within an eighth of their band");
	tap_ok(stable, "a band is named by a priority in it");
	tap_ok(bands <= 224, "there are at most 224");
	tap_is_int(tc_priority_band(PG_INT32_MAX), tc_priority_band(PG_INT16_MAX), "what is clamped is in the last band");
}

int
main(void)
{
	test_steps();
	test_bands();
	return tap_done();
}
