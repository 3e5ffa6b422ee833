import {
  createSemaphore,
  type Descriptor,
  digestOf,
  encodeImageConfig,
  encodeIndex,
  encodeManifest,
  formatPlatform,
  hexOf,
  type ImageConfig,
  type Layer,
  layerCompression,
  MEDIA_TYPES,
  type Manifest,
  toDockerMediaType,
} from "@varve/oci";
import { type Entry, packLayer, stackTrees } from "@varve/layer";
import { createImageContent } from "../assemble-image.ts";
import type { BuildResult, BuiltImage } from "../build.ts";
import { createLayers, fetchLayer, storeLayerIndex } from "../layers.ts";
import type { RootfsLayer } from "../rootfs.ts";
import type { BuildOptions, Compression } from "../session.ts";
import { recompressLayer } from "./recompress-layer.ts";
import { selectSnapshotter } from "../snapshot/select-snapshotter.ts";
import type { ImageOutput } from "./image-output.ts";

/** How images are written, where that differs from how they were built. */
export interface RewriteOptions {
  /** Media types of the OCI specification, or Docker's. */
  readonly mediaTypes: "oci" | "docker";
  /** Every layer gets this compression, the base's included; undefined: layers stay. */
  readonly forceCompression: Compression | undefined;
  /** Files of layers that this build made are no newer than this: seconds since 1970. */
  readonly clampTimes: number | undefined;
  /** By where they go: on manifests, on the index, on descriptors in it. */
  readonly annotations: Annotations;
}

type AnnotationSet = Readonly<Record<string, string>>;

/** Annotations by where they go. */
export interface Annotations {
  readonly manifest: AnnotationSet;
  readonly index: AnnotationSet;
  /** In the index. */
  readonly manifestDescriptor: AnnotationSet;
  /** Where the image is named: a layout's index.json. */
  readonly indexDescriptor?: AnnotationSet;
  /** Those of one platform's image alone, by the platform's name. */
  readonly ofPlatform?: Readonly<Record<string, Pick<Annotations, "manifest" | "manifestDescriptor">>>;
}

/** The images of a build as an exporter shall write them; the result itself where nothing is asked for. */
export async function rewriteImages(
  result: BuildResult,
  rewrite: RewriteOptions,
  options: BuildOptions,
): Promise<ImageOutput> {
  if (!isAsked(rewrite)) return result;
  const images: BuiltImage[] = [];
  for (const image of result.images) images.push(await rewriteImage(image, rewrite, options));
  const layers = images.flatMap((image) => image.layers);
  const content = createImageContent(layers, options);
  return { images, content, descriptor: await describe(images, rewrite, options) };
}

function isAsked({ mediaTypes, forceCompression, clampTimes, annotations }: RewriteOptions): boolean {
  const { ofPlatform = {}, ...sets } = annotations;
  const annotated = Object.keys(ofPlatform).length > 0 || Object.values(sets).some((each) => !isEmpty(each));
  return mediaTypes === "docker" || forceCompression !== undefined || clampTimes !== undefined || annotated;
}

async function rewriteImage(image: BuiltImage, rewrite: RewriteOptions, options: BuildOptions): Promise<BuiltImage> {
  const turns = createSemaphore(options.concurrency);
  const layers = await Promise.all(image.layers.map((layer) => turns.run(() => rewriteLayer(layer, rewrite, options))));
  const config: ImageConfig = {
    ...image.config,
    rootfs: { type: "layers", diff_ids: layers.map(({ layer }) => layer.diffId) },
  };
  const encodedConfig = encodeImageConfig(config);
  await options.store.content.push(encodedConfig.descriptor, chunk(encodedConfig.bytes));
  const asked = annotationsOf(image, rewrite.annotations).manifest;
  const annotations = { ...image.manifest.annotations, ...asked };
  const manifest: Manifest = {
    schemaVersion: 2,
    mediaType: typed(MEDIA_TYPES.manifest, rewrite),
    config: { ...encodedConfig.descriptor, mediaType: typed(MEDIA_TYPES.config, rewrite) },
    layers: layers.map(({ layer }) => ({ ...layer.descriptor, mediaType: typed(layer.descriptor.mediaType, rewrite) })),
    ...(isEmpty(annotations) ? {} : { annotations }),
  };
  const encoded = encodeManifest(manifest);
  await options.store.content.push(encoded.descriptor, chunk(encoded.bytes));
  return { platform: image.platform, descriptor: encoded.descriptor, manifest, config, layers };
}

function isEmpty(set: AnnotationSet): boolean {
  return Object.keys(set).length === 0;
}

/** Those of all platforms, and those of the image's own. */
function annotationsOf(
  { platform }: BuiltImage,
  { manifest, manifestDescriptor, ofPlatform = {} }: Annotations,
): Pick<Annotations, "manifest" | "manifestDescriptor"> {
  const own = ofPlatform[formatPlatform(platform)];
  return {
    manifest: { ...manifest, ...own?.manifest },
    manifestDescriptor: { ...manifestDescriptor, ...own?.manifestDescriptor },
  };
}

function typed(mediaType: string, { mediaTypes }: RewriteOptions): string {
  return mediaTypes === "docker" ? toDockerMediaType(mediaType) : mediaType;
}

async function rewriteLayer(
  layer: RootfsLayer,
  { forceCompression, clampTimes }: RewriteOptions,
  options: BuildOptions,
): Promise<RootfsLayer> {
  const isBase = layer.createdAt === undefined;
  const clamp = isBase ? undefined : clampTimes;
  const compress =
    forceCompression !== undefined && layerCompression(layer.layer.descriptor.mediaType) !== forceCompression.type
      ? forceCompression
      : undefined;
  if (clamp === undefined && compress === undefined) return layer;
  const { signal } = options;
  const { content } = options.store;
  const compression = compress ?? options.compression;
  const name = memoName(layer, compression, clamp);
  const known = await recallLayer(name, options);
  if (known !== undefined) return { ...layer, ...known, content };
  await fetchLayer(layer, options);
  const rewritten = isBase
    ? { layer: await recompressLayer(layer.layer, { content, store: content, compression, signal }) }
    : await repackLayer(layer, clamp, { ...options, compression });
  await options.store.memo.put(MEMO, name, Buffer.from(JSON.stringify(rewritten)));
  return { ...layer, ...rewritten, content };
}

/** A layer that varve packed is packed again: the same tar, where no time changes. */
async function repackLayer(
  layer: RootfsLayer,
  clamp: number | undefined,
  options: BuildOptions,
): Promise<RewrittenLayer> {
  const { store, compression, signal } = options;
  const entries = clampEntries(await layerEntries(layer, options), clamp);
  const packed = await packLayer(entries, { store: store.content, compression, signal });
  return { layer: packed.layer, index: await storeLayerIndex(packed, store) };
}

const MEMO = "rewritten-layer/1";

function memoName({ layer }: RootfsLayer, { type, level }: Compression, clamp: number | undefined): string {
  return hexOf(digestOf(Buffer.from(JSON.stringify([layer.diffId, type, level ?? null, clamp ?? null]))));
}

/** Without an index, that of the layer it was made of holds: the tar is the same. */
type RewrittenLayer = { readonly layer: Layer; readonly index?: Descriptor };

/** What an earlier export made of the same layer, where its blobs are still there. */
async function recallLayer(name: string, { store }: BuildOptions): Promise<RewrittenLayer | undefined> {
  const value = await store.memo.get(MEMO, name);
  if (value === undefined) return undefined;
  const known = JSON.parse(Buffer.from(value).toString("utf8")) as RewrittenLayer;
  const blobs = [known.layer.descriptor, ...(known.index === undefined ? [] : [known.index])];
  const there = await Promise.all(blobs.map((blob) => store.content.exists(blob)));
  if (!there.every(Boolean)) return undefined;
  store.use(blobs.map(({ digest }) => digest));
  return known;
}

/** The layer's own entries, whiteouts included, with the contents of its files. */
async function layerEntries(layer: RootfsLayer, options: BuildOptions): Promise<readonly Entry[]> {
  const snapshotter = async (): ReturnType<typeof selectSnapshotter> =>
    selectSnapshotter(options.snapshotter, await options.store.makeTemporaryDirectory("mounts"));
  const layers = createLayers({ ...options, snapshotter });
  const index = await layers.index(layer);
  const tree = stackTrees([{ index, directory: await layers.directory(layer) }]);
  return index.entries.map(({ tarOffset: _, ...entry }) => {
    const content = entry.type === "file" ? tree.lookup(entry.path)?.content : undefined;
    return content === undefined ? entry : { ...entry, content };
  });
}

function clampEntries(entries: readonly Entry[], seconds: number | undefined): readonly Entry[] {
  if (seconds === undefined) return entries;
  const most = BigInt(seconds) * 1_000_000_000n;
  return entries.map((entry) => (entry.mtime > most ? { ...entry, mtime: most } : entry));
}

async function describe(
  images: readonly BuiltImage[],
  rewrite: RewriteOptions,
  options: BuildOptions,
): Promise<Descriptor> {
  const { annotations } = rewrite;
  const [first, ...others] = images;
  const manifests = images.map((image) => {
    const extra = annotationsOf(image, annotations).manifestDescriptor;
    return { ...image.descriptor, platform: image.platform, ...(isEmpty(extra) ? {} : { annotations: extra }) };
  });
  const isPlain = isEmpty(annotations.index) && manifests.every((each) => !("annotations" in each));
  const { indexDescriptor = {} } = annotations;
  const named = isEmpty(indexDescriptor) ? {} : { annotations: indexDescriptor };
  if (first !== undefined && others.length === 0 && isPlain) return { ...first.descriptor, ...named };
  const encoded = encodeIndex({
    schemaVersion: 2,
    mediaType: typed(MEDIA_TYPES.index, rewrite),
    manifests,
    ...(isEmpty(annotations.index) ? {} : { annotations: annotations.index }),
  });
  await options.store.content.push(encoded.descriptor, chunk(encoded.bytes));
  return { ...encoded.descriptor, ...named };
}

async function* chunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
