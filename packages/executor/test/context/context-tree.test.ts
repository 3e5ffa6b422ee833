import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { createMemoryMemo, type Memo } from "@varve/cache";
import { createIgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import { type FileTree, walkTree } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createContextTree } from "../../src/context/context-tree.ts";
import { openFileDigests } from "../../src/context/file-digests.ts";
import { StampColumn } from "../../src/context/file-stamp.ts";
import { openContext } from "../../src/context/open-context.ts";
import { decodeTable, encodeTable } from "../../src/context/packed-table.ts";
import { selectSource } from "../../src/copy/selection.ts";

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

describe("children()", () => {
  test.each([undefined, "x\nd\n!d/e/keep\n"])("gives what list() and lookup() give, with ignore file %j", (ignore) => {
    for (const directory of ["d/e", "f/g", "empty"]) mkdirSync(join(path, directory), { recursive: true });
    for (const name of ["x", "d/x", "d/e/keep", "d/e/x", "f/é", "f/g/y", "f-a"]) writeFileSync(join(path, name), "");
    const [tree, other] = [open(ignore), open(ignore)];
    for (const { path: directory } of walkTree(other)) {
      const looked = other
        .list(directory)
        .map((name) => [name, other.lookup(directory === "" ? name : `${directory}/${name}`)]);
      expect([...tree.children(directory)]).toEqual(looked);
    }
    expect([...tree.children("f/g/y")]).toEqual([]);
    expect([...tree.children("nope")]).toEqual([]);
  });
});

/** The digest of `name` in the context, with what is remembered in `memo`. */
async function digestOfFile(name: string, memo: Memo): Promise<string | undefined> {
  const tree = open();
  const digests = openFileDigests(tree.source, memo);
  const entry = tree.lookup(name);
  if (entry === undefined) return undefined;
  const [digest] = await digests.digestAll([tree.fileOf(entry)]);
  await digests.save();
  return digest;
}

describe("openFileDigests()", () => {
  test("reads a file once for as long as it stays the same", async () => {
    const memo = createMemoryMemo();
    writeFileSync(join(path, "a"), "one");
    utimesSync(join(path, "a"), 1000, 1000);
    expect(await digestOfFile("a", memo)).toBe(digestOf(Buffer.from("one")));
    writeFileSync(join(path, "a"), "two");
    utimesSync(join(path, "a"), 1000, 1000);
    expect(await digestOfFile("a", memo), "the change time tells").toBe(digestOf(Buffer.from("two")));
    await setTimeout(40);
    expect(await digestOfFile("a", memo)).toBe(digestOf(Buffer.from("two")));
    chmodSync(path, 0o755);
    expect(await digestOfFile("a", memo)).toBe(digestOf(Buffer.from("two")));
  });

  test("reads many files in threads as it reads few", async () => {
    const names = Array.from({ length: 400 }, (_, number) => `f${number}`);
    for (const name of names) writeFileSync(join(path, name), name);
    const tree = open();
    const files = names.map((name) => tree.fileOf(tree.lookup(name)!));
    const digests = openFileDigests(tree.source, createMemoryMemo());
    expect(await digests.digestAll(files)).toEqual(names.map((name) => digestOf(Buffer.from(name))));
  });

  test.each([
    ["grows", (file: string) => writeFileSync(file, "longer")],
    ["vanishes", (file: string) => rmSync(file)],
    ["is written anew", (file: string) => writeFileSync(file, "two")],
  ])("fails where a file %s while it is looked at", async (_what, change) => {
    writeFileSync(join(path, "a"), "one");
    const tree = open();
    const seen = tree.fileOf(tree.lookup("a")!);
    await setTimeout(20);
    change(join(path, "a"));
    const digests = openFileDigests(tree.source, createMemoryMemo());
    await expect(digests.digestAll([seen])).rejects.toMatchObject({ code: "CONTEXT_CHANGED" });
  });
});

describe("selectInContext()", () => {
  const select = (tree: FileTree): ReturnType<typeof selectSource> =>
    selectSource(tree, ".", { exclude: [], parents: false });

  async function selectAll(memo: Memo): Promise<{ digest: string; walked: boolean; paths: () => Promise<string[]> }> {
    let walked = false;
    const context = openContext("", {
      contexts: new Map([["", open("ignored\n").source]]),
      memo,
      later: (task) => void task(),
    });
    const query = {
      words: ["."],
      select: (tree: FileTree): ReturnType<typeof select> => {
        walked = true;
        return select(tree);
      },
    };
    const selection = await context.select(query);
    const seen = walked;
    const paths = async (): Promise<string[]> =>
      (await selection.roots()).flatMap(({ children }) => Array.from(children, (child) => child.path));
    return { digest: selection.digest, walked: seen, paths };
  }

  test("walks the context only where something of it changed", async () => {
    const memo = createMemoryMemo();
    mkdirSync(join(path, "d"));
    for (const name of ["a", "d/b", "ignored"]) writeFileSync(join(path, name), name);
    await setTimeout(40);
    const first = await selectAll(memo);
    const second = await selectAll(memo);
    expect([first.walked, second.walked]).toEqual([true, false]);
    expect(second.digest).toBe(first.digest);
    expect(await second.paths()).toEqual(["a", "d", "d/b"]);
    writeFileSync(join(path, "ignored"), "other bytes");
    expect(await selectAll(memo)).toMatchObject({ walked: false, digest: first.digest });
  });

  test.each<[string, "same" | "other", () => void]>([
    ["a file's bytes", "other", () => writeFileSync(join(path, "a"), "A")],
    ["a file's mode", "other", () => chmodSync(join(path, "a"), 0o600)],
    ["a file's time", "same", () => utimesSync(join(path, "a"), 5, 5)],
    ["a new file", "other", () => writeFileSync(join(path, "d/new"), "")],
    ["a file that went", "other", () => rmSync(join(path, "d/b"))],
    ["a link in place of a file", "other", () => (rmSync(join(path, "a")), symlinkSync("d/b", join(path, "a")))],
  ])("sees %s: %s digest", async (_what, expected, change) => {
    const memo = createMemoryMemo();
    mkdirSync(join(path, "d"));
    for (const name of ["a", "d/b"]) writeFileSync(join(path, name), "a");
    await setTimeout(40);
    const before = await selectAll(memo);
    change();
    const after = await selectAll(memo);
    expect(after.walked).toBe(true);
    expect(after.digest === before.digest).toBe(expected === "same");
  });

  test("does not trust a walk that looked at files as they were being changed", async () => {
    const memo = createMemoryMemo();
    writeFileSync(join(path, "a"), "one");
    await selectAll(memo);
    writeFileSync(join(path, "a"), "two");
    expect((await selectAll(memo)).digest).toBe((await selectAll(createMemoryMemo())).digest);
  });

  test("fails where the context changes between its digest and its files", async () => {
    const memo = createMemoryMemo();
    writeFileSync(join(path, "a"), "one");
    await setTimeout(40);
    await selectAll(memo);
    const { walked, paths } = await selectAll(memo);
    expect(walked).toBe(false);
    writeFileSync(join(path, "a"), "other");
    await expect(paths()).rejects.toMatchObject({ code: "CONTEXT_CHANGED" });
  });
});

test("decodeTable() reads what encodeTable() writes, and nothing of what is damaged", () => {
  const stamp = { inode: 2n ** 63n, size: 2n ** 40n, mtime: -5n, ctime: 1_700_000_000_123_456_789n };
  const table = {
    paths: ["a", "ä/b c", ""],
    stamps: StampColumn.from([stamp, undefined, { ...stamp, inode: 1n }]),
    rows: Buffer.from("112233"),
  };
  const bytes = encodeTable(table);
  expect(decodeTable(bytes)).toEqual(table);
  expect(decodeTable(bytes)?.stamps.matches(0, stamp)).toBe(true);
  expect(decodeTable(bytes)?.stamps.matches(1, undefined)).toBe(true);
  expect(decodeTable(bytes)?.stamps.matches(2, stamp)).toBe(false);
  expect(decodeTable(bytes.subarray(1))).toBeUndefined();
  expect(decodeTable(new Uint8Array(0))).toBeUndefined();
});
