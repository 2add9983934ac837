/*
 * templates_table.h
 *	  Rows of namespaces, templates and their steps, reached by their key.
 *
 * For what a backend reads before it can do anything: a statement over these tables
 * takes longer to plan than all of their rows to read.  Every scan sees the newest
 * that is committed, and is one for tc_scan_seek(), which begins or moves it.
 */
#ifndef TC_TEMPLATES_TABLE_H
#define TC_TEMPLATES_TABLE_H

#include "store/direct.h"

enum
{
	TC_NAMESPACE_COLUMN_name
};

enum
{
	TC_TEMPLATE_COLUMN_namespace_id, TC_TEMPLATE_COLUMN_name, TC_TEMPLATE_COLUMN_version
};

enum
{
	TC_TEMPLATE_STEP_queue, TC_TEMPLATE_STEP_signal_name, TC_TEMPLATE_STEP_workflow, TC_TEMPLATE_STEP_flow_limits
};

extern void tc_namespaces_seek(TcScan *scan, int32 namespace_id);
extern void tc_templates_seek(TcScan *scan, int32 named_task_id);

/* The steps of a template. */
extern void tc_template_steps_seek(TcScan *scan, int32 named_task_id);

#endif							/* TC_TEMPLATES_TABLE_H */
