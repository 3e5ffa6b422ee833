import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createCopySnapshotter } from "../../src/snapshot/copy.ts";
import { createOverlaySnapshotter } from "../../src/snapshot/overlay.ts";
import type { Snapshotter } from "../../src/snapshotter.ts";
import { listTree, temporary } from "../run/sandbox.ts";
import { describeEntries, makeBase, sh } from "./layers.ts";

const base = [
  "mkdir -p a/b c; echo 1 >a/f; echo 2 >a/b/g; echo 3 >c/h; ln -s a l; touch -hd @1600000000.5 a/f a/b/g c/h l a/b a c",
  "mkdir -p a d; echo 4 >a/i; echo 5 >d/j; chown 7:8 d/j; setfattr -n user.k -v v d/j; touch -d @1600000001 a/i d/j",
];
const snapshotters: readonly Snapshotter[] = [
  createOverlaySnapshotter({ xattrs: "trusted", sync: "volatile" }),
  createCopySnapshotter(),
];

async function diffAfter(snapshotter: Snapshotter, script: string): Promise<readonly string[]> {
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  const form = snapshotter.name === "copy" ? "none" : "trusted";
  await using snapshot = await snapshotter.prepare(await makeBase(base, form), directory);
  sh(snapshot.rootfs, script);
  return describeEntries(await snapshot.diff());
}

test("copy shows the base with owners, times, links and xattrs", async () => {
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  const below = await makeBase(
    ["mkdir d; echo 1 >d/f; ln d/f d/g; ln -s f d/l; chown 7:8 d/f; setfattr -n user.k -v v d/f"],
    "none",
  );
  {
    await using snapshot = await createCopySnapshotter().prepare(below, directory);
    expect(listTree(join(snapshot.rootfs, "d"))).toBe(listTree(join(below.layers[0] ?? "", "d")));
    expect(sh(snapshot.rootfs, "stat -c %h d/g; getfattr --only-values -n user.k d/g")).toBe("2\nv");
    expect(await snapshot.diff()).toEqual([]);
  }
  expect(existsSync(directory)).toBe(false);
});

test("copy serves another snapshot from a cleared directory", async () => {
  const directory = temporary();
  const below = await makeBase(["echo 1 >file"], "none");
  for (const script of ["rm file", "touch other"]) {
    const snapshot = await createCopySnapshotter().prepare(below, directory);
    expect(sh(snapshot.rootfs, "ls")).toBe("file\n");
    sh(snapshot.rootfs, script);
    await snapshot.clear();
  }
});

const path = fc.constantFrom(
  "a/f",
  "a/b/g",
  "c/h",
  "a/i",
  "d/j",
  "l",
  "a/b",
  "c",
  "d",
  "new",
  "a/new",
  "a/b/new",
  "e/x/y",
);
const edit = fc.oneof(
  fc
    .tuple(path, fc.integer({ min: 0, max: 9 }))
    .map(([at, text]) => `mkdir -p $(dirname ${at}) && echo ${text} >${at}`),
  path.map((at) => `rm -rf ${at}`),
  path.map((at) => `rm -rf ${at} && mkdir -p ${at}`),
  fc
    .tuple(path, fc.constantFrom("600", "644", "755", "4755"))
    .map(([at, mode]) => `[ -L ${at} ] || chmod ${mode} ${at}`),
  fc.tuple(path, fc.constantFrom("0:0", "7:8")).map(([at, owner]) => `chown -h ${owner} ${at}`),
  fc.tuple(path, path).map(([from, to]) => `[ -f ${from} ] && [ ! -d ${to} ] && mv ${from} ${to}`),
  fc.tuple(path, path).map(([from, to]) => `[ -d ${to} ] || ln -snf ${from} ${to}`),
  path.map((at) => `setfattr -h -n user.k -v v ${at}`),
);

test("copy and overlay give the same diff after the same edits", async () => {
  const law = fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 8 }), async (edits) => {
    const script = edits.map((each) => `(${each}) 2>/dev/null || true`).join("\n");
    const [overlay, copy] = await Promise.all(snapshotters.map((each) => diffAfter(each, script)));
    expect(copy).toEqual(overlay);
  });
  await fc.assert(law, { numRuns: 40 });
});
