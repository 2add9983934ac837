/*
 * settings_store.h
 *	  Settings that belong to the data: tasker.settings.
 */
#ifndef TC_SETTINGS_STORE_H
#define TC_SETTINGS_STORE_H

/* The number stored under a name; `absent` where there is none. */
extern int32 tc_setting_read(const char *name, int32 absent);

extern void tc_setting_write(const char *name, const char *value);
extern void tc_setting_forget(const char *name);

#endif							/* TC_SETTINGS_STORE_H */
