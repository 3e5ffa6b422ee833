import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Entry } from "@varve/layer";
import type { SnapshotBase } from "../snapshotter.ts";

/**
 * Gives an overlay's empty upper directory what the directories beneath can't tell: the attributes of the root, and of
 * directories that a layer names only as parents, which stand extracted with the attributes of nobody and would hide
 * those that lower layers give them. A diff leaves out what stays as it is.
 */
export function seedUpper(upper: string, { tree, impliedDirectories = [] }: SnapshotBase): void {
  const root = tree.lookup("");
  if (root !== undefined) setAttributes(upper, root);
  for (const path of impliedDirectories) {
    const names = path.split("/");
    for (let count = 1; count <= names.length; count += 1)
      seedDirectory(upper, tree.lookup(names.slice(0, count).join("/")));
  }
}

function seedDirectory(upper: string, entry: Entry | undefined): void {
  if (entry?.type !== "directory") return;
  const path = join(upper, entry.path);
  mkdirSync(path, { recursive: true });
  setAttributes(path, entry);
}

function setAttributes(path: string, { uid, gid, mode }: Entry): void {
  chownSync(path, uid, gid);
  chmodSync(path, mode);
}
