import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FileSet, RunMount } from "@varve/graph";
import { resolvePath, writeTree } from "@varve/layer";
import { createContextTree } from "../context/context-tree.ts";
import { selectPath } from "../copy/selection.ts";
import { linkEntries } from "../link-entries.ts";
import { StepError } from "../errors.ts";
import type { MountContext, OpenMount } from "./open-mounts.ts";

/** `type=bind`: a part of a context or of a stage. What the process writes there is thrown away. */
export async function openBindMount(
  mount: Extract<RunMount, { type: "bind" }>,
  context: MountContext,
): Promise<OpenMount> {
  const source = await openFileSet(mount.from, mount.source, context);
  return { mount: { type: "bind", source, target: mount.target, readonly: mount.readonly } };
}

/**
 * A directory or file of this machine that holds `source` of `from`, for this mount alone.
 * @throws StepError `SOURCE_MISSING`.
 */
export async function openFileSet(from: FileSet, source: string, context: MountContext): Promise<string> {
  return from.type === "step" ? openStage(from, source, context) : openContext(from.name, source, context);
}

async function openStage(
  from: Extract<FileSet, { type: "step" }>,
  source: string,
  { session, resolve, stack }: MountContext,
): Promise<string> {
  const base = await session.layers.extractedTree(await resolve(from.step));
  const { path, entry } = resolvePath(base.tree, source, { followLast: true });
  if (entry === undefined) {
    throw new StepError(
      "SOURCE_MISSING",
      `Cannot mount "${source}": not found in the stage or image it is mounted from`,
    );
  }
  const snapshotter = await session.snapshotter();
  const directory = await session.options.store.makeTemporaryDirectory("mounts");
  const snapshot = stack.use(await snapshotter.prepare(base, directory));
  return join(snapshot.rootfs, path);
}

/** Copied, so that .dockerignore holds, all belongs to root, and writes do not reach the context. */
async function openContext(name: string, source: string, { session }: MountContext): Promise<string> {
  const root = selectPath(createContextTree(session.context(name).source), source);
  const directory = await session.options.store.makeTemporaryDirectory("tmp");
  const top = { ...root.entry, path: "root" };
  await mkdir(directory, { recursive: true });
  await writeTree(
    linkEntries([top, ...root.children.map((child) => ({ ...child, path: `root/${child.path}` }))]),
    directory,
  );
  return join(directory, "root");
}
