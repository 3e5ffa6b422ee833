import type { Descriptor } from "./descriptor.ts";
import { digestOf } from "./digest.ts";
import type { ImageConfig, ImageIndex, Manifest } from "./image.ts";
import { MEDIA_TYPES } from "./media-types.ts";

/** JSON as it is stored, and the descriptor that names it. */
export interface Encoded {
  readonly bytes: Uint8Array;
  readonly descriptor: Descriptor;
}

/** `value` as UTF-8 JSON of this media type; members in the order of the object. */
export function encodeJson(value: unknown, mediaType: string): Encoded {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}

/** An image manifest as bytes: the same manifest gives the same bytes, however the object was put together. */
export function encodeManifest(manifest: Manifest): Encoded {
  const { schemaVersion, mediaType, artifactType, config, layers, subject, annotations, ...rest } = manifest;
  const ordered = {
    schemaVersion,
    mediaType,
    artifactType,
    config: orderDescriptor(config),
    layers: layers.map(orderDescriptor),
    subject: subject && orderDescriptor(subject),
    annotations: sortMembers(annotations),
    ...sortMembers(rest),
  };
  return encodeJson(ordered, mediaType ?? MEDIA_TYPES.manifest);
}

/** An image index as bytes, with the same promise. */
export function encodeIndex(index: ImageIndex): Encoded {
  const { schemaVersion, mediaType, artifactType, manifests, annotations, ...rest } = index;
  const ordered = {
    schemaVersion,
    mediaType,
    artifactType,
    manifests: manifests.map(orderDescriptor),
    annotations: sortMembers(annotations),
    ...sortMembers(rest),
  };
  return encodeJson(ordered, mediaType ?? MEDIA_TYPES.index);
}

/** An image config as bytes, with the same promise. */
export function encodeImageConfig(config: ImageConfig): Encoded {
  const { created, author, architecture, variant, os, config: container, rootfs, history, ...rest } = config;
  const ordered = {
    created,
    author,
    architecture,
    variant,
    os,
    ...sortMembers(rest),
    config: sortMembers(container),
    rootfs: { type: rootfs.type, diff_ids: rootfs.diff_ids },
    history: history?.map(sortMembers),
  };
  return encodeJson(ordered, MEDIA_TYPES.config);
}

function orderDescriptor(descriptor: Descriptor): Descriptor {
  const { mediaType, digest, size, annotations, platform, artifactType, ...rest } = descriptor;
  return {
    mediaType,
    digest,
    size,
    ...(annotations === undefined ? {} : { annotations: sortMembers(annotations) }),
    ...(platform === undefined ? {} : { platform: sortMembers(platform) }),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...sortMembers(rest),
  };
}

/** The same value, the members of every object in it in the order of their names. */
function sortMembers<T>(value: T): T {
  if (Array.isArray(value)) return value.map(sortMembers) as T;
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([name, member]) => [name, sortMembers(member)])) as T;
}
