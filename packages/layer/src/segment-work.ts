import { hash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { Digest } from "@varve/oci";
import { type Compression, compressSegment, decompressSegment } from "./compression.ts";
import { type FileProblem, readBytes, readUnchanged, stateOf, withProblem } from "./regular-file.ts";
import { digestLength, type PackedSlots, SlotReader } from "./slots.ts";

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
  const slots = new SlotReader(work.slots);
  const isKnown = work.earlier.length > 0 && areKnown(slots);
  const { digests } = work.slots;
  const restored = isKnown ? restore(work, digestTar(bytes, slots, digests)) : undefined;
  if (restored !== undefined) return restored;
  const states = new Map<number, string>();
  const problem = fillSlots(work, slots, states);
  if (problem !== undefined) return problem;
  const tarDigest = digestTar(bytes, slots, digests);
  const compressed = isKnown ? undefined : takeEarlier(work, tarDigest);
  return { digests, states, tarDigest, compressed: compressed ?? compress(work, bytes) };
}

/** Whether the digest of each file is known, and no slot is a piece of one. */
function areKnown(slots: SlotReader): boolean {
  for (let slot = 0; slot < slots.count; slot++) if (!slots.isWhole(slot) || !slots.isKnown(slot)) return false;
  return true;
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
function digestTar(bytes: Uint8Array, slots: SlotReader, digests: Uint8Array): Digest {
  let left = bytes.length + digests.length;
  for (let slot = 0; slot < slots.count; slot++) left -= slots.length(slot);
  if (scratch.length < left) scratch = new Uint8Array(2 * left);
  let [from, end] = [0, 0];
  for (let slot = 0; slot < slots.count; slot++) {
    const start = slots.start(slot);
    scratch.set(bytes.subarray(from, start), end);
    end += start - from;
    from = start + slots.length(slot);
  }
  scratch.set(bytes.subarray(from), end);
  scratch.set(digests, left - digests.length);
  return digest(scratch.subarray(0, left));
}

/** Kept from one segment to the next: fresh pages cost more than the bytes that are written to them. */
let scratch = new Uint8Array();

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

/** Fills the slots with the bytes of their files, and their digests and states. Gives what went wrong with one, if anything. */
function fillSlots(work: SegmentWork, slots: SlotReader, states: Map<number, string>): SlotProblem | undefined {
  const {
    memory,
    slots: { paths, digests },
  } = work;
  const bytes = Buffer.from(memory, 0, work.length);
  const sums = Buffer.from(digests.buffer, digests.byteOffset, digests.length);
  const files = paths.split("\0");
  let slot = 0;
  const problem = withProblem(() => {
    for (; slot < slots.count; slot++) {
      const start = slots.start(slot);
      const target = bytes.subarray(start, start + slots.length(slot));
      const state = readSlot(slots, slot, { path: files[slot] ?? "", target });
      if (state !== undefined) states.set(slot, state);
      // As text: bytes would come in memory of their own, for each file.
      sums.write(hash("sha256", target, "binary"), digestLength * slot, "latin1");
    }
    return undefined;
  });
  return problem === undefined ? undefined : { slot, ...problem };
}

interface Filling {
  /** Empty where the bytes are in place. */
  readonly path: string;
  readonly target: Uint8Array;
}

/** Reads what goes into a slot. Gives the file's state where that is a piece of a file of unknown digest. */
function readSlot(slots: SlotReader, slot: number, { path, target }: Filling): string | undefined {
  if (path === "") return undefined;
  const position = slots.position(slot);
  if (slots.isKnown(slot)) {
    readBytes(path, target, position);
    return undefined;
  }
  const state = readUnchanged(path, target, { position, fileSize: slots.fileSize(slot) });
  return slots.isWhole(slot) ? undefined : stateOf(state);
}
