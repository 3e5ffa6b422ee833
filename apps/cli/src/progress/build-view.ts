import type { BuildEvent } from "@varve/executor";
import type { Step } from "@varve/graph";
import { formatPlatform } from "@varve/oci";
import { createOutputLines, type OutputLines } from "./output-lines.ts";
import type { Subject } from "./progress.ts";
import { printable } from "./text-width.ts";

/** A step or phase that goes on. */
export interface RunningWork {
  readonly subject: Subject;
  /** Milliseconds since 1970. */
  readonly started: number;
  /** Why it runs, where that tells something. */
  readonly reason: string | undefined;
  /** The last lines that it wrote, oldest first, printable. */
  readonly tail: readonly string[];
}

/** How far a stage is. */
export interface StageView {
  readonly name: string;
  readonly steps: number;
  readonly finished: number;
  readonly isRunning: boolean;
  readonly hasFailed: boolean;
}

export type TransferEvent = Extract<BuildEvent, { type: "transfer" }>;

/** What a build is at, as its events told it. */
export interface BuildView {
  readonly started: number;
  readonly steps: number;
  readonly finished: number;
  readonly cached: number;
  /** In the order of the Dockerfile. */
  readonly stages: readonly StageView[];
  /** In the order in which they began. */
  readonly running: readonly RunningWork[];
  /** That are not done. */
  readonly transfers: readonly TransferEvent[];
}

const TAIL = 4;

type StepState = "waiting" | "running" | "cached" | "done" | "failed";

interface Running {
  readonly started: number;
  readonly reason: string | undefined;
  readonly lines: OutputLines;
  tail: string[];
}

/** Follows a build's events. */
export interface BuildFollower {
  readonly apply: (event: BuildEvent) => void;
  readonly view: () => BuildView;
}

/** A view that follows a build's events; `started` in ms since 1970. */
export function createBuildView(started: number): BuildFollower {
  const states = new Map<Step, StepState>();
  const running = new Map<Subject, Running>();
  const transfers = new Map<string, TransferEvent>();
  const begin = (subject: Subject, time: number, reason: string | undefined): void =>
    void running.set(subject, { started: time, reason, lines: createOutputLines(), tail: [] });
  const end = (step: Step, state: StepState): void => {
    running.delete(step);
    if (step.kind !== "from") states.set(step, state);
  };
  return {
    apply(event) {
      switch (event.type) {
        case "graph":
          states.clear();
          for (const step of event.steps) if (step.kind !== "from") states.set(step, "waiting");
          return undefined;
        case "step-started":
          if (event.step.kind === "from") return undefined;
          states.set(event.step, "running");
          return begin(event.step, event.time, tellingReason(event));
        case "step-cached":
          return end(event.step, "cached");
        case "step-finished":
          return end(event.step, "done");
        case "step-failed":
          return end(event.step, "failed");
        case "step-output":
          return addOutput(running.get(event.step), event.chunk);
        case "transfer":
          return event.done ? void transfers.delete(event.name) : void transfers.set(event.name, event);
        case "phase":
          return event.state === "finished"
            ? void running.delete(event.name)
            : begin(event.name, event.time, undefined);
        case "warning":
          return undefined;
        default:
          return event satisfies never;
      }
    },
    view: () => ({
      started,
      ...countSteps(states),
      stages: stagesOf(states),
      running: [...running].map(([subject, work]) => ({ subject, ...work })),
      transfers: [...transfers.values()],
    }),
  };
}

/** Why a step runs, in a line; undefined where all steps would say the same. */
export function tellingReason({ reason }: Extract<BuildEvent, { type: "step-started" }>): string | undefined {
  return reason === undefined || ["first-build", "no-cache"].includes(reason.kind) ? undefined : reason.text;
}

function addOutput(running: Running | undefined, chunk: Uint8Array): void {
  if (running === undefined) return;
  const lines = running.lines.add(chunk).map(printable);
  running.tail = [...running.tail, ...lines.filter((line) => line.trim() !== "")].slice(-TAIL);
}

function countSteps(states: ReadonlyMap<Step, StepState>): Pick<BuildView, "steps" | "finished" | "cached"> {
  const all = [...states.values()];
  const cached = all.filter((state) => state === "cached").length;
  return { steps: all.length, cached, finished: cached + all.filter((state) => state === "done").length };
}

function stagesOf(states: ReadonlyMap<Step, StepState>): readonly StageView[] {
  const platforms = new Set([...states.keys()].map(({ platform }) => formatPlatform(platform)));
  const stages = new Map<string, StageView>();
  for (const [step, state] of states) {
    const name = stageName(step, platforms.size > 1);
    const { steps = 0, finished = 0, isRunning = false, hasFailed = false } = stages.get(name) ?? {};
    stages.set(name, {
      name,
      steps: steps + 1,
      finished: finished + (state === "cached" || state === "done" ? 1 : 0),
      isRunning: isRunning || state === "running",
      hasFailed: hasFailed || state === "failed",
    });
  }
  const lines = new Map(
    [...states.keys()].toReversed().map((step) => [stageName(step, platforms.size > 1), lineOf(step)]),
  );
  return [...stages.values()].toSorted((a, b) => (lines.get(a.name) ?? 0) - (lines.get(b.name) ?? 0));
}

function lineOf({ location }: Step): number {
  return location?.line ?? 0;
}

function stageName(step: Step, isMany: boolean): string {
  const stage = step.kind === "from" || step.origin.stage === "" ? "image" : step.origin.stage;
  return isMany ? `${stage} ${formatPlatform(step.platform)}` : stage;
}
