import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { stackTrees } from "@varve/layer";
import { StepError } from "../errors.ts";
import type { Snapshotter } from "../snapshotter.ts";
import { createCopySnapshotter } from "./copy.ts";
import { createOverlaySnapshotter } from "./overlay.ts";

/**
 * The snapshotter of this name; `auto`: overlay where one can really be mounted below `directory` (an empty directory
 * on the file system of the layers), else copies.
 * @throws StepError `MOUNT_FAILED` where overlay was asked for and can't be mounted.
 */
export async function selectSnapshotter(name: "auto" | Snapshotter["name"], directory: string): Promise<Snapshotter> {
  if (name === "copy") return createCopySnapshotter();
  const problems: unknown[] = [];
  for (const xattrs of ["trusted", "user"] as const) {
    const snapshotter = createOverlaySnapshotter(xattrs);
    try {
      await tryOut(snapshotter, join(directory, xattrs));
      return snapshotter;
    } catch (problem) {
      problems.push(problem);
    }
  }
  if (name === "auto") return createCopySnapshotter();
  throw new StepError("MOUNT_FAILED", `Cannot use snapshotter "overlay": ${(problems[0] as Error).message}`, {
    cause: problems[0],
    hint: "Use --snapshotter copy, or run where mount is permitted",
  });
}

async function tryOut(snapshotter: Snapshotter, directory: string): Promise<void> {
  await mkdir(directory);
  const snapshot = await snapshotter.prepare({ layers: [], tree: stackTrees([]) }, directory);
  await snapshot[Symbol.asyncDispose]();
}
