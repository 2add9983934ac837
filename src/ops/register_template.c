/*
 * register_template.c
 *	  Registering templates, and looking at what is registered.
 *
 * A version never changes once it is registered: the same content again is the
 * same version, other content is refused.
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "compat.h"
#include "errors.h"
#include "ops/limits.h"
#include "ops/sql_steps.h"
#include "ops/templates.h"
#include "schema/workflow.h"
#include "store/access_store.h"
#include "store/session.h"
#include "store/template_json.h"

static void raise_invalid(const TcDefinition *definition) pg_attribute_noreturn();
static void raise_conflict(const TcTemplate *template) pg_attribute_noreturn();
static void raise_foreign(const TcTemplate *template) pg_attribute_noreturn();
static void refuse_sql_steps(TcDefinition *definition);
static void require_namespaces(const TcTemplate *template);

/* Refuses it with all that is wrong, the functions of SQL steps included. */
static void
parse(const struct varlena *json, Oid role, TcDefinition *definition)
{
	tc_template_parse(json, definition);
	if (definition->faults == NIL)
		definition->faults = tc_sql_steps_authorise(definition->template, role);
	if (definition->faults != NIL)
		raise_invalid(definition);
}

void
tc_register_template(const struct varlena *json, TcRegistration *registration)
{
	TcDefinition definition;
	TcInsertVerdict verdict;
	MemoryContext old = MemoryContextSwitchTo(tc_session_caller_context());

	/* its names and warnings are handed back after the bracket */
	parse(json, tc_session_caller(), &definition);
	MemoryContextSwitchTo(old);

	tc_limit_template(definition.template);
	require_namespaces(definition.template);
	verdict = tc_template_insert(definition.template, definition.normal_form, definition.hash,
								 &registration->named_task_id);
	if (verdict == TC_INSERT_CONFLICT)
		raise_conflict(definition.template);
	if (verdict != TC_INSERT_CREATED &&
		!tc_sql_steps_belong_to(tc_template_get(registration->named_task_id), tc_session_caller_role()))
		raise_foreign(definition.template);
	if (verdict == TC_INSERT_CREATED)
		tc_cache_invalidate();

	registration->namespace_name = definition.template->namespace_name;
	registration->name = definition.template->name;
	registration->version = definition.template->version;
	registration->created = verdict == TC_INSERT_CREATED;
	registration->warnings = definition.warnings;
}

/* 128 bits of the hash, as a pre-release of 0.0.0: below every version that people give. */
int32
tc_register_by_content(const struct varlena *json)
{
	TcDefinition definition;
	StringInfoData version;
	const uint8 *hash;
	int32		named_task_id;

	tc_template_parse(json, &definition);
	if (definition.faults != NIL)
		raise_invalid(&definition);
	tc_limit_template(definition.template);
	require_namespaces(definition.template);
	refuse_sql_steps(&definition);
	hash = (const uint8 *) VARDATA_ANY(definition.hash);
	initStringInfo(&version);
	appendStringInfoString(&version, "0.0.0-content.x");
	for (int i = 0; i < 16; i++)
		appendStringInfo(&version, "%02x", hash[i]);
	definition.template->version = version.data;
	if (tc_template_insert(definition.template, definition.normal_form, definition.hash,
						   &named_task_id) == TC_INSERT_CREATED)
		tc_cache_invalidate();
	return named_task_id;
}

List *
tc_validate_template(const struct varlena *json)
{
	TcDefinition definition;

	parse(json, GetUserId(), &definition);
	return definition.warnings;
}

int32
tc_find_template(const char *namespace_name, const char *name, const char *version)
{
	int32		named_task_id = tc_scope_has_namespace(namespace_name) ?
		tc_template_find(namespace_name, name, version) : 0;

	if (named_task_id == 0)
		tc_raise_template_not_found(namespace_name, name, version);
	return named_task_id;
}

struct varlena *
tc_get_template(const char *name, const char *namespace_name, const char *version)
{
	return tc_template_definition(tc_find_template(namespace_name, name, version));
}

int
tc_list_templates(const char *namespace_name, TcTemplateSummary **summaries)
{
	int			n = tc_template_list(namespace_name, summaries);
	int			own = 0;

	for (int i = 0; i < n; i++)
	{
		if (tc_scope_has_namespace((*summaries)[i].namespace_name))
			(*summaries)[own++] = (*summaries)[i];
	}
	return own;
}

/* Its own, and those in which its steps start tasks. */
static void
require_namespaces(const TcTemplate *template)
{
	tc_scope_require_namespace(template->namespace_name);
	for (int i = 0; i < template->nsteps; i++)
	{
		const struct varlena *workflow = template->steps[i].workflow;
		const char *namespace_name = workflow ? tc_workflow_read(workflow).namespace_name : NULL;

		if (namespace_name != NULL)
			tc_scope_require_namespace(namespace_name);
	}
}

static void
raise_invalid(const TcDefinition *definition)
{
	StringInfoData faults;
	ListCell   *cell;

	initStringInfo(&faults);
	foreach(cell, definition->faults)
		appendStringInfo(&faults, "%s%s", faults.len == 0 ? "" : "\n", (char *) lfirst(cell));

	ereport(ERROR,
			(errcode(TC_ERRCODE_INVALID_TEMPLATE),
			 definition->name == NULL ?
			 errmsg("invalid template") :
			 errmsg("invalid template \"%s/%s\"", definition->namespace_name, definition->name),
			 errdetail("%s", faults.data),
			 errhint("Correct every line of the detail; nothing was stored.")));
}

static void
raise_conflict(const TcTemplate *template)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_TEMPLATE_CONFLICT),
			 errmsg("version \"%s\" of template \"%s/%s\" is registered with other content",
					template->version, template->namespace_name, template->name),
			 errdetail("A registered version never changes, because tasks run on it; what is registered as \"%s\" differs from this template.",
					   template->version),
			 errhint("Raise the version of the template; tasker.get_task_template() shows what is registered.")));
}

/* Its SQL steps run with the rights of whoever registered it first. */
static void
raise_foreign(const TcTemplate *template)
{
	ereport(ERROR,
			(errcode(TC_ERRCODE_TEMPLATE_CONFLICT),
			 errmsg("version \"%s\" of template \"%s/%s\" is registered by another role",
					template->version, template->namespace_name, template->name),
			 errdetail("It has steps that are SQL; they run as the role that registered it."),
			 errhint("Raise the version of the template to have them run as this role.")));
}

/* Equal definitions share one template, whoever gave it; whose function would it be? */
static void
refuse_sql_steps(TcDefinition *definition)
{
	for (int i = 0; i < definition->template->nsteps; i++)
	{
		const TcStep *step = &definition->template->steps[i];

		if (tc_queue_is_sql(step->queue))
			definition->faults = lappend(definition->faults,
										 psprintf("step \"%s\": handler.sql: only in a template that is registered with register_task_template()",
												  step->name));
	}
	if (definition->faults != NIL)
		raise_invalid(definition);
}

int
tc_retire_template(const char *name, const char *namespace_name, const char *version, bool retired)
{
	tc_scope_require_namespace(namespace_name);
	if (tc_template_find(namespace_name, name, version) == 0)
		tc_raise_template_not_found(namespace_name, name, version);
	return tc_template_retire(namespace_name, name, version, retired);
}
