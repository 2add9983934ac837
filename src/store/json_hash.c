/*
 * json_hash.c
 *	  SHA-256 of what a jsonb value says, not of how it was written.
 *
 * The value is written in a canonical form, which is then hashed.  jsonb keeps
 * the keys of an object in one order and each of them once; strings are written
 * with their length, so that no two values share a form.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "store/json_hash.h"

static void write_scalar(StringInfo out, const JsonbValue *value);
static void write_string(StringInfo out, const JsonbValue *value);

struct varlena *
tc_json_hash(const struct varlena *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&((Jsonb *) json)->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoSpaces(&out, VARHDRSZ);
	while ((token = JsonbIteratorNext(&iterator, &value, false)) != WJB_DONE)
	{
		CHECK_FOR_INTERRUPTS();
		switch (token)
		{
			case WJB_BEGIN_ARRAY:
				appendStringInfoChar(&out, value.val.array.rawScalar ? '(' : '[');
				break;
			case WJB_BEGIN_OBJECT:
				appendStringInfoChar(&out, '{');
				break;
			case WJB_END_ARRAY:
			case WJB_END_OBJECT:
				appendStringInfoChar(&out, ']');
				break;
			default:
				write_scalar(&out, &value);
				break;
		}
	}
	SET_VARSIZE(out.data, out.len);
	return (struct varlena *)
		DatumGetPointer(DirectFunctionCall1(sha256_bytea, PointerGetDatum(out.data)));
}

static void
write_scalar(StringInfo out, const JsonbValue *value)
{
	switch (value->type)
	{
		case jbvNull:
			appendStringInfoChar(out, 'z');
			break;
		case jbvBool:
			appendStringInfoChar(out, value->val.boolean ? 't' : 'f');
			break;
		case jbvNumeric:
			appendStringInfo(out, "n%s;", numeric_normalize(value->val.numeric));
			break;
		case jbvString:
			write_string(out, value);
			break;
		default:
			elog(ERROR, "unexpected type %d in jsonb", (int) value->type);
	}
}

static void
write_string(StringInfo out, const JsonbValue *value)
{
	appendStringInfo(out, "s%d:", value->val.string.len);
	appendBinaryStringInfo(out, value->val.string.val, value->val.string.len);
}
