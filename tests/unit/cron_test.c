/*
 * cron_test.c
 *	  What a crontab says, which times it means, and what happens when clocks change.
 */
#include "postgres_fe.h"

#include "domain/cron.h"
#include "tap.h"

/* Days since 1970. */
#define DAY_2024_01_01 19723	/* a Monday */
#define DAY_2026_03_29 20541	/* clocks go forward at 01:00 UTC, in Europe */
#define DAY_2026_10_25 20751	/* and back */

static int64
at(int64 day, int hour, int minute)
{
	return day * 1440 + hour * 60 + minute;
}

static int32
no_offset(int64 instant, void *arg)
{
	return 0;
}

static int32
berlin(int64 instant, void *arg)
{
	return instant >= at(DAY_2026_03_29, 1, 0) && instant < at(DAY_2026_10_25, 1, 0) ? 120 : 60;
}

/* Nepal: no change, and no whole hours. */
static int32
kathmandu(int64 instant, void *arg)
{
	return 345;
}

static const char *
complaint(const char *text)
{
	static char error[TC_CRON_ERROR_SIZE];
	TcCron		cron;
	const char *result = tc_cron_parse(text, &cron, error);

	return result ? result : "none";
}

static int64
next(const char *text, int64 after, TcCronOffset offset)
{
	TcCron		cron;
	char		error[TC_CRON_ERROR_SIZE];

	if (tc_cron_parse(text, &cron, error) != NULL)
		return -1;
	return tc_cron_next(&cron, after, offset, NULL);
}

static void
test_syntax(void)
{
	static const char *const good[] = {
		"* * * * *", "0 0 1 1 0", "59 23 31 12 7", "*/15 9-17 * * MON-FRI", "0,30 */2 1,15 jan,JUL *",
		"5/10 * * * *", "  1  2\t3 4 5  ", "0 0 * * 5-7", "10-50/20 0 * * *", "@yearly", "@annually", "@monthly",
		"@weekly", "@daily", "@midnight", "@Hourly"
	};
	static const struct
	{
		const char *text;
		const char *complaint;
	}			bad[] = {
		{"", "It has 0 of five fields."},
		{"* * * *", "It has 4 of five fields."},
		{"* * * * * *", "It has more than five fields."},
		{"60 * * * *", "Field 1, the minute (0 to 59), is malformed: \"60\"."},
		{"* 24 * * *", "Field 2, the hour (0 to 23), is malformed: \"24\"."},
		{"* * 0 * *", "Field 3, the day of the month (1 to 31), is malformed: \"0\"."},
		{"* * * foo *", "Field 4, the month (1 to 12), is malformed: \"foo\"."},
		{"* * * monday *", "Field 4, the month (1 to 12), is malformed: \"monday\"."},
		{"* * * * 8", "Field 5, the day of the week (0 to 7), is malformed: \"8\"."},
		{"* * * * monday", "Field 5, the day of the week (0 to 7), is malformed: \"monday\"."},
		{"*/0 * * * *", "Field 1, the minute (0 to 59), is malformed: \"*/0\"."},
		{"30-10 * * * *", "Field 1, the minute (0 to 59), is malformed: \"30-10\"."},
		{"1, * * * *", "Field 1, the minute (0 to 59), is malformed: \"1,\"."},
		{"1- * * * *", "Field 1, the minute (0 to 59), is malformed: \"1-\"."},
		{"** * * * *", "Field 1, the minute (0 to 59), is malformed: \"**\"."},
		{"-1 * * * *", "Field 1, the minute (0 to 59), is malformed: \"-1\"."},
		{"99999999999 * * * *", "Field 1, the minute (0 to 59), is malformed: \"99999999999\"."},
		{"@reboot", "The words are @yearly, @monthly, @weekly, @daily and @hourly."},
		{"@", "The words are @yearly, @monthly, @weekly, @daily and @hourly."}
	};

	for (int i = 0; i < lengthof(good); i++)
		tap_ok(strcmp(complaint(good[i]), "none") == 0, "\"%s\" is a schedule", good[i]);
	for (int i = 0; i < lengthof(bad); i++)
		tap_ok(strcmp(complaint(bad[i].text), bad[i].complaint) == 0, "\"%s\" is none: %s", bad[i].text,
		   complaint(bad[i].text));
}

static void
test_times(void)
{
	int64		monday = at(DAY_2024_01_01, 0, 0);

	tap_ok(next("* * * * *", monday, no_offset) == monday + 1, "every minute: the next one");
	tap_ok(next("0 0 * * *", monday, no_offset) == monday + 1440, "strictly after");
	tap_ok(next("0 0 * * *", monday - 1, no_offset) == monday, "one minute later");
	tap_ok(next("*/15 9-17 * * mon-fri", monday, no_offset) == at(DAY_2024_01_01, 9, 0), "working hours begin");
	tap_ok(next("*/15 9-17 * * mon-fri", at(DAY_2024_01_01 + 4, 17, 45), no_offset) == at(DAY_2024_01_01 + 7, 9, 0),
	   "and the weekend is left out");
	tap_ok(next("0 12 29 2 *", monday, no_offset) == at(DAY_2024_01_01 + 59, 12, 0), "29 February 2024");
	tap_ok(next("0 12 29 2 *", at(DAY_2024_01_01 + 59, 12, 0), no_offset) == at(DAY_2024_01_01 + 59 + 1461, 12, 0),
	   "and 2028");
	tap_ok(next("0 0 30 2 *", monday, no_offset) == TC_CRON_NEVER, "30 February never comes");
	tap_ok(next("0 0 13 * 5", monday, no_offset) == at(DAY_2024_01_01 + 4, 0, 0), "the 13th or a Friday: a Friday");
	tap_ok(next("0 0 3 * 5", monday, no_offset) == at(DAY_2024_01_01 + 2, 0, 0), "or the day itself");
	tap_ok(next("0 0 */2 * 5", monday, no_offset) == at(DAY_2024_01_01 + 4, 0, 0), "a star does not restrict: Friday the 5th");
	tap_ok(next("0 0 * * 7", monday, no_offset) == at(DAY_2024_01_01 + 6, 0, 0), "7 is Sunday");
	tap_ok(next("0 0 * * 6-7", at(DAY_2024_01_01 + 5, 0, 0), no_offset) == at(DAY_2024_01_01 + 6, 0, 0), "also in a range");
	tap_ok(next("5/20 * * * *", at(DAY_2024_01_01, 0, 25), no_offset) == at(DAY_2024_01_01, 0, 45), "a step from a value on");
	tap_ok(next("@monthly", monday, no_offset) == at(DAY_2024_01_01 + 31, 0, 0), "@monthly");
	tap_ok(next("0 0 * * *", -1, no_offset) == 0 && next("0 0 * * *", -1441, no_offset) == -1440, "before 1970");
	tap_ok(next("0 9 * * *", monday, kathmandu) == monday + 9 * 60 - 345, "an offset of 5:45");
}

static void
test_clocks_forward(void)
{
	int64		day = DAY_2026_03_29;
	int64		shifted = at(day, 1, 30);	/* 03:30 on the wall */

	tap_ok(next("30 2 * * *", at(day - 1, 1, 30), berlin) == shifted, "02:30 does not exist: at 03:30");
	tap_ok(next("30 2 * * *", shifted, berlin) == at(day + 1, 0, 30), "and the next day at 02:30");
	tap_ok(next("30 2,3 * * *", at(day, 0, 0), berlin) == shifted &&
	   next("30 2,3 * * *", shifted, berlin) == at(day + 1, 0, 30), "what falls on one instant happens once");
	tap_ok(next("*/30 * * * *", at(day, 0, 30), berlin) == at(day, 1, 0) &&
	   next("*/30 * * * *", at(day, 1, 0), berlin) == at(day, 1, 30), "every half hour, as time passes");
	tap_ok(next("0 0 * * *", at(day, 0, 0), berlin) == at(day, 22, 0), "midnight is an hour earlier then");
}

static void
test_clocks_back(void)
{
	int64		day = DAY_2026_10_25;
	int64		first = at(day, 0, 30); /* 02:30 on the wall, and again at 01:30 UTC */

	tap_ok(next("30 2 * * *", at(day, 0, 0), berlin) == first, "02:30 comes twice: the first");
	tap_ok(next("30 2 * * *", first, berlin) == at(day + 1, 1, 30), "and only the first");
	tap_ok(next("30 * * * *", first, berlin) == at(day, 1, 30) &&
	   next("30 * * * *", at(day, 1, 30), berlin) == at(day, 2, 30), "every hour: both");
	tap_ok(next("* * * * *", at(day, 0, 59), berlin) == at(day, 1, 0), "every minute: none is left out");
	tap_ok(next("30 3 * * *", first, berlin) == at(day, 2, 30), "03:30 is an hour later");
}

/* Against what the definition says, minute by minute. */
static void
test_against_definition(void)
{
	static const char *const texts[] = {"*/7 * * * *", "13 */5 * * *", "0 * 28-30 * *", "30 */2 * * sun"};
	int			wrong = 0;

	for (int i = 0; i < lengthof(texts); i++)
	{
		TcCron		cron;
		char		error[TC_CRON_ERROR_SIZE];
		int64		due;

		if (tc_cron_parse(texts[i], &cron, error) != NULL)
			wrong++;
		due = tc_cron_next(&cron, at(DAY_2026_10_25 - 2, 0, 0), berlin, NULL);
		for (int64 t = at(DAY_2026_10_25 - 2, 0, 1); t < at(DAY_2026_10_25 + 2, 0, 0); t++)
		{
			/* a wall clock that never changes shows whether the minute is meant */
			bool		meant = tc_cron_next(&cron, t + berlin(t, NULL) - 1, no_offset, NULL) == t + berlin(t, NULL);

			if (meant != (t == due))
				wrong++;
			if (t == due)
				due = tc_cron_next(&cron, t, berlin, NULL);
		}
	}
	tap_ok(wrong == 0, "every minute of four days around the change: %d wrong", wrong);
}

int
main(void)
{
	test_syntax();
	test_times();
	test_clocks_forward();
	test_clocks_back();
	test_against_definition();
	return tap_done();
}
