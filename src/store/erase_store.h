/*
 * erase_store.h
 *	  Data taken out of a task.
 */
#ifndef TC_ERASE_STORE_H
#define TC_ERASE_STORE_H

/* The caller holds the task; false when its data was erased before. */
extern bool tc_erase_payload(int64 task_id, int16 slot);

#endif							/* TC_ERASE_STORE_H */
