import { readFileSync } from "node:fs";
import { globSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const CLASSES: Readonly<Record<string, string>> = { CliErrorCode: "UsageError", ExecutorErrorCode: "StepError" };

/** `Class CODE` of every member of a closed union of error codes. */
function codesInSource(): readonly string[] {
  return globSync("{packages,apps}/*/src/errors.ts", { cwd: root }).flatMap((file) => {
    const text = readFileSync(join(root, file), "utf8");
    return [...text.matchAll(/export type (\w+ErrorCode) =([^;]+);/g)].flatMap(([, name = "", union = ""]) => {
      const owner = CLASSES[name] ?? name.replace(/Code$/, "");
      const list = /\(typeof (\w+)\)\[number\]/.exec(union)?.[1];
      const listed = list === undefined ? "" : (new RegExp(`const ${list} = \\[([^\\]]*)\\]`).exec(text)?.[1] ?? "");
      return [...`${union}${listed}`.matchAll(/"([A-Z_]+)"/g)].map((match) => `${owner} ${match[1]}`);
    });
  });
}

/** `Class CODE` of every section of docs/errors.md. */
function codesInCatalogue(): readonly string[] {
  let owner = "";
  return readFileSync(join(root, "docs/errors.md"), "utf8")
    .split("\n")
    .flatMap((line) => {
      if (line.startsWith("## ")) owner = line.slice(3).trim();
      return line.startsWith("### ") ? [`${owner} ${line.slice(4).trim()}`] : [];
    });
}

test("docs/errors.md explains every error code, and no other", () => {
  expect(codesInCatalogue().toSorted()).toEqual(codesInSource().toSorted());
});
