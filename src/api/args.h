/*
 * args.h
 *	  Datums in, rows out: what every SQL entry point needs.
 */
#ifndef TC_ARGS_H
#define TC_ARGS_H

#include "fmgr.h"
#include "nodes/execnodes.h"
#include "utils/timestamp.h"

#include "store/session.h"

/* A required argument that is NULL is refused with 22004, by name. */
extern void tc_arg_require(FunctionCallInfo fcinfo, int argno, const char *name);

/* Text argument as a C string, NULL for SQL NULL. */
extern char *tc_arg_text(FunctionCallInfo fcinfo, int argno);
extern char *tc_arg_required_text(FunctionCallInfo fcinfo, int argno, const char *name);
extern int64 tc_arg_required_int64(FunctionCallInfo fcinfo, int argno, const char *name);

/* A defaulted argument given as an explicit NULL means its default. */
extern int64 tc_arg_int64(FunctionCallInfo fcinfo, int argno, int64 otherwise);
extern int32 tc_arg_int32(FunctionCallInfo fcinfo, int argno, int32 otherwise);
extern bool tc_arg_bool(FunctionCallInfo fcinfo, int argno, bool otherwise);

/* Seconds: refuses NaN and infinity (22008) and what lies outside min … max (22023). */
extern double tc_arg_seconds(FunctionCallInfo fcinfo, int argno, const char *name,
							 double otherwise, double min, double max);

/* jsonb as an opaque detoasted pointer, NULL for SQL NULL. */
extern struct varlena *tc_arg_jsonb(FunctionCallInfo fcinfo, int argno);

/*
 * One-dimensional arrays.  A NULL element or a second dimension is refused
 * (22004, 22023).  NULL array: *values NULL, returns -1.
 */
extern int tc_arg_int64_array(FunctionCallInfo fcinfo, int argno, const char *name, int64 **values);
extern int tc_arg_int32_array(FunctionCallInfo fcinfo, int argno, const char *name, int32 **values);
extern int tc_arg_text_array(FunctionCallInfo fcinfo, int argno, const char *name, char ***values);
extern int tc_arg_jsonb_array(FunctionCallInfo fcinfo, int argno, const char *name,
							  struct varlena ***values);

/* Rows of a set-returning function, materialised. */
typedef struct TcEmit
{
	ReturnSetInfo *rsinfo;
	int			column;
	Datum	   *values;
	bool	   *nulls;
} TcEmit;

extern void tc_emit_begin(FunctionCallInfo fcinfo, TcEmit *emit);
extern void tc_emit_text(TcEmit *emit, const char *value);	/* NULL = SQL NULL */
extern void tc_emit_jsonb(TcEmit *emit, const struct varlena *value);	/* NULL = SQL NULL */
extern void tc_emit_row(TcEmit *emit);

static inline void
tc_emit_null(TcEmit *emit)
{
	emit->nulls[emit->column++] = true;
}

static inline void
tc_emit_datum(TcEmit *emit, Datum value)
{
	emit->nulls[emit->column] = false;
	emit->values[emit->column++] = value;
}

static inline void
tc_emit_int64(TcEmit *emit, int64 value)
{
	tc_emit_datum(emit, Int64GetDatum(value));
}

static inline void
tc_emit_int32(TcEmit *emit, int32 value)
{
	tc_emit_datum(emit, Int32GetDatum(value));
}

static inline void
tc_emit_bool(TcEmit *emit, bool value)
{
	tc_emit_datum(emit, BoolGetDatum(value));
}

/* TC_NO_TIME = SQL NULL */
static inline void
tc_emit_timestamptz(TcEmit *emit, TimestampTz value)
{
	if (value == TC_NO_TIME)
		tc_emit_null(emit);
	else
		tc_emit_datum(emit, TimestampTzGetDatum(value));
}

#endif							/* TC_ARGS_H */
