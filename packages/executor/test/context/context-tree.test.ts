import {
  chmodSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { createMemoryMemo, type Memo } from "@varve/cache";
import { createIgnoreMatcher, parseDockerignore } from "@varve/dockerfile";
import { type FileTree, walkTree } from "@varve/layer";
import { digestOf } from "@varve/oci";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createContextTree, fileOf, knownDigest, learnDigest } from "../../src/context/context-tree.ts";
import { enterFromPast, readDigests } from "../../src/context/file-digests.ts";
import { openContext } from "../../src/context/open-context.ts";
import { decodeTable, draftTable } from "../../src/context/packed-table.ts";
import { createSelectionMemo } from "../../src/context/selection-memo.ts";
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

/** Looks at all of the context, reads what has no digest, and remembers it as the build of a selection does. */
async function lookAndRemember(memo: Memo, words: readonly string[] = ["."]): Promise<void> {
  const started = BigInt(Date.now()) * 1_000_000n;
  const tree = open();
  const files = [...walkTree(tree)].filter(({ type }) => type === "file").map((entry) => fileOf(entry));
  await readDigests(tree.source, files);
  await createSelectionMemo(memo, tree.source, words).remember(digestOf(Buffer.from("x")), tree.seen, started);
}

describe("readDigests()", () => {
  test("reads many files in threads as it reads few", async () => {
    const names = Array.from({ length: 400 }, (_, number) => `f${number}`);
    for (const name of names) writeFileSync(join(path, name), name);
    const tree = open();
    const files = names.map((name) => fileOf(tree.lookup(name)!));
    await readDigests(tree.source, files);
    expect(files.map(knownDigest)).toEqual(names.map((name) => digestOf(Buffer.from(name))));
    expect(tree.lookup("f7")?.digest).toBe(digestOf(Buffer.from("f7")));
  });

  test.each([
    ["grows", (file: string) => writeFileSync(file, "longer")],
    ["vanishes", (file: string) => rmSync(file)],
    ["is written anew", (file: string) => writeFileSync(file, "two")],
  ])("fails where a file %s while it is looked at", async (_what, change) => {
    writeFileSync(join(path, "a"), "one");
    const tree = open();
    const seen = fileOf(tree.lookup("a")!);
    await setTimeout(20);
    change(join(path, "a"));
    await expect(readDigests(tree.source, [seen])).rejects.toMatchObject({ code: "CONTEXT_CHANGED" });
  });

  test("fails where someone else read other bytes of a file", async () => {
    writeFileSync(join(path, "a"), "one");
    const tree = open();
    learnDigest(tree.lookup("a")!, digestOf(Buffer.from("two")));
    const reading = readDigests(tree.source, [fileOf(tree.lookup("a")!)]);
    await expect(reading).rejects.toMatchObject({ code: "CONTEXT_CHANGED" });
  });
});

describe("what an earlier build saw", () => {
  const changes: Readonly<Record<string, () => void>> = {
    nothing: () => undefined,
    "a file's bytes": () => writeFileSync(join(path, "d/b"), "B"),
    "a file's mode": () => chmodSync(join(path, "d/b"), 0o600),
    "a file's times, but not its bytes": () => utimesSync(join(path, "a"), 5, 5),
    "a second name of a file": () => linkSync(join(path, "a"), join(path, "d/c")),
    "a new directory before others": () => {
      mkdirSync(join(path, "0"));
      writeFileSync(join(path, "0/new"), "new");
    },
    "a directory that went": () => rmSync(join(path, "d"), { recursive: true }),
    "a link in place of a file": () => (rmSync(join(path, "a")), symlinkSync("d/b", join(path, "a"))),
    "a file in place of a directory": () => (
      rmSync(join(path, "e"), { recursive: true }),
      writeFileSync(join(path, "e"), "e")
    ),
  };

  function makeFiles(): void {
    for (const directory of ["d/e", "e"]) mkdirSync(join(path, directory), { recursive: true });
    for (const name of ["a", "d/b", "d/e/f", "z"]) writeFileSync(join(path, name), name);
    symlinkSync("a", join(path, "s"));
    linkSync(join(path, "z"), join(path, "z2"));
  }

  test.each(Object.keys(changes))("shows the same as a first look after a change of: %s", async (what) => {
    const memo = createMemoryMemo();
    makeFiles();
    await setTimeout(40);
    await lookAndRemember(memo);
    changes[what]?.();
    const { source } = open();
    const selection = createSelectionMemo(memo, source, ["."]);
    const recalled = await selection.recall();
    expect(recalled !== undefined && "digest" in recalled).toBe(what === "nothing");
    const plain = [...walkTree(open())].map(({ content: _content, ...entry }) => entry);
    for (const past of [
      recalled !== undefined && "past" in recalled ? recalled.past : undefined,
      await selection.past(),
    ]) {
      const entries = [...walkTree(createContextTree(source, past))];
      expect(
        entries.map(({ content: _content, ...entry }) => ({
          ...entry,
          ...("digest" in entry ? { digest: undefined } : {}),
        })),
      ).toEqual(plain);
      const known = entries.filter(({ digest }) => digest !== undefined);
      expect(past === undefined || known.length > 0).toBe(true);
      for (const { path: file, digest } of known) expect(digest).toBe(digestOf(readFileSync(join(path, file))));
    }
  });

  test("tells the digests of files that are as they were, and of no other", async () => {
    const memo = createMemoryMemo();
    makeFiles();
    utimesSync(join(path, "a"), 1000, 1000);
    await setTimeout(40);
    await lookAndRemember(memo);
    writeFileSync(join(path, "a"), "A");
    utimesSync(join(path, "a"), 1000, 1000);
    const tree = createContextTree(open().source, await createSelectionMemo(memo, open().source, ["."]).past());
    expect(tree.lookup("a")?.digest, "the change time tells").toBeUndefined();
    expect(tree.lookup("d/b")?.digest).toBe(digestOf(Buffer.from("d/b")));
    expect(tree.lookup("z2")?.digest, "of a file with several names").toBe(digestOf(Buffer.from("z")));
  });

  test("is known to other selections of the context", async () => {
    const memo = createMemoryMemo();
    makeFiles();
    await setTimeout(40);
    await lookAndRemember(memo);
    writeFileSync(join(path, "d/b"), "B");
    const tree = open();
    const files = ["a", "d/b"].map((name) => fileOf(tree.lookup(name)!));
    await enterFromPast(files, createSelectionMemo(memo, tree.source, ["another"]).others());
    expect(files.map(knownDigest)).toEqual([digestOf(Buffer.from("a")), undefined]);
  });

  test("does not count where it was written to shortly before", async () => {
    const memo = createMemoryMemo();
    makeFiles();
    await setTimeout(40);
    writeFileSync(join(path, "a"), "A");
    await lookAndRemember(memo);
    const selection = createSelectionMemo(memo, open().source, ["."]);
    expect(await selection.recall()).toHaveProperty("past");
    const tree = createContextTree(open().source, await selection.past());
    expect(tree.lookup("a")?.digest).toBeUndefined();
    expect(tree.lookup("d/b")?.digest).toBeDefined();
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

test.each([0, 8])(
  "decodeTable() reads what draftTable() drafts behind %i bytes, and nothing of what is damaged",
  (before) => {
    const stamp = { inode: 2n ** 63n, size: 2n ** 40n, mtime: -5n, ctime: 1_700_000_000_123_456_789n };
    const { value, paths, stamps, rows } = draftTable(["a", "ä/b c", ""], 2, before);
    stamps.set(0, stamp);
    stamps.set(2, { ...stamp, inode: 1n });
    rows.set(Buffer.from("112233"));
    const bytes = value.subarray(before);
    expect(decodeTable(bytes)).toEqual({ paths, stamps, rows });
    expect(decodeTable(draftTable([], 2, before).value.subarray(before))?.paths).toEqual([]);
    expect(decodeTable(bytes)?.stamps.matches(0, stamp)).toBe(true);
    expect(decodeTable(bytes)?.stamps.matches(1, undefined)).toBe(true);
    expect(decodeTable(bytes)?.stamps.matches(2, stamp)).toBe(false);
    expect(decodeTable(bytes.subarray(1))).toBeUndefined();
    expect(decodeTable(new Uint8Array(0))).toBeUndefined();
  },
);
