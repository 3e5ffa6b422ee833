import type { CacheKey, Lane, SignedRecord } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Transaction } from "../database/database.ts";
import { layerKey, recordKey } from "../database/keys.ts";
import { changeLane, changeTotals } from "../database/totals.ts";
import { addReference, dropReference } from "./blob-rows.ts";
import { addUse, dropUse } from "./uses.ts";

/** What a record's row tells without reading the record. */
export interface RecordRow {
  readonly contentDigest: Digest | undefined;
  readonly diffId: Digest | undefined;
  /** Those that the record names. */
  readonly blobs: readonly Digest[];
  readonly principal: string;
  /** Of the token that wrote it. */
  readonly tokenId: string | undefined;
  readonly producer: string;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
  /** The signed record, in JSON. */
  readonly json: string;
}

/** What a record's row holds; undefined where there is none. The row is one line of JSON about it, then the signed record. */
export function readRecordRow(text: string | undefined): RecordRow | undefined {
  if (text === undefined) return undefined;
  const end = text.indexOf("\n");
  const head = JSON.parse(text.slice(0, end)) as Omit<RecordRow, "json">;
  return { ...head, json: text.slice(end + 1) };
}

/** Puts a record into its lane, in the place of the one that is there. Its blobs are stored. */
export function putRecordRow(
  rows: Transaction,
  signed: SignedRecord,
  { tokenId, writtenAt }: { readonly tokenId: string | undefined; readonly writtenAt: number },
): void {
  const { record, lane, principal } = signed;
  const row = recordKey(record.key, lane);
  removeRecordRow(rows, row);
  const blobs = record.layer === undefined ? [] : [record.layer.descriptor.digest, record.layer.index.digest];
  const { contentDigest, diffId } = record.layer ?? {};
  const head = { contentDigest, diffId, blobs, principal, tokenId, producer: record.producer, writtenAt };
  const text = `${JSON.stringify(head)}\n${JSON.stringify(signed)}`;
  rows.put(row, text);
  addUse(rows, row, writtenAt);
  for (const digest of new Set(blobs)) addReference(rows, digest, row);
  changeTotals(rows, { bytes: text.length, records: 1 });
  changeLane(rows, lane, { bytes: text.length, records: 1 });
  if (contentDigest !== undefined && rows.get(layerKey(contentDigest, lane)) === undefined)
    rows.put(layerKey(contentDigest, lane), record.key);
}

/** Removes a record by its row's key; gives the bytes that this freed, 0 where there is none. */
export function removeRecordRow(rows: Transaction, row: string): number {
  const text = rows.get(row);
  const found = readRecordRow(text);
  if (found === undefined || text === undefined) return 0;
  const { key, lane } = splitRecordKey(row);
  for (const digest of new Set(found.blobs)) dropReference(rows, digest, row);
  dropUse(rows, row);
  rows.delete(row);
  changeTotals(rows, { bytes: -text.length, records: -1 });
  changeLane(rows, lane, { bytes: -text.length, records: -1 });
  if (found.contentDigest !== undefined && rows.get(layerKey(found.contentDigest, lane)) === key)
    rows.delete(layerKey(found.contentDigest, lane));
  return text.length;
}

/** The cache key and the lane of a record's row. */
export function splitRecordKey(row: string): { readonly key: CacheKey; readonly lane: Lane } {
  const [, hex, ...lane] = row.split("/");
  return { key: `sha256:${hex}`, lane: lane.join("/") };
}
