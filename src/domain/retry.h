/*
 * retry.h
 *	  The one predicate that decides whether a step is tried again (pure C).
 */
#ifndef TC_RETRY_H
#define TC_RETRY_H

/*
 * A failed attempt is retried iff the error is retryable, the step is, and
 * attempts are left.  `attempt` is the number of the attempt that just ended,
 * counted from the last reset.
 */
static inline bool
tc_retry_allowed(bool error_retryable, bool step_retryable,
				 int32 attempt, int32 max_attempts)
{
	return error_retryable && step_retryable && attempt < max_attempts;
}

/*
 * The readiness column retry_eligible: not ended, and either never tried or
 * retryable with attempts left.
 */
static inline bool
tc_retry_eligible(bool ended, bool step_retryable,
				  int32 attempts, int32 max_attempts)
{
	return !ended && (attempts == 0 || (step_retryable && attempts < max_attempts));
}

#endif							/* TC_RETRY_H */
