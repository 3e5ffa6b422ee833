import { setTimeout } from "node:timers/promises";
import type { BuildEvent } from "@varve/executor";
import { describe, expect, test } from "vitest";
import { createTtyProgress } from "../../src/progress/tty.ts";
import { base, EVENTS, now, run, step } from "./events.ts";
import { createScreen } from "./screen.ts";

/** Longer than between two drawings. */
const DRAWN = 250;

describe("tty progress", () => {
  test("leaves only what is done, why it ran and where it came from, within the screen", async () => {
    const screen = createScreen(60, 20);
    const progress = createTtyProgress(screen);
    for (const event of EVENTS) progress.onEvent(event);
    progress.end();
    progress.onEvent({ type: "warning", message: "too late" });
    expect(await screen.lines()).toEqual([
      "  1m 01s  [2/9] RUN build the thing   a.ts changed",
      "  CACHED  [3/9] COPY a /b",
      "  WAITED  [3/9] COPY a /b",
      "   ERROR  [2/9] RUN build the thing   a.ts changed",
      " WARNING  careful",
    ]);
  });

  test("draws again in the same place, and says what it stopped", async () => {
    const screen = createScreen(60, 12);
    const progress = createTtyProgress(screen);
    const [one, two] = [step("RUN one", { stage: "a" }), step("RUN two", { stage: "b", line: 3 })];
    progress.onEvent({ type: "graph", steps: [base, one, two] });
    for (const each of [one, two]) progress.onEvent({ type: "step-started", step: each, time: Date.now() });
    const say = (text: string): void =>
      progress.onEvent({ type: "step-output", step: one, stream: "stdout", chunk: Buffer.from(text) });
    say("first line\nsecond");
    await setTimeout(DRAWN);
    const shape = async (): Promise<readonly string[]> =>
      (await screen.visible()).map((line) => line.replaceAll(/\d+\.\ds/g, "T").trim());
    const running = ["[+] Building T (0/2 steps)", "● a 0/1   ● b 0/1", "T  [a 2/9] RUN one"];
    expect(await shape()).toEqual([...running, "│ first line", "T  [b 3/9] RUN two"]);
    say(" line\n");
    await setTimeout(DRAWN);
    expect(await shape()).toEqual([...running, "│ first line", "│ second line", "T  [b 3/9] RUN two"]);
    progress.end();
    expect(await shape()).toEqual(["STOPPED  [a 2/9] RUN one   after T", "STOPPED  [b 3/9] RUN two   after T"]);
  });

  test.each([
    ["narrower", 100, 40],
    ["wider", 40, 100],
  ])("leaves no traces where the terminal gets %s", async (_, from, to) => {
    const screen = createScreen(from, 20);
    const progress = createTtyProgress(screen);
    const steps = Array.from({ length: 3 }, (__, n) => step(`RUN ${n} ${"word ".repeat(30)}`, { line: n + 2 }));
    progress.onEvent({ type: "graph", steps });
    for (const each of steps) progress.onEvent({ type: "step-started", step: each, time: now });
    await setTimeout(DRAWN);
    screen.resize(to, 20);
    await setTimeout(DRAWN);
    const lines = await screen.lines();
    expect(lines.filter((line) => line.includes("Building"))).toHaveLength(1);
    expect(lines.filter((line) => line.includes("] RUN"))).toHaveLength(3);
    progress.end();
  });

  test("shows a thousand steps in one pass, found ones in few lines", async () => {
    const screen = createScreen(80, 24);
    const progress = createTtyProgress(screen);
    const steps = Array.from({ length: 1000 }, (_, n) => step(`RUN ${n}`, { line: n + 2 }));
    progress.onEvent({ type: "graph", steps });
    const found = steps.slice(0, 990);
    for (const each of found) progress.onEvent({ type: "step-cached", step: each, time: now, source: "local" });
    for (const each of steps.slice(990)) {
      progress.onEvent({ type: "step-started", step: each, time: now });
      progress.onEvent({ type: "step-finished", step: each, time: now, duration: 5, layer: undefined });
    }
    progress.end();
    const lines = await screen.lines();
    expect(lines.slice(0, 3).map((line) => line.trim())).toEqual([
      "CACHED  [2/9] RUN 0",
      "…  and 988 more",
      "CACHED  [991/9] RUN 989",
    ]);
    expect(lines).toHaveLength(3 + 10);
  });

  test("writes no colors where they are not wanted, and gives the cursor back", () => {
    const written = { plain: "", colored: "" };
    for (const name of ["plain", "colored"] as const) {
      const write = (text: string): void => void (written[name] += text);
      const progress = createTtyProgress({ write, columns: 80, rows: 24, colors: name === "colored" });
      for (const event of EVENTS) progress.onEvent(event);
      progress.end();
    }
    // oxlint-disable-next-line no-control-regex
    expect(written.plain).not.toMatch(/\u001B\[[0-9;]*m/);
    expect(written.colored).toContain("\u001B[32m");
    expect(written.colored.endsWith("\u001B[?25h")).toBe(true);
  });

  test("tells what a build says of the first build only once: not at each step", async () => {
    const screen = createScreen(80, 24);
    const progress = createTtyProgress(screen);
    const reason = { kind: "first-build", text: "first build", causes: [] } as const;
    const events: readonly BuildEvent[] = [
      { type: "step-started", step: run, time: now, reason },
      { type: "step-finished", step: run, time: now, duration: 5, layer: undefined },
    ];
    for (const event of events) progress.onEvent(event);
    progress.end();
    expect((await screen.lines()).join("\n")).not.toContain("first build");
  });
});
