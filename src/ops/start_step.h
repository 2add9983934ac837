/*
 * start_step.h
 *	  The turn of a step comes: it goes to the workers, waits for a signal, or ends
 *	  at once.
 */
#ifndef TC_START_STEP_H
#define TC_START_STEP_H

#include "schema/condition.h"
#include "store/step_store.h"
#include "store/template_store.h"

/* What steps of one task may want to know when they start; read at most once. */
typedef struct TcStarter
{
	int64		task_id;
	const TcTemplate *template;
	struct varlena *context;	/* NULL = not read yet */
	const struct varlena **results; /* by node */
	bool	   *known;			/* by node: results has what there is */
} TcStarter;

/* What becomes of it. */
typedef struct TcStart
{
	char		phase;			/* of its row; 0 = it has ended */
	TimestampTz visible_at;
	TimestampTz began_at;		/* of a wait */

	/* how it ended */
	TcStepState state;
	TcMoveVerb	verb;
	const char *reason;
	const struct varlena *results;

	/* of a map that has begun: what its instances are made of */
	const struct varlena *items;	/* JSON array */
	int32		count;			/* of them */
} TcStart;

extern void tc_starter_begin(TcStarter *starter, int64 task_id, const TcTemplate *template);

/* These results are not in the tables yet. */
extern void tc_starter_know(TcStarter *starter, int32 node, const struct varlena *results);

/*
 * Starts a step whose parents let it run, not before `base`.  Where it waits for a
 * signal that was sent before, it takes it.
 */
extern TcStart tc_start_step(TcStarter *starter, int32 node, TimestampTz base);

/* The start of a step that ends with it. */
extern TcStart tc_start_ended(TcStepState state, TcMoveVerb verb, const char *reason,
							  const struct varlena *results);

/* Where paths lead, for a step of the starter's task. */
extern TcInputs tc_starter_inputs(TcStarter *starter);

/* The move of a step that ended without a worker. */
extern TcStepMove tc_move_of_start(TcStepKey key, const TcStart *start);

/* How a wait ends when its time is over; not for one without a timeout. */
extern TcStart tc_start_of_timeout(const TcStep *step);

/* When a wait that began at that time is over. */
extern TimestampTz tc_wait_deadline(const TcStep *step, TimestampTz began_at);

#endif							/* TC_START_STEP_H */
