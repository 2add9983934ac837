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

bool
tc_attempt(TcAttemptBody body, void *arg, int lock_timeout)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			outer_timeout = LockTimeout;
	ErrorData  *error;
	bool		kept;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	if (lock_timeout > 0 && (outer_timeout == 0 || lock_timeout < outer_timeout))
		LockTimeout = lock_timeout;
	kept = run(body, arg, &error);
	LockTimeout = outer_timeout;
	if (kept)
		ReleaseCurrentSubTransaction();
	else
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error != NULL && (lock_timeout == 0 || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE))
		ReThrowError(error);
	if (error != NULL)
		FreeErrorData(error);
	return kept;
}
