import type { BuildGraph, StageOutput } from "@varve/graph";
import {
  type ContentSource,
  type Descriptor,
  type Digest,
  encodeImageConfig,
  encodeIndex,
  encodeManifest,
  type History,
  type ImageConfig,
  type IngestStore,
  type Manifest,
  MEDIA_TYPES,
  readChunks,
} from "@varve/oci";
import type { BuiltImage } from "./build.ts";
import { fetchLayer } from "./layers.ts";
import type { Rootfs, RootfsLayer } from "./rootfs.ts";
import type { BuildOptions } from "./session.ts";

/** The image of a graph's target: config and manifest are in the store when it returns. */
export async function assembleImage(graph: BuildGraph, rootfs: Rootfs, options: BuildOptions): Promise<BuiltImage> {
  const { target } = graph;
  const config = createConfig(target, rootfs, options.epoch);
  const encodedConfig = encodeImageConfig(config);
  await pushBytes(options.store.content, encodedConfig);
  const layers = rootfs.layers.map(({ layer }) => layer.descriptor);
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: encodedConfig.descriptor,
    layers,
  };
  const encoded = encodeManifest(manifest);
  await pushBytes(options.store.content, encoded);
  options.store.use([encoded.descriptor.digest, encodedConfig.descriptor.digest]);
  return { platform: target.platform, descriptor: encoded.descriptor, manifest, config, layers: rootfs.layers };
}

/** What names the images together, and where all of their content is. */
export async function assembleIndex(
  images: readonly BuiltImage[],
  options: BuildOptions,
): Promise<{ readonly descriptor: Descriptor; readonly content: ContentSource }> {
  const content = createImageContent(
    images.flatMap((image) => image.layers),
    options,
  );
  const [first, ...others] = images;
  if (first !== undefined && others.length === 0) return { descriptor: first.descriptor, content };
  const encoded = encodeIndex({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.index,
    manifests: images.map(({ descriptor, platform }) => ({ ...descriptor, platform })),
  });
  await pushBytes(options.store.content, encoded);
  return { descriptor: encoded.descriptor, content };
}

async function pushBytes(
  store: IngestStore,
  encoded: { readonly descriptor: Descriptor; readonly bytes: Uint8Array },
): Promise<void> {
  await store.push(encoded.descriptor, chunk(encoded.bytes));
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

function createConfig(target: StageOutput, rootfs: Rootfs, epoch: number | undefined): ImageConfig {
  const { author, config, platform } = target;
  const { history, created } = dateHistory(target, rootfs, epoch);
  return {
    ...(author === undefined ? {} : { author }),
    ...(created === undefined ? {} : { created }),
    ...platform,
    config,
    rootfs: { type: "layers", diff_ids: rootfs.layers.map(({ layer }) => layer.diffId) },
    history,
  };
}

/**
 * Dates what this build adds. Without an epoch an instruction is as old as its layer, and one that makes none as old
 * as what stands before it: an image that is all from the cache is the same image.
 */
function dateHistory(
  target: StageOutput,
  rootfs: Rootfs,
  epoch: number | undefined,
): { readonly history: readonly History[]; readonly created: string | undefined } {
  const fixed = epoch === undefined ? undefined : formatTime(epoch * 1000);
  const times = rootfs.layers.map((layer) => layer.createdAt);
  let position = 0;
  let last = target.baseCreated;
  const history = target.history.map((line) => {
    const time = line.empty_layer === true ? undefined : times[position++];
    if (line.created !== undefined) return line;
    last = fixed ?? time ?? last;
    return last === undefined ? line : { created: last, ...line };
  });
  return { history, created: fixed ?? last };
}

/** RFC 3339 without the fraction where there is none, as Go writes it. */
function formatTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(".000Z", "Z");
}

/** Content of images with these layers: the store first; what is not there comes from where the layer came from. */
export function createImageContent(layers: readonly RootfsLayer[], options: BuildOptions): ContentSource {
  const byDigest = new Map<Digest, RootfsLayer>(layers.map((layer) => [layer.layer.descriptor.digest, layer]));
  const { store } = options;
  const sourceOf = ({ digest }: Descriptor): ContentSource =>
    (store.blobPath(digest) === undefined ? byDigest.get(digest)?.content : undefined) ?? store.content;
  return {
    async exists(descriptor, transfer) {
      const layer = byDigest.get(descriptor.digest);
      return (
        (await store.content.exists(descriptor, transfer)) ||
        (layer !== undefined && layer.content.exists(descriptor, transfer))
      );
    },
    fetch: (descriptor, transfer) => sourceOf(descriptor).fetch(descriptor, transfer),
    read: (descriptor, transfer) => readChunks(sourceOf(descriptor), descriptor, transfer),
    file: ({ digest }) => store.blobPath(digest),
  };
}

/** Brings the image's layers into the store, so that other tools can read it there. */
export async function completeInStore(images: readonly BuiltImage[], options: BuildOptions): Promise<void> {
  await Promise.all(images.flatMap((image) => image.layers.map((layer) => fetchLayer(layer, options))));
}
