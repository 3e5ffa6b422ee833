import type { BlobPiece } from "./blob-parts.ts";

/** Lengths of pieces: none is shorter or longer, but the last may be shorter. Bytes. */
const SHORTEST = 8 * 1024;
const LONGEST = 128 * 1024;
/** A cut comes after 1 of 16,384 bytes, on average. */
const MASK = 0x3fff << 18;

/** Random numbers for the 256 bytes: xorshift32, fixed so that all clients cut alike. */
const GEAR: Uint32Array = makeGear();

/**
 * A blob cut where its bytes say so, about every 24 KiB: what changed in the middle of it leaves the pieces before and
 * most of those behind as they were. For blobs without segments.
 */
export function cutContent(bytes: Uint8Array): readonly BlobPiece[] {
  const pieces: BlobPiece[] = [];
  let [start, state] = [0, 0];
  for (let at = 0; at < bytes.length; at += 1) {
    state = ((state << 1) + (GEAR[bytes[at] ?? 0] ?? 0)) >>> 0;
    const length = at + 1 - start;
    if (length < SHORTEST || ((state & MASK) !== 0 && length < LONGEST)) continue;
    pieces.push({ offset: start, length, tarDigest: undefined });
    [start, state] = [at + 1, 0];
  }
  if (start < bytes.length) pieces.push({ offset: start, length: bytes.length - start, tarDigest: undefined });
  return pieces;
}

function makeGear(): Uint32Array {
  const gear = new Uint32Array(256);
  let state = 2_463_534_242;
  for (let position = 0; position < gear.length; position += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    gear[position] = state >>> 0;
  }
  return gear;
}
