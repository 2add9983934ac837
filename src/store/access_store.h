/*
 * access_store.h
 *	  Who has been granted what, and what the caller of this bracket may touch.
 *
 * tc_session_begin() checks every call here, against the role that called, before
 * anything else happens.  Superusers, the owner of the tables and members of that
 * role are admins.  What is known of a role is kept until a grant, a membership, a
 * role or a namespace changes.
 *
 * A call is limited when none of the grants that allow it is for all namespaces.
 * Functions that are TC_NAMESPACES_BY_FUNCTION ask here for each namespace or task
 * that they come across; all of them answer at once when the call is not limited.
 */
#ifndef TC_ACCESS_STORE_H
#define TC_ACCESS_STORE_H

#include "fmgr.h"
#include "utils/timestamp.h"

#include "domain/access.h"

typedef struct TcRights TcRights;

/* What a call may touch: rights of the caller, as far as they allow this function. */
typedef struct TcScope
{
	TcRights   *rights;
	TcAccessSet accesses;
	bool		limited;
} TcScope;

/* Registers the callbacks that notice changes of roles. */
extern void tc_access_init(void);

/*
 * Refuses the call (42501) unless the caller may make it, and the task or step of
 * its first argument as unknown unless it is in one of his namespaces.  Inside the
 * bracket.  Without fcinfo, or for a function without an entry, only admins pass.
 */
extern void tc_access_check(FunctionCallInfo fcinfo, Oid caller, Oid owner);

/* The same for a function that nobody called, one that takes no task or step first. */
extern void tc_access_check_named(const char *function_name, Oid caller, Oid owner);

/* Would a role pass, in one namespace at least? */
extern bool tc_access_may_call(Oid role, const char *function_name);

/* ---- for TC_NAMESPACES_BY_FUNCTION, inside the bracket ------------------- */

extern bool tc_scope_is_limited(void);
extern bool tc_scope_has_namespace(const char *namespace_name);
extern bool tc_scope_has_task(int64 task_id);

/* Sets *own for each task of these; of none that does not exist. */
extern void tc_scope_has_tasks(const int64 *task_ids, int n, bool *own);

/* Refuses a namespace that the caller named (42501, whether it exists or not). */
extern void tc_scope_require_namespace(const char *namespace_name);

/* Refuses a call that would look at all namespaces (42501); the hint says how to ask instead. */
extern void tc_scope_require_all(const char *hint);

/* May a role, by name, do what any of these accesses allows in a namespace?  Not one that does not exist. */
extern bool tc_role_has_namespace(const char *role_name, TcAccessSet accesses, const char *namespace_name);

/* Their ids, in the caller's context, as far as they exist; -1 when the call is not limited. */
extern int	tc_scope_namespace_ids(int32 **ids);

/* The caller's namespaces as text[]; NULL when the call is not limited. */
extern Datum tc_scope_namespaces(char *isnull);

/* ---- grants: called by admins -------------------------------------------- */

/*
 * Adds to what the role has (no namespaces: all of them), or takes from it (none: the
 * whole access).  What is taken has to be there in that form: true when something
 * changed.  The privileges on schema, functions and views follow.
 */
extern bool tc_access_grant(Oid role, TcAccess access, char **namespaces, int n);
extern bool tc_access_revoke(Oid role, TcAccess access, char **namespaces, int n);

typedef struct TcGrantRow
{
	const char *role_name;
	const char *access;
	Datum		namespaces;		/* text[] */
	bool		everywhere;		/* not limited to namespaces */
	bool		effective;		/* the role exists and holds its privileges */
	TimestampTz granted_at;
	const char *granted_by;
} TcGrantRow;

extern int	tc_access_list(TcGrantRow **rows);

#endif							/* TC_ACCESS_STORE_H */
