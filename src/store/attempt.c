/*
 * attempt.c
 *	  Work whose locks can be given back.
 *
 * Only the rollback of a subtransaction gives back a row lock.
 */
#include "postgres.h"

#include "access/xact.h"
#include "storage/proc.h"
#include "utils/resowner.h"

#include "compat.h"
#include "store/attempt.h"

static bool
run(TcAttemptBody body, void *arg, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool kept = false;

	*error = NULL;
	PG_TRY();
	{
		kept = body(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		*error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return kept;
}

/* False: rolled back; with *error where that is why. */
static bool
run_in_subtransaction(TcAttemptBody body, void *arg, int lock_timeout, ErrorData **error)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			outer_timeout = LockTimeout;
	bool		kept;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	if (lock_timeout > 0 && (outer_timeout == 0 || lock_timeout < outer_timeout))
		LockTimeout = lock_timeout;
	kept = run(body, arg, error);
	LockTimeout = outer_timeout;
	if (kept)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return kept;
}

bool
tc_attempt(TcAttemptBody body, void *arg, int lock_timeout)
{
	ErrorData  *error;
	bool		kept = run_in_subtransaction(body, arg, lock_timeout, &error);

	if (error != NULL && (lock_timeout == 0 || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE))
		ReThrowError(error);
	if (error != NULL)
		FreeErrorData(error);
	return kept;
}

/* What is not the body's own fault ends the transaction: it may be tried again as a whole. */
static bool
is_its_own(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OPERATOR_INTERVENTION:
			return false;
		default:
			return true;
	}
}

bool
tc_attempt_or_error(TcAttemptBody body, void *arg, int lock_timeout, ErrorData **error)
{
	bool		kept = run_in_subtransaction(body, arg, lock_timeout, error);

	if (*error != NULL && !is_its_own(*error) &&
		(lock_timeout == 0 || (*error)->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE))
		ReThrowError(*error);
	return kept;
}
