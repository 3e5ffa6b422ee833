import type { ContentSource, TransferOptions } from "./content.ts";
import type { Descriptor } from "./descriptor.ts";
import { OciError } from "./errors.ts";
import type { Image, Manifest } from "./image.ts";
import { isIndexMediaType, isLayerMediaType, isManifestMediaType, MEDIA_TYPES, toOciMediaType } from "./media-types.ts";
import { parseImageConfig, parseIndex, parseManifest } from "./parse-json.ts";
import { formatPlatform, matchPlatform, type Platform } from "./platform.ts";
import { readContent } from "./verify-content.ts";

const MAX_DEPTH = 8;

/**
 * Follows `descriptor` (a manifest, or an index that leads to one for `platform`) to an image. No layer is fetched.
 * @throws OciError `PLATFORM_UNAVAILABLE` naming those that are there; `MANIFEST_INVALID`; `MEDIA_TYPE_UNSUPPORTED`
 * for what is no image, or of a kind that is not read.
 */
export async function resolveImage(
  content: ContentSource,
  descriptor: Descriptor,
  options: TransferOptions & { readonly platform: Platform },
): Promise<Image> {
  const found = await findManifest(content, descriptor, { ...options, depth: 0 });
  const manifest = parseManifest(await readContent(content, found, options));
  checkMediaTypes(found, manifest);
  const config = parseImageConfig(await readContent(content, manifest.config, { ...options, limit: 64 * 1024 * 1024 }));
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw new OciError(
      "MANIFEST_INVALID",
      `Cannot use image "${found.digest}": its manifest has ${manifest.layers.length} layers; its config has ${diffIds.length}`,
    );
  }
  const layers = manifest.layers.map((layer, position) => ({ descriptor: layer, diffId: diffIds[position]! }));
  return { descriptor: found, manifest, config, layers, content };
}

type Search = TransferOptions & { readonly platform: Platform; readonly depth: number };

async function findManifest(content: ContentSource, descriptor: Descriptor, search: Search): Promise<Descriptor> {
  if (isManifestMediaType(descriptor.mediaType)) return descriptor;
  if (!isIndexMediaType(descriptor.mediaType) || search.depth > MAX_DEPTH) {
    throw new OciError(
      "MEDIA_TYPE_UNSUPPORTED",
      `Cannot use "${descriptor.digest}" as an image: its media type is "${descriptor.mediaType}"`,
    );
  }
  const { manifests } = parseIndex(await readContent(content, descriptor, search));
  const matched = matchPlatform(search.platform, manifests) ?? onlyUnmarked(manifests);
  if (matched !== undefined) return findManifest(content, matched, { ...search, depth: search.depth + 1 });
  throw platformUnavailable(descriptor, search.platform, manifests);
}

/** The error for an index, `descriptor`, none of whose `manifests` is for `platform`. */
export function platformUnavailable(
  { digest }: Descriptor,
  platform: Platform,
  manifests: readonly Descriptor[],
): OciError {
  const present = manifests.flatMap((each) =>
    each.platform === undefined || each.platform.os === "unknown" ? [] : [formatPlatform(each.platform)],
  );
  return new OciError(
    "PLATFORM_UNAVAILABLE",
    `Cannot use image "${digest}" for ${formatPlatform(platform)}: no match for platform in manifest; it has ${present.join(", ") || "none"}`,
    { hint: "Build for one of these with --platform, or use another image" },
  );
}

function checkMediaTypes(image: Descriptor, { config, layers }: Manifest): void {
  if (toOciMediaType(config.mediaType) !== MEDIA_TYPES.config) throw notAnImage(image, "its config", config);
  for (const [position, layer] of layers.entries())
    if (!isLayerMediaType(layer.mediaType)) throw notAnImage(image, `its layer ${position}`, layer);
}

function notAnImage({ digest }: Descriptor, part: string, { mediaType }: Descriptor): OciError {
  return new OciError(
    "MEDIA_TYPE_UNSUPPORTED",
    `Cannot use "${digest}" as an image: ${part} has the media type "${mediaType}"`,
    { hint: "It is an artifact of another kind, or made by a tool that varve does not know" },
  );
}

/** An index that names one manifest without a platform means that one, whatever it is for. */
function onlyUnmarked(manifests: readonly Descriptor[]): Descriptor | undefined {
  const [first, ...others] = manifests;
  return first !== undefined && others.length === 0 && first.platform === undefined ? first : undefined;
}
