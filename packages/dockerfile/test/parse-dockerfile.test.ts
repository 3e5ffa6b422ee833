import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { DockerfileError } from "../src/errors.ts";
import { formatSource } from "../src/format-source.ts";
import { INSTRUCTIONS } from "../src/parse-instruction.ts";
import { type ParsedDockerfile, parseDockerfile } from "../src/parse-dockerfile.ts";

const FIXTURES = new URL("./fixtures/", import.meta.url);
const MISTAKES = new URL("./mistakes/", import.meta.url);
const parse = (text: string | Uint8Array): ParsedDockerfile => parseDockerfile(text, { file: "Dockerfile" });

function scripts(text: string): readonly string[] {
  return parse(text).dockerfile.stages.flatMap(({ instructions }) =>
    instructions.flatMap((instruction) =>
      instruction.kind === "RUN" && instruction.command.form === "shell" ? [instruction.command.script] : [],
    ),
  );
}

function failure(text: string): DockerfileError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof DockerfileError) return error;
    throw error;
  }
  throw new Error("It was understood");
}

describe("parseDockerfile()", () => {
  test.each(readdirSync(FIXTURES))("understands the fixture %s as it did before", (name) => {
    const folder = new URL(`${name}/`, FIXTURES);
    const { dockerfile, emptyContinuations } = parse(readFileSync(new URL("Dockerfile", folder)));
    const { directives, globalArgs, stages } = dockerfile;
    const ast = JSON.stringify(
      { directives, globalArgs, stages, emptyContinuations },
      (key, value: unknown) => (key === "file" ? undefined : value),
      2,
    );
    const golden = new URL("ast.json", folder);
    if (process.env["VARVE_UPDATE"] === "1") writeFileSync(golden, `${ast}\n`);
    expect(JSON.parse(ast)).toEqual(JSON.parse(readFileSync(golden, "utf8")));
  });

  test.each(readdirSync(MISTAKES))("says of the mistake %s what it did before", (name) => {
    const folder = new URL(`${name}/`, MISTAKES);
    const text = readFileSync(new URL("Dockerfile", folder), "utf8");
    const { code, message, hint, location, word } = failure(text);
    const place =
      location === undefined ? [] : [formatSource(text, location, word).replaceAll(/^(.{100}).+$/gm, "$1…")];
    const shown = [code, message, ...(hint === undefined ? [] : [`hint: ${hint}`]), ...place].join("\n");
    const golden = new URL("error.txt", folder);
    if (process.env["VARVE_UPDATE"] === "1") writeFileSync(golden, `${shown}\n`);
    expect(`${shown}\n`).toBe(readFileSync(golden, "utf8"));
  });

  test("has fixtures of every instruction", () => {
    const kinds = readdirSync(FIXTURES).flatMap((name) => {
      const { globalArgs, stages } = parse(readFileSync(new URL(`${name}/Dockerfile`, FIXTURES))).dockerfile;
      return [...globalArgs, ...stages.flatMap(({ from, instructions }) => [from, ...instructions])].map(
        ({ kind }) => kind,
      );
    });
    expect([...new Set(kinds)].toSorted()).toEqual(INSTRUCTIONS);
  });

  test.each([
    ["FROM a\nRUN b \\\n  c", ["b   c"]],
    ["FROM a\nRUN b \\  \n c", ["b  c"]],
    ["FROM a\nRUN b \\\n# comment\n  # another\nc", ["b c"]],
    ["FROM a\nRUN b \\\n\n\nc", ["b c"]],
    ["FROM a\nRUN b\\\\\nRUN c", ["b\\\\", "c"]],
    ["FROM a\n  RUN b\n\tRUN c", ["b", "c"]],
    ["FROM a\r\nRUN b \\\r\n c\r\n", ["b  c"]],
    ["# escape=`\nFROM a\nRUN b `\n c\\", ["b  c\\"]],
    ["FROM a\nRUN b # c", ["b # c"]],
    ["FROM a\nRUN b \\", ["b"]],
    ["\uFEFFFROM a\nRUN b", ["b"]],
    ["FROM a\n\n\n# RUN c\nRUN b", ["b"]],
  ])("joins the lines of %j", (text, expected) => {
    expect(scripts(text)).toEqual(expected);
  });

  test.each([
    ["FROM a", { escape: "\\" }],
    ["# syntax=docker/dockerfile:1\nFROM a", { escape: "\\", syntax: "docker/dockerfile:1" }],
    ["#Syntax = x\n#ESCAPE=`\nFROM a", { escape: "`", syntax: "x" }],
    ["# comment\n# escape=`\nFROM a", { escape: "\\" }],
    ["# unknown=a\n# escape=`\nFROM a", { escape: "\\" }],
    ["\n# escape=`\nFROM a", { escape: "\\" }],
    ["FROM a\n# escape=`", { escape: "\\" }],
    ["# check=skip=A, B;error=true\nFROM a", { escape: "\\", check: { skip: ["A", "B"], error: true } }],
    ["# check=skip=all\nFROM a", { escape: "\\", check: { skip: "all", error: false } }],
    ["# syntax=\nFROM a", { escape: "\\" }],
  ])("reads the directives of %j", (text, expected) => {
    expect(parse(text).dockerfile.directives).toEqual(expected);
  });

  test.each([
    ["RUN <<A\nb\nA", [{ name: "A", content: "b\n", expand: true, chomp: false, fileDescriptor: 0 }]],
    ["RUN <<'A'\nb\nA", [{ name: "A", content: "b\n", expand: false, chomp: false, fileDescriptor: 0 }]],
    ['RUN <<"A"\nA', [{ name: "A", content: "", expand: false, chomp: false, fileDescriptor: 0 }]],
    ["RUN <<-A\n\t\tb\n\tA", [{ name: "A", content: "b\n", expand: true, chomp: true, fileDescriptor: 0 }]],
    [
      "RUN 3<<A\n# b \\\n\n A\nA",
      [{ name: "A", content: "# b \\\n\n A\n", expand: true, chomp: false, fileDescriptor: 3 }],
    ],
    [
      "RUN cat <<A <<B\na\nA\nb\nB",
      [
        { name: "A", content: "a\n", expand: true, chomp: false, fileDescriptor: 0 },
        { name: "B", content: "b\n", expand: true, chomp: false, fileDescriptor: 0 },
      ],
    ],
    ["RUN <<<A", []],
    ["RUN cat << A", []],
    ["RUN '<<A'", []],
    ['RUN ["<<A"]', []],
  ])("reads the heredocs of %j", (text, heredocs) => {
    const { dockerfile } = parse(`FROM a\n${text}\nUSER after`);
    const [first, second] = dockerfile.stages[0]?.instructions ?? [];
    const command = first?.kind === "RUN" ? first.command : undefined;
    expect(command?.form === "shell" ? command.heredocs : []).toEqual(heredocs);
    expect(second).toMatchObject({ kind: "USER", user: "after" });
  });

  test("groups instructions into stages, and keeps the arguments before the first", () => {
    const { dockerfile } = parse("ARG a=1\nARG b\nFROM x AS one\nARG c\nFROM y\nUSER z");
    expect(dockerfile.globalArgs.map(({ args }) => args)).toEqual([[{ name: "a", value: "1" }], [{ name: "b" }]]);
    expect(dockerfile.stages.map(({ from }) => from.image)).toEqual(["x", "y"]);
    expect(dockerfile.stages.map(({ instructions }) => instructions.map(({ kind }) => kind))).toEqual([
      ["ARG"],
      ["USER"],
    ]);
  });

  test("gives each instruction its lines and its text", () => {
    const { dockerfile } = parse("# comment\n\nFROM a\nrun b \\\n  # c\n  d\ncopy <<A /\nx\nA\n");
    const all = dockerfile.stages.flatMap(({ from, instructions }) => [from, ...instructions]);
    expect(all.map(({ location: { line, endLine }, text }) => [line, endLine, text])).toEqual([
      [3, 3, "FROM a"],
      [4, 6, "RUN b   d"],
      [7, 9, "COPY <<A /"],
    ]);
  });

  test("tells of empty lines in a continuation", () => {
    const { emptyContinuations } = parse("FROM a\nRUN b \\\n\n c\nRUN d \\\n e");
    expect(emptyContinuations.map(({ line }) => line)).toEqual([2]);
  });

  test("takes bytes as UTF-8, with or without a byte order mark", () => {
    const bytes = new TextEncoder().encode("\uFEFFFROM a\nRUN é");
    expect(parse(bytes).dockerfile).toEqual(parse("FROM a\nRUN é").dockerfile);
  });

  test.each([
    ["", "NO_STAGE", "cannot be empty", undefined],
    ["# comment\n", "NO_STAGE", "cannot be empty", undefined],
    ["ARG a\n", "NO_STAGE", "contains no stages", 1],
    ["ARG a\nRUN b\nFROM c", "NO_STAGE", "RUN stands before the first FROM", 2],
    ["# escape=x\nFROM a", "SYNTAX", 'invalid escape token "x"', 1],
    ["# escape=`\n# escape=`\nFROM a", "SYNTAX", "only one escape parser directive", 2],
    [`FROM a\nRUN ${"é".repeat(33_000)}`, "SYNTAX", "greater than maximum allowed size of 65535", 2],
    ["FROM a\nRUN b \\\n c\nNOPE d \\\n e", "UNKNOWN_INSTRUCTION", "unknown instruction: NOPE", 4],
    ["FROM a\nRUN <<A\nb\n", "UNTERMINATED_HEREDOC", 'heredoc "A"', 2],
  ])("refuses %.40j as %s", (text, code, message, line) => {
    const error = failure(text);
    expect(error.code).toBe(code);
    expect(error.message).toContain(message);
    expect(error.location?.line).toBe(line);
  });
});
