/*
 * cron.h
 *	  Times of a crontab, and when the next one is (pure C).
 *
 * Five fields: minute, hour, day of the month, month, day of the week; lists, ranges
 * and steps; months and days of the week by their first three letters, too; 7 is
 * Sunday like 0.  Or one word: @yearly (@annually), @monthly, @weekly, @daily
 * (@midnight), @hourly.  Where both days are restricted, a day that matches either
 * one is meant; a field that begins with * does not restrict.
 *
 * All times here are minutes since 1970: instants in UTC, wall clock times as if the
 * clock on the wall showed UTC.
 */
#ifndef TC_CRON_H
#define TC_CRON_H

typedef struct TcCron
{
	uint64		minutes;		/* bit n = minute n, and so on */
	uint32		hours;
	uint32		days;
	uint32		months;
	uint32		weekdays;
	bool		any_day;
	bool		any_weekday;
	bool		any_hour;		/* the hours do not say a time of day: begins with a star */
} TcCron;

#define TC_CRON_NEVER PG_INT64_MIN

/* NULL = parsed; else what is wrong, in a buffer of the caller's. */
#define TC_CRON_ERROR_SIZE 160
extern const char *tc_cron_parse(const char *text, TcCron *cron, char error[TC_CRON_ERROR_SIZE]);

/* Minutes to add to an instant for the wall clock then. */
typedef int32 (*TcCronOffset) (int64 instant, void *arg);

/*
 * The first time after an instant; TC_CRON_NEVER when there is none (30 February).
 *
 * Where the clocks change, hours that begin with a star go on as time passes: what the
 * wall clock leaves out does not happen, what it shows twice happens twice.
 * Other hours mean a time of day, which comes once: at the first where the wall clock
 * shows it twice; where it leaves it out, as much later as it leaves out.
 */
extern int64 tc_cron_next(const TcCron *cron, int64 after, TcCronOffset offset, void *arg);

#endif							/* TC_CRON_H */
