import type { Entry } from "@varve/layer";
import type { Digest } from "@varve/oci";
import type { ContextTree } from "../context/context-tree.ts";
import type { ContextInput } from "../explain/current-build.ts";
import { listFiles } from "../explain/file-list.ts";
import { cleanPath, hasWildcard, type SelectedRoot } from "./selection.ts";

/** What was selected in a context, as whoever explains keys wants it: files by their paths in the context. */
export function contextInput({
  name,
  digest,
  roots,
  tree,
}: {
  /** The source as it was written. */
  readonly name: string;
  readonly digest: Digest;
  /** With digests on all files. */
  readonly roots: readonly SelectedRoot[];
  readonly tree: ContextTree;
}): ContextInput {
  return {
    type: "files",
    name,
    digest,
    list: () => listFiles(contextEntries(name, roots)),
    isIgnored: (path) => tree.isIgnored(path.replace(/\/$/, "")),
  };
}

/** By the path that the source names, which a symlink may lead elsewhere; by the file's own where it names several. */
function contextEntries(source: string, roots: readonly SelectedRoot[]): Entry[] {
  const isPlain = !hasWildcard(source) && !source.includes("\\");
  return roots.flatMap(({ entry, children, parents }) => {
    const top = isPlain && !parents ? cleanPath(source) : entry.path;
    if (top === "") return [{ ...entry, path: "." }, ...children];
    return [{ ...entry, path: top }, ...children.map((child) => ({ ...child, path: `${top}/${child.path}` }))];
  });
}
