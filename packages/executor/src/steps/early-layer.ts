import { setTimeout } from "node:timers/promises";
import { stepDigest } from "@varve/cache-key";
import { type CopyStep, type Step, stepDefinition } from "@varve/graph";
import { type Entry, orderEntries, type PackedLayer } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { packStep } from "../commit-layer.ts";
import { areMany, type ReadFiles } from "../context/file-digests.ts";
import { selectionShape } from "../copy/selection-digest.ts";
import type { SelectedRoot } from "../copy/selection.ts";
import type { StagedTree } from "../copy/staged-tree.ts";
import type { Rootfs } from "../rootfs.ts";
import type { Session } from "../session.ts";

/** A layer that was packed before it was known whether it stands on the right base. */
export interface EarlyLayer {
  readonly packed: PackedLayer;
  /** What it was packed on the rootfs of. */
  readonly base: Step;
  /** Of that: on another base with this view the copy makes the same layer. */
  readonly view: Digest;
  /** Milliseconds that it took. */
  readonly duration: number;
}

/**
 * Packs the layer of a large copy from one source in a context before its turn, where it is certain that no cache has
 * it: while its files are read for the first time, so that they are read once, or beside the RUN that it stands on.
 */
export interface EarlyPacking {
  /** Packs what was selected, and gives the digests of its files; gives nothing where these decide what is to be done. */
  readonly read: (roots: readonly SelectedRoot[]) => Promise<ReadFiles | undefined>;
  /** Packs what was selected, of this digest, unless what it stands on comes soon. Returns at once. */
  readonly start: (digest: Digest, roots: readonly SelectedRoot[]) => void;
  /** The layer, once it is packed; undefined where it was not begun, or failed. */
  readonly layer: () => Promise<EarlyLayer | undefined>;
}

export interface EarlyPackingOptions {
  readonly session: Session;
  readonly resolve: (step: Step) => Promise<Rootfs>;
  /** What the copy writes on the rootfs of `base`. */
  readonly stage: (roots: readonly SelectedRoot[], base: Step) => Promise<StagedTree>;
}

/** What was copied before: by the shapes of selections, and by their digests. */
const SHAPES = "copied-shape/1";
const DIGESTS = "copied-digest/1";
/** What is cached is found in less: milliseconds. */
const PATIENCE = 100;

/** The early packing of `step`. */
export function createEarlyPacking(step: CopyStep, options: EarlyPackingOptions): EarlyPacking {
  const { session } = options;
  let packing: Promise<ReadFiles | undefined> | undefined;
  let layer: EarlyLayer | undefined;
  const pack = async (roots: readonly SelectedRoot[]): Promise<ReadFiles | undefined> =>
    inPhase(`packing ${step.name}`, session, async () => {
      const started = Date.now();
      const base = await chooseBase(step, options);
      const tree = await options.stage(roots, base);
      const view = tree.viewDigest();
      const entries = orderEntries(tree.entries());
      const packed = await packStep(step, entries, session.options);
      layer = { packed, base, view, duration: Date.now() - started };
      return digestsOf(entries, packed);
    });
  const isNew = async (namespace: string, input: Digest): Promise<boolean> =>
    session.packsEarly && !(await mayBeFound(step, { namespace, input }, session));
  const packAhead = async (digest: Digest, roots: readonly SelectedRoot[]): Promise<ReadFiles | undefined> => {
    if (!(await isNew(DIGESTS, digest)) || (await comesSoon(options.resolve(step.parent)))) return undefined;
    return pack(roots);
  };
  return {
    async read(roots) {
      if (!(await isNew(SHAPES, selectionShape(roots)))) return undefined;
      packing = pack(roots);
      session.background.add(packing.catch(() => undefined));
      return packing;
    },
    start(digest, roots) {
      if (packing !== undefined || step.parent.kind !== "run" || !isLarge(roots)) return;
      packing = packAhead(digest, roots).catch(() => undefined);
      session.background.add(packing);
    },
    async layer() {
      await packing;
      return layer;
    },
  };
}

/** Whatever fails, the step meets it in its own time, and tells of it better. */
async function inPhase<T>(name: string, { options }: Session, work: () => Promise<T>): Promise<T | undefined> {
  options.onEvent({ type: "phase", name, state: "started", time: Date.now() });
  try {
    return await work();
  } catch {
    options.signal.throwIfAborted();
    return undefined;
  } finally {
    options.onEvent({ type: "phase", name, state: "finished", time: Date.now() });
  }
}

function isLarge(roots: readonly SelectedRoot[]): boolean {
  return areMany(roots.flatMap(({ entry, children }) => [entry, ...children]));
}

/** What the copy stands on, or, where that is still to be made, what is below the RUN steps there: these seldom change a destination. */
async function chooseBase(step: CopyStep, { resolve }: EarlyPackingOptions): Promise<Step> {
  return step.link || (await comesSoon(resolve(step.parent))) ? step.parent : belowRuns(step.parent);
}

function belowRuns(step: Step): Step {
  return step.kind === "run" ? belowRuns(step.parent) : step;
}

async function comesSoon(rootfs: Promise<Rootfs>): Promise<boolean> {
  const late = setTimeout(PATIENCE, false, { ref: false });
  return Promise.race([
    rootfs.then(
      () => true,
      () => true,
    ),
    late,
  ]);
}

/** False where nobody has a record of this copy; what is asked is remembered. What others have is not known. */
async function mayBeFound(
  step: CopyStep,
  { namespace, input }: { readonly namespace: string; readonly input: Digest },
  { options: { cache, store } }: Session,
): Promise<boolean> {
  if (step.noCache === true) return false;
  if (cache.isShared) return true;
  const copy = stepDigest({ definition: stepDefinition(step), inputs: [input] });
  if ((await store.memo.get(namespace, copy)) !== undefined) return true;
  await store.memo.put(namespace, copy, Buffer.from("1"));
  return false;
}

function digestsOf(entries: readonly Entry[], { index }: PackedLayer): ReadFiles {
  const digests = new Map<Entry["content"], Digest>();
  for (const [position, { content }] of entries.entries()) {
    const digest = index.entries[position]?.digest;
    if (digest !== undefined) digests.set(content, digest);
  }
  return digests;
}
