/*
 * bulk_insert.c
 *	  Many rows into a table of ours, page by page, without a statement.
 *
 * As COPY does it: a page is filled under one lock and one WAL record, and only
 * the indexes take each row by itself.  An INSERT of a thousand rows spends four
 * fifths of its time outside of that.  Statistics, WAL and logical decoding are
 * those of any multi-insert.
 *
 * The caller has gone on as the owner of the table (session.h), so rights and
 * row security are those of the owner, as for the statements beside it.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/rel.h"

#include "compat.h"
#include "store/bulk_insert.h"

/* Rows at a time; a page holds fewer. */
#define MAX_SLOTS 128

typedef struct Target
{
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *indexes;
	CommandId	cid;
	TupleTableSlot *slots[MAX_SLOTS];
	int			nslots;
} Target;

static bool
is_as_made(Relation relation, const TcBulkTable *table)
{
	const TupleConstr *constraints = relation->rd_att->constr;

	return relation->trigdesc == NULL && !relation->rd_rel->relforcerowsecurity &&
		relation->rd_rel->relkind == RELKIND_RELATION && relation->rd_att->natts == table->ncolumns &&
		(constraints == NULL ||
		 (constraints->num_check == table->nchecks && !constraints->has_generated_stored));
}

static void
open_target(Target *target, Relation relation, int n)
{
	target->relation = relation;
	target->estate = CreateExecutorState();
	target->indexes = makeNode(ResultRelInfo);
	InitResultRelInfo(target->indexes, relation, 0, NULL, 0);
	ExecOpenIndices(target->indexes, false);
	target->cid = GetCurrentCommandId(true);
	target->nslots = Min(n, MAX_SLOTS);
	for (int i = 0; i < target->nslots; i++)
		target->slots[i] = table_slot_create(relation, NULL);
}

static void
close_target(Target *target)
{
	for (int i = 0; i < target->nslots; i++)
		ExecDropSingleTupleTableSlot(target->slots[i]);
	ExecCloseIndices(target->indexes);
	FreeExecutorState(target->estate);
}

static void
fill_slots(Target *target, const TcBulkTable *table, const void *rows, int start, int n)
{
	for (int i = 0; i < n; i++)
	{
		TupleTableSlot *slot = target->slots[i];

		ExecClearTuple(slot);
		memset(slot->tts_isnull, false, sizeof(bool) * table->ncolumns);
		table->fill(rows, start + i, slot->tts_values, slot->tts_isnull);
		ExecStoreVirtualTuple(slot);
	}
}

static void
insert_slots(Target *target, int n)
{
	table_multi_insert(target->relation, target->slots, n, target->cid, 0, NULL);
	for (int i = 0; i < n; i++)
	{
		tc_insert_index_tuples(target->indexes, target->slots[i], target->estate);
		ResetPerTupleExprContext(target->estate);
	}
}

bool
tc_bulk_insert(const TcBulkTable *table, const void *rows, int n)
{
	Relation	relation = table_openrv(makeRangeVar("tasker", pstrdup(table->name), -1), RowExclusiveLock);
	bool		as_made = is_as_made(relation, table);
	Target		target;

	if (as_made && n > 0)
	{
		open_target(&target, relation, n);
		for (int start = 0; start < n; start += target.nslots)
		{
			int			count = Min(n - start, target.nslots);

			CHECK_FOR_INTERRUPTS();
			fill_slots(&target, table, rows, start, count);
			insert_slots(&target, count);
		}
		close_target(&target);
		CommandCounterIncrement();
	}
	table_close(relation, NoLock);
	return as_made;
}
