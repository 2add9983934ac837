/*
 * template_flow.c
 *	  The limits of a step as they are stored (named_steps.flow_limits).
 */
#include "postgres.h"

#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"

#include "compat.h"
#include "schema/json_value.h"
#include "store/template_flow.h"

static void
write_member(JsonbParseState **state, const char *name, JsonbValue *value)
{
	JsonbValue	key = {.type = jbvString};

	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
	pushJsonbValue(state, WJB_VALUE, value);
}

static void
write_number(JsonbParseState **state, const char *name, double number)
{
	JsonbValue	value = {.type = jbvNumeric};

	value.val.numeric = DatumGetNumeric(DirectFunctionCall1(float8_numeric, Float8GetDatum(number)));
	write_member(state, name, &value);
}

const struct varlena *
tc_flow_to_json(const TcFlowLimits *flow)
{
	JsonbParseState *state = NULL;
	JsonbValue	shared = {.type = jbvBool};

	if (flow->concurrency == 0 && flow->rate == 0)
		return NULL;
	shared.val.boolean = flow->shared;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	write_member(&state, "shared", &shared);
	if (flow->key != NULL)
	{
		JsonbValue	key = tc_json_root(flow->key);

		write_member(&state, "key", &key);
	}
	if (flow->concurrency > 0)
		write_number(&state, "concurrency", flow->concurrency);
	if (flow->rate > 0)
	{
		write_number(&state, "rate", flow->rate);
		write_number(&state, "period_seconds", flow->period_seconds);
	}
	return (struct varlena *) JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static double
read_number(JsonbContainer *object, const char *name)
{
	JsonbValue	value;

	if (!tc_json_member(object, name, strlen(name), &value))
		return 0;
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
}

TcFlowLimits
tc_flow_from_json(const struct varlena *json)
{
	TcFlowLimits flow = {0};
	JsonbValue	root;
	JsonbValue	value;
	JsonbContainer *object;

	if (json == NULL)
		return flow;
	root = tc_json_root(json);
	object = tc_json_object(&root);
	flow.shared = tc_json_member(object, "shared", strlen("shared"), &value) && value.val.boolean;
	if (tc_json_member(object, "key", strlen("key"), &value))
		flow.key = (struct varlena *) JsonbValueToJsonb(&value);
	flow.concurrency = (int32) read_number(object, "concurrency");
	flow.rate = (int32) read_number(object, "rate");
	flow.period_seconds = read_number(object, "period_seconds");
	return flow;
}
