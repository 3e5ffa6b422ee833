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
  const { schemaVersion, mediaType, artifactType, config, layers, subject, annotations } = manifest;
  const ordered = {
    schemaVersion,
    mediaType,
    artifactType,
    config: orderDescriptor(config),
    layers: layers.map(orderDescriptor),
    subject: subject && orderDescriptor(subject),
    annotations,
  };
  return encodeJson(ordered, mediaType ?? MEDIA_TYPES.manifest);
}

/** An image index as bytes. */
export function encodeIndex(index: ImageIndex): Encoded {
  const { schemaVersion, mediaType, artifactType, manifests, annotations } = index;
  return encodeJson(
    { schemaVersion, mediaType, artifactType, manifests: manifests.map(orderDescriptor), annotations },
    mediaType ?? MEDIA_TYPES.index,
  );
}

/** An image config as bytes. */
export function encodeImageConfig(config: ImageConfig): Encoded {
  const { created, author, architecture, variant, os, config: container, rootfs, history, ...rest } = config;
  const ordered = { created, author, architecture, variant, os, ...rest, config: container, rootfs, history };
  return encodeJson(ordered, MEDIA_TYPES.config);
}

function orderDescriptor({ mediaType, digest, size, annotations, platform, artifactType }: Descriptor): Descriptor {
  return {
    mediaType,
    digest,
    size,
    ...(annotations === undefined ? {} : { annotations }),
    ...(platform === undefined ? {} : { platform }),
    ...(artifactType === undefined ? {} : { artifactType }),
  };
}
