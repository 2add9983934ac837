/*
 * order.h
 *	  What qsort and bsearch are given (pure C).
 */
#ifndef TC_ORDER_H
#define TC_ORDER_H

#include "tasker_core.h"

/* Of int64, ascending; also of structs that begin with one. */
static inline int
tc_int64_compare(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

#endif							/* TC_ORDER_H */
