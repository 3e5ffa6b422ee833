import type { BuildEvent } from "@varve/executor";
import { DockerfileError, type Location } from "@varve/dockerfile";
import { GraphError } from "@varve/graph";
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

/** How a CI service folds lines, and marks files. */
export interface BlockFormat {
  /** Begins a block; `id` is of one word and new in each build. */
  open(title: string, id: string): string;
  close(id: string): string;
  /** A mark at lines of a file, as text to write; undefined where the service has none. */
  annotate?(level: "error" | "warning", message: string, location: Location): string;
}

/** Lines that stand together: of a step or phase, or one line by itself. */
interface Block {
  readonly title: string | undefined;
  readonly id: string;
  lines: string[];
  isDone: boolean;
}

const NAME_WIDTH = 200;

/**
 * Each step's output in a block of its own, in the order in which steps began: the first that runs is written as it
 * comes, what runs beside it is held back until its turn.
 */
export function createBlockProgress(screen: Pick<Screen, "write">, format: BlockFormat): Progress {
  const queue = createBlockQueue(screen, format);
  const running = new Map<Subject, RunningBlock>();
  const line = (text: string): void => queue.end(queue.add(undefined, [text]));
  const annotate = (level: "error" | "warning", message: string, location: Location | undefined): void => {
    if (location !== undefined && format.annotate !== undefined) line(format.annotate(level, message, location));
  };
  const begin = (subject: Subject, started: number, lines: readonly string[]): void => {
    const block = queue.add(shortName(subject, NAME_WIDTH), lines);
    running.set(subject, { block, started, output: createOutputLines() });
  };
  const end = (subject: Subject, lines: readonly string[]): void => {
    const work = running.get(subject);
    running.delete(subject);
    if (work === undefined) return;
    const rest = work.output.rest();
    queue.write(work.block, [...(rest === undefined ? [] : [rest]), ...lines]);
    queue.end(work.block);
  };
  return {
    onEvent(event: BuildEvent) {
      switch (event.type) {
        case "graph":
          return undefined;
        case "step-started":
          if (event.step.kind === "from") return line(event.step.name);
          return begin(event.step, event.time, event.reason === undefined ? [] : [`why: ${event.reason.text}`]);
        case "step-cached":
          return line(`CACHED ${shortName(event.step, NAME_WIDTH)}${describeSource(event.source)}`);
        case "step-output":
          return addOutput(running.get(event.step), event.chunk, queue);
        case "step-finished":
          return end(event.step, [`DONE ${formatSeconds(event.duration)}`]);
        case "step-failed":
          end(event.step, [`ERROR ${firstLine(event.error)}`]);
          return annotate("error", `${event.step.name}: ${firstLine(event.error)}`, event.step.location);
        case "transfer":
          return event.done ? line(`${event.direction} ${event.name} ${formatBytes(event.current)}`) : undefined;
        case "phase":
          if (event.state === "started") return begin(event.name, event.time, []);
          return end(event.name, [`DONE ${formatSeconds(event.time - startOf(running.get(event.name), event.time))}`]);
        case "warning":
          line(`WARNING ${event.message}`);
          return annotate("warning", event.message, event.location);
        default:
          return event satisfies never;
      }
    },
    note: line,
    end(error) {
      const now = Date.now();
      for (const [subject, { started }] of running) end(subject, [`STOPPED after ${formatSeconds(now - started)}`]);
      // A step that failed has its mark already.
      if (error instanceof DockerfileError || error instanceof GraphError)
        annotate("error", firstLine(error), error.location);
    },
  };
}

interface RunningBlock {
  readonly block: Block;
  readonly started: number;
  readonly output: OutputLines;
}

function addOutput(work: RunningBlock | undefined, chunk: Uint8Array, queue: BlockQueue): void {
  if (work !== undefined) queue.write(work.block, work.output.add(chunk));
}

function startOf(work: RunningBlock | undefined, otherwise: number): number {
  return work?.started ?? otherwise;
}

interface BlockQueue {
  add(title: string | undefined, lines?: readonly string[]): Block;
  write(block: Block, lines: readonly string[]): void;
  end(block: Block): void;
}

/** Writes blocks one after the other: the first at once, the others when those before them are done. */
function createBlockQueue(screen: Pick<Screen, "write">, format: BlockFormat): BlockQueue {
  const waiting: Block[] = [];
  let count = 0;
  let open: Block | undefined;
  const print = (lines: readonly string[]): void => screen.write(lines.map((line) => `${line}\n`).join(""));
  const advance = (): void => {
    for (let [first] = waiting; first !== undefined; [first] = waiting) {
      if (open !== first) {
        open = first;
        if (first.title !== undefined) print([format.open(first.title, first.id)]);
      }
      print(first.lines.splice(0));
      if (!first.isDone) return;
      if (first.title !== undefined) print([format.close(first.id)]);
      waiting.shift();
    }
  };
  return {
    add(title, lines = []) {
      count += 1;
      const block = { title, id: `varve_${count}`, lines: [...lines], isDone: false };
      waiting.push(block);
      advance();
      return block;
    },
    write(block, lines) {
      block.lines.push(...lines);
      advance();
    },
    end(block) {
      block.isDone = true;
      advance();
    },
  };
}
