import { resolve } from "node:path";
import type { LocalStore } from "@varve/cache";
import {
  familiarReference,
  formatReference,
  type Image,
  OciError,
  openLayout,
  parseReference,
  type Platform,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import { openRepository, RegistryError } from "@varve/registry";
import { openDockerArchive } from "./docker-archive.ts";

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
    if (scheme === "docker-archive") return openDockerArchive(place, { platform, ...options });
    return fromRegistry(place, platform, options);
  };
}

/** `PATH`, `PATH:tag` or `PATH@digest`. */
async function fromLayout(place: string, platform: Platform, { signal }: ImageFinderOptions): Promise<Image> {
  const [, path = place, , tag, digest] =
    /^(.*?)((?::([A-Za-z0-9_][\w.-]*))|(?:@(sha256:[0-9a-f]{64})))?$/s.exec(place) ?? [];
  const layout = await openLayout(resolve(path));
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
