import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryMemo } from "@varve/cache";
import { createIgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import { walkTree } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createContextTree } from "../../src/context/context-tree.ts";
import { decodeFileDigests, encodeFileDigests } from "../../src/context/file-digest-codec.ts";
import { openFileDigests } from "../../src/context/file-digests.ts";

let path = "";
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), "varve-context-"));
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

function open(ignore?: string): ReturnType<typeof createContextTree> {
  return createContextTree({
    type: "directory",
    path,
    ignore: ignore === undefined ? undefined : createIgnoreMatcher(parseDockerignore(ignore)),
  });
}

describe("createContextTree()", () => {
  test("shows files as root's, with their modes, times and links", () => {
    writeFileSync(join(path, "a"), "aa");
    chmodSync(join(path, "a"), 0o4750);
    utimesSync(join(path, "a"), 5, 6);
    linkSync(join(path, "a"), join(path, "b"));
    symlinkSync("../up", join(path, "s"));
    const tree = open();
    expect(tree.lookup("a")).toMatchObject({
      type: "file",
      mode: 0o4750,
      uid: 0,
      gid: 0,
      size: 2,
      mtime: 6_000_000_000n,
    });
    expect(tree.lookup("a")?.inode).toBe(tree.lookup("b")?.inode);
    expect(tree.lookup("s")).toMatchObject({ type: "symlink", linkname: "../up" });
    expect(tree.lookup("nope")).toBeUndefined();
    expect(tree.lookup("a/below")).toBeUndefined();
  });

  test("leaves out what is ignored, and keeps a directory for what is included again", () => {
    mkdirSync(join(path, "d/e"), { recursive: true });
    for (const name of ["x", "d/x", "d/e/keep", "d/e/x"]) writeFileSync(join(path, name), "");
    mkdirSync(join(path, "gone"));
    const tree = open("x\nd\ngone\n!d/e/keep\n");
    expect([...walkTree(tree)].map((entry) => entry.path)).toEqual(["", "d", "d/e", "d/e/keep"]);
    expect(tree.lookup("x")).toBeUndefined();
    expect(tree.isIgnored("d/x")).toBe(true);
  });
});

describe("openFileDigests()", () => {
  test("reads a file once for as long as it stays the same", async () => {
    const memo = createMemoryMemo();
    const digest = async (): Promise<string | undefined> => {
      const tree = open();
      const digests = await openFileDigests(tree, memo);
      const entry = tree.lookup("a");
      const { digest: found } = entry === undefined ? { digest: undefined } : digests.withDigest("a", entry);
      await digests.save();
      return found;
    };
    writeFileSync(join(path, "a"), "one");
    utimesSync(join(path, "a"), 1000, 1000);
    expect(await digest()).toBe(digestOf(Buffer.from("one")));
    writeFileSync(join(path, "a"), "two");
    utimesSync(join(path, "a"), 1000, 1000);
    expect(await digest(), "the change time tells").toBe(digestOf(Buffer.from("two")));
    expect(await digest()).toBe(digestOf(Buffer.from("two")));
  });

  test("fails where a file changes while it is looked at", async () => {
    writeFileSync(join(path, "a"), "one");
    const tree = open();
    const entry = tree.lookup("a");
    const digests = await openFileDigests(tree, createMemoryMemo());
    writeFileSync(join(path, "a"), "longer");
    expect(() => entry !== undefined && digests.withDigest("a", entry)).toThrowError(
      expect.objectContaining({ code: "CONTEXT_CHANGED" }),
    );
  });
});

test("decodeFileDigests() reads what encodeFileDigests() writes, and nothing of what is damaged", () => {
  const file = {
    inode: 1n,
    size: 2n ** 40n,
    mtime: -5n,
    ctime: 1_700_000_000_123_456_789n,
    digest: digestOf(Buffer.from("x")),
  };
  const files = new Map([
    ["a", file],
    ["ä/b c", { ...file, inode: 2n ** 63n }],
  ]);
  const bytes = encodeFileDigests(files);
  expect(decodeFileDigests(bytes)).toEqual(files);
  expect(decodeFileDigests(bytes.subarray(1)).size).toBe(0);
  expect(decodeFileDigests(new Uint8Array(0)).size).toBe(0);
});
