import type { Descriptor } from "./descriptor.ts";
import { isDigest } from "./digest.ts";
import { OciError } from "./errors.ts";
import type { ImageConfig, ImageIndex, Manifest } from "./image.ts";

type Json = Record<string, unknown>;

/**
 * Bytes as an image manifest; members that the specification demands are checked, others kept.
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parseObject(bytes, "manifest");
  checkVersion(value, "manifest");
  const layers = value["layers"] ?? [];
  if (!Array.isArray(layers)) throw invalid("manifest", "layers", "an array");
  const config = parseDescriptor(value["config"], "manifest", "config");
  return {
    ...(value as unknown as Manifest),
    config,
    layers: layers.map((layer, position) => parseDescriptor(layer, "manifest", `layers[${position}]`)),
  };
}

/**
 * Bytes as an image index.
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseIndex(bytes: Uint8Array): ImageIndex {
  const value = parseObject(bytes, "index");
  checkVersion(value, "index");
  const manifests = value["manifests"] ?? [];
  if (!Array.isArray(manifests)) throw invalid("index", "manifests", "an array");
  return {
    ...(value as unknown as ImageIndex),
    manifests: manifests.map((each, position) => parseDescriptor(each, "index", `manifests[${position}]`)),
  };
}

/**
 * Bytes as an image config.
 * @throws OciError `MANIFEST_INVALID` naming the member.
 */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const value = parseObject(bytes, "image config");
  const rootfs = value["rootfs"] as Json | null | undefined;
  const diffIds = rootfs?.["diff_ids"] ?? [];
  if (!Array.isArray(diffIds)) throw invalid("image config", "rootfs.diff_ids", "an array");
  for (const [position, diffId] of diffIds.entries()) {
    if (typeof diffId !== "string" || !isDigest(diffId))
      throw invalid("image config", `rootfs.diff_ids[${position}]`, "a sha256 digest");
  }
  for (const member of ["os", "architecture"])
    if (typeof value[member] !== "string") throw invalid("image config", member, "a string");
  return { ...(value as unknown as ImageConfig), rootfs: { type: "layers", diff_ids: diffIds } };
}

function parseObject(bytes: Uint8Array, what: string): Json {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch (cause) {
    throw new OciError("MANIFEST_INVALID", `Cannot read ${what}: it is not JSON`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Json;
  throw new OciError("MANIFEST_INVALID", `Cannot read ${what}: it is no JSON object`);
}

function checkVersion(value: Json, what: string): void {
  if (value["schemaVersion"] !== 2) throw invalid(what, "schemaVersion", "2");
}

function parseDescriptor(value: unknown, what: string, member: string): Descriptor {
  if (typeof value !== "object" || value === null) throw invalid(what, member, "a descriptor");
  const { mediaType, digest, size } = value as Json;
  if (typeof mediaType !== "string") throw invalid(what, `${member}.mediaType`, "a string");
  if (typeof digest !== "string" || !isDigest(digest)) throw invalid(what, `${member}.digest`, "a sha256 digest");
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw invalid(what, `${member}.size`, "a number of bytes");
  return value as Descriptor;
}

function invalid(what: string, member: string, wanted: string): OciError {
  return new OciError("MANIFEST_INVALID", `Cannot read ${what}: member "${member}" is damaged; wanted ${wanted}`);
}
