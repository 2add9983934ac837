/*
 * regex_test.c
 *	  How regular expressions of ECMA-262 are spelled in PostgreSQL's dialect,
 *	  and which are refused.
 */
#include "postgres_fe.h"

#include "domain/regex.h"
#include "tap.h"

#define DOT "[^\\n\\r\\u2028\\u2029]"
#define SPACES "\\t-\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"

static void
translates(const char *pattern, const char *expected)
{
	StringInfoData out;
	const char *problem;

	initStringInfo(&out);
	problem = tc_regex_translate(pattern, strlen(pattern), &out);
	tap_ok(problem == NULL, "%s is accepted", pattern);
	tap_is_text(out.data, expected, "%s is spelled in the other dialect", pattern);
	pfree(out.data);
}

static void
refuses(const char *pattern, const char *expected)
{
	StringInfoData out;

	initStringInfo(&out);
	tap_is_text(tc_regex_translate(pattern, strlen(pattern), &out), expected, "%s is refused", pattern);
	pfree(out.data);
}

static void
what_is_the_same(void)
{
	static const char *const same[] = {
		"", "^[a-z]+$", "a|b", "(?:a)(?=b)(?!c)(?<=d)(?<!e)", "a{2,3}?", "a{", "\\d\\D\\w\\W",
		"\\t\\n\\r\\f\\v\\0", "\\cJ", "\\.\\/\\-\\\\\\]", "[.*(]", "[\\d\\-\\]]", "\xc3\xa9\xf0\x9f\x90\xb2"
	};

	for (int i = 0; i < lengthof(same); i++)
		translates(same[i], same[i]);
}

static void
what_differs(void)
{
	translates("a.b", "a" DOT "b");
	translates("[.]\\..", "[.]\\." DOT);
	translates("\\s+\\S", "[" SPACES "]+[^" SPACES "]");
	translates("[\\s\\S]", "[" SPACES "\\S]");
	translates("\\bword\\B", "\\yword\\Y");
	translates("[\\b]", "[\\u0008]");
	translates("[[:alpha:]]", "[\\[:alpha:]]");
	translates("[^[a]", "[^\\[a]");
	translates("\\x41\\x41B", "\\u0041\\u0041B");
	translates("\\u00e9\\u{e9}\\u{1F432}", "\\u00e9\\u00e9\\U0001f432");
	translates("\\ud83d\\udc32", "\\U0001f432");
	translates("[\\ud83d\\udc00-\\u{1f4ff}]", "[\\U0001f400-\\U0001f4ff]");
}

static void
what_is_refused(void)
{
	static const char escape[] = "has an escape that ECMA-262 does not know";
	static const char group[] = "has a group that begins with (? in a way that is not supported";
	static const char reference[] = "refers to a group, which is not supported";

	refuses("***=a", "begins with a quantifier, which has nothing to repeat");
	refuses("(?i)a", group);
	refuses("(?<name>a)", group);
	refuses("(?", group);
	refuses("(a)\\1", reference);
	refuses("\\k<name>", reference);
	refuses("\\p{L}", "uses properties of Unicode (\\p), which are not supported");
	refuses("\\A", escape);
	refuses("a\\Z", escape);
	refuses("\\y", escape);
	refuses("\\m", escape);
	refuses("[\\e]", escape);
	refuses("\\_", escape);
	refuses("[]", "has empty brackets, which are not supported");
	refuses("[^]", "has empty brackets, which are not supported");
	refuses("[\\B]", "has \\B within brackets");
	refuses("a\\", "ends with a backslash");
	refuses("[a\\", "ends with a backslash");
	refuses("\\x4", "has \\x without two hexadecimal digits");
	refuses("\\u12g4", "has \\u without four hexadecimal digits");
	refuses("\\u{}", "has \\u{} without the number of a character");
	refuses("\\u{110000}", "has \\u{} without the number of a character");
	refuses("\\u{41", "has \\u{} without the number of a character");
	refuses("\\ud83d", "has half a surrogate pair");
	refuses("\\ud83d\\u0041", "has half a surrogate pair");
	refuses("\\udc32", "has half a surrogate pair");
	refuses("\\c1", "has \\c without a letter");
	refuses("\\c_", "has \\c without a letter");
	refuses("\\c", "has \\c without a letter");
	refuses("\\01", "has an octal escape");
}

int
main(void)
{
	what_is_the_same();
	what_differs();
	what_is_refused();
	return tap_done();
}
