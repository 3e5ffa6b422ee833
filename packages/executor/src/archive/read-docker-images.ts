import { type Descriptor, digestOf, encodeManifest, MEDIA_TYPES, OciError, parseImageConfig } from "@varve/oci";
import { type ArchiveFile, archiveInvalid, readArchiveFile, readArchiveJson } from "./archive-files.ts";
import type { ArchivedImage, ArchivePlace } from "./archived-image.ts";

/** A member of `manifest.json`: Docker image specification 1.2, "Combined Image JSON + Filesystem Changeset Format". */
interface ManifestMember {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[] | null;
}

/** The images that manifest.json lists. @throws OciError `LAYOUT_INVALID`, `DIGEST_MISMATCH`, `MANIFEST_INVALID` */
export async function readDockerImages(place: ArchivePlace): Promise<readonly ArchivedImage[]> {
  const { path, files } = place;
  const { value } = await readArchiveJson(files, { archive: path, name: "manifest.json" });
  if (!Array.isArray(value) || !value.every(isMember))
    throw archiveInvalid(path, "its manifest.json does not list images");
  if (value.length === 0) throw archiveInvalid(path, "its manifest.json lists no image");
  const images: ArchivedImage[] = [];
  for (const member of value)
    images.push({ descriptor: await readMember(member, place), names: member.RepoTags ?? [] });
  return images;
}

function isMember(value: unknown): value is ManifestMember {
  const { Config, Layers } = (value ?? {}) as { readonly Config?: unknown; readonly Layers?: unknown };
  const isList = Array.isArray(Layers) && Layers.every((name: unknown) => typeof name === "string");
  return typeof Config === "string" && (isList || Layers === null);
}

async function readMember({ Config, Layers }: ManifestMember, place: ArchivePlace): Promise<Descriptor> {
  const { path, files } = place;
  const { bytes } = await readArchiveJson(files, { archive: path, name: Config });
  const layers = (Layers ?? []).map((name) => {
    const file = files.find(name);
    if (file === undefined) throw archiveInvalid(path, `it has no file "${name}"`);
    return { name, file };
  });
  return describeImage({ config: bytes, layers }, place);
}

/** An image of an archive that has no manifest for it. */
export interface ArchiveParts {
  readonly config: Uint8Array;
  /** Oldest first. */
  readonly layers: readonly { readonly name: string; readonly file: ArchiveFile }[];
}

/**
 * Makes a manifest, part of the archive's content, for a config and layers.
 * @throws OciError `DIGEST_MISMATCH` for a plain layer that is not the one the config names; `LAYOUT_INVALID`
 */
export async function describeImage(
  { config, layers }: ArchiveParts,
  { path, content }: ArchivePlace,
): Promise<Descriptor> {
  const diffIds = parseImageConfig(config).rootfs.diff_ids;
  if (diffIds.length !== layers.length)
    throw archiveInvalid(path, `an image has ${layers.length} layers, and a config for ${diffIds.length}`);
  const descriptors: Descriptor[] = [];
  for (const [position, { name, file }] of layers.entries()) {
    const blob = { mediaType: await layerType(file), ...(await content.addFile(file)) };
    if (blob.mediaType === MEDIA_TYPES.layer && blob.digest !== diffIds[position])
      throw new OciError(
        "DIGEST_MISMATCH",
        `Cannot use image archive "${path}": its layer "${name}" has the digest ${blob.digest}; its config wants ${diffIds[position]}`,
        { hint: "The archive was altered or damaged: have it written again" },
      );
    descriptors.push(blob);
  }
  const configDigest = digestOf(config);
  content.addBytes(configDigest, config);
  const { descriptor, bytes } = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.manifest,
    config: { mediaType: MEDIA_TYPES.config, digest: configDigest, size: config.length },
    layers: descriptors,
  });
  content.addBytes(descriptor.digest, bytes);
  return descriptor;
}

/** Archives do not say how a layer is compressed; its first bytes do. */
async function layerType(file: ArchiveFile): Promise<string> {
  for await (const head of readArchiveFile({ ...file, size: Math.min(4, file.size) })) {
    if (head[0] === 0x1f && head[1] === 0x8b) return MEDIA_TYPES.layerGzip;
    if (head.length === 4 && head.readUInt32LE(0) === 0xfd2fb528) return MEDIA_TYPES.layerZstd;
  }
  return MEDIA_TYPES.layer;
}
