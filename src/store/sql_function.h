/*
 * sql_function.h
 *	  The functions that SQL steps name: (task jsonb, step jsonb) returns jsonb.
 *
 * Called outside of the session bracket, with the rights of the caller: never as
 * the owner of our tables.
 */
#ifndef TC_SQL_FUNCTION_H
#define TC_SQL_FUNCTION_H

#include "store/claim_store.h"

/*
 * The function of that name ("schema.function", quoted where it has to be) that the
 * role may call; InvalidOid where there is none, and *complaint says why.
 */
extern Oid	tc_sql_function_find(const char *name, Oid role, const char **complaint);

/*
 * Calls it in the current subtransaction.  Raises what it raises; 22004 where it
 * returns null; 38000, with *timed_out, where it takes longer than timeout_seconds
 * (0 = as long as it likes).  SET ROLE and SET SESSION AUTHORIZATION are refused to
 * it, so that it is over with the rights that it had.
 */
extern struct varlena *tc_sql_function_call(Oid function, const struct varlena *task,
											const struct varlena *step, int timeout_seconds,
											bool *timed_out);

/* ---- in the bracket ------------------------------------------------------ */

/* What a claimed step is called with, in the caller's context. */
typedef struct TcSqlArguments
{
	int64		task_id;
	int64		workflow_step_id;
	const TcLane *lane;
	const char *step_name;
	int32		attempt;
	int32		max_attempts;
	Datum		correlation_id;
	const struct varlena *context;
	const struct varlena *dependency_results;
	const struct varlena *inputs;	/* may be NULL */
	const struct varlena *config;
	const struct varlena *checkpoint;	/* may be NULL */
} TcSqlArguments;

extern void tc_sql_arguments(const TcSqlArguments *arguments, struct varlena **task,
							 struct varlena **step);

/* {"sqlstate", "message", "detail", "hint", "context"}, without those that are NULL. */
extern struct varlena *tc_sql_error(const char *sqlstate, const ErrorData *error);

#endif							/* TC_SQL_FUNCTION_H */
