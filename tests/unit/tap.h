/*
 * tap.h
 *	  Assertions that print the Test Anything Protocol, for one test program.
 *
 * Every line is flushed, so that what ran before a crash is on record.  The
 * plan comes last: output without one is a program that did not finish.
 */
#ifndef TC_TAP_H
#define TC_TAP_H

static int	tap_tests = 0;
static int	tap_failures = 0;

static inline void tap_diag(const char *format,...) pg_attribute_printf(1, 2);
static inline void tap_ok(bool passed, const char *format,...) pg_attribute_printf(2, 3);
static inline void tap_is_int(int64 got, int64 want,
							  const char *format,...) pg_attribute_printf(3, 4);
static inline void tap_is_text(const char *got, const char *want,
							   const char *format,...) pg_attribute_printf(3, 4);
static inline void tap_is_ints(const int32 *got, const int32 *want, int32 count,
							   const char *format,...) pg_attribute_printf(4, 5);
static inline void tap_report(bool passed, const char *format,
							  va_list args) pg_attribute_printf(2, 0);

static inline void
tap_diag(const char *format,...)
{
	va_list		args;

	va_start(args, format);
	printf("# ");
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
	va_end(args);
}

static inline void
tap_ok(bool passed, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	tap_report(passed, format, args);
	va_end(args);
}

static inline void
tap_is_int(int64 got, int64 want, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	tap_report(got == want, format, args);
	va_end(args);
	if (got != want)
		tap_diag("got " INT64_FORMAT ", want " INT64_FORMAT, got, want);
}

static inline void
tap_is_text(const char *got, const char *want, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	tap_report(strcmp(got, want) == 0, format, args);
	va_end(args);
	if (strcmp(got, want) != 0)
		tap_diag("got \"%s\", want \"%s\"", got, want);
}

static inline void
tap_is_ints(const int32 *got, const int32 *want, int32 count, const char *format,...)
{
	bool		equal = memcmp(got, want, sizeof(int32) * count) == 0;
	va_list		args;

	va_start(args, format);
	tap_report(equal, format, args);
	va_end(args);
	for (int32 i = 0; i < count && !equal; i++)
		tap_diag("[%d] got %d, want %d", i, got[i], want[i]);
}

static inline void
tap_report(bool passed, const char *format, va_list args)
{
	tap_tests++;
	if (!passed)
		tap_failures++;
	printf("%sok %d - ", passed ? "" : "not ", tap_tests);
	vprintf(format, args);
	printf("\n");
	fflush(stdout);
}

/* Print the plan; returns the exit status of the program. */
static inline int
tap_done(void)
{
	printf("1..%d\n", tap_tests);
	if (tap_failures > 0)
		tap_diag("%d of %d failed", tap_failures, tap_tests);
	return tap_failures > 0 || tap_tests == 0 ? 1 : 0;
}

#endif							/* TC_TAP_H */
