/*
 * json_value.h
 *	  Looking at jsonb values.
 *
 * A value is a scalar, or jbvBinary for an object or array in a document; the
 * whole of a document is one as well (tc_json_root).  Nothing is copied unless
 * it says so, so values live as long as their document.
 */
#ifndef TC_JSON_VALUE_H
#define TC_JSON_VALUE_H

#include "utils/jsonb.h"

/* What a value can be, as bits, so that they make sets. */
typedef enum TcJsonType
{
	TC_JSON_NULL = 1 << 0,
	TC_JSON_BOOLEAN = 1 << 1,
	TC_JSON_NUMBER = 1 << 2,
	TC_JSON_STRING = 1 << 3,
	TC_JSON_ARRAY = 1 << 4,
	TC_JSON_OBJECT = 1 << 5
} TcJsonType;

#define TC_JSON_ANY_TYPE 0x3f

extern TcJsonType tc_json_type(const JsonbValue *json);

/* The value that a document (jsonb) is. */
extern JsonbValue tc_json_root(const struct varlena *document);

/* The object or array inside a value, NULL where it is something else. */
extern JsonbContainer *tc_json_object(const JsonbValue *json);
extern JsonbContainer *tc_json_array(const JsonbValue *json);

/* The value of a key; false when the object has no such key. */
extern bool tc_json_member(JsonbContainer *object, const char *key, int length,
						   JsonbValue *value);

/* An element of an array; false past its end. */
extern bool tc_json_element(JsonbContainer *array, uint32 index, JsonbValue *value);

/*
 * One object or array, member by member (key NULL for arrays).  What is left
 * early has to be ended; going on to the end does that by itself.
 */
typedef struct TcJsonCursor
{
	JsonbIterator *iterator;	/* NULL = ended */
	JsonbValue	key;			/* of an object's member */
	JsonbValue	value;
	int			index;			/* from 0 */
} TcJsonCursor;

extern void tc_json_begin(TcJsonCursor *cursor, JsonbContainer *container);
extern bool tc_json_next(TcJsonCursor *cursor);
extern void tc_json_end(TcJsonCursor *cursor);

/* Null, or an object or array that holds nothing: says what an absent key says. */
extern bool tc_json_is_empty(const JsonbValue *json);

/* A number without a fraction: 1.0 is one. */
extern bool tc_json_is_integer(const JsonbValue *json);

/* Numbers are compared as numbers: 1 equals 1.0. */
extern bool tc_json_equal(const JsonbValue *a, const JsonbValue *b);

/* An order in which equal values, and only they, are neighbours (for qsort). */
extern int	tc_json_compare(const void *a, const void *b);

/* An integer compared with a number: below, at or above 0. */
extern int	tc_json_compare_integer(int64 integer, const JsonbValue *number);

/* How many bytes a value takes, more or less: what comparing it costs. */
extern int64 tc_json_size(const JsonbValue *json);

/* A copy of a string as a C string. */
extern char *tc_json_string(const JsonbValue *json);

/* Is this the string? */
extern bool tc_json_is_string(const JsonbValue *json, const char *text);

/* What a value is, for "must be ..., not %s": bounded in length. */
extern char *tc_json_describe(const JsonbValue *json);

/* A name as it stands in messages: in quotes, escaped, of bounded length. */
extern char *tc_quote_name(const char *name);
extern char *tc_quote_bytes(const char *name, int length);

#endif							/* TC_JSON_VALUE_H */
