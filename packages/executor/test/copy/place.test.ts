import { type Entry, type FileTree, orderEntries, stackTrees } from "@varve/layer";
import { digestOf } from "@varve/oci";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { placeInOrder, placeSelection, type Placement } from "../../src/copy/place.ts";
import { selectSource } from "../../src/copy/selection.ts";
import { createStagedTree, type StagedTree } from "../../src/copy/staged-tree.ts";

const digest = digestOf(Buffer.alloc(0));

/** `dir/`, `file`, `link -> target`, each with its mode behind `:`. */
function treeOf(...lines: readonly string[]): FileTree {
  const entries = lines.map((line): Entry => {
    const [name = "", mode = ""] = line.split(":");
    const [path = "", linkname] = name.split(" -> ");
    const base = {
      mode: mode === "" ? (path.endsWith("/") ? 0o755 : 0o644) : Number.parseInt(mode, 8),
      uid: 7,
      gid: 8,
      size: 0,
      mtime: 1n,
    };
    if (linkname !== undefined) return { ...base, path, type: "symlink", linkname };
    return path.endsWith("/")
      ? { ...base, path: path.slice(0, -1), type: "directory" }
      : { ...base, path, type: "file", digest };
  });
  return stackTrees([{ index: { diffId: digest, contentDigest: digest, entries } }]);
}

function copy(
  base: FileTree,
  source: FileTree,
  [from, to]: readonly [string, string],
  { parents = false, ...options }: Partial<Placement> & { readonly parents?: boolean } = {},
): StagedTree {
  const tree = createStagedTree(base);
  const placement: Placement = { destination: to, owner: undefined, chmod: undefined, createdTime: 5n, ...options };
  for (const root of selectSource(source, from, { exclude: [], parents })) placeSelection(tree, root, placement);
  return tree;
}

function listing(tree: StagedTree): readonly string[] {
  return tree
    .entries()
    .map(({ path, type, mode, uid }) => `${path}${type === "directory" ? "/" : ""} ${mode.toString(8)} ${uid}`)
    .toSorted();
}

const source = treeOf("a.txt", "b.txt", "d/:700", "d/x:600", "d/s/", "d/s/y", "l -> d");

describe("placeSelection()", () => {
  test.each([
    ["a file onto a new path", "a.txt", "/p/q", ["p/ 755 0", "p/q 644 7"]],
    ["a file into a new directory", "a.txt", "/p/", ["p/ 755 0", "p/a.txt 644 7"]],
    ["a file into a directory that is there", "a.txt", "/have", ["have/ 711 7", "have/a.txt 644 7"]],
    ["a directory's contents", "d", "/p", ["p/ 755 0", "p/s/ 755 7", "p/s/y 644 7", "p/x 600 7"]],
    ["through a link to a directory", "a.txt", "/link/", ["have/ 711 7", "have/a.txt 644 7"]],
    ["onto a dangling link's target", "a.txt", "/dangling", ["no/ 755 0", "no/where 644 7"]],
    ["what a link in the source names", "l", "/p", ["p/ 755 0", "p/s/ 755 7", "p/s/y 644 7", "p/x 600 7"]],
    ["wildcards", "*.txt", "/p/", ["p/ 755 0", "p/a.txt 644 7", "p/b.txt 644 7"]],
    ["nothing for a wildcard without a match", "*.zip", "/p/", []],
  ])("copies %s", (_, from, to, wanted) => {
    const base = treeOf("have/:711", "link -> have", "dangling -> /no/where");
    expect(listing(copy(base, source, [from, to]))).toEqual(wanted);
  });

  test("gives owner and octal mode to all that it makes", () => {
    const tree = copy(treeOf(), source, ["d", "/p/q"], { owner: { uid: 1, gid: 2 }, chmod: { octal: 0o640 } });
    expect(listing(tree)).toEqual(["p/ 640 1", "p/q/ 640 1", "p/q/s/ 640 1", "p/q/s/y 640 1", "p/q/x 640 1"]);
  });

  test("gives a directory that is there the mode of the source's, and its owner too but for --parents", () => {
    const base = treeOf("p/:711", "p/d/:711", "p/s/:711");
    const owner = { uid: 1, gid: 1 };
    expect(listing(copy(base, source, ["d/s/y", "/p"], { owner, parents: true }))).toEqual([
      "p/ 711 7",
      "p/d/ 700 7",
      "p/d/s/ 755 1",
      "p/d/s/y 644 1",
    ]);
    expect(listing(copy(base, source, ["d", "/p"], { owner }))).toEqual([
      "p/ 711 7",
      "p/s/ 755 1",
      "p/s/y 644 1",
      "p/x 600 1",
    ]);
  });

  test("replaces a link below the destination by a file, and refuses a directory on a file", () => {
    expect(listing(copy(treeOf("p/", "p/x -> /etc/passwd"), source, ["d", "/p"]))).toContain("p/x 600 7");
    expect(() => copy(treeOf("p/", "p/s"), source, ["d", "/p"])).toThrowError(
      expect.objectContaining({ code: "COPY_INVALID" }),
    );
    expect(() => copy(treeOf("p"), source, ["d", "/p"])).toThrow(/non-directory/);
    expect(() => copy(treeOf("p/", "p/x/"), source, ["d", "/p"])).toThrow(/Cannot replace directory/);
  });
});

describe("viewDigest()", () => {
  const view = (base: FileTree, to = "/p/a"): string => copy(base, source, ["a.txt", to]).viewDigest();

  test("is the same for bases that differ where the copy does not look", () => {
    expect(view(treeOf("p/", "other", "p/sibling"))).toBe(view(treeOf("p/", "etc/")));
  });

  test("asks for nothing below what is not there", () => {
    const asked: string[] = [];
    const base: FileTree = { ...treeOf("p/"), lookup: (path) => (asked.push(path), treeOf("p/").lookup(path)) };
    copy(base, source, ["d", "/p/new/"]);
    expect(asked).toContain("p/new");
    expect(asked.filter((path) => path.startsWith("p/new/"))).toEqual([]);
  });

  test("tells apart what the copy meets", () => {
    const views = [
      view(treeOf()),
      view(treeOf("p/")),
      view(treeOf("p/:700")),
      view(treeOf("p/", "p/a")),
      view(treeOf("q/", "p -> q")),
    ];
    expect(new Set(views).size).toBe(views.length);
  });

  test("does not depend on a file's mode that is replaced", () => {
    expect(view(treeOf("p/", "p/a:600"))).toBe(view(treeOf("p/", "p/a:644")));
  });
});

function orFailure<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return String(error);
  }
}

describe("placeInOrder()", () => {
  const name = fc.constantFrom("a", "a-b", "a.b", "b", "\u{1f4e6}", "\ufb00", "z");
  const paths = fc.uniqueArray(fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join("/")));

  test.each([
    ["a new directory", "/new/place", treeOf()],
    ["the root", "/", treeOf("a/:711", "z/")],
    ["a directory that is there", "/have/sub/", treeOf("have/:711", "have/sub/:700", "have/sub/a/:500", "have/other")],
  ])("gives what the tree has after it, in the order of a layer: into %s", (_what, destination, base) => {
    fc.assert(
      fc.property(paths, (chosen) => {
        const isAbove = (path: string): boolean => chosen.some((other) => other.startsWith(`${path}/`));
        const lines = ["s/", ...chosen.filter((path) => !isAbove(path)).map((path) => `s/${path}`)];
        const above = lines.flatMap((line) => line.split("/").map((_, at, names) => names.slice(0, at).join("/")));
        const from = treeOf(...new Set([...lines, ...above.filter((path) => path !== "").map((path) => `${path}/`)]));
        const placement: Placement = { destination, owner: { uid: 3, gid: 4 }, chmod: undefined, createdTime: 5n };
        const [root] = selectSource(from, "s", { exclude: [], parents: false });
        const [inOrder, atOnce] = [createStagedTree(base), createStagedTree(base)];
        const entries = orFailure(() => [...placeInOrder(inOrder, root!, placement)]);
        const failure = orFailure(() => placeSelection(atOnce, root!, placement));
        expect(entries).toEqual(failure ?? orderEntries(atOnce.entries()));
        expect(inOrder.viewDigest()).toBe(atOnce.viewDigest());
      }),
    );
  });

  test("gives one file for names of one file, and links to it", () => {
    const linked = treeOf("s/", "s/a", "s/b/", "s/b/c");
    const inodes: FileTree = {
      ...linked,
      lookup: (path) => {
        const entry = linked.lookup(path);
        return entry?.type === "file" ? { ...entry, inode: "1:2" } : entry;
      },
    };
    const placement: Placement = { destination: "/", owner: undefined, chmod: undefined, createdTime: 5n };
    const [root] = selectSource(inodes, "s", { exclude: [], parents: false });
    const placed = [...placeInOrder(createStagedTree(treeOf()), root!, placement)];
    expect(placed.map(({ path, type, linkname }) => [path, type, linkname])).toEqual([
      ["a", "file", undefined],
      ["b", "directory", undefined],
      ["b/c", "hardlink", "a"],
    ]);
  });
});

describe("selectSource()", () => {
  const paths = (
    from: string,
    options: { readonly exclude?: readonly string[]; readonly parents?: boolean } = {},
  ): readonly string[] =>
    selectSource(source, from, { exclude: options.exclude ?? [], parents: options.parents ?? false }).flatMap(
      ({ name, children }) => [name, ...Array.from(children, ({ path }) => path)],
    );

  test.each([
    ["d/../a.txt", ["a.txt"]],
    ["/", ["", "a.txt", "b.txt", "d", "d/s", "d/s/y", "d/x", "l"]],
    ["../../a.txt", ["a.txt"]],
    ["d/*", ["s", "y", "x"]],
    ["[ab].t?t", ["a.txt", "b.txt"]],
  ])("reads %s", (from, wanted) => {
    expect(paths(from)).toEqual(wanted);
  });

  test("leaves out what --exclude names, and keeps parents with --parents", () => {
    expect(paths("d", { exclude: ["s"] })).toEqual(["d", "x"]);
    expect(paths("d", { exclude: ["**", "!s/y"] })).toEqual(["d", "s", "s/y"]);
    expect(paths("d/s/y", { parents: true })).toEqual(["", "d", "d/s", "d/s/y"]);
    expect(paths("d/./s", { parents: true })).toEqual(["", "s", "s/y"]);
  });

  test("looks for what is in a directory once, and fails every time where that failed", () => {
    let looks = 0;
    const failing: FileTree = {
      ...source,
      list: (path) => {
        looks += 1;
        if (path === "d/s") throw new Error("no look at d/s");
        return source.list(path);
      },
    };
    const [root] = selectSource(failing, "/", { exclude: [], parents: false });
    expect(looks).toBe(0);
    expect(() => [...root!.children]).toThrow("no look at d/s");
    expect(() => [...root!.children]).toThrow("no look at d/s");
    expect(looks).toBe(3);
  });

  test("selects nothing of what is there and excluded", () => {
    expect(paths("d/s/y", { parents: true, exclude: ["**/y"] })).toEqual([""]);
    expect(paths("l/x", { parents: true })).toEqual([""]);
  });

  test("takes a backslash for itself where no wildcard needs it", () => {
    const odd = treeOf("a[1]", "b\\[c", "d/", "d/*e");
    const names = (from: string): readonly string[] =>
      selectSource(odd, from, { exclude: [], parents: false }).map(({ name }) => name);
    expect(names("a[[]1]")).toEqual(["a[1]"]);
    expect(names("b\\[c")).toEqual(["b\\[c"]);
    expect(names("d/?e")).toEqual(["*e"]);
    expect(() => names("a\\[1]")).toThrow(/not found/);
  });

  test("tells what is missing", () => {
    expect(() => paths("nope/x*")).toThrowError(expect.objectContaining({ code: "SOURCE_MISSING" }));
    expect(() => paths("nope")).toThrowError(expect.objectContaining({ code: "SOURCE_MISSING" }));
    expect(() => paths("d/nope", { parents: true })).toThrowError(expect.objectContaining({ code: "SOURCE_MISSING" }));
  });
});
