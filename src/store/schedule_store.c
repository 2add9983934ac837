/*
 * schedule_store.c
 *	  The schedules table.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "errors.h"
#include "store/plans.h"
#include "store/schedule_store.h"

static const char *const catch_up_names[] = {
#define X(id, name) [TC_CATCH_UP_##id] = name,
	TC_CATCH_UPS(X)
#undef X
};

const char *
tc_catch_up_name(TcCatchUp catch_up)
{
	return catch_up_names[catch_up];
}

bool
tc_catch_up_parse(const char *name, TcCatchUp *catch_up)
{
	for (int i = 0; i < TC_CATCH_UP_COUNT; i++)
	{
		if (strcmp(name, catch_up_names[i]) == 0)
		{
			*catch_up = (TcCatchUp) i;
			return true;
		}
	}
	return false;
}

static TcPlan plan_insert = {
	.sql =
	"INSERT INTO tasker.schedules (namespace_name, name, task_name, version, cron, timezone, context, priority,"
	" catch_up, next_due_at, created_at, created_by)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
	" ON CONFLICT (namespace_name, name) DO NOTHING RETURNING schedule_id",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT_RETURNING,
	.nargs = 12,
	.argtypes = {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, INT4OID, TEXTOID,
		TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID},
};

bool
tc_schedule_insert(TcSchedule *schedule)
{
	char		nulls[13] = "            ";
	Datum		values[12] = {
		CStringGetTextDatum(schedule->namespace_name), CStringGetTextDatum(schedule->name),
		CStringGetTextDatum(schedule->task_name), tc_text_or_null(schedule->version, &nulls[3]),
		CStringGetTextDatum(schedule->cron), CStringGetTextDatum(schedule->timezone),
		PointerGetDatum(schedule->context), Int32GetDatum(schedule->priority),
		CStringGetTextDatum(tc_catch_up_name(schedule->catch_up)),
		TimestampTzGetDatum(schedule->next_due_at), TimestampTzGetDatum(tc_session_now()),
		CStringGetTextDatum(tc_session_caller_role())
	};

	if (tc_plan_run(&plan_insert, values, nulls) == 0)
		return false;
	schedule->schedule_id = tc_row_int32(0, 1);
	return true;
}

#define COLUMNS \
	"s.schedule_id, s.namespace_name, s.name, s.task_name, s.version, s.cron, s.timezone, s.context, s.priority," \
	" s.catch_up, s.paused_at, s.next_due_at, s.last_due_at, s.last_task_id, s.last_error, s.created_at, s.created_by"

static void
read_schedule(uint64 row, TcSchedule *schedule)
{
	schedule->schedule_id = tc_row_int32(row, 1);
	schedule->namespace_name = tc_row_text(row, 2);
	schedule->name = tc_row_text(row, 3);
	schedule->task_name = tc_row_text(row, 4);
	schedule->version = tc_row_text(row, 5);
	schedule->cron = tc_row_text(row, 6);
	schedule->timezone = tc_row_text(row, 7);
	schedule->context = tc_row_varlena(row, 8);
	schedule->priority = tc_row_int32(row, 9);
	if (!tc_catch_up_parse(tc_row_text(row, 10), &schedule->catch_up))
		tc_raise_corrupt_state("tasker.schedules", schedule->schedule_id, "catch_up is unknown");
	schedule->paused_at = tc_row_timestamptz(row, 11);
	schedule->next_due_at = tc_row_timestamptz(row, 12);
	schedule->last_due_at = tc_row_timestamptz(row, 13);
	schedule->last_task_id = tc_row_isnull(row, 14) ? 0 : tc_row_int64(row, 14);
	schedule->last_error = tc_row_text(row, 15);
	schedule->created_at = tc_row_timestamptz(row, 16);
	schedule->created_by = tc_row_text(row, 17);
}

static int
read_schedules(int n, TcSchedule **schedules)
{
	*schedules = MemoryContextAlloc(tc_session_caller_context(), sizeof(TcSchedule) * Max(n, 1));
	for (int i = 0; i < n; i++)
		read_schedule(i, &(*schedules)[i]);
	return n;
}

static TcPlan plan_lock = {
	.sql =
	"SELECT " COLUMNS " FROM tasker.schedules s WHERE s.namespace_name = $1 AND s.name = $2 FOR UPDATE",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

bool
tc_schedule_lock(const char *namespace_name, const char *name, TcSchedule *schedule)
{
	Datum		values[2] = {CStringGetTextDatum(namespace_name), CStringGetTextDatum(name)};

	if (tc_plan_run(&plan_lock, values, NULL) == 0)
		return false;
	read_schedule(0, schedule);
	return true;
}

static TcPlan plan_list = {
	.sql =
	"SELECT " COLUMNS " FROM tasker.schedules s WHERE $1 IS NULL OR s.namespace_name = $1"
	" ORDER BY s.namespace_name COLLATE \"C\", s.name COLLATE \"C\"",
	.kind = TC_REPORT,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

int
tc_schedule_list(const char *namespace_name, TcSchedule **schedules)
{
	char		nulls[2] = " ";
	Datum		values[1] = {tc_text_or_null(namespace_name, &nulls[0])};

	return read_schedules((int) tc_plan_run(&plan_list, values, nulls), schedules);
}

static TcPlan plan_lock_due = {
	.sql =
	"SELECT " COLUMNS " FROM tasker.schedules s WHERE s.paused_at IS NULL AND s.next_due_at <= $1"
	" AND s.schedule_id <> ALL ($3) ORDER BY s.next_due_at, s.schedule_id LIMIT $2 FOR UPDATE SKIP LOCKED",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 3,
	.argtypes = {TIMESTAMPTZOID, INT4OID, INT4ARRAYOID},
};

int
tc_schedule_lock_due(int max_schedules, const int32 *passed_over, int n, TcSchedule **schedules)
{
	Datum		values[3] = {
		TimestampTzGetDatum(tc_session_now()), Int32GetDatum(max_schedules),
		tc_array_int32(passed_over, n)
	};

	return read_schedules((int) tc_plan_run(&plan_lock_due, values, NULL), schedules);
}

static TcPlan plan_next_due = {
	.sql =
	"SELECT min(s.next_due_at) FROM tasker.schedules s WHERE s.paused_at IS NULL AND s.next_due_at > $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TIMESTAMPTZOID},
};

TimestampTz
tc_schedule_next_due(TimestampTz after)
{
	Datum		values[1] = {TimestampTzGetDatum(after)};

	tc_plan_run(&plan_next_due, values, NULL);
	return tc_row_timestamptz(0, 1);
}

static TcPlan plan_set_paused = {
	.sql = "UPDATE tasker.schedules SET paused_at = $2, next_due_at = $3 WHERE schedule_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 3,
	.argtypes = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID},
};

void
tc_schedule_set_paused(int32 schedule_id, TimestampTz paused_at, TimestampTz next_due_at)
{
	char		nulls[4] = "   ";
	Datum		values[3] = {
		Int32GetDatum(schedule_id), TimestampTzGetDatum(paused_at), TimestampTzGetDatum(next_due_at)
	};

	nulls[1] = paused_at == TC_NO_TIME ? 'n' : ' ';
	tc_plan_run(&plan_set_paused, values, nulls);
}

static TcPlan plan_advance = {
	.sql =
	"UPDATE tasker.schedules SET next_due_at = $2, last_due_at = $3, last_task_id = $4, last_error = $5"
	" WHERE schedule_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 5,
	.argtypes = {INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, TEXTOID},
};

void
tc_schedule_advance(const TcSchedule *schedule)
{
	char		nulls[6] = "     ";
	Datum		values[5] = {
		Int32GetDatum(schedule->schedule_id), TimestampTzGetDatum(schedule->next_due_at),
		TimestampTzGetDatum(schedule->last_due_at), Int64GetDatum(schedule->last_task_id),
		tc_text_or_null(schedule->last_error, &nulls[4])
	};

	nulls[3] = schedule->last_task_id == 0 ? 'n' : ' ';
	tc_plan_run(&plan_advance, values, nulls);
}

static TcPlan plan_set_error = {
	.sql = "UPDATE tasker.schedules SET last_error = $2 WHERE schedule_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_UPDATE,
	.nargs = 2,
	.argtypes = {INT4OID, TEXTOID},
};

void
tc_schedule_set_error(int32 schedule_id, const char *error)
{
	Datum		values[2] = {Int32GetDatum(schedule_id), CStringGetTextDatum(error)};

	tc_plan_run(&plan_set_error, values, NULL);
}

static TcPlan plan_delete = {
	.sql = "DELETE FROM tasker.schedules WHERE schedule_id = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 1,
	.argtypes = {INT4OID},
};

void
tc_schedule_delete(int32 schedule_id)
{
	Datum		values[1] = {Int32GetDatum(schedule_id)};

	tc_plan_run(&plan_delete, values, NULL);
}
