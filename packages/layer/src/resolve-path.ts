import type { Entry, FileTree } from "./entry.ts";
import { LayerError } from "./errors.ts";
import { compareText } from "./order-entries.ts";
import { joinPath, parentPath } from "./root-paths.ts";

const mostLinks = 255;

/** Where a path leads, without a symlink in it, and what stands there, if anything does. */
export interface ResolvedPath {
  readonly path: string;
  readonly entry?: Entry;
}

/**
 * Follows a path through the symlinks of a tree as a process whose root is the tree's would: an absolute target starts
 * at the root, ".." at the root stays there. Where a part is absent or no directory, the rest is taken as it is written.
 * A symlink at the end is followed unless `followLast` is false.
 * @throws LayerError `LINK_LOOP` beyond 255 symlinks.
 */
export function resolvePath(
  tree: FileTree,
  path: string,
  options: { readonly followLast?: boolean } = {},
): ResolvedPath {
  const rest = splitParts(path).reverse();
  let at = "";
  let links = 0;
  for (let part = rest.pop(); part !== undefined; part = rest.pop()) {
    const next = part === ".." ? parentPath(at) : joinPath(at, part);
    const mayFollow = part !== ".." && (rest.length > 0 || options.followLast !== false);
    const target = mayFollow ? targetOf(tree, next) : undefined;
    if (target === undefined) at = next;
    else {
      if (++links > mostLinks) throw linkLoop(path);
      if (target.startsWith("/")) at = "";
      rest.push(...splitParts(target).reverse());
    }
  }
  return withEntry(tree, at);
}

function withEntry(tree: FileTree, path: string): ResolvedPath {
  const entry = tree.lookup(path);
  return entry === undefined ? { path } : { path, entry };
}

function targetOf(tree: FileTree, path: string): string | undefined {
  const entry = tree.lookup(path);
  return entry?.type === "symlink" ? entry.linkname : undefined;
}

/** Every entry beneath `root`, a directory before what it holds, names sorted; `root` itself first, where it exists. Symlinks are not followed. */
export function* walkTree(tree: FileTree, root = ""): Generator<Entry> {
  const entry = tree.lookup(root);
  if (entry === undefined) return;
  yield entry;
  if (entry.type !== "directory") return;
  for (const name of tree.list(root).toSorted(compareText)) yield* walkTree(tree, joinPath(root, name));
}

function splitParts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function linkLoop(path: string): LayerError {
  return new LayerError("LINK_LOOP", `Cannot resolve "${path}": more than ${mostLinks} symlinks on the way`, { path });
}
