/*
 * retry_test.c
 *	  The retry predicates at and around their limits.
 */
#include "postgres_fe.h"

#include "domain/retry.h"
#include "tap.h"

static void
test_allowed(void)
{
	tap_ok(tc_retry_allowed(true, true, 1, 3), "first of three attempts failed: retried");
	tap_ok(tc_retry_allowed(true, true, 2, 3), "second of three attempts failed: retried");
	tap_ok(!tc_retry_allowed(true, true, 3, 3), "last attempt failed: not retried");
	tap_ok(!tc_retry_allowed(true, true, 4, 3), "beyond the last attempt: not retried");
	tap_ok(!tc_retry_allowed(true, true, 1, 1), "one attempt only: not retried");
	tap_ok(!tc_retry_allowed(false, true, 1, 3), "permanent error: not retried");
	tap_ok(!tc_retry_allowed(true, false, 1, 3), "step not retryable: not retried");
	tap_ok(!tc_retry_allowed(false, false, 1, 3), "neither retryable: not retried");
}

static void
test_eligible(void)
{
	tap_ok(tc_retry_eligible(false, true, 0, 3), "never tried: eligible");
	tap_ok(tc_retry_eligible(false, false, 0, 3), "never tried, not retryable: eligible");
	tap_ok(tc_retry_eligible(false, true, 2, 3), "attempts left: eligible");
	tap_ok(!tc_retry_eligible(false, true, 3, 3), "attempts used up: not eligible");
	tap_ok(!tc_retry_eligible(false, false, 1, 3), "tried and not retryable: not eligible");
	tap_ok(!tc_retry_eligible(true, true, 0, 3), "ended without an attempt: not eligible");
	tap_ok(!tc_retry_eligible(true, true, 1, 3), "ended with attempts left: not eligible");
}

int
main(void)
{
	test_allowed();
	test_eligible();
	return tap_done();
}
