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
  const buffer = chunkBuffer();
  for (const piece of pieces) {
    const { length } = piece;
    const hash = createHash("sha256");
    for await (const chunk of readRange(file, piece, buffer)) hash.update(chunk);
    parts.push({ digest: `sha256:${hash.digest("hex")}`, size: length });
  }
  return parts;
}

/**
 * The bytes of these pieces of the blob at `path`, one after the other. With a `buffer` they come in it: a
 * chunk is valid until the next is asked for.
 */
export async function* readPieces(
  path: string,
  pieces: readonly BlobPiece[],
  buffer?: Buffer,
): AsyncGenerator<Uint8Array> {
  await using file = await open(path);
  for (const piece of pieces) yield* readRange(file, piece, buffer);
}

const CHUNK = 256 * 1024;

/** A buffer for `readPieces`. */
export function chunkBuffer(): Buffer {
  return Buffer.allocUnsafe(CHUNK);
}

async function* readRange(
  file: Awaited<ReturnType<typeof open>>,
  { offset, length }: Pick<BlobPiece, "offset" | "length">,
  reused: Buffer | undefined,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < length;) {
    const wanted = Math.min(CHUNK, length - at);
    const { bytesRead, buffer } = await file.read(reused ?? Buffer.allocUnsafe(wanted), 0, wanted, offset + at);
    if (bytesRead === 0) throw new Error(`Cannot read ${length} bytes at ${offset}: the blob ends before`);
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
