/*
 * access_api.c
 *	  SQL entry points: who may do what.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "api/args.h"
#include "compat.h"
#include "ops/access.h"

PG_FUNCTION_INFO_V1(tasker_grant_access);
PG_FUNCTION_INFO_V1(tasker_revoke_access);
PG_FUNCTION_INFO_V1(tasker_list_access);
PG_FUNCTION_INFO_V1(tasker_function_access);
PG_FUNCTION_INFO_V1(tasker_sees_namespace);

static TcAccessChange
read_change(FunctionCallInfo fcinfo)
{
	TcAccessChange change;
	char	   *access;

	tc_arg_require(fcinfo, 0, "role");
	change.role = PG_GETARG_OID(0);
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(change.role)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role with OID %u does not exist", change.role),
				 errdetail("Access is granted to roles of this server; there is none for everybody."),
				 errhint("Pass the name of a role, such as 'app'.")));
	access = tc_arg_required_text(fcinfo, 1, "access");
	if (!tc_access_parse(access, &change.access))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown access"),
				 errdetail("There is no access \"%s\".", access),
				 errhint("Accesses are producer, worker, operator, reader and admin.")));
	change.nnamespaces = tc_arg_text_array(fcinfo, 2, "namespaces", &change.namespaces);
	return change;
}

Datum
tasker_grant_access(PG_FUNCTION_ARGS)
{
	TcAccessChange change = read_change(fcinfo);
	bool		changed;

	tc_session_begin(fcinfo);
	changed = tc_grant_access(&change);
	tc_session_end();
	PG_RETURN_BOOL(changed);
}

Datum
tasker_revoke_access(PG_FUNCTION_ARGS)
{
	TcAccessChange change = read_change(fcinfo);
	bool		changed;

	tc_session_begin(fcinfo);
	changed = tc_revoke_access(&change);
	tc_session_end();
	PG_RETURN_BOOL(changed);
}

Datum
tasker_list_access(PG_FUNCTION_ARGS)
{
	TcGrantRow *rows;
	TcEmit		emit;
	int			n;

	tc_emit_begin(fcinfo, &emit);
	tc_session_begin(fcinfo);
	n = tc_access_list(&rows);
	for (int i = 0; i < n; i++)
	{
		tc_emit_text(&emit, rows[i].role_name);
		tc_emit_text(&emit, rows[i].access);
		if (rows[i].everywhere)
			tc_emit_null(&emit);
		else
			tc_emit_datum(&emit, rows[i].namespaces);
		tc_emit_bool(&emit, rows[i].effective);
		tc_emit_timestamptz(&emit, rows[i].granted_at);
		tc_emit_text(&emit, rows[i].granted_by);
		tc_emit_row(&emit);
	}
	tc_session_end();
	PG_RETURN_NULL();
}

static Datum
access_array(TcAccessSet accesses)
{
	Datum		names[TC_ACCESS_COUNT];
	int			n = 0;

	for (int i = 0; i < TC_ACCESS_COUNT; i++)
	{
		if (accesses & (1 << i))
			names[n++] = CStringGetTextDatum(tc_access_name((TcAccess) i));
	}
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The table in the library, which no table of the database can differ from: no bracket. */
Datum
tasker_function_access(PG_FUNCTION_ARGS)
{
	int			n;
	const TcFunctionAccess *functions = tc_access_functions(&n);
	TcEmit		emit;

	tc_emit_begin(fcinfo, &emit);
	for (int i = 0; i < n; i++)
	{
		tc_emit_text(&emit, functions[i].function_name);
		tc_emit_datum(&emit, access_array(functions[i].accesses));
		tc_emit_text(&emit, tc_namespace_rule_name(functions[i].rule));
		tc_emit_row(&emit);
	}
	PG_RETURN_NULL();
}

/* ---- the filter of the views --------------------------------------------- */

/* What a query may see, found at its first row. */
typedef struct Sight
{
	int			n;				/* -1 = everything */
	int32	   *namespace_ids;
} Sight;

static Sight *
look_up_sight(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	Sight	   *sight = palloc0(sizeof(Sight));

	tc_session_begin(fcinfo);
	sight->n = tc_scope_namespace_ids(&sight->namespace_ids);
	tc_session_end();
	MemoryContextSwitchTo(old);
	return sight;
}

Datum
tasker_sees_namespace(PG_FUNCTION_ARGS)
{
	Sight	   *sight = fcinfo->flinfo->fn_extra;

	if (sight == NULL)
		fcinfo->flinfo->fn_extra = sight = look_up_sight(fcinfo);
	if (sight->n < 0)
		PG_RETURN_BOOL(true);
	for (int i = 0; i < sight->n; i++)
	{
		if (!PG_ARGISNULL(0) && sight->namespace_ids[i] == PG_GETARG_INT32(0))
			PG_RETURN_BOOL(true);
	}
	PG_RETURN_BOOL(false);
}
