/*
 * schedules.c
 *	  Tasks that are made at certain times.
 *
 * Each time makes one task: its creation and the step to the next time are one
 * transaction, under the lock of the schedule.  The time is in the task's
 * idempotency key besides, so that a schedule that is dropped and made anew, or a
 * clock that is set back, makes none twice.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"

#include "compat.h"
#include "domain/cron.h"
#include "errors.h"
#include "events/events.h"
#include "ops/schedules.h"
#include "ops/schemas.h"
#include "ops/tasks.h"
#include "store/access_store.h"
#include "store/attempt.h"
#include "store/template_store.h"

#define USECS_PER_MINUTE INT64CONST(60000000)

/* Times passed over in one go, to find the latest that is due. */
#define MAX_MISSED 100000

/* ---- times --------------------------------------------------------------- */

/* PostgreSQL's epoch, in minutes since 1970. */
#define EPOCH_MINUTES ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 1440)

static int64
to_minutes(TimestampTz at)
{
	return at / USECS_PER_MINUTE - (at % USECS_PER_MINUTE < 0 ? 1 : 0) + EPOCH_MINUTES;
}

static int32
offset_in_zone(int64 instant, void *zone)
{
	pg_time_t	seconds = instant * SECS_PER_MINUTE;

	return (int32) (pg_localtime(&seconds, zone)->tm_gmtoff / SECS_PER_MINUTE);
}

static TimestampTz
next_due(const TcCron *cron, pg_tz *zone, TimestampTz after)
{
	int64		next = tc_cron_next(cron, to_minutes(after), offset_in_zone, zone);

	return next == TC_CRON_NEVER ? TC_NO_TIME : (next - EPOCH_MINUTES) * USECS_PER_MINUTE;
}

/* A schedule that never comes is none. */
static TimestampTz
first_due(const TcSchedule *schedule, TcCron *cron, pg_tz **zone)
{
	char		error[TC_CRON_ERROR_SIZE];
	const char *complaint = tc_cron_parse(schedule->cron, cron, error);
	TimestampTz due;

	if (complaint != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cron is no schedule: \"%s\"", schedule->cron),
				 errdetail("%s", complaint),
				 errhint("Give minute, hour, day of the month, month and day of the week, for example \"30 2 * * mon-fri\"; or @daily.")));
	*zone = pg_tzset(schedule->timezone);
	if (*zone == NULL || !pg_tz_acceptable(*zone))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time zone \"%s\" is not known", schedule->timezone),
				 errdetail("The times of a schedule are those of the wall clock in its time zone."),
				 errhint("pg_timezone_names lists those there are, for example \"Europe/Berlin\".")));
	due = next_due(cron, *zone, tc_session_now());
	if (due == TC_NO_TIME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schedule \"%s\" is never due", schedule->cron),
				 errdetail("No day has this date."),
				 errhint("Choose a day that the month has.")));
	return due;
}

/* ---- making and changing ------------------------------------------------- */

static bool
texts_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool
is_same(const TcSchedule *a, const TcSchedule *b)
{
	return texts_equal(a->task_name, b->task_name) && texts_equal(a->version, b->version) &&
		texts_equal(a->cron, b->cron) && texts_equal(a->timezone, b->timezone) &&
		a->priority == b->priority && a->catch_up == b->catch_up &&
		compareJsonbContainers(&((Jsonb *) a->context)->root, &((Jsonb *) b->context)->root) == 0;
}

/* What create_task would refuse at the time is refused now. */
static void
check_task(const TcSchedule *schedule)
{
	int32		named_task_id = tc_template_find(schedule->namespace_name, schedule->task_name,
												 schedule->version);

	if (named_task_id == 0)
		tc_raise_template_not_found(schedule->namespace_name, schedule->task_name, schedule->version);
	if (!JB_ROOT_IS_OBJECT((Jsonb *) schedule->context))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("context is no JSON object"),
				 errdetail("The context of a task is an object."),
				 errhint("Wrap the value in an object: {\"value\": ...}.")));
	tc_require_context(tc_template_get(named_task_id), schedule->context, 0);
}

bool
tc_create_schedule(TcSchedule *schedule)
{
	TcSchedule	existing;
	TcCron		cron;
	pg_tz	   *zone;

	tc_scope_require_namespace(schedule->namespace_name);
	check_task(schedule);
	schedule->next_due_at = first_due(schedule, &cron, &zone);
	if (tc_schedule_insert(schedule))
	{
		tc_event_timer(schedule->next_due_at);
		return true;
	}
	if (!tc_schedule_lock(schedule->namespace_name, schedule->name, &existing) ||
		!is_same(schedule, &existing))
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("schedule \"%s\" exists in namespace \"%s\"", schedule->name, schedule->namespace_name),
				 errdetail("It is not the same as the one that was to be made."),
				 errhint("Drop it with tasker.drop_schedule() first, or choose another name.")));
	*schedule = existing;
	return false;
}

int
tc_list_schedules(const char *namespace_name, TcSchedule **schedules)
{
	int			n = tc_schedule_list(namespace_name, schedules);
	int			visible = 0;

	for (int i = 0; i < n; i++)
	{
		if (tc_scope_has_namespace((*schedules)[i].namespace_name))
			(*schedules)[visible++] = (*schedules)[i];
	}
	return visible;
}

static void
require_schedule(const char *namespace_name, const char *name, TcSchedule *schedule)
{
	tc_scope_require_namespace(namespace_name);
	if (!tc_schedule_lock(namespace_name, name, schedule))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("schedule \"%s\" not found in namespace \"%s\"", name, namespace_name),
				 errdetail("No schedule has this name there."),
				 errhint("tasker.list_schedules() shows those there are.")));
}

bool
tc_pause_schedule(const char *namespace_name, const char *name)
{
	TcSchedule	schedule;

	require_schedule(namespace_name, name, &schedule);
	if (schedule.paused_at != TC_NO_TIME)
		return false;
	tc_schedule_set_paused(schedule.schedule_id, tc_session_now(), schedule.next_due_at);
	return true;
}

/* Times that passed in the pause are not made up for. */
bool
tc_resume_schedule(const char *namespace_name, const char *name)
{
	TcSchedule	schedule;
	TcCron		cron;
	pg_tz	   *zone;
	TimestampTz due;

	require_schedule(namespace_name, name, &schedule);
	if (schedule.paused_at == TC_NO_TIME)
		return false;
	due = first_due(&schedule, &cron, &zone);
	tc_schedule_set_paused(schedule.schedule_id, TC_NO_TIME, due);
	tc_event_timer(due);
	return true;
}

bool
tc_drop_schedule(const char *namespace_name, const char *name)
{
	TcSchedule	schedule;

	tc_scope_require_namespace(namespace_name);
	if (!tc_schedule_lock(namespace_name, name, &schedule))
		return false;
	tc_schedule_delete(schedule.schedule_id);
	return true;
}

/* ---- firing -------------------------------------------------------------- */

/* ISO 8601 in UTC, to the minute: YYYY-MM-DDTHH:MMZ. */
static const char *
due_text(TimestampTz due)
{
	pg_time_t	seconds = timestamptz_to_time_t(due);
	struct pg_tm *tm = pg_gmtime(&seconds);

	return psprintf("%04d-%02d-%02dT%02d:%02dZ", tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday,
					tm->tm_hour, tm->tm_min);
}

static bool
create(void *arg)
{
	TcSchedule *schedule = arg;
	TcCreateRequest request = {
		.namespace_name = schedule->namespace_name,
		.name = schedule->task_name,
		.version = schedule->version,
		.charged_role = schedule->created_by,
		.task = {
			.priority = schedule->priority,
			.run_at = TC_NO_TIME,
			.context = schedule->context,
			.initiator = psprintf("schedule %s", schedule->name),
		},
	};
	TcCreateResult result;

	request.task.reason = psprintf("due at %s", due_text(schedule->last_due_at));
	request.task.idempotency_key = psprintf("schedule %s %s", schedule->name, due_text(schedule->last_due_at));
	tc_create_task(&request, &result);
	schedule->last_task_id = result.task_id;
	return true;
}

/* The time that is due, and the one after it. */
static void
step_on(TcSchedule *schedule)
{
	TcCron		cron;
	pg_tz	   *zone;
	TimestampTz first = first_due(schedule, &cron, &zone);

	schedule->last_due_at = schedule->next_due_at;
	schedule->next_due_at = next_due(&cron, zone, schedule->last_due_at);
	if (schedule->catch_up == TC_CATCH_UP_ALL)
		return;
	for (int missed = 0; missed < MAX_MISSED && schedule->next_due_at < first; missed++)
	{
		CHECK_FOR_INTERRUPTS();
		schedule->last_due_at = schedule->next_due_at;
		schedule->next_due_at = next_due(&cron, zone, schedule->last_due_at);
	}
}

static void
warn(const TcSchedule *schedule, const ErrorData *error, const char *what_follows)
{
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("schedule \"%s\" of namespace \"%s\" could not make a task", schedule->name,
					schedule->namespace_name),
			 errdetail("%s", error->message),
			 errhint("%s", what_follows)));
}

/* A time zone may be gone with an upgrade of the system; tasks of other schedules are not to wait for it. */
static void
give_up(TcSchedule *schedule, ErrorData *error)
{
	warn(schedule, error, "It is paused; tasker.resume_schedule() goes on.");
	tc_schedule_set_paused(schedule->schedule_id, tc_session_now(), schedule->next_due_at);
	schedule->last_error = error->message;
	tc_schedule_advance(schedule);
}

/* The time is not over: it may have its task once a transaction has ended, or a limit allows it. */
static bool
is_for_now(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == TC_ERRCODE_LIMIT_EXCEEDED;
}

/* Said once, since it may be so each time for long. */
static void
put_off(const TcSchedule *schedule, const ErrorData *error)
{
	if (texts_equal(schedule->last_error, error->message))
		return;
	warn(schedule, error, "It is tried again when maintenance runs next.");
	tc_schedule_set_error(schedule->schedule_id, error->message);
}

static bool
step_on_attempt(void *arg)
{
	step_on(arg);
	return true;
}

/*
 * False: not now.  Anybody may hold the idempotency key of a time, in a transaction
 * of any length, and nobody is to wait for that.
 */
static bool
fire(TcSchedule *schedule)
{
	TcSchedule	before = *schedule;
	ErrorData  *error;

	if (!tc_attempt_or_error(step_on_attempt, schedule, TC_WAIT_AS_LONG_AS_IT_TAKES, &error))
	{
		give_up(&before, error);
		return true;
	}
	schedule->last_error = NULL;
	if (!tc_attempt_or_error(create, schedule, TC_WAIT_BRIEFLY, &error))
	{
		if (is_for_now(error))
		{
			put_off(&before, error);
			return false;
		}
		warn(schedule, error, "This time is passed over.");
		schedule->last_task_id = 0;
		schedule->last_error = error->message;
	}
	tc_schedule_advance(schedule);
	return true;
}

/* One that has several times to make up for has its turn again with the others. */
int
tc_fire_schedules(int max_tasks)
{
	TcSchedule *schedules;
	int32	   *put_off_ids = NULL;
	int			nput_off = 0;
	int			fired = 0;
	int			n;

	while (fired < max_tasks &&
		   (n = tc_schedule_lock_due(max_tasks - fired, put_off_ids, nput_off, &schedules)) > 0)
	{
		int32	   *ids = palloc(sizeof(int32) * (nput_off + n));

		if (nput_off > 0)
			memcpy(ids, put_off_ids, sizeof(int32) * nput_off);
		put_off_ids = ids;
		for (int i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (fire(&schedules[i]))
				fired++;
			else
				put_off_ids[nput_off++] = schedules[i].schedule_id;
		}
	}
	return fired;
}
