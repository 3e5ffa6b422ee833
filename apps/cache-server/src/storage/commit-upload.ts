import { type FileHandle, open } from "node:fs/promises";
import type { Lane } from "@varve/cache";
import type { Digest } from "@varve/oci";
import type { Database } from "../database/database.ts";
import { receivedKey, uploadKey } from "../database/keys.ts";
import { explainWriteError, ServerError } from "../errors.ts";
import { assembleUpload, digestRange, type PlacedPart } from "./assemble-upload.ts";
import type { BlobFiles } from "./blob-files.ts";
import type { Blobs, OpenBlob } from "./blobs.ts";
import { findPart } from "./find-part.ts";
import { digestMismatch } from "./receive-file.ts";
import { encodePositions, hasBit, readReceived, type UploadRow } from "./upload-rows.ts";

export interface CommitOptions {
  readonly database: Database;
  readonly files: BlobFiles;
  readonly blobs: Blobs;
  /** Where the writer reads: parts come from there. */
  readonly lanes: readonly Lane[];
}

/**
 * Completes an upload's file with the parts that stand in other blobs, checks its digest, and makes it a blob. Nobody
 * writes into the file meanwhile.
 * @throws ServerError `UPLOAD_INCOMPLETE` with the positions of parts that are not there; these are missing from now on.
 * `DIGEST_MISMATCH` where all parts are right and the blob is not: then the upload made no sense.
 */
export async function commitUpload(id: string, row: UploadRow, options: CommitOptions): Promise<void> {
  const path = options.files.uploadPath(id);
  await using sources = new AsyncDisposableStack();
  const { parts, missing } = await placeParts(id, row, { ...options, sources });
  if (missing.length > 0) throw await incomplete(id, { row, missing }, options);
  const file = await open(path, "r+");
  try {
    const digest = await assembleUpload(file, parts);
    if (digest !== row.digest) {
      const damaged = await findDamaged(file, row);
      if (damaged.length > 0) throw await incomplete(id, { row, missing: damaged }, options);
      throw digestMismatch(row.digest, digest);
    }
    await file.datasync();
  } catch (error) {
    throw explainWriteError(error);
  } finally {
    await file.close();
  }
  await options.blobs.adopt(path, row);
}

interface Placed {
  readonly parts: readonly PlacedPart[];
  /** Positions of parts that are neither in the file nor elsewhere. */
  readonly missing: readonly number[];
}

async function placeParts(
  id: string,
  row: UploadRow,
  { database, blobs, lanes, sources }: CommitOptions & { readonly sources: AsyncDisposableStack },
): Promise<Placed> {
  const received = readReceived(database.get, id);
  const open = new Map<Digest, OpenBlob | undefined>();
  const parts: PlacedPart[] = [];
  const missing: number[] = [];
  let offset = 0;
  for (const [position, part] of row.parts.entries()) {
    let source: PlacedPart["source"];
    if (!hasBit(received, position)) {
      const found = await findPart(database, part, lanes);
      if (found !== undefined && !open.has(found.blob)) {
        const blob = await blobs.open(found.blob, lanes);
        open.set(found.blob, blob === undefined ? undefined : sources.use(blob));
      }
      const blob = found === undefined ? undefined : open.get(found.blob);
      if (found === undefined || blob === undefined) missing.push(position);
      else source = { file: blob.file, offset: found.offset };
    }
    parts.push({ offset, size: part.size, source });
    offset += part.size;
  }
  return { parts, missing };
}

/** Positions of parts whose bytes in the file have another digest. */
async function findDamaged(file: FileHandle, { parts }: UploadRow): Promise<readonly number[]> {
  const damaged: number[] = [];
  let offset = 0;
  for (const [position, { digest, size }] of parts.entries()) {
    if ((await digestRange(file, { offset, size })) !== digest) damaged.push(position);
    offset += size;
  }
  return damaged;
}

/** From now on these parts, and no others, are to be sent. */
async function incomplete(
  id: string,
  { row, missing }: { readonly row: UploadRow; readonly missing: readonly number[] },
  { database }: CommitOptions,
): Promise<ServerError> {
  const gone = new Set(missing);
  await database.change((rows) => {
    const received = readReceived(rows.get, id);
    const positions = [...row.parts.keys()].filter((position) => !gone.has(position));
    const isThere = (position: number): boolean => hasBit(received, position);
    rows.put(receivedKey(id), encodePositions(positions.filter(isThere), row.parts.length));
    const found = encodePositions(
      positions.filter((position) => !isThere(position)),
      row.parts.length,
    );
    rows.put(uploadKey(id), JSON.stringify({ ...row, found }));
  });
  return new ServerError(
    "UPLOAD_INCOMPLETE",
    `Cannot commit upload "${id}": ${missing.length} of its parts are missing`,
    {
      details: { missing },
    },
  );
}
