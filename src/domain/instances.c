/*
 * instances.c
 *	  Steps that are made at run time, and their numbers (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/instances.h"

/* The parent that names the batches of a batch worker. */
static int32
batchable_of(const TcTemplate *template, int32 node)
{
	const TcDag *dag = &template->dag;

	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
	{
		if (template->steps[dag->parents[p]].type == TC_TYPE_BATCHABLE)
			return dag->parents[p];
	}
	return -1;
}

void
tc_template_find_maps(TcTemplate *template)
{
	template->nmaps = 0;
	for (int32 node = 0; node < template->nsteps; node++)
		template->nmaps += tc_step_is_map(&template->steps[node]) ? 1 : 0;
	template->map_room = 1;
	template->map_nodes = NULL;
	if (template->nmaps == 0)
		return;
	template->map_room = Min(TC_MAX_MAP_WIDTH, (TC_MAX_STEP_NO - template->nsteps) / template->nmaps);
	template->map_nodes = palloc(sizeof(int32) * template->nmaps);
	for (int32 node = 0, map = 0; node < template->nsteps; node++)
	{
		if (!tc_step_is_map(&template->steps[node]))
			continue;
		template->map_nodes[map++] = node;
		if (template->steps[node].type == TC_TYPE_BATCH_WORKER)
			template->steps[node].batchable = batchable_of(template, node);
	}
}

int32
tc_map_first(const TcTemplate *template, int32 node)
{
	int32		low = 0;
	int32		high = template->nmaps;

	Assert(tc_step_is_map(&template->steps[node]));
	while (high - low > 1)
	{
		int32		middle = (low + high) / 2;

		if (template->map_nodes[middle] <= node)
			low = middle;
		else
			high = middle;
	}
	return template->nsteps + 1 + low * template->map_room;
}

const char *
tc_step_display_name(const TcTemplate *template, int32 step_no, char buffer[TC_STEP_NAME_BYTES])
{
	const TcStep *step = tc_step_of(template, step_no);
	int32		index;

	if (!tc_is_instance(template, step_no))
		return step->name;
	index = tc_instance_index(template, step_no);
	if (step->type == TC_TYPE_BATCH_WORKER)
		snprintf(buffer, TC_STEP_NAME_BYTES, "%s_%03d", step->name, index + 1);
	else
		snprintf(buffer, TC_STEP_NAME_BYTES, "%s[%d]", step->name, index);
	return buffer;
}
