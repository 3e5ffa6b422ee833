import { availableParallelism } from "node:os";
import type { BuildGraph, Step } from "@varve/graph";
import {
  type ContentSource,
  createSemaphore,
  type Descriptor,
  type Digest,
  digestOf,
  type ImageConfig,
  type Manifest,
  type Platform,
} from "@varve/oci";
import { assembleImage, assembleIndex } from "./assemble-image.ts";
import { openContext, type OpenContext } from "./context/open-context.ts";
import { StepError } from "./errors.ts";
import type { BuildEvent } from "./events.ts";
import { createExplainer } from "./explain/explainer.ts";
import { orWarn } from "./explain/or-warn.ts";
import { createLayers } from "./layers.ts";
import { planSteps } from "./plan-steps.ts";
import { createResolver } from "./resolve.ts";
import type { RootfsLayer } from "./rootfs.ts";
import { createRunPlaces } from "./run-places.ts";
import { selectRunner } from "./run/select-runner.ts";
import type { Runner } from "./runner.ts";
import type { BuildOptions, Session } from "./session.ts";
import { selectSnapshotter } from "./snapshot/select-snapshotter.ts";

/** An image that was built: its words, and its layers, oldest first. */
export interface BuiltImage {
  readonly platform: Platform;
  /** Of the manifest. */
  readonly descriptor: Descriptor;
  readonly manifest: Manifest;
  readonly config: ImageConfig;
  readonly layers: readonly RootfsLayer[];
}

export interface BuildResult {
  readonly images: readonly BuiltImage[];
  /** The one image's manifest, or the index of several. */
  readonly descriptor: Descriptor;
  /** All that `descriptor` leads to; a base's layers are fetched where they are when they are asked for. */
  readonly content: ContentSource;
  readonly counts: BuildCounts;
  /** Keeps what later builds profit from, beside whatever is done with the image; to be waited for. Never rejects. */
  remember(): Promise<void>;
}

/** Steps that make a layer: all, those found in a cache, those that ran. */
export interface BuildCounts {
  readonly steps: number;
  readonly cached: number;
  readonly ran: number;
  /** Of the cached ones, those that came from another cache than the store, or from a builder that was waited for. */
  readonly remote: number;
  readonly waited: number;
  /** Milliseconds that the cached steps took when they ran. */
  readonly savedTime: number;
  /** Bytes of the cached steps' layers. */
  readonly savedBytes: number;
}

/** Steps that run at once where nobody says: RUN steps mostly wait for something else than a core. */
export const DEFAULT_CONCURRENCY: number = Math.max(4, availableParallelism());

/**
 * Builds the graphs (one for each platform) and assembles their images. The first failure ends all other steps.
 * @throws StepError where a step fails, `CANCELLED` where the signal ends the build.
 */
export async function build(graphs: readonly BuildGraph[], options: BuildOptions): Promise<BuildResult> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const counts = { steps: 0, cached: 0, ran: 0, remote: 0, waited: 0, savedTime: 0, savedBytes: 0 };
  const onEvent = (event: BuildEvent): void => {
    count(event, counts);
    options.onEvent(event);
  };
  const steps = [...new Set(graphs.flatMap((graph) => graph.steps))];
  onEvent({ type: "graph", steps });
  const session = createSession(steps, { ...options, signal, onEvent }, { packsEarly: true });
  const { resolve, workOf } = createResolver(session);
  const keepRecords = options.store.recall(lineageName(options));
  options.cache.foresee(() => planSteps(graphs, workOf));
  const builds = graphs.map(async (graph) => assembleImage(graph, await resolve(graph.target.step), session.options));
  const remember = async (): Promise<void> => {
    for (const task of session.afterwards) await orWarn(task, options, "The next build reads its context again");
    await orWarn(() => session.explainer.save(), options);
    keepRecords();
  };
  try {
    const images = await Promise.all(builds);
    const image = await assembleIndex(images, session.options);
    await close(session);
    return { ...image, images, counts, remember };
  } catch (error) {
    failure.abort(new StepError("CANCELLED", "Cannot go on: another step failed"));
    await Promise.allSettled(builds);
    await close(session);
    await remember();
    throw options.signal.aborted
      ? new StepError("CANCELLED", "Cannot finish the build: it was cancelled", { cause: error })
      : error;
  }
}

async function close(session: Session): Promise<void> {
  await Promise.allSettled(session.background);
  await session.closeRunner();
}

type Counts = { -readonly [Name in keyof BuildCounts]: BuildCounts[Name] };

function count(event: BuildEvent, counts: Counts): void {
  if (event.type === "step-cached") {
    counts.cached += 1;
    if (event.source !== "local") counts[event.source] += 1;
    counts.savedTime += event.duration ?? 0;
    counts.savedBytes += event.size ?? 0;
  } else if (event.type === "step-finished" && event.step.kind !== "from") counts.ran += 1;
  counts.steps = counts.cached + counts.ran;
}

/** What the steps of one build share. */
export function createSession(
  steps: readonly Step[],
  options: BuildOptions,
  { packsEarly }: Pick<Session, "packsEarly">,
): Session {
  let selected: Promise<Runner> | undefined;
  const snapshotter = once(async () =>
    selectSnapshotter(options.snapshotter, await options.store.makeTemporaryDirectory("mounts")),
  );
  const contexts = new Map<string, OpenContext>();
  const afterwards: Session["afterwards"] = [];
  return {
    options,
    packsEarly,
    background: new Set(),
    afterwards,
    runner: () => (selected ??= selectRunner(options.runner)),
    async closeRunner() {
      const [result] = await Promise.allSettled([selected]);
      if (result.status === "fulfilled") await result.value?.close?.();
    },
    snapshotter,
    runPlaces: createRunPlaces(options.store),
    explainer: createExplainer(steps, options.store.memo, lineageName(options)),
    layers: createLayers({ ...options, snapshotter }),
    semaphore: createSemaphore(options.concurrency),
    making: new Map(),
    context(name) {
      const known =
        contexts.get(name) ??
        openContext(name, {
          contexts: options.contexts,
          memo: options.store.memo,
          later: (task) => void afterwards.push(task),
        });
      contexts.set(name, known);
      return known;
    },
  };
}

function lineageName({ lineage, contexts }: BuildOptions): Digest {
  return digestOf(Buffer.from(lineage ?? contexts.get("")?.path ?? ""));
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}
