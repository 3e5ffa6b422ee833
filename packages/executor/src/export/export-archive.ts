import { join } from "node:path";
import { type NewMember, writeTar } from "@varve/layer";
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
  readContent,
  REF_NAME,
} from "@varve/oci";
import type { ImageOutput } from "./image-output.ts";

/** How the images are named in an archive: full names, `docker.io/library/app:1`. */
export interface ArchiveNames {
  readonly names: readonly string[];
  readonly signal: AbortSignal;
}

const CONTAINERD_NAME = "io.containerd.image.name";

/** The images as an OCI layout in a tar: image spec, image-layout.md. */
export async function* ociArchive(output: ImageOutput, { names, signal }: ArchiveNames): AsyncGenerator<Uint8Array> {
  yield* writeTar(ociMembers(output, { names, signal }));
}

async function* ociMembers(output: ImageOutput, { names, signal }: ArchiveNames): AsyncGenerator<NewMember> {
  yield textMember("oci-layout", JSON.stringify({ imageLayoutVersion: "1.0.0" }));
  yield textMember(
    "index.json",
    Buffer.from(
      encodeIndex({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.index,
        manifests: namedDescriptors(output.descriptor, names),
      }).bytes,
    ).toString("utf8"),
  );
  yield* blobMembers(output, signal);
}

async function* blobMembers({ descriptor, content }: ImageOutput, signal: AbortSignal): AsyncGenerator<NewMember> {
  yield { type: "directory", path: "blobs" };
  yield { type: "directory", path: "blobs/sha256" };
  for await (const each of descendants(descriptor, content, signal)) {
    yield {
      type: "file",
      path: `blobs/sha256/${hexOf(each.digest)}`,
      size: each.size,
      body: content.fetch(each, { signal }) as AsyncIterable<Uint8Array>,
    };
  }
}

function namedDescriptors(descriptor: Descriptor, names: readonly string[]): readonly Descriptor[] {
  if (names.length === 0) return [descriptor];
  return names.map((name) => ({
    ...descriptor,
    annotations: { ...descriptor.annotations, [CONTAINERD_NAME]: name, [REF_NAME]: tagOf(name) },
  }));
}

function tagOf(name: string): string {
  return name.slice(name.lastIndexOf(":") + 1);
}

/** All that `root` leads to, each once, itself last. */
async function* descendants(
  root: Descriptor,
  content: ImageOutput["content"],
  signal: AbortSignal,
  seen: Set<string> = new Set(),
): AsyncGenerator<Descriptor> {
  if (seen.has(root.digest)) return;
  seen.add(root.digest);
  for (const child of await childrenOf(root, content, signal)) yield* descendants(child, content, signal, seen);
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

function textMember(path: string, text: string): NewMember {
  const bytes = Buffer.from(text);
  return { type: "file", path, size: bytes.length, body: [bytes] };
}

/** The images as an OCI layout in directory `path`, beside what is there. */
export async function ociDirectory(output: ImageOutput, path: string, { names, signal }: ArchiveNames): Promise<void> {
  const layout = await createLayout(path);
  await copyImage(output.content, layout, { descriptor: output.descriptor, signal });
  for (const name of names.length === 0 ? ["latest"] : names) await layout.tag(output.descriptor, tagOf(name));
}

/**
 * One image as `docker save` writes it today: an OCI layout with a manifest.json beside, so that both kinds of tools
 * read it.
 */
export async function* dockerArchive(output: ImageOutput, options: ArchiveNames): AsyncGenerator<Uint8Array> {
  yield* writeTar(dockerMembers(output, options));
}

async function* dockerMembers(output: ImageOutput, options: ArchiveNames): AsyncGenerator<NewMember> {
  const { names } = options;
  const manifests = output.images.map(({ manifest }) => ({
    Config: blobPath(manifest.config),
    RepoTags: names.length === 0 ? null : names.map(dockerName),
    Layers: manifest.layers.map(blobPath),
  }));
  yield* ociMembers(output, options);
  yield textMember("manifest.json", JSON.stringify(manifests));
}

function blobPath(descriptor: Descriptor): string {
  return join("blobs", "sha256", hexOf(descriptor.digest));
}

function dockerName(name: string): string {
  return name.replace(/^docker\.io\/(?:library\/)?/, "");
}
