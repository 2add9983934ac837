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

#include "access/genam.h"
#include "access/skey.h"
#include "executor/tuptable.h"
#include "nodes/lockoptions.h"
#include "utils/relcache.h"
#include "utils/timestamp.h"

#include "store/plans.h"

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

/*
 * The same of one row, as ON CONFLICT DO NOTHING does it: false when there is one
 * with its primary key, which the caller has looked for in vain; so a transaction of
 * one snapshot is to be run again (40001).  Waits for others that insert it, or delete
 * it, and have not committed.
 */
extern bool tc_direct_insert_new(TcTable *table, TcFillRow fill, const void *row, ItemPointer tid);

/*
 * Rows that the caller has locked, by where they are.  Return false, and change
 * nothing, where a trigger of somebody's wants to see each of them, or a constraint
 * holds: that takes a statement.  To update, fill changes the values that it finds.
 */
extern bool tc_direct_update(TcTable *table, const ItemPointerData *tids, TcFillRow fill, const void *rows, int n);
extern bool tc_direct_delete(TcTable *table, const ItemPointerData *tids, int n);

/* ---- reading by an index --------------------------------------------------- */

/* Rows in the order of an index. */
typedef struct TcScan
{
	TcTable    *table;
	Relation	relation;
	Relation	index;
	IndexScanDesc descriptor;
	TupleTableSlot *slot;		/* the row at hand */
	bool		own_snapshot;
} TcScan;

/*
 * Keys name columns of the index, by position from 1: ScanKeyInit(), for text
 * tc_scan_key_text().  The kind is that of a statement: what it may see.  To lock
 * rows, it has to be no TC_READ.
 */
extern void tc_scan_key_text(ScanKey key, int column, const char *value);
extern void tc_scan_begin(TcScan *scan, TcTable *table, const char *index, TcPlanKind kind,
						  const ScanKeyData *keys, int nkeys);

/* Begins a scan that is all zeros, and moves one that has begun: for keys that come one after the other. */
extern void tc_scan_seek(TcScan *scan, TcTable *table, const char *index, TcPlanKind kind,
						 const ScanKeyData *keys, int nkeys);
extern bool tc_scan_next(TcScan *scan);
extern void tc_scan_end(TcScan *scan);	/* one that has never begun, too */

/*
 * Locks the row at hand as SELECT FOR UPDATE does (LockTupleExclusive) or FOR NO KEY
 * UPDATE (LockTupleNoKeyExclusive), and puts its newest version in its place; false
 * when it is gone, or locked by somebody else and the policy skips that.  The caller
 * looks again whether it is still what was looked for.
 */
extern bool tc_scan_lock(TcScan *scan, LockTupleMode mode, LockWaitPolicy policy);

/* For who reads most columns of the row at hand: all of them are found in one pass. */
static inline void
tc_scan_take_apart(TcScan *scan)
{
	slot_getallattrs(scan->slot);
}

/* Values of the row at hand, by the position of their column in the TcTable. */
extern bool tc_scan_isnull(TcScan *scan, int column);
extern int64 tc_scan_int64(TcScan *scan, int column);
extern int32 tc_scan_int32(TcScan *scan, int column);
extern int16 tc_scan_int16(TcScan *scan, int column);
extern bool tc_scan_bool(TcScan *scan, int column);
extern char tc_scan_char(TcScan *scan, int column);
extern TimestampTz tc_scan_timestamptz(TcScan *scan, int column);	/* TC_NO_TIME for NULL */

/* A text that is not null, there as long as the row is at hand. */
extern struct varlena *tc_scan_text_in_place(TcScan *scan, int column);
extern bool tc_scan_text_is(TcScan *scan, int column, const char *expected);

/* Copies in the session's caller context, NULL as NULL. */
extern char *tc_scan_text(TcScan *scan, int column);
extern char *tc_scan_text_in(TcScan *scan, int column, MemoryContext context);	/* in that one instead */
extern struct varlena *tc_scan_varlena(TcScan *scan, int column);
extern void *tc_scan_fixed(TcScan *scan, int column, size_t size);

#endif							/* TC_DIRECT_H */
