/*
 * templates_table.c
 *	  Rows of namespaces, templates and their steps, reached by their key.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "utils/fmgroids.h"

#include "compat.h"
#include "store/templates_table.h"

static TcTable namespaces_table = {
	.name = "task_namespaces",
	.columns = {[TC_NAMESPACE_COLUMN_name] = "name"},
};

static TcTable templates_table = {
	.name = "named_tasks",
	.columns = {
		[TC_TEMPLATE_COLUMN_namespace_id] = "namespace_id",
		[TC_TEMPLATE_COLUMN_name] = "name",
		[TC_TEMPLATE_COLUMN_version] = "version",
	},
};

static TcTable steps_table = {
	.name = "named_steps",
	.columns = {
		[TC_TEMPLATE_STEP_queue] = "queue",
		[TC_TEMPLATE_STEP_signal_name] = "signal_name",
		[TC_TEMPLATE_STEP_workflow] = "workflow",
		[TC_TEMPLATE_STEP_flow_limits] = "flow_limits",
	},
};

/* The rows whose first column in an index is an id. */
static void
seek_id(TcScan *scan, TcTable *table, const char *index, int32 id)
{
	ScanKeyData key;

	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(id));
	tc_scan_seek(scan, table, index, TC_LATEST, &key, 1);
}

void
tc_namespaces_seek(TcScan *scan, int32 namespace_id)
{
	seek_id(scan, &namespaces_table, "task_namespaces_pkey", namespace_id);
}

void
tc_templates_seek(TcScan *scan, int32 named_task_id)
{
	seek_id(scan, &templates_table, "named_tasks_pkey", named_task_id);
}

void
tc_template_steps_seek(TcScan *scan, int32 named_task_id)
{
	seek_id(scan, &steps_table, "named_steps_named_task_id_step_no_key", named_task_id);
}
