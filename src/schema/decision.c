/*
 * decision.c
 *	  The results of decisions: which branches to take.
 *
 *		{"branches": ["a", "b"]}
 *		{"decision_point_outcome": {"type": "create_steps", "step_names": ["a", "b"]}}
 *		{"decision_point_outcome": {"type": "no_branches"}}
 */
#include "postgres.h"

#include "miscadmin.h"

#include "compat.h"
#include "schema/decision.h"
#include "schema/json_value.h"

static const char branches_path[] = "$.branches";
static const char outcome_path[] = "$.decision_point_outcome";
static const char type_path[] = "$.decision_point_outcome.type";
static const char names_path[] = "$.decision_point_outcome.step_names";

static bool
member(JsonbContainer *object, const char *key, JsonbValue *value)
{
	return tc_json_member(object, key, strlen(key), value);
}

/* The step of that name, -1 = none. */
static int32
find_step(const TcTemplate *template, const JsonbValue *name)
{
	for (int32 node = 0; node < template->nsteps; node++)
	{
		if (tc_json_is_string(name, template->steps[node].name))
			return node;
	}
	return -1;
}

/* Which steps lead to one of the named ones; they stand in topological order. */
static void
spread_up(const TcDag *dag, int32 from, bool *wanted)
{
	for (int32 node = dag->n - 1; node > from; node--)
	{
		CHECK_FOR_INTERRUPTS();
		for (int p = dag->parent_start[node]; wanted[node] && p < dag->parent_start[node + 1]; p++)
			wanted[dag->parents[p]] = true;
	}
}

static bool
is_child(const TcDag *dag, int32 parent, int32 step)
{
	for (int p = dag->parent_start[step]; p < dag->parent_start[step + 1]; p++)
	{
		if (dag->parents[p] == parent)
			return true;
	}
	return false;
}

/* A branch that is named is taken; any other step stands for the branches that lead to it. */
static const char *
read_name(const TcTemplate *template, int32 node, const int32 *below, const JsonbValue *name,
		  bool *taken, bool *wanted)
{
	int32		step;

	if (name->type != jbvString)
		return psprintf("must hold names of steps, not %s", tc_json_describe(name));
	step = find_step(template, name);
	if (step < 0)
		return psprintf("names step %s, which the template does not have", tc_json_describe(name));
	if (below[step] == 0)
		return psprintf("names step %s, which does not come after the decision", tc_json_describe(name));
	if (is_child(&template->dag, node, step))
		taken[tc_dag_child_position(&template->dag, node, step)] = true;
	else
		wanted[step] = true;
	return NULL;
}

/* Nonzero for every step that comes after the decision. */
static int32 *
steps_below(const TcDag *dag, int32 node)
{
	int32	   *below = palloc0(sizeof(int32) * dag->n);

	for (int32 from = node; from < dag->n; from++)
	{
		if (from != node && below[from] == 0)
			continue;
		for (int c = dag->child_start[from]; c < dag->child_start[from + 1]; c++)
			below[dag->children[c]] = 1;
	}
	return below;
}

static const char *
read_names(const TcTemplate *template, int32 node, const JsonbValue *names, bool *taken)
{
	const TcDag *dag = &template->dag;
	JsonbContainer *array = tc_json_array(names);
	int32	   *below = steps_below(dag, node);
	bool	   *wanted = palloc0(sizeof(bool) * dag->n);
	const char *wrong = NULL;
	TcJsonCursor cursor;

	if (array == NULL)
		return psprintf("must be an array of step names, not %s", tc_json_describe(names));
	tc_json_begin(&cursor, array);
	while (wrong == NULL && tc_json_next(&cursor))
		wrong = read_name(template, node, below, &cursor.value, taken, wanted);
	tc_json_end(&cursor);
	spread_up(dag, node, wanted);
	for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
		taken[c - dag->child_start[node]] |= wanted[dag->children[c]];
	return wrong;
}

static const char *
read_outcome(const TcTemplate *template, int32 node, const JsonbValue *outcome, bool *taken,
			 const char **path)
{
	JsonbContainer *object = tc_json_object(outcome);
	JsonbValue	type;
	JsonbValue	names;

	if (object == NULL)
		return psprintf("must be an object, not %s", tc_json_describe(outcome));
	*path = type_path;
	if (!member(object, "type", &type))
		return "is missing: \"create_steps\" or \"no_branches\"";
	if (tc_json_is_string(&type, "no_branches"))
		return NULL;
	if (!tc_json_is_string(&type, "create_steps"))
		return psprintf("must be \"create_steps\" or \"no_branches\", not %s", tc_json_describe(&type));
	*path = names_path;
	if (!member(object, "step_names", &names))
		return "is missing";
	if (tc_json_array(&names) != NULL && JsonContainerSize(tc_json_array(&names)) == 0)
		return "names no step: the type for that is \"no_branches\"";
	return read_names(template, node, &names, taken);
}

const char *
tc_decision_read(const TcTemplate *template, int32 node, const struct varlena *results,
				 bool *taken, const char **path)
{
	JsonbValue	root = tc_json_root(results);
	JsonbContainer *object = tc_json_object(&root);
	JsonbValue	value;
	bool		plain;

	memset(taken, false, sizeof(bool) * tc_dag_child_count(&template->dag, node));
	*path = "$";
	if (object == NULL)
		return psprintf("must be an object that names the branches to take, not %s",
						tc_json_describe(&root));
	plain = member(object, "branches", &value);
	if (plain && member(object, "decision_point_outcome", &value))
		return "has both branches and decision_point_outcome";
	if (plain && member(object, "branches", &value))
	{
		*path = branches_path;
		return read_names(template, node, &value, taken);
	}
	*path = outcome_path;
	if (member(object, "decision_point_outcome", &value))
		return read_outcome(template, node, &value, taken, path);
	*path = branches_path;
	return "is missing: a decision names the branches to take";
}
