/*
 * report_store.h
 *	  Reports about the system as a whole: one statement each.
 *
 * They run under the caller's snapshot and read whole tables; what each one
 * reads is said beside its statement.
 */
#ifndef TC_REPORT_STORE_H
#define TC_REPORT_STORE_H

#include "store/session.h"

typedef enum TcReport
{
	TC_REPORT_HEALTH,
	TC_REPORT_ANALYTICS,
	TC_REPORT_SLOWEST_STEPS,
	TC_REPORT_SLOWEST_TASKS,
	TC_REPORT_SLOWEST_STEPS_AGGREGATED,
	TC_REPORT_SLOWEST_TASKS_AGGREGATED,
	TC_REPORT_COUNT
} TcReport;

/* What a report can be asked for; each uses what it needs. */
typedef struct TcReportQuery
{
	TimestampTz since;			/* TC_NO_TIME = the report's default */
	int32		max_rows;
	const char *namespace_name; /* NULL = all */
	const char *task_name;		/* NULL = all */
	const char *version;		/* NULL = all */
	int32		min_executions;
} TcReportQuery;

/* Returns the number of rows, to be read with tc_report_value() within the session. */
extern uint64 tc_report_run(TcReport report, const TcReportQuery *query);

/* By column position from 1; a value lives until the session ends. */
extern Datum tc_report_value(uint64 row, int column, bool *isnull);

#endif							/* TC_REPORT_STORE_H */
