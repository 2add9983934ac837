/*
 * dag.c
 *	  Directed acyclic graphs over dense integers (pure C).
 *
 * The time is linear in nodes + edges, but for the heap of tc_dag_order(), and
 * never depends on the number of paths.  Nothing recurses: a graph may be one
 * chain of as many nodes as a task may have steps.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/dag.h"

/* What tc_dag_find_cycle() knows of a node it has no position for. */
#define UNVISITED	(-1)
#define PLACED		(-2)

/* The lowest node is at nodes[0]; the children of i are 2i + 1 and 2i + 2. */
typedef struct NodeHeap
{
	int32	   *nodes;
	int32		count;
} NodeHeap;

static int32 *alloc_nodes(int32 count);
static void counts_to_ends(int32 *start, int32 n);
static void transpose(int32 n, const int32 *start, const int32 *rows,
					  int32 *transposed_start, int32 *transposed_rows);
static void heap_push(NodeHeap *heap, int32 node);
static int32 heap_pop(NodeHeap *heap);
static int32 walk_back(const TcDag *dag, int32 *visit, int32 *walk, int32 *first);

void
tc_dag_build(TcDag *dag, int32 n, const TcEdge *edges, int32 nedges)
{
	dag->n = n;
	dag->nedges = nedges;
	dag->parent_start = alloc_nodes(n + 1);
	dag->parents = alloc_nodes(nedges);
	dag->child_start = alloc_nodes(n + 1);
	dag->children = alloc_nodes(nedges);

	memset(dag->child_start, 0, sizeof(int32) * (n + 1));
	for (int32 i = 0; i < nedges; i++)
	{
		Assert(edges[i].from >= 0 && edges[i].from < n);
		Assert(edges[i].to >= 0 && edges[i].to < n);
		dag->child_start[edges[i].from]++;
	}
	counts_to_ends(dag->child_start, n);
	for (int32 i = 0; i < nedges; i++)
		dag->children[--dag->child_start[edges[i].from]] = edges[i].to;

	/* transposing sorts: once for the parents, once more for the children */
	transpose(n, dag->child_start, dag->children, dag->parent_start, dag->parents);
	transpose(n, dag->parent_start, dag->parents, dag->child_start, dag->children);
}

int
tc_dag_child_position(const TcDag *dag, int32 parent, int32 child)
{
	int			low = dag->child_start[parent];
	int			high = dag->child_start[parent + 1];

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (dag->children[middle] < child)
			low = middle + 1;
		else
			high = middle;
	}
	Assert(low < dag->child_start[parent + 1] && dag->children[low] == child);
	return low - dag->child_start[parent];
}

int32
tc_dag_order(const TcDag *dag, int32 *order)
{
	int32	   *waiting_for = alloc_nodes(dag->n);	/* parents not placed yet */
	NodeHeap	ready = {alloc_nodes(dag->n), 0};
	int32		placed = 0;

	for (int32 node = 0; node < dag->n; node++)
	{
		waiting_for[node] = tc_dag_parent_count(dag, node);
		if (waiting_for[node] == 0)
			heap_push(&ready, node);
	}

	while (ready.count > 0)
	{
		int32		node = heap_pop(&ready);

		order[placed++] = node;
		for (int32 i = dag->child_start[node]; i < dag->child_start[node + 1]; i++)
		{
			if (--waiting_for[dag->children[i]] == 0)
				heap_push(&ready, dag->children[i]);
		}
	}

	pfree(waiting_for);
	pfree(ready.nodes);
	return placed;
}

/*
 * A node that no topological order can place has a parent that cannot be
 * placed either.  So walking from one such node to such a parent, and on, never
 * ends and must come round: the part that repeats is a cycle, backwards.
 */
int32
tc_dag_find_cycle(const TcDag *dag, int32 *path)
{
	int32	   *visit = alloc_nodes(dag->n);	/* position in the walk */
	int32	   *walk = alloc_nodes(dag->n);
	int32		placed = tc_dag_order(dag, walk);
	int32		length = 0;

	for (int32 node = 0; node < dag->n; node++)
		visit[node] = UNVISITED;
	for (int32 i = 0; i < placed; i++)
		visit[walk[i]] = PLACED;

	if (placed < dag->n)
	{
		int32		first;
		int32		lowest = 0;

		length = walk_back(dag, visit, walk, &first);
		for (int32 i = 1; i < length; i++)
		{
			if (walk[first + i] < walk[first + lowest])
				lowest = i;
		}
		for (int32 i = 0; i < length; i++)
			path[i] = walk[first + (lowest - i + length) % length];
	}

	pfree(visit);
	pfree(walk);
	return length;
}

void
tc_dag_levels(const TcDag *dag, int32 *levels)
{
	for (int32 node = 0; node < dag->n; node++)
	{
		levels[node] = 0;
		for (int32 i = dag->parent_start[node]; i < dag->parent_start[node + 1]; i++)
		{
			Assert(dag->parents[i] < node);
			levels[node] = Max(levels[node], levels[dag->parents[i]] + 1);
		}
	}
}

void
tc_dag_min_depths(const TcDag *dag, int32 *depths)
{
	for (int32 node = 0; node < dag->n; node++)
	{
		depths[node] = tc_dag_parent_count(dag, node) == 0 ? 0 : dag->n;
		for (int32 i = dag->parent_start[node]; i < dag->parent_start[node + 1]; i++)
		{
			Assert(dag->parents[i] < node);
			depths[node] = Min(depths[node], depths[dag->parents[i]] + 1);
		}
	}
}

int32
tc_dag_ancestors(const TcDag *dag, int32 node, int32 *distance)
{
	int32	   *queue = alloc_nodes(dag->n);
	int32		head = 0;
	int32		tail = 0;

	for (int32 i = 0; i < dag->n; i++)
		distance[i] = -1;

	distance[node] = 0;
	queue[tail++] = node;
	while (head < tail)
	{
		int32		from = queue[head++];

		for (int32 i = dag->parent_start[from]; i < dag->parent_start[from + 1]; i++)
		{
			int32		parent = dag->parents[i];

			if (distance[parent] < 0)
			{
				distance[parent] = distance[from] + 1;
				queue[tail++] = parent;
			}
		}
	}

	pfree(queue);
	return tail - 1;
}

static int32 *
alloc_nodes(int32 count)
{
	return (int32 *) palloc(sizeof(int32) * count);
}

/*
 * From the length of each row (and start[n] = 0) to the offset behind its end.
 * Rows are then filled from the back by decrementing, which leaves start[node]
 * at the row's begin and start[n] at the number of edges.
 */
static void
counts_to_ends(int32 *start, int32 n)
{
	for (int32 node = 1; node <= n; node++)
		start[node] += start[node - 1];
}

/*
 * Turn every edge around.  The rows written are ascending whatever the order
 * within the rows read, because the nodes are visited in order.
 */
static void
transpose(int32 n, const int32 *start, const int32 *rows,
		  int32 *transposed_start, int32 *transposed_rows)
{
	memset(transposed_start, 0, sizeof(int32) * (n + 1));
	for (int32 i = 0; i < start[n]; i++)
		transposed_start[rows[i]]++;
	counts_to_ends(transposed_start, n);

	for (int32 node = n - 1; node >= 0; node--)
	{
		for (int32 i = start[node]; i < start[node + 1]; i++)
			transposed_rows[--transposed_start[rows[i]]] = node;
	}
}

static void
heap_push(NodeHeap *heap, int32 node)
{
	int32		hole = heap->count++;

	while (hole > 0 && heap->nodes[(hole - 1) / 2] > node)
	{
		heap->nodes[hole] = heap->nodes[(hole - 1) / 2];
		hole = (hole - 1) / 2;
	}
	heap->nodes[hole] = node;
}

static int32
heap_pop(NodeHeap *heap)
{
	int32		lowest = heap->nodes[0];
	int32		node = heap->nodes[--heap->count];
	int32		hole = 0;

	for (;;)
	{
		int32		child = 2 * hole + 1;

		if (child + 1 < heap->count && heap->nodes[child + 1] < heap->nodes[child])
			child++;
		if (child >= heap->count || heap->nodes[child] >= node)
			break;
		heap->nodes[hole] = heap->nodes[child];
		hole = child;
	}
	heap->nodes[hole] = node;
	return lowest;
}

/*
 * Walk from the first node that is not PLACED to a parent that is not, until a
 * node comes up again.  Returns how many nodes repeat, from *first on.
 */
static int32
walk_back(const TcDag *dag, int32 *visit, int32 *walk, int32 *first)
{
	int32		node = 0;
	int32		steps = 0;

	while (visit[node] == PLACED)
		node++;

	while (visit[node] == UNVISITED)
	{
		const int32 *parent = dag->parents + dag->parent_start[node];

		visit[node] = steps;
		walk[steps++] = node;
		while (visit[*parent] == PLACED)
			parent++;
		node = *parent;
	}
	*first = visit[node];
	return steps - *first;
}
