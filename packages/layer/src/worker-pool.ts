import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { DigestedPath, FilesToDigest } from "./digest-work.ts";
import type { SegmentDone, SegmentWork, SlotProblem } from "./segment-work.ts";

/** Threads where the caller does not say how many. */
export const defaultConcurrency: number = availableParallelism();

/**
 * What a worker is sent, and answers in the same form. Files and their digests as JSON: thousands of small objects are
 * cloned at several times the cost.
 */
export type WorkMessage = SegmentWork | string;
type DoneMessage = SegmentDone | SlotProblem | string;

interface Thread {
  readonly worker: Worker;
  /** What it works at and what waits for it, in order: a worker answers in the order in which it is asked. */
  readonly pending: Pending[];
}

interface Pending {
  readonly resolve: (done: DoneMessage) => void;
  readonly reject: (error: unknown) => void;
}

const threads: Thread[] = [];

/** Has a worker thread do the work; at most `concurrency` threads share all that is asked for. */
export async function segmentInWorker(work: SegmentWork, concurrency?: number): Promise<SegmentDone | SlotProblem> {
  return (await inWorker(work, concurrency)) as SegmentDone | SlotProblem;
}

/** The same for files to be digested. */
export async function digestInWorker(files: FilesToDigest): Promise<readonly DigestedPath[]> {
  return JSON.parse((await inWorker(JSON.stringify(files))) as string) as readonly DigestedPath[];
}

function inWorker(message: WorkMessage, concurrency: number = defaultConcurrency): Promise<DoneMessage> {
  const thread = leastBusy(concurrency);
  return new Promise((resolve, reject) => {
    thread.pending.push({ resolve, reject });
    // A worker that is waited for keeps the process alive, an idle one does not.
    thread.worker.ref();
    thread.worker.postMessage(message, []);
  });
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
  worker.on("message", (done: DoneMessage) => settle()?.resolve(done));
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`Worker thread ended with ${code}`)));
  worker.unref();
  threads.push(thread);
  return thread;
}
