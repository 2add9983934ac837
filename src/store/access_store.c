/*
 * access_store.c
 *	  Who has been granted what, and what the caller of this bracket may touch.
 *
 * A grant is a row of tasker.access_grants and the privileges that go with it.  The
 * row names its role, so that a dump can be restored elsewhere; it counts only while
 * the role holds USAGE on the schema, so that a new role of an old name inherits
 * nothing.
 *
 * Rights are cached by role, in a few slots of TopMemoryContext.  A slot that is found
 * stale is replaced at once, and its memory goes with the outermost bracket, since an
 * outer call may still look at it.
 */
#include "postgres.h"

#include "catalog/pg_namespace.h"
#include "commands/user.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "store/access_store.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/task_store.h"
#include "store/template_store.h"

#define ACCESS_NAMES_SIZE 128

typedef struct NamespaceRight
{
	char	   *name;
	int32		namespace_id;	/* 0 = no template has made it yet */
	TcAccessSet accesses;
} NamespaceRight;

struct TcRights
{
	MemoryContext context;
	Oid			role;
	uint64		generation;		/* of the tables */
	uint64		roles_generation;	/* of the catalogs */
	TcAccessSet everywhere;
	int			n;
	NamespaceRight *namespaces;
};

#define SLOTS 4
static TcRights *slots[SLOTS];
static int	next_slot = 0;

/* Counted up by role_changed(), which may only flag. */
static uint64 roles_generation = 1;

/* Which entry a function has, by its oid; emptied when any function changes. */
#define MEMO_SIZE 256
typedef struct FunctionMemo
{
	Oid			function;
	const TcFunctionAccess *entry;
} FunctionMemo;

static FunctionMemo memo[MEMO_SIZE];

static void
role_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	roles_generation++;
}

static void
function_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	memset(memo, 0, sizeof(memo));
}

void
tc_access_init(void)
{
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, role_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, function_changed, (Datum) 0);
}

/* ---- rights of a role ---------------------------------------------------- */

/*
 * As of now, whatever the transaction's snapshot.  A row for each namespace; none
 * stands for all.
 */
static TcPlan plan_grants = {
	.sql =
	"SELECT r.oid, g.access, x.name, coalesce(n.namespace_id, 0)"
	" FROM tasker.access_grants g"
	" JOIN pg_catalog.pg_roles r ON r.rolname = g.role_name"
	" LEFT JOIN LATERAL unnest(g.namespaces) AS x(name) ON true"
	" LEFT JOIN tasker.task_namespaces n ON n.name = x.name"
	" WHERE EXISTS (SELECT FROM pg_catalog.pg_namespace s, pg_catalog.aclexplode(s.nspacl) a"
	"  WHERE s.nspname = 'tasker' AND a.grantee = r.oid)",
	.kind = TC_LATEST,
	.expect = SPI_OK_SELECT,
};

static NamespaceRight *
namespace_right(TcRights *rights, const char *name, int32 namespace_id)
{
	NamespaceRight *right;

	for (int i = 0; i < rights->n; i++)
	{
		if (strcmp(rights->namespaces[i].name, name) == 0)
			return &rights->namespaces[i];
	}
	right = &rights->namespaces[rights->n++];
	right->name = MemoryContextStrdup(rights->context, name);
	right->namespace_id = namespace_id;
	right->accesses = 0;
	return right;
}

static void
add_grants(TcRights *rights)
{
	uint64		rows = tc_plan_run(&plan_grants, NULL, NULL);

	rights->namespaces = MemoryContextAllocHuge(rights->context,
												sizeof(NamespaceRight) * Max(rows, 1));
	for (uint64 row = 0; row < rows; row++)
	{
		bool		isnull;
		Oid			role = DatumGetObjectId(tc_row_datum(row, 1, &isnull));
		TcAccess	access;

		if (!has_privs_of_role(rights->role, role) ||
			!tc_access_parse(tc_row_text(row, 2), &access))
			continue;
		if (tc_row_isnull(row, 3))
			rights->everywhere |= 1 << access;
		else
			namespace_right(rights, tc_row_text(row, 3), tc_row_int32(row, 4))->accesses |= 1 << access;
	}
}

static TcRights *
load_rights(Oid role, Oid owner)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "tasker_core rights",
												  ALLOCSET_SMALL_SIZES);
	TcRights   *rights = MemoryContextAllocZero(context, sizeof(TcRights));

	rights->context = context;
	rights->role = role;
	rights->generation = tc_cache_generation();
	rights->roles_generation = roles_generation;
	if (superuser_arg(role) || has_privs_of_role(role, owner))
		rights->everywhere = TC_EVERY_ACCESS;
	else
		add_grants(rights);
	return rights;
}

static bool
is_current(const TcRights *rights)
{
	return rights->generation == tc_cache_generation() &&
		rights->roles_generation == roles_generation;
}

static TcRights *
rights_of(Oid role, Oid owner)
{
	TcRights   *fresh;
	int			slot;

	for (slot = 0; slot < SLOTS; slot++)
	{
		if (slots[slot] != NULL && slots[slot]->role == role)
			break;
	}
	if (slot < SLOTS && is_current(slots[slot]))
		return slots[slot];
	if (slot == SLOTS)
		slot = next_slot++ % SLOTS;
	fresh = load_rights(role, owner);
	if (slots[slot] != NULL)
		MemoryContextSetParent(slots[slot]->context, tc_session_outermost_context());
	MemoryContextSetParent(fresh->context, TopMemoryContext);
	slots[slot] = fresh;
	return fresh;
}

/* ---- the check of every call --------------------------------------------- */

static const TcFunctionAccess *
entry_of(Oid function)
{
	FunctionMemo *place = &memo[function % MEMO_SIZE];
	char	   *name;

	if (place->function == function)
		return place->entry;
	name = get_func_name(function);
	if (name == NULL)
		return NULL;
	place->entry = tc_access_of_function(name);
	place->function = function;
	return place->entry;
}

static char *
role_name(Oid role)
{
	return GetUserNameFromId(role, false);
}

static void raise_no_entry(Oid caller, Oid function) pg_attribute_noreturn();
static void raise_no_access(Oid caller, const TcFunctionAccess *entry) pg_attribute_noreturn();

static void
raise_no_entry(Oid caller, Oid function)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" has no access to this function of tasker_core", role_name(caller)),
			 errdetail("Only admins may call what has no entry in the table of accesses, such as %s.",
					   OidIsValid(function) ? format_procedure(function) : "internal calls"),
			 errhint("tasker.function_access() lists the functions that access can be granted to.")));
}

static void
raise_no_access(Oid caller, const TcFunctionAccess *entry)
{
	char		names[ACCESS_NAMES_SIZE];
	int			first = 0;

	while ((entry->accesses & (1 << first)) == 0)
		first++;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" has no access to tasker.%s()", role_name(caller), entry->function_name),
			 errdetail("That takes the access %s; EXECUTE on the function alone is not enough.",
					   tc_access_names(entry->accesses, names, sizeof(names))),
			 errhint("An admin of tasker_core can grant it: SELECT tasker.grant_access(%s, '%s').",
					 quote_literal_cstr(quote_identifier(role_name(caller))),
					 tc_access_name((TcAccess) first))));
}

void
tc_scope_require_all(const char *hint)
{
	const TcScope *scope = tc_session_scope();
	char		names[ACCESS_NAMES_SIZE];

	if (!scope->limited)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" has access to some namespaces only", role_name(scope->rights->role)),
			 errdetail("This call looks at all namespaces, and takes the access %s without a limit.",
					   tc_access_names(scope->accesses, names, sizeof(names))),
			 errhint("%s", hint)));
}

static bool
has_any(const TcRights *rights, TcAccessSet accesses)
{
	for (int i = 0; i < rights->n; i++)
	{
		if (rights->namespaces[i].accesses & accesses)
			return true;
	}
	return false;
}

/* The first argument, where the table says that it is a task or a step. */
static void
check_subject(FunctionCallInfo fcinfo, TcNamespaceRule rule)
{
	int64		id;

	if (PG_NARGS() == 0 || PG_ARGISNULL(0))
		return;
	id = PG_GETARG_INT64(0);
	if (rule == TC_NAMESPACES_BY_TASK && !tc_scope_has_task(id))
		tc_raise_task_not_found(id);
	if (rule == TC_NAMESPACES_BY_STEP && !tc_scope_has_task(tc_step_id_task(id)))
		tc_raise_step_not_found(id);
}

/* Raises where the caller may do it nowhere; else the bracket's scope says where. */
static void
check_entry(const TcFunctionAccess *entry, Oid function, Oid caller, Oid owner)
{
	TcScope    *scope = tc_session_scope();

	scope->rights = rights_of(caller, owner);
	scope->accesses = entry != NULL ? entry->accesses : 1 << TC_ACCESS_ADMIN;
	scope->limited = (scope->rights->everywhere & scope->accesses) == 0;
	if (!scope->limited)
		return;
	if (entry == NULL)
		raise_no_entry(caller, function);
	if (!has_any(scope->rights, scope->accesses))
		raise_no_access(caller, entry);
	if (entry->rule == TC_NAMESPACES_ALL)
		tc_scope_require_all("Ask an admin of tasker_core for a grant without namespaces.");
}

void
tc_access_check(FunctionCallInfo fcinfo, Oid caller, Oid owner)
{
	Oid			function = fcinfo != NULL && fcinfo->flinfo != NULL ? fcinfo->flinfo->fn_oid : InvalidOid;
	const TcFunctionAccess *entry = OidIsValid(function) ? entry_of(function) : NULL;

	check_entry(entry, function, caller, owner);
	if (tc_session_scope()->limited)
		check_subject(fcinfo, entry->rule);
}

void
tc_access_check_named(const char *function_name, Oid caller, Oid owner)
{
	check_entry(tc_access_of_function(function_name), InvalidOid, caller, owner);
}

bool
tc_access_may_call(Oid role, const char *function_name)
{
	const TcRights *rights = rights_of(role, tc_session_owner());
	TcAccessSet accesses = tc_access_of_function(function_name)->accesses;

	return (rights->everywhere & accesses) != 0 || has_any(rights, accesses);
}

/* ---- questions of functions ---------------------------------------------- */

bool
tc_scope_is_limited(void)
{
	return tc_session_scope()->limited;
}

static bool
has_right(const TcRights *rights, TcAccessSet accesses, const char *namespace_name)
{
	for (int i = 0; i < rights->n; i++)
	{
		if ((rights->namespaces[i].accesses & accesses) != 0 &&
			strcmp(rights->namespaces[i].name, namespace_name) == 0)
			return true;
	}
	return false;
}

bool
tc_scope_has_namespace(const char *namespace_name)
{
	const TcScope *scope = tc_session_scope();

	return !scope->limited || has_right(scope->rights, scope->accesses, namespace_name);
}

/* Inside the bracket the current user is the owner. */
bool
tc_role_has_namespace(const char *role_name, TcAccessSet accesses, const char *namespace_name)
{
	Oid			role = get_role_oid(role_name, true);
	const TcRights *rights;

	if (!OidIsValid(role))
		return false;
	rights = rights_of(role, GetUserId());
	return (rights->everywhere & accesses) != 0 || has_right(rights, accesses, namespace_name);
}

int
tc_scope_namespace_ids(int32 **ids)
{
	const TcScope *scope = tc_session_scope();
	int			n = 0;

	if (!scope->limited)
		return -1;
	*ids = MemoryContextAlloc(tc_session_caller_context(), sizeof(int32) * Max(scope->rights->n, 1));
	for (int i = 0; i < scope->rights->n; i++)
	{
		if ((scope->rights->namespaces[i].accesses & scope->accesses) != 0 &&
			scope->rights->namespaces[i].namespace_id != 0)
			(*ids)[n++] = scope->rights->namespaces[i].namespace_id;
	}
	return n;
}

void
tc_scope_has_tasks(const int64 *task_ids, int n, bool *own)
{
	TcTaskRow  *tasks;
	int64	   *sorted;
	int			ntasks;

	memset(own, !tc_scope_is_limited(), sizeof(bool) * n);
	if (!tc_scope_is_limited() || n == 0)
		return;
	sorted = palloc(sizeof(int64) * n);
	memcpy(sorted, task_ids, sizeof(int64) * n);
	ntasks = tc_task_read_latest(sorted, tc_task_ids_sort_unique(sorted, n), &tasks);
	for (int i = 0; i < n; i++)
	{
		const TcTaskRow *task = tc_task_find(tasks, ntasks, task_ids[i]);

		own[i] = task != NULL &&
			tc_scope_has_namespace(tc_template_get(task->named_task_id)->namespace_name);
	}
}

bool
tc_scope_has_task(int64 task_id)
{
	bool		own;

	tc_scope_has_tasks(&task_id, 1, &own);
	return own;
}

static const char *
own_namespaces(const TcScope *scope)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < scope->rights->n; i++)
	{
		if (scope->rights->namespaces[i].accesses & scope->accesses)
			appendStringInfo(&list, "%s\"%s\"", list.len == 0 ? "" : ", ",
							 scope->rights->namespaces[i].name);
	}
	return list.data;
}

void
tc_scope_require_namespace(const char *namespace_name)
{
	const TcScope *scope = tc_session_scope();

	if (tc_scope_has_namespace(namespace_name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("role \"%s\" has no access to namespace \"%s\"",
					role_name(scope->rights->role), namespace_name),
			 errdetail("For this function it has access to %s.", own_namespaces(scope)),
			 errhint("An admin of tasker_core can add the namespace: tasker.grant_access(role, access, namespaces).")));
}

Datum
tc_scope_namespaces(char *isnull)
{
	const TcScope *scope = tc_session_scope();
	const char **names;
	int			n = 0;

	*isnull = scope->limited ? ' ' : 'n';
	if (!scope->limited)
		return (Datum) 0;
	names = palloc(sizeof(char *) * Max(scope->rights->n, 1));
	for (int i = 0; i < scope->rights->n; i++)
	{
		if (scope->rights->namespaces[i].accesses & scope->accesses)
			names[n++] = scope->rights->namespaces[i].name;
	}
	return tc_array_text(names, n);
}

/* ---- privileges that go with grants -------------------------------------- */

/*
 * Privileges are given by utility commands, which take no parameters: names come from
 * the catalogs, quoted there (regprocedure, quote_ident).
 */
static void
run_command(const char *command)
{
	int			result = SPI_execute(command, false, 0);

	if (result != SPI_OK_UTILITY)
		elog(ERROR, "unexpected result of \"%s\": %s", command, SPI_result_code_string(result));
}

static TcPlan plan_accesses = {
	.sql = "SELECT access, namespaces IS NULL FROM tasker.access_grants WHERE role_name = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

static TcAccessSet
accesses_granted(const char *role, TcAccessSet *everywhere)
{
	Datum		values[1] = {CStringGetTextDatum(role)};
	uint64		rows = tc_plan_run(&plan_accesses, values, NULL);
	TcAccessSet set = 0;
	TcAccess	access;

	*everywhere = 0;
	for (uint64 row = 0; row < rows; row++)
	{
		if (!tc_access_parse(tc_row_text(row, 1), &access))
			continue;
		set |= 1 << access;
		if (tc_row_bool(row, 2))
			*everywhere |= 1 << access;
	}
	return set;
}

static TcPlan plan_functions = {
	.sql =
	"SELECT string_agg(p.oid::regprocedure::text, ', ') FROM pg_catalog.pg_proc p"
	" WHERE p.pronamespace = 'tasker'::regnamespace AND p.proname = ANY ($1)",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTARRAYOID},
};

/* The functions that these accesses allow, or that they do not; NULL when there are none. */
static char *
functions_of(TcAccessSet accesses, bool allowed)
{
	int			n;
	const TcFunctionAccess *all = tc_access_functions(&n);
	const char **names = palloc(sizeof(char *) * n);
	Datum		values[1];
	int			count = 0;

	for (int i = 0; i < n; i++)
	{
		if (((all[i].accesses & accesses) != 0) == allowed)
			names[count++] = all[i].function_name;
	}
	values[0] = tc_array_text(names, count);
	tc_plan_run(&plan_functions, values, NULL);
	return tc_row_text(0, 1);
}

static void
sync_relations(const char *role, bool reads, bool reads_everywhere)
{
	int			n;
	const TcReadableRelation *relations = tc_access_readable(&n);

	for (int i = 0; i < n; i++)
		run_command(psprintf(reads_everywhere || (reads && relations[i].by_namespace) ?
							 "GRANT SELECT ON tasker.%s TO %s" : "REVOKE SELECT ON tasker.%s FROM %s",
							 relations[i].relation_name, role));
}

/* Brings the privileges of a role in line with what it has been granted. */
static void
sync_privileges(const char *name)
{
	const char *role = quote_identifier(name);
	TcAccessSet everywhere;
	TcAccessSet accesses = accesses_granted(name, &everywhere);
	char	   *allowed = functions_of(accesses, true);
	char	   *denied = functions_of(accesses, false);

	if (denied != NULL)
		run_command(psprintf("REVOKE EXECUTE ON FUNCTION %s FROM %s", denied, role));
	if (allowed != NULL)
		run_command(psprintf("GRANT EXECUTE ON FUNCTION %s TO %s", allowed, role));
	sync_relations(role, (accesses & TC_READING_ACCESSES) != 0,
				   (everywhere & TC_READING_ACCESSES) != 0);
	run_command(psprintf(accesses != 0 ? "GRANT USAGE ON SCHEMA tasker TO %s"
						 : "REVOKE USAGE ON SCHEMA tasker FROM %s", role));
	tc_cache_invalidate();
}

/* ---- grants -------------------------------------------------------------- */

/* One after the other: GRANT fails where another has changed the same function meanwhile. */
static void
lock_grants(void)
{
	run_command("LOCK TABLE tasker.access_grants IN SHARE ROW EXCLUSIVE MODE");
}

/* What an earlier role of this name left behind, without its privileges, is no grant of this one. */
static TcPlan plan_forget = {
	.sql =
	"DELETE FROM tasker.access_grants WHERE role_name = $1"
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_namespace s, pg_catalog.aclexplode(s.nspacl) a"
	"  JOIN pg_catalog.pg_roles r ON r.oid = a.grantee"
	"  WHERE s.nspname = 'tasker' AND r.rolname = $1)",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

static TcPlan plan_grant = {
	.sql =
	"INSERT INTO tasker.access_grants AS g (role_name, access, namespaces, granted_at, granted_by)"
	" VALUES ($1, $2, $3, $4, $5)"
	" ON CONFLICT (role_name, access) DO UPDATE SET"
	"  namespaces = CASE WHEN excluded.namespaces IS NULL THEN NULL"
	"   ELSE ARRAY(SELECT DISTINCT x FROM unnest(g.namespaces || excluded.namespaces) x ORDER BY x) END,"
	"  granted_at = excluded.granted_at, granted_by = excluded.granted_by"
	" WHERE g.namespaces IS NOT NULL AND NOT coalesce(g.namespaces @> excluded.namespaces, false)",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 5,
	.argtypes = {TEXTOID, TEXTOID, TEXTARRAYOID, TIMESTAMPTZOID, TEXTOID},
};

bool
tc_access_grant(Oid role, TcAccess access, char **namespaces, int n)
{
	const char *name = role_name(role);
	Datum		values[5];
	char		nulls[5];
	bool		changed;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(tc_access_name(access));
	values[2] = namespaces != NULL ? tc_array_text((const char *const *) namespaces, n) : (Datum) 0;
	nulls[2] = namespaces != NULL ? ' ' : 'n';
	values[3] = TimestampTzGetDatum(tc_session_now());
	values[4] = CStringGetTextDatum(tc_session_role());
	lock_grants();
	tc_plan_run(&plan_forget, values, NULL);
	changed = tc_plan_run(&plan_grant, values, nulls) > 0;
	sync_privileges(name);
	return changed;
}

/* A whole access, or the namespaces named of one that is limited. */
static TcPlan plan_revoke_namespaces = {
	.sql =
	"UPDATE tasker.access_grants SET namespaces = ARRAY("
	"  SELECT x FROM unnest(namespaces) x WHERE x <> ALL ($3) ORDER BY x)"
	" WHERE role_name = $1 AND access = $2 AND namespaces && $3",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, TEXTARRAYOID},
};

static TcPlan plan_revoke = {
	.sql =
	"DELETE FROM tasker.access_grants"
	" WHERE role_name = $1 AND access = $2 AND ($3 OR namespaces = '{}')",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 3,
	.argtypes = {TEXTOID, TEXTOID, BOOLOID},
};

static TcPlan plan_unlimited = {
	.sql =
	"SELECT FROM tasker.access_grants WHERE role_name = $1 AND access = $2 AND namespaces IS NULL",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

static void
refuse_if_unlimited(const char *role, TcAccess access, Datum *values)
{
	if (tc_plan_run(&plan_unlimited, values, NULL) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("the access %s of role \"%s\" is not limited to namespaces",
					tc_access_name(access), role),
			 errdetail("It is for all namespaces, so that none can be taken from it."),
			 errhint("Revoke it without namespaces, and grant those that are to stay.")));
}

bool
tc_access_revoke(Oid role, TcAccess access, char **namespaces, int n)
{
	const char *name = role_name(role);
	Datum		values[3];
	bool		changed = false;

	values[0] = CStringGetTextDatum(name);
	values[1] = CStringGetTextDatum(tc_access_name(access));
	lock_grants();
	if (namespaces != NULL)
	{
		refuse_if_unlimited(name, access, values);
		values[2] = tc_array_text((const char *const *) namespaces, n);
		changed = tc_plan_run(&plan_revoke_namespaces, values, NULL) > 0;
	}
	values[2] = BoolGetDatum(namespaces == NULL);
	changed = tc_plan_run(&plan_revoke, values, NULL) > 0 || changed;
	sync_privileges(name);
	return changed;
}

/* ---- the list ------------------------------------------------------------ */

static TcPlan plan_list = {
	.sql =
	"SELECT g.role_name, g.access, g.namespaces, g.granted_at, g.granted_by,"
	" EXISTS (SELECT FROM pg_catalog.pg_roles r, pg_catalog.pg_namespace s, pg_catalog.aclexplode(s.nspacl) a"
	"  WHERE r.rolname = g.role_name AND s.nspname = 'tasker' AND a.grantee = r.oid)"
	" FROM tasker.access_grants g ORDER BY g.role_name, g.access",
	.kind = TC_READ,
	.expect = SPI_OK_SELECT,
};

int
tc_access_list(TcGrantRow **rows)
{
	int			n = (int) tc_plan_run(&plan_list, NULL, NULL);

	*rows = palloc(sizeof(TcGrantRow) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		TcGrantRow *row = &(*rows)[i];

		row->role_name = tc_row_text(i, 1);
		row->access = tc_row_text(i, 2);
		row->namespaces = tc_row_copy(i, 3, &row->everywhere);
		row->granted_at = tc_row_timestamptz(i, 4);
		row->granted_by = tc_row_text(i, 5);
		row->effective = tc_row_bool(i, 6);
	}
	return n;
}
