/*
 * cron.c
 *	  Times of a crontab, and when the next one is (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include <ctype.h>

#include "domain/cron.h"

#define MINUTES_PER_DAY 1440

/* 29 February, over the end of a century without one. */
#define MAX_DAYS (9 * 366)

/* No place changes its clocks twice within so many minutes, or by so many. */
#define NEAR 180

/* Changes of the clock that can lie between two times of a schedule. */
#define MAX_CHANGES 64

/* ---- parsing ------------------------------------------------------------- */

typedef enum FieldId
{
	MINUTE,
	HOUR,
	DAY,
	MONTH,
	WEEKDAY,
	FIELD_COUNT
} FieldId;

static const char *const month_names[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL
};
static const char *const weekday_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

static const struct
{
	const char *name;
	int			min;
	int			max;
	const char *const *names;
}			fields[FIELD_COUNT] = {
	[MINUTE] = {"minute", 0, 59, NULL},
	[HOUR] = {"hour", 0, 23, NULL},
	[DAY] = {"day of the month", 1, 31, NULL},
	[MONTH] = {"month", 1, 12, month_names},
	[WEEKDAY] = {"day of the week", 0, 7, weekday_names},
};

static const struct
{
	const char *word;
	const char *means;
}			words[] = {
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"},
};

/* What is left to read of one field. */
typedef struct Reader
{
	const char *at;
	FieldId		field;
} Reader;

static bool
at_end(const Reader *reader)
{
	return *reader->at == '\0' || isspace((unsigned char) *reader->at);
}

static bool
skip(Reader *reader, char expected)
{
	if (*reader->at != expected)
		return false;
	reader->at++;
	return true;
}

static bool
read_name(Reader *reader, int *value)
{
	const char *const *names = fields[reader->field].names;

	for (int i = 0; names != NULL && names[i] != NULL; i++)
	{
		if (pg_strncasecmp(reader->at, names[i], 3) != 0 || isalnum((unsigned char) reader->at[3]))
			continue;
		*value = i + fields[reader->field].min;
		reader->at += 3;
		return true;
	}
	return false;
}

static bool
read_number(Reader *reader, int *value)
{
	const char *start = reader->at;

	*value = 0;
	while (isdigit((unsigned char) *reader->at) && reader->at - start < 4)
		*value = *value * 10 + (*reader->at++ - '0');
	return reader->at > start && !isalnum((unsigned char) *reader->at);
}

static bool
read_value(Reader *reader, int *value)
{
	return (read_name(reader, value) || read_number(reader, value)) &&
		*value >= fields[reader->field].min && *value <= fields[reader->field].max;
}

/* One member of a list: star, value or range, with or without a step. */
static bool
read_member(Reader *reader, uint64 *set)
{
	int			first = fields[reader->field].min;
	int			last = fields[reader->field].max;
	int			step = 1;
	bool		is_value = false;

	if (!skip(reader, '*'))
	{
		if (!read_value(reader, &first))
			return false;
		last = first;
		is_value = !skip(reader, '-');
		if (!is_value && (!read_value(reader, &last) || last < first))
			return false;
	}
	if (skip(reader, '/'))
	{
		if (!read_number(reader, &step) || step == 0)
			return false;
		if (is_value)
			last = fields[reader->field].max;
	}
	for (int value = first; value <= last; value += step)
		*set |= UINT64CONST(1) << value;
	return true;
}

static bool
read_field(Reader *reader, uint64 *set, bool *any)
{
	*set = 0;
	*any = *reader->at == '*';
	do
	{
		if (!read_member(reader, set))
			return false;
	} while (skip(reader, ','));
	return at_end(reader);
}

static const char *
skip_space(const char *at)
{
	while (isspace((unsigned char) *at))
		at++;
	return at;
}

static const char *
parse_fields(const char *text, TcCron *cron, char error[TC_CRON_ERROR_SIZE])
{
	uint64		sets[FIELD_COUNT];
	bool		any[FIELD_COUNT];
	Reader		reader = {skip_space(text), MINUTE};

	for (int i = MINUTE; i < FIELD_COUNT; i++)
	{
		const char *start = reader.at;

		reader.field = (FieldId) i;
		if (*start == '\0')
			snprintf(error, TC_CRON_ERROR_SIZE, "It has %d of five fields.", i);
		else if (!read_field(&reader, &sets[i], &any[i]))
			snprintf(error, TC_CRON_ERROR_SIZE, "Field %d, the %s (%d to %d), is malformed: \"%.*s\".",
					 i + 1, fields[i].name, fields[i].min, fields[i].max,
					 (int) Min(strcspn(start, " \t\n\r\f\v"), 60), start);
		else
		{
			reader.at = skip_space(reader.at);
			continue;
		}
		return error;
	}
	if (*reader.at != '\0')
	{
		snprintf(error, TC_CRON_ERROR_SIZE, "It has more than five fields.");
		return error;
	}
	cron->minutes = sets[MINUTE];
	cron->hours = (uint32) sets[HOUR];
	cron->days = (uint32) sets[DAY];
	cron->months = (uint32) sets[MONTH];
	cron->weekdays = (uint32) ((sets[WEEKDAY] | sets[WEEKDAY] >> 7) & 0x7f);
	cron->any_day = any[DAY];
	cron->any_weekday = any[WEEKDAY];
	cron->any_hour = any[HOUR];
	return NULL;
}

const char *
tc_cron_parse(const char *text, TcCron *cron, char error[TC_CRON_ERROR_SIZE])
{
	if (text[0] != '@')
		return parse_fields(text, cron, error);
	for (int i = 0; i < lengthof(words); i++)
	{
		if (pg_strcasecmp(text, words[i].word) == 0)
			return parse_fields(words[i].means, cron, error);
	}
	snprintf(error, TC_CRON_ERROR_SIZE,
			 "The words are @yearly, @monthly, @weekly, @daily and @hourly.");
	return error;
}

/* ---- on the wall --------------------------------------------------------- */

static int64
floor_div(int64 a, int64 b)
{
	return a / b - (a % b < 0 ? 1 : 0);
}

/* The date of a day since 1970, by the proleptic Gregorian calendar. */
static void
civil(int64 day, int *month, int *day_of_month)
{
	int64		shifted = day + 719468; /* since 1 March of year 0 */
	int64		era = floor_div(shifted, 146097);
	int64		day_of_era = shifted - era * 146097;
	int64		year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64		day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64		march_month = (5 * day_of_year + 2) / 153;

	*day_of_month = (int) (day_of_year - (153 * march_month + 2) / 5 + 1);
	*month = (int) (march_month < 10 ? march_month + 3 : march_month - 9);
}

static bool
day_matches(const TcCron *cron, int64 day)
{
	int			month;
	int			day_of_month;
	int			weekday = (int) (((day + 4) % 7 + 7) % 7);	/* 1970 began on a Thursday */
	bool		day_is_in;
	bool		weekday_is_in;

	civil(day, &month, &day_of_month);
	if ((cron->months >> month & 1) == 0)
		return false;
	day_is_in = (cron->days >> day_of_month & 1) != 0;
	weekday_is_in = (cron->weekdays >> weekday & 1) != 0;
	if (cron->any_day || cron->any_weekday)
		return day_is_in && weekday_is_in;
	return day_is_in || weekday_is_in;
}

static bool
minute_matches(const TcCron *cron, int minute_of_day)
{
	return (cron->hours >> (minute_of_day / 60) & 1) != 0 &&
		(cron->minutes >> (minute_of_day % 60) & 1) != 0;
}

static bool
wall_matches(const TcCron *cron, int64 wall)
{
	int64		day = floor_div(wall, MINUTES_PER_DAY);

	return day_matches(cron, day) && minute_matches(cron, (int) (wall - day * MINUTES_PER_DAY));
}

/* The first time on the wall after one. */
static int64
next_on_wall(const TcCron *cron, int64 after)
{
	int64		day = floor_div(after + 1, MINUTES_PER_DAY);
	int			minute = (int) (after + 1 - day * MINUTES_PER_DAY);

	for (int days = 0; days < MAX_DAYS; days++, day++, minute = 0)
	{
		if (!day_matches(cron, day))
			continue;
		for (; minute < MINUTES_PER_DAY; minute++)
		{
			if (minute_matches(cron, minute))
				return day * MINUTES_PER_DAY + minute;
		}
	}
	return TC_CRON_NEVER;
}

/* ---- in time ------------------------------------------------------------- */

/* The first instant after lo at which the offset is another; at hi it is. */
static int64
find_change(int64 lo, int64 hi, TcCronOffset offset, void *arg)
{
	int32		old = offset(lo, arg);

	while (hi - lo > 1)
	{
		int64		middle = lo + (hi - lo) / 2;

		if (offset(middle, arg) == old)
			lo = middle;
		else
			hi = middle;
	}
	return hi;
}

static int64
next_as_time_passes(const TcCron *cron, int64 after, TcCronOffset offset, void *arg)
{
	for (int changes = 0; changes < MAX_CHANGES; changes++)
	{
		int32		now = offset(after, arg);
		int64		wall = next_on_wall(cron, after + now);

		if (wall == TC_CRON_NEVER || offset(wall - now, arg) == now)
			return wall == TC_CRON_NEVER ? TC_CRON_NEVER : wall - now;
		after = find_change(after, wall - now, offset, arg);
		if (wall_matches(cron, after + offset(after, arg)))
			return after;
	}
	return TC_CRON_NEVER;
}

/* When the wall clock shows a time. */
static int64
instant_of(int64 wall, TcCronOffset offset, void *arg)
{
	int64		about = wall - offset(wall, arg);
	int32		earlier = offset(about - NEAR, arg);
	int32		later = offset(about + NEAR, arg);

	if (offset(wall - earlier, arg) == earlier || offset(wall - later, arg) != later)
		return wall - earlier;
	return wall - later;
}

static int64
next_time_of_day(const TcCron *cron, int64 after, TcCronOffset offset, void *arg)
{
	int64		wall = after + offset(after, arg);
	int64		instant;

	do
	{
		wall = next_on_wall(cron, wall);
		if (wall == TC_CRON_NEVER)
			return TC_CRON_NEVER;
		instant = instant_of(wall, offset, arg);
	} while (instant <= after);
	return instant;
}

int64
tc_cron_next(const TcCron *cron, int64 after, TcCronOffset offset, void *arg)
{
	if (cron->any_hour)
		return next_as_time_passes(cron, after, offset, arg);
	return next_time_of_day(cron, after, offset, arg);
}
