/*
 * settings_store.c
 *	  Settings that belong to the data: tasker.settings.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/plans.h"
#include "store/settings_store.h"

static TcPlan plan_read = {
	.sql = "SELECT s.value::int FROM tasker.settings s WHERE s.name = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_SELECT,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

int32
tc_setting_read(const char *name, int32 absent)
{
	Datum		values[1] = {CStringGetTextDatum(name)};

	return tc_plan_run(&plan_read, values, NULL) == 0 ? absent : tc_row_int32(0, 1);
}

static TcPlan plan_write = {
	.sql =
	"INSERT INTO tasker.settings (name, value) VALUES ($1, $2)"
	" ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	.kind = TC_WRITE,
	.expect = SPI_OK_INSERT,
	.nargs = 2,
	.argtypes = {TEXTOID, TEXTOID},
};

void
tc_setting_write(const char *name, const char *value)
{
	Datum		values[2] = {CStringGetTextDatum(name), CStringGetTextDatum(value)};

	tc_plan_run(&plan_write, values, NULL);
}

static TcPlan plan_forget = {
	.sql = "DELETE FROM tasker.settings WHERE name = $1",
	.kind = TC_WRITE,
	.expect = SPI_OK_DELETE,
	.nargs = 1,
	.argtypes = {TEXTOID},
};

void
tc_setting_forget(const char *name)
{
	Datum		values[1] = {CStringGetTextDatum(name)};

	tc_plan_run(&plan_forget, values, NULL);
}
