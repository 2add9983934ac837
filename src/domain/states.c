/*
 * states.c
 *	  The two state machines: one const table of legal moves each (pure C).
 *
 * A move to the state a thing is already in is no entry of the tables: it is
 * never illegal and never a change.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/states.h"

static const char *const task_state_names[] = {
#define X(id, name) [TC_TASK_##id] = name,
	TC_TASK_STATES(X)
#undef X
};

static const char *const step_state_names[] = {
#define X(id, name) [TC_STEP_##id] = name,
	TC_STEP_STATES(X)
#undef X
};

/* A task is pending until a step is claimed or ended by hand; error is resumable. */
static const bool task_moves[TC_TASK_STATE_COUNT][TC_TASK_STATE_COUNT] = {
	[TC_TASK_PENDING] = {
		[TC_TASK_IN_PROGRESS] = true,
		[TC_TASK_CANCELLED] = true,
		[TC_TASK_RESOLVED_MANUALLY] = true,
	},
	[TC_TASK_IN_PROGRESS] = {
		[TC_TASK_COMPLETE] = true,
		[TC_TASK_ERROR] = true,
		[TC_TASK_CANCELLED] = true,
		[TC_TASK_RESOLVED_MANUALLY] = true,
	},
	[TC_TASK_ERROR] = {
		[TC_TASK_IN_PROGRESS] = true,
		[TC_TASK_CANCELLED] = true,
		[TC_TASK_RESOLVED_MANUALLY] = true,
	},
};

/*
 * Back to pending goes a claim that was released, and a step that was reset.
 * A step that waits can fail for good without another claim.
 */
static const bool step_moves[TC_STEP_STATE_COUNT][TC_STEP_STATE_COUNT] = {
	[TC_STEP_PENDING] = {
		[TC_STEP_IN_PROGRESS] = true,
		[TC_STEP_CANCELLED] = true,
		[TC_STEP_SKIPPED] = true,
		[TC_STEP_RESOLVED_MANUALLY] = true,
	},
	[TC_STEP_IN_PROGRESS] = {
		[TC_STEP_PENDING] = true,
		[TC_STEP_WAITING_FOR_RETRY] = true,
		[TC_STEP_COMPLETE] = true,
		[TC_STEP_ERROR] = true,
		[TC_STEP_CANCELLED] = true,
		[TC_STEP_SKIPPED] = true,
		[TC_STEP_RESOLVED_MANUALLY] = true,
	},
	[TC_STEP_WAITING_FOR_RETRY] = {
		[TC_STEP_PENDING] = true,
		[TC_STEP_IN_PROGRESS] = true,
		[TC_STEP_ERROR] = true,
		[TC_STEP_CANCELLED] = true,
		[TC_STEP_SKIPPED] = true,
		[TC_STEP_RESOLVED_MANUALLY] = true,
	},
	[TC_STEP_ERROR] = {
		[TC_STEP_PENDING] = true,
		[TC_STEP_CANCELLED] = true,
		[TC_STEP_SKIPPED] = true,
		[TC_STEP_RESOLVED_MANUALLY] = true,
	},
};

static int	find_name(const char *name, size_t length, const char *const *names, int count);
static const char *list_moves(const bool *moves, const char *const *names, int count,
							  char *buf, size_t size);

TcMoveVerdict
tc_task_move(TcTaskState from, TcTaskState to)
{
	Assert(from < TC_TASK_STATE_COUNT && to < TC_TASK_STATE_COUNT);
	if (from == to)
		return TC_MOVE_NOOP;
	return task_moves[from][to] ? TC_MOVE_LEGAL : TC_MOVE_ILLEGAL;
}

TcMoveVerdict
tc_step_move(TcStepState from, TcStepState to)
{
	Assert(from < TC_STEP_STATE_COUNT && to < TC_STEP_STATE_COUNT);
	if (from == to)
		return TC_MOVE_NOOP;
	return step_moves[from][to] ? TC_MOVE_LEGAL : TC_MOVE_ILLEGAL;
}

bool
tc_task_state_is_final(TcTaskState state)
{
	return state == TC_TASK_COMPLETE ||
		state == TC_TASK_CANCELLED ||
		state == TC_TASK_RESOLVED_MANUALLY;
}

bool
tc_task_state_is_ended(TcTaskState state)
{
	return tc_task_state_is_final(state) || state == TC_TASK_ERROR;
}

bool
tc_step_state_is_ended(TcStepState state)
{
	return tc_step_state_satisfies(state) ||
		state == TC_STEP_ERROR ||
		state == TC_STEP_CANCELLED ||
		state == TC_STEP_SKIPPED;
}

bool
tc_step_state_satisfies(TcStepState state)
{
	return state == TC_STEP_COMPLETE || state == TC_STEP_RESOLVED_MANUALLY;
}

const char *
tc_task_state_name(TcTaskState state)
{
	Assert(state < TC_TASK_STATE_COUNT);
	return task_state_names[state];
}

const char *
tc_step_state_name(TcStepState state)
{
	Assert(state < TC_STEP_STATE_COUNT);
	return step_state_names[state];
}

bool
tc_task_state_parse(const char *name, TcTaskState *state)
{
	int			found = find_name(name, strlen(name), task_state_names, TC_TASK_STATE_COUNT);

	if (found < 0)
		return false;
	*state = (TcTaskState) found;
	return true;
}

bool
tc_step_state_parse(const char *name, TcStepState *state)
{
	return tc_step_state_parse_bytes(name, strlen(name), state);
}

bool
tc_step_state_parse_bytes(const char *name, size_t length, TcStepState *state)
{
	int			found = find_name(name, length, step_state_names, TC_STEP_STATE_COUNT);

	if (found < 0)
		return false;
	*state = (TcStepState) found;
	return true;
}

const char *
tc_task_legal_moves(TcTaskState from, char *buf, size_t size)
{
	Assert(from < TC_TASK_STATE_COUNT);
	return list_moves(task_moves[from], task_state_names, TC_TASK_STATE_COUNT, buf, size);
}

const char *
tc_step_legal_moves(TcStepState from, char *buf, size_t size)
{
	Assert(from < TC_STEP_STATE_COUNT);
	return list_moves(step_moves[from], step_state_names, TC_STEP_STATE_COUNT, buf, size);
}

static int
find_name(const char *name, size_t length, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strlen(names[i]) == length && memcmp(name, names[i], length) == 0)
			return i;
	}
	return -1;
}

/* A buffer too small gets the first so many bytes of the list. */
static const char *
list_moves(const bool *moves, const char *const *names, int count, char *buf, size_t size)
{
	size_t		used = 0;

	strlcpy(buf, "none", size);
	for (int i = 0; i < count && used < size; i++)
	{
		if (moves[i])
			used += snprintf(buf + used, size - used, "%s%s", used > 0 ? ", " : "", names[i]);
	}
	return buf;
}
