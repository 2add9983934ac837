/*
 * sql_function.c
 *	  The functions that SQL steps name: (task jsonb, step jsonb) returns jsonb.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/timeout.h"
#include "utils/varlena.h"

#include "compat.h"
#include "domain/template.h"
#include "store/plans.h"
#include "store/shards.h"
#include "store/sql_function.h"

/* ---- looking up ---------------------------------------------------------- */

static const char *
complaint_about(Oid function, Oid role)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	const char *complaint = NULL;

	if (!HeapTupleIsValid(tuple))
		return "does not exist";
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->prokind != PROKIND_FUNCTION)
		complaint = "is no ordinary function";
	else if (proc->proretset || proc->prorettype != JSONBOID)
		complaint = "does not return jsonb";
	else if (!tc_may_execute(function, role))
		complaint = "may not be executed by this role";
	else if (superuser_arg(role) && !superuser_arg(proc->proowner))
		complaint = "belongs to a role that is no superuser, as which it would run";
	ReleaseSysCache(tuple);
	return complaint;
}

Oid
tc_sql_function_find(const char *name, Oid role, const char **complaint)
{
	static const Oid argtypes[2] = {JSONBOID, JSONBOID};
	List	   *names;
	Oid			schema;
	Oid			function;

	if (!SplitIdentifierString(pstrdup(name), '.', &names) || list_length(names) != 2)
	{
		*complaint = "is not of the form schema.function";
		return InvalidOid;
	}
	schema = get_namespace_oid(linitial(names), true);
	if (!OidIsValid(schema) || !tc_may_use_schema(schema, role))
	{
		*complaint = OidIsValid(schema) ? "is in a schema that this role may not use" : "does not exist";
		return InvalidOid;
	}
	function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(lsecond(names)),
							   PointerGetDatum(buildoidvector(argtypes, 2)), ObjectIdGetDatum(schema));
	*complaint = OidIsValid(function) ? complaint_about(function, role)
		: "does not exist with the arguments (task jsonb, step jsonb)";
	return *complaint == NULL ? function : InvalidOid;
}

/* ---- calling ------------------------------------------------------------- */

/* Set by the timer's handler, reset with each call. */
static volatile sig_atomic_t timer_fired = false;

/* As statement_timeout does: the next check for interrupts cancels. */
static void
cancel(void)
{
	timer_fired = true;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* Times are the backend's: one is registered once, and never nested. */
static TimeoutId
timer(void)
{
	static TimeoutId id = MAX_TIMEOUTS;

	if (id == MAX_TIMEOUTS)
		id = RegisterTimeout(USER_TIMEOUT, cancel);
	return id;
}

static Datum
invoke(Oid function, const struct varlena *task, const struct varlena *step)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo	flinfo;
	Datum		result;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 2, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = PointerGetDatum(task);
	fcinfo->args[1].value = PointerGetDatum(step);
	fcinfo->args[0].isnull = fcinfo->args[1].isnull = false;
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("the function of a SQL step returned null"),
				 errdetail("A step has a result, and null does not say what came out."),
				 errhint("Return a jsonb value; 'null'::jsonb is one.")));
	return PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
}

static void
raise_timeout(int timeout_seconds)
{
	QueryCancelPending = false;
	ereport(ERROR,
			(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
			 errmsg("the function of a SQL step took longer than its timeout_seconds"),
			 errdetail("It was cancelled after %d seconds.", timeout_seconds),
			 errhint("Raise timeout_seconds of the step, or let the function do less.")));
}

/* With the timer running; an error that the timer made is ours to tell. */
static Datum
invoke_in_time(Oid function, const struct varlena *task, const struct varlena *step,
			   int timeout_seconds, bool *timed_out)
{
	MemoryContext context = CurrentMemoryContext;
	volatile Datum result = (Datum) 0;

	timer_fired = false;
	enable_timeout_after(timer(), Min(timeout_seconds, PG_INT32_MAX / 1000) * 1000);
	PG_TRY();
	{
		result = invoke(function, task, step);
		disable_timeout(timer(), false);
	}
	PG_CATCH();
	{
		disable_timeout(timer(), false);
		if (!timer_fired)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	*timed_out = timer_fired;
	if (*timed_out)
		raise_timeout(timeout_seconds);
	return result;
}

struct varlena *
tc_sql_function_call(Oid function, const struct varlena *task, const struct varlena *step,
					 int timeout_seconds, bool *timed_out)
{
	Oid			user;
	int			sec_context;
	Datum		result;

	*timed_out = false;
	GetUserIdAndSecContext(&user, &sec_context);
	SetUserIdAndSecContext(user, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	if (timeout_seconds > 0)
		result = invoke_in_time(function, task, step, timeout_seconds, timed_out);
	else
		result = invoke(function, task, step);
	SetUserIdAndSecContext(user, sec_context);
	return (struct varlena *) DatumGetPointer(result);
}

/* ---- in the bracket ------------------------------------------------------ */

static TcPlan plan_arguments = {
	.sql =
	"SELECT jsonb_build_object('task_id', $1, 'namespace', $2, 'name', $3, 'version', $4, 'correlation_id', $5,"
	"  'context', $6),"
	" jsonb_build_object('workflow_step_id', $7, 'name', $8, 'attempt', $9, 'max_attempts', $10,"
	"  'dependency_results', $11, 'config', $12, 'checkpoint', $13, 'inputs', $14)",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 14,
	.argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID, UUIDOID, JSONBOID, INT8OID, TEXTOID, INT4OID, INT4OID,
		JSONBOID, JSONBOID, JSONBOID, JSONBOID},
};

void
tc_sql_arguments(const TcSqlArguments *arguments, struct varlena **task, struct varlena **step)
{
	char		nulls[15] = "              ";
	Datum		values[14] = {
		Int64GetDatum(arguments->task_id), CStringGetTextDatum(arguments->lane->namespace_name),
		CStringGetTextDatum(arguments->lane->task_name), CStringGetTextDatum(arguments->lane->task_version),
		arguments->correlation_id, PointerGetDatum(arguments->context),
		Int64GetDatum(arguments->workflow_step_id), CStringGetTextDatum(arguments->step_name),
		Int32GetDatum(arguments->attempt), Int32GetDatum(arguments->max_attempts),
		PointerGetDatum(arguments->dependency_results), PointerGetDatum(arguments->config),
		PointerGetDatum(arguments->checkpoint), PointerGetDatum(arguments->inputs)
	};

	nulls[12] = arguments->checkpoint == NULL ? 'n' : ' ';
	nulls[13] = arguments->inputs == NULL ? 'n' : ' ';
	tc_plan_run(&plan_arguments, values, nulls);
	*task = tc_row_varlena(0, 1);
	*step = tc_row_varlena(0, 2);
}

static TcPlan plan_error = {
	.sql =
	"SELECT jsonb_strip_nulls(jsonb_build_object('sqlstate', $1, 'message', $2, 'detail', $3, 'hint', $4,"
	" 'context', $5))",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID},
};

struct varlena *
tc_sql_error(const char *sqlstate, const ErrorData *error)
{
	char		nulls[6] = "     ";
	Datum		values[5] = {
		CStringGetTextDatum(sqlstate), tc_text_or_null(error->message, &nulls[1]),
		tc_text_or_null(error->detail, &nulls[2]), tc_text_or_null(error->hint, &nulls[3]),
		tc_text_or_null(error->context, &nulls[4])
	};

	tc_plan_run(&plan_error, values, nulls);
	return tc_row_varlena(0, 1);
}
