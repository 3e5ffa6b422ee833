import { existsSync } from "node:fs";
import { mkdir, rename, rm, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { LocalStore } from "@varve/cache";
import {
  decodeLayerIndex,
  encodeLayerIndex,
  extractLayer,
  impliedDirectories,
  layerIndexMediaType,
  stackTrees,
  type FileTree,
  type LayerIndex,
  type PackedLayer,
} from "@varve/layer";
import { copyImage, type Descriptor, type Digest, type Layer, readContent } from "@varve/oci";
import type { OnBuildEvent } from "./events.ts";
import type { Rootfs, RootfsLayer } from "./rootfs.ts";
import type { SnapshotBase, Snapshotter } from "./snapshotter.ts";

/** Layers of rootfs, brought to this machine as far as a step needs them, each once. */
export interface Layers {
  /** What `layer` holds; fetches the blob where that was never looked at. */
  index(layer: RootfsLayer): Promise<LayerIndex>;
  /** The directory where `layer` stands extracted. */
  directory(layer: RootfsLayer): Promise<string>;
  /** The file system of `rootfs`, without the contents of its files. */
  tree(rootfs: Rootfs): Promise<FileTree>;
  /** The same with contents, and what a snapshot of it is made of. */
  extractedTree(rootfs: Rootfs): Promise<SnapshotBase>;
}

export interface LayersOptions {
  readonly store: LocalStore;
  readonly snapshotter: () => Promise<Snapshotter>;
  readonly signal: AbortSignal;
  readonly onEvent: OnBuildEvent;
}

const MEMO = "layer-index/1";
const MAX_INDEX = 512 * 1024 * 1024;

/** Layers in `store`; concurrent requests for one layer share the work. */
export function createLayers(options: LayersOptions): Layers {
  const indexes = new Map<Digest, Promise<LayerIndex>>();
  const directories = new Map<Digest, Promise<string>>();
  const extractions = new Map<Digest, Promise<void>>();
  const extractOnce = (layer: RootfsLayer): Promise<void> =>
    once(extractions, layer.layer.diffId, () => extract(layer, options));
  const directory = (layer: RootfsLayer): Promise<string> =>
    once(directories, layer.layer.diffId, () => ensureExtracted(layer, options.store, extractOnce));
  const index = (layer: RootfsLayer): Promise<LayerIndex> =>
    once(indexes, layer.layer.diffId, async () => {
      const known = await readIndex(layer, options);
      if (known !== undefined) return known;
      await extractOnce(layer);
      const fresh = await readIndex(layer, options);
      if (fresh === undefined)
        throw new Error(`Cannot index layer "${layer.layer.diffId}": its index vanished from the store`);
      return fresh;
    });
  const stack = async (rootfs: Rootfs, paths: readonly string[]): Promise<FileTree> => {
    const all = await Promise.all(rootfs.layers.map(index));
    return stackTrees(
      all.map((each, position) => ({
        index: each,
        ...(paths[position] === undefined ? {} : { directory: paths[position] }),
      })),
    );
  };
  return {
    index,
    directory,
    tree: (rootfs) => stack(rootfs, []),
    async extractedTree(rootfs) {
      const paths = await Promise.all(rootfs.layers.map(directory));
      const all = await Promise.all(rootfs.layers.map(index));
      const implied = new Set(all.flatMap((each) => impliedDirectories(each)));
      return { tree: await stack(rootfs, paths), layers: paths, impliedDirectories: [...implied] };
    },
  };
}

/** Stores an encoded layer index as a blob, and remembers it under the layer's diff ID. */
export async function storeLayerIndex(
  { index, layer: { diffId } }: Pick<PackedLayer, "index"> & { readonly layer: Pick<Layer, "diffId"> },
  store: LocalStore,
): Promise<Descriptor> {
  const writer = await store.content.openWriter();
  try {
    await writer.write(await index);
    const descriptor = { mediaType: layerIndexMediaType, ...(await writer.commit()) };
    await rememberIndex(diffId, descriptor, store);
    return descriptor;
  } finally {
    await writer.abort();
  }
}

function rememberIndex(diffId: Digest, descriptor: Descriptor, store: LocalStore): Promise<void> {
  return store.memo.put(MEMO, diffId, Buffer.from(JSON.stringify(descriptor)));
}

/** Makes the layer's blob part of the store, telling how far it is. */
export async function fetchLayer(
  layer: RootfsLayer,
  { store, signal, onEvent }: Omit<LayersOptions, "snapshotter">,
): Promise<void> {
  const { descriptor } = layer.layer;
  store.use([descriptor.digest]);
  if (await store.content.exists(descriptor)) return;
  const transfer = { type: "transfer", direction: "pull", name: descriptor.digest, total: descriptor.size } as const;
  onEvent({ ...transfer, current: 0, done: false });
  await copyImage(layer.content, store.content, {
    descriptor,
    signal,
    onProgress: (_, current) => onEvent({ ...transfer, current, done: false }),
  });
  onEvent({ ...transfer, current: descriptor.size, done: true });
}

async function readIndex(layer: RootfsLayer, { store, signal }: LayersOptions): Promise<LayerIndex | undefined> {
  const descriptor = layer.index ?? (await rememberedIndex(layer.layer.diffId, store));
  if (descriptor === undefined) return undefined;
  if (!(await store.content.exists(descriptor))) {
    if (layer.index === undefined) return undefined;
    await copyImage(layer.content, store.content, { descriptor, signal });
    await rememberIndex(layer.layer.diffId, descriptor, store);
  }
  store.use([descriptor.digest]);
  return decodeLayerIndex(await readContent(store.content, descriptor, { limit: MAX_INDEX }));
}

async function rememberedIndex(diffId: Digest, store: LocalStore): Promise<Descriptor | undefined> {
  const value = await store.memo.get(MEMO, diffId);
  return value === undefined ? undefined : (JSON.parse(Buffer.from(value).toString("utf8")) as Descriptor);
}

async function ensureExtracted(
  layer: RootfsLayer,
  store: LocalStore,
  extractOnce: (layer: RootfsLayer) => Promise<void>,
): Promise<string> {
  const path = store.layerPath(layer.layer.diffId);
  store.use([layer.layer.diffId]);
  if (!existsSync(path)) await extractOnce(layer);
  return path;
}

/** Extracts next to where the layer will stand, then moves it there; whoever comes second throws its own away. */
async function extract(layer: RootfsLayer, options: LayersOptions): Promise<void> {
  const { store, signal } = options;
  await fetchLayer(layer, options);
  const { descriptor, diffId } = layer.layer;
  const temporary = await store.makeTemporaryDirectory("tmp");
  const directory = join(temporary, "layer");
  try {
    await mkdir(directory);
    const overlay = (await options.snapshotter()).whiteouts;
    const content = store.content.fetch(descriptor, { signal });
    const index = await extractLayer(content, { directory, overlay, expectedDiffId: diffId, signal });
    await storeLayerIndex({ index: encodeLayerIndex(index), layer: layer.layer }, store);
    await moveInPlace(directory, store.layerPath(diffId));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function moveInPlace(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  // Its time is when it was last used, from the start: what eviction goes by.
  await utimes(from, new Date(), new Date());
  try {
    await rename(from, to);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw cause;
  }
}

function once<T>(known: Map<Digest, Promise<T>>, key: Digest, make: () => Promise<T>): Promise<T> {
  const existing = known.get(key);
  if (existing !== undefined) return existing;
  const made = make();
  known.set(key, made);
  return made;
}
