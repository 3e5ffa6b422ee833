import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stackTrees } from "@varve/layer";
import { describe, expect, test } from "vitest";
import { createOverlaySnapshotter } from "../../src/snapshot/overlay.ts";
import type { Snapshot, SnapshotBase } from "../../src/snapshotter.ts";
import { listTree, mountsBeneath, temporary } from "../run/sandbox.ts";
import { describeEntries, extract, makeBase, sh } from "./layers.ts";

const base = `
mkdir -p etc d/e/deep home/app; echo 1 >d/f; echo 2 >d/e/g; echo 3 >etc/passwd; echo 4 >d/e/deep/h; ln -s f d/link
chmod 1777 home; chown 1000:1000 home/app; setfattr -n user.x -v 1 etc/passwd
find . -exec touch -hd @1600000000.25 {} +
`;
const edits = `
echo new >d/new; rm d/f; rm -r d/e; mkdir d/e; echo again >d/e/again; chmod 600 etc/passwd; chmod 644 etc/passwd
mkdir -p opt/x; chown 5:6 opt/x; mv d/link home/link; mkdir gone; rmdir gone; echo 3 >etc/group; ln etc/group etc/twin
`;

const snapshotter = createOverlaySnapshotter({ xattrs: "trusted", sync: "volatile" });
/** A layer's tree without its root; mode and time of a whiteout say nothing. */
const describeLayer = (directory: string): string[] =>
  listTree(directory)
    .split("\n")
    .filter((line) => !line.startsWith(" "))
    .map((line) => line.replace(/ c .*/, " whiteout"));
const prepare = (base: SnapshotBase): Promise<Snapshot> => {
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  return snapshotter.prepare(base, directory);
};

describe.each([
  ["trusted", "volatile"],
  ["trusted", "full"],
  ["user", "volatile"],
] as const)("overlay with %s xattrs and %s syncing", (xattrs, sync) => {
  const own = createOverlaySnapshotter({ xattrs, sync });

  test("gives what was changed as entries, and commits it as the layer of these entries", async () => {
    const below = await makeBase([base], xattrs);
    const parent = temporary();
    const directory = join(parent, "snapshot");
    mkdirSync(directory);
    const path = join(parent, "committed");
    {
      await using snapshot = await own.prepare(below, directory);
      sh(snapshot.rootfs, edits);
      const entries = await snapshot.diff();
      expect(describeEntries(entries)).toEqual([
        "d directory 755 0 0 0 ",
        "d/e directory 755 0 0 0 ",
        "d/e/again file 644 0 0 6 ",
        "d/e/deep whiteout 0 0 0 0 ",
        "d/e/g whiteout 0 0 0 0 ",
        "d/f whiteout 0 0 0 0 ",
        "d/link whiteout 0 0 0 0 ",
        "d/new file 644 0 0 4 ",
        "etc directory 755 0 0 0 ",
        "etc/group file 644 0 0 2 ",
        "etc/twin hardlink 644 0 0 0 etc/group",
        "home directory 1777 0 0 0 ",
        "home/link symlink  0 0 0 f",
        "opt directory 755 0 0 0 ",
        "opt/x directory 755 5 6 0 ",
      ]);
      const { directory: extracted } = await extract(entries, xattrs);
      await snapshot.commit(path);
      expect(describeLayer(path)).toEqual(describeLayer(extracted));
      expect(mountsBeneath(parent)).toEqual([]);
    }
    expect(readdirSync(parent)).toEqual(["committed"]);
  });
});

test("prepare() stacks a committed layer on its base", async () => {
  const below = await makeBase([base], "trusted");
  const path = join(temporary(), "committed");
  await using first = await prepare(below);
  sh(first.rootfs, edits);
  const { index } = await extract(await first.diff(), "trusted");
  await first.commit(path);
  const tree = stackTrees([{ index }]);
  await using second = await prepare({ layers: [...below.layers, path], tree });
  expect(sh(second.rootfs, "find . -type f -o -type l | sort")).toBe(
    "./d/e/again\n./d/new\n./etc/group\n./etc/passwd\n./etc/twin\n./home/link\n",
  );
});

test("commit() does not hide what another base has", async () => {
  const path = join(temporary(), "committed");
  await using first = await prepare(await makeBase(["mkdir d e; echo old >d/f; echo 1 >e/x"], "trusted"));
  sh(first.rootfs, "chmod 600 d/f; chmod 644 d/f; rm -r e; mkdir e; echo 2 >e/y");
  await first.diff();
  await first.commit(path);
  const other = await makeBase(["mkdir d e; echo newer >d/f; echo 3 >e/z"], "trusted");
  await using second = await prepare({ ...other, layers: [...other.layers, path] });
  expect(sh(second.rootfs, "cat d/f; ls e")).toBe("newer\ny\nz\n");
});

test("commit() leaves what stands at the path", async () => {
  const path = temporary();
  writeFileSync(join(path, "first"), "");
  await using snapshot = await prepare(await makeBase([base], "trusted"));
  sh(snapshot.rootfs, "echo second >second");
  await snapshot.diff();
  await snapshot.commit(path);
  expect(readdirSync(path)).toEqual(["first"]);
});

test("prepare() without layers gives an empty file system", async () => {
  await using snapshot = await prepare({ layers: [], tree: stackTrees([]) });
  expect(readdirSync(snapshot.rootfs)).toEqual([]);
  sh(snapshot.rootfs, "mkdir a; echo 1 >a/b; rm -r a; mkdir a");
  expect(describeEntries(await snapshot.diff())).toEqual(["a directory 755 0 0 0 "]);
});

test("prepare() mounts 130 layers, the newest on top", async () => {
  const numbers = Array.from({ length: 130 }, (_, number) => number);
  const layers = numbers.map((number) => {
    const directory = join(temporary(), "a rather long name, with a comma: and a colon");
    mkdirSync(directory);
    writeFileSync(join(directory, `file-${number}`), "");
    writeFileSync(join(directory, "newest"), String(number));
    return directory;
  });
  await using snapshot = await prepare({ layers, tree: stackTrees([]) });
  expect(readdirSync(snapshot.rootfs)).toHaveLength(131);
  expect(readFileSync(join(snapshot.rootfs, "newest"), "utf8")).toBe("129");
});

test("prepare() says that a mount fails and leaves nothing", async () => {
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  const layers = Array.from({ length: 300 }, (_, index) => `/missing-${index}`);
  const preparing = snapshotter.prepare({ layers, tree: stackTrees([]) }, directory);
  await expect(preparing).rejects.toMatchObject({
    code: "MOUNT_FAILED",
    message: expect.stringContaining("300 layers"),
  });
  expect(existsSync(directory)).toBe(false);
});

test("disposal unmounts while a process still looks", async () => {
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  const snapshot = await snapshotter.prepare(await makeBase([base], "trusted"), directory);
  const before = process.cwd();
  process.chdir(join(snapshot.rootfs, "d"));
  try {
    await snapshot[Symbol.asyncDispose]();
    await snapshot[Symbol.asyncDispose]();
    expect([mountsBeneath(directory), existsSync(directory)]).toEqual([[], false]);
  } finally {
    process.chdir(before);
  }
});

test("a cleared directory serves snapshots of other layers", async () => {
  const { layers } = await makeBase(
    ["echo base >file; touch old", "echo upper >file; touch b", "echo top >file; touch c"],
    "trusted",
  );
  const directory = join(temporary(), "snapshot");
  mkdirSync(directory);
  const stacks = [[0], [0, 1], [0, 1, 2], [2, 1], [0], [0, 1, 0, 2], [], [1]];
  const seen = [];
  for (const stack of stacks) {
    const below = stack.map((position) => layers[position] ?? "");
    const snapshot = await snapshotter.prepare({ layers: below, tree: stackTrees([]) }, directory);
    seen.push(
      sh(snapshot.rootfs, "cat file 2>/dev/null || true; ls; touch made; rm -f old").trim().split("\n").join(" "),
    );
    await snapshot.clear();
    expect(mountsBeneath(directory)).toEqual([]);
  }
  expect(seen).toEqual([
    "base file old",
    "upper b file old",
    "top b c file old",
    "upper b c file",
    "base file old",
    "top b c file old",
    "",
    "upper b file",
  ]);
});

test("what is beneath all layers shows where they have nothing, and is not part of the diff", async () => {
  const ground = temporary();
  sh(ground, "mkdir etc; echo ground >etc/hosts; touch etc/resolv.conf");
  const below = await makeBase(["mkdir -m 700 etc; echo base >etc/hosts", "touch x"], "trusted");
  await using snapshot = await prepare({ ...below, ground });
  expect(sh(snapshot.rootfs, "ls etc; cat etc/hosts; stat -c %a etc")).toBe("hosts\nresolv.conf\nbase\n700\n");
  sh(snapshot.rootfs, "touch etc/new; rm etc/resolv.conf");
  expect(describeEntries(await snapshot.diff())).toEqual(["etc directory 700 0 0 0 ", "etc/new file 644 0 0 0 "]);
});

test("the root of a snapshot can be entered by everyone", async () => {
  await using snapshot = await prepare(await makeBase([base], "trusted"));
  expect(statSync(snapshot.rootfs).mode & 0o777).toBe(0o755);
});
