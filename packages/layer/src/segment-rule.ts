import type { Entry } from "./entry.ts";
import { blockLength, bodyLength, paddedLength } from "./write-header.ts";

/** Files above this length in bytes are cut inside, into pieces of `pieceLength`; no segment grows beyond it by adding an entry. */
export const cutAbove: number = 4 * 1024 * 1024;
export const pieceLength: number = 1024 * 1024;

/** The mean length of a segment comes to about 1 MiB: the weight of an entry is its length rounded down to a power of two. */
const meanWeight = 768 * 1024;

/**
 * True where a segment starts at `entry`, after one that holds `length` bytes already.
 * Decided by the entry's own path, and by its size only as far as its power of two, so that the cuts elsewhere stay
 * where they are when one file changes, comes or goes; only a run that outgrows `cutAbove` is cut by its length.
 */
export function startsSegment(entry: Entry, length: number): boolean {
  if (length === 0) return false;
  const weight = blockLength + paddedLength(bodyLength(entry));
  if (length + weight > cutAbove) return true;
  return mixPath(entry.path) * meanWeight < 2 ** (31 - Math.clz32(weight)) * 2 ** 32;
}

/** FNV-1a over the UTF-16 code units of a path, its bits mixed as MurmurHash3 ends: 0 to 2^32 - 1. Part of the format. */
function mixPath(path: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < path.length; at++) state = Math.imul(state ^ path.charCodeAt(at), 0x01000193);
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
  return (state ^ (state >>> 16)) >>> 0;
}
