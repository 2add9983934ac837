/*
 * make_way.c
 *	  The background worker leaves a database that is to have no visitors.
 *
 * DROP DATABASE, ALTER DATABASE ... RENAME and SET TABLESPACE, and (of its
 * template) CREATE DATABASE are refused while anybody is connected, after waiting
 * for five seconds; autovacuum is asked to leave by the server, a background worker
 * is not.  So that one asks here, before the command begins; it comes back ten
 * seconds later, if there is still something to come back to.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "compat.h"
#include "events/board.h"
#include "worker/make_way.h"

/* What CREATE DATABASE copies unless it is told otherwise. */
#define DEFAULT_TEMPLATE "template1"

static ProcessUtility_hook_type previous_utility = NULL;

static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		result;

	if (superuser())
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
	ReleaseSysCache(tuple);
	return result;
}

static const char *
option_value(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/* Nobody disturbs the worker with a command that would be refused to him anyway. */
static bool
owns(const char *database)
{
	Oid			oid = get_database_oid(database, true);

	return OidIsValid(oid) && tc_owns_database(oid, GetUserId());
}

/* Whoever may make databases makes copies of templates, and of what is his own. */
static bool
may_copy(const char *database)
{
	Oid			oid = get_database_oid(database, true);
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));
	bool		is_template;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
	ReleaseSysCache(tuple);
	return may_create_databases() && (is_template || tc_owns_database(oid, GetUserId()));
}

/* The database that the command wants for itself, or NULL. */
static const char *
database_wanted(Node *command)
{
	const char *name = NULL;

	switch (nodeTag(command))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) command)->dbname;
			break;
		case T_AlterDatabaseStmt:
			if (option_value(((AlterDatabaseStmt *) command)->options, "tablespace") != NULL)
				name = ((AlterDatabaseStmt *) command)->dbname;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) command)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) command)->subname;
			break;
		case T_CreatedbStmt:
			name = option_value(((CreatedbStmt *) command)->options, "template");
			if (name == NULL)
				name = DEFAULT_TEMPLATE;
			return may_copy(name) ? name : NULL;
		default:
			break;
	}
	return name != NULL && owns(name) ? name : NULL;
}

static void
process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *completion)
{
	const char *database = database_wanted(pstmt->utilityStmt);
	Oid			oid = database ? get_database_oid(database, true) : InvalidOid;

	if (OidIsValid(oid))
		tc_board_make_way(oid);
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params, query_env, dest,
						 completion);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, query_env,
								dest, completion);
}

void
tc_make_way_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
}
