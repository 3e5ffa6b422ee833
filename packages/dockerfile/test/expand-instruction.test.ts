import { describe, expect, test } from "vitest";
import { DockerfileError } from "../src/errors.ts";
import { expandInstruction } from "../src/expand-instruction.ts";
import type { Instruction } from "../src/instruction.ts";
import { parseDockerfile } from "../src/parse-dockerfile.ts";

const lookup = (name: string): string | undefined => (name === "v" ? "1 2" : undefined);

function instruction(line: string): Instruction {
  const { dockerfile } = parseDockerfile(`FROM a\n${line}`, { file: "Dockerfile" });
  const stage = dockerfile.stages.at(-1);
  return stage?.instructions[0] ?? (stage?.from as Instruction);
}

const word = (value: string): object => ({ kind: "word", word: value });

describe("expandInstruction()", () => {
  test.each([
    [
      "ENV a=$v b='$v'",
      {
        variables: [
          { key: "a", value: "1 2" },
          { key: "b", value: "$v" },
        ],
      },
    ],
    ["LABEL $v=$v", { labels: [{ key: "1 2", value: "1 2" }] }],
    [
      "COPY --from=$v --chown=$v --chmod=$v --exclude=$v $v /$v",
      { from: "1 2", chown: "1 2", chmod: "1 2", exclude: ["1 2"], sources: [word("1 2")], destination: "/1 2" },
    ],
    ["ADD --checksum=$v $v /$v", { checksum: "1 2", sources: [word("1 2")], destination: "/1 2" }],
    ["COPY <<A /\n$v '$v' \\$v\nA", { sources: [{ kind: "heredoc", heredoc: { content: "1 2 '1 2' $v\n" } }] }],
    ["COPY <<'A' /\n$v\nA", { sources: [{ kind: "heredoc", heredoc: { content: "$v\n" } }] }],
    ["EXPOSE $v 3", { ports: ["1", "2", "3"] }],
    ["VOLUME $v", { volumes: ["1 2"] }],
    ["USER $v", { user: "1 2" }],
    ["WORKDIR /$v", { path: "/1 2" }],
    ["STOPSIGNAL $v", { signal: "1 2" }],
    ["ARG a=$v b", { args: [{ name: "a", value: "1 2" }, { name: "b" }] }],
    [
      "RUN --mount=target=$v,ro --network=$v --security=$v --device=$v echo $v",
      {
        mounts: [
          {
            options: [
              ["target", "1 2"],
              ["ro", undefined],
            ],
          },
        ],
        network: "1 2",
        security: "1 2",
        devices: ["1 2"],
        command: { script: "echo $v" },
      },
    ],
  ])("expands %j", (line, expected) => {
    expect(expandInstruction(instruction(line), { lookup })).toMatchObject(expected);
  });

  test.each([
    "FROM $v",
    "CMD $v",
    "ENTRYPOINT $v",
    "MAINTAINER $v",
    "ONBUILD RUN $v",
    "HEALTHCHECK CMD $v",
    'SHELL ["$v"]',
  ])("leaves %s as it is", (line) => {
    const before = instruction(line);
    expect(expandInstruction(before, { lookup })).toEqual(before);
  });

  test("tells where it failed", () => {
    const before = instruction("ENV a=${x:?none}");
    const expand = (): unknown => expandInstruction(before, { lookup });
    expect(expand).toThrow(DockerfileError);
    expect(expand).toThrow(expect.objectContaining({ code: "BAD_EXPANSION", location: before.location }));
    expect(expand).toThrow("x: none");
  });
});
