import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type NewMember, type TarPart, tarParts } from "@varve/layer";
import {
  copyImage,
  createLayout,
  type Descriptor,
  encodeIndex,
  hexOf,
  isIndexMediaType,
  isManifestMediaType,
  MEDIA_TYPES,
  parseIndex,
  parseManifest,
  readChunks,
  readContent,
  REF_NAME,
} from "@varve/oci";
import { StepError } from "../errors.ts";
import type { ImageOutput } from "./image-output.ts";
import { exportError } from "./write-file.ts";

/** How the images are named in an archive: full names, `docker.io/library/app:1`. */
export interface ArchiveNames {
  readonly names: readonly string[];
  readonly signal: AbortSignal;
}

/** An image or index that goes into an archive under names. */
export interface NamedImage extends Pick<ImageOutput, "descriptor" | "content"> {
  /** Full names, `docker.io/library/app:1`; or tags alone, for a layout. */
  readonly names: readonly string[];
}

/** Blobs above this are copied where they can be: bytes. */
const LARGE = 8 * 1024 * 1024;
const CONTAINERD_NAME = "io.containerd.image.name";

/** The images as an OCI layout in a tar: image spec, image-layout.md. A part is valid until the next is asked for. */
export async function* ociArchive(output: ImageOutput, { names, signal }: ArchiveNames): AsyncGenerator<TarPart> {
  yield* saveOciArchive([{ ...output, names }], signal);
}

/** Images and indexes as one OCI layout in a tar, in parts as above; content that they share once. */
export async function* saveOciArchive(images: readonly NamedImage[], signal: AbortSignal): AsyncGenerator<TarPart> {
  yield* tarParts(ociMembers(images, signal));
}

async function* ociMembers(images: readonly NamedImage[], signal: AbortSignal): AsyncGenerator<NewMember> {
  yield textMember("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  yield textMember(
    "index.json",
    Buffer.from(
      encodeIndex({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.index,
        manifests: images.flatMap(({ descriptor, names }) => namedDescriptors(descriptor, names)),
      }).bytes,
    ).toString("utf8"),
  );
  yield { type: "directory", path: "blobs" };
  yield { type: "directory", path: "blobs/sha256" };
  const seen = new Set<string>();
  for (const { descriptor, content } of images) yield* blobMembers({ descriptor, content }, { signal, seen });
}

async function* blobMembers(
  { descriptor, content }: Pick<ImageOutput, "descriptor" | "content">,
  { signal, seen }: { readonly signal: AbortSignal; readonly seen: Set<string> },
): AsyncGenerator<NewMember> {
  for await (const each of descendants(descriptor, content, { signal, seen })) {
    const { digest, size } = each;
    const file = size < LARGE ? undefined : content.file?.(each);
    const source = file === undefined ? {} : { source: { file, digest } };
    yield { type: "file", path: blobPath(each), size, body: readChunks(content, each, { signal }), ...source };
  }
}

function namedDescriptors(descriptor: Descriptor, names: readonly string[]): readonly Descriptor[] {
  if (names.length === 0) return [descriptor];
  return names.map((name) => {
    const full = name.includes("/") ? { [CONTAINERD_NAME]: name } : {};
    return { ...descriptor, annotations: { ...descriptor.annotations, ...full, [REF_NAME]: tagOf(name) } };
  });
}

function tagOf(name: string): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

/** All that `root` leads to, each once, itself last. */
async function* descendants(
  root: Descriptor,
  content: ImageOutput["content"],
  options: { readonly signal: AbortSignal; readonly seen: Set<string> },
): AsyncGenerator<Descriptor> {
  if (options.seen.has(root.digest)) return;
  options.seen.add(root.digest);
  for (const child of await childrenOf(root, content, options.signal)) yield* descendants(child, content, options);
  yield root;
}

async function childrenOf(
  descriptor: Descriptor,
  content: ImageOutput["content"],
  signal: AbortSignal,
): Promise<readonly Descriptor[]> {
  if (isIndexMediaType(descriptor.mediaType))
    return parseIndex(await readContent(content, descriptor, { signal })).manifests;
  if (!isManifestMediaType(descriptor.mediaType)) return [];
  const manifest = parseManifest(await readContent(content, descriptor, { signal }));
  return [...manifest.layers, manifest.config];
}

/**
 * The images as an OCI layout in directory `path`. A new directory appears whole or not at all; in a layout that is
 * there, the images are added.
 * @throws StepError `EXPORT_FAILED`; OciError `LAYOUT_INVALID`.
 */
export async function ociDirectory(output: ImageOutput, path: string, names: ArchiveNames): Promise<void> {
  const target = resolve(path);
  try {
    const isNew = !existsSync(target) || (await readdir(target)).length === 0;
    if (!isNew) return await writeLayout(output, target, names);
    await mkdir(dirname(target), { recursive: true });
    const temporary = await mkdtemp(`${target}.partial-`);
    try {
      const layout = join(temporary, "layout");
      await writeLayout(output, layout, names);
      await rm(target, { recursive: true, force: true });
      await rename(layout, target);
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  } catch (cause) {
    throw exportError(path, cause);
  }
}

async function writeLayout(output: ImageOutput, path: string, { names, signal }: ArchiveNames): Promise<void> {
  const layout = await createLayout(path);
  await copyImage(output.content, layout, { descriptor: output.descriptor, signal });
  if (names.length === 0) await layout.tag(output.descriptor, "latest");
  for (const descriptor of namedDescriptors(output.descriptor, names))
    await layout.tag(descriptor, descriptor.annotations?.[REF_NAME] ?? "latest");
}

/**
 * One image as `docker save` writes it today: an OCI layout with a manifest.json beside, so that both kinds of tools
 * read it. A part is valid until the next is asked for.
 * @throws StepError `EXPORT_FAILED` where there are several images.
 */
export async function* dockerArchive(output: ImageOutput, options: ArchiveNames): AsyncGenerator<TarPart> {
  if (output.images.length > 1)
    throw new StepError(
      "EXPORT_FAILED",
      `Cannot write images for ${output.images.length} platforms as a docker archive: it holds one image`,
      { hint: "Build for one --platform, or write an OCI archive with -o type=oci,dest=FILE" },
    );
  yield* saveDockerArchive([{ ...output, names: options.names }], options.signal);
}

/**
 * Images (manifests, no indexes) as `docker save` writes them today, as above.
 */
export async function* saveDockerArchive(images: readonly NamedImage[], signal: AbortSignal): AsyncGenerator<TarPart> {
  yield* tarParts(dockerMembers(images, signal));
}

async function* dockerMembers(images: readonly NamedImage[], signal: AbortSignal): AsyncGenerator<NewMember> {
  const members: unknown[] = [];
  for (const { descriptor, content, names } of images) {
    const manifest = parseManifest(await readContent(content, descriptor, { signal }));
    members.push({
      Config: blobPath(manifest.config),
      RepoTags: names.length === 0 ? null : names.map(dockerName),
      Layers: manifest.layers.map(blobPath),
    });
  }
  yield* ociMembers(images, signal);
  yield textMember("manifest.json", JSON.stringify(members));
}

/** A small file of an archive. */
export function textMember(path: string, text: string): NewMember {
  const bytes = Buffer.from(text);
  return { type: "file", path, size: bytes.length, body: [bytes] };
}

function blobPath(descriptor: Descriptor): string {
  return `blobs/sha256/${hexOf(descriptor.digest)}`;
}

/** `name` as Docker's archives have it: without Docker Hub's own parts. */
export function dockerName(name: string): string {
  return name.replace(/^docker\.io\/(?:library\/)?/, "");
}
