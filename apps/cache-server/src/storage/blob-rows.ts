import type { Lane, UploadPart } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Transaction } from "../database/database.ts";
import { blobKey, grantKey, partKey, partsKey, referenceKey } from "../database/keys.ts";
import { changeLane, changeTotals } from "../database/totals.ts";
import { addUse, dropUse } from "./uses.ts";

/** What the database knows of a blob whose file is in its place. */
export interface BlobRow {
  /** In bytes. */
  readonly size: number;
  /** How many records and mounts name it. */
  readonly references: number;
  /** In how many lanes it is readable. */
  readonly grants: number;
}

/** Reads a row by its key. */
export type ReadRow = (key: string) => string | undefined;

/** A blob's row; undefined where it is not stored. */
export function readBlobRow(get: ReadRow, digest: Digest): BlobRow | undefined {
  const text = get(blobKey(digest));
  return text === undefined ? undefined : (JSON.parse(text) as BlobRow);
}

/** True where one of `lanes` has a grant for the blob. */
export function hasGrant(get: ReadRow, digest: Digest, lanes: readonly Lane[]): boolean {
  return lanes.some((lane) => get(grantKey(digest, lane)) !== undefined);
}

/** The size of a blob that is readable in one of `lanes`; undefined where there is none. */
export function readableSize(get: ReadRow, digest: Digest, lanes: readonly Lane[]): number | undefined {
  return hasGrant(get, digest, lanes) ? readBlobRow(get, digest)?.size : undefined;
}

function putBlobRow(rows: Transaction, digest: Digest, row: BlobRow): void {
  rows.put(blobKey(digest), JSON.stringify(row));
}

/** Makes a blob known whose file is in its place; harmless for one that is known. `parts`: as it was uploaded. */
export function addBlob(
  rows: Transaction,
  digest: Digest,
  { size, parts }: { readonly size: number; readonly parts: readonly UploadPart[] },
): void {
  if (readBlobRow(rows.get, digest) !== undefined) return;
  putBlobRow(rows, digest, { size, references: 0, grants: 0 });
  addUse(rows, blobKey(digest), Date.now());
  changeTotals(rows, { bytes: size, blobs: 1 });
  if (parts.length === 0) return;
  rows.put(partsKey(digest), JSON.stringify(parts.map((part) => [part.digest, part.size])));
  let offset = 0;
  for (const part of parts) {
    rows.put(partKey(part.digest, digest), String(offset));
    offset += part.size;
  }
}

/** Lets `lane` read a blob that is stored; harmless where it may. */
export function grantBlob(rows: Transaction, digest: Digest, lane: Lane): void {
  const row = readBlobRow(rows.get, digest);
  if (row === undefined) throw new Error(`Cannot grant blob "${digest}": it is not stored`);
  if (hasGrant(rows.get, digest, [lane])) return;
  rows.put(grantKey(digest, lane), "");
  putBlobRow(rows, digest, { ...row, grants: row.grants + 1 });
  changeLane(rows, lane, { bytes: row.size, blobs: 1 });
}

/** Takes a grant back. */
export function revokeGrant(rows: Transaction, digest: Digest, lane: Lane): void {
  const row = readBlobRow(rows.get, digest);
  if (row === undefined || !hasGrant(rows.get, digest, [lane])) return;
  rows.delete(grantKey(digest, lane));
  putBlobRow(rows, digest, { ...row, grants: row.grants - 1 });
  changeLane(rows, lane, { bytes: -row.size, blobs: -1 });
}

/** Writes down that the row with key `by` names the blob. */
export function addReference(rows: Transaction, digest: Digest, by: string): void {
  const row = readBlobRow(rows.get, digest);
  if (row === undefined) throw new Error(`Cannot refer to blob "${digest}": it is not stored`);
  if (rows.get(referenceKey(digest, by)) !== undefined) return;
  rows.put(referenceKey(digest, by), "");
  putBlobRow(rows, digest, { ...row, references: row.references + 1 });
}

/** The row with key `by` names the blob no more. */
export function dropReference(rows: Transaction, digest: Digest, by: string): void {
  const row = readBlobRow(rows.get, digest);
  if (row === undefined || rows.get(referenceKey(digest, by)) === undefined) return;
  rows.delete(referenceKey(digest, by));
  putBlobRow(rows, digest, { ...row, references: row.references - 1 });
}

/** Forgets a blob that no row names; its grants are given, since a transaction can't list rows. */
export function removeBlobRow(rows: Transaction, digest: Digest, lanes: readonly Lane[]): void {
  for (const lane of lanes) revokeGrant(rows, digest, lane);
  const row = readBlobRow(rows.get, digest);
  if (row === undefined) return;
  const parts = JSON.parse(rows.get(partsKey(digest)) ?? "[]") as readonly (readonly [Digest, number])[];
  for (const [part] of parts) rows.delete(partKey(part, digest));
  rows.delete(partsKey(digest));
  dropUse(rows, blobKey(digest));
  rows.delete(blobKey(digest));
  changeTotals(rows, { bytes: -row.size, blobs: -1 });
}
