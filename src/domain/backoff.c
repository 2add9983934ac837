/*
 * backoff.c
 *	  How long to wait before the next attempt (pure C, integers only).
 *
 * A delay is base * factor, where the factor depends on the strategy and the
 * attempt alone.  A factor beyond int64 saturates, and the product is taken
 * only where it stays within the cap, so that no attempt can overflow.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "common/int.h"

#include "domain/backoff.h"

#define PPM		INT64CONST(1000000)

static const char *const strategy_names[] = {
#define X(id, name) [TC_BACKOFF_##id] = name,
	TC_BACKOFF_STRATEGIES(X)
#undef X
};

static int64 growth_factor(TcBackoffStrategy strategy, int64 attempt);
static int64 fibonacci(int64 index);
static int64 jitter_ppm(double jitter);
static uint64 mix_bits(uint64 bits);

int64
tc_backoff_delay_ms(const TcBackoffPolicy *policy, int64 attempt, const uint64 *random)
{
	int64		factor = growth_factor(policy->strategy, Max(attempt, 1));
	int64		delay;
	int64		ppm;
	uint64		spread;
	uint64		jittered;

	Assert(policy->base_ms >= 0 && policy->max_ms >= 0);

	if (factor == 0)
		return 0;
	if (policy->base_ms <= policy->max_ms / factor)
		delay = policy->base_ms * factor;
	else
		delay = policy->max_ms;

	if (random == NULL)
		return delay;

	/*
	 * Uniform in delay - spread ... delay + spread.  The spread is at most the
	 * delay, so the lower end is not negative and the upper fits a uint64.
	 */
	ppm = jitter_ppm(policy->jitter);
	spread = delay / PPM * ppm + delay % PPM * ppm / PPM;
	jittered = delay - spread + mix_bits(*random) % (2 * spread + 1);
	return (int64) Min(jittered, (uint64) policy->max_ms);
}

const char *
tc_backoff_strategy_name(TcBackoffStrategy strategy)
{
	Assert(strategy < TC_BACKOFF_STRATEGY_COUNT);
	return strategy_names[strategy];
}

bool
tc_backoff_strategy_parse(const char *name, TcBackoffStrategy *strategy)
{
	for (int i = 0; i < TC_BACKOFF_STRATEGY_COUNT; i++)
	{
		if (strcmp(name, strategy_names[i]) == 0)
		{
			*strategy = (TcBackoffStrategy) i;
			return true;
		}
	}
	return false;
}

static int64
growth_factor(TcBackoffStrategy strategy, int64 attempt)
{
	switch (strategy)
	{
		case TC_BACKOFF_EXPONENTIAL:
			return attempt <= 63 ? INT64CONST(1) << (attempt - 1) : PG_INT64_MAX;
		case TC_BACKOFF_LINEAR:
			return attempt;
		case TC_BACKOFF_FIBONACCI:
			return fibonacci(attempt);
		case TC_BACKOFF_NONE:
		case TC_BACKOFF_STRATEGY_COUNT:
			break;
	}
	return 0;
}

/* fib(1) = fib(2) = 1; saturates from fib(93) on, which ends the loop early. */
static int64
fibonacci(int64 index)
{
	int64		previous = 0;
	int64		current = 1;

	for (int64 i = 1; i < index; i++)
	{
		int64		next;

		if (pg_add_s64_overflow(previous, current, &next))
			return PG_INT64_MAX;
		previous = current;
		current = next;
	}
	return current;
}

/* The only floating point here; a NaN counts as no jitter. */
static int64
jitter_ppm(double jitter)
{
	if (!(jitter > 0))
		return 0;
	return (int64) (Min(jitter, 1.0) * PPM + 0.5);
}

/*
 * One step of the splitmix64 generator: seeds a person would pick, such as 1,
 * 2, 3, must land all over the range and not at its lower end.
 */
static uint64
mix_bits(uint64 bits)
{
	bits += UINT64CONST(0x9e3779b97f4a7c15);
	bits = (bits ^ (bits >> 30)) * UINT64CONST(0xbf58476d1ce4e5b9);
	bits = (bits ^ (bits >> 27)) * UINT64CONST(0x94d049bb133111eb);
	return bits ^ (bits >> 31);
}
