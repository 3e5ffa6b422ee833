import { rootfsDigest } from "@varve/cache-key";
import type { ContentSource, Descriptor, Digest, Layer } from "@varve/oci";

/** A layer in its place in a rootfs. */
export interface RootfsLayer {
  readonly layer: Layer;
  /** What stands for the layer in keys: its content digest where varve built it, its diff ID where it was pulled. */
  readonly id: Digest;
  /** Where the blob can be fetched. */
  readonly content: ContentSource;
  /** The blob of its layer index; undefined for a pulled layer that was not looked at yet. */
  readonly index: Descriptor | undefined;
  /** RFC 3339 of a layer that varve built; undefined for a pulled one. */
  readonly createdAt: string | undefined;
}

/** A file system as ordered layers, oldest first. */
export interface Rootfs {
  readonly layers: readonly RootfsLayer[];
  /** Digest of the ordered layer ids. */
  readonly digest: Digest;
}

/** A rootfs of these layers. */
export function createRootfs(layers: readonly RootfsLayer[]): Rootfs {
  return { layers, digest: rootfsDigest(layers.map((layer) => layer.id)) };
}

/** `rootfs` with one more layer on top. */
export function addLayer(rootfs: Rootfs, layer: RootfsLayer): Rootfs {
  return createRootfs([...rootfs.layers, layer]);
}
