import type { LocalStore } from "@varve/cache";
import type { Image } from "@varve/oci";
import type { OnBuildEvent } from "../events.ts";
import { createLayers } from "../layers.ts";
import { createRootfs } from "../rootfs.ts";
import type { SnapshotBase, Snapshotter } from "../snapshotter.ts";
import { selectSnapshotter } from "../snapshot/select-snapshotter.ts";
import { imageLayers } from "./image-layers.ts";

export interface ImageRootfsOptions {
  readonly store: LocalStore;
  readonly snapshotter: "auto" | Snapshotter["name"];
  readonly signal: AbortSignal;
  readonly onEvent: OnBuildEvent;
}

/** The file system of an image, its layers fetched and extracted in the store, and what makes snapshots of it. */
export async function openImageRootfs(
  image: Image,
  { store, snapshotter: name, signal, onEvent }: ImageRootfsOptions,
): Promise<{ readonly base: SnapshotBase; readonly snapshotter: Snapshotter }> {
  const snapshotter = await selectSnapshotter(name, await store.makeTemporaryDirectory("mounts"));
  const layers = createLayers({ store, signal, onEvent, snapshotter: async () => snapshotter });
  return { base: await layers.extractedTree(createRootfs(imageLayers(image))), snapshotter };
}
