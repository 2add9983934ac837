/*
 * flow.h
 *	  Limits on how many steps run at once, and on how often they start.
 */
#ifndef TC_FLOW_H
#define TC_FLOW_H

#include "store/claim_store.h"
#include "store/flow_store.h"

/*
 * Claims ended: what they held is free again.  The last locks that an operation takes,
 * all of them in one call.  Rows that are not claimed, or hold nothing, are passed over.
 */
extern void tc_flow_release(const TcQueueRow *rows, int n);

/* Lost claims of paused tasks hold their keys no more; waits for nobody. */
extern void tc_flow_let_go_lost(int32 shard_key, int max_rows);

/* The key that a step with limits waits for, or will come to; false where none of its like ever came to be claimed. */
extern bool tc_flow_key_of(TcStepKey step, const TcTemplate *template, TcFlowKey *key);

/* What the keys of steps are called; names[i] for keys[i], whose step has limits. */
extern void tc_flow_names(const TcStepKey *keys, const TcTemplate *const *templates, int n, TcFlowName *names);

#endif							/* TC_FLOW_H */
