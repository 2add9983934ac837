/*
 * bulk_insert.h
 *	  Many rows into a table of ours, page by page, without a statement.
 */
#ifndef TC_BULK_INSERT_H
#define TC_BULK_INSERT_H

/* What a table of ours looks like; one that was altered is left to statements. */
typedef struct TcBulkTable
{
	const char *name;
	int			ncolumns;
	int			nchecks;		/* CHECK constraints, all of which the filled rows satisfy */

	/* Writes row i of the caller's rows, by position of the column; nulls are all false before. */
	void		(*fill) (const void *rows, int i, Datum *values, bool *nulls);
} TcBulkTable;

/*
 * Returns false, and inserts nothing, where only a statement would do what has
 * been asked of the table: triggers, forced row security, more columns or
 * constraints than ours.  A duplicate key raises what INSERT would raise.
 */
extern bool tc_bulk_insert(const TcBulkTable *table, const void *rows, int n);

#endif							/* TC_BULK_INSERT_H */
