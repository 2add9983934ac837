/*
 * trigger.h
 *	  What a step does about its parents: trigger rules (pure C).
 *
 * The one place that decides whether a step runs, waits, or shares the fate of
 * its parents.  Whoever asks counts the parents by what they mean to this child.
 */
#ifndef TC_TRIGGER_H
#define TC_TRIGGER_H

#include "domain/template.h"

/* What a parent means to a child. */
typedef enum TcParentFate
{
	TC_PARENT_OPEN,				/* has not ended */
	TC_PARENT_SATISFIED,		/* complete, resolved, or failed and passed over */
	TC_PARENT_SKIPPED,			/* skipped, failed as if skipped, or a branch not taken */
	TC_PARENT_CANCELLED,
	TC_PARENT_FAILED,			/* failed for good; a person may still change that */
	TC_PARENT_FATE_COUNT
} TcParentFate;

/* How many parents of a step have which fate. */
typedef struct TcParents
{
	int32		fates[TC_PARENT_FATE_COUNT];
} TcParents;

typedef enum TcVerdict
{
	TC_VERDICT_WAITS,
	TC_VERDICT_RUNS,
	TC_VERDICT_SKIPPED,
	TC_VERDICT_CANCELLED
} TcVerdict;

/* on_failure is the parent's; taken is false for a decision that took another branch. */
extern TcParentFate tc_parent_fate(TcStepState state, TcFailureRule on_failure, bool taken);

extern TcVerdict tc_trigger_verdict(TcTriggerRule rule, const TcParents *parents);

/* Does a parent of this fate count off those that the step still waits for? */
extern bool tc_trigger_counts(TcTriggerRule rule, TcParentFate fate);

/* How many parents the step still waits for; a join keeps this number. */
extern int32 tc_trigger_remaining(TcTriggerRule rule, const TcParents *parents);

/*
 * The parents of a join that waits, from the numbers it keeps: as good as the
 * real ones for every question above.
 */
extern TcParents tc_trigger_recall(TcTriggerRule rule, int32 nparents, int32 remaining,
								   int32 satisfied);

#endif							/* TC_TRIGGER_H */
