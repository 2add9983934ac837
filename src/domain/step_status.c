/*
 * step_status.c
 *	  What state a step is in, from what is stored about it (pure C).
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/states.h"
#include "domain/step_status.h"

/*
 * A task that is cancelled takes all its steps along that have not ended, with
 * one record for all of them.
 */
TcStepState
tc_step_state_of(const TcStepFacts *facts)
{
	if (facts->live)
	{
		if (facts->claimed)
			return TC_STEP_IN_PROGRESS;
		return facts->waits_for_retry ? TC_STEP_WAITING_FOR_RETRY : TC_STEP_PENDING;
	}
	if (facts->recorded && tc_step_state_is_ended(facts->last_recorded))
		return facts->last_recorded;
	if (tc_task_state_is_final(facts->task_state) && facts->task_state != TC_TASK_COMPLETE)
		return TC_STEP_CANCELLED;
	if (facts->task_state == TC_TASK_ERROR && facts->fail_fast)
		return TC_STEP_CANCELLED;	/* until the task is retried */
	return TC_STEP_PENDING;
}
