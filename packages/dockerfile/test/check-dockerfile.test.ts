import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { applyCheckDirective, assertChecks, checkDockerfile } from "../src/check-dockerfile.ts";
import { CHECK_RULES, EXPERIMENTAL_RULES } from "../src/check-rules.ts";
import { createIgnoreMatcher, parseDockerignore } from "../src/dockerignore.ts";
import { DockerfileError } from "../src/errors.ts";
import type { Warning } from "../src/instruction.ts";
import { parseDockerfile } from "../src/parse-dockerfile.ts";

function check(text: string, experimental: readonly string[] | "all" = "all"): readonly Warning[] {
  return checkDockerfile(parseDockerfile(text, { file: "Dockerfile" }), { experimental });
}

/** Rules that need more than the Dockerfile: an ignore file, or images. */
const BEYOND_TEXT = ["CopyIgnoredFile", "InvalidBaseImagePlatform"];

/** A rule, a Dockerfile that breaks it and nothing else, the line and the message, and one that breaks nothing. */
const CASES: readonly (readonly [rule: string, wrong: string, line: number, message: string, right: string])[] = [
  ["StageNameCasing", "FROM a AS Base", 1, "Stage name 'Base' should be lowercase", "FROM a AS base"],
  ["FromAsCasing", "FROM a as b", 1, "'as' and 'FROM' keywords' casing do not match", "from a as b"],
  ["NoEmptyContinuation", "FROM a\nRUN b \\\n\n c", 2, "Empty continuation line", "FROM a\nRUN b \\\n# c\n c"],
  [
    "ConsistentInstructionCasing",
    "FROM a\nRun b\nRUN c",
    2,
    "Command 'Run' should match the case of the command majority (uppercase)",
    "from a\nrun b",
  ],
  [
    "ConsistentInstructionCasing",
    "from a\nrun b\nUSER c",
    3,
    "Command 'USER' should match the case of the command majority (lowercase)",
    "FROM a\nUSER b",
  ],
  [
    "DuplicateStageName",
    "FROM a AS b\nFROM c AS b",
    2,
    'Duplicate stage name "b", stage names should be unique',
    "FROM a AS b\nFROM a AS c",
  ],
  [
    "ReservedStageName",
    "FROM a AS scratch",
    1,
    'Stage name should not use the same name as reserved stage "scratch"',
    "FROM scratch AS a",
  ],
  [
    "JSONArgsRecommended",
    "FROM a\nCMD b",
    2,
    "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals",
    'FROM a\nCMD ["b"]',
  ],
  [
    "JSONArgsRecommended",
    "FROM a\nENTRYPOINT b",
    2,
    "JSON arguments recommended for ENTRYPOINT to prevent",
    'FROM a AS b\nSHELL ["c"]\nFROM b\nENTRYPOINT d',
  ],
  [
    "MaintainerDeprecated",
    "FROM a\nMAINTAINER b",
    2,
    "Maintainer instruction is deprecated in favor of using label",
    "FROM a\nLABEL b=c",
  ],
  [
    "WorkdirRelativePath",
    "FROM a\nWORKDIR b",
    2,
    'Relative workdir "b" can have unexpected results if the base image changes',
    "FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c",
  ],
  [
    "WorkdirRelativePath",
    "FROM a\nARG b=c\nWORKDIR $b",
    3,
    'Relative workdir "c"',
    "FROM a\nARG b=/c\nWORKDIR $b\nWORKDIR d",
  ],
  [
    "UndefinedArgInFrom",
    "ARG VERSION=1\nFROM a:b${VERSIN}",
    2,
    "FROM argument 'VERSIN' is not declared (did you mean VERSION?)",
    "ARG VERSION=1\nFROM --platform=$BUILDPLATFORM a:${VERSION}${X:-2}",
  ],
  [
    "UndefinedVar",
    "FROM scratch\nCOPY $foo .",
    2,
    "Usage of undefined variable '$foo'",
    "FROM scratch\nARG foo\nCOPY $foo $PATH/",
  ],
  [
    "UndefinedVar",
    "FROM a\nENV PATH=/x:$PAHT",
    2,
    "Usage of undefined variable '$PAHT' (did you mean $PATH?)",
    "FROM a\nENV PATH=$GOPATH/bin:$PATH A=$JAVA_HOME",
  ],
  [
    "UndefinedVar",
    "FROM a AS b\nENV NAME=1\nFROM b\nUSER $NMAE",
    4,
    "did you mean $NAME?",
    "FROM a AS b\nENV NAME=1\nFROM b\nUSER $NAME",
  ],
  [
    "UndefinedVar",
    "FROM scratch AS b\nARG NAME=1\nFROM b\nUSER $NAME",
    4,
    "Usage of undefined variable '$NAME'",
    "FROM scratch AS b\nENV NAME=1\nFROM b\nUSER ${NAME}${OTHER:-}",
  ],
  [
    "MultipleInstructionsDisallowed",
    'FROM a\nCMD ["b"]\nCMD ["c"]',
    2,
    "Multiple CMD instructions should not be used in the same stage because only the last one will be used",
    'FROM a AS x\nCMD ["b"]\nFROM x\nCMD ["c"]\nENTRYPOINT ["d"]',
  ],
  [
    "LegacyKeyValueFormat",
    "FROM a\nENV b c",
    2,
    '"ENV key=value" should be used instead of legacy "ENV key value" format',
    "FROM a\nENV b=c",
  ],
  ["LegacyKeyValueFormat", "FROM a\nLABEL b c", 2, '"LABEL key=value" should be used', "FROM a\nLABEL b=c"],
  [
    "RedundantTargetPlatform",
    "FROM --platform=$TARGETPLATFORM a",
    1,
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior",
    "FROM --platform=$BUILDPLATFORM a",
  ],
  [
    "SecretsUsedInArgOrEnv",
    "FROM a\nARG AWS_SECRET_ACCESS",
    2,
    'Do not use ARG or ENV instructions for sensitive data (ARG "AWS_SECRET_ACCESS")',
    "FROM a\nENV KEYBOARD=b PUBLIC_KEY=c TOKEN_FILE=d",
  ],
  ["SecretsUsedInArgOrEnv", "FROM a\nENV password=b", 2, '(ENV "password")', "FROM a\nARG MONKEY"],
  [
    "InvalidDefaultArgInFrom",
    "ARG TAG\nFROM a:$TAG",
    2,
    "Default value for ARG a:$TAG results in empty or invalid base image name",
    "ARG TAG=b\nFROM a:$TAG",
  ],
  [
    "InvalidDefaultArgInFrom",
    "ARG IMAGE\nFROM ${IMAGE}",
    2,
    "Default value for ARG ${IMAGE} results",
    "ARG IMAGE\nFROM ${IMAGE:-host.example:5000/a_b/c--d:v1}",
  ],
  [
    "FromPlatformFlagConstDisallowed",
    "FROM --platform=linux/amd64 a",
    1,
    'FROM --platform flag should not use constant value "linux/amd64"',
    "FROM --platform=linux/amd64 a AS build-amd64",
  ],
  [
    "ExposeProtoCasing",
    "FROM a\nEXPOSE 80/TCP",
    2,
    "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase",
    "FROM a\nEXPOSE 80/tcp 90-99/udp",
  ],
  [
    "ExposeInvalidFormat",
    "FROM a\nEXPOSE 127.0.0.1:80:80",
    2,
    "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'",
    "FROM a\nEXPOSE 80",
  ],
  [
    "InvalidDefinitionDescription",
    "# the version\nARG VERSION=1\nFROM a",
    2,
    "Comment for ARG should follow the format: `# VERSION <description>`",
    "# VERSION of a\nARG VERSION=1\n# about all\n\nFROM a AS b",
  ],
  [
    "InvalidDefinitionDescription",
    "# escape=`\nFROM a AS b\n# builds\nFROM a AS c",
    4,
    "Comment for build stage should follow the format: `# c <description>`",
    "# escape=`\nFROM a AS b\n# c builds\nFROM a AS c",
  ],
];

describe("checkDockerfile()", () => {
  test.each(CASES)("finds %s in %j", (rule, wrong, line, message) => {
    expect(check(wrong)).toEqual([
      {
        rule,
        message: expect.stringContaining(message) as string,
        location: expect.objectContaining({ line }) as object,
      },
    ]);
  });

  test.each(CASES.map(([rule, , , , right]) => [rule, right] as const))("does not find %s in %j", (_, right) => {
    expect(check(right)).toEqual([]);
  });

  test("has a case for every rule", () => {
    expect(new Set([...CASES.map(([rule]) => rule), ...BEYOND_TEXT])).toEqual(new Set(CHECK_RULES));
  });

  test.each([
    ["COPY a.log b /", "*.log", ["a.log"]],
    ["COPY ./x/../a.log /", "*.log", ["a.log"]],
    ["ADD tmp/x http://a.b/c.log /", "tmp\n*.log", ["tmp/x"]],
    ["COPY . /", "*", ["."]],
    ["COPY . /", "a", []],
    ["COPY /a.log /", "a.log", []],
    ["COPY a.log /", "*.log\n!b.log", []],
    ["COPY --from=a a.log /", "*.log", []],
    ["ARG A=a.log\nCOPY $A /", "a.log", ["a.log"]],
  ])("CopyIgnoredFile: %s with %j", (line, ignored, files) => {
    const ignore = createIgnoreMatcher(parseDockerignore(ignored));
    const parsed = parseDockerfile(`FROM a\n${line}`, { file: "Dockerfile" });
    const warnings = checkDockerfile(parsed, { experimental: ["CopyIgnoredFile"], ignore });
    expect(warnings.map(({ message }) => /"(.*)"/.exec(message)?.[1])).toEqual(files);
  });

  test.each([
    ["right above the instruction", "FROM a\n# check=skip=JSONArgsRecommended\nCMD b", []],
    ["behind other comments", "FROM a\n# why\n# check=skip=jsonargsrecommended because\nCMD b", []],
    ["for all rules", "FROM a\n# check=skip=all\nCMD b", []],
    ["not from further up", "FROM a\n# check=skip=all\n\nCMD b", ["JSONArgsRecommended"]],
    ["not for others", "FROM a\n# check=skip=StageNameCasing\nCMD b", ["JSONArgsRecommended"]],
    ["for a stage", "FROM a\n# check=skip=StageNameCasing\nFROM a AS B", []],
  ])("takes a comment that skips rules: %s", (_, text, rules) => {
    expect(check(text, []).map(({ rule }) => rule)).toEqual(rules);
  });

  test("leaves experimental rules out until they are asked for", () => {
    const text = "# the version\nARG VERSION=1\nFROM a";
    expect(check(text, [])).toEqual([]);
    expect(check(text, EXPERIMENTAL_RULES)).toHaveLength(1);
    const directed = `# check=experimental=InvalidDefinitionDescription\n\n${text}`;
    expect(checkDockerfile(parseDockerfile(directed, { file: "Dockerfile" }))).toHaveLength(1);
  });

  test("lists what it finds in the order of lines", () => {
    const lines = check("FROM a AS B\nMAINTAINER c\nWORKDIR d\nEXPOSE 1/TCP\nENV e f").map(
      ({ location }) => location.line,
    );
    expect(lines).toEqual([1, 2, 3, 4, 5]);
  });

  test("leaves to the build what can't be expanded", () => {
    expect(check("FROM ${a\nENV b=${c:?}\nWORKDIR '")).toEqual([]);
  });
});

describe("applyCheckDirective(), assertChecks()", () => {
  const text = "FROM a AS B\nMAINTAINER c\nMAINTAINER d";
  const warnings = check(text);

  test("leave all warnings without a directive", () => {
    expect(applyCheckDirective(warnings, undefined)).toEqual({ warnings, failed: [] });
    expect(assertChecks(warnings, undefined)).toEqual(warnings);
  });

  test("skip the rules that are named, or all", () => {
    const result = applyCheckDirective(warnings, { skip: ["maintainerdeprecated"], error: true });
    expect(result.failed).toEqual(["StageNameCasing"]);
    expect(result.warnings).toHaveLength(1);
    expect(assertChecks(warnings, { skip: "all", error: true })).toEqual([]);
  });

  test("throw for the rules that are left where the directive says so", () => {
    const fail = (): unknown => assertChecks(warnings, { skip: [], error: true });
    expect(fail).toThrow(DockerfileError);
    expect(fail).toThrow(expect.objectContaining({ code: "CHECK_FAILED", location: warnings[0]?.location }));
    expect(fail).toThrow("lint violation found for rules: StageNameCasing, MaintainerDeprecated");
  });
});

describe("docs/checks.md", () => {
  const document = readFileSync(new URL("../../../docs/checks.md", import.meta.url), "utf8");
  const sections = document
    .split(/^## /m)
    .slice(1)
    .map((section) => ({
      rule: section.split("\n")[0] ?? "",
      examples: [...section.matchAll(/```dockerfile\n(.*?)```/gs)].map(([, example = ""]) => example),
    }));

  test("explains every rule, and no other", () => {
    expect(sections.map(({ rule }) => rule)).toEqual(CHECK_RULES);
  });

  const ofText = sections.filter(({ rule }) => !BEYOND_TEXT.includes(rule));
  test.each(ofText)("shows what breaks $rule and what does not", ({ rule, examples }) => {
    const [wrong = "", right = ""] = examples;
    expect(check(wrong).map((warning) => warning.rule)).toContain(rule);
    expect(check(right).map((warning) => warning.rule)).not.toContain(rule);
  });
});
