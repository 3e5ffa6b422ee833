import type { Entry } from "@varve/layer";
import type { Digest } from "@varve/oci";
import type { SelectedRoot } from "../copy/selection.ts";
import { selectionDigest } from "../copy/selection-digest.ts";
import type { ContextTree } from "./context-tree.ts";
import { createContextTree } from "./context-tree.ts";
import { contextChanged, type ReadFiles } from "./file-digests.ts";
import { timeNow } from "./file-stamp.ts";
import type { OpenContext } from "./open-context.ts";
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
  /** Reads what was selected as it is found, for the sake of more than its digests; or nothing, and asks for no child. */
  readonly readFirst?: (roots: readonly SelectedRoot[]) => Promise<ReadFiles | undefined>;
  /** Reads all files that were selected for the sake of more than their digests, or nothing. */
  readonly read?: (roots: readonly SelectedRoot[]) => Promise<ReadFiles | undefined>;
}

/**
 * What `select` selects in a context. Where nothing that it depends on has changed since the last time, its digest is
 * known without making the selection.
 * @throws StepError `CONTEXT_CHANGED`, `CONTEXT_INVALID`, and what `select` throws.
 */
export async function selectInContext(context: OpenContext, query: SelectionQuery): Promise<ContextSelection> {
  const memo = createSelectionMemo(context.memo, context.source, query.words);
  const recalled = await memo.recall();
  if (recalled === undefined) {
    const { roots, seen, isRead } = await walk(context, query);
    const digest = selectionDigest(roots);
    await keep(context, { isRead, task: rememberTask(memo, digest, seen) });
    return { digest, walked: roots, roots: async () => roots };
  }
  let loading: Promise<readonly SelectedRoot[]> | undefined;
  const load = async (): Promise<readonly SelectedRoot[]> => {
    const { roots } = await walk(context, query);
    if (selectionDigest(roots) !== recalled) throw contextChanged(context.source.path);
    return roots;
  };
  return { digest: recalled, walked: undefined, roots: () => (loading ??= load()) };
}

interface Walked {
  readonly roots: readonly SelectedRoot[];
  readonly seen: Seen;
  /** Whether the files were read for more than their digests. */
  readonly isRead: boolean;
}

interface Seen {
  readonly tree: ContextTree;
  /** A time before anything of it was looked at: nanoseconds since 1970. */
  readonly started: bigint;
}

/** Made here: what is returned beside it would hold the tree. */
function rememberTask(memo: SelectionMemo, digest: Digest, { tree, started }: Seen): () => Promise<void> {
  return () => memo.remember(digest, tree.seen(), started);
}

/**
 * Files that were read for more are packed by now: only later builds wait for the task. Otherwise packing comes next, and
 * needs the memory that the task gives back.
 */
async function keep(
  context: OpenContext,
  { isRead, task }: { readonly isRead: boolean; readonly task: () => Promise<void> },
): Promise<void> {
  if (isRead) context.later(task);
  else await task();
}

async function walk(context: OpenContext, query: SelectionQuery): Promise<Walked> {
  const tree = createContextTree(context.source);
  const started = timeNow();
  const selected = query.select(tree);
  const found = await query.readFirst?.(selected);
  const files = selected.flatMap(filesOf);
  let isRead = false;
  const read = async (): Promise<ReadFiles | undefined> => {
    const readFiles = found ?? (await query.read?.(selected));
    isRead = readFiles !== undefined;
    return readFiles;
  };
  const looked = files.map((file) => tree.fileOf(file));
  const digests = await context.digests.digestAll(looked, { read, started });
  await keep(context, { isRead, task: context.digests.save });
  // They are this walk's own: copies of them would take time and memory.
  for (const [position, file] of files.entries()) file.digest = digests[position];
  const roots = selected.map((root) => ({ ...root, children: [...root.children] }));
  return { roots, seen: { tree, started }, isRead };
}

type DigestedEntry = Omit<Entry, "digest"> & { digest?: Digest | undefined };

function filesOf({ entry, children }: SelectedRoot): DigestedEntry[] {
  const files: DigestedEntry[] = [];
  for (const each of [entry, ...children]) if (each.type === "file") files.push(each);
  return files;
}
