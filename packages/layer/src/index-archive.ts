import { randomUUID } from "node:crypto";
import { closeSync, createReadStream, ftruncateSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { ChunkReader } from "./chunk-reader.ts";
import { type ArchiveFormat, decompress, detectArchive } from "./decompress.ts";
import type { Entry } from "./entry.ts";
import type { TarHeader } from "./read-header.ts";
import { TarParser, type TarHandler } from "./tar-parser.ts";
import { toEntry } from "./tar-entry.ts";

/** The entries of an archive, in its order, their contents in files of this machine until it is disposed of. */
export interface IndexedArchive extends AsyncDisposable {
  readonly entries: readonly Entry[];
}

export interface IndexArchiveOptions {
  /** Where files for uncompressed contents are made. */
  readonly directory: string;
  readonly signal?: AbortSignal;
}

/**
 * Reads a local file as an archive that `ADD` unpacks: a tar, plain or compressed by gzip, bzip2, xz or zstd.
 * Undefined where it is none, also where a compressed file holds something else than a tar. Contents of a plain tar
 * stay where they are; others, and sparse files, are spooled into `directory`. Names that start with ".wh." are names.
 * @throws LayerError `ARCHIVE_CORRUPT` where it starts as a tar and goes wrong later, `TOOL_MISSING`, `PATH_ESCAPE`,
 * `ENTRY_UNSUPPORTED`.
 */
export async function indexArchive(path: string, options: IndexArchiveOptions): Promise<IndexedArchive | undefined> {
  const format = await probe(path, options);
  if (format === undefined) return undefined;
  mkdirSync(options.directory, { recursive: true });
  const spool = new ArchiveSpool(path, { directory: options.directory, keeps: format === "tar" });
  try {
    for await (const chunk of decompress(createReadStream(path, { highWaterMark: 256 * 1024 }), options))
      spool.push(chunk);
    spool.finish();
    return { entries: spool.entries, [Symbol.asyncDispose]: async () => spool.remove() };
  } catch (error) {
    spool.remove();
    throw error;
  }
}

/** The format of the file, where what it holds is a tar. */
async function probe(path: string, options: IndexArchiveOptions): Promise<ArchiveFormat | undefined> {
  const format = detectArchive(await firstBytes(createReadStream(path, { end: 511 })));
  if (format === undefined || format === "tar") return format;
  try {
    const inner = detectArchive(await firstBytes(decompress(createReadStream(path), options)));
    return inner === "tar" ? format : undefined;
  } catch (error) {
    // What starts by chance as a compressed file is a file like any other.
    if ((error as { readonly code?: unknown }).code === "ARCHIVE_CORRUPT") return undefined;
    throw error;
  }
}

async function firstBytes(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const reader = new ChunkReader(content);
  const start = await reader.peek(512);
  await reader.close();
  return start ?? Buffer.alloc(0);
}

/** Follows a tar, writes down what can't be read in place, and where everything is. */
class ArchiveSpool implements TarHandler {
  readonly entries: Entry[] = [];
  readonly #path: string;
  readonly #directory: string;
  readonly #made: string[] = [];
  readonly #parser: TarParser = new TarParser(this);
  readonly #spool: number | undefined;
  #isClosed = false;
  #sparse: { readonly file: number; readonly size: number } | undefined;

  constructor(path: string, options: { readonly directory: string; readonly keeps: boolean }) {
    this.#directory = options.directory;
    this.#path = options.keeps ? path : this.#newPath();
    this.#spool = options.keeps ? undefined : openSync(this.#path, "wx", 0o600);
  }

  push(chunk: Buffer): void {
    if (this.#spool !== undefined) writeFully(this.#spool, chunk, undefined);
    this.#parser.push(chunk);
  }

  finish(): void {
    this.#parser.finish();
    this.#close();
  }

  remove(): void {
    this.#close();
    for (const path of this.#made) rmSync(path, { force: true });
  }

  member(header: TarHeader, offset: number): void {
    const entry = toEntry(header, "keep");
    if (entry === undefined) return;
    if (entry.type !== "file") this.entries.push(entry);
    else if (header.sparse === undefined) this.entries.push({ ...entry, content: { path: this.#path, offset } });
    else this.entries.push({ ...entry, content: { path: this.#openSparse(entry.size) } });
  }

  bytes(chunk: Buffer, position: number): void {
    if (this.#sparse !== undefined) writeFully(this.#sparse.file, chunk, position);
  }

  end(): void {
    if (this.#sparse === undefined) return;
    ftruncateSync(this.#sparse.file, this.#sparse.size);
    closeSync(this.#sparse.file);
    this.#sparse = undefined;
  }

  #openSparse(size: number): string {
    const path = this.#newPath();
    this.#sparse = { file: openSync(path, "wx", 0o600), size };
    return path;
  }

  #newPath(): string {
    const path = join(this.#directory, `archive-${randomUUID()}`);
    this.#made.push(path);
    return path;
  }

  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#spool !== undefined) closeSync(this.#spool);
    if (this.#sparse !== undefined) closeSync(this.#sparse.file);
  }
}

function writeFully(file: number, chunk: Buffer, position: number | undefined): void {
  for (let done = 0; done < chunk.length;) {
    const at = position === undefined ? null : position + done;
    done += writeSync(file, chunk, done, chunk.length - done, at);
  }
}
