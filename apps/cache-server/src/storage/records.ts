import {
  type CacheKey,
  type CacheRecord,
  type Lane,
  type RecordLayer,
  type SignedRecord,
  signRecord,
} from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database, Transaction } from "../database/database.ts";
import { blobKey, layerKey, recordKey } from "../database/keys.ts";
import { explainWriteError, ServerError } from "../errors.ts";
import { writeLaneOf, checkAction, type Principal } from "../trust/principal.ts";
import type { SigningKeys } from "../trust/signing-keys.ts";
import { grantBlob, readableSize, type ReadRow } from "./blob-rows.ts";
import { checkQuota, type Quotas } from "./quotas.ts";
import { putRecordRow, readRecordRow, type RecordRow } from "./record-rows.ts";
import type { Room } from "./room.ts";
import type { Uses } from "./uses.ts";

/** What putting a record came to; `existing` in JSON. */
export type PutResult =
  | { readonly outcome: "stored"; readonly signed: SignedRecord }
  | { readonly outcome: "same" }
  | { readonly outcome: "conflict"; readonly existing: string };

/** Records by lane and key. */
export interface Records {
  /** The first record of a key along the read chain; undefined where there is none whose blobs are stored. */
  find(key: CacheKey, lanes: readonly Lane[]): FoundRecord | undefined;
  /** Puts a record into the writer's lane, first write wins. @throws ServerError `BLOBS_MISSING`, `QUOTA_EXCEEDED`. */
  put(record: CacheRecord, writer: RecordWriter): Promise<PutResult>;
  /** The layer of a record with this content. */
  findLayer(contentDigest: Digest, lanes: readonly Lane[]): RecordLayer | undefined;
}

export interface FoundRecord extends RecordRow {
  readonly lane: Lane;
}

/** Who puts a record; `replace`: in the place of the one in his lane. */
export interface RecordWriter {
  readonly principal: Principal;
  readonly replace: boolean;
}

export interface RecordsOptions {
  readonly database: Database;
  readonly uses: Uses;
  readonly keys: SigningKeys;
  readonly quotas: Quotas;
  readonly room: Room;
}

/** Bytes that are set aside for a record before it is known how long its row is. */
const RECORD_SIZE = 16_384;

/** Records in these rows, signed with these keys. */
export function createRecords(options: RecordsOptions): Records {
  const { database, uses, room } = options;
  return {
    find(key, lanes) {
      const found = findRow(database.get, key, lanes);
      if (found === undefined) return undefined;
      uses.touch(recordKey(key, found.lane));
      for (const digest of found.blobs) uses.touch(blobKey(digest));
      return found;
    },
    async put(record, { principal, replace }) {
      const lane = writeLaneOf(principal);
      if (replace) checkAction(principal, "replace");
      const release = await room.reserve(RECORD_SIZE);
      try {
        return await database.change((rows) => put(rows, record, { ...options, principal, lane, replace }));
      } catch (error) {
        throw explainWriteError(error);
      } finally {
        release();
      }
    },
    findLayer(contentDigest, lanes) {
      for (const lane of lanes) {
        const key = database.get(layerKey(contentDigest, lane)) as CacheKey | undefined;
        const found = key === undefined ? undefined : findRow(database.get, key, [lane]);
        if (found?.contentDigest === contentDigest) return (JSON.parse(found.json) as SignedRecord).record.layer;
      }
      return undefined;
    },
  };
}

function findRow(get: ReadRow, key: CacheKey, lanes: readonly Lane[]): FoundRecord | undefined {
  for (const lane of lanes) {
    const row = readRecordRow(get(recordKey(key, lane)));
    if (row?.blobs.every((digest) => get(blobKey(digest)) !== undefined) === true) return { ...row, lane };
  }
  return undefined;
}

interface PutOptions extends RecordsOptions, RecordWriter {
  readonly lane: Lane;
}

function put(rows: Transaction, record: CacheRecord, options: PutOptions): PutResult {
  const { principal, lane, replace, keys, quotas } = options;
  const existing = replace ? undefined : findRow(rows.get, record.key, [lane]);
  const above = existing ?? (replace ? undefined : findRow(rows.get, record.key, principal.readChain));
  if (above !== undefined && isSameLayer(above, record)) return { outcome: "same" };
  if (existing !== undefined) return { outcome: "conflict", existing: existing.json };
  checkLayer(rows.get, record.layer, principal);
  const { descriptor, index } = record.layer ?? {};
  for (const digest of [descriptor?.digest, index?.digest]) if (digest !== undefined) grantBlob(rows, digest, lane);
  const now = Date.now();
  const signed = signRecord(
    { record, lane, principal: principal.name, signedAt: new Date(now).toISOString(), keyId: keys.keyId },
    keys.privateKey,
  );
  putRecordRow(rows, signed, { tokenId: principal.tokenId, writtenAt: now });
  checkQuota(rows.get, quotas, { lane, bytes: 0 });
  return { outcome: "stored", signed };
}

function isSameLayer({ contentDigest, diffId }: RecordRow, { layer }: CacheRecord): boolean {
  return contentDigest === layer?.contentDigest && diffId === layer?.diffId;
}

/**
 * Refuses a layer whose blobs the principal can't read, or that have other sizes.
 * @throws ServerError `BLOBS_MISSING` with their digests.
 */
export function checkLayer(get: ReadRow, layer: RecordLayer | undefined, { readChain }: Principal): void {
  if (layer === undefined) return;
  const missing = [layer.descriptor, layer.index]
    .filter(({ digest, size }) => readableSize(get, digest, readChain) !== size)
    .map(({ digest }) => digest);
  if (missing.length === 0) return;
  throw new ServerError("BLOBS_MISSING", `Cannot store it: ${missing.length} of the blobs it names are missing`, {
    details: { missing },
  });
}
