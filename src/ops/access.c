/*
 * access.c
 *	  Granting access, and taking it back.
 *
 * Namespaces are names, and need not exist yet: a tenant's role can be made before
 * its first template is registered.
 */
#include "postgres.h"

#include "compat.h"
#include "domain/template.h"
#include "ops/access.h"
#include "store/template_reader.h"

static void
refuse_namespaces(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid namespaces"),
			 errdetail("%s", what),
			 errhint("List the names of namespaces, or leave the argument out for all of them.")));
}

static void
check_namespaces(const TcAccessChange *change)
{
	if (change->namespaces == NULL)
		return;
	if (change->nnamespaces == 0)
		refuse_namespaces("The list is empty: a grant for no namespace allows nothing.");
	for (int i = 0; i < change->nnamespaces; i++)
	{
		const char *name = change->namespaces[i];
		const char *problem = tc_name_problem(name, strlen(name), TC_NAME_MAX_CHARS, '/');

		if (problem != NULL)
			refuse_namespaces(psprintf("\"%s\" cannot be the name of a namespace: it %s.", name, problem));
	}
}

bool
tc_grant_access(const TcAccessChange *change)
{
	check_namespaces(change);
	return tc_access_grant(change->role, change->access, change->namespaces, change->nnamespaces);
}

bool
tc_revoke_access(const TcAccessChange *change)
{
	check_namespaces(change);
	return tc_access_revoke(change->role, change->access, change->namespaces, change->nnamespaces);
}
