/*
 * pauses.h
 *	  A namespace or a template is paused, or resumed.
 */
#ifndef TC_PAUSES_H
#define TC_PAUSES_H

#include "store/pause_store.h"

/*
 * False when it is so already.  42704 for a namespace that does not exist, TC001 for a
 * template of which there is no version, 42501 outside the caller's namespaces.
 */
extern bool tc_pause_namespace(const char *namespace_name, const char *reason);
extern bool tc_resume_namespace(const char *namespace_name, const char *reason);
extern bool tc_pause_template(const char *namespace_name, const char *name, const char *reason);
extern bool tc_resume_template(const char *namespace_name, const char *name, const char *reason);

/* In one namespace or in all (NULL), as far as the caller may see them. */
extern int	tc_list_pauses(const char *namespace_name, TcPause **pauses);

#endif							/* TC_PAUSES_H */
