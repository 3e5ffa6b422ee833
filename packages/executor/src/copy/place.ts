import type { Entry, FileTree } from "@varve/layer";
import { orderEntries, resolvePath } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Chmod } from "./mode.ts";
import type { Owner } from "./owner.ts";
import { cleanPath, type SelectedRoot } from "./selection.ts";
import type { StagedTree } from "./staged-tree.ts";

/** How what is copied looks at its destination. */
export interface Placement {
  /** Absolute; a trailing slash says that it is a directory. */
  readonly destination: string;
  /** Undefined keeps each entry's own. */
  readonly owner: Owner | undefined;
  /** Undefined keeps each entry's own. */
  readonly chmod: Chmod | undefined;
  /** Nanoseconds; of directories that the source does not have. */
  readonly createdTime: bigint;
}

const DIRECTORY_MODE = 0o755;

/**
 * Puts one source's selection into `tree`, the way BuildKit's copy does: a directory's contents go into the
 * destination, a file onto it or, where it is a directory, into it; the destination's symlinks are followed, those
 * below it are replaced by files and refused for directories.
 * @throws StepError `COPY_INVALID` where a directory would replace a file or the reverse.
 */
export function placeSelection(tree: StagedTree, root: SelectedRoot, placement: Placement): void {
  for (const entry of placeChildren(tree, root, placement)) tree.write(entry);
}

/**
 * Does the same for a directory whose children come in the order of a layer, on a tree where nothing is written yet:
 * gives all entries that the tree will have, in that order, each as soon as its child is there.
 * @throws StepError as above.
 */
export function* placeInOrder(tree: StagedTree, root: SelectedRoot, placement: Placement): Generator<Entry> {
  let isFirst = true;
  for (const entry of placeChildren(tree, root, placement)) {
    // With the first come the directories above it; after that nobody looks up what was written.
    if (isFirst) yield* orderEntries(entriesWith(tree, entry));
    else yield entry;
    isFirst = false;
  }
  if (isFirst) yield* orderEntries(tree.entries());
}

function entriesWith(tree: StagedTree, entry: Entry): readonly Entry[] {
  tree.write(entry);
  return tree.entries();
}

/** Gives what is to be written for each child, or for the file that the root is, before it looks at the next one. */
function* placeChildren(tree: StagedTree, root: SelectedRoot, placement: Placement): Generator<Entry> {
  const target = prepareDestination(tree, root, placement);
  const links = new Map<string, string>();
  if (root.entry.type !== "directory") {
    yield placeEntry(tree, root.entry, { path: target, placement, links });
    return;
  }
  for (const child of root.children) {
    const path = target === "" ? child.path : `${target}/${child.path}`;
    const existing = root.parents ? tree.lookup(path) : undefined;
    // With --parents BuildKit changes the mode of a directory that is there, and leaves its owner alone.
    if (child.type === "directory" && existing?.type === "directory") yield { ...existing, mode: child.mode };
    else yield placeEntry(tree, child, { path, placement, links });
  }
}

/** Makes `path` (no symlinks in it) and what is missing above it directories; existing ones stay as they are. */
export function makeDirectories(tree: StagedTree, path: string, placement: Omit<Placement, "destination">): void {
  const names = path.split("/").filter((name) => name !== "");
  for (let count = 1; count <= names.length; count += 1) {
    const current = names.slice(0, count).join("/");
    const existing = tree.lookup(current);
    if (existing === undefined) tree.write(newDirectory(current, placement));
    else if (existing.type !== "directory") throw notDirectory(current);
  }
}

/** Where `path` leads in `tree`, all symlinks followed, also for what does not exist yet. */
export function resolveDestination(tree: FileTree, path: string): string {
  return resolvePath(tree, cleanPath(path), { followLast: true }).path;
}

function prepareDestination(tree: StagedTree, root: SelectedRoot, placement: Placement): string {
  const { destination } = placement;
  const wantsDirectory = destination.endsWith("/");
  const parent = wantsDirectory ? destination : destination.slice(0, destination.lastIndexOf("/") + 1);
  makeDirectories(tree, resolveDestination(tree, parent), placement);
  const target = resolveDestination(tree, destination);
  const existing = tree.lookup(target);
  if (root.entry.type === "directory") {
    if (existing !== undefined && existing.type !== "directory") throw notDirectory(target);
    makeDirectories(tree, target, placement);
    return target;
  }
  if (existing?.type === "directory") return target === "" ? root.name : `${target}/${root.name}`;
  makeDirectories(tree, target.slice(0, Math.max(0, target.lastIndexOf("/"))), placement);
  return target;
}

function newDirectory(path: string, { owner, chmod, createdTime }: Omit<Placement, "destination">): Entry {
  const mode = chmod !== undefined && "octal" in chmod ? chmod.octal : DIRECTORY_MODE;
  return { path, type: "directory", mode, uid: owner?.uid ?? 0, gid: owner?.gid ?? 0, size: 0, mtime: createdTime };
}

function notDirectory(path: string): StepError {
  return new StepError("COPY_INVALID", `Cannot copy to non-directory "/${path}": a directory is needed there`, {
    hint: "Copy to another path, or remove what stands there in an earlier RUN step",
  });
}

interface WriteContext {
  /** Where it goes. */
  readonly path: string;
  readonly placement: Placement;
  /** Source path of a file with several names -> where its first name went. */
  readonly links: Map<string, string>;
}

function placeEntry(tree: StagedTree, entry: Entry, { path, placement, links }: WriteContext): Entry {
  const existing = tree.lookup(path);
  if (entry.type === "directory") {
    if (existing !== undefined && existing.type !== "directory") throw notDirectory(path);
  } else if (existing?.type === "directory") {
    throw new StepError("COPY_INVALID", `Cannot replace directory "/${path}" with a file: a directory stands there`, {
      hint: "Copy to another path, or remove the directory in an earlier RUN step",
    });
  }
  const first = linkTarget(entry, path, links);
  const placed = changeEntry(entry, path, placement);
  return first === undefined ? placed : { ...placed, type: "hardlink", linkname: first, size: 0 };
}

/** The path of the first name that the same file was given in this copy; remembers this one where there is none. */
function linkTarget(entry: Entry, path: string, links: Map<string, string>): string | undefined {
  if (entry.type !== "file" || entry.inode === undefined) return undefined;
  const first = links.get(entry.inode);
  if (first === undefined) links.set(entry.inode, path);
  return first;
}

function changeEntry(entry: Entry, path: string, { owner, chmod }: Placement): Entry {
  const mode = chmod === undefined || entry.type === "symlink" ? entry.mode : changeMode(entry, chmod);
  return { ...entry, path, mode, uid: owner?.uid ?? entry.uid, gid: owner?.gid ?? entry.gid };
}

function changeMode(entry: Entry, chmod: Chmod): number {
  if ("octal" in chmod) return chmod.octal;
  return chmod.change(entry.mode, { directory: entry.type === "directory" });
}
