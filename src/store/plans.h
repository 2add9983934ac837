/*
 * plans.h
 *	  Statements prepared once per backend and run through SPI.
 *
 * A TcPlan stands beside its only user in store/, with its text and its
 * parameter types.  Values reach a statement as parameters, never as text.
 * tc_plan_run() expects an open SPI connection (tc_session_begin) and leaves
 * rows in SPI_tuptable, in memory that tc_session_end() frees.
 */
#ifndef TC_PLANS_H
#define TC_PLANS_H

#include "catalog/pg_type.h"
#include "executor/spi.h"

#define TC_PLAN_MAX_ARGS 40
#define TC_PLAN_MAX_COLUMNS 64

/*
 * How a statement reads.  TC_READ runs under the caller's snapshot, so that
 * several such statements in one call see one state of the database; it does
 * not see what the same call wrote.  TC_WRITE takes a new snapshot: what was
 * locked before is seen in its latest version.  TC_LATEST does so in every
 * isolation level.  TC_REPORT reads like TC_READ, but whole tables: it is planned
 * anew each time, for the tables as they are.
 */
typedef enum TcPlanKind
{
	TC_READ,
	TC_WRITE,
	TC_LATEST,
	TC_REPORT
} TcPlanKind;

typedef struct TcPlan
{
	const char *sql;
	TcPlanKind	kind;
	int			expect;			/* the SPI_OK_* code of a success */
	int			nargs;
	Oid			argtypes[TC_PLAN_MAX_ARGS];
	SPIPlanPtr	plan;			/* kept for the backend's life once prepared */
} TcPlan;

/* Run a statement; returns the number of rows.  nulls as in SPI: NULL = none are. */
extern uint64 tc_plan_run(TcPlan *plan, Datum *values, const char *nulls);

/* The values of one returned row, by column position from 1. */
extern bool tc_row_isnull(uint64 row, int column);
extern int64 tc_row_int64(uint64 row, int column);
extern int32 tc_row_int32(uint64 row, int column);
extern int16 tc_row_int16(uint64 row, int column);
extern bool tc_row_bool(uint64 row, int column);
extern char tc_row_char(uint64 row, int column);
extern double tc_row_float8(uint64 row, int column);
extern TimestampTz tc_row_timestamptz(uint64 row, int column);

/* A value of any type as it stands in the row; gone when the session ends. */
extern Datum tc_row_datum(uint64 row, int column, bool *isnull);

/* text, NULL as NULL; palloc'd in the session's caller context, so that it outlives SPI */
extern char *tc_row_text(uint64 row, int column);

/* a copy that outlives SPI of any varlena (jsonb, text, arrays), NULL as NULL */
extern struct varlena *tc_row_varlena(uint64 row, int column);

/* the same for a fixed-length type passed by reference (uuid) */
extern void *tc_row_fixed(uint64 row, int column, size_t size);

/* the value itself, whatever its type, as a copy that outlives SPI */
extern Datum tc_row_copy(uint64 row, int column, bool *isnull);

/* Arrays as parameters. */
extern Datum tc_array_int64(const int64 *values, int n);
extern Datum tc_array_int32(const int32 *values, int n);
extern Datum tc_array_bool(const bool *values, int n);
extern Datum tc_array_float8(const double *values, int n);
extern Datum tc_array_char(const char *values, int n);
extern Datum tc_array_timestamptz(const TimestampTz *values, int n);

/* A text parameter, with its place in the nulls of tc_plan_run(). */
extern Datum tc_text_or_null(const char *value, char *isnull);

/* NULL pointers become NULL elements */
extern Datum tc_array_text(const char *const *values, int n);
extern Datum tc_array_jsonb(const struct varlena *const *values, int n);

#endif							/* TC_PLANS_H */
