import { createHash, type Hash } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { digestOf, type BlobWriter, type Digest, type IngestStore, type Layer } from "@varve/oci";
import { createSegmentCodec, defaultConcurrency, type Compression, type SegmentCodec } from "./compression.ts";
import { cutSegments } from "./cut-segments.ts";
import type { Entry } from "./entry.ts";
import type { IndexEntry, LayerIndex, Segment } from "./layer-index.ts";
import { orderEntries } from "./order-entries.ts";
import type { SegmentBuffer } from "./segment-buffer.ts";
import { digestOrdered } from "./tree-digest.ts";

/** Compressed segments of earlier layers: the bytes for a segment, made at the same compression, or undefined. */
export type SegmentReuse = (tarDigest: Digest, tarLength: number) => Promise<Uint8Array | undefined>;

export interface PackOptions {
  readonly store: IngestStore;
  readonly compression: Compression;
  readonly signal?: AbortSignal;
  /** Segments compressed at the same time; the bytes do not depend on it. Default: the processors there are. */
  readonly concurrency?: number;
  readonly reuse?: SegmentReuse;
}

/** A layer that was stored: what an image needs of it, its layer index, and its content digest. */
export interface PackedLayer {
  readonly layer: Layer;
  readonly index: LayerIndex;
  readonly contentDigest: Digest;
}

interface Packing {
  readonly codec: SegmentCodec;
  readonly writer: BlobWriter;
  readonly options: PackOptions;
  readonly segments: Segment[];
  readonly pending: Promise<CompressedSegment>[];
  readonly diff: Hash;
  blobLength: number;
}

interface CompressedSegment {
  readonly source: SegmentBuffer;
  readonly tarDigest: Digest;
  readonly bytes: Uint8Array;
}

/**
 * Writes entries, in any order, as a layer into a store. The bytes depend on nothing but the entries, what their files
 * hold, and the compression. Each file is read once; memory is bounded whatever the sizes.
 * The index's entries carry digests and no content.
 * @throws LayerError `FILE_CHANGED` where a file is not what its entry says or changes meanwhile, `SOURCE_MISSING`,
 * `ENTRY_UNSUPPORTED`; the store then holds nothing of the layer.
 */
export async function packLayer(entries: readonly Entry[], options: PackOptions): Promise<PackedLayer> {
  const ordered = orderEntries(entries);
  using codec = createSegmentCodec(options.compression);
  const writer = await options.store.openWriter();
  const packing: Packing = {
    codec,
    writer,
    options,
    segments: [],
    pending: [],
    diff: createHash("sha256"),
    blobLength: 0,
  };
  try {
    return await packOrdered(ordered, packing);
  } catch (error) {
    await Promise.allSettled(packing.pending);
    await writer.abort();
    throw error;
  }
}

async function packOrdered(entries: readonly Entry[], packing: Packing): Promise<PackedLayer> {
  const indexed: IndexEntry[] = [];
  const { codec, options, pending } = packing;
  const limit = (options.concurrency ?? defaultConcurrency) + 1;
  await writePart(packing, codec.header);
  for (const segment of cutSegments({ entries, indexed })) {
    options.signal?.throwIfAborted();
    start(packing, segment);
    if (pending.length > limit) await finishFirst(packing);
    else await setImmediate();
  }
  while (pending.length > 0) await finishFirst(packing);
  await writePart(packing, codec.trailer());
  return describe(packing, indexed);
}

function start(packing: Packing, source: SegmentBuffer): void {
  packing.diff.update(source.bytes);
  packing.codec.observe(source.bytes);
  const task = compress(packing, source);
  task.catch(() => undefined);
  packing.pending.push(task);
}

async function compress(packing: Packing, source: SegmentBuffer): Promise<CompressedSegment> {
  const tarDigest = digestOf(source.bytes);
  const reused = await packing.options.reuse?.(tarDigest, source.length);
  return { source, tarDigest, bytes: reused ?? (await packing.codec.compress(source.bytes)) };
}

async function finishFirst(packing: Packing): Promise<void> {
  const [first] = packing.pending;
  if (first === undefined) return;
  const { source, tarDigest, bytes } = await first;
  void packing.pending.shift();
  const { tarOffset, length: tarLength } = source;
  packing.segments.push({ tarOffset, tarLength, tarDigest, offset: packing.blobLength, length: bytes.length });
  await writePart(packing, bytes);
  source.recycle();
}

async function writePart(packing: Packing, bytes: Uint8Array): Promise<void> {
  packing.blobLength += bytes.length;
  if (bytes.length > 0) await packing.writer.write(bytes);
}

async function describe(packing: Packing, indexed: readonly IndexEntry[]): Promise<PackedLayer> {
  const contentDigest = digestOrdered(indexed);
  packing.options.signal?.throwIfAborted();
  const { digest, size } = await packing.writer.commit();
  const diffId: Digest = `sha256:${packing.diff.digest("hex")}`;
  return {
    layer: { descriptor: { mediaType: packing.codec.mediaType, digest, size }, diffId },
    index: { diffId, contentDigest, entries: indexed, segments: packing.segments },
    contentDigest,
  };
}
