#include "store.h"

#include <stdio.h>

static int check(sqlite3 *db, int status) {
  if (status == SQLITE_OK || status == SQLITE_DONE) return 0;
  fprintf(stderr, "notes: %s\n", sqlite3_errmsg(db));
  return -1;
}

int store_open(const char *path, sqlite3 **db) {
  if (check(*db, sqlite3_open(path, db)) != 0) return -1;
  return check(*db, sqlite3_exec(*db, "CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT)", NULL, NULL, NULL));
}

int store_add(sqlite3 *db, const char *text) {
  sqlite3_stmt *statement;
  if (check(db, sqlite3_prepare_v2(db, "INSERT INTO note (text) VALUES (?)", -1, &statement, NULL)) != 0) return -1;
  sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
  int status = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return check(db, status);
}

int store_list(sqlite3 *db) {
  sqlite3_stmt *statement;
  if (check(db, sqlite3_prepare_v2(db, "SELECT id, text FROM note ORDER BY id", -1, &statement, NULL)) != 0) return -1;
  int status;
  while ((status = sqlite3_step(statement)) == SQLITE_ROW)
    printf("%d %s\n", sqlite3_column_int(statement, 0), sqlite3_column_text(statement, 1));
  sqlite3_finalize(statement);
  return check(db, status);
}
