/*
 * reference.c
 *	  What "$ref" refers to: a place in the same schema document.
 *
 * A reference is the fragment of a URI that holds a JSON pointer (RFC 6901), so
 * there are two kinds of escapes: %25 for a percent sign, and ~0 and ~1 for
 * tilde and slash.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "schema/keywords.h"

static const char *decode_fragment(const JsonbValue *reference, StringInfo pointer);
static int	hex_digit(char c);
static const char *next_token(const char *pointer, StringInfo token);
static bool enter(JsonbValue *place, const StringInfoData *token);
static bool parse_index(const StringInfoData *token, uint32 *index);

const char *
tc_schema_resolve(const JsonbValue *root, const JsonbValue *reference, JsonbValue *target)
{
	StringInfoData pointer;
	StringInfoData token;
	const char *problem;
	const char *next;

	initStringInfo(&pointer);
	initStringInfo(&token);
	*target = *root;
	problem = decode_fragment(reference, &pointer);
	for (next = pointer.data; problem == NULL && *next != '\0';)
	{
		next = next_token(next, &token);
		if (!enter(target, &token))
			problem = "leads nowhere";
	}
	if (problem == NULL && target->type != jbvBool && tc_json_object(target) == NULL)
		problem = "leads to something that is no schema";
	pfree(pointer.data);
	pfree(token.data);
	return problem;
}

/* What follows "#", without its percent signs: a JSON pointer. */
static const char *
decode_fragment(const JsonbValue *reference, StringInfo pointer)
{
	const char *next = reference->val.string.val;
	const char *end = next + reference->val.string.len;

	if (next == end || *next++ != '#')
		return "leads out of the schema, which is not supported";
	if (next < end && *next != '/')
		return "names an anchor, which is not supported: use a JSON pointer like \"#/$defs/name\"";
	for (; next < end; next++)
	{
		int			high = *next == '%' && end - next > 2 ? hex_digit(next[1]) : -1;
		int			low = high >= 0 ? hex_digit(next[2]) : -1;

		if (*next == '%' && (low < 0 || high * 16 + low == 0))
			return "has a percent sign that is not followed by the number of a character";
		appendStringInfoChar(pointer, *next == '%' ? (char) (high * 16 + low) : *next);
		if (*next == '%')
			next += 2;
	}
	return NULL;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Reads what is between a slash and the next one; returns where that is. */
static const char *
next_token(const char *pointer, StringInfo token)
{
	resetStringInfo(token);
	for (pointer++; *pointer != '\0' && *pointer != '/'; pointer++)
	{
		char		c = *pointer;

		if (c == '~' && (pointer[1] == '0' || pointer[1] == '1'))
			c = *++pointer == '0' ? '~' : '/';
		appendStringInfoChar(token, c);
	}
	return pointer;
}

static bool
enter(JsonbValue *place, const StringInfoData *token)
{
	JsonbContainer *object = tc_json_object(place);
	JsonbContainer *array = tc_json_array(place);
	uint32		index;

	if (object != NULL)
		return tc_json_member(object, token->data, token->len, place);
	return array != NULL && parse_index(token, &index) && tc_json_element(array, index, place);
}

static bool
parse_index(const StringInfoData *token, uint32 *index)
{
	if (token->len == 0 || token->len > 9 || (token->data[0] == '0' && token->len > 1))
		return false;
	*index = 0;
	for (int i = 0; i < token->len; i++)
	{
		if (token->data[i] < '0' || token->data[i] > '9')
			return false;
		*index = *index * 10 + (token->data[i] - '0');
	}
	return true;
}
