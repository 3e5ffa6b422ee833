import type { RecordLayer } from "@varve/cache";
import { type Entry, packLayer } from "@varve/layer";
import { storeLayerIndex } from "./layers.ts";
import type { BuildOptions } from "./session.ts";

export interface CommittedLayer {
  readonly layer: RecordLayer;
  /** False where an older layer of the same content, with other times, stands for this one. */
  readonly isNew: boolean;
}

/**
 * Makes a layer of `entries`: the blob and its index are in the store when it returns. Where a layer with the same
 * content digest is known, that one is given, bytes and all, so that all that stands on it stays valid.
 */
export async function commitLayer(entries: readonly Entry[], options: BuildOptions): Promise<CommittedLayer> {
  const { store, cache, compression, signal } = options;
  const packed = await packLayer(entries, { store: store.content, compression, signal });
  store.use([packed.layer.descriptor.digest]);
  const known = await cache.findLayer(packed.contentDigest);
  if (known !== undefined && known.descriptor.mediaType === packed.layer.descriptor.mediaType) {
    return { layer: known, isNew: known.diffId === packed.layer.diffId };
  }
  const index = await storeLayerIndex(packed.index, store);
  store.use([index.digest]);
  return { layer: { ...packed.layer, contentDigest: packed.contentDigest, index }, isNew: true };
}
