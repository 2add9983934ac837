/*
 * decision.h
 *	  The results of decisions: which branches to take.
 */
#ifndef TC_DECISION_H
#define TC_DECISION_H

#include "domain/template.h"

/*
 * Reads the result of step `node`, a decision.  taken[c] is set for the c-th of
 * its children: true when the result names it, or a step that it leads to and
 * that is no child of the decision itself.
 * Returns NULL, or what is wrong with the result (in the current context), with
 * where that is in *path.
 */
extern const char *tc_decision_read(const TcTemplate *template, int32 node,
									const struct varlena *results, bool *taken, const char **path);

#endif							/* TC_DECISION_H */
