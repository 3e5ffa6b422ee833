import { availableParallelism } from "node:os";
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import type { Digest } from "@varve/oci";
import type { CopyDone, CopyPiece, CopyWork } from "./copy-work.ts";
import type { DigestedPath, FilesToDigest } from "./digest-work.ts";
import type { SegmentDone, SegmentWork, SlotProblem } from "./segment-work.ts";
import type { SumWork, TarSummation, TarSums, WantedSums } from "./tar-sums.ts";

/** Threads where the caller does not say how many. */
export const defaultConcurrency: number = availableParallelism();

/**
 * What a worker is sent, and answers in the same form. Files and their digests as JSON: thousands of small objects are
 * cloned at several times the cost.
 */
export type WorkMessage = SegmentWork | SumWork | CopyWork | string;
/** What a worker answers. */
export type DoneMessage = SegmentDone | SlotProblem | TarSums | CopyDone | undefined | string;

interface Thread {
  readonly worker: Worker;
  /** What it works at and what waits for it, in order: a worker answers in the order in which it is asked. */
  readonly pending: Pending[];
  /** How much of that takes long. */
  load: number;
  /** Why it ended. */
  failure: unknown;
}

interface Pending {
  readonly resolve: (done: DoneMessage) => void;
  readonly reject: (error: unknown) => void;
}

/** What takes long is done by these. */
const threads: Thread[] = [];
/** What comes between is done by this one: behind segments it would wait, and those who ask for it with it. */
const aside: Thread[] = [];
/** Tars that were summed up, and files that were copied so far. */
let tars = 0;
let copies = 0;

/** Starts the threads, for who is going to need them soon: it takes them a while. */
export function startThreads(): void {
  while (threads.length < defaultConcurrency) startThread(threads);
  threadAside();
}

/** Has a worker thread do the work; at most `concurrency` threads share all that is asked for. */
export async function segmentInWorker(
  work: SegmentWork,
  concurrency: number = defaultConcurrency,
): Promise<SegmentDone | SlotProblem> {
  return (await load(leastBusy(concurrency), work)) as SegmentDone | SlotProblem;
}

/** Has a worker thread sum up a tar. */
export function sumInWorker({ needsCrc }: WantedSums): TarSummation {
  const thread = threadAside();
  const tar = (tars += 1);
  const end = async (): Promise<TarSums> =>
    (await ask(thread, { tar, memory: undefined, length: 0, needsCrc })) as TarSums;
  return {
    async add({ memory, length }) {
      await ask(thread, { tar, memory, length, needsCrc });
    },
    finish: end,
    drop: () => void end().catch(() => undefined),
  };
}

/** A file that a thread copies piece by piece. */
export interface Copying {
  add(piece: CopyPiece): Promise<CopyDone>;
  /** The sha256 of all pieces. */
  finish(): Promise<Digest>;
  /** Forgets it, where nobody wants the digest. */
  drop(): void;
}

/** Has a worker thread copy a file. */
export function copyInWorker(): Copying {
  const thread = threadAside();
  const copy = (copies += 1);
  const end = async (): Promise<Digest> => {
    const { digest } = (await ask(thread, { copy, piece: undefined })) as CopyDone;
    if (digest === undefined) throw new Error("Cannot copy: no digest came of it");
    return digest;
  };
  return {
    add: async (piece) => (await ask(thread, { copy, piece })) as CopyDone,
    finish: end,
    drop: () => void end().catch(() => undefined),
  };
}

/** The same for files to be digested. */
export async function digestInWorker(files: FilesToDigest): Promise<readonly DigestedPath[]> {
  return JSON.parse(
    (await load(leastBusy(defaultConcurrency), JSON.stringify(files))) as string,
  ) as readonly DigestedPath[];
}

/** Asks for what takes long. */
async function load(thread: Thread, message: WorkMessage): Promise<DoneMessage> {
  thread.load += 1;
  try {
    return await ask(thread, message);
  } finally {
    thread.load -= 1;
  }
}

async function ask(thread: Thread, message: WorkMessage): Promise<DoneMessage> {
  if (thread.failure !== undefined) throw thread.failure;
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
    (least, each) => (least === undefined || each.load < least.load ? each : least),
    first,
  );
  if (best !== undefined && (best.load === 0 || threads.length >= concurrency)) return best;
  return startThread(threads);
}

function threadAside(): Thread {
  return aside[0] ?? startThread(aside);
}

/** Among its `fellows`, until it ends. */
function startThread(fellows: Thread[]): Thread {
  const worker = new Worker(new URL(`layer-worker${extname(import.meta.filename)}`, import.meta.url), {
    // Little room for what is young: compressed bytes are let go soon, not when they are 64 MiB.
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 1 },
  });
  const thread: Thread = { worker, pending: [], load: 0, failure: undefined };
  const settle = (): Pending | undefined => {
    const pending = thread.pending.shift();
    if (thread.pending.length === 0) worker.unref();
    return pending;
  };
  const fail = (error: unknown): void => {
    thread.failure ??= error;
    const position = fellows.indexOf(thread);
    if (position >= 0) fellows.splice(position, 1);
    for (const { reject } of thread.pending.splice(0)) reject(error);
  };
  worker.on("message", (done: DoneMessage) => settle()?.resolve(done));
  worker.on("error", fail);
  worker.on("exit", (code) => fail(new Error(`Worker thread ended with ${code}`)));
  worker.unref();
  fellows.push(thread);
  return thread;
}
