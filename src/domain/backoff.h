/*
 * backoff.h
 *	  How long to wait before the next attempt (pure C, integers only).
 */
#ifndef TC_BACKOFF_H
#define TC_BACKOFF_H

#define TC_BACKOFF_STRATEGIES(X) \
	X(EXPONENTIAL, "exponential") \
	X(LINEAR, "linear") \
	X(FIBONACCI, "fibonacci") \
	X(NONE, "none")

typedef enum TcBackoffStrategy
{
#define X(id, name) TC_BACKOFF_##id,
	TC_BACKOFF_STRATEGIES(X)
#undef X
	TC_BACKOFF_STRATEGY_COUNT
} TcBackoffStrategy;

typedef struct TcBackoffPolicy
{
	TcBackoffStrategy strategy;
	int64		base_ms;		/* >= 0; a base above max_ms counts as max_ms */
	int64		max_ms;			/* >= 0 */
	double		jitter;			/* 0 … 1: fraction of the capped delay, up or down */
} TcBackoffPolicy;

/*
 * The delay in milliseconds before the attempt after `attempt` (counted from
 * 1; anything below counts as 1): exponential base*2^(attempt-1), linear
 * base*attempt, fibonacci base*fib(attempt) with fib(1) = fib(2) = 1, none 0;
 * capped at max_ms, then +/- jitter drawn from `random` (any 64 bits, small
 * seeds too; NULL = no jitter), then clamped to [0, max_ms].  Never overflows,
 * whatever the attempt.
 */
extern int64 tc_backoff_delay_ms(const TcBackoffPolicy *policy, int64 attempt,
								 const uint64 *random);

/* A strategy's name, and the strategy of a name (false: unknown). */
extern const char *tc_backoff_strategy_name(TcBackoffStrategy strategy);
extern bool tc_backoff_strategy_parse(const char *name, TcBackoffStrategy *strategy);

#endif							/* TC_BACKOFF_H */
