/*
 * templates.h
 *	  What can be done with templates.
 */
#ifndef TC_TEMPLATES_H
#define TC_TEMPLATES_H

#include "nodes/pg_list.h"

#include "store/template_store.h"

typedef struct TcRegistration
{
	int32		named_task_id;
	const char *namespace_name;
	const char *name;
	const char *version;
	bool		created;		/* false: this version was there, with this content */
	List	   *warnings;		/* of char *, each beginning with the path it is about */
} TcRegistration;

/*
 * Register a template (jsonb).  Raises TC020 naming every fault, TC021 when the
 * version is registered with other content; stores nothing then.
 */
extern void tc_register_template(const struct varlena *json, TcRegistration *registration);

/*
 * Registers a template under a version of its own, made from its content.  Runs
 * inside a session bracket, unlike the others here.
 */
extern int32 tc_register_by_content(const struct varlena *json);

/* The warnings that registering would give (char *); raises TC020 like it. */
extern List *tc_validate_template(const struct varlena *json);

/* The normal form of a version, NULL = the highest; TC001 when there is none. */
extern struct varlena *tc_get_template(const char *name, const char *namespace_name,
									   const char *version);

/* Every version in a namespace, NULL = in all; returns how many. */
extern int	tc_list_templates(const char *namespace_name, TcTemplateSummary **summaries);

#endif							/* TC_TEMPLATES_H */
