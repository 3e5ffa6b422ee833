import { randomBytes } from "node:crypto";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { ContentStore } from "../content.ts";
import type { Descriptor } from "../descriptor.ts";
import { digestOf } from "../digest.ts";
import { encodeImageConfig, encodeIndex, type Encoded, encodeManifest } from "../encode.ts";
import type { Layer } from "../image.ts";
import { MEDIA_TYPES, toDockerMediaType } from "../media-types.ts";
import type { Platform } from "../platform.ts";
import { inChunks, pushBytes } from "./blobs.ts";

export interface RandomImageOptions {
  /** 2 where it is left out. */
  readonly layers?: number;
  /** Bytes of the one file of each layer; 1000 where it is left out. */
  readonly size?: number;
  readonly compression?: "none" | "gzip" | "zstd";
  readonly platform?: Platform;
  /** `docker`: with the media types of Docker's image manifest version 2, schema 2. */
  readonly format?: "oci" | "docker";
}

const AMD64: Platform = { os: "linux", architecture: "amd64" };
const COMPRESSED = {
  none: [MEDIA_TYPES.layer, (bytes: Uint8Array) => bytes],
  gzip: [MEDIA_TYPES.layerGzip, (bytes: Uint8Array) => gzipSync(bytes)],
  zstd: [MEDIA_TYPES.layerZstd, (bytes: Uint8Array) => zstdCompressSync(bytes)],
} as const;

/** Puts an image of random files into `store` and gives its manifest's descriptor, platform included. */
export async function randomImage(store: ContentStore, options: RandomImageOptions = {}): Promise<Descriptor> {
  const { platform = AMD64 } = options;
  const typeOf = options.format === "docker" ? toDockerMediaType : (mediaType: string): string => mediaType;
  const layers: Layer[] = [];
  for (let count = options.layers ?? 2; count > 0; count -= 1) layers.push(await randomLayer(store, options, typeOf));
  const config = encodeImageConfig({
    ...platform,
    created: "2026-01-01T00:00:00Z",
    config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"], Labels: { id: randomBytes(4).toString("hex") } },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map((_, position) => ({ created_by: `COPY file-${position} /` })),
  });
  await push(store, config);
  const manifest = encodeManifest({
    schemaVersion: 2,
    mediaType: typeOf(MEDIA_TYPES.manifest),
    config: { ...config.descriptor, mediaType: typeOf(MEDIA_TYPES.config) },
    layers: layers.map(({ descriptor }) => descriptor),
  });
  await push(store, manifest);
  return { ...manifest.descriptor, platform };
}

/** Puts an index of these manifests into `store`, and gives its descriptor. */
export async function randomIndex(store: ContentStore, manifests: readonly Descriptor[]): Promise<Descriptor> {
  const index = encodeIndex({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests });
  await push(store, index);
  return index.descriptor;
}

async function push(store: ContentStore, { descriptor, bytes }: Encoded): Promise<void> {
  await store.push(descriptor, inChunks(bytes));
}

async function randomLayer(
  store: ContentStore,
  { size = 1000, compression = "gzip" }: RandomImageOptions,
  typeOf: (mediaType: string) => string,
): Promise<Layer> {
  const tar = tarOf(`file-${randomBytes(4).toString("hex")}`, randomBytes(size));
  const [mediaType, compress] = COMPRESSED[compression];
  return { descriptor: await pushBytes(store, compress(tar), typeOf(mediaType)), diffId: digestOf(tar) };
}

/** A tar archive of one file, in ustar as POSIX 1003.1 has it. */
function tarOf(name: string, content: Uint8Array): Buffer {
  const header = Buffer.alloc(512);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  header.write(name, 0);
  header.write(octal(0o644, 7) + octal(0, 7) + octal(0, 7) + octal(content.length, 11) + octal(0, 11), 100);
  header.write(" ".repeat(8), 148);
  header.write("0", 156);
  header.write("ustar\x0000", 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${octal(sum, 6)} `, 148);
  return Buffer.concat([header, content, Buffer.alloc(-content.length & 511), Buffer.alloc(1024)]);
}
