/*
 * request_store.c
 *	  Requests for tasks, as JSON.
 *
 * The server's own conversions make columns of the objects, under settings of
 * ours, so that one request means the same task whoever sends it.
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/uuid.h"

#include "compat.h"
#include "errors.h"
#include "store/plans.h"
#include "store/request_store.h"

#define MAX_REQUESTS 10000

static void
refuse(int64 ordinal, const char *what, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("requests must be an array of objects with the arguments of create_task"),
			 errdetail("Request " INT64_FORMAT ": %s", ordinal, what),
			 errhint("%s", hint)));
}

static TcPlan plan_find_fault = {
	.sql =
	"SELECT e.ord, jsonb_typeof(e.request) = 'object', k.key"
	" FROM jsonb_array_elements($1) WITH ORDINALITY AS e(request, ord)"
	" LEFT JOIN LATERAL ("
	"  SELECT key FROM jsonb_object_keys(CASE WHEN jsonb_typeof(e.request) = 'object' THEN e.request"
	"   ELSE '{}' END) AS o(key)"
	"  WHERE key <> ALL ('{name,context,namespace,version,idempotency_key,priority,run_at,initiator,"
	"source_system,reason,tags,correlation_id,parent_correlation_id}'::text[]) LIMIT 1) k ON true"
	" WHERE jsonb_typeof(e.request) <> 'object' OR k.key IS NOT NULL"
	"  OR jsonb_typeof(e.request -> 'name') IS DISTINCT FROM 'string'"
	" ORDER BY e.ord LIMIT 1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {JSONBOID},
};

static void
refuse_faults(Datum json)
{
	int64		ordinal;

	if (!JB_ROOT_IS_ARRAY((Jsonb *) DatumGetPointer(json)) ||
		JB_ROOT_IS_SCALAR((Jsonb *) DatumGetPointer(json)))
		refuse(0, "there is no array.", "Wrap a single request into an array.");
	if (JB_ROOT_COUNT((Jsonb *) DatumGetPointer(json)) > MAX_REQUESTS)
		tc_raise_limit("the number of tasks in one call",
					   JB_ROOT_COUNT((Jsonb *) DatumGetPointer(json)), MAX_REQUESTS,
					   "Split the requests.");
	if (tc_plan_run(&plan_find_fault, &json, NULL) == 0)
		return;
	ordinal = tc_row_int64(0, 1);
	if (!tc_row_bool(0, 2))
		refuse(ordinal, "it is no object.", "Each request is an object.");
	if (!tc_row_isnull(0, 3))
		refuse(ordinal, psprintf("unknown key \"%s\".", tc_row_text(0, 3)),
			   "Keys are the names of create_task's arguments.");
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("name must not be null"),
			 errdetail("Request " INT64_FORMAT " has no name, or one that is no string.", ordinal),
			 errhint("Pass the name of a registered template.")));
}

static TcPlan plan_read = {
	.sql =
	"SELECT r.name, r.context, r.namespace, r.version, r.idempotency_key, coalesce(r.priority, 0),"
	" r.run_at, r.initiator, r.source_system, r.reason, r.tags, r.correlation_id, r.parent_correlation_id"
	" FROM jsonb_array_elements($1) WITH ORDINALITY AS e(request, ord)"
	" CROSS JOIN LATERAL jsonb_to_record(e.request) AS r(name text, context jsonb, namespace text,"
	"  version text, idempotency_key text, priority int, run_at timestamptz, initiator text,"
	"  source_system text, reason text, tags text[], correlation_id uuid, parent_correlation_id uuid)"
	" ORDER BY e.ord",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {JSONBOID},
};

static void
set_for_now(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/* "01/02/2030" and "2030-02-01 10:00" are the same moment under every DateStyle and TimeZone. */
static uint64
convert(Datum json)
{
	int			guc_level = NewGUCNestLevel();
	uint64		n;

	set_for_now("datestyle", "ISO, MDY");
	set_for_now("timezone", "UTC");
	n = tc_plan_run(&plan_read, &json, NULL);
	AtEOXact_GUC(true, guc_level);
	return n;
}

/* A JSON null for the context means that it was left out. */
static const struct varlena *
context_of(uint64 row)
{
	struct varlena *context = tc_row_varlena(row, 2);
	JsonbValue	value;

	if (context != NULL && JsonbExtractScalar(&((Jsonb *) context)->root, &value) &&
		value.type == jbvNull)
		return NULL;
	return context;
}

/* What create_task refuses in an array of its own. */
static Datum
tags_of(uint64 row)
{
	ArrayType  *tags = (ArrayType *) tc_row_varlena(row, 11);

	if (tags != NULL && ARR_NDIM(tags) > 1)
		refuse((int64) row + 1, "tags has several dimensions.", "Pass a plain list.");
	if (tags != NULL && array_contains_nulls(tags))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tags must not contain nulls"),
				 errdetail("Request " INT64_FORMAT " has a null among its tags.", (int64) row + 1),
				 errhint("Leave the element out.")));
	return PointerGetDatum(tags);
}

static void
read_request(uint64 row, TcCreateRequest *request)
{
	TcNewTask  *task = &request->task;

	request->name = tc_row_text(row, 1);
	request->namespace_name = tc_row_text(row, 3);
	request->version = tc_row_text(row, 4);
	task->context = context_of(row);
	task->idempotency_key = tc_row_text(row, 5);
	task->priority = tc_row_int32(row, 6);
	task->has_run_at = !tc_row_isnull(row, 7);
	task->run_at = tc_row_timestamptz(row, 7);
	task->initiator = tc_row_text(row, 8);
	task->source_system = tc_row_text(row, 9);
	task->reason = tc_row_text(row, 10);
	task->tags = tags_of(row);
	task->correlation_id = PointerGetDatum(tc_row_fixed(row, 12, UUID_LEN));
	task->parent_correlation_id = PointerGetDatum(tc_row_fixed(row, 13, UUID_LEN));
}

int
tc_requests_read(const struct varlena *json, TcCreateRequest **requests)
{
	Datum		value = PointerGetDatum(json);
	int			n;

	refuse_faults(value);
	n = (int) convert(value);
	*requests = palloc0(sizeof(TcCreateRequest) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		read_request(i, &(*requests)[i]);
		(*requests)[i].ordinal = i + 1;
	}
	return n;
}
