/*
 * events_test.c
 *	  Names and patterns of events, what rows of the history stand for, cursors,
 *	  and epochs.
 */
#include "postgres_fe.h"

#include "domain/event_order.h"
#include "domain/states.h"
#include "tap.h"

/* ---- names ---------------------------------------------------------------- */

static void
test_names(void)
{
	for (int e = TC_EVENT_NONE + 1; e < TC_EVENT_COUNT; e++)
	{
		const char *name = tc_event_name((TcEvent) e);

		tap_ok(tc_event_name_is_reserved(name), "%s is a name of ours", name);
		for (int f = e + 1; f < TC_EVENT_COUNT; f++)
		{
			if (strcmp(name, tc_event_name((TcEvent) f)) == 0)
				tap_ok(false, "%s stands for one event only", name);
		}
	}
	tap_ok(!tc_event_name_is_reserved("task"), "task is not reserved, only what begins with task.");
	tap_ok(!tc_event_name_is_reserved("tasks.done"), "tasks.done is not reserved");
	tap_ok(!tc_event_name_is_reserved("order.task.done"), "order.task.done is not reserved");
	tap_ok(tc_event_name_is_reserved("observability.x"), "observability.x is reserved");
}

static void
test_patterns(void)
{
	static const struct
	{
		const char *pattern;
		const char *name;
		bool		matches;
	}			cases[] = {
		{"*", "", true},
		{"*", "step.failed", true},
		{"step.failed", "step.failed", true},
		{"step.failed", "step.failed2", false},
		{"step.failed", "step.faile", false},
		{"step.*", "step.failed", true},
		{"step.*", "step.", true},
		{"step.*", "step", false},
		{"*.failed", "task.failed", true},
		{"*.failed", "task.failed.failed", true},
		{"*.failed", "task.failed.not", false},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"**a**", "xax", true},
		{"*aab", "aaaaab", true},
		{"a*a", "a", false},
		{"a?c", "abc", false},
		{"a.c", "abc", false},
		{"[ab]", "a", false},
		{"", "", true},
		{"", "a", false},
	};

	for (int i = 0; i < lengthof(cases); i++)
		tap_ok(tc_event_matches(cases[i].pattern, cases[i].name) == cases[i].matches,
			   "\"%s\" %s \"%s\"", cases[i].pattern, cases[i].matches ? "matches" : "does not match",
			   cases[i].name);

	tap_ok(tc_event_pattern_is_open("*"), "* may match a name of one's own");
	tap_ok(tc_event_pattern_is_open("t*"), "t* may match a name of one's own");
	tap_ok(tc_event_pattern_is_open("task*"), "task* may match a name of one's own");
	tap_ok(!tc_event_pattern_is_open("task.*"), "task.* matches ours only");
	tap_ok(!tc_event_pattern_is_open("step.failed"), "step.failed matches ours only");
}

/* ---- rows ----------------------------------------------------------------- */

/* Every legal move of a task is an event, and nothing else is. */
static void
test_task_moves(void)
{
	for (int from = 0; from < TC_TASK_STATE_COUNT; from++)
	{
		for (int to = 0; to < TC_TASK_STATE_COUNT; to++)
		{
			bool		legal = tc_task_move((TcTaskState) from, (TcTaskState) to) == TC_MOVE_LEGAL;
			char		kind[64];

			snprintf(kind, sizeof(kind), "%s>%s", tc_task_state_name((TcTaskState) from),
					 tc_task_state_name((TcTaskState) to));
			tap_ok((tc_event_rule(TC_SOURCE_TASK_TRANSITIONS, kind) != NULL) == legal,
				   "task %s is %s event", kind, legal ? "an" : "no");
		}
	}
}

static void
test_rows(void)
{
	const char *kinds[TC_MAX_EVENT_KINDS];
	const TcEventRule *rule = tc_event_rule(TC_SOURCE_STEP_ATTEMPTS, "lease_expired>error");

	tap_is_text(tc_event_name(rule->events[0]), "step.lease_expired", "a lost last attempt: its lease ran out");
	tap_is_text(tc_event_name(rule->events[1]), "step.failed", "and its step has failed");
	tap_ok(tc_event_rule(TC_SOURCE_STEP_MOVES, "release>pending") == NULL, "giving back is no event");
	tap_ok(tc_event_rule(TC_SOURCE_STEP_MOVES, "yield>pending") == NULL, "yielding is no event");
	tap_ok(tc_event_rule(TC_SOURCE_STEP_CHECKPOINTS, "stored") != NULL, "a checkpoint is an event");
	tap_ok(tc_event_rule(TC_SOURCE_TASKS, "paused") == NULL, "a kind belongs to one table");

	tap_is_int(tc_event_kinds(TC_SOURCE_STEP_ATTEMPTS, "*", kinds), 5, "* asks for every attempt");
	tap_is_int(tc_event_kinds(TC_SOURCE_STEP_ATTEMPTS, "step.failed", kinds), 2,
			   "step.failed asks for two kinds of attempts");
	tap_is_text(kinds[0], "failed>error", "one that failed for good");
	tap_is_text(kinds[1], "lease_expired>error", "and one that was lost as the last");
	tap_is_int(tc_event_kinds(TC_SOURCE_TASKS, "step.*", kinds), 0, "step.* asks for no task");
	tap_is_int(tc_event_kinds(TC_SOURCE_STEP_MOVES, "step.cancelled", kinds), 3,
			   "step.cancelled asks for cancelled steps, and those cancelled with them or by fail_fast");
}

/* ---- cursors -------------------------------------------------------------- */

static void
test_cursors(void)
{
	static const char *const good[] = {
		"1.0.0", "1.745.3", "32767.281474976710655.4294967295"
	};
	static const char *const bad[] = {
		"", "1", "1.2", "1.2.", "1.2.3.", "1.2.3.4", "0.2.3", "32768.1.1", "1.281474976710656.1",
		"1.1.4294967296", "-1.2.3", "1.-2.3", "01.2.3", "1.02.3", "1.2.3 ", " 1.2.3", "1,2,3", "a.b.c",
		"1.99999999999999999999999.1", "1.2.0x3", "1..3"
	};
	TcEventCursor cursor;
	char		buf[TC_EVENT_CURSOR_SIZE];

	for (int i = 0; i < lengthof(good); i++)
	{
		tap_ok(tc_event_cursor_parse(good[i], &cursor), "\"%s\" is a cursor", good[i]);
		tap_is_text(tc_event_cursor_format(cursor, buf), good[i], "and is written as it was read");
	}
	for (int i = 0; i < lengthof(bad); i++)
		tap_ok(!tc_event_cursor_parse(bad[i], &cursor), "\"%s\" is no cursor", bad[i]);

	tap_ok(tc_event_is_after(tc_event_cursor(7, 1, 1), tc_event_cursor(7, 1, 0)), "by position in a row");
	tap_ok(tc_event_is_after(tc_event_cursor(7, 2, 0), tc_event_cursor(7, 1, 1)), "then by row");
	tap_ok(tc_event_is_after(tc_event_cursor(8, 1, 0), tc_event_cursor(7, 9, 1)), "then by transaction");
	tap_ok(!tc_event_is_after(tc_event_cursor(7, 1, 1), tc_event_cursor(7, 1, 1)), "none is after itself");
	tap_ok(tc_event_xact(2, 5) > tc_event_xact(1, TC_EVENT_XID_LIMIT - 1), "a later epoch is after every id");
	cursor = tc_event_cursor(7, PG_INT32_MAX, 1);
	tap_is_int(tc_event_cursor_seq(&cursor), PG_INT32_MAX, "the row of a cursor is known");
}

/* ---- epochs --------------------------------------------------------------- */

#define OLD_SERVER	{11, 5, 1}
#define NEW_SERVER	{22, 9, 1}
#define PROMOTED	{11, 5, 2}
#define ON_STANDBY	{11, 5, 0}

static void
era_is(const TcEventEpoch *recorded, int n, TcEventOrigin here,
	   int32 epoch, bool is_recorded, int32 first_epoch, const char *name)
{
	TcEventEra	era = tc_event_era(recorded, n, here);

	tap_is_int(era.epoch, epoch, "%s: epoch", name);
	tap_ok(era.recorded == is_recorded, "%s: %s", name, is_recorded ? "recorded" : "not recorded yet");
	tap_is_int(era.first_epoch, first_epoch, "%s: first epoch of this server", name);
}

static void
test_epochs(void)
{
	static const TcEventEpoch first[] = {{1, OLD_SERVER}};
	static const TcEventEpoch twice[] = {{1, OLD_SERVER}, {2, NEW_SERVER}, {2, NEW_SERVER}};
	static const TcEventEpoch promoted[] = {{2, PROMOTED}, {1, OLD_SERVER}};
	TcEventOrigin old_server = OLD_SERVER;
	TcEventOrigin new_server = NEW_SERVER;
	TcEventOrigin after_failover = PROMOTED;
	TcEventOrigin standby = ON_STANDBY;

	era_is(NULL, 0, old_server, 1, false, 1, "new database");
	era_is(first, 1, old_server, 1, true, 1, "same server");
	era_is(first, 1, new_server, 2, false, 2, "restored elsewhere");
	era_is(twice, 3, new_server, 2, true, 2, "restored, and written to by two at once");
	era_is(twice, 3, old_server, 3, false, 3, "restored back");
	era_is(first, 1, after_failover, 2, false, 1, "after a failover");
	era_is(promoted, 2, after_failover, 2, true, 1, "written to after a failover");
	era_is(promoted, 2, standby, 2, true, 1, "standby of the promoted server");
}

static void
test_settled(void)
{
	TcEventEra	restored = {2, true, 2};
	TcEventEra	promoted = {2, true, 1};

	tap_ok(tc_event_is_settled(&restored, tc_event_xact(2, 99), 100), "below the oldest running id");
	tap_ok(!tc_event_is_settled(&restored, tc_event_xact(2, 100), 100), "not at it");
	tap_ok(tc_event_is_settled(&restored, tc_event_xact(1, 5000), 100),
		   "ids of another server say nothing about what runs here");
	tap_ok(!tc_event_is_settled(&promoted, tc_event_xact(1, 100), 100),
		   "after a failover a prepared transaction may still be open");
}

int
main(void)
{
	test_names();
	test_patterns();
	test_task_moves();
	test_rows();
	test_cursors();
	test_epochs();
	test_settled();
	return tap_done();
}
