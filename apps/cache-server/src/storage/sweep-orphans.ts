import type { Database } from "../database/database.ts";
import type { BlobFiles } from "./blob-files.ts";
import { readBlobRow } from "./blob-rows.ts";
import type { KeyedLock } from "./keyed-lock.ts";

/** Removes the files that no row knows: a server that is killed between the two leaves one. */
export async function sweepOrphans({
  database,
  files,
  lock,
  signal,
}: {
  readonly database: Database;
  readonly files: BlobFiles;
  readonly lock: KeyedLock;
  readonly signal: AbortSignal;
}): Promise<void> {
  for await (const digest of files.list()) {
    if (signal.aborted) return;
    if (readBlobRow(database.get, digest) !== undefined) continue;
    // Under the lock nobody is between placing the file and writing its row.
    await lock(digest, async () => {
      if (readBlobRow(database.get, digest) === undefined) await files.remove(files.path(digest));
    });
  }
}
