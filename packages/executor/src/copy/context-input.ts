import type { Entry } from "@varve/layer";
import type { Digest } from "@varve/oci";
import type { ContextTree } from "../context/context-tree.ts";
import type { ContextInput } from "../explain/current-build.ts";
import { listFiles } from "../explain/file-list.ts";
import type { SelectedRoot } from "./selection.ts";

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
    list: () => listFiles(contextEntries(roots)),
    isIgnored: (path) => tree.isIgnored(path.replace(/\/$/, "")),
  };
}

function contextEntries(roots: readonly SelectedRoot[]): Entry[] {
  return roots.flatMap(({ entry, children }) =>
    entry.path === ""
      ? [{ ...entry, path: "." }, ...children]
      : [entry, ...children.map((child) => ({ ...child, path: `${entry.path}/${child.path}` }))],
  );
}
