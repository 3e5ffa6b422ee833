import { hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { Digest } from "@varve/oci";
import { type Compression, compressSegment, decompressSegment } from "./compression.ts";
import { FileProblem, openRegularFile, readBytes, withProblem } from "./regular-file.ts";
import { digestLength, type PackedSlots, type UnpackedSlot, unpackSlots } from "./slots.ts";

/** A segment of an earlier blob, made at the same compression. */
export interface EarlierSegment {
  readonly tarDigest: Digest;
  /** Of its bytes in the blob, which it is verified by. */
  readonly digest: Digest;
  /** Of the blob on this machine. */
  readonly path: string;
  /** In the blob. */
  readonly offset: number;
  readonly length: number;
}

/** A segment to be read, digested and compressed. */
export interface SegmentWork {
  /** The tar's bytes, headers in place. */
  readonly memory: SharedArrayBuffer;
  /** Of the tar's bytes. */
  readonly length: number;
  readonly slots: PackedSlots;
  readonly compression: Compression;
  /** Segments with so many bytes of tar, one of which may be the same. */
  readonly earlier: readonly EarlierSegment[];
}

/** A slot that could not be filled. */
export interface SlotProblem extends Pick<FileProblem, "kind" | "message"> {
  readonly slot: number;
}

/** A segment as it goes into the blob. */
export interface CompressedSegment {
  /** Undefined where the tar stays as it is. To be released by whoever is done with it. */
  readonly bytes: Uint8Array | undefined;
  readonly digest: Digest;
  /** True for those of an earlier blob. */
  readonly isReused: boolean;
}

/** A segment that is done. */
export interface SegmentDone {
  /** For each slot the sha256 of its bytes. */
  readonly digests: Uint8Array;
  /** Of slots that are pieces of files of unknown digest: the state that the file was in; by slot. */
  readonly states: ReadonlyMap<number, string>;
  readonly tarDigest: Digest;
  readonly compressed: CompressedSegment;
}

/**
 * Does the work; needs nothing but its argument. Where the digests of all files are known and tell that an earlier segment
 * is the same, no file is read: its tar is what the earlier one holds.
 */
export function doSegment(work: SegmentWork): SegmentDone | SlotProblem {
  const bytes = new Uint8Array(work.memory, 0, work.length);
  const slots = unpackSlots(work.slots);
  const isKnown = work.earlier.length > 0 && slots.every((slot) => slot.isWhole && slot.isKnown);
  const restored = isKnown ? restore(work, digestTar(bytes, slots, work.slots.digests)) : undefined;
  if (restored !== undefined) return restored;
  const { digests } = work.slots;
  const states = new Map<number, string>();
  for (const [position, slot] of slots.entries()) {
    const filled = withProblem(() => fillSlot(slot, bytes));
    if ("kind" in filled) return { slot: position, ...filled };
    digests.set(filled.digest, digestLength * position);
    if (filled.state !== undefined) states.set(position, filled.state);
  }
  const tarDigest = digestTar(bytes, slots, digests);
  const compressed = isKnown ? undefined : takeEarlier(work, tarDigest);
  return { digests, states, tarDigest, compressed: compressed ?? compress(work, bytes) };
}

/** The earlier segment of this digest, and its tar in place; undefined where there is none that gives so many bytes. */
function restore(work: SegmentWork, tarDigest: Digest): SegmentDone | undefined {
  const { memory, length, compression, slots } = work;
  const compressed = takeEarlier(work, tarDigest);
  if (compressed?.bytes === undefined) return undefined;
  const bytes = decompressSegment(compressed.bytes, { type: compression.type, length });
  if (bytes?.length !== length) return undefined;
  new Uint8Array(memory).set(bytes);
  release(bytes);
  return { digests: slots.digests, states: new Map(), tarDigest, compressed };
}

/** What a segment's tar is known by: the sha256 of it with each run of file bytes left out, and then of these runs' sha256. */
function digestTar(bytes: Uint8Array, slots: readonly UnpackedSlot[], digests: Uint8Array): Digest {
  const left = slots.reduce((sum, { length }) => sum + length, 0);
  const parts = new Uint8Array(bytes.length - left + digests.length);
  let [from, end] = [0, 0];
  for (const { start, length } of slots) {
    parts.set(bytes.subarray(from, start), end);
    end += start - from;
    from = start + length;
  }
  parts.set(bytes.subarray(from), end);
  parts.set(digests, parts.length - digests.length);
  return digest(parts);
}

/** Undefined where there is none, or it is gone or damaged: then the segment is made again. */
function takeEarlier({ length, earlier }: SegmentWork, tarDigest: Digest): CompressedSegment | undefined {
  const found = earlier.find((each) => each.tarDigest === tarDigest);
  // Deflate adds 5 bytes to 16 KiB that it can't compress, zstd less.
  if (found === undefined || found.length > length + length / 64 + 1024) return undefined;
  const bytes = Buffer.allocUnsafeSlow(found.length);
  return readPart(found, bytes) && digest(bytes) === found.digest
    ? { bytes, digest: found.digest, isReused: true }
    : undefined;
}

function readPart({ path, offset }: EarlierSegment, bytes: Uint8Array): boolean {
  try {
    const file = openSync(path, "r");
    try {
      return readSync(file, bytes, 0, bytes.length, offset) === bytes.length;
    } finally {
      closeSync(file);
    }
  } catch {
    return false;
  }
}

function compress({ compression }: SegmentWork, bytes: Uint8Array): CompressedSegment {
  const compressed = compressSegment(bytes, compression);
  return { bytes: compressed === bytes ? undefined : compressed, digest: digest(compressed), isReused: false };
}

/** Gives the memory of large bytes back now: hundreds of MiB of it would come together until they are collected. */
export function release(bytes: Uint8Array): void {
  if (isMovable(bytes.buffer)) bytes.buffer.transfer(0);
}

/** True for memory that is used for one thing: Node keeps many small ones together. */
export function isMovable(memory: ArrayBufferLike): memory is ArrayBuffer {
  return memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize;
}

function digest(bytes: Uint8Array): Digest {
  return `sha256:${hash("sha256", bytes, "hex")}`;
}

interface FilledSlot {
  readonly digest: Uint8Array;
  readonly state: string | undefined;
}

function fillSlot(slot: UnpackedSlot, bytes: Uint8Array): FilledSlot {
  const target = bytes.subarray(slot.start, slot.start + slot.length);
  const state = slot.path === undefined ? undefined : readInto(target, slot.path, slot);
  return { digest: hash("sha256", target, "buffer"), state };
}

function readInto(target: Uint8Array, path: string, slot: UnpackedSlot): string | undefined {
  const { position, fileSize, isWhole } = slot;
  if (slot.isKnown) {
    readBytes(path, target, position);
    return undefined;
  }
  using file = openRegularFile(path);
  const isRight = fileSize === undefined ? file.size >= position + target.length : file.size === fileSize;
  if (!isRight) throw new FileProblem("changed", "it changed its size");
  file.fill(target, position);
  file.check();
  return isWhole ? undefined : file.state;
}
