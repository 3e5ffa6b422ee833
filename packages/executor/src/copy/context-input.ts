import type { Entry } from "@varve/layer";
import type { ContextSelection } from "../context/context-selection.ts";
import { type ContextSource, isLeftOut } from "../context/context-tree.ts";
import type { ContextInput } from "../explain/current-build.ts";
import { listFiles } from "../explain/file-list.ts";
import { cleanPath, hasWildcard, type SelectedRoot } from "./selection.ts";

/** What was selected in a context, as whoever explains keys wants it: files by their paths in the context. */
export function contextInput({
  name,
  selection,
  source,
}: {
  /** The source as it was written. */
  readonly name: string;
  readonly selection: Pick<ContextSelection, "digest" | "roots">;
  readonly source: ContextSource;
}): ContextInput {
  return {
    type: "files",
    name,
    digest: selection.digest,
    list: async () => listFiles(contextEntries(name, await selection.roots())),
    isIgnored: (path) => isLeftOut(source, path.replace(/\/$/, "")),
  };
}

/** By the path that the source names, which a symlink may lead elsewhere; by the file's own where it names several. */
function contextEntries(source: string, roots: readonly SelectedRoot[]): Entry[] {
  const isPlain = !hasWildcard(source) && !source.includes("\\");
  return roots.flatMap(({ entry, children, parents }) => {
    const top = isPlain && !parents ? cleanPath(source) : entry.path;
    if (top === "") return [{ ...entry, path: "." }, ...children];
    return [{ ...entry, path: top }, ...Array.from(children, (child) => ({ ...child, path: `${top}/${child.path}` }))];
  });
}
