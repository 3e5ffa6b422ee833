import type { RecordLayer } from "@varve/cache";
import { type Entry, packOrdered, type PackedLayer, type PackOptions } from "@varve/layer";
import { lineageOf, openEarlierSegments, rememberSegments } from "./earlier-segments.ts";
import { storeLayerIndex } from "./layers.ts";
import type { LayerStep } from "./resolve.ts";
import type { BuildOptions } from "./session.ts";

export interface CommittedLayer {
  readonly layer: RecordLayer;
  /** False where an older layer of the same content, with other times, stands for this one. */
  readonly isNew: boolean;
  readonly segments: SegmentCounts;
}

/** Segments of a layer's blob: all, and those taken from an earlier blob instead of being compressed. */
export interface SegmentCounts {
  readonly total: number;
  readonly reused: number;
}

/**
 * Packs what a step made, in the order of a layer, into the store; what it has in common with the last layer of this
 * step is not compressed again.
 */
export async function packStep(
  step: LayerStep,
  entries: Iterable<Entry>,
  { onFile, ...options }: BuildOptions & Pick<PackOptions, "onFile">,
): Promise<PackedLayer> {
  const { store, compression, signal } = options;
  const lineage = lineageOf(step, options);
  const earlier = await openEarlierSegments(lineage, options);
  const packed = await packOrdered(entries, {
    store: store.content,
    compression,
    signal,
    ...(earlier === undefined ? {} : { reuse: earlier }),
    ...(onFile === undefined ? {} : { onFile }),
  });
  store.use([packed.layer.descriptor.digest]);
  await rememberSegments(lineage, packed, options);
  return packed;
}

/**
 * Makes a packed layer one that records may name: its blob and its index are in the store. Where a layer with the same
 * content digest is known, that one is given, bytes and all, so that all that stands on it stays valid.
 */
export async function commitLayer(packed: PackedLayer, { store, cache }: BuildOptions): Promise<CommittedLayer> {
  const segments = { total: packed.segmentDigests.length, reused: packed.reused };
  const known = await cache.findLayer(packed.contentDigest);
  if (known !== undefined && known.descriptor.mediaType === packed.layer.descriptor.mediaType) {
    return { layer: known, isNew: known.diffId === packed.layer.diffId, segments };
  }
  const index = await storeLayerIndex(packed, store);
  store.use([index.digest]);
  return { layer: { ...packed.layer, contentDigest: packed.contentDigest, index }, isNew: true, segments };
}
