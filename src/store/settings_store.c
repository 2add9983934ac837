/*
 * settings_store.c
 *	  Settings that belong to the data: tasker.settings.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "compat.h"
#include "store/direct.h"
#include "store/settings_store.h"

enum
{
	SETTING_name, SETTING_value
};

static TcTable settings_table = {
	.name = "settings",
	.columns = {"name", "value"},
};

int32
tc_setting_read(const char *name, int32 absent)
{
	int32		value = absent;
	ScanKeyData key;
	TcScan		scan;

	tc_scan_key_text(&key, 1, name);
	tc_scan_begin(&scan, &settings_table, "settings_pkey", TC_WRITE, &key, 1);
	if (tc_scan_next(&scan))
		value = pg_strtoint32(tc_scan_text(&scan, SETTING_value));
	tc_scan_end(&scan);
	return value;
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
