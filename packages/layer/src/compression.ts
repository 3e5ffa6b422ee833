import { availableParallelism } from "node:os";
import { promisify } from "node:util";
import { constants, deflateRaw, zstdCompress } from "node:zlib";

/** How a layer's segments are compressed. Levels: gzip 1 to 9, default 4; zstd 1 to 19, default 3. */
export interface Compression {
  readonly type: "gzip" | "zstd" | "none";
  readonly level?: number;
}

/** A blob as parts: `header`, every segment compressed by itself, and `trailer`. */
export interface SegmentCodec {
  /** Image spec, layer.md. */
  readonly mediaType: string;
  readonly header: Uint8Array;
  /** May give `bytes` itself. */
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  /** What closes the blob, given CRC-32 and length in bytes of all that was compressed. */
  trailer(crc: number, length: number): Uint8Array;
}

/** Threads that compress where the caller does not say. */
export const defaultConcurrency: number = availableParallelism();

const deflateSegment = promisify<Uint8Array, object, Buffer>(deflateRaw);
const zstdSegment = promisify<Uint8Array, object, Buffer>(zstdCompress);
const mediaType = "application/vnd.oci.image.layer.v1.tar";
/** RFC 1952: deflate, no flags, no time, no extra flags, operating system unknown. */
const gzipHeader = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** The empty final block that ends a deflate stream whose other blocks all end on a byte. RFC 1951. */
const finalBlock = Uint8Array.of(3, 0);

/** Writes and joins the compressed segments of a blob. */
export function createSegmentCodec(compression: Compression): SegmentCodec {
  const { type, level } = compression;
  switch (type) {
    case "gzip":
      return gzipCodec(level ?? 4);
    case "zstd":
      return zstdCodec(level ?? 3);
    case "none":
      return { mediaType, header: new Uint8Array(), compress: async (bytes) => bytes, trailer: () => new Uint8Array() };
    default:
      return type satisfies never;
  }
}

/** One member; a full flush ends each segment, so that the next one refers to nothing before it. */
function gzipCodec(level: number): SegmentCodec {
  const flush = { level, finishFlush: constants.Z_FULL_FLUSH };
  return {
    mediaType: `${mediaType}+gzip`,
    header: gzipHeader,
    compress: (bytes) => deflateSegment(bytes, { ...flush, chunkSize: outputLength(bytes) }),
    trailer: (crc, length) => {
      const sums = Buffer.alloc(8);
      sums.writeUInt32LE(crc, 0);
      sums.writeUInt32LE(length % 2 ** 32, 4);
      return Buffer.concat([finalBlock, sums]);
    },
  };
}

function zstdCodec(level: number): SegmentCodec {
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  return {
    mediaType: `${mediaType}+zstd`,
    header: new Uint8Array(),
    compress: (bytes) => zstdSegment(bytes, { params, chunkSize: outputLength(bytes) }),
    trailer: () => new Uint8Array(),
  };
}

/** Room for the whole result, so that one turn of the thread pool makes it; pages that stay untouched cost nothing. */
function outputLength(bytes: Uint8Array): number {
  return bytes.length + (bytes.length >> 8) + 1024;
}
