/*
 * sql_steps.c
 *	  Steps whose handler is a function in the database.
 *
 * The bracket is open to claim, and again to complete or fail; in between, as the
 * caller, the function runs.  A failure rolls back what the function did and is the
 * end of this attempt, like one that an external worker reports.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/pg_list.h"

#include "compat.h"
#include "domain/states.h"
#include "errors.h"
#include "ops/schemas.h"
#include "ops/sql_steps.h"
#include "ops/steps.h"
#include "store/attempt.h"
#include "store/session.h"
#include "store/sql_function.h"
#include "store/sql_role.h"

/* Nobody else can take a step that our own transaction has claimed. */
#define LEASE_SECONDS 3600.0

/* So that a function is ended for its timeout before its lease is over. */
#define GRACE_SECONDS 10.0

#define TIMEOUT_SQLSTATE "57014"

/* ---- whose they are ------------------------------------------------------ */

/* The role whose queue it is; NULL for other queues. */
static const char *
role_of_queue(const char *queue)
{
	return tc_queue_is_sql(queue) ? queue + strlen(TC_SQL_QUEUE) : NULL;
}

static char *
queue_of(Oid role)
{
	return psprintf("%s%s", TC_SQL_QUEUE, GetUserNameFromId(role, false));
}

List *
tc_sql_steps_authorise(TcTemplate *template, Oid role)
{
	List	   *faults = NIL;

	for (int i = 0; i < template->nsteps; i++)
	{
		TcStep	   *step = &template->steps[i];
		const char *complaint;

		if (!tc_queue_is_sql(step->queue))
			continue;
		if (!OidIsValid(tc_sql_function_find(step->handler_class, role, &complaint)))
			faults = lappend(faults, psprintf("step \"%s\": handler.sql: function %s %s", step->name,
											  step->handler_class, complaint));
		step->queue = queue_of(role);
	}
	return faults;
}

bool
tc_sql_steps_belong_to(const TcTemplate *template, const char *role)
{
	for (int i = 0; i < template->nsteps; i++)
	{
		const char *owner = role_of_queue(template->steps[i].queue);

		if (owner != NULL && strcmp(owner, role) != 0)
			return false;
	}
	return true;
}

void
tc_sql_steps_require_own_session(void)
{
	Oid			user = GetUserId();

	if (user == GetAuthenticatedUserId() && user == GetSessionUserId() && user == GetOuterUserId() &&
		!InLocalUserIdChange() && !InSecurityRestrictedOperation())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("SQL steps run only in a session of their own role"),
			 errdetail("This session was authorised as \"%s\", and acts as \"%s\" now.",
					   GetUserNameFromId(GetAuthenticatedUserId(), false), GetUserNameFromId(user, false)),
			 errhint("Connect as the role that registered the template; neither SET ROLE nor SECURITY DEFINER will do.")));
}

static void
begin(FunctionCallInfo call)
{
	if (call != NULL)
		tc_session_begin(call);
	else
		tc_session_begin_as_call(TC_RUN_SQL_STEPS);
}

/* ---- one step ------------------------------------------------------------ */

static void
take_along(const TcClaim *claim, TcSqlStep *step)
{
	TcSqlArguments arguments = {
		.task_id = claim->row.key.task_id,
		.workflow_step_id = tc_step_id(claim->row.key.task_id, claim->row.key.step_no),
		.lane = claim->lane,
		.step_name = claim->step_name,
		.attempt = claim->row.attempts + 1,
		.max_attempts = claim->row.max_attempts,
		.correlation_id = claim->correlation_id,
		.context = claim->task_context,
		.dependency_results = claim->dependency_results,
		.inputs = claim->inputs,
		.config = claim->step->handler_config,
		.checkpoint = claim->row.checkpoint,
	};

	step->key = claim->row.key;
	step->claim_token = claim->claim_token;
	step->timeout_seconds = claim->step->timeout_seconds;
	step->function_name = MemoryContextStrdup(tc_session_caller_context(), claim->step->handler_class);
	tc_sql_arguments(&arguments, &step->task, &step->step);
}

/* What to ask for is known once the bracket is open. */
static bool
claim_one(TcClaimRequest *request, TcSqlStep *step)
{
	char	   *queue = queue_of(GetUserId());
	TcClaim    *claims;
	int			n;

	request->worker_id = queue;
	request->max_steps = 1;
	request->filter.queues = &queue;
	request->filter.nqueues = 1;
	begin(step->call);
	n = tc_claim_steps(request, &claims);
	if (n > 0)
		take_along(&claims[0], step);
	tc_session_end();
	return n > 0;
}

static void
complete(const TcSqlStep *step, const struct varlena *results)
{
	TcCompletion completion = {
		.key = step->key,
		.claim_token = step->claim_token,
		.results = results,
	};
	int64		step_id = tc_step_id(step->key.task_id, step->key.step_no);

	begin(step->call);
	tc_complete_steps(&completion, 1);
	if (completion.status == TC_INVALID_RESULT)
		tc_raise_invalid_results(step_id, completion.invalid);
	if (completion.status != TC_COMPLETED)
		tc_raise_lease_lost(step_id);
	tc_session_end();
}

/* EXECUTE is looked at again each time: it may have been revoked. */
void
tc_sql_step_run(TcSqlStep *step)
{
	const char *complaint;
	Oid			function = tc_sql_function_find(step->function_name, GetUserId(), &complaint);

	if (!OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("function %s %s", step->function_name, complaint),
				 errdetail("The step runs as \"%s\", which registered its template.",
						   GetUserNameFromId(GetUserId(), false)),
				 errhint("Create the function again, or grant EXECUTE on it and USAGE on its schema.")));
	complete(step, tc_sql_function_call(function, step->task, step->step,
										step->timeout_seconds, &step->timed_out));
}

static void
fail(const TcSqlStep *step, const ErrorData *error, TcSqlStepRun *run)
{
	TcFailRequest request = {
		.key = step->key,
		.claim_token = step->claim_token,
		.retryable = true,
		.retry_after = -1,
	};
	TcFailResult result;

	begin(step->call);
	run->error = tc_sql_error(step->timed_out ? TIMEOUT_SQLSTATE : unpack_sql_state(error->sqlerrcode),
							  error);
	request.error = run->error;
	tc_fail_step(&request, &result);
	tc_session_end();
	run->status = tc_step_state_name(result.step_state);
}

/* ---- in the transaction of a caller --------------------------------------- */

static bool
run_in_attempt(void *arg)
{
	tc_sql_step_run(arg);
	return true;
}

bool
tc_run_sql_step(FunctionCallInfo call, char **namespaces, int nnamespaces, TcSqlStepRun *run)
{
	TcClaimRequest request = {
		.lease_seconds = LEASE_SECONDS,
		.filter = {.namespaces = namespaces, .nnamespaces = nnamespaces},
	};
	TcSqlStep	step = {.call = call};
	ErrorData  *error;

	if (!claim_one(&request, &step))
		return false;
	run->workflow_step_id = tc_step_id(step.key.task_id, step.key.step_no);
	run->status = "completed";
	run->error = NULL;
	if (!tc_attempt_or_error(run_in_attempt, &step, TC_WAIT_AS_LONG_AS_IT_TAKES, &error))
		fail(&step, error, run);
	return true;
}

/* ---- in transactions of its own ------------------------------------------- */

bool
tc_sql_step_claim(TcSqlStep *step, int default_timeout_seconds)
{
	TcClaimRequest request = {
		.lease_seconds = default_timeout_seconds + GRACE_SECONDS,
		.grace_seconds = GRACE_SECONDS,
	};

	memset(step, 0, sizeof(*step));
	if (!claim_one(&request, step))
		return false;
	if (step->timeout_seconds == 0)
		step->timeout_seconds = default_timeout_seconds;
	return true;
}

void
tc_sql_step_fail(const TcSqlStep *step, const ErrorData *error)
{
	TcSqlStepRun run;

	fail(step, error, &run);
}
