/*
 * graph.h
 *	  What people ask about one task, one step, or the queue as a whole.
 *
 * Operations run inside a session bracket.  Results live in the caller's
 * context.
 */
#ifndef TC_OPS_GRAPH_H
#define TC_OPS_GRAPH_H

#include "nodes/pg_list.h"

#include "store/ready_store.h"
#include "store/view_store.h"

/* TC002 and TC003 when there is no such task or step. */
extern void tc_require_task_view(int64 task_id, TcTaskView *view);
extern void tc_require_step_view(TcStepKey key, TcTaskView *view);

/* ---- explain_step -------------------------------------------------------- */

typedef struct TcReason
{
	const char *reason;			/* a word for programs */
	const char *detail;			/* a sentence for people */
} TcReason;

/* Why a step is not running (TcReason *), the most decisive reason first. */
extern List *tc_explain_step(const TcTaskView *view, int32 position);

/* ---- pictures ------------------------------------------------------------ */

typedef enum TcGraphFormat
{
	TC_GRAPH_MERMAID,
	TC_GRAPH_DOT,
	TC_GRAPH_TEXT
} TcGraphFormat;

extern bool tc_graph_format_parse(const char *name, TcGraphFormat *format);

extern char *tc_task_graph(const TcTaskView *view, TcGraphFormat format);
extern char *tc_template_graph(const TcTemplate *template, TcGraphFormat format);

/* ---- documents ----------------------------------------------------------- */

/* jsonb */
extern struct varlena *tc_get_task(int64 task_id);
extern struct varlena *tc_get_step(TcStepKey key);

/* ---- the queue ----------------------------------------------------------- */

/* The first tasks with ready steps, in the order of claims. */
extern int	tc_next_ready_tasks(int max_tasks, TcReadyTask **tasks);

#endif							/* TC_OPS_GRAPH_H */
