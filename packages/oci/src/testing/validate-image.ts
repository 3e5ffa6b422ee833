import { type Duplex, PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import type { ContentSource } from "../content.ts";
import type { Descriptor } from "../descriptor.ts";
import { createDigester, type Digest } from "../digest.ts";
import type { Image, Layer } from "../image.ts";
import { isIndexMediaType, layerCompression } from "../media-types.ts";
import { parseIndex } from "../parse-json.ts";
import { hostPlatform } from "../platform.ts";
import { resolveImage } from "../resolve-image.ts";
import { readContent } from "../verify-content.ts";

/**
 * Reads all that `descriptor` leads to, and checks that it agrees with itself: every byte with its descriptor, every
 * layer's tar with its diff ID, the history with the layers. Gives the images: one, or those of an index.
 * @throws the error of what is wrong first.
 */
export async function validateImage(content: ContentSource, descriptor: Descriptor): Promise<readonly Image[]> {
  if (isIndexMediaType(descriptor.mediaType)) {
    const { manifests } = parseIndex(await readContent(content, descriptor));
    const images = await Promise.all(manifests.map((each) => validateImage(content, each)));
    return images.flat();
  }
  const image = await resolveImage(content, descriptor, { platform: hostPlatform() });
  for (const layer of image.layers) await validateLayer(content, layer);
  validateHistory(image);
  return [image];
}

async function validateLayer(content: ContentSource, { descriptor, diffId }: Layer): Promise<void> {
  const found = await diffIdOf(content, descriptor);
  if (found !== diffId)
    throw new Error(`Cannot accept layer "${descriptor.digest}": its tar is ${found}; wanted ${diffId}`);
}

async function diffIdOf(content: ContentSource, descriptor: Descriptor): Promise<Digest> {
  const digester = createDigester();
  await pipeline(content.fetch(descriptor), decompressor(descriptor), async (tar: AsyncIterable<Uint8Array>) => {
    for await (const chunk of tar) digester.update(chunk);
  });
  return digester.digest();
}

function decompressor({ mediaType }: Descriptor): Duplex {
  const compression = layerCompression(mediaType);
  if (compression === "gzip") return createGunzip();
  return compression === "zstd" ? createZstdDecompress() : new PassThrough();
}

function validateHistory({ descriptor, config, layers }: Image): void {
  if (config.history === undefined || config.history.length === 0) return;
  const made = config.history.filter((each) => each.empty_layer !== true).length;
  if (made !== layers.length)
    throw new Error(
      `Cannot accept image "${descriptor.digest}": its history tells of ${made} layers; it has ${layers.length}`,
    );
}
