/*
 * template_json.h
 *	  The one place that knows how templates are written.
 *
 * Two dialects are accepted.  The normal form is the template in ours: other
 * spellings renamed, several ways to say one thing brought to one, null and
 * empty values dropped, descriptive keys kept as they are, defaults left out as
 * they were.  So templates that differ only in dialect or in the order of their
 * keys have one normal form, and the normal form is its own.
 */
#ifndef TC_TEMPLATE_JSON_H
#define TC_TEMPLATE_JSON_H

#include "nodes/pg_list.h"

#include "domain/template.h"

/* A definition as read. */
typedef struct TcDefinition
{
	List	   *faults;			/* of char *, each beginning with its path; NIL = valid */
	List	   *warnings;		/* of char *, likewise */
	const char *namespace_name; /* the default where it could not be read */
	const char *name;			/* NULL where it could not be read */

	/* These are set only where there are no faults. */
	TcTemplate *template;
	const struct varlena *normal_form;	/* jsonb */
	const struct varlena *hash; /* bytea: SHA-256 of the normal form */
} TcDefinition;

/*
 * Read a template (jsonb).  Finds every fault before it returns; raises only
 * for limits (TC023).  Touches no table.
 */
extern void tc_template_parse(const struct varlena *json, TcDefinition *definition);

#endif							/* TC_TEMPLATE_JSON_H */
