import { lstatSync, mkdirSync, readlinkSync, rmdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where a mount goes in a rootfs, and what was made there for it. */
export interface MountPoints extends Disposable {
  /** Real path of the mount point of `target`, which is made where it is absent: a directory, or an empty file. */
  make(target: string, kind: "directory" | "file"): string;
}

const MAX_LINKS = 40;

/**
 * Makes mount points below `rootfs`; disposal takes away those that it made and that are still empty, so that they do
 * not end up in the layer, and gives the directories they were made in their times back.
 */
export function createMountPoints(rootfs: string): MountPoints {
  const made: { readonly path: string; readonly parent: string; readonly times: readonly [Date, Date] }[] = [];
  const makeOne = (path: string, kind: "directory" | "file"): void => {
    const parent = join(path, "..");
    const { atime, mtime } = statSync(parent);
    if (kind === "directory") mkdirSync(path, { mode: 0o755 });
    else writeFileSync(path, "", { flag: "wx", mode: 0o644 });
    made.push({ path, parent, times: [atime, mtime] });
  };
  return {
    make(target, kind) {
      const path = join(rootfs, resolveInRoot(rootfs, target));
      const names = path
        .slice(rootfs.length)
        .split("/")
        .filter((name) => name !== "");
      for (let count = 1; count <= names.length; count += 1) {
        const current = join(rootfs, ...names.slice(0, count));
        if (lstatSync(current, { throwIfNoEntry: false }) === undefined)
          makeOne(current, count === names.length ? kind : "directory");
      }
      return path;
    },
    [Symbol.dispose]() {
      for (const { path, parent, times } of made.toReversed()) {
        if (removeEmpty(path)) utimesSync(parent, ...times);
      }
    },
  };
}

function removeEmpty(path: string): boolean {
  try {
    const stat = lstatSync(path);
    if (stat.isDirectory()) rmdirSync(path);
    else if (stat.isFile() && stat.size === 0) rmSync(path);
    else return false;
    return true;
  } catch {
    return false;
  }
}

/** `target` with the symlinks on its way followed inside `rootfs`, as a process in it would; relative to `rootfs`. */
export function resolveInRoot(rootfs: string, target: string): string {
  let pending = target.split("/");
  const resolved: string[] = [];
  for (let links = 0; pending.length > 0;) {
    const [name = "", ...rest] = pending;
    pending = rest;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      resolved.pop();
      continue;
    }
    const stat = lstatSync(join(rootfs, ...resolved, name), { throwIfNoEntry: false });
    if (stat?.isSymbolicLink() !== true) {
      resolved.push(name);
      continue;
    }
    if ((links += 1) > MAX_LINKS) throw new Error(`Cannot resolve "${target}": too many symbolic links`);
    const link = readlinkSync(join(rootfs, ...resolved, name));
    if (link.startsWith("/")) resolved.length = 0;
    pending = [...link.split("/"), ...pending];
  }
  return resolved.join("/");
}
