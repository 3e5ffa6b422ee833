import type { RecordLayer } from "@varve/cache";
import type { Transaction } from "../database/database.ts";
import { addReference, dropReference } from "./blob-rows.ts";

/** The contents of a cache mount in a lane, and who left them. */
export interface MountRow {
  readonly layer: RecordLayer;
  /** RFC 3339, as the client told. */
  readonly updatedAt: string;
  readonly principal: string;
  readonly tokenId: string | undefined;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
}

/** A mount's row; undefined where there is none. */
export function readMountRow(text: string | undefined): MountRow | undefined {
  return text === undefined ? undefined : (JSON.parse(text) as MountRow);
}

/** Puts the contents of a mount in the place of those that are there. Their blobs are stored. */
export function putMountRow(rows: Transaction, row: string, mount: MountRow): void {
  removeMountRow(rows, row);
  rows.put(row, JSON.stringify(mount));
  for (const digest of new Set([mount.layer.descriptor.digest, mount.layer.index.digest]))
    addReference(rows, digest, row);
}

/** Removes a mount's contents by the row's key; harmless where there are none. */
export function removeMountRow(rows: Transaction, row: string): void {
  const found = readMountRow(rows.get(row));
  if (found === undefined) return;
  for (const digest of new Set([found.layer.descriptor.digest, found.layer.index.digest]))
    dropReference(rows, digest, row);
  rows.delete(row);
}
