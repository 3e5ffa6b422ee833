import { createHash, type Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type BlobWriter, type Digest, digestOf, type IngestStore, type Layer } from "@varve/oci";
import { type BlobFrame, type Compression, compressSegment, createBlobFrame } from "./compression.ts";
import { cutSegments, type DraftSegment } from "./cut-segments.ts";
import type { Entry } from "./entry.ts";
import { FileLedger } from "./file-ledger.ts";
import type { LayerIndex, Segment } from "./layer-index.ts";
import { orderEntries } from "./order-entries.ts";
import type { SegmentBuffer } from "./segment-buffer.ts";
import { doSegment, type SegmentDone, type SegmentWork } from "./segment-work.ts";
import { digestOrdered } from "./tree-digest.ts";
import { defaultConcurrency, inWorker } from "./worker-pool.ts";

/** Segments that are at hand, made at the same compression. */
export interface SegmentReuse {
  /** The tar digests of those with so many bytes before compression. */
  candidates(tarLength: number): readonly Digest[];
  /** Such a segment, as it was made, or undefined where it is no longer to be had. */
  read(tarDigest: Digest): Promise<ReusedSegment | undefined>;
}

/** A segment compressed: its bytes, and their digest. */
export interface ReusedSegment {
  readonly compressed: Uint8Array;
  readonly digest: Digest;
}

export interface PackOptions {
  readonly store: IngestStore;
  readonly compression: Compression;
  readonly signal?: AbortSignal;
  /** Threads that read and compress; the bytes do not depend on it. Default: the processors there are. */
  readonly concurrency?: number;
  readonly reuse?: SegmentReuse;
}

/** A layer that was stored: what an image needs of it, its layer index, and its content digest. */
export interface PackedLayer {
  readonly layer: Layer;
  readonly index: LayerIndex;
  readonly contentDigest: Digest;
  /** sha256 of each segment of the blob, in order: what its bytes are verified by when they are reused. */
  readonly segmentDigests: readonly Digest[];
  /** Segments that were at hand. */
  readonly reused: number;
}

interface Packing {
  readonly frame: BlobFrame;
  readonly writer: BlobWriter;
  readonly options: PackOptions;
  readonly ledger: FileLedger;
  readonly run: (work: SegmentWork) => Promise<SegmentDone>;
  readonly pending: Pending[];
  readonly segments: Segment[];
  readonly segmentDigests: Digest[];
  readonly diff: Hash;
  blobLength: number;
  reused: number;
}

interface Pending {
  readonly draft: DraftSegment;
  readonly done: Promise<SegmentDone>;
}

/** Layers below both are made without the threads, whose start takes longer. */
const smallBytes = 4 * 1024 * 1024;
const smallCount = 2000;

/**
 * Writes entries, in any order, as a layer into a store. The bytes depend on nothing but the entries, what their files
 * hold, and the compression. Each file is read once; memory is bounded whatever the sizes.
 * The index's entries carry digests and no content.
 * @throws LayerError `FILE_CHANGED` where a file is not what its entry says or changes meanwhile, `SOURCE_MISSING`,
 * `ENTRY_UNSUPPORTED`; the store then holds nothing of the layer.
 */
export async function packLayer(entries: readonly Entry[], options: PackOptions): Promise<PackedLayer> {
  const ordered = orderEntries(entries);
  const writer = await options.store.openWriter();
  const packing: Packing = {
    frame: createBlobFrame(options.compression),
    writer,
    options,
    ledger: new FileLedger(ordered),
    run: isSmall(ordered) ? runHere : (work) => inWorker(work, options.concurrency),
    pending: [],
    segments: [],
    segmentDigests: [],
    diff: createHash("sha256"),
    blobLength: 0,
    reused: 0,
  };
  try {
    return await packOrdered(ordered, packing);
  } catch (error) {
    await Promise.allSettled(packing.pending.map(({ done }) => done));
    await writer.abort();
    throw error;
  }
}

function isSmall(entries: readonly Entry[]): boolean {
  if (entries.length >= smallCount) return false;
  return entries.reduce((sum, entry) => sum + entry.size, 0) < smallBytes;
}

async function runHere(work: SegmentWork): Promise<SegmentDone> {
  await setImmediate();
  return doSegment(work);
}

async function packOrdered(entries: readonly Entry[], packing: Packing): Promise<PackedLayer> {
  const { frame, options, pending, ledger } = packing;
  const limit = (options.concurrency ?? defaultConcurrency) + 2;
  await writePart(packing, frame.header);
  for (const draft of cutSegments(entries, (position, tarOffset) => ledger.place(position, tarOffset))) {
    start(packing, draft);
    if (pending.length >= limit) await finishFirst(packing);
  }
  while (pending.length > 0) await finishFirst(packing);
  await writePart(packing, frame.trailer());
  return describe(packing);
}

function start(packing: Packing, draft: DraftSegment): void {
  const { options, pending } = packing;
  options.signal?.throwIfAborted();
  const { buffer, slots } = draft;
  const { length } = buffer;
  const atHand = options.reuse?.candidates(length) ?? [];
  const { compression } = options;
  const done = packing.run({ type: "segment", memory: buffer.memory, length, slots, compression, atHand });
  done.catch(() => undefined);
  pending.push({ draft, done });
}

async function finishFirst(packing: Packing): Promise<void> {
  const [first] = packing.pending;
  if (first === undefined) return;
  const { buffer, slots } = first.draft;
  const done = await first.done;
  void packing.pending.shift();
  packing.options.signal?.throwIfAborted();
  const { bytes } = buffer;
  packing.ledger.enter({ bytes, slots, filled: done.slots });
  packing.diff.update(bytes);
  packing.frame.observe(bytes);
  const { compressed, digest } = await compressedBytes(packing, done, buffer);
  const { tarOffset, length: tarLength } = buffer;
  const { tarDigest } = done;
  packing.segments.push({ tarOffset, tarLength, tarDigest, offset: packing.blobLength, length: compressed.length });
  packing.segmentDigests.push(digest);
  await writePart(packing, compressed);
  buffer.recycle();
}

async function compressedBytes(
  packing: Packing,
  { compressed, tarDigest }: SegmentDone,
  { memory, bytes }: SegmentBuffer,
): Promise<ReusedSegment> {
  if (compressed !== undefined) {
    const { place, length, digest } = compressed;
    return { compressed: new Uint8Array(memory[place], 0, length), digest };
  }
  const reused = await packing.options.reuse?.read(tarDigest);
  if (reused !== undefined) {
    packing.reused += 1;
    return reused;
  }
  const own = compressSegment(bytes, packing.options.compression);
  return { compressed: own, digest: digestOf(own) };
}

async function writePart(packing: Packing, bytes: Uint8Array): Promise<void> {
  packing.blobLength += bytes.length;
  if (bytes.length > 0) await packing.writer.write(bytes);
}

async function describe(packing: Packing): Promise<PackedLayer> {
  const entries = packing.ledger.close();
  const contentDigest = digestOrdered(entries);
  packing.options.signal?.throwIfAborted();
  const { segments, segmentDigests, reused } = packing;
  const { digest, size } = await packing.writer.commit();
  const diffId: Digest = `sha256:${packing.diff.digest("hex")}`;
  return {
    layer: { descriptor: { mediaType: packing.frame.mediaType, digest, size }, diffId },
    index: { diffId, contentDigest, entries, segments },
    contentDigest,
    segmentDigests,
    reused,
  };
}
