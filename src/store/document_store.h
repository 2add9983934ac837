/*
 * document_store.h
 *	  Tasks and steps as JSON documents.
 *
 * States, counts and times come from the view of the task; the payloads are
 * read here, under the same snapshot.  Times are in UTC whatever the session's
 * time zone (tc_session_pin_utc).  Documents live in the caller's context.
 */
#ifndef TC_DOCUMENT_STORE_H
#define TC_DOCUMENT_STORE_H

#include "store/view_store.h"

/* The columns of the task that say what it is, with its template's names. */
extern struct varlena *tc_document_task(int64 task_id);

/* An array with every step of the task. */
extern struct varlena *tc_document_steps(const TcTaskView *view);

/* One step, with its attempts and moves; next_retry_at as in the readiness of the step. */
extern struct varlena *tc_document_step(const TcTaskView *view, int32 position,
										TimestampTz next_retry_at);

/* Pairs of name and value, in one object; NULL values are written as null. */
typedef struct TcMember
{
	const char *name;
	struct varlena *value;		/* jsonb */
} TcMember;

extern struct varlena *tc_document_object(const TcMember *members, int n);

/* The results of some steps of a task, NULL where there are none. */
extern void tc_document_results(int64 task_id, const int32 *step_nos, int n,
								struct varlena **results);

#endif							/* TC_DOCUMENT_STORE_H */
