/*
 * template_store.h
 *	  Templates in the tables, and compiled once per backend.
 *
 * Everything here runs inside a session bracket (session.h).  A version is
 * immutable, so what is cached goes stale only when a new version appears (the
 * highest one changes), when a rollback takes a version back, or when the
 * extension is dropped and made again (ids start over); tc_cache_generation()
 * counts all three.
 */
#ifndef TC_TEMPLATE_STORE_H
#define TC_TEMPLATE_STORE_H

#include "datatype/timestamp.h"

#include "domain/template.h"

/*
 * The compiled template; an id that is not there is an internal error.  The
 * pointer stays valid until the bracket ends: a cache found stale is replaced
 * at once but freed only with the caller's memory context.
 */
extern const TcTemplate *tc_template_get(int32 named_task_id);

/* The id of a version, or of the highest one where version is NULL; 0 = none. */
extern int32 tc_template_find(const char *namespace_name, const char *name,
							  const char *version);

/* What tc_template_insert() found or did. */
typedef enum TcInsertVerdict
{
	TC_INSERT_CREATED,
	TC_INSERT_SAME,				/* this content is stored already */
	TC_INSERT_CONFLICT			/* this version is stored with other content */
} TcInsertVerdict;

/*
 * Store a version with its namespace, steps and edges, unless it is there.
 * *named_task_id is the stored version's id whatever the verdict.  Sessions
 * that store one version at the same time wait for each other and agree on one
 * row.  `definition` is the normal form, `hash` its SHA-256 (bytea).
 */
extern TcInsertVerdict tc_template_insert(const TcTemplate *template,
										  const struct varlena *definition,
										  const struct varlena *hash,
										  int32 *named_task_id);

/* The normal form of a stored version (jsonb), in the caller's context. */
extern struct varlena *tc_template_definition(int32 named_task_id);

/*
 * No new tasks of a version, NULL = of all versions, or new ones again; returns
 * how many versions that changed.
 */
extern int	tc_template_retire(const char *namespace_name, const char *name, const char *version,
							   bool retired);

/* One line of the list of templates. */
typedef struct TcTemplateSummary
{
	int32		named_task_id;
	const char *namespace_name;
	const char *name;
	const char *version;
	const char *description;	/* may be NULL */
	int32		step_count;
	TimestampTz created_at;
	TimestampTz retired_at;		/* TC_NO_TIME = it is not */
} TcTemplateSummary;

/*
 * Every version of every template of a namespace (NULL = of all), by
 * namespace, name and version, in the caller's context.  Returns how many.
 */
extern int	tc_template_list(const char *namespace_name, TcTemplateSummary **summaries);

#endif							/* TC_TEMPLATE_STORE_H */
