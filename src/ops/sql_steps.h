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
 * when there is none.  Opens the session bracket itself, for the call or (NULL) unasked.
 */
extern bool tc_run_sql_step(FunctionCallInfo call, char **namespaces, int nnamespaces,
							TcSqlStepRun *run);

/*
 * Puts the SQL steps of a template that is being registered into the queue of the
 * role, and lists (char *) what is wrong with their functions.
 */
extern List *tc_sql_steps_authorise(TcTemplate *template, Oid role);

/* Does the role own the SQL steps of a template, if there are any? */
extern bool tc_sql_steps_belong_to(const TcTemplate *template, const char *role);

#endif							/* TC_SQL_STEPS_H */
