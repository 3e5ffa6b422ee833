import { type Digest, hexOf } from "@varve/oci";
import type { CacheKey, Lane } from "@varve/cache";

/**
 * Keys of the database. A digest's hex digits have one length, so what stands behind them needs no mark; lanes come
 * last, since they hold slashes.
 */

/** What the server holds in all: `Totals`. */
export const TOTALS = "totals";

/** A blob that is stored: `BlobRow`. */
export const blobKey = (digest: Digest): string => `blob/${hexOf(digest)}`;

/** That a blob is readable in a lane; empty. */
export const grantKey = (digest: Digest, lane: Lane): string => `grant/${hexOf(digest)}/${lane}`;

/** A record in a lane: see `encodeRecordRow`. */
export const recordKey = (key: CacheKey, lane: Lane): string => `record/${hexOf(key)}/${lane}`;

/** Which record has a layer of this content, in a lane: its key. */
export const layerKey = (contentDigest: Digest, lane: Lane): string => `layer/${hexOf(contentDigest)}/${lane}`;

/** The contents of a cache mount, in a lane: `MountRow`. */
export const mountKey = (id: string, lane: Lane): string => `mount/${id}/${lane}`;

/** That a row names a blob; empty. `row` is the key of a record or mount. */
export const referenceKey = (digest: Digest, row: string): string => `reference/${hexOf(digest)}/${row}`;

/** Blobs and records by when they were last used, in ms, the oldest first; empty. `row` is the key of either. */
export const useKey = (used: number, row: string): string => `use/${String(used).padStart(15, "0")}/${row}`;

/** When a blob or record was last used, in ms. */
export const usedKey = (row: string): string => `used/${row}`;

/** Where a part stands in a blob: its offset. */
export const partKey = (part: Digest, blob: Digest): string => `part/${hexOf(part)}/${hexOf(blob)}`;

/** The parts of a blob, as they were uploaded: `UploadPart[]`. */
export const partsKey = (blob: Digest): string => `parts/${hexOf(blob)}`;

/** What a lane holds: `LaneRow`. */
export const laneKey = (lane: Lane): string => `lane/${lane}`;

/** An upload that is under way: `UploadRow`. */
export const uploadKey = (id: string): string => `upload/${id}`;

/** Which parts of an upload are there: a bit each, in base64. */
export const receivedKey = (id: string): string => `received/${id}`;

/** What happened within an hour: `HourRow`. `hour` is RFC 3339. */
export const hourKey = (hour: string): string => `hour/${hour}`;

/** A build that was reported: `BuildRow`. */
export const buildKey = (id: string): string => `build/${id}`;

/** Which build was reported when: its id. */
export const buildTimeKey = (receivedAt: string, id: string): string => `build-time/${receivedAt}/${id}`;

/** That an OIDC token was exchanged: the time in seconds at which it can be forgotten first; empty. */
export const exchangedKey = (forgetAt: number, tokenId: string): string =>
  `exchanged/${String(Math.ceil(forgetAt)).padStart(15, "0")}/${tokenId}`;
