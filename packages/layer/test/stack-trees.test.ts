import { describe, expect, test } from "vitest";
import { type Entry, impliedDirectories, type LayerIndex, resolvePath, stackTrees, walkTree } from "../src/index.ts";
import { fc, test as law } from "./laws.ts";
import { directory, entry, file } from "./scratch.ts";

const digest = `sha256:${"00".repeat(32)}` as const;

function index(entries: readonly Entry[]): LayerIndex {
  return { diffId: digest, contentDigest: digest, entries };
}

function stack(...layers: readonly (readonly Entry[])[]): ReturnType<typeof stackTrees> {
  return stackTrees(layers.map((entries) => ({ index: index(entries) })));
}

const gone = (path: string): Entry => entry(path, { type: "whiteout" });

/** Layers applied one after the other to a map, as the image spec tells it. */
function applyAll(layers: readonly (readonly Entry[])[]): Map<string, Entry> {
  const tree = new Map<string, Entry>();
  for (const layer of layers) {
    for (const { type, path } of layer) {
      if (type === "whiteout" || type === "opaque") removeBeneath(tree, path, type === "whiteout");
    }
    for (const of of layer) if (of.type !== "whiteout" && of.type !== "opaque") put(tree, of);
  }
  return tree;
}

function removeBeneath(tree: Map<string, Entry>, path: string, itself: boolean): void {
  for (const known of tree.keys()) if (known.startsWith(`${path}/`) || (itself && known === path)) tree.delete(known);
}

function put(tree: Map<string, Entry>, of: Entry): void {
  if (of.type !== "directory") removeBeneath(tree, of.path, true);
  tree.set(of.path, of);
}

/** A layer as a diff makes it: parents named, no two entries of one path, nothing beneath what is no directory. */
const layer: fc.Arbitrary<readonly Entry[]> = fc
  .array(
    fc.tuple(
      fc.constantFrom("a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b"),
      fc.constantFrom("file", "directory", "whiteout", "opaque"),
      fc.nat(7),
    ),
  )
  .map((parts) => {
    const entries = new Map<string, Entry>();
    for (const [path, type, mode] of parts) {
      const parents = path
        .split("/")
        .slice(0, -1)
        .map((_, at, names) => names.slice(0, at + 1).join("/"));
      if (parents.some((parent) => (entries.get(parent)?.type ?? "directory") !== "directory")) continue;
      if ([...entries.keys()].some((known) => known.startsWith(`${path}/`))) continue;
      for (const parent of parents) if (!entries.has(parent)) entries.set(parent, directory(parent, { mode }));
      if (type === "opaque") {
        entries.set(path, directory(path, { mode }));
        entries.set(`${path}//`, entry(path, { type }));
      } else entries.set(path, entry(path, { type, mode }));
    }
    return [...entries.values()];
  });

describe("stackTrees()", () => {
  law(
    "shows what applying the layers one after the other leaves",
    [fc.array(layer, { maxLength: 4 })],
    (layers) => {
      const tree = stack(...layers);
      const wanted = applyAll(layers);
      const shown = new Map([...walkTree(tree)].slice(1).map((of) => [of.path, of]));
      expect(new Map([...shown].sort())).toEqual(new Map([...wanted].sort()));
      for (const path of ["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/a/b", "a/x"])
        expect(tree.lookup(path)).toEqual(wanted.get(path));
    },
    1000,
  );

  test("has a root of its own where no layer has one", () => {
    expect(stack().lookup("")).toMatchObject({ type: "directory", mode: 0o755 });
    expect(stack([directory("", { mode: 0o700 })], [file("f", "")]).lookup("")).toMatchObject({ mode: 0o700 });
  });

  test("shows hard links as files, with the contents of the file", () => {
    const layers = [
      { index: index([file("a", "1"), entry("b", { type: "hardlink", linkname: "a" })]), directory: "/layers/1" },
    ];
    expect(stackTrees(layers).lookup("b")).toMatchObject({
      path: "b",
      type: "file",
      size: 1,
      content: { path: "/layers/1/a" },
    });
  });

  test("keeps a hard link's file where the other path is replaced later", () => {
    const tree = stack([file("a", "1"), entry("b", { type: "hardlink", linkname: "a" })], [file("a", "22")]);
    expect([tree.lookup("a")?.size, tree.lookup("b")?.size]).toEqual([2, 1]);
  });

  test("takes attributes of a directory that is only named as a parent from lower layers", () => {
    const upper = [file("tmp/x", "1"), file("new/y", "1")];
    const tree = stack([directory("tmp", { mode: 0o1777 })], upper);
    expect(tree.lookup("tmp")).toMatchObject({ mode: 0o1777 });
    expect(tree.lookup("new")).toMatchObject({ mode: 0o755 });
    expect(tree.list("")).toEqual(["new", "tmp"]);
    expect(impliedDirectories(index(upper))).toEqual(["new", "tmp"]);
  });

  test("lets a directory that is only named as a parent hide a file", () => {
    const tree = stack([file("p", "1")], [file("p/x", "1")]);
    expect(tree.lookup("p")?.type).toBe("directory");
    expect(tree.list("p")).toEqual(["x"]);
  });

  test("shows nothing through what was no directory in between", () => {
    const tree = stack([directory("d"), file("d/old", "")], [file("d", "")], [directory("d")]);
    expect(tree.list("d")).toEqual([]);
    expect(tree.lookup("d/old")).toBeUndefined();
  });

  test("stacks 200 layers", () => {
    const layers = Array.from({ length: 200 }, (_, at) => [
      directory("d"),
      file(`d/${at}`, ""),
      ...(at > 0 ? [gone(`d/${at - 1}`)] : []),
    ]);
    expect(stack(...layers).list("d")).toEqual(["199"]);
  });

  test("lists names by code units", () => {
    expect(stack([file("b", ""), file("B", ""), file("a-b", ""), directory("a")]).list("")).toEqual([
      "B",
      "a",
      "a-b",
      "b",
    ]);
  });
});

describe("resolvePath()", () => {
  const tree = stack([
    directory("usr"),
    directory("usr/lib"),
    file("usr/lib/x", "1"),
    entry("lib", { type: "symlink", linkname: "usr/lib" }),
    entry("abs", { type: "symlink", linkname: "/usr/../lib" }),
    entry("usr/up", { type: "symlink", linkname: "../../../lib/" }),
    entry("dangling", { type: "symlink", linkname: "usr/none/at/all" }),
    entry("self", { type: "symlink", linkname: "self" }),
    entry("empty", { type: "symlink", linkname: "." }),
  ]);

  test.each([
    ["lib/x", "usr/lib/x", true],
    ["/abs//x", "usr/lib/x", true],
    ["usr/up/./x", "usr/lib/x", true],
    ["../../usr", "usr", true],
    ["lib/../x", "usr/x", false],
    ["lib", "usr/lib", true],
    ["dangling/more", "usr/none/at/all/more", false],
    ["absent/../usr", "usr", true],
    ["usr/lib/x/y", "usr/lib/x/y", false],
    ["empty/lib/x", "usr/lib/x", true],
    ["", "", true],
  ])("leads %j to %j", (path, wanted, isThere) => {
    const resolved = resolvePath(tree, path);
    expect(resolved.path).toBe(wanted);
    expect(resolved.entry !== undefined).toBe(isThere);
  });

  test("leaves a link at the end where it is told to", () => {
    expect(resolvePath(tree, "usr/../lib", { followLast: false })).toMatchObject({
      path: "lib",
      entry: { type: "symlink" },
    });
    expect(resolvePath(tree, "lib/x", { followLast: false }).path).toBe("usr/lib/x");
  });

  test("ends with LINK_LOOP in a circle", () => {
    expect(() => resolvePath(tree, "self/x")).toThrow(expect.objectContaining({ code: "LINK_LOOP" }) as Error);
  });
});

test("walkTree() gives a directory before what it holds, and starts where it is told", () => {
  const tree = stack([directory("a"), file("a/b", ""), file("a-b", "")], [gone("a-b"), file("c", "")]);
  expect([...walkTree(tree)].map(({ path }) => path)).toEqual(["", "a", "a/b", "c"]);
  expect([...walkTree(tree, "a")].map(({ path }) => path)).toEqual(["a", "a/b"]);
  expect([...walkTree(tree, "none")]).toEqual([]);
});
