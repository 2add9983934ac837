/*
 * access_test.c
 *	  The table of accesses: no entry twice, none that nobody can use, and the
 *	  names that people read.
 */
#include "postgres_fe.h"

#include "domain/access.h"
#include "tap.h"

#define SET(access) ((TcAccessSet) 1 << TC_ACCESS_##access)

static bool
allows(const char *function_name, TcAccessSet access)
{
	const TcFunctionAccess *entry = tc_access_of_function(function_name);

	return entry != NULL && (entry->accesses & access) != 0;
}

static void
test_table(void)
{
	int			n;
	const TcFunctionAccess *functions = tc_access_functions(&n);
	int			twice = 0;
	int			without_admin = 0;
	int			reader_not_operator = 0;

	for (int i = 0; i < n; i++)
	{
		twice += tc_access_of_function(functions[i].function_name) != &functions[i];
		without_admin += (functions[i].accesses & SET(ADMIN)) == 0;
		reader_not_operator += (functions[i].accesses & SET(READER)) != 0 &&
			(functions[i].accesses & SET(OPERATOR)) == 0;
	}
	tap_ok(n > 50, "the table has %d entries", n);
	tap_ok(twice == 0, "no function stands in it twice");
	tap_ok(without_admin == 0, "admins may call every function");
	tap_ok(reader_not_operator == 0, "what readers may, operators may");
}

static void
test_entries(void)
{
	tap_ok(allows("claim_steps", SET(WORKER)), "workers claim");
	tap_ok(!allows("claim_steps", SET(PRODUCER) | SET(OPERATOR) | SET(READER)), "nobody else does");
	tap_ok(allows("create_task", SET(PRODUCER)), "producers create tasks");
	tap_ok(!allows("create_task", SET(WORKER) | SET(OPERATOR) | SET(READER)), "nobody else does");
	tap_ok(!allows("cancel_task", SET(PRODUCER) | SET(WORKER) | SET(READER)), "only operators cancel");
	tap_ok(!allows("grant_access", TC_EVERY_ACCESS & ~SET(ADMIN)), "only admins grant");
	tap_ok(!allows("event_xact", TC_EVERY_ACCESS & ~SET(ADMIN)), "internal functions are nobody's");
	tap_ok(tc_access_of_function("no_such_function") == NULL, "an unknown function has no entry");
	tap_ok(tc_access_of_function("") == NULL, "nor has no name at all");
}

static void
test_relations(void)
{
	int			n;
	const TcReadableRelation *relations = tc_access_readable(&n);
	int			with_tokens = 0;
	int			unfiltered = 0;

	for (int i = 0; i < n; i++)
	{
		with_tokens += strcmp(relations[i].relation_name, "step_queue") == 0 ||
			strcmp(relations[i].relation_name, "step_attempts") == 0;
		unfiltered += !relations[i].by_namespace;
	}
	tap_ok(n > 0, "readers may select from %d relations", n);
	tap_ok(with_tokens == 0, "none of them holds claim tokens");
	tap_is_int(unfiltered, 2, "two of them show everything, to readers of all namespaces");
}

static void
test_names(void)
{
	char		buf[128];
	char		small[8];
	TcAccess	access;
	bool		roundtrip = true;

	for (int i = 0; i < TC_ACCESS_COUNT; i++)
		roundtrip = roundtrip && tc_access_parse(tc_access_name((TcAccess) i), &access) && access == i;
	tap_ok(roundtrip, "every access has a name that means it");
	tap_ok(!tc_access_parse("Reader", &access) && !tc_access_parse("", &access), "nothing else is one");
	for (int i = 0; i < TC_NAMESPACES_RULE_COUNT; i++)
		roundtrip = roundtrip && tc_namespace_rule_name((TcNamespaceRule) i) != NULL;
	tap_ok(roundtrip, "every rule has a name");
	tap_is_text(tc_access_names(SET(ADMIN), buf, sizeof(buf)), "admin", "one name");
	tap_is_text(tc_access_names(SET(WORKER) | SET(ADMIN), buf, sizeof(buf)), "worker or admin", "two names");
	tap_is_text(tc_access_names(TC_EVERY_ACCESS, buf, sizeof(buf)),
		   "producer, worker, reader, operator or admin", "all names");
	tap_is_text(tc_access_names(0, buf, sizeof(buf)), "", "none");
	tap_is_text(tc_access_names(TC_EVERY_ACCESS, small, sizeof(small)), "produce", "what does not fit is cut off");
}

int
main(void)
{
	test_table();
	test_entries();
	test_relations();
	test_names();
	return tap_done();
}
