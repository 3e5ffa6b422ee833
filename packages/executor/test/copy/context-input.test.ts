import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "@varve/oci";
import { afterAll, describe, expect, test } from "vitest";
import { createContextTree } from "../../src/context/context-tree.ts";
import { contextInput } from "../../src/copy/context-input.ts";
import { selectSource } from "../../src/copy/selection.ts";

const root = mkdtempSync(join(tmpdir(), "varve-context-input-"));
afterAll(() => rmSync(root, { recursive: true }));
mkdirSync(join(root, "src/lib"), { recursive: true });
for (const name of ["src/a.ts", "src/lib/b.ts", "src/c.md"]) writeFileSync(join(root, name), name);
symlinkSync("src/a.ts", join(root, "file-link"));
symlinkSync("src/lib", join(root, "directory-link"));
const tree = createContextTree({ type: "directory", path: root, ignore: undefined });

describe("contextInput()", () => {
  test.each([
    ["src/a.ts", false, ["src/a.ts"]],
    ["/src/", false, ["src/", "src/a.ts", "src/c.md", "src/lib/", "src/lib/b.ts"]],
    [".", false, ["./", "directory-link", "file-link", "src/", "src/a.ts", "src/c.md", "src/lib/", "src/lib/b.ts"]],
    ["file-link", false, ["file-link"]],
    ["directory-link", false, ["directory-link/", "directory-link/b.ts"]],
    ["src/*.ts", false, ["src/a.ts"]],
    ["src/./lib/b.ts", true, ["src/", "src/lib/", "src/lib/b.ts"]],
  ])("lists %s (--parents %s) by the names that people know", async (source, parents, wanted) => {
    const roots = selectSource(tree, source, { exclude: [], parents });
    const selection = { digest: digestOf(Buffer.from("")), roots: async () => roots };
    const input = contextInput({ name: source, selection, source: tree.source });
    expect((await input.list()).paths).toEqual(wanted);
  });
});
