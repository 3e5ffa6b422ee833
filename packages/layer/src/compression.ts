import { availableParallelism } from "node:os";
import type { Transform } from "node:stream";
import { constants, crc32, createDeflateRaw, createZstdCompress, type DeflateRaw } from "node:zlib";

/** How a layer's segments are compressed. Levels: gzip 1 to 9, default 4; zstd 1 to 19, default 3. */
export interface Compression {
  readonly type: "gzip" | "zstd" | "none";
  readonly level?: number;
}

/** A blob as parts: `header`, every segment compressed by itself, and `trailer`. */
export interface SegmentCodec extends Disposable {
  /** Image spec, layer.md. */
  readonly mediaType: string;
  readonly header: Uint8Array;
  /** May give `bytes` itself. The result depends on `bytes` alone; calls may overlap. */
  compress(bytes: Uint8Array): Promise<Uint8Array>;
  /** Told each segment's bytes before compression, in order. */
  observe(bytes: Uint8Array): void;
  /** What closes the blob, after all that was observed. */
  trailer(): Uint8Array;
}

/** Segments that are compressed at once where the caller does not say. */
export const defaultConcurrency: number = availableParallelism();

const mediaType = "application/vnd.oci.image.layer.v1.tar";
/** RFC 1952: deflate, no flags, no time, no extra flags, operating system unknown. */
const gzipHeader = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255);
/** The empty final block that ends a deflate stream whose other blocks all end on a byte. RFC 1951. */
const finalBlock = Uint8Array.of(3, 0);
/** A whole segment must fit into a stream that nobody reads yet. */
const buffering = { chunkSize: 256 * 1024, readableHighWaterMark: 64 * 1024 * 1024 };

/** Compresses the segments of a blob and closes it. */
export function createSegmentCodec(compression: Compression): SegmentCodec {
  const { type, level } = compression;
  switch (type) {
    case "gzip":
      return createGzipCodec(level ?? 4);
    case "zstd":
      return createZstdCodec(level ?? 3);
    case "none":
      return {
        mediaType,
        header: new Uint8Array(),
        compress: async (bytes) => bytes,
        observe() {},
        trailer: () => new Uint8Array(),
        [Symbol.dispose]() {},
      };
    default:
      return type satisfies never;
  }
}

/** One member; a full flush ends each segment, so that the next one refers to nothing before it. */
function createGzipCodec(level: number): SegmentCodec {
  const deflaters = new DeflaterPool(level);
  let [crc, length] = [0, 0];
  return {
    mediaType: `${mediaType}+gzip`,
    header: gzipHeader,
    compress: (bytes) => deflaters.compress(bytes),
    observe(bytes) {
      crc = crc32(bytes, crc);
      length += bytes.length;
    },
    trailer: () => {
      const sums = Buffer.alloc(8);
      sums.writeUInt32LE(crc, 0);
      sums.writeUInt32LE(length % 2 ** 32, 4);
      return Buffer.concat([finalBlock, sums]);
    },
    [Symbol.dispose]: () => deflaters[Symbol.dispose](),
  };
}

/** One frame a segment. Each has a compressor of its own: a used one gives other bytes, depending on what it was used for. */
function createZstdCodec(level: number): SegmentCodec {
  const params = { [constants.ZSTD_c_compressionLevel]: level };
  return {
    mediaType: `${mediaType}+zstd`,
    header: new Uint8Array(),
    async compress(bytes) {
      const stream = createZstdCompress({ ...buffering, params, flush: constants.ZSTD_e_end });
      try {
        return await compressAll(stream, bytes);
      } finally {
        stream.destroy();
      }
    },
    observe() {},
    trailer: () => new Uint8Array(),
    [Symbol.dispose]() {},
  };
}

/** Deflaters on node's thread pool; reused, for each holds some hundred kilobytes. A reset one is as a new one. */
class DeflaterPool implements Disposable {
  readonly #level: number;
  readonly #streams = new Set<DeflateRaw>();
  readonly #idle: DeflateRaw[] = [];

  constructor(level: number) {
    this.#level = level;
  }

  async compress(bytes: Uint8Array): Promise<Uint8Array> {
    const stream =
      this.#idle.pop() ?? createDeflateRaw({ ...buffering, level: this.#level, flush: constants.Z_FULL_FLUSH });
    this.#streams.add(stream);
    stream.reset();
    const compressed = await compressAll(stream, bytes);
    this.#idle.push(stream);
    return compressed;
  }

  [Symbol.dispose](): void {
    for (const stream of this.#streams) stream.destroy();
  }
}

/** Writes bytes to a stream that flushes after each write, and takes what it gives. */
async function compressAll(stream: Transform, bytes: Uint8Array): Promise<Uint8Array> {
  await new Promise<void>((resolve, reject) => {
    stream.once("error", reject);
    stream.write(bytes, (error) => (error ? reject(error) : resolve()));
  });
  stream.removeAllListeners("error");
  const chunks: Buffer[] = [];
  for (let chunk = readChunk(stream); chunk !== null; chunk = readChunk(stream)) chunks.push(chunk);
  const [first = Buffer.alloc(0)] = chunks;
  return chunks.length < 2 ? first : Buffer.concat(chunks);
}

function readChunk(stream: Transform): Buffer | null {
  return stream.read() as Buffer | null;
}
