import type { Memo } from "@varve/cache";
import { digestPaths, type Entry } from "@varve/layer";
import { type Digest, digestOf, hexOf } from "@varve/oci";
import { StepError } from "../errors.ts";
import type { ContextSource } from "./context-tree.ts";
import { type FileStamp, isSettled, StampColumn, stateOf, timeNow } from "./file-stamp.ts";
import { decodeTable, encodeTable, type PackedTable } from "./packed-table.ts";

/** Digests of a context's files, remembered from build to build by what lstat says of them. */
export interface FileDigests {
  /**
   * The digests of files, in their order. Where many are unknown, `read` is asked first.
   * @throws StepError `CONTEXT_CHANGED`, `CONTEXT_INVALID`.
   */
  digestAll(files: readonly ContextFile[], read?: () => Promise<ReadFiles | undefined>): Promise<readonly Digest[]>;
  /** Stores what was learnt, for the next build. */
  save(): Promise<void>;
}

/** A file of a context, as it was looked up. */
export interface ContextFile {
  /** In the context. */
  readonly path: string;
  readonly stamp: FileStamp;
  /** What its digest is known by where it is read together with others. */
  readonly content?: Entry["content"] | undefined;
}

/** Digests of files that were read, by their contents. */
export type ReadFiles = ReadonlyMap<Entry["content"], Digest>;

const MANY_FILES = 2000;
const MANY_BYTES = 4 * 1024 * 1024;

interface Fresh extends Pick<ContextFile, "stamp"> {
  readonly digest: Digest;
  /** False where the file could change again without its stamp telling. */
  readonly isSettled: boolean;
}

const NAMESPACE = "file-digests/2";
const DIGEST_BYTES = 32;

/** Opens what is remembered of a context, when it is first needed; a memo that is absent or damaged only costs time. */
export function openFileDigests(source: ContextSource, memo: Memo): FileDigests {
  const name = digestOf(Buffer.from(source.path));
  const fresh = new Map<string, Fresh>();
  let known: Promise<Remembered> | undefined;
  let saved = 0;
  const load = (): Promise<Remembered> => (known ??= loadTable(memo, name));
  return {
    async digestAll(files, read) {
      const remembered = await load();
      const find = ({ path, stamp }: Pick<ContextFile, "path" | "stamp">): Digest | undefined =>
        remembered.find(path, stamp);
      const found = files.map((file) => fresh.get(file.path)?.digest ?? find(file));
      const missing = files.filter((_, position) => found[position] === undefined);
      const started = timeNow();
      const learnt = await readMissing(source, missing, read);
      for (const [position, { path, stamp }] of missing.entries())
        fresh.set(path, { stamp, digest: learnt[position]!, isSettled: isSettled(stamp, started) });
      let next = 0;
      return found.map((digest) => digest ?? learnt[next++]!);
    },
    async save() {
      const settled = new Map([...fresh].filter(([, file]) => file.isSettled));
      if (settled.size === saved) return;
      saved = settled.size;
      const { table } = await load();
      await memo.put(NAMESPACE, name, encodeTable(mergeTable(table, settled)));
    },
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
  let positions: Map<string, number> | undefined;
  return {
    table,
    find(path, stamp) {
      if (table === undefined) return undefined;
      positions ??= new Map(table.paths.map((each, position) => [each, position]));
      const position = positions.get(path);
      if (position === undefined || !table.stamps.matches(position, stamp)) return undefined;
      const start = position * DIGEST_BYTES;
      return `sha256:${table.rows.toString("hex", start, start + DIGEST_BYTES)}`;
    },
  };
}

/** What was known before and is not known better now, then what is new. */
function mergeTable(before: PackedTable | undefined, fresh: ReadonlyMap<string, Fresh>): PackedTable {
  const kept = (before?.paths ?? []).flatMap((path, position) => (fresh.has(path) ? [] : [position]));
  const numbers = new BigInt64Array(4 * (kept.length + fresh.size));
  const rows = Buffer.alloc(DIGEST_BYTES * (kept.length + fresh.size));
  for (const [row, position] of kept.entries()) {
    numbers.set(before!.stamps.numbers.subarray(4 * position, 4 * position + 4), 4 * row);
    before!.rows.copy(rows, DIGEST_BYTES * row, DIGEST_BYTES * position, DIGEST_BYTES * (position + 1));
  }
  numbers.set(StampColumn.from([...fresh.values()].map(({ stamp }) => stamp)).numbers, 4 * kept.length);
  let end = DIGEST_BYTES * kept.length;
  for (const { digest } of fresh.values()) end += rows.write(hexOf(digest), end, "hex");
  const paths = [...kept.map((position) => before!.paths[position]!), ...fresh.keys()];
  return { paths, stamps: new StampColumn(numbers), rows };
}

async function readMissing(
  source: ContextSource,
  files: readonly ContextFile[],
  read: (() => Promise<ReadFiles | undefined>) | undefined,
): Promise<readonly Digest[]> {
  const found = areMany(files.map(({ stamp }) => ({ size: Number(stamp.size) }))) ? await read?.() : undefined;
  if (found === undefined) return readDigests(source, files);
  const digests = files.map(({ content }) => found.get(content));
  const left = await readDigests(
    source,
    files.filter((_, position) => digests[position] === undefined),
  );
  let next = 0;
  return digests.map((digest) => digest ?? left[next++]!);
}

/** True for files of which reading takes so long that it is worth being done together with other work. */
export function areMany(files: readonly { readonly size: number }[]): boolean {
  return files.length >= MANY_FILES || files.reduce((sum, { size }) => sum + size, 0) >= MANY_BYTES;
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
