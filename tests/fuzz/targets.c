/*
 * targets.c
 *	  What is fuzzed of the domain layer, and what must hold for any input.
 *
 * The first byte of an input chooses the target, the rest is for it:
 *
 *	g	graph: a byte for the number of nodes, then two bytes an edge
 *	r	regular expression of ECMA-262
 *	c	event cursor
 *	p	event pattern and a name, a line each
 *	v	three versions, a line each
 *	b	backoff: strategy, then raw numbers
 *	n	a name that may be one of a strategy, a state or an event
 *
 * A broken promise aborts; the sanitizers look after the rest.
 */
#include "postgres_fe.h"

#include "domain/backoff.h"
#include "domain/dag.h"
#include "domain/event_names.h"
#include "domain/event_order.h"
#include "domain/regex.h"
#include "domain/states.h"
#include "domain/template.h"
#include "targets.h"

#define MAX_NODES 64

#define PROMISE(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* ---- graphs -------------------------------------------------------------- */

typedef bool Matrix[MAX_NODES][MAX_NODES];

static int32
read_edges(const uint8 *data, size_t size, int32 n, TcEdge *edges, Matrix seen)
{
	int32		nedges = 0;

	for (size_t i = 0; i + 1 < size; i += 2)
	{
		TcEdge		edge = {data[i] % n, data[i + 1] % n};

		if (seen[edge.from][edge.to])
			continue;
		seen[edge.from][edge.to] = true;
		edges[nedges++] = edge;
	}
	return nedges;
}

/* Every edge leads onwards in the order. */
static void
check_order(const TcDag *dag, const int32 *order, const Matrix seen)
{
	int32		place[MAX_NODES];

	for (int32 i = 0; i < dag->n; i++)
		place[i] = -1;
	for (int32 i = 0; i < dag->n; i++)
	{
		PROMISE(order[i] >= 0 && order[i] < dag->n && place[order[i]] == -1);
		place[order[i]] = i;
	}
	for (int32 from = 0; from < dag->n; from++)
		for (int32 to = 0; to < dag->n; to++)
			PROMISE(!seen[from][to] || place[from] < place[to]);
}

static void
check_cycle(const int32 *path, int32 length, const Matrix seen)
{
	for (int32 i = 0; i < length; i++)
		PROMISE(seen[path[i]][path[(i + 1) % length]]);
}

/* Depths and ancestors are told of graphs whose numbers are in order. */
static void
check_distances(const TcDag *dag)
{
	int32		levels[MAX_NODES];
	int32		depths[MAX_NODES];
	int32		distance[MAX_NODES];

	tc_dag_levels(dag, levels);
	tc_dag_min_depths(dag, depths);
	for (int32 node = 0; node < dag->n; node++)
	{
		int32		count = 0;

		PROMISE(depths[node] <= levels[node] && levels[node] <= node);
		PROMISE((levels[node] == 0) == (tc_dag_parent_count(dag, node) == 0));
		tc_dag_ancestors(dag, node, distance);
		for (int32 other = 0; other < dag->n; other++)
			count += distance[other] > 0;
		PROMISE(count == tc_dag_ancestors(dag, node, distance));
		PROMISE(distance[node] == 0);
	}
}

static void
destroy(TcDag *dag)
{
	pfree(dag->parent_start);
	pfree(dag->parents);
	pfree(dag->child_start);
	pfree(dag->children);
}

static void
fuzz_graph(const uint8 *data, size_t size)
{
	static TcEdge edges[MAX_NODES * MAX_NODES];
	Matrix		seen = {{false}};
	int32		order[MAX_NODES];
	int32		path[MAX_NODES];
	int32		n;
	int32		nedges;
	int32		placed;
	int32		length;
	bool		ascending = true;
	TcDag		dag;

	if (size == 0)
		return;
	n = 1 + data[0] % MAX_NODES;
	nedges = read_edges(data + 1, size - 1, n, edges, seen);
	tc_dag_build(&dag, n, edges, nedges);
	placed = tc_dag_order(&dag, order);
	length = tc_dag_find_cycle(&dag, path);
	PROMISE((placed == n) == (length == 0));
	check_cycle(path, length, seen);
	if (placed == n)
		check_order(&dag, order, seen);
	for (int32 i = 0; i < nedges; i++)
		ascending = ascending && edges[i].from < edges[i].to;
	if (ascending)
		check_distances(&dag);
	destroy(&dag);
}

/* ---- texts ---------------------------------------------------------------- */

/* The lines of an input as strings of their own, so that reading past one is seen. */
static void
read_lines(const uint8 *data, size_t size, char **lines, int n)
{
	size_t		at = 0;

	for (int i = 0; i < n; i++)
	{
		size_t		end = at;

		while (end < size && data[end] != '\n' && data[end] != '\0')
			end++;
		lines[i] = malloc(end - at + 1);
		memcpy(lines[i], data + at, end - at);
		lines[i][end - at] = '\0';
		at = Min(end + 1, size);
	}
}

static void
free_lines(char **lines, int n)
{
	for (int i = 0; i < n; i++)
		free(lines[i]);
}

static void
fuzz_regex(const uint8 *data, size_t size)
{
	char	   *exact = malloc(Max(size, 1));	/* without a terminator: the length counts */
	StringInfoData out;

	memcpy(exact, data, size);
	initStringInfo(&out);
	tc_regex_translate(exact, (int) size, &out);
	pfree(out.data);
	free(exact);
}

static void
fuzz_cursor(const uint8 *data, size_t size)
{
	TcEventCursor cursor;
	char		buf[TC_EVENT_CURSOR_SIZE];
	char	   *text;

	read_lines(data, size, &text, 1);
	if (tc_event_cursor_parse(text, &cursor))
	{
		PROMISE(strcmp(tc_event_cursor_format(cursor, buf), text) == 0);
		PROMISE(!tc_event_is_after(cursor, cursor));
	}
	free_lines(&text, 1);
}

/* The definition: a star takes any number of characters. */
static bool
matches(const char *pattern, const char *name)
{
	if (*pattern == '\0')
		return *name == '\0';
	if (*pattern == '*')
		return matches(pattern + 1, name) || (*name != '\0' && matches(pattern, name + 1));
	return *pattern == *name && matches(pattern + 1, name + 1);
}

static void
fuzz_pattern(const uint8 *data, size_t size)
{
	char	   *lines[2];

	read_lines(data, Min(size, 24), lines, 2);	/* the definition takes exponential time */
	PROMISE(tc_event_matches(lines[0], lines[1]) == matches(lines[0], lines[1]));
	tc_event_pattern_is_open(lines[0]);
	tc_event_name_is_reserved(lines[1]);
	for (int source = 0; source < TC_SOURCE_DERIVED_COUNT; source++)
	{
		const char *kinds[TC_MAX_EVENT_KINDS];

		tc_event_kinds(source, lines[0], kinds);
		tc_event_rule(source, lines[1]);
	}
	free_lines(lines, 2);
}

static int
sign(int number)
{
	return (number > 0) - (number < 0);
}

static void
fuzz_versions(const uint8 *data, size_t size)
{
	char	   *v[3];

	read_lines(data, size, v, 3);
	for (int i = 0; i < 3; i++)
	{
		PROMISE(tc_version_compare(v[i], v[i]) == 0);
		for (int j = 0; j < 3; j++)
			PROMISE(sign(tc_version_compare(v[i], v[j])) == -sign(tc_version_compare(v[j], v[i])));
	}
	if (tc_version_compare(v[0], v[1]) <= 0 && tc_version_compare(v[1], v[2]) <= 0)
		PROMISE(tc_version_compare(v[0], v[2]) <= 0);
	free_lines(v, 3);
}

static void
fuzz_name(const uint8 *data, size_t size)
{
	TcBackoffStrategy strategy;
	TcTaskState task;
	TcStepState step;
	char	   *name;
	char		buf[512];

	read_lines(data, size, &name, 1);
	if (tc_backoff_strategy_parse(name, &strategy))
		PROMISE(strcmp(tc_backoff_strategy_name(strategy), name) == 0);
	if (tc_task_state_parse(name, &task))
		PROMISE(strlen(tc_task_legal_moves(task, buf, sizeof(buf))) < sizeof(buf));
	if (tc_step_state_parse(name, &step))
		PROMISE(strlen(tc_step_legal_moves(step, buf, sizeof(buf))) < sizeof(buf));
	free_lines(&name, 1);
}

/* ---- numbers --------------------------------------------------------------- */

static void
fuzz_backoff(const uint8 *data, size_t size)
{
	struct
	{
		int64		base_ms;
		int64		max_ms;
		int64		attempt;
		uint64		random;
		uint16		jitter;
	}			raw = {0};
	TcBackoffPolicy policy;
	int64		delay;

	if (size == 0)
		return;
	memcpy(&raw, data + 1, Min(size - 1, sizeof(raw)));
	policy.strategy = data[0] % TC_BACKOFF_STRATEGY_COUNT;
	policy.base_ms = raw.base_ms & PG_INT64_MAX;
	policy.max_ms = raw.max_ms & PG_INT64_MAX;
	policy.jitter = raw.jitter / 65535.0;
	delay = tc_backoff_delay_ms(&policy, raw.attempt, &raw.random);
	PROMISE(delay >= 0 && delay <= policy.max_ms);
	delay = tc_backoff_delay_ms(&policy, raw.attempt, NULL);
	PROMISE(delay >= 0 && delay <= policy.max_ms);
	if (policy.strategy != TC_BACKOFF_NONE && raw.attempt < PG_INT64_MAX)
		PROMISE(tc_backoff_delay_ms(&policy, raw.attempt + 1, NULL) >= delay);
}

void
fuzz_one(const uint8 *data, size_t size)
{
	static const struct
	{
		char		name;
		void		(*target) (const uint8 *, size_t);
	}			targets[] = {
		{'g', fuzz_graph}, {'r', fuzz_regex}, {'c', fuzz_cursor}, {'p', fuzz_pattern},
		{'v', fuzz_versions}, {'b', fuzz_backoff}, {'n', fuzz_name}
	};

	for (int i = 0; size > 0 && i < lengthof(targets); i++)
		if (targets[i].name == data[0])
			targets[i].target(data + 1, size - 1);
}

/* clang -fsanitize=fuzzer brings its own main(). */
int
LLVMFuzzerTestOneInput(const uint8 *data, size_t size)
{
	fuzz_one(data, size);
	return 0;
}
