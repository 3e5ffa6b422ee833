import { type Entry, sortEntries, TreeSum } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { createLinking } from "../link-entries.ts";
import type { SelectedRoot } from "./selection.ts";

/**
 * Digest of what a source selected: names, attributes, contents and which files are one; times left out.
 * All files must have their digests.
 */
export function selectionDigest(roots: readonly SelectedRoot[]): Digest {
  return digestRoots(roots, ({ digest }) => digest);
}

/** Tells a selection from most others without its files being read; selections with the same digest have the same. */
export function selectionShape(roots: readonly SelectedRoot[]): Digest {
  return digestRoots(roots, () => "sha256:");
}

type DigestOf = (file: Entry) => Digest | undefined;

function digestRoots(roots: readonly SelectedRoot[], digestOf: DigestOf): Digest {
  const sum = new TreeSum();
  const tops = roots.map((root, position) => ({ root, top: `${position}/${root.name}` }));
  for (const { root, top } of tops.toSorted((a, b) => (a.top < b.top ? -1 : 1))) {
    const link = createLinking();
    const add = (entry: Entry, path: string): void => {
      // Few have several names; copies of all others would be garbage.
      const linked = entry.inode === undefined ? entry : link({ ...entry, path });
      sum.add(linked, digestOf(linked), path);
    };
    add(root.entry, top);
    for (const child of sortEntries([...root.children])) add(child, `${top}/${child.path}`);
  }
  return sum.finish();
}
