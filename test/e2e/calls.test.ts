/** What `--call` and `--check` tell of a Dockerfile without building it. */
import { afterAll, describe, expect, test } from "vitest";
import { Workspace } from "./varve.ts";

const work = new Workspace();
afterAll(() => work[Symbol.dispose]());

const OUTLINE = `ARG inherited=box
ARG inherited2=box2
ARG unused=abc\${inherited2}
# sfx is a suffix
ARG sfx="usy\${inherited}"

FROM b\${sfx} AS first
# this is not assigned to anything
ARG FOO=123
# BAR is a number
ARG BAR=456
RUN --mount=type=secret,target=/etc/passwd,required=true --mount=type=ssh true

FROM none\${unused} AS second
ARG BAZ
RUN --mount=type=secret,id=unused --mount=type=ssh,id=ssh2 true

FROM scratch AS third
ARG ABC=a

# target defines build target
FROM third AS target
COPY --from=first /etc/passwd /
ARG BAR
RUN --mount=type=secret,id=second\${BAR} --mount=type=ssh,id=ssh3,required true

FROM second
`;

async function call(Dockerfile: string, ...args: readonly string[]): Promise<{ code: number; stdout: string }> {
  return work.run([
    "build",
    "--build-context",
    "busybox=docker-image://scratch",
    ...args,
    work.context({ Dockerfile }),
  ]);
}

describe("--call=outline", () => {
  const args = ["--target", "Target", "--build-arg", "BAR=678"];

  test("lists args, secrets and agents of the target and what it needs", async () => {
    const { code, stdout } = await call(OUTLINE, "--call=outline", ...args);
    expect(stdout).toBe(`TARGET:        target
DESCRIPTION:   defines build target

BUILD ARG   VALUE    DESCRIPTION
inherited   box
sfx         usybox   is a suffix
FOO         123
ABC         a
BAR         678

SECRET      REQUIRED
passwd      true
second678

SSH       REQUIRED
default
ssh3      true
`);
    expect(code).toBe(0);
  });

  test("is BuildKit's frontend.outline as JSON", async () => {
    const { stdout } = await call(OUTLINE, "--call=outline,format=json", ...args);
    expect(JSON.parse(stdout)).toMatchObject({
      name: "target",
      args: expect.arrayContaining([
        {
          name: "sfx",
          value: "usybox",
          description: "is a suffix",
          location: { ranges: [{ start: { line: 5 }, end: { line: 5 } }] },
        },
      ]),
      secrets: [{ name: "passwd", required: true }, { name: "second678" }],
      ssh: [{ name: "default" }, { name: "ssh3", required: true }],
      sources: [Buffer.from(OUTLINE).toString("base64")],
    });
  });
});

describe("--call=targets", () => {
  test("lists what --target takes", async () => {
    const { code, stdout } = await call(OUTLINE, "--call=targets");
    expect(stdout).toBe("TARGET      DESCRIPTION\nfirst\nsecond\nthird\ntarget      defines build target\n(default)\n");
    expect(code).toBe(0);
  });

  test("is BuildKit's frontend.targets as JSON", async () => {
    const text = "FROM --platform=$BUILDPLATFORM a AS B\nFROM b\n";
    const { stdout } = await call(text, "--call", "targets,format=json");
    const at = (line: number): unknown => ({ ranges: [{ start: { line }, end: { line } }] });
    expect(JSON.parse(stdout)).toEqual({
      targets: [
        { name: "b", base: "a", platform: "$BUILDPLATFORM", location: at(1) },
        { base: "b", default: true, location: at(2) },
      ],
      sources: [Buffer.from(text).toString("base64")],
    });
  });
});

describe("--call=check", () => {
  const text = "FROM scratch AS A\nMAINTAINER x\n";

  test("tells what the checks find, in the exit code too unless that is not wanted", async () => {
    const { code, stdout } = await call(text, "--check");
    expect(stdout).toContain("StageNameCasing: Stage name 'A' should be lowercase");
    expect(stdout).toContain("Check complete, 2 warnings have been found.");
    expect(code).toBe(1);
    expect((await call(text, "--call=check,ignorestatus=true")).code).toBe(0);
    expect(await call("FROM scratch\n", "--call=lint")).toMatchObject({
      code: 0,
      stdout: "Check complete, no warnings found.\n",
    });
  });

  test("follows the build arg, and sees the ignore file", async () => {
    const directive = "BUILDKIT_DOCKERFILE_CHECK=skip=StageNameCasing,MaintainerDeprecated;experimental=all";
    const context = { ".dockerignore": "*.log\n" };
    work.context(context);
    const { stdout } = await call(`${text}COPY a.log /\n`, "--check", "--build-arg", directive);
    expect(stdout).toContain('CopyIgnoredFile: Attempting to Copy file "a.log" that is excluded by .dockerignore');
    expect(stdout).toContain("1 warning has been found");
  });

  test("is BuildKit's frontend.lint as JSON, a Dockerfile that can't be parsed included", async () => {
    const { code, stdout } = await call(text, "--call=check,format=json");
    expect(JSON.parse(stdout)).toMatchObject({
      warnings: [
        { ruleName: "StageNameCasing", url: "docs/checks.md#stagenamecasing" },
        { ruleName: "MaintainerDeprecated", location: { ranges: [{ start: { line: 2 }, end: { line: 2 } }] } },
      ],
      sources: [{ language: "Dockerfile", data: Buffer.from(text).toString("base64") }],
    });
    expect(code).toBe(1);
    const broken = await call("FROM scratch\nCOPPY a b\n", "--call=check,format=json");
    expect(JSON.parse(broken.stdout)).toMatchObject({
      warnings: [],
      buildError: { message: expect.stringContaining("unknown instruction: COPPY"), location: { ranges: [{}] } },
    });
    expect(broken.code).toBe(1);
  });
});

describe("--call", () => {
  test("says what it takes", async () => {
    const { stdout } = await call("", "--call=help");
    expect(stdout).toMatch(/^NAME +DESCRIPTION\nbuild +Build the image\ncheck /);
    const refused = await work.run(["build", "--call=outlines", work.path]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain("wanted build, check, lint, outline, targets, help");
    expect((await work.run(["build", "--call=check,format=xml", work.path])).code).toBe(2);
  });
});
