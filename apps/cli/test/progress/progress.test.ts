import type { BuildEvent } from "@varve/executor";
import { describe, expect, test } from "vitest";
import { createBlockProgress } from "../../src/progress/blocks.ts";
import { githubFormat, gitlabFormat } from "../../src/progress/ci-formats.ts";
import { chooseMode } from "../../src/progress/create-progress.ts";
import { createJsonProgress } from "../../src/progress/json.ts";
import { createPlainProgress } from "../../src/progress/plain.ts";
import { formatBytes, formatSeconds, type Progress } from "../../src/progress/progress.ts";
import { createRawJsonProgress } from "../../src/progress/raw-json.ts";
import { base, EVENTS, now, run, step } from "./events.ts";

function show(create: (write: (text: string) => void) => Progress, events: readonly BuildEvent[] = EVENTS): string {
  let text = "";
  const progress = create((more) => {
    text += more;
  });
  for (const event of events) progress.onEvent(event);
  progress.end();
  return text;
}

describe("plain progress", () => {
  test("numbers steps, says why they run and where they came from, and gives output line by line", () => {
    const text = show((write) => createPlainProgress({ write }));
    expect(text.replaceAll(/\d+\.\d{3} /g, "T ").split("\n")).toEqual([
      "#1 looking up base images",
      "#1 DONE 0.1s",
      "#2 FROM x",
      "#3 [2/9] RUN build the thing",
      "#3 why: a.ts changed",
      "#3 T first",
      "#3 T second",
      "#3 T \u001B[31mred",
      "#3 DONE 1m 01s",
      "#4 [3/9] COPY a /b",
      "#4 CACHED",
      "#4 CACHED from another builder that was waited for",
      "#3 ERROR Cannot go on",
      "WARNING careful",
      "pull sha256:a 1.5 kB done",
      "",
    ]);
  });

  test("joins characters and line ends that come in pieces", () => {
    const bytes = Buffer.from("日本\r\nnext\rlast");
    const output = Array.from(bytes, (_, position): BuildEvent => {
      const chunk = bytes.subarray(position, position + 1);
      return { type: "step-output", step: run, stream: "stdout", chunk };
    });
    const events: BuildEvent[] = [
      { type: "step-started", step: run, time: Date.now() },
      ...output,
      { type: "step-finished", step: run, time: Date.now(), duration: 1, layer: undefined },
    ];
    const lines = show((write) => createPlainProgress({ write }), events).replaceAll(/\d+\.\d{3} /g, "");
    expect(lines.split("\n").slice(1, 4)).toEqual(["#1 日本", "#1 next", "#1 last"]);
  });
});

describe("json progress", () => {
  const lines = show((write) => createJsonProgress({ write }))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

  test("writes one object a line, with the step's number, name and place", () => {
    expect(lines).toHaveLength(EVENTS.length);
    const place = { step: 2, name: run.name, file: "Dockerfile", line: 2 };
    expect(lines[6]).toEqual({ type: "step-output", stream: "stdout", ...place, text: "first\nsec" });
    expect(lines[5]).toEqual({ ...EVENTS[5], ...place });
    expect(lines[12]).toEqual({ type: "warning", message: "careful", file: "Dockerfile", line: 2 });
  });

  test("tells the whole graph first, by the numbers of the steps", () => {
    expect(lines[2]).toMatchObject({
      type: "graph",
      steps: [
        { step: 1, name: "FROM x", inputs: [] },
        { step: 2, name: run.name, stage: "", platform: "linux/amd64", inputs: [1] },
        { step: 3, inputs: [1] },
      ],
    });
  });
});

describe("rawjson progress", () => {
  test("speaks BuildKit's words: vertexes with inputs and times, logs in base64, statuses, warnings", () => {
    const lines = show((write) => createRawJsonProgress({ write }))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, readonly Record<string, unknown>[]>);
    const vertexes = lines.flatMap((line) => line["vertexes"] ?? []);
    const [digest] = vertexes.filter(({ name }) => name === run.name).map((vertex) => vertex["digest"]);
    const time = new Date(now).toISOString();
    expect(vertexes).toContainEqual({
      digest,
      inputs: [vertexes.find(({ name }) => name === "FROM x")?.["digest"]],
      name: run.name,
      started: time,
      completed: time,
    });
    expect(vertexes.filter(({ cached }) => cached === true)).toHaveLength(2);
    expect(vertexes.find(({ error }) => error !== undefined)?.["error"]).toBe("Cannot go on");
    const [log] = lines.flatMap((line) => line["logs"] ?? []);
    expect(log).toMatchObject({ vertex: digest, stream: 1, data: Buffer.from("first\nsec").toString("base64") });
    expect(lines.flatMap((line) => line["statuses"] ?? [])).toMatchObject([
      { id: "sha256:a", current: 1500, total: 1500 },
    ]);
    expect(lines.flatMap((line) => line["warnings"] ?? [])).toEqual([
      { level: 1, short: Buffer.from("careful").toString("base64") },
    ]);
  });
});

describe("blocks", () => {
  const [one, two] = [step("RUN one", { line: 2 }), step("RUN two", { line: 3 })];
  const output = (about: typeof one, text: string): BuildEvent => ({
    type: "step-output",
    step: about,
    stream: "stdout",
    chunk: Buffer.from(text),
  });
  const SIDE_BY_SIDE: readonly BuildEvent[] = [
    { type: "step-started", step: one, time: now },
    { type: "step-started", step: two, time: now },
    output(one, "one a\n"),
    output(two, "two a\n"),
    output(one, "one b\n"),
    { type: "step-finished", step: two, time: now, duration: 1000, layer: undefined },
    output(one, "one c"),
    { type: "step-failed", step: one, time: now, error: new Error("exit code: 1, 100%\nmore") },
  ];

  test("fold in GitHub Actions, one step after the other, with a mark at the line that failed", () => {
    const text = show((write) => createBlockProgress({ write }, githubFormat(process.cwd())), SIDE_BY_SIDE);
    expect(text.split("\n")).toEqual([
      "::group::[2/9] RUN one",
      "one a",
      "one b",
      "one c",
      "ERROR exit code: 1, 100%",
      "::endgroup::",
      "::group::[3/9] RUN two",
      "two a",
      "DONE 1.0s",
      "::endgroup::",
      "::error file=Dockerfile,line=2,endLine=2,title=varve::[2/9] RUN one: exit code: 1, 100%25",
      "",
    ]);
  });

  test("show what the first step writes at once, and hold back the others", () => {
    let text = "";
    const progress = createBlockProgress({ write: (more) => (text += more) }, githubFormat("/"));
    for (const event of SIDE_BY_SIDE.slice(0, 5)) progress.onEvent(event);
    expect(text).toBe("::group::[2/9] RUN one\none a\none b\n");
  });

  test("fold in GitLab CI", () => {
    const text = show(
      (write) =>
        createBlockProgress(
          { write },
          gitlabFormat(() => 7_000),
        ),
      SIDE_BY_SIDE.slice(0, 4),
    );
    expect(text.split("\n").map((line) => line.replace(/STOPPED after .*/, "STOPPED"))).toEqual([
      "\u001B[0Ksection_start:7:varve_1\r\u001B[0K[2/9] RUN one",
      "one a",
      "STOPPED",
      "\u001B[0Ksection_end:7:varve_1\r\u001B[0K",
      "\u001B[0Ksection_start:7:varve_2\r\u001B[0K[3/9] RUN two",
      "two a",
      "STOPPED",
      "\u001B[0Ksection_end:7:varve_2\r\u001B[0K",
      "",
    ]);
  });

  test("tell everything, whatever it is", () => {
    const text = show((write) => createBlockProgress({ write }, githubFormat(process.cwd())));
    for (const wanted of ["why: a.ts changed", "CACHED [3/9] COPY a /b", "::warning file=Dockerfile,line=2,endLine=3"])
      expect(text).toContain(wanted);
    expect(text.match(/::group::/g)).toHaveLength(text.match(/::endgroup::/g)?.length ?? 0);
    expect(text).toContain(base.name);
  });
});

test.each([
  [{}, true, "tty"],
  [{ TERM: "dumb" }, true, "plain"],
  [{ GITHUB_ACTIONS: "true" }, true, "tty"],
  [{ GITHUB_ACTIONS: "true" }, false, "github"],
  [{ GITLAB_CI: "true" }, false, "gitlab"],
  [{ GITLAB_CI: "" }, false, "plain"],
] as const)("chooseMode(%j, %j)", (env, isTerminal, wanted) => {
  expect(chooseMode(env, isTerminal)).toBe(wanted);
});

test.each([
  [0, "0.0s"],
  [59_940, "59.9s"],
  [3_725_000, "62m 05s"],
])("formatSeconds(%d)", (milliseconds, wanted) => {
  expect(formatSeconds(milliseconds)).toBe(wanted);
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1500, "1.5 kB"],
  [2e9, "2.0 GB"],
])("formatBytes(%d)", (bytes, wanted) => {
  expect(formatBytes(bytes)).toBe(wanted);
});
