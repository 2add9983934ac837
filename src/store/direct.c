/*
 * direct.c
 *	  Rows of our tables reached without a statement.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "store/direct.h"
#include "store/session.h"

/* Rows at a time: about what a page holds. */
#define MAX_SLOTS 64

/* A table open for rows to be written. */
typedef struct Target
{
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *info;
	CommandId	cid;
	TupleTableSlot *slots[MAX_SLOTS];
	int			nslots;
} Target;

/* ---- the table ----------------------------------------------------------- */

/* In what the open table knows of itself: the catalog would be asked for each. */
static AttrNumber
find_column(Relation relation, const char *name)
{
	TupleDesc	descriptor = RelationGetDescr(relation);

	for (int a = 0; a < descriptor->natts; a++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, a);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	elog(ERROR, "tasker.%s has no column \"%s\"", RelationGetRelationName(relation), name);
}

static void
find_columns(TcTable *table, Relation relation)
{
	table->relid = InvalidOid;
	for (table->ncolumns = 0; table->columns[table->ncolumns] != NULL; table->ncolumns++)
		table->attnums[table->ncolumns] = find_column(relation, table->columns[table->ncolumns]);
	table->relid = RelationGetRelid(relation);
}

static Relation
open_table(TcTable *table, LOCKMODE lockmode)
{
	Oid			relid = get_relname_relid(table->name, get_namespace_oid("tasker", false));
	Relation	relation = table_open(relid, lockmode);

	if (table->relid != relid)
		find_columns(table, relation);
	return relation;
}

static void
raise_concurrent_change(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access due to concurrent update"),
			 errhint("Run the transaction again.")));
}

/* ---- rows are inserted --------------------------------------------------- */

/* What a statement of this kind would refuse. */
static void
check_command(CmdType command)
{
	const char *name = command == CMD_INSERT ? "INSERT" : command == CMD_UPDATE ? "UPDATE" : "DELETE";

	PreventCommandIfReadOnly(name);
	PreventCommandIfParallelMode(name);
}

/* All that is made for it goes with it: a call may write thousands of tasks. */
static void
open_target(Target *target, TcTable *table, CmdType command, bool speculative, int n)
{
	MemoryContext old;

	check_command(command);
	target->relation = open_table(table, RowExclusiveLock);
	CheckCmdReplicaIdentity(target->relation, command);
	target->estate = CreateExecutorState();
	old = MemoryContextSwitchTo(target->estate->es_query_cxt);
	target->info = makeNode(ResultRelInfo);
	InitResultRelInfo(target->info, target->relation, 0, NULL, 0);
	ExecOpenIndices(target->info, speculative);
	target->cid = target->estate->es_output_cid = GetCurrentCommandId(true);
	target->nslots = Min(n, MAX_SLOTS);
	for (int i = 0; i < target->nslots; i++)
		target->slots[i] = table_slot_create(target->relation, NULL);
	MemoryContextSwitchTo(old);
}

static void
close_target(Target *target)
{
	for (int i = 0; i < target->nslots; i++)
		ExecDropSingleTupleTableSlot(target->slots[i]);
	ExecCloseIndices(target->info);
	/* what triggers have opened */
	ExecResetTupleTable(target->estate->es_tupleTable, false);
	ExecCloseResultRelations(target->estate);
	FreeExecutorState(target->estate);
	table_close(target->relation, NoLock);
	CommandCounterIncrement();
}

/* Columns that are not ours have been added by somebody, who expects their defaults. */
static void
fill_other_columns(Target *target, const TcTable *table, TupleTableSlot *slot)
{
	TupleDesc	descriptor = RelationGetDescr(target->relation);

	for (int a = 0; a < descriptor->natts; a++)
		slot->tts_isnull[a] = true;
	for (int a = 0; a < descriptor->natts; a++)
	{
		Form_pg_attribute attribute = TupleDescAttr(descriptor, a);
		bool		ours = false;
		Node	   *value;

		for (int c = 0; c < table->ncolumns; c++)
			ours = ours || table->attnums[c] == a + 1;
		if (ours || attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		value = build_column_default(target->relation, a + 1);
		if (value != NULL)
			slot->tts_values[a] = ExecEvalExpr(ExecPrepareExpr((Expr *) value, target->estate),
											   GetPerTupleExprContext(target->estate), &slot->tts_isnull[a]);
	}
}

static void
fill_slot(Target *target, const TcTable *table, TcFillRow fill, const void *rows, int i, TupleTableSlot *slot)
{
	Datum		values[TC_DIRECT_COLUMNS];
	bool		nulls[TC_DIRECT_COLUMNS] = {0};
	MemoryContext old;

	ExecClearTuple(slot);
	ResetPerTupleExprContext(target->estate);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(target->estate));
	if (RelationGetNumberOfAttributes(target->relation) != table->ncolumns)
		fill_other_columns(target, table, slot);
	fill(rows, i, values, nulls);
	MemoryContextSwitchTo(old);
	for (int c = 0; c < table->ncolumns; c++)
	{
		slot->tts_values[table->attnums[c] - 1] = values[c];
		slot->tts_isnull[table->attnums[c] - 1] = nulls[c];
	}
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
}

static bool
is_altered(Relation relation, const TcTable *table)
{
	const TupleConstr *constraints = RelationGetDescr(relation)->constr;

	return relation->trigdesc != NULL ||
		(constraints != NULL &&
		 (constraints->num_check != table->nchecks || constraints->has_generated_stored));
}

/* What stands before the row in the order of ExecInsert(); false when a trigger does without it. */
static bool
begin_as_statement_would(Target *target, TupleTableSlot *slot)
{
	const TupleConstr *constraints = RelationGetDescr(target->relation)->constr;

	slot->tts_tableOid = RelationGetRelid(target->relation);
	if (target->relation->trigdesc != NULL && target->relation->trigdesc->trig_insert_before_row &&
		!ExecBRInsertTriggers(target->estate, target->info, slot))
		return false;
	if (constraints != NULL && constraints->has_generated_stored)
		ExecComputeStoredGenerated(target->info, target->estate, slot, CMD_INSERT);
	if (constraints != NULL)
		ExecConstraints(target->info, slot, target->estate);
	return true;
}

static void
insert_as_statement_would(Target *target, TupleTableSlot *slot)
{
	List	   *recheck;

	if (!begin_as_statement_would(target, slot))
		return;
	table_tuple_insert(target->relation, slot, target->cid, 0, NULL);
	recheck = tc_insert_index_tuples(target->info, slot, target->estate);
	ExecARInsertTriggers(target->estate, target->info, slot, recheck, NULL);
}

static void
insert_slots(Target *target, int n)
{
	if (n == 1)
		table_tuple_insert(target->relation, target->slots[0], target->cid, 0, NULL);
	else
		table_multi_insert(target->relation, target->slots, n, target->cid, 0, NULL);
	for (int i = 0; i < n; i++)
	{
		ResetPerTupleExprContext(target->estate);
		tc_insert_index_tuples(target->info, target->slots[i], target->estate);
	}
}

/* As COPY does it: a page is filled under one lock and one WAL record. */
static void
insert_by_page(Target *target, TcTable *table, TcFillRow fill, const void *rows, int n)
{
	for (int start = 0; start < n; start += target->nslots)
	{
		int			count = Min(n - start, target->nslots);

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < count; i++)
			fill_slot(target, table, fill, rows, start + i, target->slots[i]);
		insert_slots(target, count);
	}
}

static void
insert_by_row(Target *target, TcTable *table, TcFillRow fill, const void *rows, int n)
{
	AfterTriggerBeginQuery();
	ExecBSInsertTriggers(target->estate, target->info);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		fill_slot(target, table, fill, rows, i, target->slots[0]);
		insert_as_statement_would(target, target->slots[0]);
	}
	ExecASInsertTriggers(target->estate, target->info, NULL);
	AfterTriggerEndQuery(target->estate);
}

void
tc_direct_insert(TcTable *table, TcFillRow fill, const void *rows, int n)
{
	Target		target;

	if (n == 0)
		return;
	open_target(&target, table, CMD_INSERT, false, n);
	if (is_altered(target.relation, table))
		insert_by_row(&target, table, fill, rows, n);
	else
		insert_by_page(&target, table, fill, rows, n);
	close_target(&target);
}

/* ---- a row is inserted unless there is one ------------------------------- */

/*
 * Somebody may insert the same key between our look and our row: then ours, which
 * until then nobody sees, is taken back, and the look waits for theirs.
 */
static bool
insert_unless_there(Target *target, TupleTableSlot *slot, List *arbiters, List **recheck)
{
	TransactionId xid = GetCurrentTransactionId();
	bool		conflict;

	do
	{
		ItemPointerData there;
		uint32		token;

		CHECK_FOR_INTERRUPTS();
		conflict = false;
		if (!tc_check_index_constraints(target->info, slot, target->estate, &there, arbiters))
			return false;
		token = SpeculativeInsertionLockAcquire(xid);
		table_tuple_insert_speculative(target->relation, slot, target->cid, 0, NULL, token);
		*recheck = tc_insert_index_tuples_unless(target->info, slot, target->estate, &conflict, arbiters);
		table_tuple_complete_speculative(target->relation, slot, token, !conflict);
		SpeculativeInsertionLockRelease(xid);
	} while (conflict);
	return true;
}

static Oid
primary_key(const Target *target)
{
	for (int i = 0; i < target->info->ri_NumIndices; i++)
	{
		Relation	index = target->info->ri_IndexRelationDescs[i];

		if (index->rd_index->indisprimary)
			return RelationGetRelid(index);
	}
	elog(ERROR, "table \"%s\" has no primary key", RelationGetRelationName(target->relation));
}

bool
tc_direct_insert_new(TcTable *table, TcFillRow fill, const void *row, ItemPointer tid)
{
	Target		target;
	TupleTableSlot *slot;
	List	   *arbiters;
	List	   *recheck = NIL;
	bool		inserted;

	open_target(&target, table, CMD_INSERT, true, 1);
	slot = target.slots[0];
	arbiters = list_make1_oid(primary_key(&target));
	AfterTriggerBeginQuery();
	ExecBSInsertTriggers(target.estate, target.info);
	fill_slot(&target, table, fill, row, 0, slot);
	if (is_altered(target.relation, table) && !begin_as_statement_would(&target, slot))
		ereport(ERROR,
				(errcode(ERRCODE_TRIGGERED_ACTION_EXCEPTION),
				 errmsg("a trigger on table \"%s\" keeps out a row that has to be there", table->name),
				 errdetail("It returned null before the row was inserted."),
				 errhint("Let the trigger return the row.")));
	inserted = insert_unless_there(&target, slot, arbiters, &recheck);
	if (inserted)
		ExecARInsertTriggers(target.estate, target.info, slot, recheck, NULL);
	ExecASInsertTriggers(target.estate, target.info, NULL);
	AfterTriggerEndQuery(target.estate);
	*tid = slot->tts_tid;
	close_target(&target);
	if (!inserted && IsolationUsesXactSnapshot())
		raise_concurrent_change();
	return inserted;
}

/* ---- rows are updated, deleted ------------------------------------------- */

/* The version at tid with new values in our columns. */
static void
fill_new_version(Target *target, const TcTable *table, ItemPointer tid, TcFillRow fill, const void *rows, int i)
{
	TupleTableSlot *old = target->slots[0];
	TupleTableSlot *new = target->slots[1];
	Datum		values[TC_DIRECT_COLUMNS];
	bool		nulls[TC_DIRECT_COLUMNS];
	MemoryContext context;

	if (!table_tuple_fetch_row_version(target->relation, tid, SnapshotAny, old))
		elog(ERROR, "a locked row of tasker.%s vanished", table->name);
	slot_getallattrs(old);
	ExecClearTuple(new);
	memcpy(new->tts_values, old->tts_values, sizeof(Datum) * old->tts_tupleDescriptor->natts);
	memcpy(new->tts_isnull, old->tts_isnull, sizeof(bool) * old->tts_tupleDescriptor->natts);
	for (int c = 0; c < table->ncolumns; c++)
	{
		values[c] = old->tts_values[table->attnums[c] - 1];
		nulls[c] = old->tts_isnull[table->attnums[c] - 1];
	}
	context = MemoryContextSwitchTo(GetPerTupleMemoryContext(target->estate));
	fill(rows, i, values, nulls);
	MemoryContextSwitchTo(context);
	for (int c = 0; c < table->ncolumns; c++)
	{
		new->tts_values[table->attnums[c] - 1] = values[c];
		new->tts_isnull[table->attnums[c] - 1] = nulls[c];
	}
	ExecStoreVirtualTuple(new);
}

static bool
update_version(Target *target, ItemPointer tid, TupleTableSlot *slot)
{
	TM_FailureData failure;
	LockTupleMode lock_mode;
	TcUpdateIndexes indexes;

	if (table_tuple_update(target->relation, tid, slot, target->cid, GetActiveSnapshot(), InvalidSnapshot, true,
						   &failure, &lock_mode, &indexes) != TM_Ok)
		return false;
	if (tc_updates_indexes(indexes))
		tc_update_index_tuples(target->info, slot, target->estate, indexes);
	return true;
}

bool
tc_direct_update(TcTable *table, const ItemPointerData *tids, TcFillRow fill, const void *rows, int n)
{
	Target		target;
	bool		altered;

	open_target(&target, table, CMD_UPDATE, false, 2);
	altered = is_altered(target.relation, table);
	for (int i = 0; i < n && !altered; i++)
	{
		ItemPointerData tid = tids[i];

		CHECK_FOR_INTERRUPTS();
		fill_new_version(&target, table, &tid, fill, rows, i);
		if (!update_version(&target, &tid, target.slots[1]))
			elog(ERROR, "a locked row of tasker.%s vanished", table->name);
		ResetPerTupleExprContext(target.estate);
	}
	close_target(&target);
	return !altered;
}

bool
tc_direct_delete(TcTable *table, const ItemPointerData *tids, int n)
{
	Relation	relation;
	bool		watched;

	check_command(CMD_DELETE);
	relation = open_table(table, RowExclusiveLock);
	CheckCmdReplicaIdentity(relation, CMD_DELETE);
	watched = relation->trigdesc != NULL;
	for (int i = 0; i < n && !watched; i++)
	{
		ItemPointerData tid = tids[i];
		TM_FailureData failure;

		CHECK_FOR_INTERRUPTS();
		if (table_tuple_delete(relation, &tid, GetCurrentCommandId(true), GetActiveSnapshot(), InvalidSnapshot,
							   true, &failure, false) != TM_Ok)
			elog(ERROR, "a locked row of tasker.%s vanished", table->name);
	}
	table_close(relation, NoLock);
	CommandCounterIncrement();
	return !watched;
}

/* ---- reading by an index ------------------------------------------------- */

/*
 * An index that was created while rows had versions that it does not know serves
 * only snapshots that are newer: the planner, too, passes it over for others.
 */
static void
check_index(Relation index)
{
	if (index->rd_index->indisvalid &&
		(!index->rd_index->indcheckxmin ||
		 TransactionIdPrecedes(HeapTupleHeaderGetXmin(index->rd_indextuple->t_data), TransactionXmin)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("index \"%s\" is newer than this transaction", RelationGetRelationName(index)),
			 errdetail("It does not know every version of a row that the snapshot of this transaction has to see."),
			 errhint("Run the transaction again; if that does not help, REINDEX the index.")));
}

/* What a statement of this kind would see: see plans.h. */
static void
take_snapshot(TcScan *scan, TcPlanKind kind)
{
	scan->own_snapshot = kind != TC_READ;
	if (kind == TC_READ)
		return;
	CommandCounterIncrement();
	PushActiveSnapshot(kind == TC_LATEST ? GetLatestSnapshot() : GetTransactionSnapshot());
}

/* Columns of ours have the default collation, whichever that is: order goes by it. */
void
tc_scan_key_text(ScanKey key, int column, const char *value)
{
	ScanKeyEntryInitialize(key, 0, column, BTEqualStrategyNumber, InvalidOid, DEFAULT_COLLATION_OID, F_TEXTEQ,
						   CStringGetTextDatum(value));
}

static void
seek_again(TcScan *scan, const ScanKeyData *keys, int nkeys)
{
	index_rescan(scan->descriptor, unconstify(ScanKeyData *, keys), nkeys, NULL, 0);
}

void
tc_scan_begin(TcScan *scan, TcTable *table, const char *index, TcPlanKind kind,
			  const ScanKeyData *keys, int nkeys)
{
	take_snapshot(scan, kind);
	scan->table = table;
	scan->relation = open_table(table, kind == TC_READ ? AccessShareLock : RowShareLock);
	scan->index = index_open(get_relname_relid(index, get_namespace_oid("tasker", false)), AccessShareLock);
	check_index(scan->index);
	scan->slot = table_slot_create(scan->relation, NULL);
	scan->descriptor = tc_index_beginscan(scan->relation, scan->index, GetActiveSnapshot(), nkeys);
	seek_again(scan, keys, nkeys);
}

void
tc_scan_seek(TcScan *scan, TcTable *table, const char *index, TcPlanKind kind,
			 const ScanKeyData *keys, int nkeys)
{
	if (scan->descriptor == NULL)
		tc_scan_begin(scan, table, index, kind, keys, nkeys);
	else
		seek_again(scan, keys, nkeys);
}

bool
tc_scan_next(TcScan *scan)
{
	return index_getnext_slot(scan->descriptor, ForwardScanDirection, scan->slot);
}

void
tc_scan_end(TcScan *scan)
{
	if (scan->descriptor == NULL)
		return;
	index_endscan(scan->descriptor);
	ExecDropSingleTupleTableSlot(scan->slot);
	index_close(scan->index, NoLock);
	table_close(scan->relation, NoLock);
	if (scan->own_snapshot)
		PopActiveSnapshot();
}

/* As the executor does it. */
bool
tc_scan_lock(TcScan *scan, LockTupleMode mode, LockWaitPolicy policy)
{
	bool		one_snapshot = IsolationUsesXactSnapshot();
	ItemPointerData tid = scan->slot->tts_tid;
	TM_FailureData failure;

	PreventCommandIfReadOnly(mode == LockTupleExclusive ? "SELECT FOR UPDATE" : "SELECT FOR NO KEY UPDATE");
	switch (table_tuple_lock(scan->relation, &tid, GetActiveSnapshot(), scan->slot, GetCurrentCommandId(false),
							 mode, policy,
							 TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS |
							 (one_snapshot ? 0 : TUPLE_LOCK_FLAG_FIND_LAST_VERSION), &failure))
	{
		case TM_Ok:
			return true;
		case TM_WouldBlock:
		case TM_SelfModified:
			return false;
		case TM_Updated:
		case TM_Deleted:
			if (one_snapshot)
				raise_concurrent_change();
			return false;
		case TM_Invisible:
		case TM_BeingModified:
			break;
	}
	elog(ERROR, "a row of tasker.%s cannot be locked", scan->table->name);
}

/* ---- values -------------------------------------------------------------- */

static Datum
value_or_null(TcScan *scan, int column, bool *isnull)
{
	return slot_getattr(scan->slot, scan->table->attnums[column], isnull);
}

static Datum
value(TcScan *scan, int column)
{
	bool		isnull;
	Datum		found = value_or_null(scan, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column \"%s\"", scan->table->columns[column]);
	return found;
}

bool
tc_scan_isnull(TcScan *scan, int column)
{
	bool		isnull;

	(void) value_or_null(scan, column, &isnull);
	return isnull;
}

int64
tc_scan_int64(TcScan *scan, int column)
{
	return DatumGetInt64(value(scan, column));
}

int32
tc_scan_int32(TcScan *scan, int column)
{
	return DatumGetInt32(value(scan, column));
}

int16
tc_scan_int16(TcScan *scan, int column)
{
	return DatumGetInt16(value(scan, column));
}

bool
tc_scan_bool(TcScan *scan, int column)
{
	return DatumGetBool(value(scan, column));
}

char
tc_scan_char(TcScan *scan, int column)
{
	return DatumGetChar(value(scan, column));
}

TimestampTz
tc_scan_timestamptz(TcScan *scan, int column)
{
	bool		isnull;
	Datum		found = value_or_null(scan, column, &isnull);

	return isnull ? TC_NO_TIME : DatumGetTimestampTz(found);
}

struct varlena *
tc_scan_text_in_place(TcScan *scan, int column)
{
	return DatumGetTextPP(value(scan, column));
}

bool
tc_scan_text_is(TcScan *scan, int column, const char *expected)
{
	const struct varlena *text = tc_scan_text_in_place(scan, column);
	size_t		length = strlen(expected);

	return VARSIZE_ANY_EXHDR(text) == length && memcmp(VARDATA_ANY(text), expected, length) == 0;
}

char *
tc_scan_text_in(TcScan *scan, int column, MemoryContext context)
{
	bool		isnull;
	Datum		found = value_or_null(scan, column, &isnull);
	MemoryContext old;
	char	   *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(context);
	copy = TextDatumGetCString(found);
	MemoryContextSwitchTo(old);
	return copy;
}

char *
tc_scan_text(TcScan *scan, int column)
{
	return tc_scan_text_in(scan, column, tc_session_caller_context());
}

struct varlena *
tc_scan_varlena(TcScan *scan, int column)
{
	bool		isnull;
	Datum		found = value_or_null(scan, column, &isnull);
	MemoryContext old;
	struct varlena *copy;

	if (isnull)
		return NULL;
	old = MemoryContextSwitchTo(tc_session_caller_context());
	copy = PG_DETOAST_DATUM_COPY(found);
	MemoryContextSwitchTo(old);
	return copy;
}

void *
tc_scan_fixed(TcScan *scan, int column, size_t size)
{
	bool		isnull;
	Datum		found = value_or_null(scan, column, &isnull);
	void	   *copy;

	if (isnull)
		return NULL;
	copy = MemoryContextAlloc(tc_session_caller_context(), size);
	memcpy(copy, DatumGetPointer(found), size);
	return copy;
}
