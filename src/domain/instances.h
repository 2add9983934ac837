/*
 * instances.h
 *	  Steps that are made at run time, and their numbers (pure C).
 *
 * A map runs once for each element of an array; each time is an instance, a step
 * of its own, with a number after those of the template.
 */
#ifndef TC_INSTANCES_H
#define TC_INSTANCES_H

#include "domain/template.h"

/* Finds the maps, and what names their batches; the steps are numbered, and the dag is built. */
extern void tc_template_find_maps(TcTemplate *template);

static inline bool
tc_is_instance(const TcTemplate *template, int32 step_no)
{
	return step_no > template->nsteps;
}

/* The node of a step, and for an instance that of its map; -1 = no step has that number. */
static inline int32
tc_node_of(const TcTemplate *template, int32 step_no)
{
	int32		map;

	if (step_no <= template->nsteps)
		return step_no < 1 ? -1 : step_no - 1;
	map = (step_no - template->nsteps - 1) / template->map_room;
	return map < template->nmaps ? template->map_nodes[map] : -1;
}

/* What the template says of a step or an instance, which has to be one. */
static inline const TcStep *
tc_step_of(const TcTemplate *template, int32 step_no)
{
	return &template->steps[tc_node_of(template, step_no)];
}

/* The place of an instance in its map, from 0. */
static inline int32
tc_instance_index(const TcTemplate *template, int32 step_no)
{
	return (step_no - template->nsteps - 1) % template->map_room;
}

/* The number of the first instance that a map has. */
extern int32 tc_map_first(const TcTemplate *template, int32 node);

/* What the final failure of a step or an instance means. */
static inline TcFailureRule
tc_failure_rule_of(const TcTemplate *template, int32 step_no)
{
	const TcStep *step = tc_step_of(template, step_no);

	return tc_is_instance(template, step_no) ? step->instance_failure : step->on_failure;
}

/* Room for the name of any step or instance, in bytes: at most 4 a character, and a number. */
#define TC_STEP_NAME_BYTES (TC_NAME_MAX_CHARS * 4 + 16)

/* The name of a step or an instance: STEP, STEP[0], or WORKER_001 of a batch. */
extern const char *tc_step_display_name(const TcTemplate *template, int32 step_no,
										char buffer[TC_STEP_NAME_BYTES]);

#endif							/* TC_INSTANCES_H */
