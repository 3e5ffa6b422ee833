import { type Entry, sortEntries, TreeSum } from "@varve/layer";
import { type Digest, digestOf } from "@varve/oci";
import { createLinking } from "../link-entries.ts";
import type { SelectedRoot } from "./selection.ts";

/**
 * Digest of what a source selected: names, attributes, contents and which files are one; times left out.
 * All files must have their digests.
 */
export function selectionDigest(roots: readonly SelectedRoot[]): Digest {
  const sum = new TreeSum();
  const tops = roots.map((root, position) => ({ root, top: `${position}/${root.name}` }));
  for (const { root, top } of tops.toSorted((a, b) => (a.top < b.top ? -1 : 1))) addBelow(sum, root, top);
  return sum.finish();
}

/** In the order of a layer. */
function addBelow(sum: TreeSum, { entry, children }: SelectedRoot, top: string): void {
  const link = createLinking();
  const add = (each: Entry, path: string): void => {
    // Few have several names; copies of all others would be garbage.
    const linked = each.inode === undefined ? each : link({ ...each, path });
    sum.add(linked, linked.digest, path);
  };
  add(entry, top);
  for (const child of sortEntries([...children])) add(child, `${top}/${child.path}`);
}

/** Tells a selection from most others without its files being read; selections with the same digest have the same. */
export function selectionShape(roots: readonly SelectedRoot[]): Digest {
  const words: string[] = [];
  for (const { name, entry, children } of roots) {
    words.push(`${name}/`, outline(entry));
    for (const child of children) words.push(child.path, outline(child));
  }
  return digestOf(Buffer.from(words.join("\0")));
}

function outline({ type, mode, size }: Entry): string {
  return `${type} ${mode} ${size}`;
}
