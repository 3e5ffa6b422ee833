import { digestOrdered, type Entry, sortEntries } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { linkEntries } from "../link-entries.ts";
import type { SelectedRoot } from "./selection.ts";

/**
 * Digest of what a source selected: names, attributes, contents and which files are one; times left out.
 * All files must have their digests.
 */
export function selectionDigest(roots: readonly SelectedRoot[]): Digest {
  const tops = roots.map((root, position) => ({ root, top: `${position}/${root.name}` }));
  const sorted = tops.toSorted((a, b) => (a.top < b.top ? -1 : 1));
  return digestOrdered(sorted.flatMap(({ root, top }) => linkEntries(placeBelow(root, top))));
}

/** In the order of a layer. */
function* placeBelow({ entry, children }: SelectedRoot, top: string): Generator<Entry> {
  yield { ...entry, path: top };
  for (const child of sortEntries(children)) yield { ...child, path: `${top}/${child.path}` };
}
