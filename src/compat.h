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

/* 16 has one function for the owner of any object */
#if PG_VERSION_NUM >= 160000
#define tc_owns_database(database, role) object_ownercheck(DatabaseRelationId, database, role)
#else
#define tc_owns_database(database, role) pg_database_ownercheck(database, role)
#endif

/* 18 names the module and its version in the magic block */
#if PG_VERSION_NUM >= 180000
#define TC_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "tasker_core", .version = TC_VERSION)
#else
#define TC_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif							/* TC_COMPAT_H */
