import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { FileSet, RunMount } from "@varve/graph";
import { writeTree } from "@varve/layer";
import { createContextTree } from "../context/context-tree.ts";
import { explainMissing } from "../copy/explain-missing.ts";
import { findPath, selectPath } from "../copy/selection.ts";
import { linkEntries } from "../link-entries.ts";
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
  const { tree } = base;
  const { path } = explainMissing(() => findPath(tree, source), { verb: "mount", path: source, from, tree });
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
    linkEntries([top, ...Array.from(root.children, (child) => ({ ...child, path: `root/${child.path}` }))]),
    directory,
  );
  return join(directory, "root");
}
