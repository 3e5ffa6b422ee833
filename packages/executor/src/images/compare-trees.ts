import { type Entry, type FileTree, walkTree } from "@varve/layer";

/** What differs between two entries of one path. */
export type EntryPart = "type" | "content" | "mode" | "owner" | "target" | "device" | "xattrs";

/** A path that two file trees do not share, or do not share as it is. */
export type TreeChange =
  | { readonly kind: "added" | "deleted"; readonly path: string; readonly entry: Entry }
  | {
      readonly kind: "modified";
      readonly path: string;
      readonly entry: Entry;
      readonly before: Entry;
      readonly parts: readonly EntryPart[];
    };

/** What `after` has otherwise than `before`, by path. Times are left out; so are the attributes of the root. */
export function compareTrees(before: FileTree, after: FileTree): readonly TreeChange[] {
  const old = new Map(Array.from(walkTree(before), (entry) => [entry.path, entry]));
  const changes: TreeChange[] = [];
  for (const entry of walkTree(after)) {
    const { path } = entry;
    const previous = old.get(path);
    old.delete(path);
    if (path === "") continue;
    if (previous === undefined) changes.push({ kind: "added", path, entry });
    else {
      const parts = compareEntries(previous, entry);
      if (parts.length > 0) changes.push({ kind: "modified", path, entry, before: previous, parts });
    }
  }
  for (const [path, entry] of old) if (path !== "") changes.push({ kind: "deleted", path, entry });
  return changes.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

function compareEntries(a: Entry, b: Entry): readonly EntryPart[] {
  if (a.type !== b.type) return ["type"];
  const differences: Readonly<Record<EntryPart, boolean>> = {
    type: false,
    content: a.size !== b.size || a.digest !== b.digest,
    mode: a.mode !== b.mode && a.type !== "symlink",
    owner: a.uid !== b.uid || a.gid !== b.gid,
    target: a.linkname !== b.linkname,
    device: a.device?.major !== b.device?.major || a.device?.minor !== b.device?.minor,
    xattrs: describeXattrs(a) !== describeXattrs(b),
  };
  return (Object.keys(differences) as EntryPart[]).filter((part) => differences[part]);
}

function describeXattrs({ xattrs = {} }: Entry): string {
  const pairs = Object.entries(xattrs).map(([name, value]) => [name, Buffer.from(value).toString("hex")]);
  return JSON.stringify(pairs.toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1)));
}
