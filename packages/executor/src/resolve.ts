import { CacheError, type FoundRecord } from "@varve/cache";
import type { FromStep, Step } from "@varve/graph";
import type { Entry } from "@varve/layer";
import { commitLayer, packStep } from "./commit-layer.ts";
import { StepError } from "./errors.ts";
import type { StepInput } from "./explain/current-build.ts";
import { orWarn } from "./explain/or-warn.ts";
import { type CheapParts, createCheapKey, type StepKey } from "./keys.ts";
import { addLayer, createRootfs, type Rootfs, type RootfsLayer } from "./rootfs.ts";
import type { BuildOptions, MadeLayer, Session } from "./session.ts";
import { createCopyWork } from "./steps/copy-step.ts";
import type { EarlyLayer } from "./steps/early-layer.ts";
import { createRunWork } from "./steps/run-step.ts";
import { createWorkdirWork } from "./steps/workdir-step.ts";

/** What a step that makes a layer must be able to do; each part is asked for only when it is needed. */
export interface StepWork {
  /** Of the key by what is known without looking at files beneath. */
  readonly cheapParts: () => Promise<CheapParts>;
  /** The key by what the step really consults; undefined where the cheap one is precise. */
  readonly preciseKey: (() => Promise<StepKey>) | undefined;
  /** What it reads, for whoever explains keys; asked for when it is keyed. */
  inputs(): Promise<readonly StepInput[]>;
  /** Does the work. */
  make(): Promise<MadeEntries>;
  /** Told where the work is not needed: the layer was found. */
  readonly found?: () => void;
}

/** A layer's entries, and what to do with the files behind them once the layer is stored. */
export interface MadeEntries {
  /** In the order of a layer. */
  readonly entries: () => Iterable<Entry>;
  /** The layer of these entries, where it is packed already. */
  readonly early?: EarlyLayer;
  /** Keeps the files as the extracted layer at `path`; undefined: they belong to someone else. */
  readonly keep?: (path: string) => Promise<void>;
  /** Removes what was made for the step. */
  readonly dispose?: () => Promise<void>;
}

/** A step that makes a layer. */
export type LayerStep = Exclude<Step, { kind: "from" }>;

export interface Resolver {
  /** A step's rootfs, each step once; steps that do not need each other go on side by side. */
  readonly resolve: (step: Step) => Promise<Rootfs>;
  /** What a step is able to do; the same object for the same step. */
  readonly workOf: (step: LayerStep) => StepWork;
}

/** Resolves the steps of one build. */
export function createResolver(session: Session): Resolver {
  const known = new Map<Step, Promise<Rootfs>>();
  const works = new Map<LayerStep, StepWork>();
  const resolver: Resolver = {
    resolve(step) {
      const made = known.get(step) ?? resolveStep(step, session, resolver);
      known.set(step, made);
      return made;
    },
    workOf(step) {
      const work = works.get(step) ?? withPartsOnce(createWork(step, session, resolver.resolve));
      works.set(step, work);
      return work;
    },
  };
  return resolver;
}

function withPartsOnce(work: StepWork): StepWork {
  let parts: Promise<CheapParts> | undefined;
  return { ...work, cheapParts: () => (parts ??= work.cheapParts()) };
}

async function resolveStep(step: Step, session: Session, resolver: Resolver): Promise<Rootfs> {
  if (step.kind === "from") return resolveFrom(step, session);
  const [parent, made] = await Promise.all([resolver.resolve(step.parent), makeLayer(step, session, resolver)]);
  session.explainer.resolved(step, made.layer.contentDigest);
  return addLayer(parent, rootfsLayer(made, session));
}

function resolveFrom(step: FromStep, { options, explainer }: Session): Rootfs {
  const time = Date.now();
  options.onEvent({ type: "step-started", step, time });
  const rootfs = baseRootfs(step);
  explainer.resolved(step, rootfs.digest);
  options.onEvent({ type: "step-finished", step, time: Date.now(), duration: 0, layer: undefined });
  return rootfs;
}

/** The file system of a base image, or an empty one. */
export function baseRootfs({ source }: FromStep): Rootfs {
  if (source.type === "scratch") return createRootfs([]);
  const { layers, content } = source.image;
  const pulled = { content, index: undefined, createdAt: undefined };
  return createRootfs(layers.map((layer) => ({ layer, id: layer.diffId, ...pulled })));
}

/** A layer that was made or found, in its place in a rootfs. */
export function rootfsLayer({ layer, createdAt }: MadeLayer, { options }: Session): RootfsLayer {
  return {
    layer: { descriptor: layer.descriptor, diffId: layer.diffId },
    id: layer.contentDigest,
    content: options.cache.content,
    index: layer.index,
    createdAt,
  };
}

async function makeLayer(step: LayerStep, session: Session, resolver: Resolver): Promise<MadeLayer> {
  const work = resolver.workOf(step);
  try {
    session.options.signal.throwIfAborted();
    const cheap = await createCheapKey(await work.cheapParts(), resolver.resolve);
    return await lookUpOrMake(step, { work, cheap }, session);
  } catch (error) {
    throw failed(step, error, session);
  }
}

/** What a step that makes a layer can do; `resolve` gives the rootfs of the steps that it reads. */
export function createWork(step: LayerStep, session: Session, resolve: (step: Step) => Promise<Rootfs>): StepWork {
  switch (step.kind) {
    case "run":
      return createRunWork(step, session, resolve);
    case "copy":
      return createCopyWork(step, session, resolve);
    case "workdir":
      return createWorkdirWork(step, session, resolve);
    default:
      return step satisfies never;
  }
}

/** Cheap key, then precise key, then work; a hit under the precise key is written back under the cheap one. */
async function lookUpOrMake(
  step: LayerStep,
  { work, cheap }: { readonly work: StepWork; readonly cheap: StepKey },
  session: Session,
): Promise<MadeLayer> {
  const inputs = (): Promise<readonly StepInput[]> => work.inputs();
  session.explainer.keyed(step, { keys: [cheap.key], inputs });
  const found = await lookUp(step, cheap, session);
  if (found !== undefined) {
    work.found?.();
    return hit(step, found, session);
  }
  if (work.preciseKey === undefined) return makeOnce(step, { work, keys: [cheap] }, session);
  const precise = await work.preciseKey();
  session.explainer.keyed(step, { keys: [cheap.key, precise.key], inputs });
  const foundPrecise = await lookUp(step, precise, session);
  if (foundPrecise === undefined) return makeOnce(step, { work, keys: [precise, cheap] }, session);
  await session.options.cache.put({ ...foundPrecise.record, ...cheap });
  return hit(step, foundPrecise, session);
}

/** The record under a key; undefined where there is none, or the step is to run again. */
export async function lookUp(
  step: LayerStep,
  { key }: StepKey,
  { options }: Session,
): Promise<FoundRecord | undefined> {
  return step.noCache === true ? undefined : options.cache.find(key);
}

function hit(step: LayerStep, { record, source }: FoundRecord, { options }: Session): MadeLayer {
  const layer = record.layer;
  if (layer === undefined) throw new Error(`Cannot use the record of step "${step.name}": it has no layer`);
  options.store.use([layer.descriptor.digest, layer.index.digest]);
  const saved = { duration: record.duration, size: layer.descriptor.size };
  options.onEvent({ type: "step-cached", step, time: Date.now(), source, ...saved });
  return { layer, createdAt: record.createdAt };
}

interface Making {
  readonly work: StepWork;
  /** The first is the most precise; the record is put under all of them. */
  readonly keys: readonly [StepKey, ...StepKey[]];
}

async function makeOnce(step: LayerStep, making: Making, session: Session): Promise<MadeLayer> {
  const [{ key }] = making.keys;
  const running = session.making.get(key);
  if (running !== undefined) {
    const made = await running;
    session.options.onEvent({ type: "step-cached", step, time: Date.now(), source: "local" });
    return made;
  }
  const made = makeInTurn(step, making, session);
  session.making.set(key, made);
  return made;
}

/**
 * Makes the layer when there is a place and it is our turn, or takes what another builder made. Whoever waits for
 * another builder holds no place, and whoever makes a layer waits for nobody: builders never wait in a circle.
 */
async function makeInTurn(step: LayerStep, making: Making, session: Session): Promise<MadeLayer> {
  const { options, semaphore } = session;
  if (step.noCache === true) return semaphore.run(() => make(step, making, session));
  for (;;) {
    const release = await semaphore.acquire();
    let wait: (signal: AbortSignal) => Promise<void>;
    try {
      options.signal.throwIfAborted();
      const turn = await options.cache.takeTurn(making.keys[0].key);
      if (turn.type === "made") return hit(step, turn.found, session);
      if (turn.type === "ours") {
        try {
          return await make(step, making, session);
        } finally {
          turn.end();
        }
      }
      wait = turn.wait;
    } finally {
      release();
    }
    await waitInPhase(step, wait, options);
  }
}

/** Waits that are shorter are not told of: milliseconds. */
const SHORT_WAIT = 1_000;

/** Waits for another builder, and says so once it takes a while. */
async function waitInPhase(
  step: LayerStep,
  wait: (signal: AbortSignal) => Promise<void>,
  { signal, onEvent }: BuildOptions,
): Promise<void> {
  const phase = { type: "phase", name: `waiting for another builder that makes ${step.name}` } as const;
  let isTold = false;
  const timer = setTimeout(() => {
    isTold = true;
    onEvent({ ...phase, state: "started", time: Date.now() });
  }, SHORT_WAIT);
  try {
    await wait(signal);
  } finally {
    clearTimeout(timer);
    if (isTold) onEvent({ ...phase, state: "finished", time: Date.now() });
  }
}

async function make(step: LayerStep, { work, keys }: Making, session: Session): Promise<MadeLayer> {
  const { options } = session;
  options.signal.throwIfAborted();
  const reason = await orWarn(() => session.explainer.reason(step), options);
  const started = Date.now();
  options.onEvent({ type: "step-started", step, time: started, ...(reason === undefined ? {} : { reason }) });
  const made = await work.make();
  try {
    const packed = made.early?.packed ?? (await packStep(step, made.entries(), options));
    const { layer, isNew, segments } = await commitLayer(packed, options);
    if (isNew) await made.keep?.(options.store.layerPath(layer.diffId));
    const duration = Date.now() - started + (made.early?.duration ?? 0);
    const createdAt = new Date(started).toISOString();
    for (const key of keys) {
      await options.cache.put(
        { ...key, layer, createdAt, duration, producer: options.producer },
        { replace: step.noCache === true },
      );
    }
    const { digest } = layer.descriptor;
    options.onEvent({ type: "step-finished", step, time: Date.now(), duration, layer: digest, segments });
    return { layer, createdAt };
  } finally {
    await made.dispose?.();
  }
}

/** The error with its place, told once: a step that fails because its input did is no news. */
function failed(step: LayerStep, error: unknown, { options }: Session): unknown {
  if (error instanceof StepError && error.place !== undefined) return error;
  if (options.signal.aborted) return options.signal.reason;
  if (error instanceof CacheError && error.code === "CONTENT_LOST") return error;
  const placed = placeError(step, error);
  options.onEvent({ type: "step-failed", step, time: Date.now(), error: placed });
  return placed;
}

function placeError(step: LayerStep, error: unknown): unknown {
  if (!(error instanceof StepError)) return error;
  const { hint, cause, exitCode, message, code, word } = error;
  return new StepError(code, message, {
    place: { step: step.name, location: step.location },
    word,
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
    ...(exitCode === undefined ? {} : { exitCode }),
  });
}
