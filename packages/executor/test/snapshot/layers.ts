import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Entry, extractLayer, joinHardlinks, packLayer, scanDirectory, stackTrees } from "@varve/layer";
import { createMemoryStore } from "@varve/oci";
import type { SnapshotBase } from "../../src/snapshotter.ts";
import { temporary } from "../run/sandbox.ts";

export type Form = "trusted" | "user" | "none";

/** Runs a shell script in a directory and gives what it printed. */
export function sh(directory: string, script: string): string {
  return execFileSync("bash", ["-euc", script], { cwd: directory, encoding: "utf8" });
}

/** Packs entries and extracts them again, as the executor does with a layer. */
export async function extract(
  entries: readonly Entry[],
  form: Form,
): Promise<{ readonly directory: string; readonly index: Awaited<ReturnType<typeof extractLayer>> }> {
  const store = createMemoryStore();
  const { layer } = await packLayer(entries, { store, compression: { type: "none" } });
  const directory = join(temporary(), "layer");
  mkdirSync(directory);
  const index = await extractLayer(store.fetch(layer.descriptor), { directory, overlay: form });
  return { directory, index };
}

/** Layers made by shell scripts, each in an empty directory, oldest first. */
export async function makeBase(scripts: readonly string[], form: Form): Promise<SnapshotBase> {
  const made = await Promise.all(
    scripts.map((script) => {
      const source = temporary();
      sh(source, script);
      return extract(joinHardlinks(scanDirectory(source, { xattrs: "read" })), form);
    }),
  );
  return { layers: made.map(({ directory }) => directory), tree: stackTrees(made) };
}

/** What stands in a tree, without its root and what a run of the same edits can't repeat. */
export function describeEntries(entries: readonly Entry[]): readonly string[] {
  return entries.map(({ path, type, mode, uid, gid, size, linkname }) =>
    [path, type, type === "symlink" ? "" : mode.toString(8), uid, gid, size, linkname ?? ""].join(" "),
  );
}
