/*
 * regex.h
 *	  Regular expressions of ECMA-262 in PostgreSQL's dialect (pure C).
 */
#ifndef TC_REGEX_H
#define TC_REGEX_H

#include "lib/stringinfo.h"

/*
 * Appends to `out` an advanced regular expression of PostgreSQL that matches
 * what the pattern matches (UTF-8, or another encoding that extends ASCII).
 * Returns NULL, or why the pattern is not supported: a phrase for "the pattern
 * ...", with `out` left in any state.
 *
 * What is wrong in both dialects passes through, for the server to refuse.
 */
extern const char *tc_regex_translate(const char *pattern, int length, StringInfo out);

#endif							/* TC_REGEX_H */
