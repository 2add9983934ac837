/*
 * sql_role.h
 *	  The roles that SQL steps belong to, as seen from outside of their sessions.
 */
#ifndef TC_SQL_ROLE_H
#define TC_SQL_ROLE_H

#include "nodes/pg_list.h"

/* What the access of a role is looked at for. */
#define TC_RUN_SQL_STEPS "run_sql_steps"

/* Why the background worker may not run the SQL steps of a role. */
typedef enum TcSqlObstacle
{
	TC_SQL_NO_OBSTACLE,
	TC_SQL_NO_ROLE,
	TC_SQL_NO_LOGIN,
	TC_SQL_NO_CONNECT,			/* on this database */
	TC_SQL_NO_ACCESS,			/* to run_sql_steps() */
	TC_SQL_NOT_THE_OWNERS		/* the owner of our tables may not act as that role */
} TcSqlObstacle;

/*
 * In the bracket.  Whoever owns our tables can write into them whose a step is: so
 * nobody's steps run by themselves but those of roles that the owner may act as
 * anyway.  *oid is that of the role, or InvalidOid.
 */
extern TcSqlObstacle tc_sql_role_obstacle(const char *role, Oid *oid);

/* What is wrong, as the end of a sentence about the role; NULL = nothing. */
extern const char *tc_sql_obstacle_text(TcSqlObstacle obstacle);

/*
 * The roles (String) that have a SQL step which can be claimed now, by name, beginning
 * after one of them; one probe of the claim index for each lane of such steps.
 */
extern List *tc_sql_roles_due(const char *after);

#endif							/* TC_SQL_ROLE_H */
