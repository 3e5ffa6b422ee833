import type { LocalStore } from "@varve/cache";
import {
  CodedError,
  type Descriptor,
  type Digest,
  familiarReference,
  formatReference,
  hexOf,
  hostPlatform,
  type Image,
  isIndexMediaType,
  parseIndex,
  parseReference,
  readContent,
  REF_NAME,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import { ImageError } from "../errors.ts";

/** What the store lists: an image or an index of images, with all its names. */
export interface StoredImage {
  readonly descriptor: Descriptor;
  /** Full names, `docker.io/library/app:1`; none for what was built without one. */
  readonly names: readonly string[];
}

/** All that the store lists, those with names first, by name. */
export async function listStoredImages(store: LocalStore): Promise<readonly StoredImage[]> {
  const images = new Map<Digest, { readonly descriptor: Descriptor; readonly names: string[] }>();
  for (const { annotations, ...descriptor } of await store.content.list()) {
    const image = images.get(descriptor.digest) ?? { descriptor, names: [] as string[] };
    images.set(descriptor.digest, image);
    const name = annotations?.[REF_NAME];
    if (name !== undefined) image.names.push(name);
  }
  return [...images.values()].toSorted((a, b) => compareNames(a.names[0], b.names[0]));
}

function compareNames(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return (a === undefined ? 1 : 0) - (b === undefined ? 1 : 0);
  return a.localeCompare(b);
}

/** A full name as people write it. */
export function shortName(name: string): string {
  try {
    return familiarReference(parseReference(name));
  } catch {
    return name;
  }
}

/** The images that `descriptor` leads to, one for each platform; without those whose content is not there. */
export async function imagesOf(
  descriptor: Descriptor,
  store: LocalStore,
  signal: AbortSignal,
): Promise<readonly Image[]> {
  const manifests = isIndexMediaType(descriptor.mediaType)
    ? parseIndex(await readContent(store.content, descriptor, { signal })).manifests
    : [descriptor];
  const images = await Promise.all(
    manifests
      .filter(({ platform }) => platform?.os !== "unknown")
      .map(async ({ platform, ...each }) =>
        (await store.content.exists(each))
          ? resolveImage(store.content, each, { platform: platform ?? hostPlatform(), signal })
          : undefined,
      ),
  );
  return images.filter((image) => image !== undefined);
}

/**
 * What the store has under a name, `NAME@DIGEST`, or an image ID (of its config, manifest or index) or the beginning of
 * one; undefined where there is none.
 * @throws ImageError `IMAGE_UNKNOWN` where an ID's beginning fits several images.
 */
export async function findStoredImage(
  text: string,
  store: LocalStore,
  signal: AbortSignal,
): Promise<StoredImage | undefined> {
  const images = await listStoredImages(store);
  return findByName(text, images) ?? (await findById(text, images, { store, signal }));
}

function findByName(text: string, images: readonly StoredImage[]): StoredImage | undefined {
  let reference: ReturnType<typeof parseReference>;
  try {
    reference = withDefaultTag(parseReference(text));
  } catch (error) {
    if (error instanceof CodedError) return undefined;
    throw error;
  }
  const { digest } = reference;
  if (digest !== undefined) return images.find((image) => image.descriptor.digest === digest);
  return images.find(({ names }) => names.includes(formatReference(reference)));
}

async function findById(
  text: string,
  images: readonly StoredImage[],
  { store, signal }: { readonly store: LocalStore; readonly signal: AbortSignal },
): Promise<StoredImage | undefined> {
  const hex = /^(?:sha256:)?([0-9a-f]{2,64})$/.exec(text)?.[1];
  if (hex === undefined) return undefined;
  const found = new Map<Digest, StoredImage>();
  for (const image of images) {
    const each = await imagesOf(image.descriptor, store, signal);
    if (hexOf(image.descriptor.digest).startsWith(hex)) found.set(image.descriptor.digest, image);
    for (const { descriptor, manifest } of each) {
      const fits = [descriptor.digest, manifest.config.digest].some((digest) => hexOf(digest).startsWith(hex));
      const key = manifest.config.digest;
      // Of an index, the one image that is meant; its names are the index'. One image may have several manifests.
      if (fits && !found.has(image.descriptor.digest) && !found.has(key))
        found.set(key, descriptor.digest === image.descriptor.digest ? image : { descriptor, names: [] });
    }
  }
  if (found.size <= 1) return [...found.values()][0];
  throw new ImageError("IMAGE_UNKNOWN", `Cannot use image "${text}": ${found.size} images have IDs that begin so`, {
    hint: "Write more of the ID",
  });
}
