import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findConfig, readConfig } from "../../src/config/find-config.ts";

let root = "";
beforeEach(() => void (root = mkdtempSync(join(tmpdir(), "varve-config-"))));
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, text: string): string {
  const file = join(root, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

describe("findConfig()", () => {
  test("takes the nearest file upward, and passes by a package.json without the member", () => {
    write("varve.json", '{ "$schema": "x", "progress": "plain" }');
    write("a/package.json", '{ "varve": { "tag": "a:1" } }');
    write("b/package.json", '{ "dependencies": { "varve": "1.0.0" } }');
    expect(findConfig(join(root, "a/b/c"))?.options).toEqual({ tag: "a:1" });
    expect(findConfig(join(root, "b"))?.options).toEqual({ progress: "plain" });
  });

  test("is undefined where there is none", () => {
    expect(findConfig(root)).toBeUndefined();
  });

  test("refuses two in one directory", () => {
    write("varve.json", "{}");
    write("package.json", '{ "varve": {} }');
    expect(() => findConfig(root)).toThrow(/^Cannot choose a config: varve\.json and "varve" of package\.json in/);
  });
});

describe("readConfig()", () => {
  test.each([
    ["varve.json", '{\n  "tag": "a",\n}', /varve\.json:3": Expected double-quoted property name$/],
    ["varve.json", "[]", /varve\.json:1": wanted an object of options$/],
    ["package.json", '{\n  "varve": true\n}', /package\.json:2": wanted an object of options$/],
  ])("refuses %s with %j, naming the line", (name, text, message) => {
    expect(() => readConfig(write(name, text))).toThrow(message);
  });

  test("refuses a file that is not there", () => {
    expect(() => readConfig(join(root, "none.json"))).toThrow(/none\.json": no such file or directory$/);
  });

  test("knows the line of every option, and takes no dependency for it", () => {
    const text =
      '{\n  "dependencies": { "varve": "1", "tag": "1" },\n  "varve": {\n    "tag": "a",\n    "target": "b"\n  }\n}';
    const file = write("package.json", text);
    const config = readConfig(file);
    expect(config?.placeOf("tag")).toBe(` of ${relative(process.cwd(), file)}:4`);
    expect(config?.placeOf("target")).toBe(` of ${relative(process.cwd(), file)}:5`);
  });
});
