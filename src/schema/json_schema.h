/*
 * json_schema.h
 *	  JSON Schema (draft 2020-12): checking schemas, and documents by them.
 *
 * A schema is kept as it was written and interpreted; there is nothing to
 * compile or to cache.  What tc_schema_check() finds no fault with, the
 * validator takes.  No table is touched here.
 */
#ifndef TC_JSON_SCHEMA_H
#define TC_JSON_SCHEMA_H

#include "nodes/pg_list.h"

#include "schema/json_value.h"

/* How many errors are reported of one document. */
#define TC_SCHEMA_MAX_ERRORS	10

/*
 * The bounds of one validation.  A step is one schema looked at for one value,
 * one property or item looked for, or 32 bytes compared: a second or two for
 * all of them.
 */
#define TC_SCHEMA_MAX_STEPS		INT64CONST(10000000)
#define TC_SCHEMA_MAX_DEPTH		500

/*
 * What is wrong with a schema: texts (char *) appended to the lists, each
 * beginning with a path that starts with `name`.  A schema with faults must not
 * be used; a warning names what has no effect.  Raises TC023 for a schema
 * nested deeper than TC_SCHEMA_MAX_DEPTH.
 */
extern void tc_schema_check(const JsonbValue *schema, const char *name,
							List **faults, List **warnings);

/* One thing that is wrong with a document. */
typedef struct TcSchemaError
{
	const char *path;			/* an SQL/JSON path: $.items[2].price */
	const char *message;		/* a phrase about what is there: "must be ..." */
} TcSchemaError;

typedef enum TcSchemaBound
{
	TC_SCHEMA_WITHIN_BOUNDS,
	TC_SCHEMA_TOO_MANY_STEPS,
	TC_SCHEMA_TOO_DEEP
} TcSchemaBound;

typedef struct TcSchemaReport
{
	TcSchemaBound bound;		/* where one was exceeded, nothing is known */
	bool		of_batches;		/* no schema: the results do not say which batches there are */
	bool		of_decision;	/* no schema: the results do not say which branches to take */
	int			nerrors;
	TcSchemaError errors[TC_SCHEMA_MAX_ERRORS];
} TcSchemaReport;

/*
 * Does the document match the schema (both jsonb)?  Where it does not, the
 * report says why, in the current memory context.  Raises nothing about the
 * document.
 */
extern bool tc_schema_validate(const struct varlena *schema, const struct varlena *document,
							   TcSchemaReport *report);

/* The errors of a report, a line each. */
extern char *tc_schema_report_lines(const TcSchemaReport *report);

#endif							/* TC_JSON_SCHEMA_H */
