import type { BuildEvent } from "@varve/executor";
import type { Step } from "@varve/graph";
import { describe, expect, test } from "vitest";
import { createJsonProgress } from "../src/progress/json.ts";
import { createPlainProgress } from "../src/progress/plain.ts";
import { formatBytes, formatSeconds } from "../src/progress/progress.ts";
import { createTtyProgress } from "../src/progress/tty.ts";

const platform = { os: "linux", architecture: "amd64" };
const from: Step = { kind: "from", name: "FROM x", location: undefined, platform, source: { type: "scratch" } };
const location = { file: "Dockerfile", line: 2, endLine: 2 };
const run: Step = {
  kind: "workdir",
  name: "[2/3] RUN  build\n the thing",
  location,
  platform,
  parent: from,
  origin: { stage: "", position: 2, text: "RUN  build\n the thing", scope: new Map(), buildArgs: [] },
  path: "/",
  user: "",
};
const copy: Step = { ...run, name: "[3/3] COPY a /b" };
const now = Date.now();

const EVENTS: readonly BuildEvent[] = [
  { type: "step-started", step: from, time: now },
  { type: "step-finished", step: from, time: now, duration: 0, layer: undefined },
  { type: "step-started", step: run, time: now },
  { type: "step-output", step: run, stream: "stdout", chunk: Buffer.from("first\nsec") },
  { type: "step-output", step: run, stream: "stderr", chunk: Buffer.from("ond\n\u001B[31mred") },
  { type: "step-finished", step: run, time: now, duration: 61_000, layer: undefined },
  { type: "step-cached", step: copy, time: now, source: "local" },
  { type: "warning", message: "careful" },
  { type: "transfer", direction: "pull", name: "sha256:a", current: 1500, total: 1500, done: true },
];

function show(create: (write: (text: string) => void) => { onEvent(event: BuildEvent): void; end(): void }): string {
  let text = "";
  const progress = create((more) => {
    text += more;
  });
  for (const event of EVENTS) progress.onEvent(event);
  progress.end();
  return text;
}

describe("plain progress", () => {
  test("numbers steps, marks hits CACHED, and gives output line by line", () => {
    const text = show((write) => createPlainProgress({ write }));
    expect(text.replaceAll(/\d+\.\d{3} /g, "T ").split("\n")).toEqual([
      "#1 FROM x",
      "#2 [2/3] RUN build the thing",
      "#2 T first",
      "#2 T second",
      "#2 T \u001B[31mred",
      "#2 DONE 1m 01s",
      "#3 [3/3] COPY a /b",
      "#3 CACHED",
      "WARNING careful",
      "pull sha256:a 1.5 kB done",
      "",
    ]);
  });
});

describe("json progress", () => {
  test("writes one object a line, with the step's number, name and place", () => {
    const lines = show((write) => createJsonProgress({ write }))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toHaveLength(EVENTS.length);
    expect(lines[3]).toEqual({
      type: "step-output",
      stream: "stdout",
      step: 2,
      name: run.name,
      file: "Dockerfile",
      line: 2,
      text: "first\nsec",
    });
  });
});

describe("tty progress", () => {
  test("keeps to the screen's width, and leaves only what is done", () => {
    const text = show((write) => createTtyProgress({ write, columns: 40, colors: false }));
    // oxlint-disable-next-line no-control-regex
    const lines = text.replaceAll(/\u001B\[[0-9;]*[A-Za-z]|\r/g, "").split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(40);
    expect(lines).toContain(" 1m 01s  [2/3] RUN build the thing");
    expect(lines).toContain(" CACHED  [3/3] COPY a /b");
    expect(text).not.toContain("\u001B[31m");
  });
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
