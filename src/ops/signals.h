/*
 * signals.h
 *	  Signals to tasks, and the steps that wait for them.
 */
#ifndef TC_SIGNALS_H
#define TC_SIGNALS_H

#include "store/step_store.h"

/*
 * True when a step that waited took it, false when it is kept.  TC002, TC012;
 * 22023 where no step of the task's template waits for that name.
 */
extern bool tc_send_signal(int64 task_id, const char *name, const struct varlena *payload);

/*
 * Looks at a wait that is due: a signal may have been missed, or its time is over.
 * Takes only locks that are free; returns whether the wait ended.
 */
extern bool tc_settle_wait(TcStepKey key);

#endif							/* TC_SIGNALS_H */
