/*
 * instant.c
 *	  Times as they are written in data (pure C).
 *
 * Not by the server's input function: that one knows words ("now", "infinity"), and
 * what it makes of the rest depends on the session.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/instant.h"

#define USECS		INT64CONST(1000000)

/* From the first of March of year 0, as the leap day comes last then; 2000-01-01 is that day. */
#define DAYS_TO_2000 INT64CONST(730425)

/* Exactly n digits, as a number not above max; NULL when they are not there. */
static const char *
read_digits(const char *text, int n, int max, int *number)
{
	*number = 0;
	for (int i = 0; i < n; i++)
	{
		if (text[i] < '0' || text[i] > '9')
			return NULL;
		*number = *number * 10 + (text[i] - '0');
	}
	return *number <= max ? text + n : NULL;
}

/* The same after a character. */
static const char *
read_after(const char *text, char character, int n, int max, int *number)
{
	return *text == character ? read_digits(text + 1, n, max, number) : NULL;
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int
days_of_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year) ? 1 : 0);
}

static int64
days_since_2000(int year, int month, int day)
{
	int			shifted = (month + 9) % 12;	/* March is 0 */

	if (month < 3)
		year--;
	return (int64) year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1 -
		DAYS_TO_2000;
}

static const char *
read_date(const char *text, int64 *days)
{
	int			year;
	int			month;
	int			day;

	if ((text = read_digits(text, 4, 9999, &year)) == NULL ||
		(text = read_after(text, '-', 2, 12, &month)) == NULL ||
		(text = read_after(text, '-', 2, 31, &day)) == NULL)
		return NULL;
	if (year < 1 || month < 1 || day < 1 || day > days_of_month(year, month))
		return NULL;
	*days = days_since_2000(year, month, day);
	return text;
}

/* Further digits than microseconds are cut off. */
static const char *
read_fraction(const char *text, int64 *usecs)
{
	int64		unit = USECS / 10;
	const char *first = text;

	*usecs = 0;
	for (; *text >= '0' && *text <= '9'; text++, unit /= 10)
		*usecs += unit * (*text - '0');
	return text > first ? text : NULL;
}

static const char *
read_time_of_day(const char *text, int64 *usecs)
{
	int			hour;
	int			minute;
	int			second = 0;
	int64		fraction = 0;

	if ((text = read_digits(text, 2, 23, &hour)) == NULL ||
		(text = read_after(text, ':', 2, 59, &minute)) == NULL)
		return NULL;
	if (*text == ':' && (text = read_after(text, ':', 2, 59, &second)) != NULL && *text == '.')
		text = read_fraction(text + 1, &fraction);
	*usecs = ((hour * 60 + minute) * 60 + second) * USECS + fraction;
	return text;
}

/* To the end of the text: nothing, Z, or a difference of less than a day. */
static bool
read_zone(const char *text, int64 *usecs)
{
	int			sign = *text == '-' ? -1 : 1;
	int			hours;
	int			minutes = 0;

	*usecs = 0;
	if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || (text = read_digits(text + 1, 2, 15, &hours)) == NULL)
		return false;
	if (*text != '\0' && (text = read_digits(*text == ':' ? text + 1 : text, 2, 59, &minutes)) == NULL)
		return false;
	*usecs = sign * (hours * 60 + minutes) * 60 * USECS;
	return *text == '\0';
}

bool
tc_instant_parse(const char *text, int64 *instant)
{
	int64		days;
	int64		time_of_day;
	int64		zone;

	text = read_date(text, &days);
	if (text == NULL || (*text != 'T' && *text != 't' && *text != ' '))
		return false;
	text = read_time_of_day(text + 1, &time_of_day);
	if (text == NULL || !read_zone(text, &zone))
		return false;
	*instant = days * 24 * 60 * 60 * USECS + time_of_day - zone;
	return true;
}
