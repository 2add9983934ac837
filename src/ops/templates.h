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

/* All of these but tc_validate_template() run inside a session bracket. */

/*
 * Register a template (jsonb).  Raises TC020 naming every fault, TC021 when the
 * version is registered with other content; stores nothing then.
 */
extern void tc_register_template(const struct varlena *json, TcRegistration *registration);

/* Registers a template under a version of its own, made from its content. */
extern int32 tc_register_by_content(const struct varlena *json);

/* The warnings that registering would give (char *); raises TC020 like it. */
extern List *tc_validate_template(const struct varlena *json);

/* The id of a version that the caller may see, NULL = the highest; TC001 when there is none. */
extern int32 tc_find_template(const char *namespace_name, const char *name, const char *version);

/* The normal form of a version, NULL = the highest; TC001 when there is none. */
extern struct varlena *tc_get_template(const char *name, const char *namespace_name,
									   const char *version);

/* See tc_template_retire(); TC001 when there is no such version. */
extern int	tc_retire_template(const char *name, const char *namespace_name, const char *version,
							   bool retired);

/* Every version in a namespace, NULL = in all, that the caller may see; returns how many. */
extern int	tc_list_templates(const char *namespace_name, TcTemplateSummary **summaries);

#endif							/* TC_TEMPLATES_H */
