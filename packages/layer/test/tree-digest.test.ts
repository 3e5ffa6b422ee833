import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestFiles, type Entry, treeDigest } from "../src/index.ts";
import { directory, entry, file, scratch } from "./scratch.ts";
import { fc, test as law } from "./laws.ts";

const digest = `sha256:${"ab".repeat(32)}` as const;
const anyEntry: fc.Arbitrary<Entry> = fc.record({
  path: fc.stringMatching(/^[a-c/]{0,4}$/),
  type: fc.constantFrom("file", "directory", "symlink", "whiteout", "char-device"),
  mode: fc.nat(2),
  uid: fc.nat(2),
  gid: fc.nat(2),
  size: fc.constant(0),
  mtime: fc.constant(0n),
  linkname: fc.stringMatching(/^[a-c]{0,3}$/),
  device: fc.record({ major: fc.nat(1), minor: fc.nat(1) }),
  xattrs: fc.dictionary(fc.stringMatching(/^[ab]{1,2}$/), fc.uint8Array({ maxLength: 2 }), { noNullPrototype: true }),
  digest: fc.constant(digest),
});

describe("treeDigest()", () => {
  test("is part of the cache format", async () => {
    const tree = [
      directory("a"),
      file("a/b", "text", { mode: 0o4755, uid: 1, xattrs: { "user.x": Uint8Array.of(1) } }),
      entry("l", { type: "symlink", linkname: "a" }),
      entry("n", { type: "char-device", device: { major: 1, minor: 3 } }),
      entry("w", { type: "whiteout", mode: 0 }),
    ];
    expect(await treeDigest(tree)).toBe("sha256:4d8140fe27cc54bff75dfaaac263dd09bfca33619ea97fdd398ee37393771c7b");
    expect(await treeDigest(tree.toReversed().map((of) => ({ ...of, mtime: 5n })))).toBe(await treeDigest(tree));
  });

  law(
    "is equal for equal entries only",
    [anyEntry, anyEntry],
    async (a, b) => {
      const isEqual = JSON.stringify(plain(a)) === JSON.stringify(plain(b));
      expect((await treeDigest([a])) === (await treeDigest([b]))).toBe(isEqual);
    },
    500,
  );

  test("tells one entry with two attributes from others", async () => {
    const parts = ["ab", "c"].map((path) => file(path, ""));
    expect(await treeDigest(parts)).not.toBe(await treeDigest(["a", "bc"].map((path) => file(path, ""))));
  });

  test("reads files whose digest is absent, and only these", async () => {
    const root = scratch();
    mkdirSync(join(root, "d"));
    writeFileSync(join(root, "d/f"), "bytes");
    const read = entry("f", { size: 5, content: { path: join(root, "d/f") } });
    const known = entry("k", { size: 9, digest, content: { path: "/nowhere" } });
    const [first, second] = await digestFiles([read, known]);
    expect(first?.digest).toBe("sha256:277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9");
    expect(second).toBe(known);
    await expect(treeDigest([entry("f", { size: 5 })])).rejects.toMatchObject({ code: "SOURCE_MISSING" });
    await expect(treeDigest([{ ...read, size: 4 }])).rejects.toMatchObject({ code: "FILE_CHANGED", path: "f" });
  });
});

/** What of an entry counts: the digest of a file only, no attribute of another type's. */
function plain(of: Entry): unknown {
  const { path, type, mode, uid, gid, linkname, device } = of;
  const xattrs = Object.entries(of.xattrs ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    path,
    type,
    mode,
    uid,
    gid,
    linkname,
    device?.major,
    device?.minor,
    xattrs.map(([name, value]) => [name, [...value]]),
  ];
}
