/*
 * pause_store.h
 *	  Namespaces and templates that are paused.
 *
 * A pause is one row, whatever waits below it: claims leave out the lanes of what
 * is paused.  What is paused now is cached in every backend, exact by invalidation
 * at commit like the lanes.
 */
#ifndef TC_PAUSE_STORE_H
#define TC_PAUSE_STORE_H

#include "datatype/timestamp.h"

/* What is paused, by whom, and until when. */
typedef struct TcPause
{
	const char *namespace_name;
	const char *task_name;		/* NULL = the whole namespace */
	TimestampTz paused_at;
	const char *paused_by;		/* the role whose rights counted */
	const char *reason;
	TimestampTz resumed_at;		/* TC_NO_TIME = it is paused now */
	const char *resumed_by;
	const char *resume_reason;
} TcPause;

/* Is a template of that name paused, by itself or with its namespace? */
extern bool tc_is_paused(const char *namespace_name, const char *task_name);

/* Begins or ends the pause of a namespace (task_name NULL) or of a template; false when it is so already. */
extern bool tc_pause_begin(const char *namespace_name, const char *task_name, const char *reason);
extern bool tc_pause_end(const char *namespace_name, const char *task_name, const char *reason);

extern bool tc_namespace_exists(const char *namespace_name);

/* What holds a template of that name now: its namespace first, then itself. */
extern int	tc_pauses_of(const char *namespace_name, const char *task_name, TcPause **pauses);

/* All there were, in one namespace or in all (NULL), the newest first. */
extern int	tc_pauses_list(const char *namespace_name, TcPause **pauses);

#endif							/* TC_PAUSE_STORE_H */
