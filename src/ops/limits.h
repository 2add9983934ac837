/*
 * limits.h
 *	  What is too large to be accepted.
 */
#ifndef TC_OPS_LIMITS_H
#define TC_OPS_LIMITS_H

/* Refuses a jsonb larger than tasker_core.max_payload_size (TC023). */
extern void tc_limit_payload(const struct varlena *json, const char *name);

#endif							/* TC_OPS_LIMITS_H */
