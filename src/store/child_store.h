/*
 * child_store.h
 *	  Tasks that are steps of other tasks, and errands between the two.
 *
 * A child knows its parent's step; a step's child is the newest task that knows it.
 * No transaction waits for rows of the other of the two while it holds any: what
 * cannot be done at once is written down as an errand, and done by the next claim, or
 * maintenance.
 */
#ifndef TC_CHILD_STORE_H
#define TC_CHILD_STORE_H

#include "store/step_store.h"
#include "store/task_store.h"

/* What has to be done to one of two tasks because of the other. */
#define TC_ERRANDS(X) \
	X(LAUNCH, "launch")			/* the parent's step: its turn has come */ \
	X(START, "start")			/* the parent: its child has begun */ \
	X(RESULT, "result")			/* the parent's step: its child has ended */ \
	X(ATTACH, "attach")			/* the parent's step: its child goes on, so it does as well */ \
	X(CANCEL, "cancel")			/* the child: nobody waits for it any more */ \
	X(RETRY, "retry")			/* the child: its parent's step is tried again */

typedef enum TcErrandKind
{
#define X(id, name) TC_ERRAND_##id,
	TC_ERRANDS(X)
#undef X
	TC_ERRAND_KIND_COUNT
} TcErrandKind;

typedef struct TcErrand
{
	int64		errand_id;		/* 0 = not written down */
	TcErrandKind kind;
	TcStepKey	key;			/* of the parent's step */
	int64		child;			/* 0 = none yet */
	const struct varlena *results;	/* of a child that completed, where they were kept; else NULL */
	const char *reason;
} TcErrand;

/* Writes one down, for whoever comes next. */
extern void tc_errand_insert(const TcErrand *errand);

/* The oldest of a shard, at most max, without a lock. */
extern int	tc_errands_read(int32 shard_key, int max, TcErrand **errands);

/* Takes it out; false when somebody else has. */
extern bool tc_errand_take(const TcErrand *errand);

/* Is one written down that decides what becomes of this child, or of its end? */
extern bool tc_errand_exists(int64 child, TcErrandKind *kind);

/* Has the step one that is written down?  For checks: under the caller's snapshot. */
extern bool tc_errand_waits(TcStepKey key);

/* The newest task that ran for a step, whatever its state; false when there is none. */
extern bool tc_child_newest(TcStepKey key, int64 *child, TcTaskState *state);

typedef struct TcChild
{
	TcStepKey	key;			/* the parent's step */
	int64		task_id;
	TcTaskState state;
} TcChild;

/*
 * The newest child of each step of a task that has any, by step; the others' work is
 * of no use any more.  `latest` sees what is committed, else the caller's snapshot counts.
 */
extern int	tc_children_read(int64 task_id, bool latest, TcChild **children);

/* What a child takes over from its parent. */
typedef struct TcParentTask
{
	struct varlena *context;
	int32		priority;
	Datum		correlation_id; /* uuid */
	const char *initiator;
	const char *created_by;
	const char *created_as;
	int16		nesting;
} TcParentTask;

extern void tc_parent_read(int64 task_id, TcParentTask *parent);

/* The role that registered a template. */
extern const char *tc_template_author(int32 named_task_id);

#endif							/* TC_CHILD_STORE_H */
