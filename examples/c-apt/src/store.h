#ifndef NOTES_STORE_H
#define NOTES_STORE_H

#include <sqlite3.h>

/* 0, or -1 after a message on standard error. */
int store_open(const char *path, sqlite3 **db);
int store_add(sqlite3 *db, const char *text);
int store_list(sqlite3 *db);

#endif
