/*
 * attempts_table.h
 *	  Attempts that ended enter their history, tasker.step_attempts.
 */
#ifndef TC_ATTEMPTS_TABLE_H
#define TC_ATTEMPTS_TABLE_H

#include "store/step_store.h"

/* Claims that ended with results. */
extern void tc_attempts_add_completed(const TcQueueRow *rows, const struct varlena *const *results, int n);

/* A claim that ended with a failure, or whose lease did. */
extern void tc_attempts_add_failed(const TcQueueRow *row, const TcFailure *failure);

#endif							/* TC_ATTEMPTS_TABLE_H */
