import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { constants, inflateRaw, zstdDecompress } from "node:zlib";
import type { Digest } from "@varve/oci";
import { type ArchiveFormat, detectArchive } from "./decompress.ts";
import { LayerError } from "./errors.ts";
import type { IndexEntry, LayerIndex, Segment } from "./layer-index.ts";
import { corrupt } from "./read-header.ts";
import { readLayer } from "./read-layer.ts";

const inflateSegment = promisify<Uint8Array, object, Buffer>(inflateRaw);
const inflateFrame = promisify<Uint8Array, object, Buffer>(zstdDecompress);

/**
 * The bytes of one file of a layer, from the layer's blob at `blobPath`. With segments in the index only those that
 * hold the file are read and inflated; without, the blob is read from its start until the file is found.
 * Ends with an error where the bytes have not the digest that the index gives.
 * @throws LayerError `SOURCE_MISSING` where the layer has no such file; while reading `ARCHIVE_CORRUPT`.
 */
export async function* openLayerFile(entry: IndexEntry, index: LayerIndex, blobPath: string): AsyncGenerator<Buffer> {
  const file = fileOf(entry, index);
  const isRandom = index.segments !== undefined && file.tarOffset !== undefined;
  const chunks = isRandom ? readSegments(file, index.segments, blobPath) : readThrough(file, blobPath);
  const sum = createHash("sha256");
  for await (const chunk of chunks) {
    sum.update(chunk);
    yield chunk;
  }
  checkDigest(file, `sha256:${sum.digest("hex")}`);
}

function fileOf(entry: IndexEntry, index: LayerIndex): IndexEntry {
  const path = entry.type === "hardlink" ? entry.linkname : entry.path;
  const file = index.entries.findLast((candidate) => candidate.path === path && candidate.type === "file");
  if (file !== undefined) return file;
  throw new LayerError("SOURCE_MISSING", `Cannot read "${entry.path}": the layer has no such file`, {
    path: entry.path,
  });
}

async function* readSegments(file: IndexEntry, segments: readonly Segment[], blobPath: string): AsyncGenerator<Buffer> {
  const start = file.tarOffset ?? 0;
  const end = start + file.size;
  await using blob = await open(blobPath);
  const format = detectArchive(await readAt(blob, 0, 512));
  for (const segment of segments) {
    const segmentEnd = segment.tarOffset + segment.tarLength;
    if (segmentEnd <= start || segment.tarOffset >= end) continue;
    const bytes = await inflate(await readAt(blob, segment.offset, segment.length), segment, format);
    yield bytes.subarray(Math.max(0, start - segment.tarOffset), Math.min(segment.tarLength, end - segment.tarOffset));
  }
}

async function inflate(bytes: Buffer, segment: Segment, format: ArchiveFormat | undefined): Promise<Buffer> {
  const options = { maxOutputLength: segment.tarLength, chunkSize: Math.max(1024, segment.tarLength) };
  const inflated = await inflateAs(bytes, format, options).catch((error: unknown) => {
    throw new LayerError("ARCHIVE_CORRUPT", `Cannot read layer: ${(error as Error).message}`, { cause: error });
  });
  if (inflated.length !== segment.tarLength) throw corrupt("a segment has not its length");
  return inflated;
}

async function inflateAs(bytes: Buffer, format: ArchiveFormat | undefined, options: object): Promise<Buffer> {
  if (format === "gzip") return inflateSegment(bytes, { ...options, finishFlush: constants.Z_SYNC_FLUSH });
  return format === "zstd" ? inflateFrame(bytes, options) : bytes;
}

async function readAt(blob: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await blob.read(Buffer.allocUnsafe(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

async function* readThrough(file: IndexEntry, blobPath: string): AsyncGenerator<Buffer> {
  for await (const { entry, body } of readLayer(createReadStream(blobPath))) {
    if (entry.path !== file.path || entry.type !== "file") continue;
    yield* body;
    return;
  }
  throw corrupt(`"${file.path}" is not in it`);
}

function checkDigest(file: IndexEntry, found: Digest): void {
  if (file.digest === undefined || file.digest === found) return;
  throw new LayerError(
    "ARCHIVE_CORRUPT",
    `Cannot read "${file.path}": its bytes have digest "${found}"; wanted "${file.digest}"`,
    {
      path: file.path,
    },
  );
}
