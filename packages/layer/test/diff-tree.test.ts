import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  applyLayer,
  diffTree,
  diffUpper,
  type Entry,
  extractLayer,
  type FileTree,
  joinHardlinks,
  mount,
  scanDirectory,
  stackTrees,
  umount2,
} from "../src/index.ts";
import { chunked, describeTree, pack, scratch, sh } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

const detach = 2;
const base = `
mkdir -p d/e/deep tmp etc home/app empty; chmod 1777 tmp
echo 1 > d/f; echo 2 > d/e/g; echo 3 > etc/passwd; echo 4 > etc/group; echo 5 > d/e/deep/h
ln d/f d/twin; ln -s f d/link; mkfifo d/fifo; setfattr -n user.x -v 1 etc/group
find . -exec touch -hd @1600000000.25 {} +
`;

/** An extracted base layer and the tree that its index shows. */
async function makeBase(root: string): Promise<{ readonly lower: string; readonly tree: FileTree }> {
  sh(root, `mkdir src upper work merged; cd src; ${base}`);
  const { blob } = await pack(joinHardlinks(scanDirectory(join(root, "src"), { xattrs: "read" })));
  const lower = join(root, "lower");
  const index = await extractLayer(chunked(blob), { directory: lower, overlay: "trusted" });
  return { lower, tree: stackTrees([{ index, directory: lower }]) };
}

/** Runs a script in an overlay of the base, unmounts it, and gives what the upper directory holds. */
async function inOverlay(
  script: string,
  form: "trusted" | "user" = "trusted",
): Promise<{ entries: readonly Entry[]; root: string; tree: FileTree }> {
  const root = scratch();
  const { lower, tree } = await makeBase(root);
  const directories = `lowerdir=${lower},upperdir=${root}/upper,workdir=${root}/work`;
  // The kernel takes "userxattr" as a word against redirects and metacopy, and refuses to hear it twice.
  const options = form === "user" ? "userxattr" : "metacopy=off,redirect_dir=off";
  mount("overlay", join(root, "merged"), { type: "overlay", options: `${directories},index=off,${options}` });
  onTestFinished(() => {
    try {
      umount2(join(root, "merged"), detach);
    } catch {
      // It was unmounted already.
    }
  });
  sh(join(root, "merged"), script);
  sh(root, "mkdir copy; cp -a merged/. copy");
  umount2(join(root, "merged"), 0);
  return { entries: await diffUpper(join(root, "upper"), tree, { overlay: form }), root, tree };
}

function show(entries: readonly Entry[]): string[] {
  return entries.map(({ type, path, linkname }) =>
    [type, path, ...(linkname === undefined ? [] : [linkname])].join(" "),
  );
}

describe("diffUpper()", () => {
  test.each<[string, string, string[]]>([
    ["nothing", ":", []],
    ["a new file", "echo new > d/new", ["directory d", "file d/new"]],
    ["a touched file", "touch etc/passwd", ["directory etc", "file etc/passwd"]],
    ["a mode set to what it is", "chmod 644 etc/passwd", []],
    ["the same bytes and the same time", "echo 3 > etc/passwd; touch -d @1600000000.25 etc/passwd", []],
    [
      "other bytes of the same length and time",
      "echo 4 > etc/passwd; touch -d @1600000000.25 etc/passwd",
      ["directory etc", "file etc/passwd"],
    ],
    ["a removed file", "rm etc/group", ["directory etc", "whiteout etc/group"]],
    ["a removed directory", "rm -rf home", ["whiteout home"]],
    ["a file that came and went", "touch etc/x; rm etc/x", []],
    [
      "a directory made anew",
      "rm -rf d; mkdir d; echo h > d/h",
      [
        "directory d",
        "whiteout d/e",
        "whiteout d/f",
        "whiteout d/fifo",
        "file d/h",
        "whiteout d/link",
        "whiteout d/twin",
      ],
    ],
    [
      "directories made anew, one in another",
      "rm -rf d; mkdir -p d/e; echo 2 > d/e/g",
      [
        "directory d",
        "directory d/e",
        "whiteout d/e/deep",
        "file d/e/g",
        "whiteout d/f",
        "whiteout d/fifo",
        "whiteout d/link",
        "whiteout d/twin",
      ],
    ],
    ["an empty directory made anew", "rmdir empty; mkdir empty", []],
    ["a renamed directory", "mv home moved", ["whiteout home", "directory moved", "directory moved/app"]],
    ["a renamed file", "mv etc/group etc/grp", ["directory etc", "whiteout etc/group", "file etc/grp"]],
    [
      "hard links",
      "echo 1 > a; ln a b; mkdir n; ln a n/c",
      ["file a", "hardlink b a", "directory n", "hardlink n/c a"],
    ],
    ["a hard link to a lower file", "ln etc/passwd new", ["file new"]],
    [
      "two hard links to a lower file",
      "ln etc/passwd new; ln etc/passwd d/other",
      ["directory d", "file d/other", "hardlink new d/other"],
    ],
    ["a mode", "chmod 700 etc", ["directory etc"]],
    ["an owner", "chown 7 etc/group", ["directory etc", "file etc/group"]],
    ["an attribute", "setfattr -n user.x -v 2 etc/group", ["directory etc", "file etc/group"]],
    ["an attribute that is gone", "setfattr -x user.x etc/group", ["directory etc", "file etc/group"]],
    ["a symlink's target", "ln -sfn g d/link", ["directory d", "symlink d/link g"]],
    ["a file for a directory", "rm -r home; echo x > home", ["file home"]],
    [
      "a directory for a file",
      "rm etc/group; mkdir etc/group; touch etc/group/x",
      ["directory etc", "directory etc/group", "file etc/group/x"],
    ],
    ["a socket", `python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('s')"`, []],
    ["a device and a fifo", "mknod n c 1 3; mkfifo p", ["char-device n", "fifo p"]],
  ])("gives the entries of %s", async (_what, script, wanted) => {
    const { entries, root, tree } = await inOverlay(script);
    expect(show(entries)).toEqual(wanted);
    expect(show(await diffTree(join(root, "copy"), tree))).toEqual(wanted);
  });

  test("reads the marks of a mount with userxattr", async () => {
    const { entries } = await inOverlay("rm -rf d; mkdir d; echo h > d/h; rm etc/group", "user");
    expect(show(entries)).toEqual([
      "directory d",
      "whiteout d/e",
      "whiteout d/f",
      "whiteout d/fifo",
      "file d/h",
      "whiteout d/link",
      "whiteout d/twin",
      "directory etc",
      "whiteout etc/group",
    ]);
  });

  test("reads whiteouts that are attributes", async () => {
    const root = scratch();
    const { tree } = await makeBase(root);
    sh(
      join(root, "upper"),
      "mkdir etc; touch etc/group etc/kept; setfattr -n trusted.overlay.whiteout etc/group; setfattr -n trusted.overlay.opaque -v x etc",
    );
    expect(show(await diffUpper(join(root, "upper"), tree, { overlay: "trusted" }))).toEqual([
      "directory etc",
      "whiteout etc/group",
      "file etc/kept",
    ]);
  });

  test("hides overlayfs' own attributes", async () => {
    const { entries } = await inOverlay("echo more >> etc/passwd; rm -rf d; mkdir d");
    expect(entries.filter(({ xattrs }) => xattrs !== undefined)).toEqual([]);
  });

  test("makes layers that overlayfs stacks to the same tree", async () => {
    const { entries, root } = await inOverlay(
      "rm -rf d/e home; mkdir -p home/new; mv etc/group tmp/; echo 9 > d/f; ln d/f d/again",
    );
    const upper = join(root, "second");
    await extractLayer(chunked((await pack(entries)).blob), { directory: upper, overlay: "trusted" });
    mount("overlay", join(root, "merged"), { type: "overlay", options: `lowerdir=${upper}:${root}/lower,ro` });
    const stacked = describeTree(join(root, "merged"));
    umount2(join(root, "merged"), 0);
    expect(withoutLinks(stacked)).toBe(withoutLinks(describeTree(join(root, "copy"))));
  });
});

/** Times of directories are not part of a diff. */
function withoutTimes(description: string): string {
  return description.replaceAll(/\|d\|([^|]*)\|([^|]*)\|[^|]*\|/g, "|d|$1|$2||");
}

const names = ["a", "b", "c"];
const path = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 }).map((parts) => parts.join("/"));
const edit = fc.oneof(
  fc
    .tuple(path, fc.nat(99))
    .map(([at, text]) => `rm -rf ${at}; mkdir -p $(dirname ${at}) 2>/dev/null && echo ${text} > ${at}`),
  path.map((at) => `mkdir -p ${at} 2>/dev/null`),
  path.map((at) => `rm -rf ${at}`),
  fc.tuple(path, path).map(([from, to]) => `test -e ${to} || mv ${from} ${to} 2>/dev/null`),
  fc.tuple(path, path).map(([from, to]) => `test -f ${from} && ! test -e ${to} && ln ${from} ${to} 2>/dev/null`),
  fc.tuple(path, path).map(([from, to]) => `test -e ${to} || test -L ${to} || ln -s ${from} ${to} 2>/dev/null`),
  fc
    .tuple(path, fc.constantFrom("700", "755", "4711"))
    .map(([at, mode]) => `test -L ${at} || chmod ${mode} ${at} 2>/dev/null`),
  path.map((at) => `chown -h 5:6 ${at} 2>/dev/null`),
  path.map((at) => `test -L ${at} || setfattr -n user.y -v 1 ${at} 2>/dev/null`),
);
const edits = fc
  .array(edit, { minLength: 1, maxLength: 12 })
  .map((lines) => lines.map((line) => `{ ${line}; } || true`).join("\n"));

describe("diffTree()", () => {
  law(
    "applied to the base gives the changed tree",
    [edits, edits],
    async (first, second) => {
      const root = scratch();
      sh(root, `mkdir next; cd next; ${first}`);
      const next = join(root, "next");
      const { blob } = await pack(joinHardlinks(scanDirectory(next, { xattrs: "read" })));
      const applied = join(root, "applied");
      mkdirSync(applied);
      const index = await applyLayer(chunked(blob), { directory: applied });
      sh(next, second);
      const changes = await diffTree(next, stackTrees([{ index }]));
      await applyLayer(chunked((await pack(changes)).blob), { directory: applied });
      expect(withoutLinks(describeTree(applied))).toBe(withoutLinks(describeTree(next)));
    },
    25,
  );

  test("reads nothing of a file that was not touched since a given time", async () => {
    const root = scratch();
    sh(root, "mkdir src; echo old > src/f; touch -d @5 src/f");
    const { index } = await pack(scanDirectory(join(root, "src")));
    sh(root, "echo new > src/f; touch -d @5 src/f");
    const tree = stackTrees([{ index }]);
    expect(show(await diffTree(join(root, "src"), tree))).toEqual(["file f"]);
    const unchangedBefore = BigInt(Date.now() + 1000) * 1_000_000n;
    expect(show(await diffTree(join(root, "src"), tree, { unchangedBefore }))).toEqual([]);
  });
});

/** A link between a file that changed and one that did not is not part of a diff. */
function withoutLinks(description: string): string {
  return withoutTimes(description).replaceAll(/\|\d+$/gm, "");
}
