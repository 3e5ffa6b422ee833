import type { LocalStore } from "@varve/cache";
import {
  decodeLayerIndex,
  encodeLayerIndex,
  indexLayer,
  LayerError,
  type LayerIndex,
  layerIndexMediaType,
} from "@varve/layer";
import { type Descriptor, type Digest, type Image, readContent } from "@varve/oci";

export interface LayerIndexOptions {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
}

/** Of layers that varve built or extracted. */
const BUILT = "layer-index/1";
/** Of layers that were only read. */
const READ = "layer-reading/1";
const MAX_INDEX = 512 * 1024 * 1024;

/**
 * What each layer of an image holds, oldest first. Layers that the store does not know yet are read once, where they
 * are, and remembered; none is extracted.
 * @throws LayerError `DIFF_ID_MISMATCH`, `ARCHIVE_CORRUPT` for damaged layers; what the content's source throws.
 */
export async function readLayerIndexes(image: Image, options: LayerIndexOptions): Promise<readonly LayerIndex[]> {
  const indexes: LayerIndex[] = [];
  for (const position of image.layers.keys()) indexes.push(await readLayerIndex(image, position, options));
  return indexes;
}

async function readLayerIndex(image: Image, position: number, options: LayerIndexOptions): Promise<LayerIndex> {
  const { store, signal } = options;
  const { descriptor, diffId } = image.layers[position]!;
  const known = (await remembered(BUILT, diffId, store)) ?? (await remembered(READ, diffId, store));
  if (known !== undefined) return known;
  const index = await indexLayer(image.content.fetch(descriptor, { signal }), { signal });
  if (index.diffId !== diffId)
    throw new LayerError(
      "DIFF_ID_MISMATCH",
      `Cannot read layer "${descriptor.digest}": its tar has digest "${index.diffId}"; wanted "${diffId}"`,
    );
  await remember(index, store);
  return index;
}

async function remembered(namespace: string, diffId: Digest, store: LocalStore): Promise<LayerIndex | undefined> {
  const value = await store.memo.get(namespace, diffId);
  if (value === undefined) return undefined;
  const descriptor = JSON.parse(Buffer.from(value).toString("utf8")) as Descriptor;
  if (!(await store.content.exists(descriptor))) return undefined;
  return decodeLayerIndex(await readContent(store.content, descriptor, { limit: MAX_INDEX }));
}

async function remember(index: LayerIndex, store: LocalStore): Promise<void> {
  const writer = await store.content.openWriter();
  try {
    await writer.write(await encodeLayerIndex(index));
    const descriptor = { mediaType: layerIndexMediaType, ...(await writer.commit()) };
    await store.memo.put(READ, index.diffId, Buffer.from(JSON.stringify(descriptor)));
  } finally {
    await writer.abort();
  }
}
