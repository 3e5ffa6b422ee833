import type { CacheKey, Lane } from "@varve/cache";
import { hexOf } from "@varve/oci";
import type { Database, Transaction } from "../database/database.ts";
import { readMountRow, removeMountRow } from "./mount-rows.ts";
import { readRecordRow, removeRecordRow, splitRecordKey } from "./record-rows.ts";

/** Which records to remove: those that fit all that is given. */
export interface Invalidation {
  readonly key?: CacheKey;
  /** Hexadecimal digits. */
  readonly keyPrefix?: string;
  readonly lane?: Lane;
  readonly producer?: string;
  readonly principal?: string;
  /** The id of the token that wrote them. */
  readonly token?: string;
  /** RFC 3339; bounds on when they were written. */
  readonly after?: string;
  readonly before?: string;
}

/** What was removed. */
export interface Invalidated {
  readonly removed: number;
  readonly mounts: number;
}

/** Removes the records, and where no key or producer is given the cache mounts, that fit. */
export async function invalidate(database: Database, wanted: Invalidation): Promise<Invalidated> {
  const prefix = wanted.key === undefined ? (wanted.keyPrefix ?? "") : hexOf(wanted.key);
  const removed = await removeRows(database, `record/${prefix}`, (rows, row) => removeRecord(rows, row, wanted));
  const isForMounts = wanted.key === undefined && wanted.keyPrefix === undefined && wanted.producer === undefined;
  const mounts = isForMounts ? await removeRows(database, "mount/", (rows, row) => removeMount(rows, row, wanted)) : 0;
  return { removed, mounts };
}

/** Rows that are changed in one transaction, so that others get their turn in between. */
const BATCH = 100;

async function removeRows(
  database: Database,
  prefix: string,
  remove: (rows: Transaction, row: string) => boolean,
): Promise<number> {
  let removed = 0;
  const removeBatch = async (batch: readonly string[]): Promise<void> => {
    removed += await database.change((rows) => batch.filter((row) => remove(rows, row)).length);
  };
  const batch: string[] = [];
  for await (const [row] of database.list(prefix)) {
    batch.push(row);
    if (batch.length === BATCH) await removeBatch(batch.splice(0));
  }
  await removeBatch(batch);
  return removed;
}

function removeRecord(rows: Transaction, row: string, wanted: Invalidation): boolean {
  const found = readRecordRow(rows.get(row));
  if (found === undefined) return false;
  const { lane } = splitRecordKey(row);
  if (wanted.producer !== undefined && found.producer !== wanted.producer) return false;
  if (!fits({ ...found, lane }, wanted)) return false;
  removeRecordRow(rows, row);
  return true;
}

function removeMount(rows: Transaction, row: string, wanted: Invalidation): boolean {
  const found = readMountRow(rows.get(row));
  if (found === undefined || !fits({ ...found, lane: row.split("/").slice(2).join("/") }, wanted)) return false;
  removeMountRow(rows, row);
  return true;
}

interface Written {
  readonly lane: Lane;
  readonly principal: string;
  readonly tokenId?: string | undefined;
  readonly writtenAt: number;
}

function fits({ lane, principal, tokenId, writtenAt }: Written, wanted: Invalidation): boolean {
  if (wanted.lane !== undefined && lane !== wanted.lane) return false;
  if (wanted.principal !== undefined && principal !== wanted.principal) return false;
  if (wanted.token !== undefined && tokenId !== wanted.token) return false;
  if (wanted.after !== undefined && writtenAt < Date.parse(wanted.after)) return false;
  return wanted.before === undefined || writtenAt < Date.parse(wanted.before);
}
