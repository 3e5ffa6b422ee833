import type { Memo } from "@varve/cache";
import { digestPaths, type Entry } from "@varve/layer";
import { type Digest, digestOf, hexOf } from "@varve/oci";
import { StepError } from "../errors.ts";
import type { ContextFile, ContextSource } from "./context-tree.ts";
import { type FileStamp, isSettled, StampColumn, stateOf, timeNow } from "./file-stamp.ts";
import { decodeTable, encodeTable, type PackedTable } from "./packed-table.ts";

/** Digests of a context's files, remembered from build to build by what lstat says of them. */
export interface FileDigests {
  /**
   * The digests of files, in their order.
   * @throws StepError `CONTEXT_CHANGED`, `CONTEXT_INVALID`.
   */
  digestAll(files: readonly ContextFile[], reading?: Reading): Promise<readonly Digest[]>;
  /** Stores what was learnt, for the next build. */
  readonly save: () => Promise<void>;
}

/** How files are read whose digests are not known. */
export interface Reading {
  /** Asked first where they are many. */
  readonly read: () => Promise<ReadFiles | undefined>;
  /** A time before any of them was read: nanoseconds since 1970. */
  readonly started: bigint;
}

/** Digests of files that were read, by their contents. */
export type ReadFiles = ReadonlyMap<Entry["content"], Digest>;

const MANY_FILES = 2000;
const MANY_BYTES = 4 * 1024 * 1024;

/** Files that were read together. */
interface Batch {
  readonly files: readonly ContextFile[];
  /** In their order. */
  readonly digests: readonly Digest[];
  /** When reading began: nanoseconds since 1970. */
  readonly started: bigint;
}

const NAMESPACE = "file-digests/2";
const DIGEST_BYTES = 32;

/** Opens what is remembered of a context, when it is first needed; a memo that is absent or damaged only costs time. */
export function openFileDigests(source: ContextSource, memo: Memo): FileDigests {
  const name = digestOf(Buffer.from(source.path));
  const batches: Batch[] = [];
  const find = createBatchSearch(batches);
  let known: Promise<Remembered> | undefined;
  let saved = 0;
  const load = (): Promise<Remembered> => (known ??= loadTable(memo, name));
  return {
    async digestAll(files, reading) {
      const remembered = await load();
      const found = files.map(({ path, stamp }) => find(path) ?? remembered.find(path, stamp));
      const missing = files.filter((_, position) => found[position] === undefined);
      if (missing.length === 0) return found as readonly Digest[];
      const started = reading?.started ?? timeNow();
      const digests = await readMissing(source, missing, reading?.read);
      batches.push({ files: missing, digests, started });
      let next = 0;
      return found.map((digest) => digest ?? digests[next++]!);
    },
    async save() {
      const remembered = known;
      // Of a large context it is tens of MiB; whoever asks again reads it again.
      known = undefined;
      const hasNews = batches.slice(saved).some(hasSettled);
      saved = batches.length;
      if (!hasNews) return;
      const { table } = await (remembered ?? loadTable(memo, name));
      await memo.put(NAMESPACE, name, encodeTable(mergeTable(table, batches)));
    },
  };
}

/** Finds what is in one of the batches by its path; most contexts have one batch and are searched before it. */
function createBatchSearch(batches: readonly Batch[]): (path: string) => Digest | undefined {
  const found = new Map<string, Digest>();
  let entered = 0;
  return (path) => {
    for (; entered < batches.length; entered += 1) {
      const { files, digests } = batches[entered]!;
      for (const [position, file] of files.entries()) found.set(file.path, digests[position]!);
    }
    return found.get(path);
  };
}

interface Remembered {
  readonly table: PackedTable | undefined;
  find(path: string, stamp: FileStamp): Digest | undefined;
}

async function loadTable(memo: Memo, name: Digest): Promise<Remembered> {
  const value = await memo.get(NAMESPACE, name);
  const decoded = value === undefined ? undefined : decodeTable(value);
  const table = decoded?.rows.length === (decoded?.paths.length ?? 0) * DIGEST_BYTES ? decoded : undefined;
  const search = table === undefined ? undefined : createTableSearch(table.paths);
  return {
    table,
    find(path, stamp) {
      const position = search?.(path);
      if (table === undefined || position === undefined || !table.stamps.matches(position, stamp)) return undefined;
      const start = position * DIGEST_BYTES;
      return `sha256:${table.rows.toString("hex", start, start + DIGEST_BYTES)}`;
    },
  };
}

/** Finds positions of paths. They are mostly asked for in the order in which they stand: then none is looked up. */
function createTableSearch(paths: readonly string[]): (path: string) => number | undefined {
  let positions: ReadonlyMap<string, number> | undefined;
  let next = 0;
  return (path) => {
    if (paths[next] !== path) {
      positions ??= new Map(paths.map((each, position) => [each, position]));
      const found = positions.get(path);
      if (found === undefined) return undefined;
      next = found;
    }
    next += 1;
    return next - 1;
  };
}

/** What was known before and is not known better now, then what is new and tells by its stamp whether it changes again. */
function mergeTable(before: PackedTable | undefined, batches: readonly Batch[]): PackedTable {
  const kept = before === undefined ? [] : positionsOfOthers(before.paths, batches);
  const paths = kept.map((position) => before!.paths[position]!);
  const most = batches.reduce((sum, { files }) => sum + files.length, kept.length);
  const stamps = new StampColumn(new BigInt64Array(4 * most));
  const rows = Buffer.alloc(DIGEST_BYTES * most);
  for (const [row, position] of kept.entries()) {
    stamps.numbers.set(before!.stamps.numbers.subarray(4 * position, 4 * position + 4), 4 * row);
    before!.rows.copy(rows, DIGEST_BYTES * row, DIGEST_BYTES * position, DIGEST_BYTES * (position + 1));
  }
  for (const { files, digests, started } of batches) {
    for (const [position, { path, stamp }] of files.entries()) {
      if (!isSettled(stamp, started)) continue;
      stamps.set(paths.length, stamp);
      rows.write(hexOf(digests[position]!), DIGEST_BYTES * paths.length, "hex");
      paths.push(path);
    }
  }
  const { numbers } = stamps;
  return {
    paths,
    stamps: new StampColumn(numbers.subarray(0, 4 * paths.length)),
    rows: rows.subarray(0, DIGEST_BYTES * paths.length),
  };
}

function hasSettled({ files, started }: Batch): boolean {
  return files.some(({ stamp }) => isSettled(stamp, started));
}

function positionsOfOthers(paths: readonly string[], batches: readonly Batch[]): readonly number[] {
  const fresh = new Set(batches.flatMap(({ files }) => files.map(({ path }) => path)));
  return paths.flatMap((path, position) => (fresh.has(path) ? [] : [position]));
}

async function readMissing(
  source: ContextSource,
  files: readonly ContextFile[],
  read: (() => Promise<ReadFiles | undefined>) | undefined,
): Promise<readonly Digest[]> {
  const found = areMany(sizesOf(files)) ? await read?.() : undefined;
  if (found === undefined) return readDigests(source, files);
  const digests = files.map(({ content }) => found.get(content));
  const left = await readDigests(
    source,
    files.filter((_, position) => digests[position] === undefined),
  );
  let next = 0;
  return digests.map((digest) => digest ?? left[next++]!);
}

function* sizesOf(files: readonly ContextFile[]): Generator<{ readonly size: number }> {
  for (const { stamp } of files) yield { size: Number(stamp.size) };
}

/**
 * True for files of which reading takes so long that it is worth being done together with other work; asks for no more
 * of them than it takes to know.
 */
export function areMany(files: Iterable<{ readonly size: number }>): boolean {
  let [count, bytes] = [0, 0];
  for (const { size } of files) {
    count += 1;
    bytes += size;
    if (count >= MANY_FILES || bytes >= MANY_BYTES) return true;
  }
  return false;
}

async function readDigests({ path: root }: ContextSource, files: readonly ContextFile[]): Promise<readonly Digest[]> {
  const read = await digestPaths(
    files.map(({ path, stamp }) => ({ path: `${root}/${path}`, size: Number(stamp.size) })),
  );
  return read.map(({ digest, state, problem }, position) => {
    const { path, stamp } = files[position]!;
    const file = `${root}/${path}`;
    if (problem?.kind === "unreadable") throw unreadable(file, problem.message);
    if (digest === undefined || state !== stateOf(stamp)) throw contextChanged(file);
    return digest;
  });
}

function unreadable(file: string, why: string): StepError {
  return new StepError("CONTEXT_INVALID", `Cannot read "${file}" of the build context: ${why}`, {
    hint: "Make it readable, or leave it out with .dockerignore",
  });
}

/** The error for a context in which something changed between two looks at it. */
export function contextChanged(file: string): StepError {
  return new StepError("CONTEXT_CHANGED", `Cannot use "${file}": it changed while the build read it`, {
    hint: "Build again when nothing writes to the build context",
  });
}
