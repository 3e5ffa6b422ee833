import type { BuildEvent } from "@varve/executor";
import { type Step, stepInputs } from "@varve/graph";
import { digestOf } from "@varve/oci";
import { firstLine, type Progress, type Screen, type Subject } from "./progress.ts";

/** Between two statuses of one transfer: milliseconds. */
const TRANSFER_INTERVAL = 100;

/**
 * One JSON object a line, in the words of BuildKit's `SolveStatus`: what `--progress=rawjson` of buildx writes, and what
 * reads it expects. A step is a vertex, a transfer a status of the vertex of all transfers; a vertex' digest names it
 * in this build and is no cache key.
 */
export function createRawJsonProgress(screen: Pick<Screen, "write">): Progress {
  const started = new Map<Subject, string>();
  const told = new Map<string, number>();
  const print = (status: object): void => screen.write(`${JSON.stringify(status)}\n`);
  const vertex = (subject: Subject, more: object): void =>
    print({ vertexes: [{ ...describeVertex(subject), ...more }] });
  const begin = (subject: Subject, time: number): void => {
    started.set(subject, formatTime(time));
    vertex(subject, { started: formatTime(time) });
  };
  const complete = (subject: Subject, time: number, more: object): void =>
    vertex(subject, { started: started.get(subject) ?? formatTime(time), completed: formatTime(time), ...more });
  return {
    onEvent(event: BuildEvent) {
      switch (event.type) {
        case "graph":
          return print({ vertexes: event.steps.map((step) => describeVertex(step)) });
        case "step-started":
          return begin(event.step, event.time);
        case "step-cached":
          return complete(event.step, event.time, { cached: true });
        case "step-finished":
          return complete(event.step, event.time, {});
        case "step-failed":
          return complete(event.step, event.time, { error: firstLine(event.error) });
        case "step-output":
          return print({ logs: [describeLog(event)] });
        case "transfer":
          return isDue(event, told) ? print({ statuses: [describeTransfer(event)] }) : undefined;
        case "phase":
          return event.state === "started" ? begin(event.name, event.time) : complete(event.name, event.time, {});
        case "warning":
          return print({ warnings: [{ level: 1, short: toBase64(event.message) }] });
        default:
          return event satisfies never;
      }
    },
    note: () => undefined,
    end: () => undefined,
  };
}

function describeVertex(subject: Subject): object {
  if (typeof subject === "string") return { digest: nameDigest(subject), name: `[internal] ${subject}` };
  const inputs = stepInputs(subject).map(vertexDigest);
  return { digest: vertexDigest(subject), ...(inputs.length === 0 ? {} : { inputs }), name: subject.name };
}

function vertexDigest(step: Step): string {
  const { name, location, platform } = step;
  return nameDigest(JSON.stringify([name, location?.file, location?.line, platform]));
}

function nameDigest(name: string): string {
  return digestOf(Buffer.from(name));
}

function describeLog({ step, stream, chunk }: Extract<BuildEvent, { type: "step-output" }>): object {
  return {
    vertex: vertexDigest(step),
    stream: stream === "stdout" ? 1 : 2,
    data: Buffer.from(chunk).toString("base64"),
    timestamp: formatTime(Date.now()),
  };
}

type TransferEvent = Extract<BuildEvent, { type: "transfer" }>;

function describeTransfer({ direction, name, current, total, done }: TransferEvent): object {
  const now = formatTime(Date.now());
  return {
    id: name,
    vertex: nameDigest("transfers"),
    name: `${direction} ${name}`,
    ...(total === undefined ? {} : { total }),
    current,
    timestamp: now,
    ...(done ? { completed: now } : {}),
  };
}

function isDue({ name, done }: TransferEvent, told: Map<string, number>): boolean {
  const now = performance.now();
  if (!done && now - (told.get(name) ?? -TRANSFER_INTERVAL) < TRANSFER_INTERVAL) return false;
  told.set(name, now);
  return true;
}

function formatTime(time: number): string {
  return new Date(time).toISOString();
}

function toBase64(text: string): string {
  return Buffer.from(text).toString("base64");
}
