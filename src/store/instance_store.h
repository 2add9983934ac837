/*
 * instance_store.h
 *	  Instances of maps: steps made at run time, and what each runs for.
 */
#ifndef TC_INSTANCE_STORE_H
#define TC_INSTANCE_STORE_H

#include "domain/instances.h"
#include "store/step_store.h"

/*
 * SQL, for a step_no of a task whose template has the row n in named_tasks: the
 * number of the named step behind it, itself or its map's; and with the row s of that
 * the name of the step.
 */
#define TC_NAMED_STEP_NO(n, step_no) \
	"coalesce(" n ".map_steps[(" step_no " + " n ".map_room - " n ".step_count - 1) / " n ".map_room], " step_no ")"

#define TC_INSTANCE_NUMBER(n, step_no) "((" step_no " - " n ".step_count - 1) % " n ".map_room + 1)"

#define TC_NAME_OF_STEP(n, s, step_no) \
	"CASE WHEN " step_no " <= " n ".step_count THEN " s ".name" \
	" WHEN " s ".step_type = 'batch_worker' THEN " s ".name || '_'" \
	"  || lpad(" TC_INSTANCE_NUMBER(n, step_no) "::text," \
	"   greatest(3, length(" TC_INSTANCE_NUMBER(n, step_no) "::text)), '0')" \
	" ELSE " s ".name || '[' || " TC_INSTANCE_NUMBER(n, step_no) " - 1 || ']' END"

/* One instance for each element of a JSON array, numbered from `first` on. */
extern void tc_instances_insert(int64 task_id, int32 first, int32 count, const struct varlena *items);

/* The same for the cursors of a batch; what its workers share is in `metadata`. */
extern void tc_instances_insert_batches(int64 task_id, int32 first, const struct varlena *cursors,
										const struct varlena *metadata);

/* How many instances each map of the template has in this task, by the order of the maps; in the caller's snapshot. */
extern void tc_instances_count(int64 task_id, const TcTemplate *template, int32 *counts);

/* The same of one map, in the newest version. */
extern int32 tc_instances_count_latest(int64 task_id, const TcTemplate *template, int32 node);

extern bool tc_instance_exists(TcStepKey key);

/* What each of these instances runs for: inputs[i]. */
extern void tc_instances_inputs(const TcStepKey *keys, int n, struct varlena **inputs);

/*
 * The results of a map's instances as a JSON array, null where there is none.
 * NULL where they are larger than max_bytes; *bytes is how large they are.
 */
extern struct varlena *tc_instances_results(int64 task_id, int32 first, int32 count,
											int64 max_bytes, int64 *bytes);

#endif							/* TC_INSTANCE_STORE_H */
