import type { BuildEvent } from "@varve/executor";
import type { Step } from "@varve/graph";

export const platform: Step["platform"] = { os: "linux", architecture: "amd64" };

export const base: Step = {
  kind: "from",
  name: "FROM x",
  location: { file: "Dockerfile", line: 1, endLine: 1 },
  platform,
  source: { type: "scratch" },
};

/** A step of stage `stage`, at line `line`. */
export function step(
  text: string,
  { stage = "", line = 2 }: { readonly stage?: string; readonly line?: number } = {},
): Step {
  return {
    kind: "workdir",
    name: `[${stage === "" ? "" : `${stage} `}${line}/9] ${text}`,
    location: { file: "Dockerfile", line, endLine: line },
    platform,
    parent: base,
    origin: { stage, position: line, text, scope: new Map(), buildArgs: [] },
    path: "/",
    user: "",
  };
}

export const now: number = Date.now();

export const run: Step = step("RUN  build\n the thing");
export const copy: Step = step("COPY a /b", { line: 3 });

/** One of each kind. */
export const EVENTS: readonly BuildEvent[] = [
  { type: "phase", name: "looking up base images", state: "started", time: now },
  { type: "phase", name: "looking up base images", state: "finished", time: now + 100 },
  { type: "graph", steps: [base, run, copy] },
  { type: "step-started", step: base, time: now },
  { type: "step-finished", step: base, time: now, duration: 0, layer: undefined },
  {
    type: "step-started",
    step: run,
    time: now,
    reason: { kind: "changed", text: "a.ts changed", causes: [{ type: "files", source: "a.ts" }] },
  },
  { type: "step-output", step: run, stream: "stdout", chunk: Buffer.from("first\nsec") },
  { type: "step-output", step: run, stream: "stderr", chunk: Buffer.from("ond\n\u001B[31mred") },
  { type: "step-finished", step: run, time: now, duration: 61_000, layer: undefined },
  { type: "step-cached", step: copy, time: now, source: "local", duration: 500, size: 1000 },
  { type: "step-cached", step: copy, time: now, source: "waited" },
  { type: "step-failed", step: run, time: now, error: new Error("Cannot go on\n  because") },
  { type: "warning", message: "careful", location: { file: "Dockerfile", line: 2, endLine: 3 } },
  { type: "transfer", direction: "pull", name: "sha256:a", current: 1500, total: 1500, done: true },
];
