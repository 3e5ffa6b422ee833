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

/** The same of roots whose files are not read yet: what their bytes are is left out. */
export function selectionShape(roots: readonly SelectedRoot[]): Digest {
  return digestOrdered(withoutBytes(entriesOf(roots)));
}

function* withoutBytes(entries: Iterable<Entry>): Generator<Entry> {
  for (const entry of entries) yield entry.type === "file" ? { ...entry, digest: noBytes } : entry;
}

const noBytes = digestOf(new Uint8Array());

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
