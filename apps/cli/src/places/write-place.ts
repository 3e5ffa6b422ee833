import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { LocalStore } from "@varve/cache";
import { loadIntoDocker, type NamedImage, saveDockerArchive, saveOciArchive, writeFileWhole } from "@varve/executor";
import {
  type ContentSource,
  copyImage,
  type CopyOptions,
  type CopyTarget,
  createLayout,
  type Descriptor,
  familiarReference,
  formatReference,
  hostPlatform,
  isIndexMediaType,
  type Reference,
  resolveImage,
} from "@varve/oci";
import { openRepository } from "@varve/registry";
import { UsageError } from "../errors.ts";
import { type Place, referenceOf } from "./place.ts";
import { rememberDigest } from "./repo-digests.ts";

/** An image or index that is to be written. */
export interface ImageToWrite {
  readonly descriptor: Descriptor;
  readonly content: ContentSource;
}

export interface WriteOptions extends Pick<CopyOptions, "onProgress"> {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
}

/**
 * Writes an image to a place; gives the place's name for messages. A place that holds one platform gets this machine's
 * of an index.
 * @throws UsageError for a place without a name where it needs one; what source and place throw.
 */
export async function writeImage(image: ImageToWrite, place: Place, options: WriteOptions): Promise<string> {
  const { store, signal } = options;
  switch (place.transport) {
    case "name":
    case "varve": {
      const reference = nameable(place.text);
      await copyTo(store.content, image, { ...options, tag: formatReference(reference) });
      return `the store as ${familiarReference(reference)}`;
    }
    case "docker":
      return pushImage(image, place.reference, options);
    case "docker-daemon": {
      const named = await singleImage(image, [formatReference(nameable(place.text))], signal);
      await loadIntoDocker(saveDockerArchive([named], signal), signal);
      return `Docker as ${place.text}`;
    }
    case "oci": {
      if (place.digest !== undefined) throw new UsageError("Cannot write to a digest", "Write oci:PATH:TAG");
      const tag = place.tag ?? "latest";
      await copyTo(await createLayout(place.path), image, { ...options, tag });
      return `OCI layout ${place.path}:${tag}`;
    }
    case "oci-archive":
    case "docker-archive": {
      await writeArchive(image, place, options);
      return `archive ${place.path}`;
    }
    default:
      return place satisfies never;
  }
}

/** A name that an image can get. @throws UsageError for one with a digest. */
export function nameable(text: string): Reference {
  const reference = referenceOf(text);
  if (reference.digest === undefined) return reference;
  throw new UsageError(`Cannot name an image "${text}": a digest can't be chosen`, "Write REPOSITORY[:TAG]");
}

/** Pushes an image under a name; gives where it is. */
export async function pushImage(
  image: ImageToWrite,
  reference: Reference,
  { store, ...options }: WriteOptions,
): Promise<string> {
  if (reference.digest !== undefined) throw new UsageError("Cannot push to a digest", "Write REPOSITORY[:TAG]");
  await copyTo(openRepository(reference), image, { ...options, tag: reference.tag ?? "latest" });
  await rememberDigest(image.descriptor, reference, store);
  return `registry ${formatReference(reference)}@${image.descriptor.digest}`;
}

async function copyTo(
  target: CopyTarget,
  { descriptor, content }: ImageToWrite,
  options: CopyOptions & { readonly store?: LocalStore },
): Promise<void> {
  const { store: _, ...copy } = options;
  await copyImage(content, target, { ...copy, descriptor });
}

async function writeArchive(
  image: ImageToWrite,
  { transport, path, name }: Extract<Place, { path: string; name: unknown }>,
  { signal }: WriteOptions,
): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  if (transport === "docker-archive") {
    const names = name === undefined ? [] : [formatReference(nameable(name))];
    const named = await singleImage(image, names, signal);
    return writeFileWhole(path, saveDockerArchive([named], signal), signal);
  }
  const names = name === undefined ? [] : [/[/:]/.test(name) ? formatReference(nameable(name)) : name];
  return writeFileWhole(path, saveOciArchive([{ ...image, names }], signal), signal);
}

/** The one image, for what holds no indexes. */
export async function singleImage(
  { descriptor, content }: ImageToWrite,
  names: readonly string[],
  signal: AbortSignal,
): Promise<NamedImage> {
  if (!isIndexMediaType(descriptor.mediaType)) return { descriptor, content, names };
  const image = await resolveImage(content, descriptor, { platform: hostPlatform(), signal });
  return { descriptor: image.descriptor, content, names };
}
