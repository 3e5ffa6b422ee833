import type { FileTree } from "@varve/layer";
import type { BuiltImage } from "./build.ts";
import { createLayers } from "./layers.ts";
import { createRootfs } from "./rootfs.ts";
import type { BuildOptions } from "./session.ts";
import { selectSnapshotter } from "./snapshot/select-snapshotter.ts";

/** The file system of an image that was built, contents included: its layers are extracted where they are not yet. */
export async function openImageTree(image: BuiltImage, options: BuildOptions): Promise<FileTree> {
  const snapshotter = async (): ReturnType<typeof selectSnapshotter> =>
    selectSnapshotter(options.snapshotter, await options.store.makeTemporaryDirectory("mounts"));
  const { tree } = await createLayers({ ...options, snapshotter }).extractedTree(createRootfs(image.layers));
  return tree;
}
