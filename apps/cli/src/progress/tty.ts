import type { BuildEvent } from "@varve/executor";
import { formatBytes, formatSeconds, type Progress, type Screen, shortName, type Subject } from "./progress.ts";

const INTERVAL = 100;
const MOST_RUNNING = 8;
const CLEAR_LINE = "\u001B[2K";
const UP = "\u001B[1A";
const COLORS = { green: "\u001B[32m", red: "\u001B[31m", dim: "\u001B[2m", yellow: "\u001B[33m", none: "\u001B[0m" };

interface Running {
  readonly started: number;
  line: string;
}

/** Lines at the bottom of the screen that are drawn again and again, and what scrolls away above them. */
interface LiveArea {
  above(text: string): void;
  end(): void;
}

function createLiveArea(screen: Screen, lines: () => readonly string[]): LiveArea {
  let drawn = 0;
  const redraw = (text: string): void => {
    const shown = lines();
    const erase = `${(CLEAR_LINE + UP).repeat(drawn)}${drawn > 0 ? `${CLEAR_LINE}\r` : ""}`;
    screen.write(`${erase}${text}${shown.map((line) => `${line}\n`).join("")}`);
    drawn = shown.length;
  };
  const timer = setInterval(() => redraw(""), INTERVAL);
  timer.unref();
  return {
    above: (text) => redraw(`${text}\n`),
    end() {
      clearInterval(timer);
      screen.write(`${(CLEAR_LINE + UP).repeat(drawn)}${drawn > 0 ? `${CLEAR_LINE}\r` : ""}`);
      drawn = 0;
    },
  };
}

/** What is done scrolls away above; what runs is redrawn below: each step with its time and its last line. */
export function createTtyProgress(screen: Screen): Progress {
  const running = new Map<Subject, Running>();
  const transfers = new Map<string, Extract<BuildEvent, { type: "transfer" }>>();
  const paint = (color: keyof typeof COLORS, text: string): string =>
    screen.colors ? COLORS[color] + text + COLORS.none : text;
  const area = createLiveArea(screen, () => [
    ...runningLines(running, screen.columns, paint),
    ...transferLines(transfers, screen.columns),
  ]);
  const width = (): number => Math.max(20, screen.columns - 12);
  const finish = (step: Subject, text: string): void => {
    running.delete(step);
    area.above(text);
  };
  return {
    onEvent(event) {
      switch (event.type) {
        case "step-started":
          if (event.step.kind !== "from") running.set(event.step, { started: event.time, line: "" });
          return undefined;
        case "step-cached":
          return finish(event.step, `${paint("dim", " CACHED ")} ${shortName(event.step, width())}`);
        case "step-output":
          return keepLastLine(running.get(event.step), event.chunk);
        case "step-finished":
          if (event.step.kind === "from") return undefined;
          return finish(
            event.step,
            `${paint("green", formatSeconds(event.duration).padStart(7))}  ${shortName(event.step, width())}`,
          );
        case "step-failed":
          return finish(event.step, `${paint("red", "  ERROR ")} ${shortName(event.step, width())}`);
        case "transfer":
          if (event.done) transfers.delete(event.name);
          else transfers.set(event.name, event);
          return undefined;
        case "phase":
          if (event.state === "finished") running.delete(event.name);
          else running.set(event.name, { started: event.time, line: "" });
          return undefined;
        case "warning":
          return area.above(`${paint("yellow", "WARNING ")} ${event.message}`);
        default:
          return event satisfies never;
      }
    },
    note: (text) => area.above(text),
    end: () => area.end(),
  };
}

function keepLastLine(running: Running | undefined, chunk: Uint8Array): void {
  const last = Buffer.from(chunk)
    .toString("utf8")
    .split(/[\r\n]+/)
    .findLast((line) => line.trim() !== "");
  if (running !== undefined && last !== undefined) running.line = printable(last);
}

/** Without control sequences, which would break the display. */
function printable(line: string): string {
  // oxlint-disable-next-line no-control-regex
  return line.replaceAll(/\u001B\[[0-9;?]*[A-Za-z]/g, "").replaceAll(/\p{Cc}/gu, " ");
}

function runningLines(
  running: ReadonlyMap<Subject, Running>,
  columns: number,
  paint: (color: "dim", text: string) => string,
): string[] {
  const shown = [...running].slice(0, MOST_RUNNING);
  const lines = shown.flatMap(([subject, { started, line }]) => {
    const time = formatSeconds(Date.now() - started).padStart(7);
    const head = `${time}  ${shortName(subject, Math.max(20, columns - 12))}`;
    return line === "" ? [head] : [head, paint("dim", `         ${line.slice(0, Math.max(10, columns - 12))}`)];
  });
  const hidden = running.size - shown.length;
  return hidden > 0 ? [...lines, `         and ${hidden} more`] : lines;
}

function transferLines(
  transfers: ReadonlyMap<string, Extract<BuildEvent, { type: "transfer" }>>,
  columns: number,
): string[] {
  return [...transfers.values()].slice(0, 4).map(({ direction, name, current, total }) => {
    const amount = total === undefined ? formatBytes(current) : `${formatBytes(current)} of ${formatBytes(total)}`;
    return `         ${direction} ${name.slice(0, 19)} ${amount}`.slice(0, columns - 1);
  });
}
