/*
 * configure.h
 *	  Settings that belong to the data, and are dumped with it.
 */
#ifndef TC_CONFIGURE_H
#define TC_CONFIGURE_H

#include "postgres.h"

#define TC_SETTINGS(X) \
	X(RETENTION_DAYS, "retention_days", 1, 36500) \
	X(IDEMPOTENCY_RETENTION_DAYS, "idempotency_retention_days", 1, 36500)

typedef enum TcSetting
{
#define X(id, name, lowest, highest) TC_SETTING_##id,
	TC_SETTINGS(X)
#undef X
	TC_SETTING_COUNT
} TcSetting;

/* Its value; `absent` where none is set. */
extern int32 tc_setting(TcSetting setting, int32 absent);

/* Sets it, or takes it back (NULL).  22023 for a setting or a value there is not. */
extern void tc_configure(const char *name, const char *value);

#endif							/* TC_CONFIGURE_H */
