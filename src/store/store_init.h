/*
 * store_init.h
 *	  What _PG_init and the session bracket set up in the store layer.
 */
#ifndef TC_STORE_INIT_H
#define TC_STORE_INIT_H

extern void tc_plans_init(void);	/* installs the planner hook */
extern void tc_plans_reset(void);	/* forgets a statement that an error ended */
extern void tc_marks_init(void);	/* asks for shared memory, where the library is preloaded */
extern void tc_session_init(void);	/* installs the end-of-transaction callbacks */

#endif							/* TC_STORE_INIT_H */
