import type { BuildEvent } from "@varve/executor";
import { formatBytes, formatSeconds, type Progress, type Screen, shortName, type Subject } from "./progress.ts";

/** Names longer than this are cut: characters. */
const NAME_WIDTH = 200;

/** One line after the other, each with the number of its step: for logs. */
export function createPlainProgress(screen: Pick<Screen, "write">): Progress {
  const numbers = new Map<Subject, number>();
  const started = new Map<Subject, number>();
  const rest = new Map<Subject, string>();
  const print = (subject: Subject, text: string): void => {
    let number = numbers.get(subject);
    if (number === undefined) {
      number = numbers.size + 1;
      numbers.set(subject, number);
      screen.write(`#${number} ${shortName(subject, NAME_WIDTH)}\n`);
    }
    if (text !== "") screen.write(`#${number} ${text}\n`);
  };
  const printOutput = (step: Subject, text: string): void => {
    const lines = ((rest.get(step) ?? "") + text).split(/\r?\n|\r/);
    rest.set(step, lines.pop() ?? "");
    const elapsed = ((Date.now() - (started.get(step) ?? Date.now())) / 1000).toFixed(3);
    for (const line of lines) print(step, `${elapsed} ${line}`);
  };
  const flush = (step: Subject): void => {
    if ((rest.get(step) ?? "") !== "") printOutput(step, "\n");
  };
  return {
    onEvent(event: BuildEvent) {
      switch (event.type) {
        case "step-started":
          started.set(event.step, event.time);
          return print(event.step, event.reason === undefined ? "" : `why: ${event.reason.text}`);
        case "step-cached":
          return print(event.step, "CACHED");
        case "step-output":
          return printOutput(event.step, Buffer.from(event.chunk).toString("utf8"));
        case "step-finished":
          flush(event.step);
          if (event.step.kind !== "from") print(event.step, `DONE ${formatSeconds(event.duration)}`);
          return undefined;
        case "step-failed":
          flush(event.step);
          return print(
            event.step,
            `ERROR ${event.error instanceof Error ? (event.error.message.split("\n")[0] ?? "") : String(event.error)}`,
          );
        case "transfer":
          if (event.done) screen.write(`${event.direction} ${event.name} ${formatBytes(event.current)} done\n`);
          return undefined;
        case "phase":
          if (event.state === "finished")
            return print(event.name, `DONE ${formatSeconds(event.time - (started.get(event.name) ?? event.time))}`);
          started.set(event.name, event.time);
          return print(event.name, "");
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
