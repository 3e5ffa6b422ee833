import type { Entry } from "./entry.ts";
import { comparePaths } from "./order-entries.ts";
import type { ScannedEntry } from "./scan-directory.ts";

/** The entries without their identities, in the same order; of files that are one inode, the first by path is the file and the others are hard links to it. */
export function joinHardlinks(entries: readonly ScannedEntry[]): readonly Entry[] {
  const firsts = new Map<string, string>();
  for (const entry of entries) {
    if (!isLinked(entry)) continue;
    const key = inodeOf(entry);
    const first = firsts.get(key);
    if (first === undefined || comparePaths(entry.path, first) < 0) firsts.set(key, entry.path);
  }
  return entries.map((entry) => {
    const first = isLinked(entry) ? firsts.get(inodeOf(entry)) : undefined;
    return first === undefined || first === entry.path ? withoutIdentity(entry) : hardlink(entry, first);
  });
}

function isLinked(entry: ScannedEntry): boolean {
  return entry.type === "file" && entry.identity.links > 1;
}

function inodeOf({ identity }: ScannedEntry): string {
  return `${identity.device}:${identity.inode}`;
}

function withoutIdentity({ identity: _identity, ...entry }: ScannedEntry): Entry {
  return entry;
}

function hardlink(entry: ScannedEntry, linkname: string): Entry {
  const { content: _content, digest: _digest, xattrs: _xattrs, ...rest } = withoutIdentity(entry);
  return { ...rest, type: "hardlink", size: 0, linkname };
}
