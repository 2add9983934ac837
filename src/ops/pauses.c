/*
 * pauses.c
 *	  A namespace or a template is paused, or resumed.
 *
 * One row, whatever there is below: no task and no step is touched.  Claims in
 * hand may end, and what they make ready waits like everything else.
 */
#include "postgres.h"

#include "compat.h"
#include "errors.h"
#include "events/events.h"
#include "ops/pauses.h"
#include "store/access_store.h"
#include "store/session.h"
#include "store/template_store.h"

static void
require_namespace(const char *namespace_name)
{
	tc_scope_require_namespace(namespace_name);
	if (tc_namespace_exists(namespace_name))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("namespace \"%s\" not found", namespace_name),
			 errdetail("No template was registered in it."),
			 errhint("tasker.list_task_templates() shows the templates of all namespaces.")));
}

static void
require_template(const char *namespace_name, const char *name)
{
	tc_scope_require_namespace(namespace_name);
	if (tc_template_find(namespace_name, name, NULL) == 0)
		tc_raise_template_not_found(namespace_name, name, NULL);
}

/* Workers look for what waited; so does maintenance, for waits and leases that ended meanwhile. */
static bool
end_pause(const char *namespace_name, const char *name, const char *reason)
{
	if (!tc_pause_end(namespace_name, name, reason))
		return false;
	tc_event_ready(namespace_name);
	tc_event_timer(tc_session_now());
	return true;
}

bool
tc_pause_namespace(const char *namespace_name, const char *reason)
{
	require_namespace(namespace_name);
	return tc_pause_begin(namespace_name, NULL, reason);
}

bool
tc_resume_namespace(const char *namespace_name, const char *reason)
{
	require_namespace(namespace_name);
	return end_pause(namespace_name, NULL, reason);
}

bool
tc_pause_template(const char *namespace_name, const char *name, const char *reason)
{
	require_template(namespace_name, name);
	return tc_pause_begin(namespace_name, name, reason);
}

bool
tc_resume_template(const char *namespace_name, const char *name, const char *reason)
{
	require_template(namespace_name, name);
	return end_pause(namespace_name, name, reason);
}

int
tc_list_pauses(const char *namespace_name, TcPause **pauses)
{
	int			n = tc_pauses_list(namespace_name, pauses);
	int			visible = 0;

	for (int i = 0; i < n; i++)
	{
		if (tc_scope_has_namespace((*pauses)[i].namespace_name))
			(*pauses)[visible++] = (*pauses)[i];
	}
	return visible;
}
