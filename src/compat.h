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
#define tc_may_connect(database, role) \
	(object_aclcheck(DatabaseRelationId, database, role, ACL_CONNECT) == ACLCHECK_OK)
#else
#define tc_owns_database(database, role) pg_database_ownercheck(database, role)
#define tc_may_execute(function, role) \
	(pg_proc_aclcheck(function, role, ACL_EXECUTE) == ACLCHECK_OK)
#define tc_may_use_schema(schema, role) \
	(pg_namespace_aclcheck(schema, role, ACL_USAGE) == ACLCHECK_OK)
#define tc_may_connect(database, role) \
	(pg_database_aclcheck(database, role, ACL_CONNECT) == ACLCHECK_OK)
#endif

/* 16 tells apart what membership in a role allows */
#if PG_VERSION_NUM >= 160000
#define tc_may_set_role(member, role) member_can_set_role(member, role)
#else
#define tc_may_set_role(member, role) is_member_of_role(member, role)
#endif

/* 16 has indexes that only summarize, which need not know of every update */
#if PG_VERSION_NUM >= 160000
#define TcUpdateIndexes TU_UpdateIndexes
#define tc_updates_indexes(which) ((which) != TU_None)
#define tc_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#define tc_insert_index_tuples_unless(target, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters, false)
#define tc_update_index_tuples(target, slot, estate, which) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL, (which) == TU_Summarizing)
#else
#define TcUpdateIndexes bool
#define tc_updates_indexes(which) (which)
#define tc_insert_index_tuples(target, slot, estate) \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#define tc_insert_index_tuples_unless(target, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples(target, slot, estate, false, true, conflict, arbiters)
#define tc_update_index_tuples(target, slot, estate, which) \
	ExecInsertIndexTuples(target, slot, estate, true, false, NULL, NIL)
#endif

/* 18 looks for conflicts with another row than the one that is updated, too */
#if PG_VERSION_NUM >= 180000
#define tc_check_index_constraints(target, slot, estate, conflict, arbiters) \
	ExecCheckIndexConstraints(target, slot, estate, conflict, NULL, arbiters)
#else
#define tc_check_index_constraints(target, slot, estate, conflict, arbiters) \
	ExecCheckIndexConstraints(target, slot, estate, conflict, arbiters)
#endif

/* 18 counts what a scan of an index does */
#if PG_VERSION_NUM >= 180000
#define tc_index_beginscan(relation, index, snapshot, nkeys) \
	index_beginscan(relation, index, snapshot, NULL, nkeys, 0)
#else
#define tc_index_beginscan(relation, index, snapshot, nkeys) \
	index_beginscan(relation, index, snapshot, nkeys, 0)
#endif

/* 18 names the module and its version in the magic block */
#if PG_VERSION_NUM >= 180000
#define TC_MODULE_MAGIC PG_MODULE_MAGIC_EXT(.name = "tasker_core", .version = TC_VERSION)
#else
#define TC_MODULE_MAGIC PG_MODULE_MAGIC
#endif

#endif							/* TC_COMPAT_H */
