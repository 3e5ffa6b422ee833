import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { diffTree, walkTree, writeTree } from "@varve/layer";
import { linkEntries } from "../link-entries.ts";
import type { Snapshot, SnapshotBase, Snapshotter } from "../snapshotter.ts";

/** Snapshots as whole copies, for where overlayfs can't be mounted; the diff is a walk. */
export function createCopySnapshotter(): Snapshotter {
  return { name: "copy", whiteouts: "none", prepare };
}

async function prepare(base: SnapshotBase, directory: string): Promise<Snapshot> {
  const rootfs = join(directory, "rootfs");
  await mkdir(rootfs, { mode: 0o755 });
  await writeTree(
    linkEntries(walkTree(base.tree)).filter((entry) => entry.path !== ""),
    rootfs,
  );
  return {
    rootfs,
    diff: () => diffTree(rootfs, base.tree),
    /** A whole copy is no layer: the layer is extracted when a step needs it. */
    commit: async () => {},
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
