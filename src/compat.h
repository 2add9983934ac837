/*
 * compat.h
 *	  The only file that knows PostgreSQL versions (15 to 18).
 */
#ifndef TC_COMPAT_H
#define TC_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "tasker_core needs PostgreSQL 15 or later"
#endif

/* 16 moved the varlena macros out of postgres.h */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* 16 has one function each for the owner of any object and for rights on it */
#if PG_VERSION_NUM >= 160000
#define tc_owns_database(database, role) object_ownercheck(DatabaseRelationId, database, role)
#define tc_may_execute(function, role) \
	(object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define tc_may_use_schema(schema, role) \
	(object_aclcheck(NamespaceRelationId, schema, role, ACL_USAGE) == ACLCHECK_OK)
#else
#define tc_owns_database(database, role) pg_database_ownercheck(database, role)
#define tc_may_execute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define tc_may_use_schema(schema, role) \
	(pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#endif

/* 18 names the module and its version in the magic block */
#if PG_VERSION_NUM >= 180000
#define TC_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "tasker_core", .version = TC_VERSION)
#else
#define TC_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif							/* TC_COMPAT_H */
