import type { BuildEvent } from "@varve/executor";
import { describeSource } from "./describe-source.ts";
import { createOutputLines, type OutputLines } from "./output-lines.ts";
import {
  firstLine,
  formatBytes,
  formatSeconds,
  type Progress,
  type Screen,
  shortName,
  type Subject,
} from "./progress.ts";

/** Names longer than this are cut: columns. */
const NAME_WIDTH = 200;

/** One line after the other, each with the number of its step: for logs. */
export function createPlainProgress(screen: Pick<Screen, "write">): Progress {
  const numbers = new Map<Subject, number>();
  const started = new Map<Subject, number>();
  const output = new Map<Subject, OutputLines>();
  const print = (subject: Subject, text: string): void => {
    let number = numbers.get(subject);
    if (number === undefined) {
      number = numbers.size + 1;
      numbers.set(subject, number);
      screen.write(`#${number} ${shortName(subject, NAME_WIDTH)}\n`);
    }
    if (text !== "") screen.write(`#${number} ${text}\n`);
  };
  const printOutput = (step: Subject, lines: readonly string[]): void => {
    const elapsed = ((Date.now() - (started.get(step) ?? Date.now())) / 1000).toFixed(3);
    for (const line of lines) print(step, `${elapsed} ${line}`);
  };
  const start = (subject: Subject, time: number): void => {
    started.set(subject, time);
    output.set(subject, createOutputLines());
  };
  const sinceStart = (subject: Subject, time: number): string => formatSeconds(time - (started.get(subject) ?? time));
  const flush = (step: Subject): void => {
    const rest = output.get(step)?.rest();
    if (rest !== undefined) printOutput(step, [rest]);
  };
  return {
    onEvent(event: BuildEvent) {
      switch (event.type) {
        case "graph":
          return undefined;
        case "step-started":
          start(event.step, event.time);
          return print(event.step, event.reason === undefined ? "" : `why: ${event.reason.text}`);
        case "step-cached":
          return print(event.step, `CACHED${describeSource(event.source)}`);
        case "step-output":
          return printOutput(event.step, output.get(event.step)?.add(event.chunk) ?? []);
        case "step-finished":
          flush(event.step);
          if (event.step.kind !== "from") print(event.step, `DONE ${formatSeconds(event.duration)}`);
          return undefined;
        case "step-failed":
          flush(event.step);
          return print(event.step, `ERROR ${firstLine(event.error)}`);
        case "transfer":
          return event.done ? screen.write(`${describeTransfer(event)} done\n`) : undefined;
        case "phase":
          if (event.state === "started") start(event.name, event.time);
          return print(event.name, event.state === "started" ? "" : `DONE ${sinceStart(event.name, event.time)}`);
        case "warning":
          return screen.write(`WARNING ${event.message}\n`);
        default:
          return event satisfies never;
      }
    },
    note: (text) => screen.write(`${text}\n`),
    end: () => undefined,
  };
}

function describeTransfer({ direction, name, current }: Extract<BuildEvent, { type: "transfer" }>): string {
  return `${direction} ${name} ${formatBytes(current)}`;
}
