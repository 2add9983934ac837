/*
 * batch.h
 *	  The results of batchable steps: which batches there are.
 */
#ifndef TC_BATCH_H
#define TC_BATCH_H

#include "domain/template.h"

/*
 * Reads the result of a batchable step whose batches go to the step `worker`.
 * *cursors is the array of their cursors, a document; NULL = there are no batches.
 * Returns NULL, or what is wrong with the result (in the current context), with
 * where that is in *path.
 */
extern const char *tc_batch_read(const char *worker, int32 max_batches, const struct varlena *results,
								 const struct varlena **cursors, const char **path);

/* What the workers of a batch share: their batch_metadata. */
extern struct varlena *tc_batch_metadata(const struct varlena *batch_config, const char *failure_strategy);

#endif							/* TC_BATCH_H */
