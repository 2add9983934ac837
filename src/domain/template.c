/*
 * template.c
 *	  The words of a template, and the order of template versions (pure C).
 *
 * Numbers in a version may have any length, so they are compared as digits and
 * never converted.
 */
#ifdef FRONTEND
#include "postgres_fe.h"
#else
#include "postgres.h"
#endif

#include "domain/template.h"

#define DIGITS				"0123456789"
#define IDENTIFIER_CHARS	DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-"

static const char *const identity_names[] = {
#define X(id, name) [TC_IDENTITY_##id] = name,
	TC_IDENTITY_STRATEGIES(X)
#undef X
};

static bool is_semantic_version(const char *text);
static const char *skip_identifiers(const char *text, bool leading_zeros);
static bool is_numeric(const char *identifier, size_t length);
static bool has_leading_zero(const char *number, size_t length);
static int	compare_semantic(const char *a, const char *b);
static int	compare_prereleases(const char *a, const char *b);
static int	compare_identifiers(const char *a, size_t a_length,
								const char *b, size_t b_length);
static int	compare_numbers(const char *a, size_t a_length,
							const char *b, size_t b_length);

static const char *const failure_rule_names[] = {
#define X(id, name) name,
	TC_FAILURE_RULES(X)
#undef X
};

static const char *const step_type_names[] = {
#define X(id, name) name,
	TC_STEP_TYPES(X)
#undef X
};

static const char *const trigger_rule_names[] = {
#define X(id, name) name,
	TC_TRIGGER_RULES(X)
#undef X
};

static const char *const timeout_rule_names[] = {
#define X(id, name) name,
	TC_TIMEOUT_RULES(X)
#undef X
};

/* The position of a name in its list, -1 where it is not there. */
static int
find_name(const char *name, const char *const *names, int count)
{
	for (int i = 0; i < count; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return i;
	}
	return -1;
}

/* The name of a value, and the value of a name: false where there is none. */
#define DEFINE_NAMES(ctype, prefix, names) \
const char * \
prefix##_name(ctype value) \
{ \
	Assert(value < lengthof(names)); \
	return names[value]; \
} \
\
bool \
prefix##_parse(const char *name, ctype *value) \
{ \
	int			found = find_name(name, names, lengthof(names)); \
\
	if (found < 0) \
		return false; \
	*value = (ctype) found; \
	return true; \
}

DEFINE_NAMES(TcIdentityStrategy, tc_identity_strategy, identity_names)
DEFINE_NAMES(TcFailureRule, tc_failure_rule, failure_rule_names)
DEFINE_NAMES(TcStepType, tc_step_type, step_type_names)
DEFINE_NAMES(TcTimeoutRule, tc_timeout_rule, timeout_rule_names)
DEFINE_NAMES(TcTriggerRule, tc_trigger_rule, trigger_rule_names)

int
tc_version_compare(const char *a, const char *b)
{
	bool		a_is_semantic = is_semantic_version(a);
	bool		b_is_semantic = is_semantic_version(b);

	if (a_is_semantic && b_is_semantic)
		return compare_semantic(a, b);
	if (a_is_semantic != b_is_semantic)
		return a_is_semantic ? 1 : -1;
	return strcmp(a, b);
}

/* major.minor.patch, then -prerelease and +build where given, and nothing else */
static bool
is_semantic_version(const char *text)
{
	for (int i = 0; i < 3; i++)
	{
		size_t		length;

		if (i > 0 && *text++ != '.')
			return false;
		length = strspn(text, DIGITS);
		if (length == 0 || has_leading_zero(text, length))
			return false;
		text += length;
	}

	if (*text == '-')
		text = skip_identifiers(text + 1, false);
	if (text != NULL && *text == '+')
		text = skip_identifiers(text + 1, true);
	return text != NULL && *text == '\0';
}

/*
 * The end of a dot-separated list of identifiers, or NULL where one is empty
 * or is a number with a leading zero that may not have one.
 */
static const char *
skip_identifiers(const char *text, bool leading_zeros)
{
	for (;;)
	{
		size_t		length = strspn(text, IDENTIFIER_CHARS);

		if (length == 0)
			return NULL;
		if (!leading_zeros && is_numeric(text, length) && has_leading_zero(text, length))
			return NULL;
		text += length;
		if (*text != '.')
			return text;
		text++;
	}
}

static bool
is_numeric(const char *identifier, size_t length)
{
	return strspn(identifier, DIGITS) >= length;
}

static bool
has_leading_zero(const char *number, size_t length)
{
	return length > 1 && number[0] == '0';
}

/* Both texts must be semantic versions. */
static int
compare_semantic(const char *a, const char *b)
{
	for (int i = 0; i < 3; i++)
	{
		size_t		a_length;
		size_t		b_length;
		int			order;

		if (i > 0)
		{
			a++;
			b++;
		}
		a_length = strspn(a, DIGITS);
		b_length = strspn(b, DIGITS);
		order = compare_numbers(a, a_length, b, b_length);
		if (order != 0)
			return order;
		a += a_length;
		b += b_length;
	}

	if (*a == '-' && *b == '-')
		return compare_prereleases(a, b);
	return (*b == '-') - (*a == '-');
}

/*
 * Identifier by identifier; where all that both have are equal, the longer list
 * is higher.  Both texts start at the hyphen.
 */
static int
compare_prereleases(const char *a, const char *b)
{
	for (;;)
	{
		size_t		a_length = strspn(++a, IDENTIFIER_CHARS);
		size_t		b_length = strspn(++b, IDENTIFIER_CHARS);
		int			order = compare_identifiers(a, a_length, b, b_length);

		if (order != 0)
			return order;
		a += a_length;
		b += b_length;
		if (*a != '.' || *b != '.')
			return (*a == '.') - (*b == '.');
	}
}

/* Numbers by value and below all others, the others by bytes. */
static int
compare_identifiers(const char *a, size_t a_length, const char *b, size_t b_length)
{
	bool		a_is_numeric = is_numeric(a, a_length);
	bool		b_is_numeric = is_numeric(b, b_length);
	int			order;

	if (a_is_numeric && b_is_numeric)
		return compare_numbers(a, a_length, b, b_length);
	if (a_is_numeric != b_is_numeric)
		return a_is_numeric ? -1 : 1;

	order = memcmp(a, b, Min(a_length, b_length));
	if (order != 0)
		return order;
	return (a_length > b_length) - (a_length < b_length);
}

/* Without leading zeros, the number with more digits is the greater. */
static int
compare_numbers(const char *a, size_t a_length, const char *b, size_t b_length)
{
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	return memcmp(a, b, a_length);
}
