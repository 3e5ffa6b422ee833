/** Every project of examples/ without running anything: understood, without warnings, planned, with what it copies. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  checkDockerfile,
  createIgnoreMatcher,
  type Instruction,
  parseDockerfile,
  type ParsedDockerfile,
  parseDockerignore,
} from "@varve/dockerfile";
import { describe, expect, test } from "vitest";
import { exerciseDockerfile } from "../tools/dockerfile-exercise.ts";

const EXAMPLES = join(import.meta.dirname, "..", "examples");
const NAMES = readdirSync(EXAMPLES, { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);

function parse(name: string): ParsedDockerfile {
  return parseDockerfile(readFileSync(join(EXAMPLES, name, "Dockerfile")), { file: "Dockerfile" });
}

/** Paths that an instruction copies from the context, where they are neither patterns nor hold variables. */
function copiedPaths(instruction: Instruction): readonly string[] {
  if (instruction.kind !== "COPY" || instruction.from !== undefined) return [];
  const words = instruction.sources.flatMap((source) => (source.kind === "word" ? [source.word] : []));
  return words.filter((word) => !/[*?[$]/.test(word)).map((word) => word.replace(/\/$/, ""));
}

describe("examples", () => {
  test.each(NAMES)("%s breaks no check", (name) => {
    expect(checkDockerfile(parse(name))).toEqual([]);
  });

  test.each(NAMES)("%s can be planned", async (name) => {
    expect(await exerciseDockerfile(readFileSync(join(EXAMPLES, name, "Dockerfile")))).toBeUndefined();
  });

  test.each(NAMES)("%s has what it copies, and does not ignore it", (name) => {
    const folder = join(EXAMPLES, name);
    const file = join(folder, ".dockerignore");
    const ignore = createIgnoreMatcher(parseDockerignore(existsSync(file) ? readFileSync(file, "utf8") : ""));
    const paths = parse(name).dockerfile.stages.flatMap(({ instructions }) => instructions.flatMap(copiedPaths));
    expect(paths.filter((path) => !existsSync(join(folder, path)) || ignore.matches(path).excluded)).toEqual([]);
  });

  test("README.md has a line for each, and the slow tests build all but one", () => {
    const readme = readFileSync(join(EXAMPLES, "README.md"), "utf8");
    const linked = [...readme.matchAll(/^\| \[([\w-]+)\]\(\1\/Dockerfile\)/gm)].map((match) => match[1] ?? "");
    expect(linked.toSorted()).toEqual(NAMES.toSorted());
    const slow = readFileSync(join(import.meta.dirname, "slow/examples.test.ts"), "utf8");
    const unbuilt = NAMES.filter((name) => !slow.includes(`"${name}": {`));
    expect(unbuilt).toEqual(["hello", "java-service"]);
  });
});
