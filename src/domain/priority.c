/*
 * priority.c
 *	  Priorities, and the bands that claims tell apart (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/priority.h"

#define EXACT_BELOW 32
#define DIGITS 4

int32
tc_priority_of_step(int32 task_priority, int32 step_priority)
{
	int64		sum = (int64) task_priority + step_priority;

	return (int32) Max(PG_INT16_MIN, Min(sum, PG_INT16_MAX));
}

static uint32
keep_leading_digits(uint32 magnitude)
{
	int			dropped = 0;

	while ((magnitude >> dropped) >= (1 << DIGITS))
		dropped++;
	return (magnitude >> dropped) << dropped;
}

int32
tc_priority_band(int32 priority)
{
	int32		clamped = Max(PG_INT16_MIN, Min(priority, PG_INT16_MAX));

	if (clamped >= EXACT_BELOW)
		return (int32) keep_leading_digits((uint32) clamped);
	if (clamped < -EXACT_BELOW)
		return -(int32) keep_leading_digits((uint32) -clamped);
	return clamped;
}
