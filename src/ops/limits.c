/*
 * limits.c
 *	  What is too large to be accepted.
 */
#include "postgres.h"

#include "compat.h"
#include "errors.h"
#include "guc.h"
#include "ops/limits.h"

void
tc_limit_payload(const struct varlena *json, const char *name)
{
	int64		limit = (int64) tc_guc_max_payload_kb * 1024;
	int64		size = VARSIZE_ANY(json);

	if (size > limit)
		tc_raise_limit(psprintf("the size of %s in bytes", name), size, limit,
					   "Store large data elsewhere and pass a reference, or raise tasker_core.max_payload_size.");
}
