/*
 * states_test.c
 *	  Both state machines against matrices written out by hand, and the names,
 *	  classes and ids that go with them.
 */
#include "postgres_fe.h"

#include "domain/states.h"
#include "tap.h"

/*
 * One row per state moved from, one column per state moved to, both in the
 * order of the rows: L legal, = already there, . illegal.
 */
typedef struct MatrixRow
{
	const char *from;
	const char *moves;
	const char *legal;			/* what the error message offers */
} MatrixRow;

static const MatrixRow task_matrix[] = {
	{"pending", "=L..LL", "in_progress, cancelled, resolved_manually"},
	{"in_progress", ".=LLLL", "complete, error, cancelled, resolved_manually"},
	{"complete", "..=...", "none"},
	{"error", ".L.=LL", "in_progress, cancelled, resolved_manually"},
	{"cancelled", "....=.", "none"},
	{"resolved_manually", ".....=", "none"},
};

static const MatrixRow step_matrix[] = {
	{"pending", "=L...LLL", "in_progress, cancelled, skipped, resolved_manually"},
	{"in_progress", "L=LLLLLL",
	"pending, waiting_for_retry, complete, error, cancelled, skipped, resolved_manually"},
	{"waiting_for_retry", "LL=.LLLL",
	"pending, in_progress, error, cancelled, skipped, resolved_manually"},
	{"complete", "...=....", "none"},
	{"error", "L...=LLL", "pending, cancelled, skipped, resolved_manually"},
	{"cancelled", ".....=..", "none"},
	{"skipped", "......=.", "none"},
	{"resolved_manually", ".......=", "none"},
};

static TcTaskState
task_state(const char *name)
{
	TcTaskState state = TC_TASK_STATE_COUNT;

	if (!tc_task_state_parse(name, &state))
		tap_ok(false, "task state %s is known", name);
	return state;
}

static TcStepState
step_state(const char *name)
{
	TcStepState state = TC_STEP_STATE_COUNT;

	if (!tc_step_state_parse(name, &state))
		tap_ok(false, "step state %s is known", name);
	return state;
}

static char
verdict_sign(TcMoveVerdict verdict)
{
	switch (verdict)
	{
		case TC_MOVE_LEGAL:
			return 'L';
		case TC_MOVE_NOOP:
			return '=';
		case TC_MOVE_ILLEGAL:
			return '.';
	}
	return '?';
}

static void
test_task_matrix(void)
{
	tap_is_int(lengthof(task_matrix), TC_TASK_STATE_COUNT, "every task state has a row");
	for (int from = 0; from < lengthof(task_matrix); from++)
	{
		const MatrixRow *row = &task_matrix[from];
		char		moves[lengthof(task_matrix) + 1] = {0};
		char		legal[128];

		for (int to = 0; to < lengthof(task_matrix); to++)
			moves[to] = verdict_sign(tc_task_move(task_state(row->from),
												  task_state(task_matrix[to].from)));
		tap_is_text(moves, row->moves, "task moves from %s", row->from);
		tap_is_text(tc_task_legal_moves(task_state(row->from), legal, sizeof(legal)),
					row->legal, "task moves offered from %s", row->from);
		tap_ok(tc_task_state_is_final(task_state(row->from)) ==
			   (strchr(row->moves, 'L') == NULL),
			   "task state %s is final exactly if nothing leaves it", row->from);
	}
}

static void
test_step_matrix(void)
{
	tap_is_int(lengthof(step_matrix), TC_STEP_STATE_COUNT, "every step state has a row");
	for (int from = 0; from < lengthof(step_matrix); from++)
	{
		const MatrixRow *row = &step_matrix[from];
		char		moves[lengthof(step_matrix) + 1] = {0};
		char		legal[128];

		for (int to = 0; to < lengthof(step_matrix); to++)
			moves[to] = verdict_sign(tc_step_move(step_state(row->from),
												  step_state(step_matrix[to].from)));
		tap_is_text(moves, row->moves, "step moves from %s", row->from);
		tap_is_text(tc_step_legal_moves(step_state(row->from), legal, sizeof(legal)),
					row->legal, "step moves offered from %s", row->from);
	}
}

/* The classes in enum order, T where the state belongs. */
static void
test_classes(void)
{
	char		final[TC_TASK_STATE_COUNT + 1] = {0};
	char		task_ended[TC_TASK_STATE_COUNT + 1] = {0};
	char		step_ended[TC_STEP_STATE_COUNT + 1] = {0};
	char		satisfies[TC_STEP_STATE_COUNT + 1] = {0};

	for (int i = 0; i < lengthof(task_matrix); i++)
	{
		final[i] = tc_task_state_is_final(task_state(task_matrix[i].from)) ? 'T' : '.';
		task_ended[i] = tc_task_state_is_ended(task_state(task_matrix[i].from)) ? 'T' : '.';
	}
	for (int i = 0; i < lengthof(step_matrix); i++)
	{
		step_ended[i] = tc_step_state_is_ended(step_state(step_matrix[i].from)) ? 'T' : '.';
		satisfies[i] = tc_step_state_satisfies(step_state(step_matrix[i].from)) ? 'T' : '.';
	}
	tap_is_text(final, "..T.TT", "final task states");
	tap_is_text(task_ended, "..TTTT", "ended task states");
	tap_is_text(step_ended, "...TTTTT", "ended step states");
	tap_is_text(satisfies, "...T...T", "step states that satisfy children");
}

static void
test_names(void)
{
	static const char *const unknown[] = {
		"", "Pending", "PENDING", "pending ", " pending", "pend", "pendingx", "ready", "paused",
	};
	TcTaskState task = TC_TASK_ERROR;
	TcStepState step = TC_STEP_ERROR;

	for (int i = 0; i < TC_TASK_STATE_COUNT; i++)
		tap_is_int(task_state(tc_task_state_name((TcTaskState) i)), i,
				   "task state %d has a name of its own", i);
	for (int i = 0; i < TC_STEP_STATE_COUNT; i++)
		tap_is_int(step_state(tc_step_state_name((TcStepState) i)), i,
				   "step state %d has a name of its own", i);

	for (int i = 0; i < lengthof(unknown); i++)
	{
		tap_ok(!tc_task_state_parse(unknown[i], &task), "\"%s\" is no task state", unknown[i]);
		tap_ok(!tc_step_state_parse(unknown[i], &step), "\"%s\" is no step state", unknown[i]);
	}
	tap_ok(!tc_step_state_parse_bytes("complete", strlen("comp"), &step), "the beginning of a name is none");
	tap_ok(!tc_step_state_parse_bytes("", 0, &step), "nor is no name");
	tap_ok(!tc_task_state_parse("skipped", &task), "a step state is no task state");
	tap_ok(task == TC_TASK_ERROR && step == TC_STEP_ERROR,
		   "an unknown name leaves the result alone");
	tap_ok(tc_step_state_parse_bytes("completed", strlen("complete"), &step) && step == TC_STEP_COMPLETE,
		   "bytes after its length are not of the name");
}

/* Nothing is written past a size that is less than the list needs. */
static void
test_small_buffers(void)
{
	const char *full = "pending, waiting_for_retry, complete, error, "
		"cancelled, skipped, resolved_manually";
	int			wrong = 0;

	for (size_t size = 1; size <= strlen(full) + 1; size++)
	{
		char		buf[128];
		char		untouched[sizeof(buf)];

		memset(buf, '~', sizeof(buf));
		memset(untouched, '~', sizeof(untouched));
		tc_step_legal_moves(TC_STEP_IN_PROGRESS, buf, size);
		wrong += strlen(buf) != size - 1 || strncmp(buf, full, size - 1) != 0;
		wrong += memcmp(buf + size, untouched, sizeof(buf) - size) != 0;
	}
	tap_is_int(wrong, 0, "a list of moves is cut at the end of its buffer");
}

static void
test_step_ids(void)
{
	int64		highest = tc_step_id(TC_MAX_TASK_ID, TC_MAX_STEP_NO);

	tap_is_int(tc_step_id(42, 3), INT64CONST(42000003), "step 3 of task 42");
	tap_is_int(tc_step_id_task(42000003), 42, "task of a step id");
	tap_is_int(tc_step_id_no(42000003), 3, "number of a step id");
	tap_is_int(highest, INT64CONST(9223372036853999999), "the highest step id fits a bigint");
	tap_is_int(tc_step_id_task(highest), TC_MAX_TASK_ID, "task of the highest step id");
	tap_is_int(tc_step_id_no(highest), TC_MAX_STEP_NO, "number of the highest step id");
}

int
main(void)
{
	test_task_matrix();
	test_step_matrix();
	test_classes();
	test_names();
	test_small_buffers();
	test_step_ids();
	return tap_done();
}
