import { constants, deflateRawSync, inflateRawSync, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { TarSums, WantedSums } from "./tar-sums.ts";

/** How a layer's segments are compressed. Levels: gzip 1 to 9, default 4; zstd 1 to 19, default 3. */
export interface Compression {
  readonly type: "gzip" | "zstd" | "none";
  readonly level?: number;
}

/** What a blob has besides its segments, which are compressed by themselves: `header` before, `trailer` behind them. */
export interface BlobFrame extends WantedSums {
  /** Image spec, layer.md. */
  readonly mediaType: string;
  readonly header: Uint8Array;
  /** What closes the blob of a tar with these sums. */
  trailer(sums: TarSums): Uint8Array;
}

/** The levels where the caller names none. */
export const defaultLevels = { gzip: 4, zstd: 3, none: 0 } as const;

const mediaType = "application/vnd.oci.image.layer.v1.tar";
const nothing = new Uint8Array();
/** RFC 1952: deflate, no flags, no time, no extra flags, operating system unknown. */
const gzipHeader = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** The empty final block that ends a deflate stream whose other blocks all end on a byte. RFC 1951. */
const finalBlock = Uint8Array.of(3, 0);

/**
 * One segment compressed by itself; may be `bytes` themselves. The result depends on nothing else.
 * gzip: a full flush ends the segment, so that the next one refers to nothing before it. zstd: one frame.
 */
export function compressSegment(bytes: Uint8Array, { type, level = defaultLevels[type] }: Compression): Uint8Array {
  const chunkSize = Math.max(64 * 1024, bytes.length >> 1);
  switch (type) {
    case "gzip":
      return deflateRawSync(bytes, { level, finishFlush: constants.Z_FULL_FLUSH, chunkSize });
    case "zstd":
      return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: level }, chunkSize });
    case "none":
      return bytes;
    default:
      return type satisfies never;
  }
}

/** What such a segment of `length` bytes was made of; undefined where it is damaged. */
export function decompressSegment(
  compressed: Uint8Array,
  { type, length }: { readonly type: Compression["type"]; readonly length: number },
): Uint8Array | undefined {
  // One more than there should be: a full buffer asks for another one.
  const chunkSize = length + 1;
  try {
    switch (type) {
      case "gzip":
        return inflateRawSync(compressed, { finishFlush: constants.Z_SYNC_FLUSH, chunkSize, maxOutputLength: length });
      case "zstd":
        return zstdDecompressSync(compressed, { chunkSize, maxOutputLength: length });
      case "none":
        return compressed;
      default:
        return type satisfies never;
    }
  } catch {
    return undefined;
  }
}

/** The frame of a blob of such segments. */
export function createBlobFrame({ type }: Compression): BlobFrame {
  switch (type) {
    case "gzip":
      return { mediaType: `${mediaType}+gzip`, header: gzipHeader, trailer: gzipTrailer, needsCrc: true };
    case "zstd":
      return { mediaType: `${mediaType}+zstd`, header: nothing, trailer: () => nothing, needsCrc: false };
    case "none":
      return { mediaType, header: nothing, trailer: () => nothing, needsCrc: false };
    default:
      return type satisfies never;
  }
}

/** Ends the one member. */
function gzipTrailer({ crc, length }: TarSums): Uint8Array {
  const sums = Buffer.alloc(8);
  sums.writeUInt32LE(crc, 0);
  sums.writeUInt32LE(length % 2 ** 32, 4);
  return Buffer.concat([finalBlock, sums]);
}
