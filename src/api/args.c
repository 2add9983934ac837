/*
 * args.c
 *	  Datums in, rows out: what every SQL entry point needs.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "api/args.h"
#include "compat.h"

void
tc_arg_require(FunctionCallInfo fcinfo, int argno, const char *name)
{
	if (PG_ARGISNULL(argno))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name),
				 errdetail("The argument \"%s\" of this function is required.", name),
				 errhint("Pass a value for \"%s\".", name)));
}

char *
tc_arg_text(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(argno));
}

char *
tc_arg_required_text(FunctionCallInfo fcinfo, int argno, const char *name)
{
	tc_arg_require(fcinfo, argno, name);
	return tc_arg_text(fcinfo, argno);
}

int64
tc_arg_required_int64(FunctionCallInfo fcinfo, int argno, const char *name)
{
	tc_arg_require(fcinfo, argno, name);
	return PG_GETARG_INT64(argno);
}

int64
tc_arg_int64(FunctionCallInfo fcinfo, int argno, int64 otherwise)
{
	return PG_ARGISNULL(argno) ? otherwise : PG_GETARG_INT64(argno);
}

int32
tc_arg_int32(FunctionCallInfo fcinfo, int argno, int32 otherwise)
{
	return PG_ARGISNULL(argno) ? otherwise : PG_GETARG_INT32(argno);
}

bool
tc_arg_bool(FunctionCallInfo fcinfo, int argno, bool otherwise)
{
	return PG_ARGISNULL(argno) ? otherwise : PG_GETARG_BOOL(argno);
}

double
tc_arg_seconds(FunctionCallInfo fcinfo, int argno, const char *name,
			   double otherwise, double min, double max)
{
	double		seconds;

	if (PG_ARGISNULL(argno))
		return otherwise;
	seconds = PG_GETARG_FLOAT8(argno);
	if (isnan(seconds) || isinf(seconds))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite number of seconds", name),
				 errdetail("It is %g.", seconds),
				 errhint("Pass a number from %g to %g.", min, max)));
	if (seconds < min || seconds > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is out of range", name),
				 errdetail("It is %g seconds.", seconds),
				 errhint("Pass a number from %g to %g.", min, max)));
	return seconds;
}

struct varlena *
tc_arg_jsonb(FunctionCallInfo fcinfo, int argno)
{
	return PG_ARGISNULL(argno) ? NULL : PG_DETOAST_DATUM(PG_GETARG_DATUM(argno));
}

/* ---- arrays -------------------------------------------------------------- */

static ArrayType *
arg_array(FunctionCallInfo fcinfo, int argno, const char *name)
{
	ArrayType  *array;

	if (PG_ARGISNULL(argno))
		return NULL;
	array = PG_GETARG_ARRAYTYPE_P(argno);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be a one-dimensional array", name),
				 errdetail("It has %d dimensions.", ARR_NDIM(array)),
				 errhint("Pass a plain list.")));
	if (array_contains_nulls(array))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not contain nulls", name),
				 errdetail("Every element of the argument \"%s\" needs a value.", name),
				 errhint("Leave the element out, or pass a JSON null where a result is null.")));
	return array;
}

static int
arg_array_datums(FunctionCallInfo fcinfo, int argno, const char *name,
				 Oid type, int16 len, bool byval, char align, Datum **datums)
{
	ArrayType  *array = arg_array(fcinfo, argno, name);
	int			n;

	if (array == NULL)
	{
		*datums = NULL;
		return -1;
	}
	deconstruct_array(array, type, len, byval, align, datums, NULL, &n);
	return n;
}

int
tc_arg_int64_array(FunctionCallInfo fcinfo, int argno, const char *name, int64 **values)
{
	Datum	   *datums;
	int			n = arg_array_datums(fcinfo, argno, name, INT8OID, 8, true,
									 TYPALIGN_DOUBLE, &datums);

	*values = n < 0 ? NULL : palloc(sizeof(int64) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*values)[i] = DatumGetInt64(datums[i]);
	return n;
}

int
tc_arg_int32_array(FunctionCallInfo fcinfo, int argno, const char *name, int32 **values)
{
	Datum	   *datums;
	int			n = arg_array_datums(fcinfo, argno, name, INT4OID, 4, true,
									 TYPALIGN_INT, &datums);

	*values = n < 0 ? NULL : palloc(sizeof(int32) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*values)[i] = DatumGetInt32(datums[i]);
	return n;
}

int
tc_arg_text_array(FunctionCallInfo fcinfo, int argno, const char *name, char ***values)
{
	Datum	   *datums;
	int			n = arg_array_datums(fcinfo, argno, name, TEXTOID, -1, false,
									 TYPALIGN_INT, &datums);

	*values = n < 0 ? NULL : palloc(sizeof(char *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*values)[i] = TextDatumGetCString(datums[i]);
	return n;
}

int
tc_arg_jsonb_array(FunctionCallInfo fcinfo, int argno, const char *name,
				   struct varlena ***values)
{
	Datum	   *datums;
	int			n = arg_array_datums(fcinfo, argno, name, JSONBOID, -1, false,
									 TYPALIGN_INT, &datums);

	*values = n < 0 ? NULL : palloc(sizeof(struct varlena *) * Max(n, 1));
	for (int i = 0; i < n; i++)
		(*values)[i] = PG_DETOAST_DATUM(datums[i]);
	return n;
}

/* ---- rows ---------------------------------------------------------------- */

void
tc_emit_begin(FunctionCallInfo fcinfo, TcEmit *emit)
{
	int			columns;

	/* the expected descriptor also serves functions of one column, whose result is no row type */
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	emit->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	columns = emit->rsinfo->setDesc->natts;
	emit->column = 0;
	emit->values = palloc0(sizeof(Datum) * columns);
	emit->nulls = palloc0(sizeof(bool) * columns);
}

void
tc_emit_text(TcEmit *emit, const char *value)
{
	if (value == NULL)
		tc_emit_null(emit);
	else
		tc_emit_datum(emit, CStringGetTextDatum(value));
}

void
tc_emit_jsonb(TcEmit *emit, const struct varlena *value)
{
	if (value == NULL)
		tc_emit_null(emit);
	else
		tc_emit_datum(emit, PointerGetDatum(value));
}

void
tc_emit_row(TcEmit *emit)
{
	Assert(emit->column == emit->rsinfo->setDesc->natts);
	tuplestore_putvalues(emit->rsinfo->setResult, emit->rsinfo->setDesc,
						 emit->values, emit->nulls);
	emit->column = 0;
}
