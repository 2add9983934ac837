/*
 * session.h
 *	  The bracket around every call that touches the tables.
 *
 * tc_session_begin(): checks that the loaded library and the installed
 * extension are of one version (TC090), connects SPI, pins search_path to
 * pg_catalog, goes on as the owner of the tables, and refuses callers who have no
 * access to the function (access_store.h).  tc_session_end() undoes all of it.
 * After an error the transaction machinery does.
 *
 * Who called is remembered before the switch; history records it.
 */
#ifndef TC_SESSION_H
#define TC_SESSION_H

#include "fmgr.h"
#include "utils/timestamp.h"

#include "store/access_store.h"

/* "no time" wherever a TimestampTz may be absent; no time of ours is infinite */
#define TC_NO_TIME DT_NOBEGIN

extern void tc_session_begin(FunctionCallInfo fcinfo);
extern void tc_session_end(void);

/* For the background worker, whose work nobody asked for: all of it is allowed. */
extern void tc_session_begin_unasked(void);

/* For what the background worker does as a role: refused as that role's call of the function would be. */
extern void tc_session_begin_as_call(const char *function_name);

/* What the caller may touch; filled by tc_access_check(). */
extern TcScope *tc_session_scope(void);

/* Times in JSON made or read by SQL are in UTC from here to the end of the bracket. */
extern void tc_session_pin_utc(void);

/* The context that outlives the bracket: what the caller hands back belongs here. */
extern MemoryContext tc_session_caller_context(void);

/* One that outlives the brackets around this one too: for what they may still use. */
extern MemoryContext tc_session_outermost_context(void);

/* The role that logged in, and the one it acts as (NULL when it is the same). */
extern const char *tc_session_role(void);
extern const char *tc_session_acting_role(void);

/* Whose the tables are. */
extern Oid	tc_session_owner(void);

/* The one whose rights count. */
extern Oid	tc_session_caller(void);
extern const char *tc_session_caller_role(void);

/*
 * The time of this call: read once per bracket from the clock, not the
 * transaction's start, so that leases and readiness mean what they say in a
 * long transaction.
 */
extern TimestampTz tc_session_now(void);

/* The shard a task lives in, and how many shards there are (fixed per database). */
extern int32 tc_shard_key(int64 task_id);
extern int32 tc_shard_count(void);

/*
 * Registers a relcache callback: counts up whenever templates or lanes were
 * added by anyone, a transaction of this backend that added something rolled
 * back, or the extension was dropped.  Caches built under an older generation
 * are stale.
 */
extern uint64 tc_cache_generation(void);

/* This transaction wrote what this backend caches: a rollback moves the generation on. */
extern void tc_cache_note_addition(void);

/* Besides, tells every backend at commit that templates or lanes were added. */
extern void tc_cache_invalidate(void);

#endif							/* TC_SESSION_H */
