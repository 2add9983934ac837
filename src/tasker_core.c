/*
 * tasker_core.c
 *	  The module: magic block and initialisation.
 *
 * Works without shared_preload_libraries: a backend loads the library with its
 * first call.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "guc.h"
#include "store/store_init.h"
#include "tasker_core.h"

TC_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	tc_guc_init();
	tc_plans_init();
	tc_session_init();
}
