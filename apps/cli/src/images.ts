import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { isAbsolute, join, resolve } from "node:path";
import type { LocalStore } from "@varve/cache";
import {
  type ContentStore,
  createLayout,
  type Encoded,
  encodeManifest,
  familiarReference,
  formatReference,
  type Image,
  type Layout,
  MEDIA_TYPES,
  OciError,
  openLayout,
  parseImageConfig,
  parseReference,
  type Platform,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import { readTar } from "@varve/layer";
import { openRepository, RegistryError } from "@varve/registry";

export interface ImageFinderOptions {
  readonly store: LocalStore;
  /** Base images are looked up at their registry, or the build fails. */
  readonly pull: boolean;
  readonly onWarning: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Finds a base image by what FROM or --build-context names: a registry's reference, `oci-layout://`, `docker-archive://`. */
export function createImageFinder(
  options: ImageFinderOptions,
): (reference: string, platform: Platform) => Promise<Image> {
  return (reference, platform) => {
    const [, scheme = "", place = ""] =
      /^(?:(docker-image|oci-layout|docker-archive):\/\/)?(.*)$/s.exec(reference) ?? [];
    if (scheme === "oci-layout") return fromLayout(place, platform, options);
    if (scheme === "docker-archive") return fromArchive(place, platform, options);
    return fromRegistry(place, platform, options);
  };
}

/** `PATH`, `PATH:tag` or `PATH@digest`. */
async function fromLayout(place: string, platform: Platform, { signal }: ImageFinderOptions): Promise<Image> {
  const [, path = place, , tag, digest] =
    /^(.*?)((?::([A-Za-z0-9_][\w.-]*))|(?:@(sha256:[0-9a-f]{64})))?$/s.exec(place) ?? [];
  const layout = await openLayout(isAbsolute(path) ? path : resolve(path));
  const descriptors = await layout.list();
  const [only] = descriptors;
  const found =
    digest !== undefined
      ? descriptors.find((each) => each.digest === digest)
      : ((await layout.resolve(tag ?? "latest")) ?? (tag === undefined && descriptors.length === 1 ? only : undefined));
  if (found === undefined) {
    const names = descriptors.map((each) => each.annotations?.["org.opencontainers.image.ref.name"] ?? each.digest);
    throw new OciError(
      "LAYOUT_INVALID",
      `Cannot find ${digest ?? `tag "${tag ?? "latest"}"`} in OCI layout "${path}": it has ${names.join(", ") || "no image"}`,
    );
  }
  return resolveImage(layout, found, { platform, signal });
}

/** The one image of a `docker save` archive; its blobs are brought into the store. */
async function fromArchive(path: string, platform: Platform, { store, signal }: ImageFinderOptions): Promise<Image> {
  const directory = await store.makeTemporaryDirectory("tmp");
  const layout = await createLayout(join(directory, "archive"));
  const manifest = await unpackDockerArchive(resolve(path), layout);
  return resolveImage(layout, manifest, { platform, signal });
}

interface ArchiveManifest {
  readonly Config: string;
  readonly Layers: readonly string[];
}

async function unpackDockerArchive(
  path: string,
  layout: Layout,
): Promise<ReturnType<typeof encodeManifest>["descriptor"]> {
  const blobs = new Map<string, { readonly digest: `sha256:${string}`; readonly size: number }>();
  let index: readonly ArchiveManifest[] = [];
  for await (const { header, body } of readTar(createReadStream(path))) {
    if (header.name === "manifest.json") {
      const chunks: Buffer[] = [];
      for await (const chunk of body) chunks.push(chunk);
      index = JSON.parse(Buffer.concat(chunks).toString("utf8")) as readonly ArchiveManifest[];
    } else if (header.flag === "0") blobs.set(header.name, await ingest(layout, body));
    else if (header.flag === "2") aliasLayer(blobs, header.name, header.linkname);
  }
  const [image] = index;
  if (image === undefined)
    throw new OciError(
      "LAYOUT_INVALID",
      `Cannot use docker archive "${path}": it has no manifest.json that names an image`,
    );
  const find = (name: string): { readonly digest: `sha256:${string}`; readonly size: number } => {
    const blob = blobs.get(name);
    if (blob === undefined)
      throw new OciError("LAYOUT_INVALID", `Cannot use docker archive "${path}": it has no member "${name}"`);
    return blob;
  };
  parseImageConfig(await readFile(layout.blobPath(find(image.Config).digest)));
  const layers = await Promise.all(
    image.Layers.map(async (name) => ({
      mediaType: await layerType(layout.blobPath(find(name).digest)),
      ...find(name),
    })),
  );
  const encoded = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: { mediaType: MEDIA_TYPES.config, ...find(image.Config) },
    layers,
  });
  await push(layout, encoded);
  return encoded.descriptor;
}

function aliasLayer(
  blobs: Map<string, { readonly digest: `sha256:${string}`; readonly size: number }>,
  name: string,
  linkname: string,
): void {
  const target = join(name, "..", linkname);
  const blob = blobs.get(target);
  if (blob !== undefined) blobs.set(name, blob);
}

async function layerType(path: string): Promise<string> {
  for await (const chunk of createReadStream(path, { end: 3 })) {
    const head = chunk as Buffer;
    if (head[0] === 0x1f && head[1] === 0x8b) return MEDIA_TYPES.layerGzip;
    if (head.readUInt32LE(0) === 0xfd2fb528) return MEDIA_TYPES.layerZstd;
  }
  return MEDIA_TYPES.layer;
}

async function ingest(
  layout: Layout,
  body: AsyncIterable<Uint8Array>,
): Promise<{ readonly digest: `sha256:${string}`; readonly size: number }> {
  const writer = await layout.openWriter();
  try {
    for await (const chunk of body) await writer.write(chunk);
    return await writer.commit();
  } finally {
    await writer.abort();
  }
}

async function push(store: ContentStore, { descriptor, bytes }: Encoded): Promise<void> {
  async function* once(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  await store.push(descriptor, once());
}

/** The registry decides what a tag means; where it can't be reached, the store's image of that name is used, with a warning. */
async function fromRegistry(text: string, platform: Platform, options: ImageFinderOptions): Promise<Image> {
  const reference = withDefaultTag(parseReference(text));
  const local = await options.store.content.resolve(formatReference(reference));
  const repository = openRepository(reference);
  const place = reference.digest ?? reference.tag ?? "latest";
  try {
    const descriptor = await repository.resolve(place, options);
    if (descriptor !== undefined)
      return await resolveImage(repository, descriptor, { platform, signal: options.signal });
  } catch (error) {
    if (local === undefined || options.pull || !(error instanceof RegistryError)) throw error;
    options.onWarning(
      `Registry "${reference.registry}" could not be asked for ${familiarReference(reference)} (${error.code}): the image of that name in the store is used`,
    );
  }
  if (local !== undefined && !options.pull)
    return resolveImage(options.store.content, local, { platform, signal: options.signal });
  throw new RegistryError(
    "MANIFEST_UNKNOWN",
    `Cannot use image "${familiarReference(reference)}": registry "${reference.registry}" has none of that name: not found`,
    {
      status: 404,
      hint: "Check the name and the tag; a private image needs docker login",
    },
  );
}
