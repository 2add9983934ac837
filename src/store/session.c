/*
 * session.c
 *	  The bracket around every call that touches the tables.
 *
 * The functions are SECURITY INVOKER: EXECUTE on them is the caller's right,
 * the tables belong to the owner alone.  Inside the bracket the current user is
 * that owner, with SECURITY_LOCAL_USERID_CHANGE so that SET ROLE cannot leak
 * out, and search_path holds pg_catalog, so that no name or operator resolves to
 * something the caller planted.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "store/plans.h"
#include "store/session.h"
#include "store/settings_store.h"
#include "store/store_init.h"

#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

/*
 * One bracket.  A trigger that the owner put on a table may call us within it:
 * then the outer one is kept, and its end still gives back the caller's rights.
 */
typedef struct Session
{
	bool		open;
	int			nest_level;		/* of the subtransaction it began in */
	struct Session *outer;
	MemoryContext caller_context;
	MemoryContext outermost_context;	/* the caller context of the outermost bracket */
	Oid			caller;
	int			caller_sec_context;
	int			guc_level;		/* 0 = search_path was right already */
	TimestampTz now;
	const char *session_role;
	const char *acting_role;
	TcScope		scope;
} Session;

static Session session;

/*
 * What this backend knows of the installed extension.  Valid while
 * known_generation equals generation; relcache_changed() and a rollback of our
 * own additions move generation on.
 */
static uint64 generation = 1;
static uint64 known_generation = 0;
static Oid	templates_relid = InvalidOid;
static Oid	tables_owner = InvalidOid;
static int32 shard_count = 1;

/* This transaction added what caches hold: a rollback makes them stale. */
static bool added_in_transaction = false;

/* In memory that outlives what an error frees before its bracket is closed. */
static void
open_bracket(void)
{
	Session    *outer = NULL;

	if (session.open)
	{
		outer = MemoryContextAlloc(TopTransactionContext, sizeof(Session));
		*outer = session;
	}
	memset(&session, 0, sizeof(session));
	session.open = true;
	session.nest_level = GetCurrentTransactionNestLevel();
	session.outer = outer;
	session.caller_context = CurrentMemoryContext;
	session.outermost_context = outer ? outer->outermost_context : CurrentMemoryContext;
}

static void
close_bracket(void)
{
	Session    *outer = session.outer;

	session.open = false;
	if (outer != NULL)
	{
		session = *outer;
		pfree(outer);
	}
}

/* May only flag: it runs where catalogs cannot be read. */
static void
relcache_changed(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == templates_relid)
		generation++;
}

static void
transaction_ended(XactEvent event, void *arg)
{
	/* a prepared transaction may still be rolled back, by anyone */
	if ((event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE) && added_in_transaction)
		generation++;
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT || event == XACT_EVENT_PREPARE)
	{
		added_in_transaction = false;
		session.open = false;
	}
	tc_plans_reset();
}

static void
subtransaction_ended(SubXactEvent event, SubTransactionId my_subid,
					 SubTransactionId parent_subid, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB && added_in_transaction)
		generation++;
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (session.open && session.nest_level >= GetCurrentTransactionNestLevel())
		close_bracket();
	tc_plans_reset();
}

void
tc_session_init(void)
{
	CacheRegisterRelcacheCallback(relcache_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
	tc_access_init();
}

uint64
tc_cache_generation(void)
{
	return generation;
}

void
tc_cache_note_addition(void)
{
	added_in_transaction = true;
}

void
tc_cache_invalidate(void)
{
	tc_cache_note_addition();
	CacheInvalidateRelcacheByRelid(templates_relid);
}

static void
look_up_owner(void)
{
	HeapTuple	tuple;

	templates_relid = get_relname_relid("named_tasks", get_namespace_oid("tasker", false));
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(templates_relid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(TC_ERRCODE_VERSION_MISMATCH),
				 errmsg("table tasker.named_tasks does not exist"),
				 errdetail("The schema \"tasker\" is not the one that extension tasker_core made."),
				 errhint("Restore the extension with DROP EXTENSION tasker_core and CREATE EXTENSION tasker_core.")));
	tables_owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
}

static const char *
installed_version(void)
{
	Relation	extensions = table_open(ExtensionRelationId, AccessShareLock);
	const char *version = "none";
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("tasker_core"));
	scan = systable_beginscan(extensions, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(extensions), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(extensions, AccessShareLock);
	return version;
}

static void
check_version(void)
{
	const char *installed = installed_version();

	if (strcmp(installed, TC_VERSION) != 0)
		ereport(ERROR,
				(errcode(TC_ERRCODE_VERSION_MISMATCH),
				 errmsg("library and schema of tasker_core are of different versions"),
				 errdetail("The loaded library is version %s, the schema in this database is version %s.",
						   TC_VERSION, installed),
				 errhint("Run ALTER EXTENSION tasker_core UPDATE, or reconnect if the library was just upgraded.")));
}

/* Runs as the owner, inside SPI, whenever something may have changed. */
static void
refresh_knowledge(void)
{
	uint64		seen = generation;

	check_version();
	shard_count = tc_setting_read("shard_count", 1);
	known_generation = seen;
}

static void
become_owner(void)
{
	if (known_generation != generation || !OidIsValid(tables_owner))
		look_up_owner();
	GetUserIdAndSecContext(&session.caller, &session.caller_sec_context);
	SetUserIdAndSecContext(tables_owner,
						   session.caller_sec_context | SECURITY_LOCAL_USERID_CHANGE);
}

static void
pin_setting(const char *name, const char *value)
{
	if (session.guc_level == 0)
		session.guc_level = NewGUCNestLevel();
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

static void
pin_search_path(void)
{
	session.guc_level = 0;
	if (strcmp(namespace_search_path, SAFE_SEARCH_PATH) != 0)
		pin_setting("search_path", SAFE_SEARCH_PATH);
}

void
tc_session_pin_utc(void)
{
	pin_setting("timezone", "UTC");
}

void
tc_session_begin_unasked(void)
{
	open_bracket();
	session.now = GetCurrentTimestamp() + (TimestampTz) (tc_guc_clock_offset * USECS_PER_SEC);

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");

	/*
	 * The server looks for messages when it locks a table; a second call in a
	 * transaction has all its locks, and would miss lanes added meanwhile.  Before
	 * anything is taken from what we know: the owner may be another by now.
	 */
	AcceptInvalidationMessages();
	become_owner();
	pin_search_path();
	if (known_generation != generation)
		refresh_knowledge();
}

void
tc_session_begin(FunctionCallInfo fcinfo)
{
	tc_session_begin_unasked();
	tc_access_check(fcinfo, session.caller, tables_owner);
}

void
tc_session_begin_as_call(const char *function_name)
{
	tc_session_begin_unasked();
	tc_access_check_named(function_name, session.caller, tables_owner);
}

void
tc_session_end(void)
{
	if (session.guc_level != 0)
		AtEOXact_GUC(true, session.guc_level);
	SetUserIdAndSecContext(session.caller, session.caller_sec_context);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
	close_bracket();
}

MemoryContext
tc_session_caller_context(void)
{
	return session.caller_context;
}

MemoryContext
tc_session_outermost_context(void)
{
	return session.outermost_context;
}

TimestampTz
tc_session_now(void)
{
	return session.now;
}

/* It lives as long as the bracket, in whatever context it is asked for first. */
static const char *
role_name(Oid role)
{
	MemoryContext old = MemoryContextSwitchTo(session.caller_context);
	const char *name = GetUserNameFromId(role, false);

	MemoryContextSwitchTo(old);
	return name;
}

const char *
tc_session_role(void)
{
	if (session.session_role == NULL)
		session.session_role = role_name(GetSessionUserId());
	return session.session_role;
}

const char *
tc_session_acting_role(void)
{
	if (session.caller == GetSessionUserId())
		return NULL;
	if (session.acting_role == NULL)
		session.acting_role = role_name(session.caller);
	return session.acting_role;
}

TcScope *
tc_session_scope(void)
{
	return &session.scope;
}

Oid
tc_session_owner(void)
{
	return tables_owner;
}

Oid
tc_session_caller(void)
{
	return session.caller;
}

const char *
tc_session_caller_role(void)
{
	const char *acting = tc_session_acting_role();

	return acting ? acting : tc_session_role();
}

int32
tc_shard_count(void)
{
	return shard_count;
}

int32
tc_shard_key(int64 task_id)
{
	return (int32) (task_id % shard_count);
}
