import { spawn } from "node:child_process";
import { Readable, type Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { ChunkReader } from "./chunk-reader.ts";
import { LayerError } from "./errors.ts";
import { corrupt, isHeaderBlock } from "./read-header.ts";
import { blockLength } from "./write-header.ts";

/** What bytes are, by how they start. */
export type ArchiveFormat = "tar" | "gzip" | "bzip2" | "xz" | "zstd";

const outputLength = 256 * 1024;
const magics: readonly (readonly [ArchiveFormat, readonly number[]])[] = [
  ["gzip", [0x1f, 0x8b, 8]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
];

/**
 * The format of a file by its first bytes, of which 512 are enough; undefined where it is none of these.
 * A compressed one need not hold a tar: `indexArchive` tells.
 */
export function detectArchive(start: Uint8Array): ArchiveFormat | undefined {
  const match = magics.find(([, magic]) => magic.every((byte, at) => start[at] === byte));
  if (match !== undefined) return match[0];
  if (isSkippableFrame(start)) return "zstd";
  const block = Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, blockLength));
  return block.length === blockLength && isTarStart(block) ? "tar" : undefined;
}

/**
 * The bytes that a compressed file holds, whatever its format; those of any other file as they are.
 * gzip may have many members, zstd many frames. bzip2 and xz need the programs of these names.
 * @throws LayerError while reading: `ARCHIVE_CORRUPT` where the file is damaged, `TOOL_MISSING`.
 */
export async function* decompress(
  content: AsyncIterable<Uint8Array>,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Buffer> {
  const reader = new ChunkReader(content);
  try {
    const format = detectArchive((await reader.peek(blockLength)) ?? Buffer.alloc(0));
    for await (const chunk of decompressAs(format, reader)) {
      options.signal?.throwIfAborted();
      yield chunk;
    }
  } finally {
    await reader.close();
  }
}

function decompressAs(format: ArchiveFormat | undefined, reader: ChunkReader): AsyncIterable<Buffer> {
  switch (format) {
    case "gzip":
      return through(createGunzip({ chunkSize: outputLength }), reader.chunks());
    case "zstd":
      return zstdFrames(reader);
    case "bzip2":
    case "xz":
      return throughProgram(format, reader.chunks());
    case "tar":
    case undefined:
      return reader.chunks();
    default:
      return format satisfies never;
  }
}

async function* through(stream: Duplex, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const fed = pipeline(Readable.from(chunks, { objectMode: false }), stream);
  fed.catch(() => undefined);
  try {
    for await (const chunk of stream) yield chunk as Buffer;
    await fed;
  } catch (error) {
    throw asCorrupt(error);
  } finally {
    stream.destroy();
  }
}

/** Damage to compressed data; what the source or the reader threw stays as it is. */
function asCorrupt(error: unknown): unknown {
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (!/^(?:Z_|ZSTD_|ERR_ZLIB)/.test(code)) return error;
  return new LayerError("ARCHIVE_CORRUPT", `Cannot decompress archive: ${(error as Error).message}`, { cause: error });
}

/** RFC 8878. node's decoder drops what follows a frame within one chunk, so each frame gets a decoder of its own. */
async function* zstdFrames(reader: ChunkReader): AsyncGenerator<Buffer> {
  for (let start = await reader.peek(18); start !== undefined && start.length > 0; start = await reader.peek(18)) {
    if (isSkippableFrame(start)) {
      for await (const _ of reader.take(8 + start.readUInt32LE(4)));
    } else yield* through(createZstdDecompress({ chunkSize: outputLength }), frameChunks(reader, start));
  }
}

async function* frameChunks(reader: ChunkReader, start: Buffer): AsyncGenerator<Buffer> {
  if (start.length < 6 || start.readUInt32LE(0) !== 0xfd2fb528) throw corrupt("a zstd frame does not start as one");
  const descriptor = start[4] ?? 0;
  yield* reader.take(frameHeaderLength(descriptor));
  for (let isLast = false; !isLast;) {
    const header = await reader.peek(3);
    if (header === undefined || header.length < 3) throw corrupt("a zstd frame ends early");
    const block = header.readUIntLE(0, 3);
    isLast = (block & 1) === 1;
    const isRun = ((block >> 1) & 3) === 1;
    yield* reader.take(3 + (isRun ? 1 : block >> 3));
  }
  if ((descriptor & 4) !== 0) yield* reader.take(4);
}

/** RFC 8878, 3.1.1.1: magic number, descriptor, window, dictionary id, content size. */
function frameHeaderLength(descriptor: number): number {
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  return 5 + (isSingle ? 0 : 1) + dictionary + size;
}

/** RFC 8878, 3.1.2. */
function isSkippableFrame(start: Uint8Array): boolean {
  return (
    start.length >= 8 &&
    ((start[0] ?? 0) & 0xf0) === 0x50 &&
    start[1] === 0x2a &&
    start[2] === 0x4d &&
    start[3] === 0x18
  );
}

function isTarStart(block: Buffer): boolean {
  try {
    return isHeaderBlock(block);
  } catch {
    return false;
  }
}

async function* throughProgram(program: "bzip2" | "xz", chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const child = spawn(program, ["-dc"], { stdio: ["pipe", "pipe", "pipe"] });
  const ended = new Promise<number | Error>((resolve) => {
    child.once("error", resolve).once("close", (code) => resolve(code ?? 1));
  });
  let complaint = "";
  child.stderr.on("data", (text: Buffer) => (complaint = (complaint + text.toString()).slice(0, 400)));
  const fed = pipeline(Readable.from(chunks, { objectMode: false }), child.stdin);
  fed.catch(() => undefined);
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    checkProgram(program, await ended, complaint);
    await fed;
  } finally {
    child.kill("SIGKILL");
    await ended;
  }
}

function checkProgram(program: string, outcome: number | Error, complaint: string): void {
  if (outcome === 0) return;
  if (outcome instanceof Error) {
    throw new LayerError("TOOL_MISSING", `Cannot decompress archive: program "${program}" can't be started`, {
      hint: `Install ${program === "xz" ? "xz-utils" : program}`,
      cause: outcome,
    });
  }
  throw corrupt(`${program} says: ${complaint.trim()}`);
}
