/*
 * dag.h
 *	  Directed acyclic graphs over dense integers (pure C).
 *
 * Nodes are 0 … n-1.  A TcDag keeps both directions as compressed rows, so the
 * parents and the children of a node are each one contiguous run.
 */
#ifndef TC_DAG_H
#define TC_DAG_H

typedef struct TcEdge
{
	int32		from;
	int32		to;
} TcEdge;

typedef struct TcDag
{
	int32		n;
	int32		nedges;
	int32	   *parent_start;	/* n + 1 offsets into parents */
	int32	   *parents;
	int32	   *child_start;	/* n + 1 offsets into children */
	int32	   *children;
} TcDag;

static inline int32
tc_dag_parent_count(const TcDag *dag, int32 node)
{
	return dag->parent_start[node + 1] - dag->parent_start[node];
}

static inline int32
tc_dag_child_count(const TcDag *dag, int32 node)
{
	return dag->child_start[node + 1] - dag->child_start[node];
}

/* The place of a child among the children of its parent, which stand in ascending order. */
extern int	tc_dag_child_position(const TcDag *dag, int32 parent, int32 child);

/*
 * Build both directions, in the current memory context; the parents and the
 * children of a node come in ascending order.  Edges must be distinct and in
 * range.
 */
extern void tc_dag_build(TcDag *dag, int32 n, const TcEdge *edges, int32 nedges);

/*
 * Topological order that keeps the given order wherever it can: order[i] is
 * the node at position i.  Returns how many nodes could be placed; fewer than
 * n means there is a cycle.  O((n + e) log n).
 */
extern int32 tc_dag_order(const TcDag *dag, int32 *order);

/*
 * One cycle as a path of nodes along the edges, from its lowest node on, which
 * is not repeated at the end.  Returns its length, 0 when the graph is acyclic.
 * path has room for n nodes.
 */
extern int32 tc_dag_find_cycle(const TcDag *dag, int32 *path);

/*
 * Longest path from a root, per node (roots 0).  Nodes must be numbered in a
 * topological order: every edge goes from a lower to a higher node.
 */
extern void tc_dag_levels(const TcDag *dag, int32 *levels);

/*
 * Shortest path from a root, per node (roots 0), of the same kind of graph.
 */
extern void tc_dag_min_depths(const TcDag *dag, int32 *depths);

/*
 * Shortest distance from each ancestor to node (parents 1), -1 where the other
 * node is no ancestor; distance[node] is 0.  Returns the number of ancestors.
 */
extern int32 tc_dag_ancestors(const TcDag *dag, int32 node, int32 *distance);

#endif							/* TC_DAG_H */
