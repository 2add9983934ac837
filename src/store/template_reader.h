/*
 * template_reader.h
 *	  Reading template documents by tables of keys.
 *
 * A table says for each key of an object how its value is read and which field
 * it fills; several keys may fill one field, the first in the table wins.  What
 * is wrong is collected, not raised, so that one call reports every fault.  The
 * normal form is written while reading.
 */
#ifndef TC_TEMPLATE_READER_H
#define TC_TEMPLATE_READER_H

#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"

#include "domain/template.h"
#include "schema/json_value.h"

/* Where a value stands in the document: steps[2].retry.limit. */
typedef struct TcPath
{
	const struct TcPath *parent;	/* NULL for a key of the template itself */
	const char *key;			/* NULL = element of an array */
	int32		index;
} TcPath;

/* A name that steps carry or depend on. */
typedef struct TcStepName
{
	const char *name;			/* hash key */
	int32		node;			/* the first step of this name in the document, -1 = none so far */
	int32		referrer;		/* the last step that named it as its parent, -1 = none so far */
} TcStepName;

typedef struct TcReader
{
	List	   *faults;			/* of char * */
	List	   *warnings;		/* of char * */
	JsonbParseState *output;	/* the normal form so far */
	HTAB	   *names;			/* of TcStepName */
	int32		node;			/* position in the document of the step being read */
} TcReader;

/* One entry of a step's list of parents. */
typedef struct TcReference
{
	TcStepName *target;
	const char *key;			/* the key that held it */
	int32		position;		/* within that key's list, -1 = the key holds one name */
} TcReference;

/* A field as read; all zero = absent. */
typedef struct TcValue
{
	const struct TcKey *key;	/* where it came from, NULL = absent */
	JsonbValue	json;			/* in normal form; jbvNull = nothing to write */
	const char *text;
	int64		integer;		/* also a boolean, or the position in a list of words */
	double		number;
	List	   *references;		/* of TcReference * */
} TcValue;

typedef void (*TcReadFunction) (TcReader *reader, const TcPath *path, const struct TcKey *key,
								const JsonbValue *json, TcValue *value);

/* One key of an object.  A table ends with an entry without a name. */
typedef struct TcKey
{
	const char *name;
	int			field;			/* the TcValue it fills */
	TcReadFunction read;		/* NULL where nested is given */
	const struct TcKey *nested; /* the keys of the object that is its value */
	bool		accumulates;	/* adds to the field instead of losing to an earlier key */
	bool		numeric_text;	/* "3" is accepted for 3 */
	int64		min;			/* numbers: the range; texts: characters (max 0 = any number) */
	int64		max;
	char		forbidden;		/* names: a character they must not hold */
	const char *const *words;	/* the words it may be, NULL at the end */
	int			supported;		/* how many of the words this version implements, 0 = all */
	const char *note;			/* warning that goes with a value that is not empty */
} TcKey;

/* The key and the enclosing object that a field has in the normal form. */
typedef struct TcFieldName
{
	const char *block;			/* NULL = the object itself.  The fields of a block stand together and
								 * have the same pointer here. */
	const char *key;
} TcFieldName;

extern void tc_reader_begin(TcReader *reader);

extern void tc_fault(TcReader *reader, const TcPath *path, const char *format, ...)
			pg_attribute_printf(3, 4);
extern void tc_warn(TcReader *reader, const TcPath *path, const char *format, ...)
			pg_attribute_printf(3, 4);

/* The path as it stands in messages. */
extern char *tc_path_text(const TcPath *path);

/* Read an object by its table; keys that are in no table get a warning. */
extern void tc_read_keys(TcReader *reader, const TcPath *path, JsonbContainer *object,
						 const TcKey *keys, TcValue *values);

/* Read functions for the tables: template_values.c, and template_graph.c for references. */
extern void tc_read_text(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);
/* What a name may not be; NULL = it may be used. */
extern const char *tc_name_problem(const char *name, int length, int64 max_chars, char forbidden);

extern void tc_read_name(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);
extern void tc_read_version(TcReader *reader, const TcPath *path, const TcKey *key,
							const JsonbValue *json, TcValue *value);
extern void tc_read_word(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);
extern void tc_read_bool(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);
extern void tc_read_integer(TcReader *reader, const TcPath *path, const TcKey *key,
							const JsonbValue *json, TcValue *value);
extern void tc_read_attempts(TcReader *reader, const TcPath *path, const TcKey *key,
							 const JsonbValue *json, TcValue *value);
extern void tc_read_seconds(TcReader *reader, const TcPath *path, const TcKey *key,
							const JsonbValue *json, TcValue *value);
extern void tc_read_number(TcReader *reader, const TcPath *path, const TcKey *key,
						   const JsonbValue *json, TcValue *value);
extern void tc_read_object(TcReader *reader, const TcPath *path, const TcKey *key,
						   const JsonbValue *json, TcValue *value);
extern void tc_read_array(TcReader *reader, const TcPath *path, const TcKey *key,
						  const JsonbValue *json, TcValue *value);
extern void tc_read_json(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);
extern void tc_read_schema(TcReader *reader, const TcPath *path, const TcKey *key,
						   const JsonbValue *json, TcValue *value);
extern void tc_read_reference(TcReader *reader, const TcPath *path, const TcKey *key,
							  const JsonbValue *json, TcValue *value);
extern void tc_read_references(TcReader *reader, const TcPath *path, const TcKey *key,
							   const JsonbValue *json, TcValue *value);
extern void tc_read_unsupported(TcReader *reader, const TcPath *path, const TcKey *key,
								const JsonbValue *json, TcValue *value);

/* Goes into the normal form as it is, under its own key, unless it is empty. */
extern void tc_read_kept(TcReader *reader, const TcPath *path, const TcKey *key,
						 const JsonbValue *json, TcValue *value);

/* template_graph.c: the entry of a step name, made if need be. */
extern HTAB *tc_step_names_create(void);
extern TcStepName *tc_step_name(TcReader *reader, const char *name);

/* Fields as C values, with what applies where the key was absent. */
extern const char *tc_value_text(const TcValue *value, const char *otherwise);
extern int64 tc_value_integer(const TcValue *value, int64 otherwise);
extern double tc_value_number(const TcValue *value, double otherwise);

/* Change a field after it was read. */
extern void tc_value_set_text(TcValue *value, const char *text);
extern void tc_value_set_integer(TcValue *value, int64 integer);

/* Write to the normal form. */
extern void tc_write_key(TcReader *reader, const char *key);
extern void tc_write_fields(TcReader *reader, const TcFieldName *names,
							const TcValue *values, int nfields);

/* template_graph.c: check what the steps depend on, then number them (see there). */
extern void tc_template_link(TcReader *reader, const TcPath *steps_path,
							 TcTemplate *template, List *const *references);

#endif							/* TC_TEMPLATE_READER_H */
