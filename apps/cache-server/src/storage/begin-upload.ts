import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import type { Lane, UploadPart, UploadRequest } from "@varve/cache";
import { uploadKey } from "../database/keys.ts";
import { explainWriteError, ServerError } from "../errors.ts";
import { type Principal, writeLaneOf } from "../trust/principal.ts";
import { findPart } from "./find-part.ts";
import { checkQuota } from "./quotas.ts";
import { encodePositions, readUploadRow, type UploadRow } from "./upload-rows.ts";
import type { ActiveUpload, UploadsOptions } from "./uploads.ts";

/** How long the blobs that parts are taken from are held. Milliseconds. */
const HOLD_SOURCES = 3_600_000;
/** Uploads that one principal may have under way. */
const MAX_UPLOADS = 64;

/** An upload that has just begun. */
export interface BegunUpload {
  readonly id: string;
  readonly row: UploadRow;
}

/**
 * Begins an upload, for which room is set aside; undefined where the blob is readable already.
 * @throws ServerError `RATE_LIMITED`, `QUOTA_EXCEEDED`, `STORAGE_FULL`, `TOO_LARGE`.
 */
export async function beginUpload(
  { digest, size, parts }: UploadRequest,
  principal: Principal,
  options: UploadsOptions & { readonly active: Map<string, ActiveUpload> },
): Promise<BegunUpload | undefined> {
  const { database, files, blobs, room, quotas, lifetime, active } = options;
  const lane = writeLaneOf(principal);
  if (blobs.size(digest, principal.readChain) !== undefined) return undefined;
  const own = [...active.keys()].filter((id) => readUploadRow(database.get, id)?.principal === principal.name);
  if (own.length >= MAX_UPLOADS)
    throw new ServerError("RATE_LIMITED", `Cannot begin an upload: ${own.length} are under way; commit or delete some`);
  checkQuota(database.get, quotas, { lane, bytes: size });
  const release = await room.reserve(size);
  const id = randomBytes(18).toString("base64url");
  try {
    const found = await findParts(parts, principal.readChain, options);
    const file = await open(files.uploadPath(id), "wx", 0o644);
    try {
      await file.truncate(size);
    } finally {
      await file.close();
    }
    const row: UploadRow = {
      digest,
      size,
      parts,
      found: encodePositions(found, parts.length),
      lane,
      principal: principal.name,
      expiresAt: Date.now() + lifetime,
    };
    active.set(id, { release, writers: 0, isCommitting: false });
    await database.change((rows) => rows.put(uploadKey(id), JSON.stringify(row)));
    return { id, row };
  } catch (error) {
    active.delete(id);
    release();
    await files.remove(files.uploadPath(id));
    throw explainWriteError(error);
  }
}

/** Positions of the parts that stand in readable blobs; these are held. */
async function findParts(
  parts: readonly UploadPart[],
  lanes: readonly Lane[],
  { database, holds }: UploadsOptions,
): Promise<readonly number[]> {
  const found: number[] = [];
  for (const [position, part] of parts.entries()) {
    const place = await findPart(database, part, lanes);
    if (place === undefined) continue;
    holds.holdFor(place.blob, HOLD_SOURCES);
    found.push(position);
  }
  return found;
}
