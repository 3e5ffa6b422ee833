#include "store.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
  sqlite3 *db = NULL;
  if (argc < 3) {
    fputs("usage: notes FILE list | notes FILE add TEXT...\n", stderr);
    return 2;
  }
  if (store_open(argv[1], &db) != 0) return 1;
  int status = 0;
  for (int i = 3; i < argc && status == 0; i++) status = store_add(db, argv[i]);
  if (status == 0 && (strcmp(argv[2], "list") == 0 || strcmp(argv[2], "add") == 0)) status = store_list(db);
  sqlite3_close(db);
  return status == 0 ? 0 : 1;
}
