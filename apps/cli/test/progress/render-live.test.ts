import type { Step } from "@varve/graph";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createBuildView, type BuildView } from "../../src/progress/build-view.ts";
import { renderLive } from "../../src/progress/render-live.ts";
import { textWidth } from "../../src/progress/text-width.ts";
import { base, now, step } from "./events.ts";

interface Scene {
  readonly stages: number;
  readonly steps: number;
  readonly running: number;
  readonly transfers: number;
}

/** A build in the middle: of each stage the first step is done, as many as wanted of the others run. */
function scene({ stages, steps, running, transfers }: Scene): BuildView {
  const { apply, view } = createBuildView(now);
  const all: Step[][] = Array.from({ length: stages }, (_, stage) =>
    Array.from({ length: steps }, (__, position) =>
      step(`RUN 日本 ✅ step ${position} of many words`, {
        stage: `stage${stage}`,
        line: stage * steps + position + 2,
      }),
    ),
  );
  apply({ type: "graph", steps: [base, ...all.flat()] });
  for (const [first] of all)
    if (first !== undefined) apply({ type: "step-cached", step: first, time: now, source: "local" });
  for (const each of all.flatMap((some) => some.slice(1)).slice(0, running)) {
    const reason = { kind: "changed", text: `${"x".repeat(60)} changed`, causes: [] } as const;
    apply({ type: "step-started", step: each, time: now, reason });
    apply({ type: "step-output", step: each, stream: "stdout", chunk: Buffer.from("one\ntwo\nthree\n語\u001B[2J\n") });
  }
  for (let n = 0; n < transfers; n += 1)
    apply({
      type: "transfer",
      direction: "push",
      name: `sha256:${n}abcdef0123456789`,
      current: n,
      total: 9,
      done: false,
    });
  return view();
}

describe("renderLive()", () => {
  test("shows steps, stages, why a step runs, its last lines, and transfers", () => {
    const view = scene({ stages: 3, steps: 2, running: 1, transfers: 1 });
    const lines = renderLive(view, { columns: 60, rows: 24, now: now + 2500 });
    expect(lines.map(({ text }) => text)).toEqual([
      "[+] Building 2.5s (3/6 steps, 3 cached)",
      "    ● stage0 1/2   stage1 1/2   stage2 1/2",
      "    2.5s  [stage0 3/9] RUN 日本 ✅ step 1 of many words",
      `          why: ${"x".repeat(43)}…`,
      "          │ two",
      "          │ three",
      "          │ 語",
      "    push  0abcdef01234  ───────────────────────  0 B of 9 B",
    ]);
  });

  test("puts running steps side by side where there is room", () => {
    const view = scene({ stages: 4, steps: 2, running: 4, transfers: 0 });
    const lines = renderLive(view, { columns: 200, rows: 24, now }).map(({ text }) => text);
    expect(lines.filter((line) => /\[stage\d 3|\[stage1 5|\[stage3 9/.test(line))).toHaveLength(2);
    expect(lines.find((line) => line.includes("[stage0 3/9]"))).toContain("[stage1 5/9]");
  });

  test("counts what there is no room for", () => {
    const view = scene({ stages: 2, steps: 30, running: 50, transfers: 9 });
    const lines = renderLive(view, { columns: 80, rows: 16, now }).map(({ text }) => text.trim());
    expect(lines).toHaveLength(14);
    expect(lines.some((line) => /^and 4\d more running$/.test(line))).toBe(true);
    expect(lines.some((line) => /^and 6 more transfers, 33 B so far$/.test(line))).toBe(true);
  });

  test("cuts a long list of stages", () => {
    const view = scene({ stages: 60, steps: 1, running: 0, transfers: 0 });
    const lines = renderLive(view, { columns: 60, rows: 30, now }).map(({ text }) => text);
    expect(lines).toHaveLength(4);
    expect(lines[3]).toMatch(/\+\d+ stages$/);
  });

  test("never takes more than the screen, however small, and whatever goes on", () => {
    const sizes = fc.record({
      stages: fc.integer({ min: 0, max: 12 }),
      steps: fc.integer({ min: 1, max: 6 }),
      running: fc.integer({ min: 0, max: 40 }),
      transfers: fc.integer({ min: 0, max: 12 }),
      columns: fc.integer({ min: 12, max: 220 }),
      rows: fc.integer({ min: 3, max: 60 }),
    });
    fc.assert(
      fc.property(sizes, ({ columns, rows, ...rest }) => {
        const lines = renderLive(scene(rest), { columns, rows, now: now + 1000 });
        expect(lines.length).toBeLessThanOrEqual(Math.max(1, rows - 2));
        for (const { text } of lines) expect(textWidth(text)).toBeLessThan(columns);
      }),
      { numRuns: 60 },
    );
  });
});
