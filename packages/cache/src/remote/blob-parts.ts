import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import type { Digest } from "@varve/oci";
import type { UploadPart } from "./protocol.ts";

/** A segment of a layer's blob, as its layer index tells. Bytes. */
export interface BlobSegment {
  /** sha256 of its bytes in the tar. */
  readonly tarDigest: Digest;
  readonly offset: number;
  readonly length: number;
}

/** A run of a blob's bytes. `tarDigest` undefined: what stands around the segments. */
export interface BlobPiece {
  readonly offset: number;
  readonly length: number;
  readonly tarDigest: Digest | undefined;
}

/** A blob of `size` bytes as pieces without gaps: its segments, and what is before, between and after them. */
export function cutBlob(size: number, segments: readonly BlobSegment[]): readonly BlobPiece[] {
  const pieces: BlobPiece[] = [];
  let end = 0;
  const fill = (until: number): void => {
    if (until > end) pieces.push({ offset: end, length: until - end, tarDigest: undefined });
  };
  for (const { tarDigest, offset, length } of segments) {
    if (offset < end || offset + length > size) return cutBlob(size, []);
    fill(offset);
    if (length > 0) pieces.push({ offset, length, tarDigest });
    end = offset + length;
  }
  fill(size);
  return pieces;
}

/** The pieces of the blob at `path` with their digests. */
export async function digestPieces(path: string, pieces: readonly BlobPiece[]): Promise<readonly UploadPart[]> {
  await using file = await open(path);
  const parts: UploadPart[] = [];
  for (const { offset, length } of pieces) {
    const hash = createHash("sha256");
    for await (const chunk of readRange(file, offset, length)) hash.update(chunk);
    parts.push({ digest: `sha256:${hash.digest("hex")}`, size: length });
  }
  return parts;
}

/** The bytes of these pieces of the blob at `path`, one after the other. */
export async function* readPieces(path: string, pieces: readonly BlobPiece[]): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  for (const { offset, length } of pieces) yield* readRange(file, offset, length);
}

const CHUNK = 256 * 1024;

async function* readRange(
  file: Awaited<ReturnType<typeof open>>,
  offset: number,
  length: number,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length;) {
    const wanted = Math.min(CHUNK, length - at);
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(wanted), 0, wanted, offset + at);
    if (bytesRead === 0) throw new Error(`Cannot read ${length} bytes at ${offset}: the blob ends before`);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
