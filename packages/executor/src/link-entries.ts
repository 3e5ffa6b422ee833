import type { Entry } from "@varve/layer";

/** The same entries, in which files that are one in their tree (`inode`) are one file and hard links to it. */
export function* linkEntries(entries: Iterable<Entry>): Generator<Entry> {
  const link = createLinking();
  for (const entry of entries) yield link(entry);
}

/** Does that entry by entry. */
export function createLinking(): (entry: Entry) => Entry {
  const first = new Map<string, string>();
  return (entry) => {
    const linkname = entry.inode === undefined ? undefined : first.get(entry.inode);
    if (entry.inode !== undefined && linkname === undefined) first.set(entry.inode, entry.path);
    return linkname === undefined ? entry : { ...entry, type: "hardlink", linkname, size: 0 };
  };
}
