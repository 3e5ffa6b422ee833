import { digestPaths } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { StepError } from "../errors.ts";
import { contextChanged, type ContextFile, type ContextSource, knownDigest, learnDigest } from "./context-tree.ts";
import { stateOf } from "./file-stamp.ts";
import type { SeenTable } from "./seen-table.ts";

/** Digests of a context's files that one selection learnt, for others of the same build. */
export interface FileDigests {
  /** Adds those of files that have them, which are asked for once another selection wants any. */
  add(files: () => Iterable<ContextFile>): void;
  /** Gives files that were added the digests they had. */
  enter(files: readonly ContextFile[]): void;
}

const MANY_FILES = 2000;
const MANY_BYTES = 4 * 1024 * 1024;

/** No digests yet. */
export function createFileDigests(): FileDigests {
  const found = new Map<string, Digest>();
  const enterFound = (file: ContextFile): void => {
    const digest = knownDigest(file);
    if (digest !== undefined) found.set(file.path, digest);
  };
  const added: (() => Iterable<ContextFile>)[] = [];
  return {
    add: (files) => void added.push(files),
    enter(files) {
      for (const addFiles of added.splice(0)) for (const file of addFiles()) enterFound(file);
      for (const file of found.size === 0 ? [] : files) learnFrom(file, found.get(file.path));
    },
  };
}

/** Gives files the digests that earlier builds knew them by, of those that are as they were. */
export async function enterFromPast(files: readonly ContextFile[], tables: AsyncIterable<SeenTable>): Promise<void> {
  for await (const table of tables) {
    const left = files.filter((file) => knownDigest(file) === undefined);
    if (left.length === 0) return;
    for (const file of left) learnFrom(file, table.digestOf(file.path, file.stamp));
  }
}

function learnFrom(file: ContextFile, digest: Digest | undefined): void {
  if (digest !== undefined) learnDigest(file, digest);
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

/** Reads files for their digests. @throws StepError `CONTEXT_CHANGED`, `CONTEXT_INVALID`. */
export async function readDigests({ path: root }: ContextSource, files: readonly ContextFile[]): Promise<void> {
  const read = await digestPaths(
    files.map(({ path, stamp }) => ({ path: `${root}/${path}`, size: Number(stamp.size) })),
  );
  for (const [position, { digest, state, problem }] of read.entries()) {
    const wanted = files[position]!;
    const file = `${root}/${wanted.path}`;
    if (problem?.kind === "unreadable") throw unreadable(file, problem.message);
    if (digest === undefined || state !== stateOf(wanted.stamp)) throw contextChanged(file);
    learnDigest(wanted, digest);
  }
}

function unreadable(file: string, why: string): StepError {
  return new StepError("CONTEXT_INVALID", `Cannot read "${file}" of the build context: ${why}`, {
    hint: "Make it readable, or leave it out with .dockerignore",
  });
}
