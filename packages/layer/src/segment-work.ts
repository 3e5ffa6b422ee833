import { createHash, hash } from "node:crypto";
import type { Digest } from "@varve/oci";
import { type Compression, compressSegment } from "./compression.ts";
import { FileProblem, openRegularFile, readBytes } from "./regular-file.ts";
import type { Memory } from "./segment-buffer.ts";

/** Where the bytes of one file, or a piece of it, go in a segment. */
export interface Slot {
  /** Of the segment's entry, among all of the layer. */
  readonly entry: number;
  /** In the segment. */
  readonly start: number;
  readonly length: number;
  /** A file of this machine; undefined where the bytes are in place already. */
  readonly path: string | undefined;
  /** Where the bytes start in the file. */
  readonly position: number;
  /** What the file's length must be; undefined where it may go on. */
  readonly fileSize: number | undefined;
  /** Whether these are all bytes of the entry, and so to be digested. */
  readonly isWhole: boolean;
  /** Whether the digest of the entry is known, and tells if these are the right bytes. */
  readonly isKnown: boolean;
}

/** A segment to be read, digested and compressed. */
export interface SegmentWork {
  readonly type: "segment";
  /** The tar's bytes, headers in place, and room for them compressed. */
  readonly memory: Memory;
  /** Of the tar's bytes. */
  readonly length: number;
  readonly slots: readonly Slot[];
  readonly compression: Compression;
  /** Segments of this length that are at hand compressed. */
  readonly atHand: readonly Digest[];
}

/** What became of a slot: the digest of a whole file; the state that the file of a piece was in, or of a digested path. */
export interface FilledSlot {
  readonly digest?: Digest;
  readonly state?: string;
  readonly problem?: Pick<FileProblem, "kind" | "message">;
}

/** Bytes at the start of the segment's memory. */
export interface CompressedSegment {
  /** `tar` where it stays as it is. */
  readonly place: "tar" | "output";
  readonly length: number;
  readonly digest: Digest;
}

/** A segment that is done. With a problem in a slot the rest is worthless. */
export interface SegmentDone {
  readonly slots: readonly FilledSlot[];
  readonly tarDigest: Digest;
  /** Undefined where one of those at hand is the same. */
  readonly compressed: CompressedSegment | undefined;
}

/** Files to be digested, in order. */
export interface DigestWork {
  readonly type: "digest";
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

/** Their digests, in the same order. */
export interface DigestDone {
  readonly slots: readonly FilledSlot[];
}

const chunkLength = 1024 * 1024;

/** Does the work; needs nothing but its argument. */
export function doSegment(work: SegmentWork): SegmentDone {
  const bytes = new Uint8Array(work.memory.tar, 0, work.length);
  const slots: FilledSlot[] = [];
  for (const slot of work.slots) {
    const filled = withProblem(() => fillSlot(slot, bytes));
    slots.push(filled);
    if (filled.problem !== undefined) break;
  }
  const tarDigest = digest(bytes);
  const compressed = work.atHand.includes(tarDigest) ? undefined : compress(work, bytes, tarDigest);
  return { slots, tarDigest, compressed };
}

function compress({ memory, compression }: SegmentWork, bytes: Uint8Array, tarDigest: Digest): CompressedSegment {
  const compressed = compressSegment(bytes, compression);
  const { length } = compressed;
  if (compressed === bytes) return { place: "tar", length, digest: tarDigest };
  new Uint8Array(memory.output).set(compressed);
  return { place: "output", length, digest: digest(compressed) };
}

function digest(bytes: Uint8Array): Digest {
  return `sha256:${hash("sha256", bytes, "hex")}`;
}

/** Digests files, each as it is now. */
export function doDigest({ files }: DigestWork): DigestDone {
  const buffer = new Uint8Array(chunkLength);
  return { slots: files.map((file) => withProblem(() => digestFile(file, buffer))) };
}

function withProblem(task: () => FilledSlot): FilledSlot {
  try {
    return task();
  } catch (error) {
    if (!(error instanceof FileProblem)) throw error;
    return { problem: { kind: error.kind, message: error.message } };
  }
}

function fillSlot(slot: Slot, bytes: Uint8Array): FilledSlot {
  const target = bytes.subarray(slot.start, slot.start + slot.length);
  const state = slot.path === undefined ? undefined : readInto(target, slot.path, slot);
  if (slot.isWhole) return { digest: digest(target) };
  return state === undefined ? {} : { state };
}

function readInto(target: Uint8Array, path: string, slot: Slot): string | undefined {
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

function digestFile({ path, size }: DigestWork["files"][number], buffer: Uint8Array): FilledSlot {
  using file = openRegularFile(path);
  if (file.size !== size) throw new FileProblem("changed", "it changed its size");
  if (size <= buffer.length) {
    const bytes = buffer.subarray(0, size);
    file.fill(bytes, 0);
    file.check();
    return { digest: digest(bytes), state: file.state };
  }
  return { digest: digestLarge(file, buffer), state: file.state };
}

function digestLarge(file: ReturnType<typeof openRegularFile>, buffer: Uint8Array): Digest {
  const sum = createHash("sha256");
  for (let at = 0; at < file.size; at += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, file.size - at));
    file.fill(piece, at);
    sum.update(piece);
  }
  file.check();
  return `sha256:${sum.digest("hex")}`;
}
