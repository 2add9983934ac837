/*
 * rate.h
 *	  How many starts a rate limit still allows, and when the next (pure C).
 *
 * A period is cut into buckets, and starts are counted by bucket.  What may begin
 * now is the limit less all that began in the buckets that a whole period back from
 * now touches: so in no period, wherever it begins, are there more starts than the
 * limit, and a start is forgotten a sixtieth of the period late at most.
 */
#ifndef TC_RATE_H
#define TC_RATE_H

#include "tasker_core.h"

#define TC_RATE_BUCKETS 60

typedef struct TcRate
{
	int32		limit;			/* starts in a period; 0 = as many as you like */
	int64		period;			/* microseconds */
	int64		newest;			/* number of the newest bucket, since the epoch of the times */
	int32		counts[TC_RATE_BUCKETS + 1];	/* starts in it and in those before it */
} TcRate;

/*
 * How many more may start at that time (in microseconds): none at one before the
 * newest bucket, so that what is on record keeps to the limit in whatever order it came.
 */
extern int32 tc_rate_available(const TcRate *rate, int64 now);

/* When the next may start: `now` where one may already. */
extern int64 tc_rate_next(const TcRate *rate, int64 now);

/* So many started. */
extern void tc_rate_take(TcRate *rate, int64 now, int32 starts);

/* Another limit from now on; what began within the period counts as if it had begun just now. */
extern void tc_rate_change(TcRate *rate, int32 limit, int64 period, int64 now);

#endif							/* TC_RATE_H */
