import { setImmediate } from "node:timers/promises";
import type { BlobWriter, Digest, IngestStore, Layer } from "@varve/oci";
import { type BlobFrame, type Compression, createBlobFrame } from "./compression.ts";
import { cutSegments, type DraftSegment } from "./cut-segments.ts";
import type { Entry } from "./entry.ts";
import { FileLedger } from "./file-ledger.ts";
import { LayerIndexWriter } from "./index-codec.ts";
import type { Segment } from "./layer-index.ts";
import { orderEntries } from "./order-entries.ts";
import type { SegmentBuffer } from "./segment-buffer.ts";
import {
  type CompressedSegment,
  doSegment,
  type EarlierSegment,
  release,
  type SegmentDone,
  type SegmentWork,
  type SlotProblem,
} from "./segment-work.ts";
import { sumHere, type TarSummation, type TarSums } from "./tar-sums.ts";
import { TreeSum } from "./tree-digest.ts";
import { defaultConcurrency, segmentInWorker, sumInWorker } from "./worker-pool.ts";

/** Segments of earlier blobs that are at hand. */
export interface SegmentReuse {
  /** Those with so many bytes before compression, made at the same compression. */
  candidates(tarLength: number): readonly EarlierSegment[];
}

export interface PackOptions {
  readonly store: IngestStore;
  readonly compression: Compression;
  readonly signal?: AbortSignal;
  /** Threads that read and compress; the bytes do not depend on it. Default: the processors there are. */
  readonly concurrency?: number;
  readonly reuse?: SegmentReuse;
  /** Told of each file, in order, once its bytes were digested. */
  readonly onFile?: (entry: Entry, digest: Digest) => void;
}

/** A layer that was stored: what an image needs of it, its encoded layer index, and its content digest. */
export interface PackedLayer {
  readonly layer: Layer;
  /** As `decodeLayerIndex` reads it; still to be compressed. Its entries carry digests and no content. */
  readonly index: Promise<Uint8Array>;
  readonly contentDigest: Digest;
  /** Of the blob, in order. */
  readonly segments: readonly Segment[];
  /** sha256 of each segment of the blob, in order: what its bytes are verified by when they are reused. */
  readonly segmentDigests: readonly Digest[];
  /** Segments that were taken from earlier blobs. */
  readonly reused: number;
}

interface Packing {
  readonly frame: BlobFrame;
  readonly writer: BlobWriter;
  readonly options: PackOptions;
  readonly ledger: FileLedger;
  readonly index: LayerIndexWriter;
  readonly content: TreeSum;
  readonly run: (work: SegmentWork) => Promise<SegmentDone | SlotProblem>;
  readonly pending: Pending[];
  readonly segments: Segment[];
  readonly segmentDigests: Digest[];
  readonly sums: TarSummation;
  blobLength: number;
  reused: number;
  /** For each segment that is finished, and is still to be written or summed up: settles when it is. */
  readonly unwritten: Promise<void>[];
}

interface Pending {
  readonly draft: DraftSegment;
  readonly done: Promise<SegmentDone | SlotProblem>;
}

/** Layers below both are made without the threads, whose start takes longer. */
const smallBytes = 4 * 1024 * 1024;
const smallCount = 2000;
/** Segments that are cut before threads ask for them: while this thread collects garbage, these have work. */
const mostAhead = 6;
/** Segments that may wait to be written and summed up: threads do that between their other work. */
const mostUnwritten = 2;

/**
 * Writes entries, in any order, as a layer into a store. The bytes depend on nothing but the entries, what their files
 * hold, and the compression. Each file is read once; memory is bounded whatever the sizes.
 * @throws LayerError `FILE_CHANGED` where a file is not what its entry says or changes meanwhile, `SOURCE_MISSING`,
 * `ENTRY_UNSUPPORTED`; the store then holds nothing of the layer.
 */
export async function packLayer(entries: readonly Entry[], options: PackOptions): Promise<PackedLayer> {
  return packOrdered(orderEntries(entries), options);
}

/**
 * The same of entries that come in the order of a layer, each when there is work for it: whoever finds them goes on
 * while threads read and compress those that came before. Of hard links the first path is the file.
 * @throws also what `entries` throw, and Error where they are not in order.
 */
export async function packOrdered(entries: Iterable<Entry>, options: PackOptions): Promise<PackedLayer> {
  const { concurrency } = options;
  const { isHere, parts } = lookAhead(entries);
  const frame = createBlobFrame(options.compression);
  const writer = await options.store.openWriter();
  const index = new LayerIndexWriter();
  const content = new TreeSum();
  const ledger = new FileLedger((entry, place) => {
    index.add(entry, place);
    content.add(entry, place.digest);
    if (place.digest !== undefined) options.onFile?.(entry, place.digest);
  });
  const packing: Packing = {
    frame,
    writer,
    options,
    ledger,
    index,
    content,
    run: isHere ? runHere : (work) => segmentInWorker(work, concurrency),
    pending: [],
    segments: [],
    segmentDigests: [],
    sums: isHere ? sumHere(frame) : sumInWorker(frame),
    blobLength: 0,
    reused: 0,
    unwritten: [],
  };
  try {
    return await packAll(parts, packing);
  } catch (error) {
    await Promise.allSettled([...packing.unwritten, ...packing.pending.map(({ done }) => done)]);
    packing.sums.drop();
    await writer.abort();
    throw error;
  }
}

/** Entries of which the first were looked at. */
interface LookedAhead {
  /** Whether they are so few that no thread is needed. */
  readonly isHere: boolean;
  /** All entries again. */
  readonly parts: readonly Iterable<Entry>[];
}

function lookAhead(entries: Iterable<Entry>): LookedAhead {
  const rest = entries[Symbol.iterator]();
  const first: Entry[] = [];
  for (let bytes = 0; first.length < smallCount && bytes < smallBytes;) {
    const next = rest.next();
    if (next.done === true) return { isHere: true, parts: [first] };
    first.push(next.value);
    bytes += next.value.size;
  }
  return { isHere: false, parts: [first, { [Symbol.iterator]: () => rest }] };
}

async function runHere(work: SegmentWork): Promise<SegmentDone | SlotProblem> {
  await setImmediate();
  return doSegment(work);
}

async function packAll(parts: readonly Iterable<Entry>[], packing: Packing): Promise<PackedLayer> {
  const { frame, options, pending, ledger } = packing;
  const limit = (options.concurrency ?? defaultConcurrency) + mostAhead;
  await writePart(packing, frame.header);
  for (const draft of cutSegments(parts, ledger)) {
    start(packing, draft);
    if (pending.length >= limit) await finishFirst(packing);
  }
  while (pending.length > 0) await finishFirst(packing);
  await Promise.all(packing.unwritten);
  const sums = await packing.sums.finish();
  await writePart(packing, frame.trailer(sums));
  return describe(packing, sums);
}

function start(packing: Packing, draft: DraftSegment): void {
  const { options, pending } = packing;
  options.signal?.throwIfAborted();
  const { buffer, slots } = draft;
  const { memory, length } = buffer;
  const earlier = options.reuse?.candidates(length) ?? [];
  const done = packing.run({ memory, length, slots, compression: options.compression, earlier });
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
  if ("kind" in done) throw packing.ledger.explain(slots, done);
  const { bytes, tarOffset, length: tarLength } = buffer;
  packing.ledger.enter({ bytes, slots, done });
  const { digest, isReused } = done.compressed;
  const { length } = done.compressed.bytes ?? bytes;
  packing.segments.push({ tarOffset, tarLength, tarDigest: done.tarDigest, offset: packing.blobLength, length });
  packing.segmentDigests.push(digest);
  if (isReused) packing.reused += 1;
  const written = writeSegment(packing, buffer, done.compressed);
  written.catch(() => undefined);
  packing.unwritten.push(written);
  if (packing.unwritten.length > mostUnwritten) await packing.unwritten.shift();
}

async function writeSegment(packing: Packing, buffer: SegmentBuffer, compressed: CompressedSegment): Promise<void> {
  const bytes = compressed.bytes ?? buffer.bytes;
  const before = packing.unwritten.at(-1);
  const summed = packing.sums.add(buffer);
  summed.catch(() => undefined);
  packing.blobLength += bytes.length;
  await before;
  await packing.writer.write(bytes);
  if (compressed.bytes !== undefined) release(bytes);
  await summed;
  buffer.recycle();
}

async function writePart(packing: Packing, bytes: Uint8Array): Promise<void> {
  packing.blobLength += bytes.length;
  if (bytes.length > 0) await packing.writer.write(bytes);
}

async function describe(packing: Packing, { diffId }: TarSums): Promise<PackedLayer> {
  packing.options.signal?.throwIfAborted();
  const { segments, segmentDigests, reused } = packing;
  const contentDigest = packing.content.finish();
  const { digest, size } = await packing.writer.commit();
  const index = packing.index.finish({ diffId, contentDigest, segments });
  index.catch(() => undefined);
  return {
    layer: { descriptor: { mediaType: packing.frame.mediaType, digest, size }, diffId },
    index,
    contentDigest,
    segments,
    segmentDigests,
    reused,
  };
}
