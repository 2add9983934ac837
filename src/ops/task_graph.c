/*
 * task_graph.c
 *	  The graph of a task or a template as a picture: mermaid, dot, or text.
 *
 * State is shown by a word as well as by a colour.  A name may hold anything
 * that is printable, so nothing of it may mean anything to the language that it
 * is written in.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "compat.h"
#include "domain/states.h"
#include "ops/graph.h"

/* How the steps of a state look: colours, and a mark where there are none. */
static const struct
{
	const char *fill;
	const char *stroke;
	const char *mark;
}			looks[TC_STEP_STATE_COUNT] = {
	[TC_STEP_PENDING] = {"#f5f5f5", "#9e9e9e", " "},
	[TC_STEP_IN_PROGRESS] = {"#bbdefb", "#1976d2", ">"},
	[TC_STEP_WAITING_FOR_RETRY] = {"#ffe0b2", "#f57c00", "~"},
	[TC_STEP_COMPLETE] = {"#c8e6c9", "#388e3c", "x"},
	[TC_STEP_ERROR] = {"#ffcdd2", "#d32f2f", "!"},
	[TC_STEP_CANCELLED] = {"#e0e0e0", "#616161", "-"},
	[TC_STEP_SKIPPED] = {"#e0e0e0", "#616161", "-"},
	[TC_STEP_RESOLVED_MANUALLY] = {"#e1bee7", "#7b1fa2", "x"},
};

static const char *const format_names[] = {
	[TC_GRAPH_MERMAID] = "mermaid",
	[TC_GRAPH_DOT] = "dot",
	[TC_GRAPH_TEXT] = "text",
};

bool
tc_graph_format_parse(const char *name, TcGraphFormat *format)
{
	for (int i = 0; i < lengthof(format_names); i++)
	{
		if (strcmp(format_names[i], name) == 0)
		{
			*format = (TcGraphFormat) i;
			return true;
		}
	}
	return false;
}

/* What is drawn: a template, and the state of its steps where it is a task's. */
typedef struct Picture
{
	const TcTemplate *template;
	const TcTaskView *view;		/* NULL = of the template alone */
	StringInfoData out;
} Picture;

/* Its instances are not drawn: how they are doing is. */
static const char *
status_of_map(const TcTaskView *view, const TcMapView *map, const char *state)
{
	TcMapProgress progress = tc_view_map_progress(view, map);
	const char *text = psprintf("%s, %d of %d instances complete", state, progress.completed, progress.total);

	return progress.failed == 0 ? text : psprintf("%s, %d failed", text, progress.failed);
}

/* A step's state in words, as "waiting_for_retry, attempt 2 of 3". */
static const char *
status_of(const Picture *picture, int32 node)
{
	const TcStepView *step = &picture->view->steps[node];
	const char *state = tc_step_state_name(step->state);
	bool		running = step->state == TC_STEP_IN_PROGRESS;
	const TcMapView *map = tc_view_map(picture->view, node);

	if (map != NULL && map->count > 0)
		return status_of_map(picture->view, map, state);
	if (tc_view_is_ready(picture->view, node))
		state = step->state == TC_STEP_PENDING ? "pending, ready" : "waiting_for_retry, ready";
	if (step->live && step->phase == TC_PHASE_TASK)
		return "in_progress, as a task";
	if (step->attempts == 0 && !running)
		return state;
	return psprintf("%s, attempt %d of %d", state, step->attempts + (running ? 1 : 0),
					tc_step_attempt_limit(&picture->template->steps[node]));
}

static char *
title_of(const Picture *picture)
{
	const TcTemplate *template = picture->template;
	char	   *name = psprintf("%s/%s@%s", template->namespace_name, template->name, template->version);
	const TcTaskRow *task;
	bool		paused;

	if (picture->view == NULL)
		return name;
	task = &picture->view->task;
	paused = (task->paused_at != TC_NO_TIME || picture->view->held_above) &&
		!tc_task_state_is_final(task->state);
	return psprintf("task " INT64_FORMAT " %s: %s%s", task->task_id, name,
					tc_task_state_name(task->state), paused ? ", paused" : "");
}

/* ---- mermaid ------------------------------------------------------------- */

static bool
is_word(char c)
{
	return IS_HIGHBIT_SET(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/*
 * Beside letters, digits, spaces and what is not ASCII, only punctuation within
 * a word stands for itself.  All other is written as an entity code: quotes and
 * brackets, but also what HTML or Markdown would read ("1. ", "*", "<b>").
 */
static void
append_mermaid(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		bool		within = c > text && is_word(c[-1]) && is_word(c[1]);

		if (is_word(*c) || *c == ' ' || (within && strchr("_-.:", *c) != NULL))
			appendStringInfoChar(out, *c);
		else
			appendStringInfo(out, "#%d;", (unsigned char) *c);
	}
}

static void
draw_mermaid_node(Picture *picture, int32 node)
{
	StringInfo	out = &picture->out;

	appendStringInfo(out, "    s%d[\"", node + 1);
	append_mermaid(out, picture->template->steps[node].name);
	if (picture->view != NULL)
		appendStringInfo(out, "<br/>%s\"]:::%s\n", status_of(picture, node),
						 tc_step_state_name(picture->view->steps[node].state));
	else
		appendStringInfoString(out, "\"]\n");
}

static void
draw_mermaid_edge(Picture *picture, int32 from, int32 to)
{
	appendStringInfo(&picture->out, "    s%d --> s%d\n", from + 1, to + 1);
}

/* In a comment only the signs of a directive, %%{ }, are read. */
static void
begin_mermaid(Picture *picture)
{
	StringInfo	out = &picture->out;

	appendStringInfoString(out, "flowchart TD\n    %% ");
	for (const char *c = title_of(picture); *c != '\0'; c++)
	{
		if (strchr("%{}", *c) != NULL)
			appendStringInfo(out, "#%d;", (unsigned char) *c);
		else
			appendStringInfoChar(out, *c);
	}
	appendStringInfoChar(out, '\n');
}

static void
end_mermaid(Picture *picture)
{
	bool		used[TC_STEP_STATE_COUNT] = {false};

	if (picture->view == NULL)
		return;
	for (int32 node = 0; node < picture->template->nsteps; node++)
		used[picture->view->steps[node].state] = true;
	for (int state = 0; state < TC_STEP_STATE_COUNT; state++)
	{
		if (used[state])
			appendStringInfo(&picture->out, "    classDef %s fill:%s,stroke:%s,color:#212121\n",
							 tc_step_state_name(state), looks[state].fill, looks[state].stroke);
	}
}

/* ---- dot ----------------------------------------------------------------- */

/* In a quoted string quotes and backslashes count, and in a label entities too. */
static void
append_dot(StringInfo out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '"' || *c == '\\')
			appendStringInfoChar(out, '\\');
		if (*c == '&')
			appendStringInfoString(out, "&amp;");
		else
			appendStringInfoChar(out, *c);
	}
}

static void
begin_dot(Picture *picture)
{
	appendStringInfoString(&picture->out, "digraph workflow {\n    label=\"");
	append_dot(&picture->out, title_of(picture));
	appendStringInfoString(&picture->out, "\";\n    node [shape=box, style=\"rounded,filled\","
						   " fillcolor=\"#f5f5f5\", color=\"#9e9e9e\", fontcolor=\"#212121\"];\n");
}

static void
draw_dot_node(Picture *picture, int32 node)
{
	StringInfo	out = &picture->out;

	appendStringInfo(out, "    s%d [label=\"", node + 1);
	append_dot(out, picture->template->steps[node].name);
	if (picture->view != NULL)
	{
		TcStepState state = picture->view->steps[node].state;

		appendStringInfo(out, "\\n%s\", fillcolor=\"%s\", color=\"%s\"];\n",
						 status_of(picture, node), looks[state].fill, looks[state].stroke);
	}
	else
		appendStringInfoString(out, "\"];\n");
}

static void
draw_dot_edge(Picture *picture, int32 from, int32 to)
{
	appendStringInfo(&picture->out, "    s%d -> s%d;\n", from + 1, to + 1);
}

static void
end_dot(Picture *picture)
{
	appendStringInfoString(&picture->out, "}\n");
}

/* ---- text ---------------------------------------------------------------- */

static void
begin_text(Picture *picture)
{
	appendStringInfo(&picture->out, "%s\n", title_of(picture));
}

/* One line a step; parents by their numbers, which always stand above. */
static void
draw_text_node(Picture *picture, int32 node)
{
	const TcDag *dag = &picture->template->dag;
	StringInfo	out = &picture->out;

	if (picture->view != NULL)
		appendStringInfo(out, "[%s] %d %s: %s", looks[picture->view->steps[node].state].mark, node + 1,
						 picture->template->steps[node].name, status_of(picture, node));
	else
		appendStringInfo(out, "%d %s", node + 1, picture->template->steps[node].name);
	for (int p = dag->parent_start[node]; p < dag->parent_start[node + 1]; p++)
		appendStringInfo(out, "%s%d", p == dag->parent_start[node] ? " <- " : ", ", dag->parents[p] + 1);
	appendStringInfoChar(out, '\n');
}

/* ---- all of them --------------------------------------------------------- */

typedef struct Pen
{
	void		(*begin) (Picture *picture);
	void		(*node) (Picture *picture, int32 node);
	void		(*edge) (Picture *picture, int32 from, int32 to);	/* NULL = part of the node */
	void		(*end) (Picture *picture);	/* NULL = nothing to end */
} Pen;

static const Pen pens[] = {
	[TC_GRAPH_MERMAID] = {begin_mermaid, draw_mermaid_node, draw_mermaid_edge, end_mermaid},
	[TC_GRAPH_DOT] = {begin_dot, draw_dot_node, draw_dot_edge, end_dot},
	[TC_GRAPH_TEXT] = {begin_text, draw_text_node, NULL, NULL},
};

static char *
draw(const TcTemplate *template, const TcTaskView *view, TcGraphFormat format)
{
	const TcDag *dag = &template->dag;
	const Pen  *pen = &pens[format];
	Picture		picture = {.template = template, .view = view};

	initStringInfo(&picture.out);
	pen->begin(&picture);
	for (int32 node = 0; node < dag->n; node++)
	{
		CHECK_FOR_INTERRUPTS();
		pen->node(&picture, node);
	}
	for (int32 node = 0; node < dag->n && pen->edge != NULL; node++)
	{
		for (int c = dag->child_start[node]; c < dag->child_start[node + 1]; c++)
			pen->edge(&picture, node, dag->children[c]);
	}
	if (pen->end != NULL)
		pen->end(&picture);
	return MemoryContextStrdup(tc_session_caller_context(), picture.out.data);
}

char *
tc_task_graph(const TcTaskView *view, TcGraphFormat format)
{
	return draw(view->template, view, format);
}

char *
tc_template_graph(const TcTemplate *template, TcGraphFormat format)
{
	return draw(template, NULL, format);
}
