/*
 * instant.h
 *	  Times as they are written in data (pure C).
 */
#ifndef TC_INSTANT_H
#define TC_INSTANT_H

#include "tasker_core.h"

/*
 * Reads a date and a time of day, "2026-03-01T09:30", with seconds, a fraction and a zone
 * ("Z", "+02", "-05:30") where given; a space stands for the T as well.  Without a zone
 * it is UTC.  *instant is in microseconds since 2000-01-01, as a timestamptz.  False for any other
 * text, and for a date or time of day that there is not.
 */
extern bool tc_instant_parse(const char *text, int64 *instant);

#endif							/* TC_INSTANT_H */
