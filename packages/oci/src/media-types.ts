/** Media types of the image specification, media-types.md. */
export const MEDIA_TYPES = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
} as const;

/** What Docker called the same things, image manifest version 2, schema 2. */
export const DOCKER_MEDIA_TYPES = {
  index: "application/vnd.docker.distribution.manifest.list.v2+json",
  manifest: "application/vnd.docker.distribution.manifest.v2+json",
  config: "application/vnd.docker.container.image.v1+json",
  layer: "application/vnd.docker.image.rootfs.diff.tar",
  layerGzip: "application/vnd.docker.image.rootfs.diff.tar.gzip",
  layerZstd: "application/vnd.docker.image.rootfs.diff.tar.zstd",
} as const;

const FOREIGN_LAYER =
  /^application\/vnd\.(?:docker\.image\.rootfs\.foreign\.diff|oci\.image\.layer\.nondistributable\.v1)\.tar(?:[.+](?:gzip|zstd))?$/;

type Role = keyof typeof MEDIA_TYPES;
const ROLES = Object.keys(MEDIA_TYPES) as Role[];

/** The Docker media type that means the same as `mediaType`; itself where there is none. */
export function toDockerMediaType(mediaType: string): string {
  const role = ROLES.find((each) => MEDIA_TYPES[each] === mediaType);
  return role === undefined ? mediaType : DOCKER_MEDIA_TYPES[role];
}

/** The OCI media type that means the same as `mediaType`; itself where there is none. */
export function toOciMediaType(mediaType: string): string {
  const role = ROLES.find((each) => DOCKER_MEDIA_TYPES[each] === mediaType);
  return role === undefined ? mediaType : MEDIA_TYPES[role];
}

/** True for an image index or a manifest list. */
export function isIndexMediaType(mediaType: string): boolean {
  return toOciMediaType(mediaType) === MEDIA_TYPES.index;
}

/** True for an image manifest. */
export function isManifestMediaType(mediaType: string): boolean {
  return toOciMediaType(mediaType) === MEDIA_TYPES.manifest;
}

/** True for a layer of an image, compressed or not. */
export function isLayerMediaType(mediaType: string): boolean {
  const type = toOciMediaType(mediaType);
  return (
    isForeignLayerMediaType(mediaType) ||
    type === MEDIA_TYPES.layer ||
    type === MEDIA_TYPES.layerGzip ||
    type === MEDIA_TYPES.layerZstd
  );
}

/** True for a layer whose licence forbids to push it: image spec, layer.md, "Non-Distributable Layers". */
export function isForeignLayerMediaType(mediaType: string): boolean {
  return FOREIGN_LAYER.test(mediaType);
}

/** How a layer of this media type is compressed. */
export function layerCompression(mediaType: string): "none" | "gzip" | "zstd" {
  if (/[+.]zstd$/.test(mediaType)) return "zstd";
  return /[+.]gzip$/.test(mediaType) ? "gzip" : "none";
}
