import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Memory } from "./segment-buffer.ts";
import type { DigestDone, DigestWork, SegmentDone, SegmentWork } from "./segment-work.ts";

/** Threads where the caller does not say how many. */
export const defaultConcurrency: number = availableParallelism();

/** What a worker is sent; it answers with its work's result as JSON. */
export interface WorkMessage {
  /** The work as JSON, without its memory. */
  readonly text: string;
  readonly memory?: Memory;
}

interface Thread {
  readonly worker: Worker;
  /** What it works at and what waits for it, in order: a worker answers in the order in which it is asked. */
  readonly pending: Pending[];
}

type Done = SegmentDone & DigestDone;

interface Pending {
  readonly resolve: (done: Done) => void;
  readonly reject: (error: unknown) => void;
}

const threads: Thread[] = [];

/** Has a worker thread do the work; at most `concurrency` threads share all that is asked for. */
export function inWorker(work: SegmentWork, concurrency?: number): Promise<SegmentDone>;
export function inWorker(work: DigestWork, concurrency?: number): Promise<DigestDone>;
export function inWorker(
  work: SegmentWork | DigestWork,
  concurrency: number = defaultConcurrency,
): Promise<SegmentDone | DigestDone> {
  const thread = leastBusy(concurrency);
  return new Promise((resolve, reject) => {
    thread.pending.push({ resolve, reject });
    // A worker that is waited for keeps the process alive, an idle one does not.
    thread.worker.ref();
    thread.worker.postMessage(toMessage(work), []);
  });
}

/** As text where it can be: thousands of small objects are cloned at several times the cost. */
function toMessage(work: SegmentWork | DigestWork): WorkMessage {
  if (work.type === "digest") return { text: JSON.stringify(work) };
  const { memory, ...rest } = work;
  return { text: JSON.stringify(rest), memory };
}

function leastBusy(concurrency: number): Thread {
  const [first, ...others] = threads.slice(0, concurrency);
  const best = others.reduce<Thread | undefined>(
    (least, each) => (least === undefined || each.pending.length < least.pending.length ? each : least),
    first,
  );
  if (best !== undefined && (best.pending.length === 0 || threads.length >= concurrency)) return best;
  return startThread();
}

function startThread(): Thread {
  const worker = new Worker(new URL(`layer-worker${extname(import.meta.filename)}`, import.meta.url), {
    // Little room for what is young: compressed bytes are let go soon, not when they are 64 MiB.
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1 },
  });
  const thread: Thread = { worker, pending: [] };
  const settle = (): Pending | undefined => {
    const pending = thread.pending.shift();
    if (thread.pending.length === 0) worker.unref();
    return pending;
  };
  const fail = (error: unknown): void => {
    const position = threads.indexOf(thread);
    if (position >= 0) threads.splice(position, 1);
    for (const { reject } of thread.pending.splice(0)) reject(error);
  };
  worker.on("message", (done: string) => settle()?.resolve(JSON.parse(done) as Done));
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`Worker thread ended with ${code}`)));
  worker.unref();
  threads.push(thread);
  return thread;
}
