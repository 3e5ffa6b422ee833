/** The quick part of `npm run fuzz`: no text crashes parser, checks or build graph, or keeps them busy. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exerciseDockerfile } from "../tools/dockerfile-exercise.ts";
import { anyBytes, dockerfileText, mutated, repeat } from "../tools/dockerfile-inputs.ts";

const FIXTURES = join(import.meta.dirname, "..", "packages/dockerfile/test/fixtures");
const corpus = readdirSync(FIXTURES).map((name) => readFileSync(join(FIXTURES, name, "Dockerfile"), "utf8"));

/** Many times over, with numbers that count up: what takes its place in maps and lists that grow. */
const GROWING: readonly (readonly [start: string, line: string])[] = [
  ["FROM a\n", "ENV a{n}=1\n"],
  ["FROM a\n", "ENV a{n}=$a{n}\n"],
  ["FROM scratch\n", "ENV longname{n}=$longname{n}\n"],
  ["FROM a\nENV z=1 ", "a{n}=1 \\\n"],
  ["FROM a\n", "ARG a{n}=1\n"],
  ["FROM a\n", "ARG a{n}\n"],
  ["FROM a\n", "LABEL a{n}=1\n"],
  ["FROM a\n", "VOLUME /v{n}\n"],
  ["FROM a\n", "USER u{n}\n"],
  ["FROM a\n", "EXPOSE 1 2 3\n"],
  ["FROM a\n", "CMD x\n"],
  ["FROM a\n", "ONBUILD RUN {n}\n"],
  ["FROM a\n", "RUN {n}\n"],
  ["FROM a\n", "RUN <<A\n{n}\nA\n"],
  ["FROM a\n", "WORKDIR a\n"],
  ["FROM a AS b\n", "FROM b AS b\n"],
  ["", "FROM ${a{n}} AS a\n"],
  ["FROM a AS s\n", "COPY --from=s / /{n}\n"],
  ["FROM a AS s\n", "FROM a AS s{n}\nCOPY --from=s / /\n"],
  ["FROM a AS b\nFROM c\n", "RUN --mount=type=bind,from=b,target=/{n} x\n"],
];

/** Stages of which each stands on the one before: as deep as they are many. */
function chain(length: number): string {
  return `FROM a AS s0\n${Array.from({ length }, (_, index) => `FROM s${index} AS s${index + 1}\n`).join("")}`;
}

describe("Dockerfiles of any text", () => {
  test("are understood, or refused with a documented error", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(dockerfileText, anyBytes, mutated(corpus)), async (input) => {
        await exerciseDockerfile(input);
      }),
      { numRuns: 2000 },
    );
  });

  test.each(GROWING)("take no longer than they should: %j and 100 kB of %j", async (start, line) => {
    expect(await timeOf(repeat({ start, pieces: [line], end: "" }, 100_000))).toBeLessThan(2000);
  });

  test("may have ten thousand args, each with the one before as its default", async () => {
    const args = Array.from({ length: 10_000 }, (_, index) => `ARG a${index + 1}=$a${index}\n`).join("");
    expect(await timeOf(`ARG a0=1\n${args}FROM a\nARG a10000\n`)).toBeLessThan(2000);
  });

  test("may have ten thousand stages, each built on the one before", async () => {
    expect(await timeOf(chain(10_000))).toBeLessThan(2000);
  });
});

/** Milliseconds of this thread's CPU time. */
async function timeOf(text: string): Promise<number> {
  const before = process.threadCpuUsage();
  await exerciseDockerfile(text);
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}
