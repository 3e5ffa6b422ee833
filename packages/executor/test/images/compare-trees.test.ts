import { describe, expect, test } from "vitest";
import { type Entry, type LayerIndex, stackTrees } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { compareTrees } from "../../src/images/compare-trees.ts";
import { layerUsage } from "../../src/images/layer-usage.ts";

function entry(path: string, more: Partial<Entry> = {}): Entry {
  const type = more.type ?? "file";
  const common = { path, type, mode: type === "directory" ? 0o755 : 0o644, uid: 0, gid: 0, size: 0, mtime: 0n };
  return { ...common, ...more };
}

function file(path: string, text: string, more: Partial<Entry> = {}): Entry {
  return entry(path, { size: text.length, digest: digestOf(Buffer.from(text)), ...more });
}

let count = 0;
function layer(...entries: readonly Entry[]): LayerIndex {
  const diffId = digestOf(Buffer.from(String((count += 1))));
  return { diffId, contentDigest: diffId, entries };
}

const directory = (path: string): Entry => entry(path, { type: "directory" });
const whiteout = (path: string): Entry => entry(path, { type: "whiteout" });

test("compareTrees() names what was added, modified and deleted, by path, and by what", () => {
  const before = stackTrees([
    {
      index: layer(
        directory("d"),
        file("d/same", "s", { mtime: 1n }),
        file("d/text", "a"),
        file("d/mode", "m"),
        file("d/gone", "g"),
        file("d/kind", "k"),
      ),
    },
  ]);
  const after = stackTrees([
    {
      index: layer(
        directory("d"),
        file("d/same", "s", { mtime: 2n }),
        file("d/text", "b", { uid: 7 }),
        file("d/mode", "m", { mode: 0o600 }),
        file("d/new", "n"),
        entry("d/kind", { type: "symlink", linkname: "x" }),
      ),
    },
  ]);
  expect(
    compareTrees(before, after).map((change) => [
      change.kind,
      change.path,
      change.kind === "modified" ? change.parts : [],
    ]),
  ).toEqual([
    ["deleted", "d/gone", []],
    ["modified", "d/kind", ["type"]],
    ["modified", "d/mode", ["mode"]],
    ["added", "d/new", []],
    ["modified", "d/text", ["content", "owner"]],
  ]);
  expect(compareTrees(after, after)).toEqual([]);
});

describe("layerUsage()", () => {
  const below = layer(directory("d"), file("d/a", "12345"), file("d/b", "123"), file("e", "1"));
  const wasted = (...above: readonly Entry[]): number => layerUsage([below, layer(...above)])[0]?.wasted ?? -1;

  test.each([
    ["nothing", [directory("d"), file("x", "1")], 0],
    ["a file of the same name", [directory("d"), file("d/a", "")], 5],
    ["a whiteout of a file", [whiteout("d/b")], 3],
    ["a whiteout of a directory", [whiteout("d")], 8],
    ["an opaque directory", [directory("d"), entry("d", { type: "opaque" })], 8],
    ["a file in place of a directory", [file("d", "")], 8],
    ["an opaque root", [entry("", { type: "opaque" })], 9],
  ] as const)("counts what %s hides", (_, above, expected) => {
    expect(wasted(...above)).toBe(expected);
  });

  test("counts a byte once, however often it is hidden", () => {
    const usage = layerUsage([below, layer(file("e", "22")), layer(whiteout("e"), whiteout("d/a"))]);
    expect(usage.map(({ entries, size, wasted: bytes }) => [entries, size, bytes])).toEqual([
      [4, 9, 6],
      [1, 2, 2],
      [2, 0, 0],
    ]);
  });
});
