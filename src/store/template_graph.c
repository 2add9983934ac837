/*
 * template_graph.c
 *	  What the steps of a template depend on: check it, then number the steps.
 *
 * Everything is linear in steps and dependencies, but for the logarithm of
 * tc_dag_order().
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "domain/instances.h"
#include "store/template_reader.h"

static void add_reference(TcReader *reader, const TcPath *path, const TcKey *key, int32 position,
						  const JsonbValue *json, TcValue *value);
static uint32 name_hash(const void *key, Size keysize);
static int	name_match(const void *a, const void *b, Size keysize);
static int32 count_references(const TcTemplate *template, List *const *references);
static int32 collect_edges(TcReader *reader, const TcPath *steps_path, const TcTemplate *template,
						   List *const *references, TcEdge *edges);
static bool check_reference(TcReader *reader, const TcPath *step_path,
							const TcReference *reference, int32 node);
static void report_cycle(TcReader *reader, const TcPath *steps_path, const TcTemplate *template,
						 const TcDag *dag);
static void number_steps(TcTemplate *template, const int32 *order, TcEdge *edges, int32 nedges);

/* ---- names and references ------------------------------------------------ */

HTAB *
tc_step_names_create(void)
{
	HASHCTL		control = {
		.keysize = sizeof(char *),
		.entrysize = sizeof(TcStepName),
		.hash = name_hash,
		.match = name_match,
		.hcxt = CurrentMemoryContext,
	};

	return hash_create("step names", 64, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

TcStepName *
tc_step_name(TcReader *reader, const char *name)
{
	bool		found;
	TcStepName *entry = hash_search(reader->names, &name, HASH_ENTER, &found);

	if (!found)
	{
		entry->node = -1;
		entry->referrer = -1;
	}
	return entry;
}

static uint32
name_hash(const void *key, Size keysize)
{
	const char *name = *(const char *const *) key;

	return DatumGetUInt32(hash_any((const unsigned char *) name, strlen(name)));
}

static int
name_match(const void *a, const void *b, Size keysize)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

void
tc_read_reference(TcReader *reader, const TcPath *path, const TcKey *key,
				  const JsonbValue *json, TcValue *value)
{
	add_reference(reader, path, key, -1, json, value);
}

void
tc_read_references(TcReader *reader, const TcPath *path, const TcKey *key,
				   const JsonbValue *json, TcValue *value)
{
	JsonbContainer *array = tc_json_array(json);

	if (array == NULL)
	{
		tc_fault(reader, path, "must be an array of step names, not %s", tc_json_describe(json));
		return;
	}
	for (uint32 i = 0; i < JsonContainerSize(array); i++)
	{
		TcPath		here = {.parent = path, .index = i};

		CHECK_FOR_INTERRUPTS();
		add_reference(reader, &here, key, i, getIthJsonbValueFromContainer(array, i), value);
	}
}

static void
add_reference(TcReader *reader, const TcPath *path, const TcKey *key, int32 position,
			  const JsonbValue *json, TcValue *value)
{
	TcReference *reference;
	TcStepName *target;

	if (json->type != jbvString)
	{
		tc_fault(reader, path, "must be a step name, not %s", tc_json_describe(json));
		return;
	}
	target = tc_step_name(reader, tc_json_string(json));
	if (target->referrer == reader->node)
	{
		tc_warn(reader, path, "step %s is listed more than once", tc_quote_name(target->name));
		return;
	}
	target->referrer = reader->node;

	reference = palloc(sizeof(TcReference));
	reference->target = target;
	reference->key = key->name;
	reference->position = position;
	value->references = lappend(value->references, reference);
}

/* ---- the graph ----------------------------------------------------------- */

/*
 * Reports unknown steps, steps that depend on themselves and a cycle.  With no
 * fault in the whole document, the steps are put in a topological order that
 * keeps the document's wherever it can, and the dag is built.
 */
void
tc_template_link(TcReader *reader, const TcPath *steps_path,
				 TcTemplate *template, List *const *references)
{
	TcEdge	   *edges = palloc(sizeof(TcEdge) * (count_references(template, references) + 1));
	int32		nedges = collect_edges(reader, steps_path, template, references, edges);
	int32	   *order = palloc(sizeof(int32) * template->nsteps);
	TcDag		dag;

	tc_dag_build(&dag, template->nsteps, edges, nedges);
	if (tc_dag_order(&dag, order) < template->nsteps)
		report_cycle(reader, steps_path, template, &dag);
	if (reader->faults == NIL)
		number_steps(template, order, edges, nedges);
}

static int32
count_references(const TcTemplate *template, List *const *references)
{
	int32		count = 0;

	for (int32 i = 0; i < template->nsteps; i++)
		count += list_length(references[i]);
	return count;
}

static int32
collect_edges(TcReader *reader, const TcPath *steps_path, const TcTemplate *template,
			  List *const *references, TcEdge *edges)
{
	int32		nedges = 0;

	for (int32 node = 0; node < template->nsteps; node++)
	{
		TcPath		path = {.parent = steps_path, .index = node};
		ListCell   *cell;

		CHECK_FOR_INTERRUPTS();
		foreach(cell, references[node])
		{
			const TcReference *reference = lfirst(cell);

			if (check_reference(reader, &path, reference, node))
			{
				edges[nedges].from = reference->target->node;
				edges[nedges].to = node;
				nedges++;
			}
		}
	}
	return nedges;
}

static bool
check_reference(TcReader *reader, const TcPath *step_path, const TcReference *reference,
				int32 node)
{
	TcPath		list = {.parent = step_path, .key = reference->key};
	TcPath		element = {.parent = &list, .index = reference->position};
	TcPath	   *path = reference->position < 0 ? &list : &element;
	const TcStepName *target = reference->target;

	if (target->node < 0)
		tc_fault(reader, path, "unknown step %s", tc_quote_name(target->name));
	else if (target->node == node)
		tc_fault(reader, path, "step %s depends on itself", tc_quote_name(target->name));
	else
		return true;
	return false;
}

/* One cycle, though there may be more: where they overlap there is no telling them apart. */
static void
report_cycle(TcReader *reader, const TcPath *steps_path, const TcTemplate *template,
			 const TcDag *dag)
{
	int32	   *path = palloc(sizeof(int32) * template->nsteps);
	int32		length = tc_dag_find_cycle(dag, path);
	StringInfoData names;

	initStringInfo(&names);
	for (int32 i = 0; i < length; i++)
		appendStringInfo(&names, "%s -> ", template->steps[path[i]].name);
	appendStringInfoString(&names, template->steps[path[0]].name);
	tc_fault(reader, steps_path, "dependency cycle: %s", names.data);
}

static void
number_steps(TcTemplate *template, const int32 *order, TcEdge *edges, int32 nedges)
{
	TcStep	   *ordered = palloc(sizeof(TcStep) * template->nsteps);
	int32	   *position = palloc(sizeof(int32) * template->nsteps);

	for (int32 i = 0; i < template->nsteps; i++)
	{
		ordered[i] = template->steps[order[i]];
		position[order[i]] = i;
	}
	for (int32 i = 0; i < nedges; i++)
	{
		edges[i].from = position[edges[i].from];
		edges[i].to = position[edges[i].to];
	}
	template->steps = ordered;
	tc_dag_build(&template->dag, template->nsteps, edges, nedges);
	tc_template_find_maps(template);
}
