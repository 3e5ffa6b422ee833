import { createReadStream, existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { LocalStore } from "@varve/cache";
import { readTar } from "@varve/layer";
import {
  createLayout,
  type Descriptor,
  type Digest,
  encodeManifest,
  familiarReference,
  formatReference,
  type Image,
  type Layout,
  MEDIA_TYPES,
  OciError,
  parseReference,
  type Platform,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";

export interface DockerArchiveOptions {
  readonly platform: Platform;
  readonly store: LocalStore;
  readonly signal: AbortSignal;
}

/** A member of `manifest.json`: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format". */
interface ArchiveImage {
  readonly Config: string;
  readonly RepoTags: readonly string[] | null;
  readonly Layers: readonly string[];
}

interface Blob {
  readonly digest: Digest;
  readonly size: number;
}

/** More than any manifest.json: bytes. */
const LIMIT = 64 * 1024 * 1024;

/**
 * An image of the archive that `docker save` writes. `place` is `PATH`, or `PATH:REFERENCE` where it holds several.
 * @throws OciError `LAYOUT_INVALID`; LayerError `ARCHIVE_CORRUPT`.
 */
export async function openDockerArchive(
  place: string,
  { platform, store, signal }: DockerArchiveOptions,
): Promise<Image> {
  const { path, name } = splitPlace(place);
  const directory = join(await store.makeTemporaryDirectory("tmp"), "archive");
  await mkdir(directory);
  const layout = await createLayout(directory);
  const { images, blobs } = await readMembers(path, layout);
  const descriptor = await writeManifest(chooseImage(images, { path, name }), { path, layout, blobs });
  return resolveImage(layout, descriptor, { platform, signal });
}

function splitPlace(place: string): { readonly path: string; readonly name: string | undefined } {
  const path = resolve(place);
  const colon = place.indexOf(":");
  if (existsSync(path) || colon < 0) return { path, name: undefined };
  return { path: resolve(place.slice(0, colon)), name: place.slice(colon + 1) };
}

function invalid(path: string, reason: string): OciError {
  return new OciError("LAYOUT_INVALID", `Cannot use docker archive "${path}": ${reason}`);
}

interface Members {
  readonly images: readonly ArchiveImage[];
  readonly blobs: ReadonlyMap<string, Blob>;
}

async function readMembers(path: string, layout: Layout): Promise<Members> {
  if (!existsSync(path)) throw invalid(path, "there is no such file");
  const blobs = new Map<string, Blob>();
  let images: readonly ArchiveImage[] | undefined;
  for await (const { header, body } of readTar(createReadStream(path))) {
    if (header.name === "manifest.json") images = parseImages(path, await readText(path, body));
    else if (header.flag === "0") blobs.set(header.name, await ingest(layout, body));
    // Older versions of Docker write a layer that two images share once, and links to it.
    else if (header.flag === "2") alias(blobs, header.name, header.linkname);
  }
  if (images === undefined || images.length === 0) throw invalid(path, "it has no manifest.json that names an image");
  return { images, blobs };
}

async function readText(path: string, body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > LIMIT) throw invalid(path, "its manifest.json is too long");
    chunks.push(Uint8Array.from(chunk));
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseImages(path: string, text: string): readonly ArchiveImage[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid(path, "its manifest.json is no JSON");
  }
  if (!Array.isArray(value) || !value.every(isArchiveImage))
    throw invalid(path, "its manifest.json does not list images");
  return value;
}

function isArchiveImage(value: unknown): value is ArchiveImage {
  const { Config, Layers } = (value ?? {}) as { readonly Config?: unknown; readonly Layers?: unknown };
  return (
    typeof Config === "string" && Array.isArray(Layers) && Layers.every((name: unknown) => typeof name === "string")
  );
}

async function ingest(layout: Layout, body: AsyncIterable<Uint8Array>): Promise<Blob> {
  const writer = await layout.openWriter();
  try {
    for await (const chunk of body) await writer.write(chunk);
    return await writer.commit();
  } finally {
    await writer.abort();
  }
}

function alias(blobs: Map<string, Blob>, name: string, linkname: string): void {
  const blob = blobs.get(join(name, "..", linkname));
  if (blob !== undefined) blobs.set(name, blob);
}

function chooseImage(
  images: readonly ArchiveImage[],
  { path, name }: { readonly path: string; readonly name: string | undefined },
): ArchiveImage {
  const [first] = images;
  if (first === undefined) throw invalid(path, "it has no image");
  const names = images.flatMap(({ RepoTags }) => RepoTags ?? []);
  if (name === undefined) {
    if (images.length === 1) return first;
    throw invalid(path, `it has ${images.length} images; choose one by docker-archive://${path}:${names[0]}`);
  }
  const wanted = fullName(name);
  const found = images.find(({ RepoTags }) => (RepoTags ?? []).some((each) => fullName(each) === wanted));
  if (found !== undefined) return found;
  const shown = familiarReference(withDefaultTag(parseReference(name)));
  throw invalid(path, `it has no image "${shown}"; it has ${names.join(", ") || "one without a name"}`);
}

function fullName(name: string): string {
  return formatReference(withDefaultTag(parseReference(name)));
}

interface ManifestParts {
  readonly path: string;
  readonly layout: Layout;
  readonly blobs: ReadonlyMap<string, Blob>;
}

async function writeManifest(image: ArchiveImage, { path, layout, blobs }: ManifestParts): Promise<Descriptor> {
  const find = (name: string): Blob => {
    const blob = blobs.get(name);
    if (blob === undefined) throw invalid(path, `it has no member "${name}"`);
    return blob;
  };
  const layers = await Promise.all(
    image.Layers.map(find).map(async (blob) => ({
      mediaType: await layerType(layout.blobPath(blob.digest)),
      ...blob,
    })),
  );
  const { descriptor, bytes } = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: { mediaType: MEDIA_TYPES.config, ...find(image.Config) },
    layers,
  });
  await layout.push(descriptor, once(bytes));
  return descriptor;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Archives do not say how a layer is compressed; its first bytes do. */
async function layerType(path: string): Promise<string> {
  for await (const chunk of createReadStream(path, { end: 3 })) {
    const head = chunk as Buffer;
    if (head[0] === 0x1f && head[1] === 0x8b) return MEDIA_TYPES.layerGzip;
    if (head.length === 4 && head.readUInt32LE(0) === 0xfd2fb528) return MEDIA_TYPES.layerZstd;
  }
  return MEDIA_TYPES.layer;
}
