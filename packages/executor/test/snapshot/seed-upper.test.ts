import { lstatSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Entry, impliedDirectories, type LayerIndex, stackTrees, writeTree } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { expect, test } from "vitest";
import { createOverlaySnapshotter } from "../../src/snapshot/overlay.ts";

function indexOf(name: string, entries: readonly Entry[]): LayerIndex {
  const digest = digestOf(Buffer.from(name));
  return { diffId: digest, contentDigest: digest, entries };
}

test("a snapshot shows the attributes that lower layers give to directories an upper one names only as parents", async () => {
  const directory = mkdtempSync(join(tmpdir(), "varve-seed-"));
  try {
    const base = { uid: 5, gid: 6, size: 0, mtime: 0n };
    const bottom = indexOf("bottom", [
      { ...base, path: "", type: "directory", mode: 0o711 },
      { ...base, path: "etc", type: "directory", mode: 0o700 },
    ]);
    const top = indexOf("top", [
      { ...base, path: "etc/x", type: "file", mode: 0o644, content: { bytes: Buffer.alloc(0) } },
    ]);
    const layers = ["bottom", "top"].map((name) => join(directory, name));
    for (const [position, index] of [bottom, top].entries()) {
      mkdirSync(layers[position] ?? "");
      await writeTree(
        index.entries.filter(({ path }) => path !== ""),
        layers[position] ?? "",
      );
    }
    const tree = stackTrees([bottom, top].map((index, position) => ({ index, directory: layers[position] ?? "" })));
    const snapshotter = createOverlaySnapshotter({ xattrs: "trusted", sync: "full" });
    mkdirSync(join(directory, "snapshot"));
    const implied = [...impliedDirectories(bottom), ...impliedDirectories(top)];
    await using snapshot = await snapshotter.prepare(
      { layers, tree, impliedDirectories: implied },
      join(directory, "snapshot"),
    );
    const etc = lstatSync(join(snapshot.rootfs, "etc"));
    expect([etc.mode & 0o7777, etc.uid, etc.gid]).toEqual([0o700, 5, 6]);
    expect(lstatSync(snapshot.rootfs).mode & 0o7777).toBe(0o711);
    expect(await snapshot.diff()).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
