/*
 * pattern.c
 *	  Regular expressions of schemas, run by PostgreSQL's engine.
 *
 * Characters are classified as in the C locale, whatever the database's: that
 * is what ECMA-262 says, and it makes the answer the same everywhere.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "regex/regex.h"
#include "utils/builtins.h"

#include "compat.h"
#include "domain/regex.h"
#include "schema/keywords.h"

#define MAX_REASON 256

static const char *compile_problem(const StringInfoData *translated);

const char *
tc_pattern_problem(const JsonbValue *pattern)
{
	StringInfoData translated;
	const char *problem;

	initStringInfo(&translated);
	problem = tc_regex_translate(pattern->val.string.val, pattern->val.string.len, &translated);
	if (problem == NULL)
		problem = compile_problem(&translated);
	pfree(translated.data);
	return problem;
}

static const char *
compile_problem(const StringInfoData *translated)
{
	pg_wchar   *wide = palloc(sizeof(pg_wchar) * (translated->len + 1));
	int			length = pg_mb2wchar_with_len(translated->data, wide, translated->len);
	char		reason[MAX_REASON];
	regex_t		compiled;
	int			result = pg_regcomp(&compiled, wide, length, REG_ADVANCED | REG_NOSUB,
									C_COLLATION_OID);

	pfree(wide);
	if (result == REG_OKAY)
	{
		pg_regfree(&compiled);
		return NULL;
	}
	CHECK_FOR_INTERRUPTS();		/* which may be why it failed */
	pg_regerror(result, &compiled, reason, sizeof(reason));
	return psprintf("is not a regular expression: %s", reason);
}

bool
tc_pattern_matches(const JsonbValue *pattern, const JsonbValue *subject)
{
	StringInfoData translated;
	text	   *expression;
	bool		matches;

	initStringInfo(&translated);
	(void) tc_regex_translate(pattern->val.string.val, pattern->val.string.len, &translated);
	expression = cstring_to_text_with_len(translated.data, translated.len);

	/* keeps the compiled ones that were used last */
	matches = RE_compile_and_execute(expression, subject->val.string.val, subject->val.string.len,
									 REG_ADVANCED, C_COLLATION_OID, 0, NULL);
	pfree(expression);
	pfree(translated.data);
	return matches;
}
