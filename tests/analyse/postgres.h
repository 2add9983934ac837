/*
 * postgres.h
 *	  What cppcheck has to know of PostgreSQL, whose own headers it is not given:
 *	  macros that are syntax, and which calls do not return.
 */
#define PG_VERSION_NUM 150000

#define pg_attribute_printf(format, first)
#define PG_FUNCTION_INFO_V1(name)
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_MODULE_MAGIC
#define PG_TRY() if (setjmp(0) == 0)
#define PG_CATCH() else
#define PG_FINALLY()
#define PG_END_TRY()
#define FLEXIBLE_ARRAY_MEMBER

#define foreach(cell, list) for (cell = list_head(list); cell != 0; cell = lnext(list, cell))
#define lengthof(array) (sizeof(array) / sizeof((array)[0]))
#define Min(x, y) ((x) < (y) ? (x) : (y))
#define Max(x, y) ((x) > (y) ? (x) : (y))
#define INT64_FORMAT "%ld"
#define UINT64_FORMAT "%lu"
#define INT64CONST(x) x##L
#define UINT64CONST(x) x##UL
#define PG_INT64_MAX 0x7fffffffffffffffL

#define NOTICE 18
#define WARNING 19
#define ERROR 21
#define Assert(condition) if (!(condition)) abort()
#define pg_unreachable() abort()
#define ereport(level, rest) do { rest; if ((level) >= ERROR) abort(); } while (0)
#define elog(level, ...) do { if ((level) >= ERROR) abort(); } while (0)
