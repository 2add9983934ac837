/*
 * sql_steps.h
 *	  Steps whose handler is a function in the database.
 *
 * They are in a queue of the role that registered their template, which no claim
 * looks at that does not name it.  They run only in a session of that role, in a
 * subtransaction together with their completion.
 */
#ifndef TC_SQL_STEPS_H
#define TC_SQL_STEPS_H

#include "fmgr.h"
#include "nodes/pg_list.h"

#include "domain/template.h"
#include "store/step_store.h"

typedef struct TcSqlStepRun
{
	int64		workflow_step_id;
	const char *status;			/* completed, waiting_for_retry or error */
	struct varlena *error;		/* NULL when completed */
} TcSqlStepRun;

/*
 * Refuses a session that is not its role's own from the start: what a function has
 * not been given must not be within its reach (42501).
 */
extern void tc_sql_steps_require_own_session(void);

/*
 * Runs the next step of the session's role, in some namespaces or (NULL) any; false
 * when there is none.  Opens the session bracket itself, for the call.
 */
extern bool tc_run_sql_step(FunctionCallInfo call, char **namespaces, int nnamespaces,
							TcSqlStepRun *run);

/* ---- the same in transactions of its own, for the background worker ------- */

/* A step in hand, in the context that was current when it was claimed. */
typedef struct TcSqlStep
{
	FunctionCallInfo call;		/* of run_sql_steps(); NULL = nobody asked */
	TcStepKey	key;
	int64		claim_token;
	char	   *function_name;
	int			timeout_seconds;	/* 0 = none */
	struct varlena *task;
	struct varlena *step;
	bool		timed_out;
} TcSqlStep;

/*
 * Claims the next step of the session's role, for some seconds longer than it may
 * take; false when there is none.  Committed before its function runs, so that
 * whatever that does to the process, or the server, costs it an attempt.
 */
extern bool tc_sql_step_claim(TcSqlStep *step, int default_timeout_seconds);

/* Calls the function, and completes the step with its result.  Raises what goes wrong. */
extern void tc_sql_step_run(TcSqlStep *step);

/* After a rollback: the error ends the attempt. */
extern void tc_sql_step_fail(const TcSqlStep *step, const ErrorData *error);

/* ---- whose they are ------------------------------------------------------- */

/*
 * Puts the SQL steps of a template that is being registered into the queue of the
 * role, and lists (char *) what is wrong with their functions.
 */
extern List *tc_sql_steps_authorise(TcTemplate *template, Oid role);

/* Does the role own the SQL steps of a template, if there are any? */
extern bool tc_sql_steps_belong_to(const TcTemplate *template, const char *role);

#endif							/* TC_SQL_STEPS_H */
