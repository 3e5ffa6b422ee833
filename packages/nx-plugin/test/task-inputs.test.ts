import { describe, expect, test } from "vitest";
import { taskInputs } from "../src/task-inputs.ts";

const inputs = (paths: readonly string[], ignore?: string, directory = "."): readonly string[] =>
  taskInputs(paths, { directory, ignore, kept: ["services/api/Dockerfile"] }).map((input) =>
    input.replace("{workspaceRoot}/", ""),
  );

describe("taskInputs()", () => {
  test.each<[readonly string[], string | undefined, readonly string[]]>([
    [["src"], undefined, ["src", "src/**/*"]],
    [[""], undefined, ["**/*"]],
    [["*.json"], undefined, ["*.json", "*.json/**/*"]],
    [["a[bc]\\*(1).txt"], undefined, ["a???1?.txt", "a???1?.txt/**/*"]],
    [[""], "node_modules\n**/*.md\n", ["**/*", "!node_modules", "!node_modules/**/*", "!**/*.md", "!**/*.md/**/*"]],
    [[""], "docs\n!docs/api\ntmp\n", ["**/*", "!tmp", "!tmp/**/*"]],
    [
      [""],
      "*\n!src\n!package.json\nsrc/test\n",
      ["src", "src/**/*", "package.json", "package.json/**/*", "!src/test", "!src/test/**/*"],
    ],
    [["lib"], "*\n!src\n", ["lib", "lib/**/*"]],
  ])("%j with %j", (paths, ignore, wanted) => {
    expect(inputs(paths, ignore)).toEqual(wanted);
  });

  test.each([
    ["**/Dockerfile*", "."],
    ["Dockerfile", "services/api"],
    ["services", "."],
  ])("keep what is an input anyway: %s of context %s", (pattern, directory) => {
    expect(inputs(["src"], pattern, directory).filter((input) => input.startsWith("!"))).toEqual([]);
  });

  test("stand below the context's directory", () => {
    expect(inputs(["src"], "tmp", "services/api")).toEqual([
      "services/api/src",
      "services/api/src/**/*",
      "!services/api/tmp",
      "!services/api/tmp/**/*",
    ]);
  });
});
