import { fc, test as property } from "./laws.ts";
import { describe, expect, test } from "vitest";
import { comparePaths, orderEntries } from "../src/order-entries.ts";
import { directory, entry, file } from "./scratch.ts";

describe("comparePaths()", () => {
  property(
    "compares as the bytes of the paths do",
    [fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })],
    (a, b) => {
      expect(Math.sign(comparePaths(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
    },
  );

  test("puts what lies above U+FFFF last", () => {
    expect(["\u{1f600}", "\uffee", "z"].sort(comparePaths)).toEqual(["z", "\uffee", "\u{1f600}"]);
  });
});

describe("orderEntries()", () => {
  test("puts a directory before what it holds, a whiteout before and an opaque marker after its path", () => {
    const entries = [
      file("a/x", ""),
      entry("a", { type: "opaque" }),
      directory("a"),
      file("a-b", ""),
      entry("a", { type: "whiteout" }),
    ];
    expect(orderEntries(entries).map(({ path, type }) => `${type} ${path}`)).toEqual([
      "whiteout a",
      "directory a",
      "opaque a",
      "file a-b",
      "file a/x",
    ]);
  });

  test("makes the first path of a hard-linked file the file", () => {
    const linked = [
      file("b", "1", { xattrs: { "user.x": Uint8Array.of(1) } }),
      entry("a", { type: "hardlink", linkname: "b" }),
      entry("c", { type: "hardlink", linkname: "b" }),
    ];
    expect(orderEntries(linked)).toMatchObject([
      { path: "a", type: "file", size: 1, content: {}, xattrs: {} },
      { path: "b", type: "hardlink", linkname: "a", size: 0 },
      { path: "c", type: "hardlink", linkname: "a" },
    ]);
    expect(orderEntries(linked)[1]).not.toHaveProperty("content");
  });

  test("refuses a hard link whose file is not there", () => {
    expect(() => orderEntries([entry("a", { type: "hardlink", linkname: "b" })])).toThrow(
      'Cannot take hard link "a" into a layer: its file "b" is not among the entries',
    );
  });
});
