import { chmodSync, lstatSync, mkdirSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { lutimens } from "@varve/layer";
import { type MountPointKind, mountPointKind } from "./mount-point-kind.ts";
import { resolveInRoot } from "./resolve-in-root.ts";
import type { RuntimeMount } from "./runtime-config.ts";

/** Places for mounts in a rootfs. */
export interface MountPoints extends Disposable {
  /**
   * The path on this machine of the mount point of `target` (absolute, in the rootfs); where it is absent, it is made
   * with its parents: a directory of that mode (0755), or an empty file.
   */
  make(target: string, kind: MountPointKind, mode?: number): string;
}

interface Made {
  readonly path: string;
  readonly parent: string;
  /** Modification time of the parent before the mount point was made, and right after, in nanoseconds since 1970. */
  readonly before: bigint;
  readonly after: bigint;
}

/**
 * Makes mount points below `rootfs`. Disposal takes those that it made away again, where they are still empty, so that
 * they reach no layer; the directory around gets the times back that it would have without them.
 */
export function createMountPoints(rootfs: string): MountPoints {
  const made: Made[] = [];
  return {
    make(target, kind, mode) {
      const names = resolveInRoot(rootfs, target);
      for (let count = 1; count <= names.length; count += 1) {
        const path = join(rootfs, ...names.slice(0, count));
        if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) continue;
        made.push(count === names.length ? makeOne(path, kind, mode) : makeOne(path, "directory"));
      }
      return join(rootfs, ...names);
    },
    [Symbol.dispose]() {
      for (const each of made.toReversed()) takeAway(each);
    },
  };
}

/** Makes the mount points of all mounts in the rootfs; those that lie in another mount are the runner's to make there. */
export function makeMountPoints(points: MountPoints, mounts: readonly RuntimeMount[]): void {
  const targets: string[] = [];
  for (const { destination, type, source, options } of mounts) {
    if (targets.some((target) => destination.startsWith(`${target}/`))) continue;
    targets.push(destination);
    points.make(destination, mountPointKind(type, source), type === "tmpfs" ? modeOf(options) : undefined);
  }
}

/** What the options of a tmpfs say: OCI runtimes give it the mode of its mount point instead. */
function modeOf(options: readonly string[]): number | undefined {
  const option = options.find((each) => each.startsWith("mode="));
  return option === undefined ? undefined : Number.parseInt(option.slice("mode=".length), 8);
}

function makeOne(path: string, kind: MountPointKind, mode: number = 0o755): Made {
  const parent = join(path, "..");
  const before = modifiedAt(parent);
  if (kind === "directory") {
    mkdirSync(path);
    chmodSync(path, mode);
  } else writeFileSync(path, "", { flag: "wx", mode: 0o644 });
  return { path, parent, before, after: modifiedAt(parent) };
}

function takeAway({ path, parent, before, after }: Made): void {
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
  const now = modifiedAt(parent);
  if (removeEmpty(path)) lutimens(parent, now === after ? before : now);
}

function modifiedAt(path: string): bigint {
  return statSync(path, { bigint: true }).mtimeNs;
}

function removeEmpty(path: string): boolean {
  const stat = lstatSync(path);
  try {
    if (stat.isDirectory()) rmdirSync(path);
    else if (stat.isFile() && stat.size === 0) rmSync(path);
    else return false;
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOTEMPTY") return false;
    throw cause;
  }
}
