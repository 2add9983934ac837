/*
 * limits.h
 *	  What is too large to be accepted.
 */
#ifndef TC_OPS_LIMITS_H
#define TC_OPS_LIMITS_H

#include "domain/template.h"

/* Refuses a jsonb larger or deeper than the settings allow (TC023). */
extern void tc_limit_payload(const struct varlena *json, const char *name);

/* Refuses a template with more steps or dependencies than the settings allow (TC023). */
extern void tc_limit_template(const TcTemplate *template);

/*
 * After n tasks were created, and those of a namespace: refuse what is more than the
 * settings allow (TC023), which takes the tasks back.
 */
extern void tc_limit_starts(const char *role, int n);
extern void tc_limit_pending(const char *namespace_name);

#endif							/* TC_OPS_LIMITS_H */
