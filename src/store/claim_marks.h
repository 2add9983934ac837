/*
 * claim_marks.h
 *	  Where in the claim index the live rows of a lane begin.
 *
 * Rows that were claimed or ended leave dead entries at the old end of their
 * range, just where claims begin to read.  VACUUM takes them away, unless an
 * old snapshot is held somewhere: then each claim would walk over all of them.
 * So a claim that had to walk notes where it found the first live row of each
 * range, and the next claims begin there: those of all sessions where the library
 * is preloaded, else those of its own.
 *
 * A mark may hide a row: one whose transaction began before the walk and
 * commits after it.  So marks live for a second at most; and a claim that comes
 * up short walks again from the beginning, as often as that takes no more than
 * a tenth of its session's time; one that found nothing, ten times a second in any
 * case, since its worker was told that there is something.
 *
 * What a transaction sees that has written, or that keeps one snapshot, is not what
 * others see: its marks are for its own session.  One that keeps a snapshot goes by
 * no marks of others either.
 */
#ifndef TC_CLAIM_MARKS_H
#define TC_CLAIM_MARKS_H

#include "store/session.h"
#include "tasker_core.h"

/* Ranges of the claim index: parallel arrays. */
typedef struct TcClaimRanges
{
	int32		shard_key;
	int32	   *lane_ids;
	char	   *phases;
	int32	   *priorities;
	TimestampTz *lows;			/* where to begin; -infinity where there is no mark */
	int			n;
	bool		marked;			/* some begin at a mark */
} TcClaimRanges;

/* Fills in lows and marked. */
extern void tc_marks_apply(TcClaimRanges *ranges);

/* Is it time to walk from the beginning again?  Sooner for a claim that found nothing at all. */
extern bool tc_marks_may_walk(bool found_nothing);

/* All ranges from their beginning. */
extern void tc_marks_ignore(TcClaimRanges *ranges);

/* Has a look that read so many blocks for n ranges and max_steps rows walked over dead rows? */
extern bool tc_marks_walked(int64 blocks, int nranges, int max_steps);

/*
 * Marks the ranges that were read from their beginning, by what a walk, begun at
 * walk_began, saw first in each: TC_NO_TIME where it saw nothing, TC_NOT_LOOKED
 * where it did not get to.
 */
#define TC_NOT_LOOKED DT_NOEND
extern void tc_marks_set(const TcClaimRanges *ranges, const TimestampTz *firsts, TimestampTz walk_began);

#endif							/* TC_CLAIM_MARKS_H */
