/*
 * instant_test.c
 *	  Times as they are written in data: those that are, and those that are none.
 */
#include "postgres_fe.h"

#include "domain/instant.h"
#include "tap.h"

#define SECOND INT64CONST(1000000)
#define DAY (24 * 60 * 60 * SECOND)

typedef struct Case
{
	const char *text;
	int64		instant;
} Case;

static void
test_times(void)
{
	static const Case cases[] = {
		{"2000-01-01T00:00", 0},
		{"2000-01-01 00:00:01", SECOND},
		{"1999-12-31T23:59:59.5Z", -SECOND / 2},
		{"2000-01-01T02:00+02", 0},
		{"2000-01-01T02:00+02:00", 0},
		{"1999-12-31T18:30-0530", 0},
		{"2000-03-01T00:00Z", 60 * DAY},
		{"2004-02-29T12:00:00", (4 * 365 + 1 + 31 + 28) * DAY + DAY / 2},
		{"2000-01-01t00:00:00.123456789z", 123456},
		{"1970-01-01T00:00Z", -10957 * DAY},
		{"0001-01-01T00:00Z", -730119 * DAY},
		{"9999-12-31T23:59:59.999999Z", 2921940 * DAY - 1},
	};

	for (int i = 0; i < lengthof(cases); i++)
	{
		int64		instant = -1;

		tap_ok(tc_instant_parse(cases[i].text, &instant), cases[i].text);
		tap_is_int(instant, cases[i].instant, cases[i].text);
	}
}

static void
test_no_times(void)
{
	static const char *const texts[] = {
		"", "now", "infinity", "-infinity", "tomorrow", "2026-01-01", "2026-01-01T", "2026-01-01T1:00",
		"2026-13-01T00:00", "2026-00-01T00:00", "2026-02-29T00:00", "1900-02-29T00:00", "2026-04-31T00:00", "2026-01-00T00:00",
		"2026-01-01T24:00", "2026-01-01T23:60", "2026-01-01T23:59:60", "2026-01-01T00:00:00.", "2026-01-01T00:00:00.x",
		"2026-01-01T00:00+16", "2026-01-01T00:00+2", "2026-01-01T00:00+02:60", "2026-01-01T00:00+02:", "2026-01-01T00:00 Europe/Berlin",
		"2026-01-01T00:00ZZ", "01/02/2026 00:00", "20260101T0000", "0000-01-01T00:00", "12026-01-01T00:00", "2026-01-01  00:00", " 2026-01-01T00:00",
		"2026-01-01T00:00 ", "-2026-01-01T00:00", "2026-1-1T00:00",
	};

	for (int i = 0; i < lengthof(texts); i++)
	{
		int64		instant;

		tap_ok(!tc_instant_parse(texts[i], &instant), texts[i]);
	}
}

int
main(void)
{
	test_times();
	test_no_times();
	return tap_done();
}
