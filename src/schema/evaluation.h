/*
 * evaluation.h
 *	  The state of one validation (inside src/schema).
 *
 * Nothing is raised on the way.  Once a bound is exceeded everything returns
 * false at once, and what was found so far means nothing.
 */
#ifndef TC_EVALUATION_H
#define TC_EVALUATION_H

#include "schema/json_schema.h"

/* Where a value stands in the document. */
typedef struct TcLocation
{
	const struct TcLocation *parent;	/* NULL for the document itself */
	const JsonbValue *key;		/* NULL = element of an array */
	int			index;
} TcLocation;

typedef struct TcEvaluation
{
	JsonbValue	root;			/* the whole schema: what references start from */
	int64		steps;
	int			depth;
	int			quiet;			/* above 0, only the verdict is wanted */
	TcSchemaReport *report;
} TcEvaluation;

/* A value that a schema is applied to. */
typedef struct TcSite
{
	JsonbContainer *schema;
	const JsonbValue *value;
	const TcLocation *where;
} TcSite;

/* Does the value match the schema?  Errors are reported. */
extern bool tc_schema_apply(TcEvaluation *evaluation, const JsonbValue *schema,
							const JsonbValue *value, const TcLocation *where);

/* The same without a report: for schemas that need not match. */
extern bool tc_schema_test(TcEvaluation *evaluation, const JsonbValue *schema,
						   const JsonbValue *value);

/* Counts work; false when there was too much of it. */
extern bool tc_schema_spend(TcEvaluation *evaluation, int64 steps);

/* Does the text match the pattern?  Counts the work. */
extern bool tc_schema_match(TcEvaluation *evaluation, const JsonbValue *pattern,
							const JsonbValue *text);

/* Is there anything left to find out after this much? */
extern bool tc_schema_goes_on(const TcEvaluation *evaluation, bool matches);

extern bool tc_schema_wants_errors(const TcEvaluation *evaluation);
extern bool tc_schema_error(TcEvaluation *evaluation, const TcLocation *where,
							const char *format, ...) pg_attribute_printf(3, 4);

/* Reports an error, whose parts are worked out only where somebody wants to know; is false. */
#define TC_SCHEMA_MISMATCH(evaluation, ...) \
	(tc_schema_wants_errors(evaluation) ? tc_schema_error(evaluation, __VA_ARGS__) : false)

/* assertions.c: keywords about a value itself. */
extern bool tc_apply_type(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_enum(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_const(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_minimum(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_maximum(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_exclusive_minimum(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_exclusive_maximum(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_multiple_of(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_min_length(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_max_length(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_pattern(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_min_items(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_max_items(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_unique_items(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_min_properties(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_max_properties(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_required(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_dependent_required(TcEvaluation *, const TcSite *, const JsonbValue *);

/* applicators.c: keywords that apply other schemas, to the value or to its parts. */
extern bool tc_apply_reference(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_all_of(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_any_of(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_one_of(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_not(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_if(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_dependent_schemas(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_properties(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_pattern_properties(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_additional_properties(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_property_names(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_prefix_items(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_items(TcEvaluation *, const TcSite *, const JsonbValue *);
extern bool tc_apply_contains(TcEvaluation *, const TcSite *, const JsonbValue *);

#endif							/* TC_EVALUATION_H */
