/*
 * states.h
 *	  The two state machines: one const table of legal moves each (pure C).
 *
 * Every write of a state goes through tc_task_move() or tc_step_move(); there
 * is no other place that decides whether a move is legal.
 */
#ifndef TC_STATES_H
#define TC_STATES_H

#include "tasker_core.h"

typedef enum TcMoveVerdict
{
	TC_MOVE_LEGAL,
	TC_MOVE_NOOP,				/* already in that state: returns false, no error */
	TC_MOVE_ILLEGAL
} TcMoveVerdict;

extern TcMoveVerdict tc_task_move(TcTaskState from, TcTaskState to);
extern TcMoveVerdict tc_step_move(TcStepState from, TcStepState to);

/* complete, cancelled and resolved_manually: nothing leaves them */
extern bool tc_task_state_is_final(TcTaskState state);

/* the task runs no more for now: final, or error */
extern bool tc_task_state_is_ended(TcTaskState state);

/* the step has ended: complete, error, cancelled, skipped, resolved_manually */
extern bool tc_step_state_is_ended(TcStepState state);

/* satisfies its children: complete, resolved_manually */
extern bool tc_step_state_satisfies(TcStepState state);

extern const char *tc_task_state_name(TcTaskState state);
extern const char *tc_step_state_name(TcStepState state);
extern bool tc_task_state_parse(const char *name, TcTaskState *state);
extern bool tc_step_state_parse(const char *name, TcStepState *state);

/* The same of a name that has no end but its length. */
extern bool tc_step_state_parse_bytes(const char *name, size_t length, TcStepState *state);

/*
 * The states a move from `from` may reach, comma-separated into buf (for the
 * HINT of TC010); "none" when there are none.
 */
extern const char *tc_task_legal_moves(TcTaskState from, char *buf, size_t size);
extern const char *tc_step_legal_moves(TcStepState from, char *buf, size_t size);

#endif							/* TC_STATES_H */
