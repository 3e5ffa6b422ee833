import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkDockerfile } from "../src/check-dockerfile.ts";
import { DockerfileError } from "../src/errors.ts";
import { expandInstruction } from "../src/expand-instruction.ts";
import { parseDockerfile, parseTrigger } from "../src/parse-dockerfile.ts";
import { INSTRUCTIONS } from "../src/parse-instruction.ts";

const MEBIBYTE = 1_048_576;
const SIZE = 10 * MEBIBYTE;
const LIMIT = 2000;

function fill(piece: string, size = SIZE): string {
  return piece.repeat(Math.floor(size / piece.length));
}

/** Parses, checks and expands all there is; what can't be understood may only be a DockerfileError. */
function parseAndExpand(source: string | Uint8Array): void {
  try {
    const parsed = parseDockerfile(source, { file: "Dockerfile" });
    const { dockerfile } = parsed;
    checkDockerfile(parsed);
    for (const instruction of [...dockerfile.globalArgs, ...dockerfile.stages.flatMap((stage) => stage.instructions)]) {
      if (instruction.kind === "ONBUILD") parseTrigger(instruction.trigger, instruction.location);
      expandInstruction(instruction, { lookup: (name) => (name.length > 1 ? undefined : "v a"), escape: "\\" });
    }
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
  }
}

/** Milliseconds of this thread's CPU time, which other processes on the machine do not add to. */
function measureParsing(source: string | Uint8Array): number {
  const before = process.threadCpuUsage();
  try {
    parseDockerfile(source, { file: "Dockerfile" });
  } catch (error) {
    if (!(error instanceof DockerfileError)) throw error;
  }
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

const line = "a".repeat(100);
const LARGE: Readonly<Record<string, () => string | Uint8Array>> = {
  newlines: () => fill("\n"),
  backslashes: () => fill("\\"),
  "one long line": () => `FROM a\nRUN ${fill("x")}`,
  "one long directive": () => `# syntax=a${" ".repeat(SIZE)}b`,
  "one long comment": () => `#${fill(" ")}`,
  "lines of backslashes": () => `FROM a\nRUN a ${fill("\\\n")}`,
  "a command over many lines": () => `FROM a\nRUN a ${fill(`${line}\\\n`)}`,
  "lines of spaces that end in a letter": () => `FROM a\n${fill(`RUN ${" ".repeat(60_000)}x\n`)}`,
  dollars: () => `FROM a\nENV a=${fill(`${"$".repeat(100)}\\\n`)}`,
  variables: () => `FROM a\nENV a=${fill("$a\\\n")}`,
  "open substitutions": () => `FROM a\nENV a=${fill("${a:-\\\n")}`,
  "open quotes": () => `FROM a\nENV a=${fill(`"'\\\n`)}`,
  "starts of heredocs": () => `FROM a\nRUN ${fill("<<A \\\n")}`,
  heredocs: () => `FROM a\nCOPY ${"<<A \\\n".repeat(SIZE / 16)} /b/\n${"A\n".repeat(SIZE / 16)}`,
  "less-than signs": () => `FROM a\nRUN ${fill("<\\\n")}`,
  mounts: () => `FROM a\nRUN ${fill("--mount=a \\\n")}`,
  "quotes in a mount": () => `FROM a\nRUN --mount=${fill(`${'\\"'.repeat(50)}\\\n`)} x`,
  "a long unknown flag": () => `FROM a\nRUN --${fill(`${line}\\\n`)}`,
  "a long unknown instruction": () => fill(`${line}\\\n`),
  pairs: () => `FROM a\nENV ${fill("a=b \\\n")}`,
  ports: () => `FROM a\nEXPOSE ${fill("8 \\\n")}`,
  "open arrays": () => `FROM a\nRUN ${fill("[")}`,
  "open arrays over many lines": () => `FROM a\nRUN ${fill(`${"[".repeat(100)}\\\n`)}`,
  "an array over many lines": () => `FROM a\nRUN [${fill('"a",\\\n')}"b"] c`,
  instructions: () => fill("FROM debian:stable AS base\n"),
  "a million instructions and comments": () => `FROM a\n${fill("RUN x\n", 6_000_000)}${fill("#\n", SIZE - 6_000_000)}`,
  NULs: () => `FROM a\n${fill("\0")}`,
  "lines of NULs": () => `FROM a\n${fill("ENV a=\0\0\0\n")}`,
  "bytes that are no UTF-8": () => Buffer.concat([Buffer.from("FROM a\nRUN "), Buffer.alloc(SIZE, 0xff)]),
  "lines of bytes that are no UTF-8": () =>
    Buffer.from(`FROM a\n${fill(`RUN ${"\u00FF\u00FE\u00C3".repeat(10)}\n`)}`, "latin1"),
  "carriage returns": () => fill("\r"),
  "a heredoc without an end": () => `FROM a\nRUN <<A\n${fill("x\n")}`,
  comments: () => fill("#x\n"),
  triggers: () => `FROM a\n${fill("ONBUILD RUN echo hello, world\n")}`,
};

describe("parseDockerfile()", () => {
  test.each(Object.entries(LARGE))("answers soon for 10 MiB of %s", (_, create) => {
    const source = create();
    expect(measureParsing(source)).toBeLessThan(LIMIT);
  });

  test.each(["$", "$a", "${a:-", "${a/*b*", `"`, `"'`, "\\", "<<A "])(
    "expands and checks 1 MiB of %s soon",
    (piece) => {
      const before = process.threadCpuUsage();
      const text = fill(`${fill(piece, 1000)}\\\n`, MEBIBYTE);
      for (const name of ["ENV a=", "COPY ", "WORKDIR ", "LABEL a "]) parseAndExpand(`FROM a\n${name}${text} b\n`);
      const { user, system } = process.threadCpuUsage(before);
      expect((user + system) / 1000).toBeLessThan(LIMIT);
    },
  );

  test("throws nothing but a DockerfileError for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        parseAndExpand(bytes);
      }),
      { numRuns: 1000 },
    );
  });

  test("throws nothing but a DockerfileError for any mix of the words of Dockerfiles", () => {
    const word = fc.oneof(
      { weight: 2, arbitrary: fc.constantFrom(...INSTRUCTIONS) },
      {
        weight: 6,
        arbitrary: fc.constantFrom(
          "\n",
          " ",
          "\t",
          "\\\n",
          "\\",
          '"',
          "'",
          "$",
          "${",
          "}",
          "${a:-",
          "${a/",
          "//",
          "${a#*}",
          "<<A",
          "<<-'B'",
          "\nA\n",
          "\nB\n",
          "=",
          "[",
          "]",
          '["a", "b"]',
          ",",
          "--mount=type=cache",
          "--from=",
          "--link",
          "--",
          "AS",
          "# syntax=a\n",
          "# escape=`\n",
          "#",
          "a",
          "a=b",
          "8080/tcp",
          "CMD",
          "NONE",
          "--interval=1s",
          "é",
          "😀",
        ),
      },
      { weight: 1, arbitrary: fc.string({ maxLength: 4 }) },
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 40 }), fc.constantFrom("", " "), (words, between) => {
        parseAndExpand(`FROM a\n${words.join(between)}`);
        parseAndExpand(words.join(between));
      }),
      { numRuns: 3000 },
    );
  });
});
