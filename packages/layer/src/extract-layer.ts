import { createHash, type Hash } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { Digest } from "@varve/oci";
import { decompress } from "./decompress.ts";
import type { Entry } from "./entry.ts";
import { LayerError } from "./errors.ts";
import type { IndexEntry, LayerIndex } from "./layer-index.ts";
import { sortEntries } from "./order-entries.ts";
import type { TarHeader } from "./read-header.ts";
import { TarParser, type TarHandler } from "./tar-parser.ts";
import { toEntry } from "./tar-entry.ts";
import { digestOrdered } from "./tree-digest.ts";
import { TreeWriter, type OverlayForm, type WriteForm } from "./tree-writer.ts";

export interface ExtractLimits {
  /** Bytes that a layer may take in its tar, or its sparse files on their own. Default: 256 GiB. */
  readonly bytes?: number;
  /** How many times its compressed size a layer may take, above the first GiB. Default: 2000; deflate reaches 1032. */
  readonly ratio?: number;
}

export interface ExtractOptions {
  readonly directory: string;
  readonly expectedDiffId?: Digest;
  readonly limits?: ExtractLimits;
  readonly signal?: AbortSignal;
}

const gibibyte = 1024 ** 3;
const zeros = Buffer.alloc(64 * 1024);

/**
 * Extracts one layer into a directory of its own, which is made where it is absent and must be empty, in the form that
 * overlayfs takes as a lower directory: `overlay` says how whiteouts and opaque directories are written; with "none"
 * they are only in the index. Gives the layer's index, without segments; paths as they stand in the directory.
 * Whatever its compression: the first bytes tell. The directory is worthless where this fails.
 * @throws LayerError `DIFF_ID_MISMATCH`, `ARCHIVE_CORRUPT`, `ARCHIVE_TOO_LARGE`, `PATH_ESCAPE`, `ENTRY_UNSUPPORTED`,
 * `LINK_LOOP`, `PERMISSION_MISSING`.
 */
export function extractLayer(
  content: AsyncIterable<Uint8Array>,
  options: ExtractOptions & { readonly overlay: OverlayForm },
): Promise<LayerIndex> {
  return writeTree(content, options, options.overlay);
}

/**
 * Applies a layer to a directory tree: adds, replaces, and removes what it whites out. Gives the layer's index.
 * @throws LayerError as `extractLayer` does.
 */
export function applyLayer(content: AsyncIterable<Uint8Array>, options: ExtractOptions): Promise<LayerIndex> {
  return writeTree(content, options, "apply");
}

async function writeTree(
  content: AsyncIterable<Uint8Array>,
  options: ExtractOptions,
  form: WriteForm,
): Promise<LayerIndex> {
  mkdirSync(options.directory, { recursive: true });
  using writer = new TreeWriter(options.directory, form);
  const budget = new Budget(options.limits ?? {});
  const extraction = new Extraction(writer, budget);
  const parser = new TarParser(extraction);
  const diff = createHash("sha256");
  for await (const chunk of decompress(budget.count(content), options)) {
    diff.update(chunk);
    parser.push(chunk);
    budget.spend(chunk.length);
  }
  parser.finish();
  const diffId: Digest = `sha256:${diff.digest("hex")}`;
  checkDiffId(diffId, options.expectedDiffId);
  writer.finish();
  return { diffId, contentDigest: digestOrdered(sortEntries(extraction.entries)), entries: extraction.entries };
}

function checkDiffId(found: Digest, expected: Digest | undefined): void {
  if (expected === undefined || found === expected) return;
  throw new LayerError("DIFF_ID_MISMATCH", `Cannot extract layer: its tar has digest "${found}"; wanted "${expected}"`);
}

/** Keeps what a layer takes within its limits. */
class Budget {
  readonly #limits: ExtractLimits;
  #compressed = 0;
  #spent = 0;

  constructor(limits: ExtractLimits) {
    this.#limits = limits;
  }

  async *count(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of content) {
      this.#compressed += chunk.length;
      yield chunk;
    }
  }

  /** @throws LayerError `ARCHIVE_TOO_LARGE` where the bytes exceed what is left. */
  spend(length: number): void {
    this.#spent += length;
    const byRatio = Math.max(gibibyte, this.#compressed * (this.#limits.ratio ?? 2000));
    const most = Math.min(this.#limits.bytes ?? 256 * gibibyte, byRatio);
    if (this.#spent <= most) return;
    throw new LayerError("ARCHIVE_TOO_LARGE", `Cannot extract layer: it takes more than ${most} bytes`, {
      hint: "Check where the image comes from: its layer looks like a decompression bomb",
    });
  }
}

/** Takes what a parser finds to a writer, and keeps the entries. */
class Extraction implements TarHandler {
  readonly entries: IndexEntry[] = [];
  readonly #writer: TreeWriter;
  readonly #budget: Budget;
  #file: { readonly sum: Hash; readonly entry: IndexEntry; at: number } | undefined;

  constructor(writer: TreeWriter, budget: Budget) {
    this.#writer = writer;
    this.#budget = budget;
  }

  member(header: TarHeader, offset: number): void {
    const entry = toEntry(header, "read");
    if (entry === undefined) return;
    const isSparse = header.sparse !== undefined;
    if (isSparse) this.#budget.spend(entry.size);
    const placed = this.#place(entry);
    if (entry.type !== "file") this.entries.push(placed);
    else this.#file = { sum: createHash("sha256"), entry: isSparse ? placed : { ...placed, tarOffset: offset }, at: 0 };
  }

  bytes(chunk: Buffer, position: number): void {
    if (this.#file === undefined) return;
    digestZeros(this.#file.sum, position - this.#file.at);
    this.#file.sum.update(chunk);
    this.#file.at = position + chunk.length;
    this.#writer.write(chunk, position);
  }

  end(): void {
    if (this.#file === undefined) return;
    const { sum, entry, at } = this.#file;
    digestZeros(sum, entry.size - at);
    this.#writer.close();
    this.entries.push({ ...entry, digest: `sha256:${sum.digest("hex")}` });
    this.#file = undefined;
  }

  #place(entry: Entry): Entry {
    if (entry.type === "whiteout") return { ...entry, path: this.#writer.whiteOut(entry.path) };
    if (entry.type === "opaque") return { ...entry, path: this.#writer.makeOpaque(entry.path) };
    return this.#writer.place(entry);
  }
}

function digestZeros(sum: Hash, length: number): void {
  for (let left = length; left > 0; left -= zeros.length) sum.update(zeros.subarray(0, Math.min(left, zeros.length)));
}
