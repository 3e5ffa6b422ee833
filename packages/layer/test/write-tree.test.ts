import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { joinHardlinks, scanDirectory, writeTree } from "../src/index.ts";
import { describeTree, directory, entry, everything, file, scratch, sh } from "./scratch.ts";

describe("writeTree()", () => {
  test("copies a tree with all that its entries say", async () => {
    const root = scratch();
    sh(root, `mkdir src out && cd src && ${everything}`);
    await writeTree(joinHardlinks(scanDirectory(join(root, "src"), { xattrs: "read" })), join(root, "out"));
    expect(describeTree(join(root, "out"))).toBe(describeTree(join(root, "src")));
  });

  test("merges directories and replaces anything else, in any order of entries", async () => {
    const root = scratch();
    sh(root, "mkdir -p d/old x/in; echo 1 > f; ln -s /etc l; seq 100000 > large");
    writeFileSync(join(root, "source"), Buffer.alloc(200_000, "s"));
    const large = entry("large", { size: 200_000, content: { path: join(root, "source") }, mode: 0o4711, uid: 7 });
    await writeTree(
      [
        file("d/new", "n"),
        large,
        file("x", "now a file"),
        directory("d"),
        file("l", "no link"),
        entry("f", { type: "whiteout" }),
      ],
      root,
    );
    expect(sh(root, "find . | sort | tr '\\n' ' '")).toBe(". ./d ./d/new ./d/old ./l ./large ./source ./x ");
    expect(sh(root, "cat x; stat -c '%a %u %s' large; tail -c 2 large")).toBe("now a file4711 7 200000\nss");
  });

  test("makes files of one inode hard links", async () => {
    const root = scratch();
    await writeTree(
      ["b", "a", "c"].map((path) => file(path, "x", path === "c" ? {} : { inode: "1" })),
      root,
    );
    expect(sh(root, "stat -c '%n %h' a b c")).toBe("a 2\nb 2\nc 1\n");
  });

  test.each([
    ["small", 10],
    ["large", 300_000],
  ])("fails where a %s file changed", async (_name, size) => {
    const root = scratch();
    writeFileSync(join(root, "f"), Buffer.alloc(size + 1));
    await expect(writeTree([entry("g", { size, content: { path: join(root, "f") } })], root)).rejects.toMatchObject({
      code: "FILE_CHANGED",
    });
  });
});
