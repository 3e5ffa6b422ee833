import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stackTrees } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Snapshotter } from "../snapshotter.ts";
import { createCopySnapshotter } from "./copy.ts";
import { createOverlaySnapshotter, type OverlayForm } from "./overlay.ts";

/** In the order in which they are tried: fastest first; Linux 5.10 and 5.11 brought the first two. */
const FORMS: readonly OverlayForm[] = [
  { xattrs: "trusted", sync: "volatile" },
  { xattrs: "user", sync: "volatile" },
  { xattrs: "trusted", sync: "full" },
];
const DIRECTORY = "directory";
const FILE = "file";

/**
 * The snapshotter of this name; `auto`: overlay where it truly works below `directory` (an empty directory on the file
 * system of the layers), else copies.
 * @throws StepError `MOUNT_FAILED` where overlay was asked for and does not work.
 */
export async function selectSnapshotter(name: "auto" | Snapshotter["name"], directory: string): Promise<Snapshotter> {
  if (name === "copy") return createCopySnapshotter();
  const problems: Error[] = [];
  for (const form of FORMS) {
    const snapshotter = createOverlaySnapshotter(form);
    const problem = await tryOut(snapshotter, join(directory, `${form.xattrs}-${form.sync}`));
    if (problem === undefined) return snapshotter;
    problems.push(problem);
  }
  if (name === "auto") return createCopySnapshotter();
  throw new StepError("MOUNT_FAILED", `Cannot use snapshotter "overlay": ${problems[0]?.message}`, {
    cause: problems[0],
    hint: "Use --snapshotter copy, or run where overlayfs can be mounted: as root, or in a user namespace on Linux 5.11 or later, with the store on ext4, xfs, btrfs or tmpfs",
  });
}

/** Why it does not work in `directory`, which is made and removed, or undefined where it does. */
async function tryOut(snapshotter: Snapshotter, directory: string): Promise<Error | undefined> {
  try {
    const layer = join(directory, "layer");
    const own = join(directory, "snapshot");
    await mkdir(own, { recursive: true });
    await mkdir(join(layer, DIRECTORY), { recursive: true });
    for (const file of [FILE, `${DIRECTORY}/${FILE}`]) await writeFile(join(layer, file), "");
    await using snapshot = await snapshotter.prepare({ layers: [layer], tree: stackTrees([]) }, own);
    await changeFiles(snapshot.rootfs);
    return undefined;
  } catch (error) {
    return error as Error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Asks for a copy-up and for an opaque directory: some file systems let themselves be mounted, but can't keep them. */
async function changeFiles(rootfs: string): Promise<void> {
  const directory = join(rootfs, DIRECTORY);
  await chmod(join(rootfs, FILE), 0o600);
  await rm(directory, { recursive: true });
  await mkdir(directory);
  const seen = await readdir(directory);
  if (seen.length > 0) throw new Error("overlayfs can't hide what is beneath a directory here");
}
