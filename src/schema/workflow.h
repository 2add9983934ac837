/*
 * workflow.h
 *	  What a step that is a sub-workflow runs: a template, and the context of its task.
 */
#ifndef TC_WORKFLOW_H
#define TC_WORKFLOW_H

#include "schema/condition.h"

typedef struct TcWorkflow
{
	const char *name;
	const char *namespace_name; /* NULL = that of the step's own template */
	const char *version;		/* NULL = the highest there is when the task is made */
} TcWorkflow;

/*
 * What is wrong with the value of a step's key workflow, appended to faults as in
 * tc_condition_check().
 */
extern void tc_workflow_check(const JsonbValue *workflow, const char *name, List *parents, List **faults);

/* Of a value that has been checked. */
extern TcWorkflow tc_workflow_read(const struct varlena *workflow);

/*
 * The context of the task: that of the parent, or what the step says, with every
 * {"path": ...} in it replaced by what is there.  What is not there is left out of
 * an object, and null in an array.  NULL where it comes to no object.
 */
extern struct varlena *tc_workflow_context(const struct varlena *workflow, const TcInputs *inputs);

#endif							/* TC_WORKFLOW_H */
