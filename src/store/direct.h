/*
 * direct.h
 *	  Rows of our tables reached without a statement.
 *
 * What every step writes is a handful of rows whose keys and columns are known;
 * to start and end a statement for each costs several times what the rows do.
 * These functions do what an INSERT would: triggers fire, constraints and
 * defaults that somebody added hold, and statistics, WAL and logical decoding see
 * what they would see.  The caller has gone on as the owner of the tables
 * (session.h), so rights and row security are the owner's.
 */
#ifndef TC_DIRECT_H
#define TC_DIRECT_H

#include "access/attnum.h"

#define TC_DIRECT_COLUMNS 32

/* A table as its callers know it: columns by the position that these have here. */
typedef struct TcTable
{
	const char *name;
	const char *columns[TC_DIRECT_COLUMNS + 1]; /* up to a NULL */
	int			nchecks;		/* CHECK constraints that all rows of ours satisfy */

	/* filled in at its first use, anew when the table is another one */
	Oid			relid;
	int			ncolumns;
	AttrNumber	attnums[TC_DIRECT_COLUMNS];
} TcTable;

/* Writes row i of the caller's rows into values and nulls; all nulls are false before. */
typedef void (*TcFillRow) (const void *rows, int i, Datum *values, bool *nulls);

/* A duplicate key raises what INSERT would raise. */
extern void tc_direct_insert(TcTable *table, TcFillRow fill, const void *rows, int n);

#endif							/* TC_DIRECT_H */
