import { randomUUID } from "node:crypto";
import type { BuildReport, CacheCounts, RecordSource, ReportedStep } from "@varve/cache";
import type { BuildEvent } from "@varve/executor";

/** Keeps what a build did, for the cache server's dashboard. */
export interface BuildLog {
  onEvent(event: BuildEvent): void;
  /** `duration` in milliseconds. */
  report(build: {
    readonly project: string;
    readonly target: string;
    readonly outcome: BuildReport["outcome"];
    readonly counts: CacheCounts;
  }): BuildReport;
}

type StepEvent = Extract<BuildEvent, { readonly step: object }>;

const STATES: Readonly<Record<RecordSource, ReportedStep["state"]>> = {
  local: "hit-local",
  remote: "hit-remote",
  waited: "waited",
};
/** Longer names and reasons are cut: characters. */
const WIDTH = 300;

/** A log that begins now. A step that is begun again counts as it went the last time. */
export function createBuildLog(): BuildLog {
  const started = Date.now();
  const steps = new Map<StepEvent["step"], ReportedStep>();
  const reasons = new Map<StepEvent["step"], string>();
  const set = ({ step }: StepEvent, words: Pick<ReportedStep, "state" | "duration">): void => {
    const reason = reasons.get(step);
    const name = step.name.replaceAll(/\s+/g, " ").slice(0, WIDTH);
    steps.set(step, { name, ...words, ...(reason === undefined ? {} : { reason: reason.slice(0, WIDTH) }) });
  };
  return {
    onEvent(event) {
      if (!("step" in event) || event.step.kind === "from") return;
      if (event.type === "step-started" && event.reason !== undefined) reasons.set(event.step, event.reason.text);
      if (event.type === "step-cached") set(event, { state: STATES[event.source], duration: 0 });
      if (event.type === "step-finished") set(event, { state: "ran", duration: event.duration });
      if (event.type === "step-failed") set(event, { state: "failed", duration: 0 });
    },
    report: ({ project, target, outcome, counts }) => ({
      id: randomUUID(),
      project,
      target,
      startedAt: new Date(started).toISOString(),
      duration: Date.now() - started,
      outcome,
      steps: [...steps.values()],
      bytesSaved: counts.bytesSaved,
      timeSaved: counts.timeSaved,
    }),
  };
}
