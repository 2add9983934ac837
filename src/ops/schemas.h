/*
 * schemas.h
 *	  Contexts and results that do not match the schemas of their template.
 */
#ifndef TC_OPS_SCHEMAS_H
#define TC_OPS_SCHEMAS_H

#include "domain/template.h"
#include "schema/json_schema.h"
#include "store/step_store.h"

/*
 * Refuses a context that does not match the template's input_schema (TC022, or
 * TC023 where finding out takes too long).  ordinal is its place in a call that
 * creates several tasks, else 0.
 */
extern void tc_require_context(const TcTemplate *template, const struct varlena *context,
							   int ordinal);

/*
 * NULL where the results match the step's result_schema, and those of a decision
 * say which branches to take, those of a batchable step which batches there are; else why not, in the caller's context.  *taken says
 * which of its children a decision takes; NULL of any other step.
 */
extern const TcSchemaReport *tc_check_results(const TcTemplate *template, int32 node,
											  const struct varlena *results, bool **taken);

/*
 * Which of its children a decision takes that a person resolves with these results
 * (may be NULL); TC022 where they do not say, and where those of a batchable step do
 * not say which batches there are.  NULL of any step but a decision.
 */
extern const bool *tc_require_outcome(const TcTemplate *template, TcStepKey key,
									   const struct varlena *results);

/* Raises TC023 where validating the document took too long. */
extern void tc_require_bounds(const char *document, const TcSchemaReport *report);

/* Refuses the results of a step for what the report says. */
extern void tc_raise_invalid_results(int64 workflow_step_id, const TcSchemaReport *report)
			pg_attribute_noreturn();

/* The same as tc_raise_invalid_results() would report it: {sqlstate, message, errors}. */
extern struct varlena *tc_invalid_results_json(int64 workflow_step_id,
											   const TcSchemaReport *report);

#endif							/* TC_OPS_SCHEMAS_H */
