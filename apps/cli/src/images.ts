import type { LocalStore } from "@varve/cache";
import {
  familiarReference,
  formatReference,
  type Image,
  parseReference,
  type Platform,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import { openRepository, RegistryError } from "@varve/registry";
import { findImageFor } from "./places/open-place.ts";
import { parsePlace } from "./places/place.ts";

export interface ImageFinderOptions {
  readonly store: LocalStore;
  /** Base images are looked up at their registry, or the build fails. */
  readonly pull: boolean;
  readonly onWarning: (message: string) => void;
  readonly signal: AbortSignal;
}

/** Finds a base image by what FROM or --build-context names: a registry's reference, or a place as `parsePlace` reads it. */
export function createImageFinder(
  options: ImageFinderOptions,
): (reference: string, platform: Platform) => Promise<Image> {
  return async (text, platform) => {
    const place = parsePlace(text);
    if (place.transport === "name") return fromRegistry(place.text, platform, options);
    return (await findImageFor(text, { ...options, platform })).image;
  };
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
