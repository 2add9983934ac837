/*
 * configure.c
 *	  Settings that belong to the data, and are dumped with it.
 */
#include "postgres.h"

#include "compat.h"
#include "ops/configure.h"
#include "store/settings_store.h"

typedef struct Setting
{
	const char *name;
	int32		lowest;
	int32		highest;
} Setting;

/* The ranges are those of the table's CHECK. */
static const Setting settings[TC_SETTING_COUNT] = {
#define X(id, name, lowest, highest) [TC_SETTING_##id] = {name, lowest, highest},
	TC_SETTINGS(X)
#undef X
};

#define X(id, name, lowest, highest) " " name
static const char all_names[] = TC_SETTINGS(X);
#undef X

int32
tc_setting(TcSetting setting, int32 absent)
{
	return tc_setting_read(settings[setting].name, absent);
}

static const Setting *
find(const char *name)
{
	for (int i = 0; i < TC_SETTING_COUNT; i++)
	{
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is no setting that can be changed", name),
			 errdetail("These can:%s.", all_names),
			 errhint("Settings of the server (tasker_core.*) are changed with SET, ALTER SYSTEM, ALTER DATABASE or ALTER ROLE.")));
}

static void
check_value(const Setting *setting, const char *value)
{
	char	   *end;
	long		number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || number < setting->lowest ||
		number > setting->highest)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for %s", setting->name),
				 errdetail("It is \"%s\", and has to be a whole number from %d to %d.", value,
						   setting->lowest, setting->highest),
				 errhint("Null takes the setting back: nothing is dropped then.")));
}

void
tc_configure(const char *name, const char *value)
{
	const Setting *setting = find(name);

	if (value == NULL)
	{
		tc_setting_forget(name);
		return;
	}
	check_value(setting, value);
	tc_setting_write(name, value);
}
