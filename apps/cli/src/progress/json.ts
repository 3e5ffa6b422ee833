import type { BuildEvent } from "@varve/executor";
import type { Location } from "@varve/dockerfile";
import { type Step, stepInputs } from "@varve/graph";
import { formatPlatform } from "@varve/oci";
import type { Progress, Screen } from "./progress.ts";

/** Between two lines about one transfer: milliseconds. */
const TRANSFER_INTERVAL = 100;

/**
 * One JSON object a line for each event: docs/progress.md. Steps are numbered in the order in which they appear; of a
 * transfer's events ten a second are told, and the last.
 */
export function createJsonProgress(screen: Pick<Screen, "write">): Progress {
  const numbers = new Map<object, number>();
  const print = (value: object): void => screen.write(`${JSON.stringify(value)}\n`);
  const numberOf = (step: object): number => {
    const number = numbers.get(step) ?? numbers.size + 1;
    numbers.set(step, number);
    return number;
  };
  const describeStep = (step: Step): object => ({
    step: numberOf(step),
    name: step.name,
    ...placeOf(step),
    platform: formatPlatform(step.platform),
    ...(step.kind === "from" ? {} : { stage: step.origin.stage }),
    inputs: stepInputs(step).map(numberOf),
  });
  const told = new Map<string, number>();
  const isDue = ({ name, done }: Extract<BuildEvent, { type: "transfer" }>): boolean => {
    const now = performance.now();
    if (!done && now - (told.get(name) ?? -TRANSFER_INTERVAL) < TRANSFER_INTERVAL) return false;
    told.set(name, now);
    return true;
  };
  return {
    onEvent(event: BuildEvent) {
      if (event.type === "transfer" && !isDue(event)) return undefined;
      if (event.type === "graph") return print({ type: "graph", steps: event.steps.map(describeStep) });
      if (event.type === "warning") return print({ type: "warning", message: event.message, ...placeOf(event) });
      if (!("step" in event)) return print(event);
      const { step, ...rest } = event;
      const base = { ...rest, step: numberOf(step), name: step.name, ...placeOf(step) };
      if (event.type === "step-output")
        return print({ ...base, chunk: undefined, text: Buffer.from(event.chunk).toString("utf8") });
      if (event.type === "step-failed") return print({ ...base, error: describeError(event.error) });
      return print(base);
    },
    note: (message) => print({ type: "note", message }),
    end: () => undefined,
  };
}

function placeOf({ location }: { readonly location?: Location | undefined }): object {
  return location === undefined ? {} : { file: location.file, line: location.line };
}

function describeError(error: unknown): object {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, hint } = error as { readonly code?: unknown; readonly hint?: unknown };
  return { message: error.message, code, hint };
}
