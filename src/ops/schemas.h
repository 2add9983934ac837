/*
 * schemas.h
 *	  Contexts and results that do not match the schemas of their template.
 */
#ifndef TC_OPS_SCHEMAS_H
#define TC_OPS_SCHEMAS_H

#include "domain/template.h"
#include "schema/json_schema.h"

/*
 * Refuses a context that does not match the template's input_schema (TC022, or
 * TC023 where finding out takes too long).  ordinal is its place in a call that
 * creates several tasks, else 0.
 */
extern void tc_require_context(const TcTemplate *template, const struct varlena *context,
							   int ordinal);

/*
 * NULL where the results match the step's result_schema, else why they do not,
 * in the caller's context.
 */
extern const TcSchemaReport *tc_check_results(const TcStep *step, const struct varlena *results);

/* Raises TC023 where validating the document took too long. */
extern void tc_require_bounds(const char *document, const TcSchemaReport *report);

/* Refuses the results of a step for what the report says. */
extern void tc_raise_invalid_results(int64 workflow_step_id, const TcSchemaReport *report)
			pg_attribute_noreturn();

/* The same as tc_raise_invalid_results() would report it: {sqlstate, message, errors}. */
extern struct varlena *tc_invalid_results_json(int64 workflow_step_id,
											   const TcSchemaReport *report);

#endif							/* TC_OPS_SCHEMAS_H */
