/*
 * priority.h
 *	  Priorities, and the bands that they share where there are many (pure C).
 *
 * A claim looks at each priority of each template and queue it serves.  One per
 * distinct priority would be one per task where a priority is, say, the age of
 * a customer: then neighbours share a band.  Small numbers have one each.
 */
#ifndef TC_PRIORITY_H
#define TC_PRIORITY_H

/* That of a step of a task: the sum, within the range of smallint. */
extern int32 tc_priority_of_step(int32 task_priority, int32 step_priority);

/*
 * The band of a priority, named by a priority in it: the number itself from -32
 * to 31, else the number with its leading four binary digits kept.  A higher
 * priority is never in a lower band.  At most 224 bands.
 */
extern int32 tc_priority_band(int32 priority);

#endif							/* TC_PRIORITY_H */
