import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { findExecutable } from "../../src/run/find-executable.ts";
import { temporary } from "./sandbox.ts";

function makePrograms(): { readonly root: string; readonly env: readonly string[] } {
  const root = temporary();
  for (const name of ["first", "second", "first/directory"]) mkdirSync(join(root, name));
  for (const [file, mode] of [
    ["first/plain", 0o644],
    ["second/plain", 0o755],
    ["second/directory", 0o755],
    ["first/only", 0o644],
  ] as const) {
    writeFileSync(join(root, file), "", { mode });
  }
  return { root, env: ["PATH=/overridden", `PATH=${root}/first:${root}/second`] };
}

test.each([
  ["plain", "second/plain"],
  ["directory", "second/directory"],
])("findExecutable() finds %s at %s", (name, expected) => {
  const { root, env } = makePrograms();
  expect(findExecutable(name, env)).toBe(join(root, expected));
});

test("findExecutable() takes a name with a slash as it is", () => {
  expect(findExecutable("/bin/busybox", [])).toBe("/bin/busybox");
});

test.each([
  ["absent", "missing", "absent: not found in the image"],
  ["only", "denied", "only: not executable"],
  ["/bin", "missing", "/bin: not found in the image"],
])("findExecutable() says what is wrong with %s", (name, problem, message) => {
  expect(() => findExecutable(name, makePrograms().env)).toThrow(expect.objectContaining({ problem, message }));
});
