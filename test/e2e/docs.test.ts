/**
 * Carries out the examples of docs/ as a reader would, page by page, each in an empty folder: blocks `… file=NAME` are
 * written to that file, blocks `sh run` are run, `js run` too, and what a `text` block right behind one shows is in
 * what was written, line by line, where `…` stands for anything.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { busyboxLayout } from "../../tools/base-images.ts";
import { Workspace } from "./varve.ts";

const root = join(import.meta.dirname, "..", "..");
const PAGES = ["quick-start.md", "concepts.md", "config.md", "api.md", "migrating.md", "ci.md", "cache.md"];

interface Block {
  readonly words: string;
  readonly text: string;
}

function blocksOf(page: string): readonly Block[] {
  const text = readFileSync(join(root, "docs", page), "utf8");
  return [...text.matchAll(/^```([^\n]*)\n(.*?)^```$/gms)].map(([, words = "", block = ""]) => ({
    words,
    text: block,
  }));
}

/** A folder in which `varve` is installed, and `FROM busybox` needs no registry. */
async function installIn(work: Workspace): Promise<string> {
  const folder = work.file("app");
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, ".bin"), { recursive: true });
  symlinkSync(join(root, "apps/cli"), join(modules, "varve"));
  symlinkSync(join(root, "apps/cli/bin/varve.js"), join(modules, ".bin/varve"));
  symlinkSync(join(root, "apps/cache-server/bin/varve-cache.js"), join(modules, ".bin/varve-cache"));
  const config = { buildContext: { busybox: `oci-layout://${await busyboxLayout()}` } };
  writeFileSync(work.file("varve.json"), JSON.stringify(config));
  return folder;
}

async function runBlock({ words, text }: Block, work: Workspace): Promise<string> {
  const folder = work.file("app");
  const env = { ...process.env, VARVE_STORE: work.store, PATH: `${folder}/node_modules/.bin:${process.env["PATH"]}` };
  if (words.startsWith("js")) writeFileSync(join(folder, "example.mjs"), text);
  const args = words.startsWith("js") ? [join(folder, "example.mjs")] : ["-e", "-c", text];
  const program = words.startsWith("js") ? process.execPath : "bash";
  try {
    const { stdout, stderr } = await promisify(execFile)(program, args, { cwd: folder, env });
    return stderr + stdout;
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { readonly stdout?: string; readonly stderr?: string };
    // An example may show a failure.
    if (words.includes("fails")) return stderr + stdout;
    throw new Error(`This example fails:\n${text}\n${stderr}${stdout}`, { cause: error });
  }
}

/** One line of what an example is to write. */
function pattern(line: string): RegExp {
  const parts = line
    .trimEnd()
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`, "m");
}

describe("the examples of docs/", () => {
  test.each(PAGES)("%s", async (page) => {
    using work = new Workspace();
    const folder = await installIn(work);
    const blocks = blocksOf(page);
    expect(blocks.some(({ words }) => words.includes(" run"))).toBe(true);
    let written = "";
    for (const block of blocks) {
      const [, name] = / file=(\S+)/.exec(block.words) ?? [];
      if (name !== undefined) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), block.text);
      } else if (block.words.includes(" run")) written = await runBlock(block, work);
      else if (block.words === "text")
        for (const line of block.text.split("\n").filter((each) => each !== "")) expect(written).toMatch(pattern(line));
    }
  });
});
