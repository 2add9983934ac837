/*
 * access.h
 *	  Granting access, and taking it back.
 */
#ifndef TC_OPS_ACCESS_H
#define TC_OPS_ACCESS_H

#include "store/access_store.h"

typedef struct TcAccessChange
{
	Oid			role;
	TcAccess	access;
	char	  **namespaces;		/* NULL = all of them */
	int			nnamespaces;
} TcAccessChange;

/* Both return whether anything changed; privileges are brought in line in any case. */
extern bool tc_grant_access(const TcAccessChange *change);
extern bool tc_revoke_access(const TcAccessChange *change);

#endif							/* TC_OPS_ACCESS_H */
