/*
 * keywords.h
 *	  The keywords of JSON Schema, one entry each (inside src/schema).
 */
#ifndef TC_KEYWORDS_H
#define TC_KEYWORDS_H

#include "schema/json_value.h"

struct TcEvaluation;
struct TcSite;

/* What the value of a keyword has to be. */
typedef enum TcShape
{
	TC_SHAPE_ANYTHING,
	TC_SHAPE_TEXT,
	TC_SHAPE_FLAG,				/* true or false */
	TC_SHAPE_LIST,
	TC_SHAPE_NUMBER,
	TC_SHAPE_POSITIVE,			/* a number above zero */
	TC_SHAPE_COUNT,				/* a whole number, zero or more */
	TC_SHAPE_PATTERN,
	TC_SHAPE_TYPE,				/* the name of a type, or a list of some */
	TC_SHAPE_NAMES,				/* a list of different texts */
	TC_SHAPE_NAME_LISTS,		/* an object of such lists */
	TC_SHAPE_SCHEMA,
	TC_SHAPE_SCHEMA_LIST,		/* at least one */
	TC_SHAPE_SCHEMAS,			/* an object of schemas */
	TC_SHAPE_PATTERN_SCHEMAS,	/* an object of schemas whose keys are patterns */
	TC_SHAPE_REFERENCE,
	TC_SHAPE_DIALECT,			/* of $schema */
	TC_SHAPE_IDENTIFIER,		/* of $id */
	TC_SHAPE_REFUSED
} TcShape;

/* Does a value match this keyword?  `argument` is the keyword's value in the schema. */
typedef bool (*TcKeywordApply) (struct TcEvaluation *evaluation, const struct TcSite *site,
								const JsonbValue *argument);

typedef struct TcKeyword
{
	const char *name;
	TcShape		shape;
	TcKeywordApply apply;		/* NULL: says nothing about documents */
	int			subjects;		/* set of TcJsonType: what it says something about */
	bool		in_place;		/* its schemas are about the same value, not about parts of it */
	const char *companion;		/* has no effect without this other keyword */
	const char *instead;		/* what to write for TC_SHAPE_REFUSED, or for an array where that was
								 * allowed once; NULL = nothing does the same */
} TcKeyword;

/* NULL = no keyword that JSON Schema has, or ever had. */
extern const TcKeyword *tc_keyword_find(const JsonbValue *name);

/* The names of the types, in the order of TcJsonType, "integer" at the end; then NULL. */
extern const char *const tc_json_type_names[];

/* Is a value of the type of this name? */
extern bool tc_json_has_type(const JsonbValue *value, const JsonbValue *name);

/*
 * The schema that a reference ("#", "#/...") leads to in a schema document.
 * Returns NULL, or why there is none: a phrase for "$ref ...".
 */
extern const char *tc_schema_resolve(const JsonbValue *root, const JsonbValue *reference,
									 JsonbValue *target);

/* pattern.c: NULL, or why a regular expression cannot be used. */
extern const char *tc_pattern_problem(const JsonbValue *pattern);
extern bool tc_pattern_matches(const JsonbValue *pattern, const JsonbValue *subject);

#endif							/* TC_KEYWORDS_H */
