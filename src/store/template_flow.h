/*
 * template_flow.h
 *	  The limits of a step as they are stored (named_steps.flow_limits).
 */
#ifndef TC_TEMPLATE_FLOW_H
#define TC_TEMPLATE_FLOW_H

#include "domain/template.h"

/* NULL for a step without limits. */
extern const struct varlena *tc_flow_to_json(const TcFlowLimits *flow);

/* In the current context; NULL gives no limits. */
extern TcFlowLimits tc_flow_from_json(const struct varlena *json);

#endif							/* TC_TEMPLATE_FLOW_H */
