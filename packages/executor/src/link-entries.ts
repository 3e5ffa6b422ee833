import type { Entry } from "@varve/layer";

/** The same entries, in which files that are one in their tree (`inode`) are one file and hard links to it. */
export function linkEntries(entries: Iterable<Entry>): readonly Entry[] {
  const first = new Map<string, string>();
  return Array.from(entries, (entry) => {
    if (entry.inode === undefined) return entry;
    const linkname = first.get(entry.inode);
    if (linkname === undefined) first.set(entry.inode, entry.path);
    return linkname === undefined ? entry : { ...entry, type: "hardlink", linkname, size: 0 };
  });
}
