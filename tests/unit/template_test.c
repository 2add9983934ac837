/*
 * template_test.c
 *	  Identity strategies, and the order of versions against the precedence
 *	  rules and the grammar of semantic versioning 2.0.
 */
#include "postgres_fe.h"

#include <regex.h>

#include "common/pg_prng.h"

#include "domain/template.h"
#include "tap.h"

#define SEED	UINT64CONST(20240229)

/* The grammar as semver.org gives it, in POSIX syntax. */
#define NUMBER		"(0|[1-9][0-9]*)"
#define PRERELEASE	"(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
#define BUILD		"[0-9a-zA-Z-]+"
#define GRAMMAR \
	"^" NUMBER "\\." NUMBER "\\." NUMBER \
	"(-" PRERELEASE "(\\." PRERELEASE ")*)?" \
	"(\\+" BUILD "(\\." BUILD ")*)?$"

/* No semantic version is lower, so what sorts below it is none. */
#define LOWEST		"0.0.0-0"

/* Ascending; the first lines are no semantic versions and sort by bytes. */
static const char *const ascending[] = {
	"", " 1.0.0", "+1.0.0", "-1.0.0", "0.10", "01.0.0", "1", "1.0", "1.0.0 ", "1.0.0-",
	"1.0.0-01", "1.0.0-alpha..1", "1.0.0-\303\244", "1.0.0.0", "1.01.0", "2024-01-01", "99",
	"latest", "v2.0.0", "\303\244",

	LOWEST, "0.0.0", "0.0.1", "0.1.0", "0.2.0", "0.9.0", "0.10.0", "0.11.0",
	"1.0.0-0", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-10.0",
	"1.0.0-18446744073709551615", "1.0.0-18446744073709551616", "1.0.0-100000000000000000000",
	"1.0.0--", "1.0.0--1", "1.0.0-0a", "1.0.0-10a", "1.0.0-2a", "1.0.0-RC",
	"1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.1.0", "1.0.0-alpha.beta", "1.0.0-alpha-",
	"1.0.0-alpha0", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
	"1.0.0", "1.0.1-rc.1", "1.0.1", "2.0.0", "2.1.0", "2.1.1", "10.0.0",
	"99999999999999999999999.999999999999999999.99999999999999998",
	"99999999999999999999999.999999999999999999.99999999999999999",
	"100000000000000000000000.0.0",
};

static const char *const valid[] = {
	"0.0.4", "1.2.3", "10.20.30", "1.1.2-prerelease+meta", "1.1.2+meta", "1.1.2+meta-valid",
	"1.0.0-alpha", "1.0.0-beta", "1.0.0-alpha.beta", "1.0.0-alpha.beta.1", "1.0.0-alpha.1",
	"1.0.0-alpha0.valid", "1.0.0-alpha.0valid", "1.0.0-rc.1+build.1", "2.0.0-rc.1+build.123",
	"1.0.0-alpha-a.b-c-somethinglong+build.1-aef.1-its-okay", "1.2.3-beta", "2.0.0+build.1848",
	"10.2.3-DEV-SNAPSHOT", "1.2.3-SNAPSHOT-123", "2.0.1-alpha.1227", "1.0.0-alpha+beta",
	"1.2.3----RC-SNAPSHOT.12.9.1--.12+788", "1.2.3----R-S.12.9.1--.12+meta",
	"1.2.3----RC-SNAPSHOT.12.9.1--.12", "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
	"99999999999999999999999.999999999999999999.99999999999999999", "1.0.0-0A.is.legal",
};

static const char *const invalid[] = {
	"1", "1.2", "1.2.3-0123", "1.2.3-0123.0123", "1.1.2+.123", "+invalid", "-invalid",
	"-invalid+invalid", "-invalid.01", "alpha", "alpha.beta", "alpha.beta.1", "alpha.1",
	"alpha+beta", "alpha_beta", "alpha.", "alpha..", "beta", "1.0.0-alpha_beta", "-alpha.",
	"1.0.0-alpha..", "1.0.0-alpha..1", "1.0.0-alpha...1", "01.1.1", "1.01.1", "1.1.01",
	"1.2.3.DEV", "1.2-SNAPSHOT", "1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788", "1.2-RC-SNAPSHOT",
	"-1.0.3-gamma+b7718", "+justmeta", "9.8.7+meta+meta", "9.8.7-whatever+meta+meta",
	"99999999999999999999999.999999999999999999.99999999999999999----RC-SNAPSHOT.12.09.1----..12",
	"", "1.0.0+", "1.0.0-", "1.0.0-+build", "1..0", ".1.0", "1.0.",
};

static int
sign(int order)
{
	return (order > 0) - (order < 0);
}

static void
test_ascending(void)
{
	for (int i = 0; i < lengthof(ascending); i++)
	{
		int			wrong = 0;

		for (int j = 0; j < lengthof(ascending); j++)
		{
			int			order = sign(tc_version_compare(ascending[i], ascending[j]));

			if (order != sign(i - j) && wrong++ == 0)
				tap_diag("compared with \"%s\": %d", ascending[j], order);
		}
		tap_is_int(wrong, 0, "\"%s\" has its place among all others", ascending[i]);
	}
}

static void
test_build_metadata(void)
{
	tap_is_int(tc_version_compare("1.0.0+a", "1.0.0+b"), 0, "build metadata is ignored");
	tap_is_int(tc_version_compare("1.0.0", "1.0.0+a.01"), 0, "its absence is ignored");
	tap_is_int(tc_version_compare("1.0.0-rc.1+9", "1.0.0-rc.1"), 0, "after a prerelease too");
	tap_is_int(tc_version_compare("1.0.0-rc+1", "1.0.0-rc.1"), -1, "it is no prerelease");
	tap_is_int(tc_version_compare("1.0.0-rc+1", "1.0.0+rc"), -1, "a prerelease stays lower");
}

static void
test_grammar(void)
{
	for (int i = 0; i < lengthof(valid); i++)
		tap_ok(tc_version_compare(valid[i], LOWEST) >= 0,
			   "\"%s\" is a semantic version", valid[i]);
	for (int i = 0; i < lengthof(invalid); i++)
		tap_ok(tc_version_compare(invalid[i], LOWEST) < 0,
			   "\"%s\" is no semantic version", invalid[i]);
	tap_ok(tc_version_compare("1.0.0\n", LOWEST) < 0, "nor is one with a line feed behind it");
}

/* Up to six pieces, about half of the time behind a valid start. */
static void
random_version(pg_prng_state *prng, char *text, size_t size)
{
	static const char *const pieces[] = {
		".", ".", "-", "-", "+", "0", "1", "9", "10", "01", "a", "B", "rc", "1.0", "_", " ",
	};
	int			npieces = pg_prng_uint64_range(prng, 0, 6);

	strlcpy(text, pg_prng_bool(prng) ? "" : pg_prng_bool(prng) ? "1.0.0" : "1.0.0-", size);
	while (npieces-- > 0)
		strlcpy(text + strlen(text), pieces[pg_prng_uint64_range(prng, 0, lengthof(pieces) - 1)],
				size - strlen(text));
}

static void
test_random_grammar(pg_prng_state *prng)
{
	regex_t		grammar;
	char		text[64];
	int			wrong = 0;
	int			matched = 0;

	if (regcomp(&grammar, GRAMMAR, REG_EXTENDED | REG_NOSUB) != 0)
	{
		tap_ok(false, "the grammar compiles");
		return;
	}
	for (int i = 0; i < 50000; i++)
	{
		bool		matches;

		random_version(prng, text, sizeof(text));
		matches = regexec(&grammar, text, 0, NULL, 0) == 0;
		matched += matches;
		if (matches != (tc_version_compare(text, LOWEST) >= 0) && wrong++ == 0)
			tap_diag("\"%s\" %s the grammar", text, matches ? "matches" : "does not match");
	}
	regfree(&grammar);
	tap_is_int(wrong, 0, "50,000 random texts are recognised as the grammar says");
	tap_ok(matched > 5000 && matched < 45000, "of which many are versions, many are not");
}

/* An order is antisymmetric and transitive, whatever it is given. */
static void
test_random_order(pg_prng_state *prng)
{
	int			wrong = 0;

	for (int i = 0; i < 50000; i++)
	{
		char		text[3][64];
		int			ab;
		int			bc;
		int			ac;

		for (int j = 0; j < 3; j++)
			random_version(prng, text[j], sizeof(text[j]));
		ab = sign(tc_version_compare(text[0], text[1]));
		bc = sign(tc_version_compare(text[1], text[2]));
		ac = sign(tc_version_compare(text[0], text[2]));

		if ((ab != -sign(tc_version_compare(text[1], text[0])) ||
			 tc_version_compare(text[0], text[0]) != 0 ||
			 (ab * bc >= 0 && ac != sign(ab + bc))) && wrong++ == 0)
			tap_diag("\"%s\" \"%s\" \"%s\": %d %d %d", text[0], text[1], text[2], ab, bc, ac);
	}
	tap_is_int(wrong, 0, "50,000 random triples are in order");
}

static void
test_identity_names(void)
{
	TcIdentityStrategy strategy = TC_IDENTITY_STRICT;

	tap_is_text(tc_identity_strategy_name(TC_IDENTITY_ALWAYS_UNIQUE), "always_unique",
				"always_unique");
	tap_is_text(tc_identity_strategy_name(TC_IDENTITY_STRICT), "strict", "strict");
	tap_is_text(tc_identity_strategy_name(TC_IDENTITY_CALLER_PROVIDED), "caller_provided",
				"caller_provided");
	tap_ok(!tc_identity_strategy_parse("Strict", &strategy), "names are case-sensitive");
	tap_ok(!tc_identity_strategy_parse("", &strategy), "the empty name is unknown");
	tap_is_int(strategy, TC_IDENTITY_STRICT, "an unknown name leaves the result alone");
	tap_ok(tc_identity_strategy_parse("caller_provided", &strategy) &&
		   strategy == TC_IDENTITY_CALLER_PROVIDED, "a known name is found");
}

int
main(void)
{
	pg_prng_state prng;

	tap_diag("seed " UINT64_FORMAT, SEED);
	pg_prng_seed(&prng, SEED);
	test_ascending();
	test_build_metadata();
	test_grammar();
	test_random_grammar(&prng);
	test_random_order(&prng);
	test_identity_names();
	return tap_done();
}
