import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Digest } from "@varve/oci";
import { type Database, openDatabase } from "../database/database.ts";
import { TOTALS } from "../database/keys.ts";
import { parseTotals, type Totals } from "../database/totals.ts";
import { ServerError } from "../errors.ts";
import { openSigningKeys, type SigningKeys } from "../trust/signing-keys.ts";
import { openBlobFiles } from "./blob-files.ts";
import { type Blobs, createBlobs } from "./blobs.ts";
import { createEviction, type Evicted } from "./eviction.ts";
import { createHolds } from "./holds.ts";
import { createKeyedLock } from "./keyed-lock.ts";
import { createMounts, type Mounts } from "./mounts.ts";
import type { Quotas } from "./quotas.ts";
import { createRecords, type Records } from "./records.ts";
import { createRoom } from "./room.ts";
import { sweepOrphans } from "./sweep-orphans.ts";
import { openUploads, type Uploads } from "./uploads.ts";
import { createUses } from "./uses.ts";

/** Everything that the server keeps. */
export interface Storage extends AsyncDisposable {
  readonly database: Database;
  readonly keys: SigningKeys;
  readonly blobs: Blobs;
  readonly uploads: Uploads;
  readonly records: Records;
  readonly mounts: Mounts;
  totals(): Totals;
  evicted(): Evicted;
  /** Resolves when files that no row knows, left by a server that was ended, are gone. */
  readonly swept: Promise<void>;
}

export interface StorageOptions {
  /** Most bytes of blobs, records and uploads under way. */
  readonly budget: number;
  /** Bytes that the disk keeps free. */
  readonly minFree: number;
  readonly quotas: Quotas;
  /** Most bytes of one cache mount. */
  readonly mountBudget: number;
  /** How long an upload lives that nobody touches. Milliseconds. */
  readonly uploadLifetime: number;
  /** How exactly the last use of a blob is known. Milliseconds. */
  readonly useGranularity: number;
  /** How long a new blob is not evicted, so that a record can name it. Milliseconds. */
  readonly holdNew: number;
  readonly onWarning: (message: string) => void;
}

const FORMAT = "varve-cache 1\n";
/** How often uses are written down, and uploads looked after. Milliseconds. */
const FLUSH_EVERY = 30_000;

/**
 * Opens what a server keeps in directory `path`, and makes it where there is none.
 * @throws ServerError `STORAGE_LOCKED`, `STORAGE_FORMAT`.
 */
export async function openStorage(path: string, options: StorageOptions): Promise<Storage> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await checkFormat(path);
  const index = join(path, "index");
  const database = await openDatabase(index, () =>
    options.onWarning(`Index "${index}" was damaged and is repaired; some records may be gone`),
  );
  try {
    return await assemble(path, database, options);
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

async function checkFormat(path: string): Promise<void> {
  const file = join(path, "format");
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return writeFile(file, FORMAT);
  if (text === FORMAT) return undefined;
  throw new ServerError(
    "STORAGE_FORMAT",
    `Cannot open "${path}": its format is "${text.trim()}"; wanted "${FORMAT.trim()}"`,
    {
      hint: "Use the version of varve-cache that made it, or another directory with --data",
    },
  );
}

async function assemble(path: string, database: Database, options: StorageOptions): Promise<Storage> {
  const { budget, minFree, quotas, mountBudget, uploadLifetime, useGranularity, holdNew, onWarning } = options;
  const files = await openBlobFiles(path);
  const keys = await openSigningKeys(join(path, "keys.json"));
  const [holds, lock, uses] = [createHolds(), createKeyedLock(), createUses(database, useGranularity)];
  const { evict, removeBlob, evicted } = createEviction({ database, files, holds, uses, lock });
  const room = createRoom(database, files, { budget, minFree, evict });
  const onDamaged = (digest: Digest): void => {
    onWarning(`Blob "${digest}" is damaged on disk and was removed`);
    removeBlob(digest).catch((error: unknown) => onWarning(`Cannot remove blob "${digest}": ${String(error)}`));
  };
  const blobs = createBlobs({ database, files, room, holds, uses, lock, quotas, holdNew, onDamaged });
  const lifetime = uploadLifetime;
  const uploads = await openUploads({ database, files, blobs, room, holds, quotas, lifetime });
  const tend = (): Promise<void> =>
    Promise.all([uses.flush(), uploads.sweep()]).then(
      () => undefined,
      (error: unknown) => onWarning(`Cannot look after the storage: ${String(error)}`),
    );
  await uploads.sweep();
  const timer = setInterval(() => void tend(), FLUSH_EVERY).unref();
  const stop = new AbortController();
  const swept = sweepOrphans({ database, files, lock, signal: stop.signal }).catch((error: unknown) =>
    onWarning(`Cannot look for files that nobody knows: ${String(error)}`),
  );
  return {
    database,
    keys,
    blobs,
    uploads,
    records: createRecords({ database, uses, keys, quotas, room }),
    mounts: createMounts({ database, uses, maxBytes: mountBudget }),
    totals: () => parseTotals(database.get(TOTALS)),
    evicted,
    swept,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      stop.abort();
      await swept;
      await tend();
      await database[Symbol.asyncDispose]();
    },
  };
}
