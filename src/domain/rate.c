/*
 * rate.c
 *	  How many starts a rate limit still allows, and when the next (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/rate.h"

/* Not shorter than its part of the period. */
static int64
bucket_width(const TcRate *rate)
{
	return (rate->period + TC_RATE_BUCKETS - 1) / TC_RATE_BUCKETS;
}

/*
 * How far the newest bucket lies back.  Below 0: somebody with a later time was first.
 * A clock that was set back by more than a period starts anew from what was counted.
 */
static int64
age(const TcRate *rate, int64 now)
{
	int64		back = now / bucket_width(rate) - rate->newest;

	return back < -TC_RATE_BUCKETS ? 0 : back;
}

/* Starts in the buckets that a period back from now touches. */
static int64
recent(const TcRate *rate, int64 now)
{
	int64		back = age(rate, now);
	int64		starts = 0;

	for (int64 i = 0; i <= TC_RATE_BUCKETS && i + back <= TC_RATE_BUCKETS; i++)
		starts += rate->counts[i];
	return starts;
}

int32
tc_rate_available(const TcRate *rate, int64 now)
{
	if (rate->limit == 0)
		return PG_INT32_MAX;
	if (age(rate, now) < 0)
		return 0;
	return (int32) Max(rate->limit - recent(rate, now), 0);
}

int64
tc_rate_next(const TcRate *rate, int64 now)
{
	int64		starts;

	if (tc_rate_available(rate, now) > 0)
		return now;
	if (age(rate, now) < 0)
		return rate->newest * bucket_width(rate);
	starts = recent(rate, now);
	for (int64 i = TC_RATE_BUCKETS - age(rate, now); i >= 0; i--)
	{
		starts -= rate->counts[i];
		if (starts < rate->limit)
			return (rate->newest - i + TC_RATE_BUCKETS + 1) * bucket_width(rate);
	}
	return now;
}

void
tc_rate_take(TcRate *rate, int64 now, int32 starts)
{
	int64		back;

	if (rate->limit == 0 || starts == 0)
		return;
	back = Max(age(rate, now), 0);
	if (now / bucket_width(rate) < rate->newest - TC_RATE_BUCKETS)
		rate->newest = now / bucket_width(rate);
	for (int64 i = TC_RATE_BUCKETS; i >= 0; i--)
		rate->counts[i] = i < back ? 0 : rate->counts[i - back];
	rate->newest += back;
	rate->counts[0] += starts;
}

void
tc_rate_change(TcRate *rate, int32 limit, int64 period, int64 now)
{
	int64		starts = rate->limit == 0 ? 0 : recent(rate, now);

	if (rate->limit == limit && rate->period == period)
		return;
	memset(rate, 0, sizeof(*rate));
	rate->limit = limit;
	rate->period = period;
	if (limit == 0)
		return;
	rate->newest = now / bucket_width(rate);
	rate->counts[0] = (int32) Min(starts, PG_INT32_MAX);
}
