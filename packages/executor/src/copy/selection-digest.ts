import { digestOrdered, type Entry, sortEntries } from "@varve/layer";
import { type Digest, digestOf } from "@varve/oci";
import { linkEntries } from "../link-entries.ts";
import type { SelectedRoot } from "./selection.ts";

/**
 * Digest of what a source selected: names, attributes, contents and which files are one; times left out.
 * All files must have their digests.
 */
export function selectionDigest(roots: readonly SelectedRoot[]): Digest {
  return digestOrdered(entriesOf(roots));
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

/** In the order of a layer; one after the other, for they may be many. */
function* entriesOf(roots: readonly SelectedRoot[]): Generator<Entry> {
  const tops = roots.map((root, position) => ({ root, top: `${position}/${root.name}` }));
  for (const { root, top } of tops.toSorted((a, b) => (a.top < b.top ? -1 : 1)))
    yield* linkEntries(placeBelow(root, top));
}

function* placeBelow({ entry, children }: SelectedRoot, top: string): Generator<Entry> {
  yield { ...entry, path: top };
  for (const child of sortEntries([...children])) yield { ...child, path: `${top}/${child.path}` };
}
