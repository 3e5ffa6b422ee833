import { createWriteStream, existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { LocalStore } from "@varve/cache";
import { type ArchivedImage, openImageArchive, saveFromDocker } from "@varve/executor";
import {
  CodedError,
  type ContentSource,
  type Descriptor,
  familiarReference,
  formatReference,
  type Image,
  openLayout,
  parseReference,
  type Platform,
  type Reference,
  REF_NAME,
  resolveImage,
  withDefaultTag,
} from "@varve/oci";
import { openRepository, RegistryError } from "@varve/registry";
import { ImageError } from "../errors.ts";
import { type Place, parsePlace, referenceOf } from "./place.ts";
import { findStoredImage, shortName } from "./store-images.ts";

/** An image, or an index of images, where it was found. */
export interface FoundImage {
  readonly descriptor: Descriptor;
  /** All that `descriptor` leads to. */
  readonly content: ContentSource;
  /** Names that it has there: full ones where they are, else as they are written there. */
  readonly names: readonly string[];
  /** Where it was found at a registry. */
  readonly reference?: Reference;
  /** For messages: "the store", "registry …". */
  readonly where: string;
}

export interface PlaceOptions {
  readonly store: LocalStore;
  readonly signal: AbortSignal;
}

/**
 * Finds what `text` names: see `parsePlace`. Archives are read into temporary files of the store, where they are
 * compressed.
 * @throws UsageError; ImageError `IMAGE_UNKNOWN`; OciError; RegistryError; StepError of Docker.
 */
export async function findImage(text: string, options: PlaceOptions): Promise<FoundImage> {
  const place = parsePlace(text);
  switch (place.transport) {
    case "name":
      return (await inStore(place.text, options)) ?? atItsRegistry(place.text, options);
    case "varve":
      return inStoreOrFail(place.text, options);
    case "docker":
      return (await atRegistry(place.reference, options)) ?? notAtRegistry(place.reference);
    case "docker-daemon":
      return inDocker(place.text, options);
    case "oci":
      return inLayout(place);
    case "oci-archive":
    case "docker-archive":
      return inArchive(place.path, place.name, options);
    default:
      return place satisfies never;
  }
}

/** The one image for `platform` of what `text` names. @throws as `findImage`; OciError `PLATFORM_UNAVAILABLE` */
export async function findImageFor(
  text: string,
  { platform, ...options }: PlaceOptions & { readonly platform: Platform },
): Promise<FoundImage & { readonly image: Image }> {
  const found = await findImage(text, options);
  return { ...found, image: await resolveImage(found.content, found.descriptor, { ...options, platform }) };
}

/** What the store has under a name or an ID. @throws ImageError `IMAGE_UNKNOWN` */
export async function inStoreOrFail(text: string, options: PlaceOptions): Promise<FoundImage> {
  const found = await inStore(text, options);
  if (found !== undefined) return found;
  throw new ImageError("IMAGE_UNKNOWN", `Cannot find image "${text}": the store has none of that name or ID`, {
    hint: "varve images lists what it has; varve pull or varve load brings more",
  });
}

async function inStore(text: string, { store, signal }: PlaceOptions): Promise<FoundImage | undefined> {
  const found = await findStoredImage(text, store, signal);
  return found === undefined ? undefined : { ...found, content: store.content, where: "the store" };
}

/** A name that the store does not know. */
async function atItsRegistry(text: string, options: PlaceOptions): Promise<FoundImage> {
  const unknown = (why: string, cause?: unknown): ImageError =>
    new ImageError("IMAGE_UNKNOWN", `Cannot find image "${text}": the store has none of that name or ID, and ${why}`, {
      ...(cause === undefined ? {} : { cause }),
      hint: existsSync(text)
        ? `A file is named oci-archive:${text} or docker-archive:${text}, a directory oci:${text}`
        : "varve images lists what the store has; a private image needs docker login",
    });
  let reference: Reference;
  try {
    reference = withDefaultTag(parseReference(text));
  } catch (error) {
    if (error instanceof CodedError) throw unknown("it is no name of an image at a registry", error);
    throw error;
  }
  try {
    const found = await atRegistry(reference, options);
    if (found !== undefined) return found;
  } catch (error) {
    if (!(error instanceof RegistryError)) throw error;
    throw unknown(`registry "${reference.registry}" could not be asked: ${error.message}`, error);
  }
  throw unknown(`registry "${reference.registry}" has none either`);
}

async function atRegistry(reference: Reference, { signal }: PlaceOptions): Promise<FoundImage | undefined> {
  const repository = openRepository(reference);
  const descriptor = await repository.resolve(reference.digest ?? reference.tag ?? "latest", { signal });
  if (descriptor === undefined) return undefined;
  const names = reference.digest === undefined ? [formatReference(reference)] : [];
  return { descriptor, content: repository, names, reference, where: `registry "${reference.registry}"` };
}

function notAtRegistry(reference: Reference): never {
  throw new ImageError(
    "IMAGE_UNKNOWN",
    `Cannot find image "${familiarReference(reference)}": registry "${reference.registry}" has none of that name`,
    { hint: "Check the name and the tag; a private image needs docker login" },
  );
}

async function inDocker(text: string, options: PlaceOptions): Promise<FoundImage> {
  const chunks = await saveFromDocker(text, options.signal);
  if (chunks === undefined)
    throw new ImageError("IMAGE_UNKNOWN", `Cannot find image "${text}": Docker has none of that name or ID`);
  const file = join(await options.store.makeTemporaryDirectory("tmp"), "docker.tar");
  await pipeline(chunks, createWriteStream(file), { signal: options.signal });
  const { images, content } = await openArchive(file, options);
  const [image] = images;
  if (image === undefined) throw new Error(`Docker gave an archive without an image for "${text}"`);
  const named = /^(?:sha256:)?[0-9a-f]{64}$/.test(text) ? [] : [formatReference(referenceOf(text))];
  return { descriptor: image.descriptor, content, names: named, where: "Docker" };
}

async function inLayout({ path, tag, digest }: Extract<Place, { transport: "oci" }>): Promise<FoundImage> {
  const layout = await openLayout(path);
  const images = (await layout.list()).map((descriptor) => ({
    descriptor,
    names: [descriptor.annotations?.[REF_NAME], descriptor.annotations?.["io.containerd.image.name"]].filter(
      (name) => name !== undefined,
    ),
  }));
  const found =
    digest === undefined
      ? chooseImage(images, { what: "OCI layout", path, name: tag })
      : (images.find(({ descriptor }) => descriptor.digest === digest) ??
        notInside(images, { what: "OCI layout", path, name: digest }));
  const { annotations: _, ...descriptor } = found.descriptor;
  return { descriptor, content: layout, names: found.names, where: `OCI layout "${path}"` };
}

async function inArchive(path: string, name: string | undefined, options: PlaceOptions): Promise<FoundImage> {
  const { images, content } = await openArchive(path, options);
  const found = chooseImage(images, { what: "archive", path, name });
  return { ...found, content, where: `archive "${path}"` };
}

/** An archive whose temporary files go with the store's. */
export async function openArchive(
  path: string,
  { store, signal }: PlaceOptions,
): Promise<{ readonly images: readonly ArchivedImage[]; readonly content: ContentSource }> {
  const scratch = join(await store.makeTemporaryDirectory("tmp"), "archive");
  await mkdir(scratch);
  return openImageArchive(path, { scratch, signal });
}

interface Chosen {
  readonly what: string;
  readonly path: string;
  readonly name: string | undefined;
}

/** By name or tag; the only one, or the one called `latest`, where none is given. */
function chooseImage(images: readonly ArchivedImage[], chosen: Chosen): ArchivedImage {
  const { name } = chosen;
  const [first, ...others] = images;
  if (name === undefined && first !== undefined && others.length === 0) return first;
  const wanted = name ?? "latest";
  const found = images.find(({ names }) =>
    names.some((each) => each === wanted || fullName(each) === fullName(wanted)),
  );
  return found ?? notInside(images, { ...chosen, name: wanted });
}

function notInside(images: readonly ArchivedImage[], { what, path, name }: Chosen): never {
  const names = images.flatMap((image) =>
    image.names.length === 0 ? [image.descriptor.digest] : image.names.map(shortName),
  );
  throw new ImageError(
    "IMAGE_UNKNOWN",
    `Cannot find image "${name}" in ${what} "${path}": it has ${names.join(", ") || "no image"}`,
    { hint: `Choose one by ${what === "archive" ? "docker-archive" : "oci"}:${path}:NAME` },
  );
}

function fullName(name: string): string {
  try {
    return formatReference(withDefaultTag(parseReference(name)));
  } catch {
    return name;
  }
}
