/*
 * make_way.h
 *	  The background worker leaves a database that is to have no visitors.
 */
#ifndef TC_MAKE_WAY_H
#define TC_MAKE_WAY_H

/* In _PG_init of the postmaster: looks at utility commands. */
extern void tc_make_way_init(void);

#endif							/* TC_MAKE_WAY_H */
