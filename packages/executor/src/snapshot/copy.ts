import { randomUUID } from "node:crypto";
import { renameSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { diffTree, walkTree, writeTree } from "@varve/layer";
import type { Snapshot, SnapshotBase, Snapshotter } from "../snapshotter.ts";

/** Snapshots as whole copies, for where overlayfs can't be mounted; the diff is a walk. */
export function createCopySnapshotter(): Snapshotter {
  return { name: "copy", whiteouts: "none", prepare };
}

async function prepare({ tree }: SnapshotBase, directory: string): Promise<Snapshot> {
  const rootfs = join(directory, "rootfs");
  const remove = (path: string) => (): Promise<void> => rm(path, { recursive: true, force: true });
  try {
    await mkdir(rootfs, { mode: 0o755 });
    await writeTree(walkTree(tree), rootfs);
  } catch (error) {
    await remove(directory)();
    throw error;
  }
  const clear = async (): Promise<void> => {
    const old = join(directory, randomUUID());
    renameSync(rootfs, old);
    await remove(old)();
  };
  return {
    rootfs,
    diff: () => diffTree(rootfs, tree),
    /** A whole copy is no layer: the layer is extracted when a step needs it. */
    commit: async () => {},
    clear,
    [Symbol.asyncDispose]: remove(directory),
  };
}
