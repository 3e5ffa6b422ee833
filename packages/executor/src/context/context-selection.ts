import { setImmediate } from "node:timers/promises";
import type { Entry } from "@varve/layer";
import type { Digest } from "@varve/oci";
import type { SelectedRoot } from "../copy/selection.ts";
import { selectionDigest } from "../copy/selection-digest.ts";
import {
  contextChanged,
  type ContextFile,
  type ContextTree,
  createContextTree,
  fileOf,
  knownDigest,
} from "./context-tree.ts";
import { areMany, enterFromPast, readDigests } from "./file-digests.ts";
import { timeNow } from "./file-stamp.ts";
import type { OpenContext } from "./open-context.ts";
import type { SeenTable } from "./seen-table.ts";
import { createSelectionMemo, type SelectionMemo } from "./selection-memo.ts";

/** Files of a context that a step reads. */
export interface ContextSelection {
  readonly digest: Digest;
  /** The roots, where the context had to be walked for the digest. */
  readonly walked: readonly SelectedRoot[] | undefined;
  /** With the digests of all files. Walks the context where that was not done yet; one walk for all who ask. */
  roots(): Promise<readonly SelectedRoot[]>;
}

export interface SelectionQuery {
  /** All that `select` depends on besides the tree. */
  readonly words: readonly string[];
  readonly select: (tree: ContextTree) => readonly SelectedRoot[];
  /** Does more with what was selected than its digest needs. */
  readonly reader?: SelectionReader;
}

/** Whoever reads what was selected, and learns the digests of files by that: see `learnDigest`. */
export interface SelectionReader {
  /** Reads all of it as it is found; or nothing, and asks for no more than the first children. */
  first(roots: readonly SelectedRoot[]): Promise<void>;
  /** Begins to read all of it as it is found, where most is as an earlier build saw it. Tells whether it did. */
  again(roots: readonly SelectedRoot[]): Promise<boolean>;
  /** Reads all of it, or nothing. */
  all(roots: readonly SelectedRoot[]): Promise<void>;
}

/**
 * What `select` selects in a context. Where nothing that it depends on has changed since the last time, its digest is
 * known without making the selection.
 * @throws StepError `CONTEXT_CHANGED`, `CONTEXT_INVALID`, and what `select` throws.
 */
export async function selectInContext(context: OpenContext, query: SelectionQuery): Promise<ContextSelection> {
  const memo = createSelectionMemo(context.memo, context.source, query.words);
  const recalled = await memo.recall();
  if (recalled === undefined || "past" in recalled) {
    const { roots, seen } = await walk(context, query, { memo, past: recalled?.past });
    const digest = selectionDigest(roots);
    context.later(rememberTask(memo, digest, seen));
    return { digest, walked: roots, roots: async () => roots };
  }
  let loading: Promise<readonly SelectedRoot[]> | undefined;
  const load = async (): Promise<readonly SelectedRoot[]> => {
    const { roots } = await walk(context, query, { memo, past: await memo.past() });
    if (selectionDigest(roots) !== recalled.digest) throw contextChanged(context.source.path);
    return roots;
  };
  return { digest: recalled.digest, walked: undefined, roots: () => (loading ??= load()) };
}

interface Walked {
  readonly roots: readonly SelectedRoot[];
  readonly seen: Seen;
}

interface Seen {
  readonly tree: ContextTree;
  /** A time before anything of it was looked at: nanoseconds since 1970. */
  readonly started: bigint;
}

/** Made here: what is returned beside it would hold the tree. */
function rememberTask(memo: SelectionMemo, digest: Digest, { tree, started }: Seen): () => Promise<void> {
  return () => memo.remember(digest, tree.seen, started);
}

interface Remembered {
  readonly memo: SelectionMemo;
  readonly past: SeenTable | undefined;
}

async function walk(context: OpenContext, query: SelectionQuery, { memo, past }: Remembered): Promise<Walked> {
  const started = timeNow();
  const tree = createContextTree(context.source, past);
  const selected = query.select(tree);
  if (past === undefined) await query.reader?.first(selected);
  else if ((await query.reader?.again(selected)) === true) await lookAtAll(selected);
  const roots = selected.map((root) => ({ ...root, children: [...root.children] }));
  const files = roots.flatMap(filesOf);
  past?.clear();
  await learnDigests(files, { context, memo, readAll: async () => query.reader?.all(roots) });
  context.digests.add(() => files.map(fileOf));
  return { roots, seen: { tree, started } };
}

/** Children that are looked at in one go: whoever reads them meanwhile needs this thread in between. */
const SLICE = 512;

async function lookAtAll(roots: readonly SelectedRoot[]): Promise<void> {
  let count = 0;
  for (const { children } of roots) {
    for (const _ of children) {
      count += 1;
      if (count % SLICE === 0) await setImmediate();
    }
  }
}

type DigestedEntry = Omit<Entry, "digest"> & { digest?: Digest | undefined };

function filesOf({ entry, children }: SelectedRoot): DigestedEntry[] {
  const files: DigestedEntry[] = entry.type === "file" ? [entry] : [];
  for (const child of children) if (child.type === "file") files.push(child);
  return files;
}

interface Learning {
  readonly context: OpenContext;
  readonly memo: SelectionMemo;
  readonly readAll: () => Promise<void>;
}

/** Gives files their digests: what this build knows, what earlier ones knew, what is learnt by reading all; the rest is read. */
async function learnDigests(files: readonly DigestedEntry[], { context, memo, readAll }: Learning): Promise<void> {
  // They are this walk's own: copies of them would take time and memory.
  const unknown = files.filter((file) => (file.digest ??= knownDigest(file)) === undefined);
  let left = unknown.map(fileOf);
  context.digests.enter(left);
  for (const learn of [async () => enterFromPast(left, memo.others()), readAll]) {
    left = left.filter(isUnknown);
    if (areMany(sizesOf(left))) await learn();
  }
  await readDigests(context.source, left.filter(isUnknown));
  for (const file of unknown) file.digest = knownDigest(file);
}

function isUnknown(file: ContextFile): boolean {
  return knownDigest(file) === undefined;
}

function* sizesOf(files: readonly ContextFile[]): Generator<{ readonly size: number }> {
  for (const { stamp } of files) yield { size: Number(stamp.size) };
}
