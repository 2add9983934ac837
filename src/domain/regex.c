/*
 * regex.c
 *	  Regular expressions of ECMA-262 in PostgreSQL's dialect (pure C).
 *
 * The dialects agree on most.  Translated is what means something else here: a
 * dot does not match line ends, \s is white space of all of Unicode, \b is a
 * border of a word, \x takes two digits, code points above U+FFFF have another
 * spelling, and "[" is nothing special within brackets.  Refused is what has no equal: references to groups, which
 * would also make matching take exponential time, named groups, properties of
 * Unicode.  Refused as well is what only PostgreSQL knows, since a pattern that
 * uses it would be none to anyone else.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/regex.h"

/* What ECMA-262 takes for line ends, and for white space, as parts of brackets. */
#define LINE_ENDS	"\\n\\r\\u2028\\u2029"
#define SPACES		"\\t-\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff"

/* A pattern being read. */
typedef struct Reader
{
	const char *next;
	const char *end;
	StringInfo	out;
	bool		in_brackets;
} Reader;

static const char *translate_brackets(Reader *reader);
static const char *translate_escape(Reader *reader);
static const char *translate_code_unit(Reader *reader, int digits);
static const char *translate_code_point(Reader *reader);
static void append_code_point(Reader *reader, uint32 code);
static bool read_hex(Reader *reader, int digits, uint32 *code);
static const char *check_group(const Reader *reader);
static bool looking_at(const Reader *reader, const char *text);
static bool is_letter(char c);
static bool is_word(char c);

const char *
tc_regex_translate(const char *pattern, int length, StringInfo out)
{
	Reader		reader = {pattern, pattern + length, out, false};
	const char *problem = NULL;

	if (length > 0 && pattern[0] == '*')
		return "begins with a quantifier, which has nothing to repeat";
	while (problem == NULL && reader.next < reader.end)
	{
		char		c = *reader.next++;

		if (c == '\\')
			problem = translate_escape(&reader);
		else if (c == '[')
			problem = translate_brackets(&reader);
		else if (c == '.')
			appendStringInfoString(out, "[^" LINE_ENDS "]");
		else
		{
			if (c == '(')
				problem = check_group(&reader);
			appendStringInfoChar(out, c);
		}
	}
	return problem;
}

/* After the opening bracket.  A missing end is for the server to find. */
static const char *
translate_brackets(Reader *reader)
{
	const char *problem = NULL;

	appendStringInfoChar(reader->out, '[');
	if (looking_at(reader, "^"))
		appendStringInfoChar(reader->out, *reader->next++);
	if (looking_at(reader, "]"))
		return "has empty brackets, which are not supported";

	reader->in_brackets = true;
	while (problem == NULL && reader->next < reader->end)
	{
		char		c = *reader->next++;

		if (c == '\\')
			problem = translate_escape(reader);
		else if (c == '[')
			appendStringInfoString(reader->out, "\\[");
		else
		{
			appendStringInfoChar(reader->out, c);
			if (c == ']')
				break;
		}
	}
	reader->in_brackets = false;
	return problem;
}

/* After the backslash. */
static const char *
translate_escape(Reader *reader)
{
	char		c;

	if (reader->next == reader->end)
		return "ends with a backslash";
	c = *reader->next++;
	switch (c)
	{
		case 'b':
			appendStringInfoString(reader->out, reader->in_brackets ? "\\u0008" : "\\y");
			return NULL;
		case 'B':
			appendStringInfoString(reader->out, "\\Y");
			return reader->in_brackets ? "has \\B within brackets" : NULL;
		case 's':
			appendStringInfoString(reader->out, reader->in_brackets ? SPACES : "[" SPACES "]");
			return NULL;
		case 'S':
			/* within brackets this is the complement of white space in ASCII: near enough */
			appendStringInfoString(reader->out, reader->in_brackets ? "\\S" : "[^" SPACES "]");
			return NULL;
		case 'x':
			return translate_code_unit(reader, 2);
		case 'u':
			return looking_at(reader, "{") ? translate_code_point(reader) :
				translate_code_unit(reader, 4);
		case 'p':
		case 'P':
			return "uses properties of Unicode (\\p), which are not supported";
		case 'k':
			return "refers to a group, which is not supported";
		case 'c':
			if (reader->next == reader->end || !is_letter(*reader->next))
				return "has \\c without a letter";
			break;
		case '0':
			if (reader->next < reader->end && *reader->next >= '0' && *reader->next <= '9')
				return "has an octal escape";
			break;
		default:
			if (c >= '1' && c <= '9')
				return "refers to a group, which is not supported";
			if (is_word(c) && strchr("dDwWfnrtv", c) == NULL)
				return "has an escape that ECMA-262 does not know";
			break;
	}
	appendStringInfoChar(reader->out, '\\');
	appendStringInfoChar(reader->out, c);
	return NULL;
}

/* \xHH and \uHHHH; two surrogates make one code point. */
static const char *
translate_code_unit(Reader *reader, int digits)
{
	uint32		code;
	uint32		low;

	if (!read_hex(reader, digits, &code))
		return digits == 2 ? "has \\x without two hexadecimal digits" :
			"has \\u without four hexadecimal digits";
	if (code >= 0xd800 && code <= 0xdbff && looking_at(reader, "\\u"))
	{
		reader->next += 2;
		if (!read_hex(reader, 4, &low) || low < 0xdc00 || low > 0xdfff)
			return "has half a surrogate pair";
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	else if (code >= 0xd800 && code <= 0xdfff)
		return "has half a surrogate pair";
	append_code_point(reader, code);
	return NULL;
}

/* \u{H...}, from the brace on. */
static const char *
translate_code_point(Reader *reader)
{
	const char *close = memchr(reader->next, '}', reader->end - reader->next);
	uint32		code;

	reader->next++;
	if (close == NULL || close - reader->next > 6 || close == reader->next ||
		!read_hex(reader, close - reader->next, &code) || code > 0x10ffff)
		return "has \\u{} without the number of a character";
	reader->next++;
	append_code_point(reader, code);
	return NULL;
}

static void
append_code_point(Reader *reader, uint32 code)
{
	appendStringInfo(reader->out, code > 0xffff ? "\\U%08x" : "\\u%04x", code);
}

static bool
read_hex(Reader *reader, int digits, uint32 *code)
{
	*code = 0;
	if (reader->end - reader->next < digits)
		return false;
	for (int i = 0; i < digits; i++)
	{
		char		c = *reader->next++;

		if (c >= '0' && c <= '9')
			*code = *code * 16 + (c - '0');
		else if (c >= 'a' && c <= 'f')
			*code = *code * 16 + (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			*code = *code * 16 + (c - 'A' + 10);
		else
			return false;
	}
	return true;
}

/* After the opening parenthesis. */
static const char *
check_group(const Reader *reader)
{
	static const char *const known[] = {"?:", "?=", "?!", "?<=", "?<!"};

	if (!looking_at(reader, "?"))
		return NULL;
	for (int i = 0; i < lengthof(known); i++)
	{
		if (looking_at(reader, known[i]))
			return NULL;
	}
	return "has a group that begins with (? in a way that is not supported";
}

static bool
looking_at(const Reader *reader, const char *text)
{
	size_t		length = strlen(text);

	return reader->end - reader->next >= length && memcmp(reader->next, text, length) == 0;
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_word(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}
