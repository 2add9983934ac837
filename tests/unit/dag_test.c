/*
 * dag_test.c
 *	  The graph functions on graphs known by heart, on thousands of random ones
 *	  against checkers that follow the definitions, and on big ones.
 */
#include "postgres_fe.h"

#include "common/pg_prng.h"

#include "domain/dag.h"
#include "tap.h"

#define SEED		UINT64CONST(20240229)
#define GRAPHS		20000
#define MAX_NODES	9			/* the checkers enumerate paths */
#define BIG			100000

/* The same graph twice: as it is tested, and as an adjacency matrix. */
typedef struct Sample
{
	int32		n;
	bool		edge[MAX_NODES][MAX_NODES];
	TcDag		dag;
} Sample;

static void
destroy(TcDag *dag)
{
	pfree(dag->parent_start);
	pfree(dag->parents);
	pfree(dag->child_start);
	pfree(dag->children);
}

/* ---- graphs known by heart ---- */

static void
test_empty(void)
{
	TcDag		dag;
	int32		unused;

	tc_dag_build(&dag, 0, NULL, 0);
	tap_is_int(tc_dag_order(&dag, &unused), 0, "no nodes: nothing to order");
	tap_is_int(tc_dag_find_cycle(&dag, &unused), 0, "no nodes: no cycle");
	tc_dag_levels(&dag, &unused);
	destroy(&dag);
}

static void
test_single(void)
{
	TcDag		dag;
	int32		result = -7;

	tc_dag_build(&dag, 1, NULL, 0);
	tap_is_int(tc_dag_order(&dag, &result), 1, "one node is ordered");
	tap_is_int(result, 0, "one node comes first");
	tc_dag_levels(&dag, &result);
	tap_is_int(result, 0, "one node is a root");
	tap_is_int(tc_dag_ancestors(&dag, 0, &result), 0, "one node has no ancestors");
	tap_is_int(tc_dag_find_cycle(&dag, &result), 0, "one node is no cycle");
	destroy(&dag);
}

/* 0 -> 1 -> 3 -> 4, 0 -> 2 -> 3, 0 -> 4, 5 alone; edges in no order */
static void
test_diamond(void)
{
	static const TcEdge edges[] = {{2, 3}, {0, 4}, {1, 3}, {0, 2}, {3, 4}, {0, 1}};
	TcDag		dag;
	int32		result[6];

	tc_dag_build(&dag, 6, edges, lengthof(edges));
	tap_is_ints(dag.parent_start, (int32[]) {0, 0, 1, 2, 4, 6, 6}, 7, "diamond: parent rows");
	tap_is_ints(dag.parents, (int32[]) {0, 0, 1, 2, 0, 3}, 6, "diamond: parents");
	tap_is_ints(dag.child_start, (int32[]) {0, 3, 4, 5, 6, 6, 6}, 7, "diamond: child rows");
	tap_is_ints(dag.children, (int32[]) {1, 2, 4, 3, 3, 4}, 6, "diamond: children");
	tap_is_int(tc_dag_parent_count(&dag, 3), 2, "diamond: the join has two parents");
	tap_is_int(tc_dag_child_count(&dag, 0), 3, "diamond: the root has three children");

	tap_is_int(tc_dag_order(&dag, result), 6, "diamond: all nodes are ordered");
	tap_is_ints(result, (int32[]) {0, 1, 2, 3, 4, 5}, 6, "diamond: the given order is kept");
	tc_dag_levels(&dag, result);
	tap_is_ints(result, (int32[]) {0, 1, 1, 2, 3, 0}, 6, "diamond: levels are longest paths");
	tc_dag_min_depths(&dag, result);
	tap_is_ints(result, (int32[]) {0, 1, 1, 2, 1, 0}, 6, "diamond: least depths are shortest paths");
	tap_is_int(tc_dag_ancestors(&dag, 4, result), 4, "diamond: ancestors of the sink");
	tap_is_ints(result, (int32[]) {1, 2, 2, 1, 0, -1}, 6, "diamond: distances are shortest");
	tap_is_int(tc_dag_ancestors(&dag, 1, result), 1, "diamond: ancestors of a branch");
	tap_is_ints(result, (int32[]) {1, 0, -1, -1, -1, -1}, 6, "diamond: distances of a branch");
	destroy(&dag);
}

/* Only what must move does: 4 comes before 1, nothing else changes places. */
static void
test_declared_order(void)
{
	static const TcEdge edges[] = {{4, 1}, {0, 3}};
	TcDag		dag;
	int32		order[6];

	tc_dag_build(&dag, 6, edges, lengthof(edges));
	tap_is_int(tc_dag_order(&dag, order), 6, "declared order: all nodes are ordered");
	tap_is_ints(order, (int32[]) {0, 2, 3, 4, 1, 5}, 6, "declared order: kept where it can be");
	destroy(&dag);
}

/* 0 -> 1 -> 4 -> 2 -> 1 with a tail 2 -> 3 */
static void
test_cycle(void)
{
	static const TcEdge edges[] = {{0, 1}, {1, 4}, {4, 2}, {2, 1}, {2, 3}};
	static const TcEdge loop[] = {{0, 1}, {1, 1}, {1, 2}};
	TcDag		dag;
	int32		result[5];

	tc_dag_build(&dag, 5, edges, lengthof(edges));
	tap_is_int(tc_dag_order(&dag, result), 1, "cycle: what is before it is ordered");
	tap_is_int(tc_dag_find_cycle(&dag, result), 3, "cycle: length");
	tap_is_ints(result, (int32[]) {1, 4, 2}, 3, "cycle: path from its lowest node on");
	destroy(&dag);

	tc_dag_build(&dag, 3, loop, lengthof(loop));
	tap_is_int(tc_dag_find_cycle(&dag, result), 1, "self-dependency: a cycle of one");
	tap_is_int(result[0], 1, "self-dependency: the node");
	destroy(&dag);
}

/* ---- random graphs ---- */

/* Any edges, loops included, or none from a higher to a lower node. */
static void
random_sample(pg_prng_state *prng, Sample *sample, bool ascending)
{
	TcEdge		edges[MAX_NODES * MAX_NODES];
	int32		nedges = 0;
	uint64		percent = pg_prng_uint64_range(prng, 0, ascending ? 100 : 30);

	memset(sample, 0, sizeof(*sample));
	sample->n = pg_prng_uint64_range(prng, 0, MAX_NODES);
	for (int32 from = 0; from < sample->n; from++)
	{
		for (int32 to = ascending ? from + 1 : 0; to < sample->n; to++)
		{
			if (pg_prng_uint64_range(prng, 1, 100) <= percent)
			{
				sample->edge[from][to] = true;
				edges[nedges++] = (TcEdge) {from, to};
			}
		}
	}
	for (int32 i = nedges - 1; i > 0; i--)
	{
		int32		j = pg_prng_uint64_range(prng, 0, i);
		TcEdge		edge = edges[i];

		edges[i] = edges[j];
		edges[j] = edge;
	}
	tc_dag_build(&sample->dag, sample->n, edges, nedges);
}

static bool
check_build(const Sample *sample)
{
	const TcDag *dag = &sample->dag;
	int32		parents = 0;
	int32		children = 0;

	for (int32 node = 0; node < sample->n; node++)
	{
		if (dag->parent_start[node] != parents || dag->child_start[node] != children)
			return false;
		for (int32 other = 0; other < sample->n; other++)
		{
			if (sample->edge[other][node] && dag->parents[parents++] != other)
				return false;
			if (sample->edge[node][other] && dag->children[children++] != other)
				return false;
		}
	}
	return dag->n == sample->n && dag->nedges == parents && dag->nedges == children &&
		dag->parent_start[sample->n] == parents && dag->child_start[sample->n] == children;
}

/* Again and again the first node whose parents are all placed. */
static bool
check_order(const Sample *sample)
{
	int32		order[MAX_NODES];
	bool		is_placed[MAX_NODES] = {false};
	int32		placed = tc_dag_order(&sample->dag, order);

	for (int32 i = 0;; i++)
	{
		int32		next;

		for (next = 0; next < sample->n; next++)
		{
			bool		ready = !is_placed[next];

			for (int32 parent = 0; parent < sample->n; parent++)
				ready &= !sample->edge[parent][next] || is_placed[parent];
			if (ready)
				break;
		}
		if (next == sample->n)
			return placed == i;
		if (i >= placed || order[i] != next)
			return false;
		is_placed[next] = true;
	}
}

/* The longest (sign 1) or shortest (sign -1) path, by trying all; -1 = there is none. */
static int32
extreme_path(const Sample *sample, int32 from, int32 to, int32 sign)
{
	int32		best = -1;

	if (from == to)
		return 0;
	for (int32 next = from + 1; next <= to; next++)
	{
		int32		length = sample->edge[from][next] ?
			extreme_path(sample, next, to, sign) : -1;

		if (length >= 0 && (best < 0 || sign * (length + 1) > sign * best))
			best = length + 1;
	}
	return best;
}

static bool
check_levels(const Sample *sample)
{
	int32		levels[MAX_NODES];

	tc_dag_levels(&sample->dag, levels);
	for (int32 node = 0; node < sample->n; node++)
	{
		int32		longest = 0;

		for (int32 root = 0; root < node; root++)
			longest = Max(longest, extreme_path(sample, root, node, 1));
		if (levels[node] != longest)
			return false;
	}
	return true;
}

static bool
check_min_depths(const Sample *sample)
{
	int32		depths[MAX_NODES];

	tc_dag_min_depths(&sample->dag, depths);
	for (int32 node = 0; node < sample->n; node++)
	{
		bool		is_root = tc_dag_parent_count(&sample->dag, node) == 0;
		int32		shortest = is_root ? 0 : -1;

		for (int32 root = 0; root < node; root++)
		{
			int32		length = extreme_path(sample, root, node, -1);

			if (tc_dag_parent_count(&sample->dag, root) == 0 && length >= 0 &&
				(shortest < 0 || length < shortest))
				shortest = length;
		}
		if (depths[node] != shortest)
			return false;
	}
	return true;
}

static bool
check_ancestors(const Sample *sample)
{
	for (int32 node = 0; node < sample->n; node++)
	{
		int32		distance[MAX_NODES];
		int32		ancestors = tc_dag_ancestors(&sample->dag, node, distance);

		for (int32 other = 0; other < sample->n; other++)
		{
			int32		shortest = other > node ? -1 : extreme_path(sample, other, node, -1);

			if (distance[other] != shortest)
				return false;
			ancestors -= shortest > 0;
		}
		if (ancestors != 0)
			return false;
	}
	return true;
}

static bool
has_cycle(const Sample *sample)
{
	bool		reach[MAX_NODES][MAX_NODES];
	bool		cyclic = false;

	memcpy(reach, sample->edge, sizeof(reach));
	for (int32 via = 0; via < sample->n; via++)
		for (int32 from = 0; from < sample->n; from++)
			for (int32 to = 0; to < sample->n; to++)
				reach[from][to] |= reach[from][via] && reach[via][to];
	for (int32 node = 0; node < sample->n; node++)
		cyclic |= reach[node][node];
	return cyclic;
}

static bool
check_cycle(const Sample *sample)
{
	int32		path[MAX_NODES];
	int32		length = tc_dag_find_cycle(&sample->dag, path);
	bool		on_path[MAX_NODES] = {false};

	if ((length > 0) != has_cycle(sample))
		return false;
	for (int32 i = 0; i < length; i++)
	{
		if (path[i] < path[0] || path[i] >= sample->n || on_path[path[i]] ||
			!sample->edge[path[i]][path[(i + 1) % length]])
			return false;
		on_path[path[i]] = true;
	}
	return true;
}

static void
test_random(const char *name, bool (*check) (const Sample *), bool ascending)
{
	pg_prng_state prng;
	int			cyclic = 0;
	int			wrong = 0;

	pg_prng_seed(&prng, SEED);
	for (int i = 0; i < GRAPHS; i++)
	{
		Sample		sample;

		random_sample(&prng, &sample, ascending);
		cyclic += has_cycle(&sample);
		if (!check(&sample) && wrong++ == 0)
		{
			tap_diag("graph %d with %d nodes, the first that is wrong:", i, sample.n);
			for (int32 from = 0; from < sample.n; from++)
				for (int32 to = 0; to < sample.n; to++)
					if (sample.edge[from][to])
						tap_diag("  %d -> %d", from, to);
		}
		destroy(&sample.dag);
	}
	tap_is_int(wrong, 0, "%d random graphs, %d of them cyclic: %s", GRAPHS, cyclic, name);
}

/* ---- big graphs ---- */

/* A chain declared backwards: BIG - 1 -> ... -> 1 -> 0. */
static void
test_big_chain(void)
{
	TcEdge	   *edges = palloc(sizeof(TcEdge) * BIG);
	int32	   *result = palloc(sizeof(int32) * BIG);
	TcDag		dag;
	bool		reversed = true;
	bool		round = true;

	for (int32 i = 0; i < BIG; i++)
		edges[i] = (TcEdge) {(i + 1) % BIG, i};

	tc_dag_build(&dag, BIG, edges, BIG - 1);
	tap_is_int(tc_dag_order(&dag, result), BIG, "a long chain is ordered");
	for (int32 i = 0; i < BIG; i++)
		reversed &= result[i] == BIG - 1 - i;
	tap_ok(reversed, "a long chain is ordered from its root");
	tap_is_int(tc_dag_find_cycle(&dag, result), 0, "a long chain is no cycle");
	tap_is_int(tc_dag_ancestors(&dag, 0, result), BIG - 1, "a long chain has many ancestors");
	tap_is_int(result[BIG - 1], BIG - 1, "the root of a long chain is far away");
	destroy(&dag);

	tc_dag_build(&dag, BIG, edges, BIG);
	tap_is_int(tc_dag_order(&dag, result), 0, "of a long cycle nothing is ordered");
	tap_is_int(tc_dag_find_cycle(&dag, result), BIG, "a long cycle is found");
	for (int32 i = 0; i < BIG; i++)
		round &= result[i] == (BIG - i) % BIG;
	tap_ok(round, "a long cycle is reported along its edges");
	destroy(&dag);

	pfree(edges);
	pfree(result);
}

/* Two nodes a layer, each layer joined wholly to the next: 2^49,999 paths. */
static void
test_big_ladder(void)
{
	int32		nedges = 0;
	TcEdge	   *edges = palloc(sizeof(TcEdge) * BIG * 2);
	int32	   *result = palloc(sizeof(int32) * BIG);
	TcDag		dag;

	for (int32 from = 0; from < BIG - 2; from++)
	{
		int32		next_layer = (from / 2 + 1) * 2;

		edges[nedges++] = (TcEdge) {from, next_layer};
		edges[nedges++] = (TcEdge) {from, next_layer + 1};
	}
	tc_dag_build(&dag, BIG, edges, nedges);
	tc_dag_levels(&dag, result);
	tap_is_int(result[BIG - 1], BIG / 2 - 1, "levels do not enumerate paths");
	tc_dag_min_depths(&dag, result);
	tap_is_int(result[BIG - 1], BIG / 2 - 1, "least depths do not enumerate paths");
	tap_is_int(tc_dag_ancestors(&dag, BIG - 1, result), BIG - 2,
			   "ancestors do not enumerate paths");
	tap_is_int(result[BIG - 2], -1, "a neighbour in the same layer is no ancestor");
	tap_is_int(tc_dag_find_cycle(&dag, result), 0, "the search for a cycle does not either");
	destroy(&dag);

	pfree(edges);
	pfree(result);
}

int
main(void)
{
	tap_diag("seed " UINT64_FORMAT, SEED);
	test_empty();
	test_single();
	test_diamond();
	test_declared_order();
	test_cycle();
	test_random("both directions", check_build, false);
	test_random("order", check_order, false);
	test_random("order of a graph already ordered", check_order, true);
	test_random("cycle", check_cycle, false);
	test_random("no cycle where all edges ascend", check_cycle, true);
	test_random("levels", check_levels, true);
	test_random("least depths", check_min_depths, true);
	test_random("ancestors", check_ancestors, true);
	test_big_chain();
	test_big_ladder();
	return tap_done();
}
