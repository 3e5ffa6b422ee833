import { CacheError } from "@varve/cache";
import { build, type BuildOptions, type BuildResult, completeInStore } from "@varve/executor";
import type { BuildGraph } from "@varve/graph";
import type { Digest } from "@varve/oci";
import type { CacheWords } from "./cache-words.ts";
import type { Caches } from "./caches.ts";
import { isStreamed, type Output } from "./outputs.ts";
import { inPhase } from "./phase.ts";
import { type WriteContext, writeOutputs, type Written } from "./write-outputs.ts";

/** How often a build is begun: a cache that promised a blob and does not give it costs a round. */
const ROUNDS = 10;

/** What is to be built and where it goes. */
export interface BuildTask extends Omit<WriteContext, "options"> {
  readonly outputs: readonly Output[];
  readonly caches: CacheWords;
}

export interface Built {
  readonly result: BuildResult;
  readonly written: Written;
}

/** Builds and writes. What was made is sent to others even where the build fails later: the next one has it then. */
export async function buildWithCaches(
  graphs: readonly BuildGraph[],
  task: BuildTask,
  { options, caches }: { readonly options: BuildOptions; readonly caches: Caches },
): Promise<Built> {
  const { limit } = task.caches.upload;
  let layers: ReadonlySet<Digest> = new Set();
  try {
    const built = await buildInRounds(graphs, task, options);
    layers = new Set(built.result.images.flatMap((image) => image.layers.map(({ layer }) => layer.diffId)));
    return built;
  } finally {
    if (caches.isShared && !options.signal.aborted)
      await inPhase("sending to the cache", options.onEvent, () => caches.cache.finish({ limit, layers }));
  }
}

async function buildInRounds(graphs: readonly BuildGraph[], task: BuildTask, options: BuildOptions): Promise<Built> {
  for (let round = 1; ; round += 1) {
    try {
      const result = await build(graphs, options);
      // A stream can't be begun again.
      if (task.outputs.some(isStreamed)) await completeInStore(result.images, options);
      return { result, written: await writeOutputs(result, task.outputs, { ...task, options }) };
    } catch (error) {
      if (round === ROUNDS || !isContentLost(error)) throw error;
    }
  }
}

function isContentLost(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return (error instanceof CacheError && error.code === "CONTENT_LOST") || isContentLost(error.cause);
}
