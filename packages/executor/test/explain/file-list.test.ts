import type { Entry } from "@varve/layer";
import { digestOf } from "@varve/oci";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareFileLists, decodeFileList, encodeFileList, listFiles } from "../../src/explain/file-list.ts";

function file(path: string, text: string, mode = 0o644): Entry {
  const digest = digestOf(Buffer.from(text));
  return { path, type: "file", mode, uid: 0, gid: 0, size: text.length, mtime: 0n, digest };
}

function directory(path: string): Entry {
  return { path, type: "directory", mode: 0o755, uid: 0, gid: 0, size: 0, mtime: 0n };
}

const nothing = { count: 0, names: [] };

describe("compareFileLists()", () => {
  test("names what changed, came, went, was left out, and has other permissions", () => {
    const before = listFiles([file("a", "1"), file("b", "1"), file("c", "1"), file("d", "1"), file("e", "1")]);
    const after = listFiles([file("a", "2"), file("b", "1", 0o755), file("e", "1"), directory("n"), file("n/f", "1")]);
    expect(compareFileLists(before, after, (path) => path === "d")).toEqual({
      changed: { count: 1, names: ["a"] },
      added: { count: 1, names: ["n/f"] },
      removed: { count: 1, names: ["c"] },
      ignored: { count: 1, names: ["d"] },
      modes: { count: 1, names: ["b (644 -> 755)"] },
    });
  });

  test("tells a link's target, a type and an attribute apart, and finds nothing where nothing differs", () => {
    const link: Entry = { ...file("a", ""), type: "symlink", linkname: "x" };
    const differs = (one: Entry, other: Entry): boolean =>
      compareFileLists(listFiles([one]), listFiles([other]), () => false) !== undefined;
    expect(differs(link, { ...link, linkname: "y" })).toBe(true);
    expect(differs(link, file("a", ""))).toBe(true);
    expect(differs(file("a", "1"), { ...file("a", "1"), xattrs: { "user.x": Buffer.from("1") } })).toBe(true);
    expect(differs(file("a", "1"), { ...file("a", "1"), mtime: 1n })).toBe(false);
  });

  test("finds what changed wherever paths came or went", () => {
    const names = fc.uniqueArray(fc.constantFrom(..."abcdefgh"), { maxLength: 8 });
    const files = fc.tuple(names, fc.infiniteStream(fc.constantFrom("1", "2")));
    const toFiles = ([paths, texts]: readonly [readonly string[], Iterator<string>]): Map<string, string> =>
      new Map(paths.map((path) => [path, String(texts.next().value)]));
    fc.assert(
      fc.property(files, files, fc.boolean(), (one, two, isSorted) => {
        const [before, after] = [toFiles(one), toFiles(two)];
        const list = (all: ReadonlyMap<string, string>): ReturnType<typeof listFiles> => {
          const paths = isSorted ? [...all.keys()].toSorted() : [...all.keys()];
          return listFiles(paths.map((path) => file(path, all.get(path)!)));
        };
        const found = compareFileLists(list(before), list(after), () => false);
        const sorted = (paths: readonly string[] | undefined): readonly string[] => (paths ?? []).toSorted();
        const keys = [...after.keys()];
        expect(sorted(found?.added.names)).toEqual(sorted(keys.filter((path) => !before.has(path))));
        expect(sorted(found?.removed.names)).toEqual(sorted([...before.keys()].filter((path) => !after.has(path))));
        const changed = keys.filter((path) => before.has(path) && before.get(path) !== after.get(path));
        expect(sorted(found?.changed.names)).toEqual(sorted(changed));
      }),
    );
  });

  test("keeps ten names of a thousand", () => {
    const many = Array.from({ length: 1000 }, (_, n) => file(`f${n}`, "1"));
    const changes = compareFileLists(listFiles([]), listFiles(many), () => false);
    expect(changes?.added).toEqual({ count: 1000, names: many.slice(0, 10).map(({ path }) => path) });
    expect(changes?.changed).toEqual(nothing);
  });
});

const short = Buffer.from((await encodeFileList(listFiles([file("a", "1")])))!).subarray(0, 20);

describe("encodeFileList()", () => {
  test("gives back what it took", async () => {
    const path = fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => !text.includes("\0"));
    const entries = fc.array(fc.tuple(path, fc.string(), fc.integer({ min: 0, max: 0o7777 })));
    await fc.assert(
      fc.asyncProperty(entries, async (files) => {
        const list = listFiles(files.map(([name, text, mode]) => file(name, text, mode)));
        expect(decodeFileList((await encodeFileList(list))!)).toEqual(list);
      }),
    );
  });

  test.each([
    ["no zstd", Buffer.from("damaged")],
    ["a frame cut short", short],
  ])("is not fooled by %s", (_, bytes) => {
    expect(decodeFileList(bytes)).toBeUndefined();
  });

  test("keeps no list of more than 250,000 files", async () => {
    const one = file("x", "1");
    expect(await encodeFileList(listFiles(Array.from({ length: 250_001 }, () => one)))).toBeUndefined();
  });
});
