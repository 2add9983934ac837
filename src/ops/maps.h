/*
 * maps.h
 *	  Steps that run once for each element of an array: they begin, their
 *	  instances enter the queue and end, and so do they.
 */
#ifndef TC_MAPS_H
#define TC_MAPS_H

#include "domain/instances.h"
#include "ops/start_step.h"
#include "store/step_store.h"

/*
 * The turn of a map has come; no instance is ready before `ready_at`.  Its phase is then TC_PHASE_MAP, with what its
 * instances are made of; or it has ended: with an empty array, or in error.
 */
extern TcStart tc_map_start(TcStarter *starter, int32 node, TimestampTz ready_at);

/* Counts in the row of a map that begins, or goes on. */
extern void tc_map_begin_row(TcQueueRow *row, const TcStep *step, const TcStart *start);

/* Makes the instances of a map that has such a row, and puts the first of them into the queue; returns how many. */
extern int32 tc_map_make_instances(const TcQueueRow *row, const TcTemplate *template, const TcStart *start);

/*
 * Puts up to n more instances into the queue, in order; writes what the row of the
 * map counts of them into it.  Returns how many there were.
 */
extern int32 tc_map_admit(TcQueueRow *row, const TcTemplate *template, int32 n);

/* All instances are satisfied: how the map ends. */
extern TcStart tc_map_end(TcStepKey key, const TcTemplate *template);

/* The row of an instance that enters the queue, as its map's row says. */
extern TcQueueRow tc_instance_row(const TcQueueRow *map, const TcTemplate *template, int32 step_no);

/* Has it ended so that its map does not wait for it any more? */
extern bool tc_instance_counts(TcStepState state, TcFailureRule rule);

/* The step, or the instance, is there. */
extern bool tc_step_exists(const TcTemplate *template, TcStepKey key);

/* Instances are not given the array that they are made of, but null: each would carry all of it. */
extern struct varlena *tc_map_without_items(const TcTemplate *template, const TcStep *step,
											const struct varlena *dependency_results);

#endif							/* TC_MAPS_H */
