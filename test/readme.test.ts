import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const readme = readFileSync(join(root, "README.md"), "utf8");
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

describe("README.md", () => {
  test("names only scripts that exist", () => {
    const named = [...readme.matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1] ?? "");
    expect(named.length).toBeGreaterThan(1);
    for (const name of named) expect(Object.keys(scripts)).toContain(name);
  });

  test("links only to files that exist", () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)\)/g)].map((match) => match[1] ?? "");
    for (const link of links) expect(() => readFileSync(join(root, link)), link).not.toThrow();
  });

  test("shows only flags that varve build has", async () => {
    const source = readFileSync(join(root, "apps/cli/src/build-flags.ts"), "utf8");
    const known = [...source.matchAll(/name: "([a-z-]+)"/g)].map((match) => `--${match[1]}`);
    const commands = [...readme.matchAll(/varve build [^\n`]*/g)].map((match) => match[0]);
    const used = commands.flatMap((command) => command.match(/--[a-z-]+/g) ?? []);
    for (const flag of used) expect(known).toContain(flag);
  });
});
