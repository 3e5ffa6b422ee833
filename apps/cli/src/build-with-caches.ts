import { setTimeout } from "node:timers/promises";
import { type BuildReport, CacheError } from "@varve/cache";
import {
  build,
  type BuildOptions,
  type BuildResult,
  completeInStore,
  createTravellingMounts,
  type OnBuildEvent,
} from "@varve/executor";
import type { BuildGraph } from "@varve/graph";
import type { Digest } from "@varve/oci";
import { type BuildLog, createBuildLog } from "./build-log.ts";
import type { CacheWords } from "./cache-words.ts";
import type { Caches } from "./caches.ts";
import { isStreamed, type Output } from "./outputs.ts";
import { inPhase } from "./phase.ts";
import { tryToKeepWithinBudget } from "./store-budget.ts";
import { type WriteContext, writeOutputs, type Written } from "./write-outputs.ts";

/** How often a build is begun: a cache that promised a blob and does not give it costs a round. */
const ROUNDS = 10;

/** What is to be built and where it goes. */
export interface BuildTask extends Omit<WriteContext, "options"> {
  readonly outputs: readonly Output[];
  readonly caches: CacheWords;
  /** What the dashboard of a cache server calls it. */
  readonly project: string;
  readonly target: string;
}

export interface Built {
  readonly result: BuildResult;
  readonly written: Written;
}

interface BuildPlaces {
  readonly options: BuildOptions;
  readonly caches: Caches;
}

/** Builds and writes, and makes room in the store after it made something. */
export async function buildWithCaches(
  graphs: readonly BuildGraph[],
  task: BuildTask,
  places: BuildPlaces,
): Promise<Built> {
  const built = await buildAndSend(graphs, task, places);
  if (built.result.counts.ran > 0) await tryToKeepWithinBudget(places.options);
  return built;
}

/** What was made is sent to others even where the build fails later: the next one has it then. */
async function buildAndSend(
  graphs: readonly BuildGraph[],
  task: BuildTask,
  { options, caches }: BuildPlaces,
): Promise<Built> {
  if (!caches.isShared) return buildAndWrite(graphs, task, { options, isShared: false });
  const { limit } = task.caches.upload;
  const log = createBuildLog();
  const onEvent: OnBuildEvent = (event) => {
    log.onEvent(event);
    options.onEvent(event);
  };
  let layers: ReadonlySet<Digest> = new Set();
  let outcome: BuildReport["outcome"] = "failed";
  try {
    const built = await buildInRounds(graphs, task, { ...options, onEvent });
    layers = new Set(built.result.images.flatMap((image) => image.layers.map(({ layer }) => layer.diffId)));
    outcome = "built";
    return built;
  } finally {
    if (!options.signal.aborted)
      await inPhase("sending to the cache", options.onEvent, async () => {
        await options.travellingMounts?.save();
        await caches.cache.finish({ limit, layers });
        await reportBuild(log, { task, outcome, caches });
      });
  }
}

/** Nobody waits long for a dashboard: milliseconds. */
const REPORT_LIMIT = 2_000;

async function reportBuild(
  log: BuildLog,
  {
    task,
    outcome,
    caches,
  }: { readonly task: BuildTask; readonly outcome: BuildReport["outcome"]; readonly caches: Caches },
): Promise<void> {
  const counts = caches.cache.counts();
  if (counts.faults > 0) return;
  const { project, target } = task;
  const report = log.report({ project, target, outcome, counts });
  // Where nothing was asked of the server, nothing is told to it: such builds are to take no time.
  if (report.steps.every(({ state }) => state === "hit-local")) return;
  await caches.server?.report(report, { signal: AbortSignal.timeout(REPORT_LIMIT) }).catch(() => undefined);
}

/** `options`, with the cache mounts that are to travel by the cache server. */
export function withTravellingMounts(
  options: BuildOptions,
  {
    words,
    caches: { server },
    onWarning,
  }: { readonly words: CacheWords; readonly caches: Caches; readonly onWarning: (message: string) => void },
): BuildOptions {
  if (server === undefined || words.mounts.length === 0) return options;
  const travellingMounts = createTravellingMounts({ ...options, cache: server, ids: words.mounts, onWarning });
  return { ...options, travellingMounts };
}

async function buildInRounds(graphs: readonly BuildGraph[], task: BuildTask, options: BuildOptions): Promise<Built> {
  for (let round = 1; ; round += 1) {
    try {
      return await buildAndWrite(graphs, task, { options, isShared: true });
    } catch (error) {
      if (round === ROUNDS || !isContentLost(error)) throw error;
    }
  }
}

/** Milliseconds that writing has for itself: threads do most of it, and it takes this one to tell them. */
const HEAD_START = 30;

async function buildAndWrite(
  graphs: readonly BuildGraph[],
  task: BuildTask,
  { options, isShared }: { readonly options: BuildOptions; readonly isShared: boolean },
): Promise<Built> {
  const result = await build(graphs, options);
  const writing = write(result, task, { options, isShared });
  const headStart = setTimeout(HEAD_START, undefined, { ref: false });
  const remembered = Promise.allSettled([Promise.race([writing, headStart])]).then(() => result.remember());
  const [written] = await Promise.allSettled([writing, remembered]);
  if (written.status === "rejected") throw written.reason;
  return { result, written: written.value };
}

async function write(
  result: BuildResult,
  task: BuildTask,
  { options, isShared }: { readonly options: BuildOptions; readonly isShared: boolean },
): Promise<Written> {
  // A stream can't be begun again where a blob does not come that a cache promised.
  if (isShared && task.outputs.some(isStreamed)) await completeInStore(result.images, options);
  return writeOutputs(result, task.outputs, { ...task, options });
}

function isContentLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error instanceof CacheError && error.code === "CONTENT_LOST") || isContentLost(error.cause);
}
