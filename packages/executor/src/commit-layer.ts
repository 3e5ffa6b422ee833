import type { RecordLayer } from "@varve/cache";
import { type Entry, packLayer } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { openEarlierSegments, rememberSegments } from "./earlier-segments.ts";
import { storeLayerIndex } from "./layers.ts";
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
 * Makes a layer of `entries`: the blob and its index are in the store when it returns. Where a layer with the same
 * content digest is known, that one is given, bytes and all, so that all that stands on it stays valid.
 * `lineage` names what the layer is another state of: what both have in common is not compressed again.
 */
export async function commitLayer(
  entries: readonly Entry[],
  lineage: Digest,
  options: BuildOptions,
): Promise<CommittedLayer> {
  const { store, cache, compression, signal } = options;
  const earlier = await openEarlierSegments(lineage, options);
  const packed = await packLayer(entries, {
    store: store.content,
    compression,
    signal,
    ...(earlier === undefined ? {} : { reuse: earlier }),
  });
  const segments = { total: packed.segmentDigests.length, reused: packed.reused };
  store.use([packed.layer.descriptor.digest]);
  await rememberSegments(lineage, packed, options);
  const known = await cache.findLayer(packed.contentDigest);
  if (known !== undefined && known.descriptor.mediaType === packed.layer.descriptor.mediaType) {
    return { layer: known, isNew: known.diffId === packed.layer.diffId, segments };
  }
  const index = await storeLayerIndex(packed.index, store);
  store.use([index.digest]);
  return { layer: { ...packed.layer, contentDigest: packed.contentDigest, index }, isNew: true, segments };
}
