import type { Lane } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database, Transaction } from "../database/database.ts";
import type { BlobFiles } from "./blob-files.ts";
import { dropReference, readBlobRow, removeBlobRow } from "./blob-rows.ts";
import type { Holds } from "./holds.ts";
import type { KeyedLock } from "./keyed-lock.ts";
import { removeMountRow } from "./mount-rows.ts";
import { readRecordRow, removeRecordRow } from "./record-rows.ts";
import type { Uses } from "./uses.ts";

/** What eviction has removed since the start. */
export interface Evicted {
  readonly blobs: number;
  readonly records: number;
  readonly bytes: number;
}

/** Removes what was used least recently. */
export interface Eviction {
  /** Removes `bytes` of blobs and records that nobody holds, or as many as there are. One call runs at a time. */
  readonly evict: (bytes: number) => Promise<void>;
  /** Removes one blob, and all that names it, whether it is held or not; gives its size. */
  readonly removeBlob: (digest: Digest) => Promise<number>;
  readonly evicted: () => Evicted;
}

export interface EvictionOptions {
  readonly database: Database;
  readonly files: BlobFiles;
  readonly holds: Holds;
  readonly uses: Uses;
  readonly lock: KeyedLock;
}

/** How often the names of a blob may change while it is being removed, before it is left alone. */
const MAX_TRIES = 5;

/** An eviction that has removed nothing. */
export function createEviction(options: EvictionOptions): Eviction {
  let evicted: Evicted = { blobs: 0, records: 0, bytes: 0 };
  let running: Promise<void> = Promise.resolve();
  const run = async (bytes: number): Promise<void> => {
    await options.uses.flush();
    let left = bytes;
    for await (const [key] of options.database.list("use/")) {
      if (left <= 0) break;
      const size = await evictRow(key.split("/").slice(2).join("/"), options);
      if (size === 0) continue;
      left -= size;
      evicted = {
        blobs: evicted.blobs + (key.includes("/blob/") ? 1 : 0),
        records: evicted.records + (key.includes("/record/") ? 1 : 0),
        bytes: evicted.bytes + size,
      };
    }
  };
  return {
    evict(bytes) {
      running = running.catch(() => undefined).then(() => run(bytes));
      return running;
    },
    removeBlob: (digest) => removeBlob(digest, options),
    evicted: () => evicted,
  };
}

/** Gives the bytes that this freed; 0 where the row is held, or gone. */
async function evictRow(row: string, options: EvictionOptions): Promise<number> {
  const [kind, hex] = row.split("/");
  if (kind === "record") return evictRecord(row, options);
  const digest: Digest = `sha256:${hex}`;
  return options.holds.isHeld(digest) ? 0 : removeBlob(digest, options);
}

async function evictRecord(row: string, { database, holds }: EvictionOptions): Promise<number> {
  return database.change((rows) => {
    const record = readRecordRow(rows.get(row));
    if (record === undefined || record.blobs.some((digest) => holds.isHeld(digest))) return 0;
    return removeRecordRow(rows, row);
  });
}

/** Rows first, those that name the blob before its own, then the file. Gives the bytes that this freed. */
function removeBlob(digest: Digest, { database, files, lock }: EvictionOptions): Promise<number> {
  return lock(digest, async () => {
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const names = await listNames(database, digest);
      const size = await database.change((rows) => removeRows(rows, digest, names));
      if (size === undefined) continue;
      await files.remove(files.path(digest));
      return size;
    }
    return 0;
  });
}

/** What names a blob: keys of records and mounts, and the lanes that may read it. */
interface BlobNames {
  readonly references: readonly string[];
  readonly lanes: readonly Lane[];
}

async function listNames(database: Database, digest: Digest): Promise<BlobNames> {
  const hex = digest.slice("sha256:".length);
  const references: string[] = [];
  const lanes: Lane[] = [];
  for await (const [key] of database.list(`reference/${hex}/`)) references.push(key.slice(`reference/${hex}/`.length));
  for await (const [key] of database.list(`grant/${hex}/`)) lanes.push(key.slice(`grant/${hex}/`.length));
  return { references, lanes };
}

/** Gives the blob's size, 0 where there is none, and undefined where names were added since they were listed. */
function removeRows(rows: Transaction, digest: Digest, { references, lanes }: BlobNames): number | undefined {
  const blob = readBlobRow(rows.get, digest);
  if (blob === undefined) return 0;
  if (blob.references !== references.length || blob.grants !== lanes.length) return undefined;
  for (const reference of references) {
    if (reference.startsWith("record/")) removeRecordRow(rows, reference);
    else removeMountRow(rows, reference);
    dropReference(rows, digest, reference);
  }
  removeBlobRow(rows, digest, lanes);
  return blob.size;
}
