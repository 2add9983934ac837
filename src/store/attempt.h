/*
 * attempt.h
 *	  Work whose locks can be given back.
 */
#ifndef TC_ATTEMPT_H
#define TC_ATTEMPT_H

#define TC_WAIT_AS_LONG_AS_IT_TAKES 0

/*
 * SKIP LOCKED waits in one case: a row that was updated just now, and is locked
 * in its new version.  What takes locks in no order gives up then, before that
 * can be part of a deadlock; in milliseconds.
 */
#define TC_WAIT_BRIEFLY 5

/* Returns whether what it did is kept. */
typedef bool (*TcAttemptBody) (void *arg);

/*
 * Runs body in a subtransaction.  When it returns false, or has to wait longer
 * than lock_timeout milliseconds for a lock, all it did is rolled back, locks
 * included, and the result is false.
 */
extern bool tc_attempt(TcAttemptBody body, void *arg, int lock_timeout);

/*
 * The same, and an error of the body is given back, that it had to wait too long
 * included, with all it did rolled back; not one that tells the whole transaction to end.
 */
extern bool tc_attempt_or_error(TcAttemptBody body, void *arg, int lock_timeout, ErrorData **error);

#endif							/* TC_ATTEMPT_H */
