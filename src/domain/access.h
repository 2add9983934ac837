/*
 * access.h
 *	  Who may call which function: the accesses, and the one table that says it.
 *
 * A new SQL function needs a line in that table (access.c); until it has one
 * only admins can call it, and the regression test "access" names it.
 */
#ifndef TC_ACCESS_H
#define TC_ACCESS_H

#include "tasker_core.h"

/* The accesses that tasker.grant_access() gives. */
#define TC_ACCESSES(X) \
	X(PRODUCER, "producer") \
	X(WORKER, "worker") \
	X(READER, "reader") \
	X(OPERATOR, "operator") \
	X(ADMIN, "admin")

typedef enum TcAccess
{
#define X(id, name) TC_ACCESS_##id,
	TC_ACCESSES(X)
#undef X
	TC_ACCESS_COUNT
} TcAccess;

/* A set of them: 1 << access. */
typedef uint32 TcAccessSet;

#define TC_EVERY_ACCESS ((TcAccessSet) ((1 << TC_ACCESS_COUNT) - 1))

/* What a grant that is limited to namespaces means for a function. */
typedef enum TcNamespaceRule
{
	TC_NAMESPACES_NONE,			/* nothing: no namespace is touched */
	TC_NAMESPACES_BY_TASK,		/* its first argument is a task_id: a task elsewhere is unknown, TC002 */
	TC_NAMESPACES_BY_STEP,		/* its first argument is a workflow_step_id: likewise, TC003 */
	TC_NAMESPACES_BY_FUNCTION,	/* the function asks for each namespace that it comes across */
	TC_NAMESPACES_ALL,			/* it looks at all of them: only grants without a limit count */
	TC_NAMESPACES_RULE_COUNT
} TcNamespaceRule;

typedef struct TcFunctionAccess
{
	const char *function_name;	/* in schema tasker, all that have this name */
	TcAccessSet accesses;		/* any one of them is enough; admin is always among them */
	TcNamespaceRule rule;
} TcFunctionAccess;

/* The table, for those who go through it. */
extern const TcFunctionAccess *tc_access_functions(int *n);

/* The entry of a function, NULL when it has none. */
extern const TcFunctionAccess *tc_access_of_function(const char *function_name);

/*
 * The views and tables that readers (operators and admins too) may select from.  Views
 * show a reader his namespaces; a table shows everything, so that it takes a grant
 * without a limit.
 */
typedef struct TcReadableRelation
{
	const char *relation_name;
	bool		by_namespace;
} TcReadableRelation;

#define TC_READING_ACCESSES ((TcAccessSet) (1 << TC_ACCESS_READER | 1 << TC_ACCESS_OPERATOR | 1 << TC_ACCESS_ADMIN))

extern const TcReadableRelation *tc_access_readable(int *n);

extern const char *tc_access_name(TcAccess access);
extern bool tc_access_parse(const char *name, TcAccess *access);
extern const char *tc_namespace_rule_name(TcNamespaceRule rule);

/* "producer, worker or admin"; cut off where it does not fit. */
extern const char *tc_access_names(TcAccessSet accesses, char *buf, size_t size);

#endif							/* TC_ACCESS_H */
