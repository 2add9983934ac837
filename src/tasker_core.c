/*
 * tasker_core.c
 *	  The module: magic block and initialisation.
 *
 * Works without shared_preload_libraries: a backend loads the library with its
 * first call, and all there is not is the background worker, and what sessions tell
 * each other in shared memory.
 */
#include "postgres.h"

#include "fmgr.h"

#include "compat.h"
#include "events/events.h"
#include "guc.h"
#include "store/store_init.h"
#include "tasker_core.h"
#include "worker/worker.h"

TC_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	tc_guc_init();
	tc_plans_init();
	tc_marks_init();
	tc_session_init();
	tc_events_init();
	tc_worker_init();
}
