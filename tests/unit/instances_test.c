/*
 * instances_test.c
 *	  Numbers and names of steps that are made at run time.
 */
#include "postgres_fe.h"

#include "domain/instances.h"
#include "tap.h"

static TcStep steps[] = {
	{.name = "cut", .type = TC_TYPE_BATCHABLE},
	{.name = "each", .map_over = (struct varlena *) "", .on_failure = TC_ON_FAILURE_FAIL,
	.instance_failure = TC_ON_FAILURE_CONTINUE},
	{.name = "work", .type = TC_TYPE_BATCH_WORKER},
	{.name = "end"},
};

static TcTemplate
build(int nsteps)
{
	TcEdge		edges[] = {{0, 2}, {1, 2}, {2, 3}};
	TcTemplate	template = {.nsteps = nsteps, .steps = steps};

	tc_dag_build(&template.dag, nsteps, edges, nsteps == 4 ? 3 : 0);
	tc_template_find_maps(&template);
	return template;
}

static void
discard(TcTemplate *template)
{
	pfree(template->dag.parent_start);
	pfree(template->dag.parents);
	pfree(template->dag.child_start);
	pfree(template->dag.children);
	if (template->map_nodes != NULL)
		pfree(template->map_nodes);
}

static void
test_numbers(void)
{
	TcTemplate	template = build(4);

	tap_is_int(template.nmaps, 2, "a map and a batch worker have instances");
	tap_is_int(template.map_room, TC_MAX_MAP_WIDTH, "there is room for the widest of maps");
	tap_is_int(tc_map_first(&template, 1), 5, "the first map's numbers follow the template's");
	tap_is_int(tc_map_first(&template, 2), 100005, "those of the second follow the room of the first");
	tap_is_int(template.steps[2].batchable, 0, "a batch worker knows what names its batches");
	tap_is_int(tc_node_of(&template, 4), 3, "a step of the template is its own node");
	tap_is_int(tc_node_of(&template, 5), 1, "an instance is of its map: the first");
	tap_is_int(tc_node_of(&template, 100004), 1, "the last of the first map");
	tap_is_int(tc_node_of(&template, 100005), 2, "the first of the second");
	tap_is_int(tc_node_of(&template, 200004), 2, "the last of the second");
	tap_is_int(tc_node_of(&template, 200005), -1, "beyond is no step");
	tap_is_int(tc_node_of(&template, 0), -1, "nor is zero");
	tap_is_int(tc_instance_index(&template, 5), 0, "places count from zero");
	tap_is_int(tc_instance_index(&template, 200004), 99999, "to one less than the room");
	tap_is_int(tc_failure_rule_of(&template, 2), TC_ON_FAILURE_FAIL, "the rule of a map");
	tap_is_int(tc_failure_rule_of(&template, 7), TC_ON_FAILURE_CONTINUE, "is not that of its instances");
	discard(&template);
}

static void
test_names(void)
{
	TcTemplate	template = build(4);
	char		buffer[TC_STEP_NAME_BYTES];

	tap_is_text(tc_step_display_name(&template, 4, buffer), "end", "the name of a step");
	tap_is_text(tc_step_display_name(&template, 5, buffer), "each[0]", "of an instance of a map");
	tap_is_text(tc_step_display_name(&template, 100004, buffer), "each[99999]", "of the last");
	tap_is_text(tc_step_display_name(&template, 100005, buffer), "work_001", "of a batch");
	tap_is_text(tc_step_display_name(&template, 101004, buffer), "work_1000", "of a thousandth");
	discard(&template);
}

static void
test_room(void)
{
	TcTemplate	none = build(1);
	TcTemplate	many = {.nsteps = 500};
	bool		told_apart = true;

	tap_is_int(none.nmaps, 0, "most templates have no map");
	tap_is_int(tc_node_of(&none, 2), -1, "and no instance");
	many.steps = palloc0(sizeof(TcStep) * many.nsteps);
	for (int i = 0; i < many.nsteps; i++)
		many.steps[i].map_over = (struct varlena *) "";
	tc_dag_build(&many.dag, many.nsteps, NULL, 0);
	tc_template_find_maps(&many);
	tap_is_int(many.map_room, 1998, "many maps share the numbers there are");
	for (int32 node = 0; node < many.nsteps; node++)
	{
		int32		first = tc_map_first(&many, node);

		told_apart = told_apart && tc_node_of(&many, first) == node &&
			tc_node_of(&many, first + many.map_room - 1) == node && first + many.map_room - 1 <= TC_MAX_STEP_NO;
	}
	tap_ok(told_apart, "each number tells its map");
	discard(&none);
	discard(&many);
	pfree(many.steps);
}

int
main(void)
{
	test_numbers();
	test_names();
	test_room();
	return tap_done();
}
