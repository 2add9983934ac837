/*
 * request_store.h
 *	  Requests for tasks, as JSON.
 */
#ifndef TC_REQUEST_STORE_H
#define TC_REQUEST_STORE_H

#include "store/task_store.h"

/*
 * Reads an array of objects whose keys are create_task's arguments; returns how
 * many.  Refuses anything else (22023), and more than 10,000 (TC023).
 */
extern int	tc_requests_read(const struct varlena *json, TcCreateRequest **requests);

#endif							/* TC_REQUEST_STORE_H */
