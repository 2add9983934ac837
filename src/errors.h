/*
 * errors.h
 *	  The SQLSTATEs a client branches on, and one raiser per failure so that
 *	  the wording of each lives in one place.
 *
 * Standard codes are used where drivers already act on them (22004, 22008,
 * 22023, 42501, 54000, ...).  Class TC is free: SQL reserves 0-4 and A-H.  A
 * code is never reused.
 */
#ifndef TC_ERRORS_H
#define TC_ERRORS_H

#include "tasker_core.h"

#define TC_ERRCODE_TEMPLATE_NOT_FOUND	MAKE_SQLSTATE('T','C','0','0','1')
#define TC_ERRCODE_TASK_NOT_FOUND		MAKE_SQLSTATE('T','C','0','0','2')
#define TC_ERRCODE_STEP_NOT_FOUND		MAKE_SQLSTATE('T','C','0','0','3')
#define TC_ERRCODE_ILLEGAL_TRANSITION	MAKE_SQLSTATE('T','C','0','1','0')
#define TC_ERRCODE_LEASE_LOST			MAKE_SQLSTATE('T','C','0','1','1')
#define TC_ERRCODE_TASK_NOT_ACTIVE		MAKE_SQLSTATE('T','C','0','1','2')
#define TC_ERRCODE_INVALID_TEMPLATE		MAKE_SQLSTATE('T','C','0','2','0')
#define TC_ERRCODE_TEMPLATE_CONFLICT	MAKE_SQLSTATE('T','C','0','2','1')
#define TC_ERRCODE_SCHEMA_MISMATCH		MAKE_SQLSTATE('T','C','0','2','2')
#define TC_ERRCODE_LIMIT_EXCEEDED		MAKE_SQLSTATE('T','C','0','2','3')
#define TC_ERRCODE_EVENTS_DROPPED		MAKE_SQLSTATE('T','C','0','2','4')
#define TC_ERRCODE_VERSION_MISMATCH		MAKE_SQLSTATE('T','C','0','9','0')

extern void tc_raise_template_not_found(const char *namespace_name, const char *name,
										const char *version) pg_attribute_noreturn();
extern void tc_raise_template_retired(const char *namespace_name, const char *name,
									  const char *version) pg_attribute_noreturn();
extern void tc_raise_task_not_found(int64 task_id) pg_attribute_noreturn();
extern void tc_raise_step_not_found(int64 workflow_step_id) pg_attribute_noreturn();
extern void tc_raise_lease_lost(int64 workflow_step_id) pg_attribute_noreturn();
extern void tc_raise_task_not_active(int64 task_id, TcTaskState state,
									 const char *wanted) pg_attribute_noreturn();
extern void tc_raise_illegal_task_move(int64 task_id, TcTaskState from,
									   TcTaskState to) pg_attribute_noreturn();
extern void tc_raise_illegal_step_move(int64 workflow_step_id, TcStepState from,
									   TcStepState to) pg_attribute_noreturn();
extern void tc_raise_limit(const char *what, int64 value, int64 limit,
						   const char *hint) pg_attribute_noreturn();
extern void tc_raise_corrupt_state(const char *table_name, int64 id,
								   const char *what) pg_attribute_noreturn();

#endif							/* TC_ERRORS_H */
