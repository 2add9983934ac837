/*
 * condition.h
 *	  Conditions as data: comparisons over a task's context and the results of a
 *	  step's parents.
 */
#ifndef TC_CONDITION_H
#define TC_CONDITION_H

#include "nodes/pg_list.h"

#include "domain/template.h"
#include "schema/json_value.h"

/* Where paths lead. */
typedef struct TcInputs
{
	const struct varlena *context;

	/* the results of a parent, NULL where it has none; -1 is never asked for */
	const struct varlena *(*results) (void *arg, int32 parent);
	void	   *arg;
	const TcTemplate *template;
} TcInputs;

/*
 * What is wrong with a condition or a path, as texts (char *) appended to faults,
 * each beginning with where it is.  parents are the names (char *) that
 * results.NAME may have.
 */
extern void tc_condition_check(const JsonbValue *condition, const char *name, List *parents,
							   List **faults);
extern void tc_path_check(const JsonbValue *path, const char *name, List *parents, List **faults);

/* Does it hold?  The condition has been checked. */
extern bool tc_condition_holds(const struct varlena *condition, const TcInputs *inputs);

/* The parts of a checked path, as texts (char *). */
extern List *tc_path_parts(const JsonbValue *path);

/* The value a checked path leads to; false when there is none. */
extern bool tc_path_value(const JsonbValue *path, const TcInputs *inputs, JsonbValue *value);

#endif							/* TC_CONDITION_H */
