import { mkdir, rename, rm, symlink } from "node:fs/promises";
import { join } from "node:path";
import { diffUpper, mount, umount2 } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Snapshot, SnapshotBase, Snapshotter } from "../snapshotter.ts";

/** sys/mount.h. */
const MNT_DETACH = 2;

/** Snapshots as overlayfs mounts: the upper directory is the diff. `xattrs`: `user` in a user namespace. */
export function createOverlaySnapshotter(xattrs: "trusted" | "user"): Snapshotter {
  return { name: "overlay", whiteouts: xattrs, prepare: (base, directory) => prepare(base, { directory, xattrs }) };
}

interface Place {
  readonly directory: string;
  readonly xattrs: "trusted" | "user";
}

async function prepare(base: SnapshotBase, { directory, xattrs }: Place): Promise<Snapshot> {
  const rootfs = join(directory, "rootfs");
  const upper = join(directory, "upper");
  for (const name of ["rootfs", "upper", "work", "lower"]) await mkdir(join(directory, name), { mode: 0o755 });
  await mkdir(join(directory, "empty"));
  const lowers = base.layers.length === 0 ? [join(directory, "empty")] : base.layers.toReversed();
  await Promise.all(lowers.map((path, position) => symlink(path, join(directory, "lower", String(position)))));
  const lowerdir = lowers.map((_, position) => `lower/${position}`).join(":");
  const user = xattrs === "user" ? ",userxattr" : "";
  mountBelow(
    directory,
    `lowerdir=${lowerdir},upperdir=upper,workdir=work,index=off,redirect_dir=off,metacopy=off${user}`,
  );
  let mounted = true;
  const unmount = (): void => {
    if (mounted) umount2(rootfs, MNT_DETACH);
    mounted = false;
  };
  return {
    rootfs,
    async diff() {
      unmount();
      return diffUpper(upper, base.tree, { overlay: xattrs });
    },
    async commit(path) {
      unmount();
      await rename(upper, path).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== "ENOTEMPTY" && cause.code !== "EEXIST") throw cause;
      });
    },
    async [Symbol.asyncDispose]() {
      unmount();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Mounts with paths relative to `directory`: the options of 127 layers would not fit in a page otherwise. */
function mountBelow(directory: string, options: string): void {
  const before = process.cwd();
  process.chdir(directory);
  try {
    mount("overlay", "rootfs", { type: "overlay", options });
  } catch (cause) {
    throw new StepError("MOUNT_FAILED", `Cannot mount overlay on "${directory}/rootfs": ${(cause as Error).message}`, {
      cause,
      hint: "Choose another store on a file system that overlayfs can use, or try --snapshotter copy",
    });
  } finally {
    process.chdir(before);
  }
}
