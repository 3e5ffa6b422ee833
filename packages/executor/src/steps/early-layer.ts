import { setTimeout } from "node:timers/promises";
import { stepDigest } from "@varve/cache-key";
import { type CopyStep, type Step, stepDefinition } from "@varve/graph";
import { type Entry, type FileTree, orderEntries, type PackedLayer } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { packStep } from "../commit-layer.ts";
import type { SelectionReader } from "../context/context-selection.ts";
import { learnDigest } from "../context/context-tree.ts";
import { areMany } from "../context/file-digests.ts";
import { placeInOrder, type Placement, placeSelection } from "../copy/place.ts";
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
 * Packs the layer of a large copy from one source in a context before its turn: while its files are looked at, so that
 * they are read once and nothing waits for all of them, or beside the RUN that it stands on. It does so where it is
 * certain that no cache has the layer, and where some file differs from what the last build saw: then it is likely.
 */
export interface EarlyPacking {
  readonly reader: SelectionReader;
  /** Packs what was selected, of this digest, unless what it stands on comes soon. Returns at once. */
  readonly start: (digest: Digest, roots: readonly SelectedRoot[]) => void;
  readonly isBegun: () => boolean;
  /** The layer, once it is packed; undefined where it was not begun, or failed. */
  readonly layer: () => Promise<EarlyLayer | undefined>;
  /** Ends it: the layer was found. */
  readonly drop: () => void;
}

export interface EarlyPackingOptions {
  readonly session: Session;
  readonly resolve: (step: Step) => Promise<Rootfs>;
  /** The file system that the copy finds on `base`. */
  readonly openBase: (base: Step) => Promise<FileTree>;
  /** A tree on that, for what the copy writes. */
  readonly stage: (base: FileTree) => Staging;
}

/** Where a copy is staged, and how. */
export interface Staging {
  readonly tree: StagedTree;
  readonly placement: Placement;
}

/** What was copied before: by the definitions of steps, by the shapes of selections, and by their digests. */
const DEFINITIONS = "copied-definition/1";
const SHAPES = "copied-shape/3";
const DIGESTS = "copied-digest/1";
/** What is cached is found in less: milliseconds. */
const PATIENCE = 100;

/** The early packing of `step`. */
export function createEarlyPacking(step: CopyStep, options: EarlyPackingOptions): EarlyPacking {
  const { session } = options;
  const dropping = new AbortController();
  const packer = createPacker(step, { ...options, dropped: dropping.signal });
  let packing: Promise<void> | undefined;
  const begin = (work: () => Promise<void>): Promise<void> => {
    packing = work();
    session.background.add(packing.catch(() => undefined));
    return packing;
  };
  const isNew = async (namespace: string, ...inputs: readonly Digest[]): Promise<boolean> =>
    session.packsEarly && !(await mayBeFound(step, { namespace, inputs }, session));
  const packAhead = async (digest: Digest, roots: readonly SelectedRoot[]): Promise<void> => {
    if (!(await isNew(DIGESTS, digest)) || (await comesSoon(options.resolve(step.parent)))) return;
    await packer.packSelected(roots);
  };
  return {
    reader: {
      async first(roots) {
        const root = onlyDirectory(step, roots);
        if (root === undefined || !areMany(root.children) || !(await isNew(DEFINITIONS))) return;
        session.afterwards.push(async () => void (await isNew(SHAPES, selectionShape(roots))));
        await begin(() => packer.packFound(root));
      },
      async again(roots) {
        const root = onlyDirectory(step, roots);
        const isWanted = session.packsEarly && (step.noCache === true || !session.options.cache.isShared);
        if (root === undefined || !isWanted || !areMany(root.children)) return false;
        begin(() => packer.packFound({ ...root, children: whileFewDiffer(root.children) })).catch(() => undefined);
        return true;
      },
      async all(roots) {
        await packing;
        if (await isNew(SHAPES, selectionShape(roots))) await begin(() => packer.packSelected(roots));
      },
    },
    start(digest, roots) {
      if (packing !== undefined || step.parent.kind !== "run" || !isLarge(roots)) return;
      void begin(() => packAhead(digest, roots).catch(() => undefined));
    },
    isBegun: () => packing !== undefined,
    async layer() {
      await packing;
      return packer.layer();
    },
    drop: () => dropping.abort(),
  };
}

/**
 * Gives entries on as long as few of the files have no digest. With many the digests decide first: after a fresh
 * checkout all times differ, and the cache has the layer.
 */
function* whileFewDiffer(entries: Iterable<Entry>): Generator<Entry> {
  const unknown: Entry[] = [];
  for (const entry of entries) {
    if (entry.type === "file" && entry.digest === undefined) {
      unknown.push(entry);
      if (areMany(unknown)) throw new Error("Too much differs to be packed before it is known");
    }
    yield entry;
  }
}

interface Packer {
  /** Packs what was selected. Nothing comes of it where that fails. */
  packSelected(roots: readonly SelectedRoot[]): Promise<void>;
  /** Packs what is below a directory as it is found; not where what it is copied onto does not come soon. */
  packFound(root: SelectedRoot): Promise<void>;
  layer(): EarlyLayer | undefined;
}

function createPacker(step: CopyStep, options: EarlyPackingOptions & { readonly dropped: AbortSignal }): Packer {
  const { session, dropped } = options;
  const signal = AbortSignal.any([session.options.signal, dropped]);
  let layer: EarlyLayer | undefined;
  const pack = (base: Step, stage: () => Promise<Staged>): Promise<void> =>
    inPhase(`packing ${step.name}`, session, async () => {
      const started = Date.now();
      const { tree, entries } = await stage();
      const packed = await packStep(step, entries, { ...session.options, signal, onFile: learnDigest });
      layer = { packed, base, view: tree.viewDigest(), duration: Date.now() - started };
    });
  return {
    async packSelected(roots) {
      const base = await chooseBase(step, options);
      await pack(base, async () => {
        const { tree, placement } = options.stage(await options.openBase(base));
        for (const root of roots) placeSelection(tree, root, placement);
        return { tree, entries: orderEntries(tree.entries()) };
      });
    },
    async packFound(root) {
      const base = await chooseBase(step, options);
      const opened = options.openBase(base);
      if (!(await comesSoon(opened))) return;
      await pack(base, async () => {
        const { tree, placement } = options.stage(await opened);
        return { tree, entries: placeInOrder(tree, root, placement) };
      });
    },
    layer: () => layer,
  };
}

interface Staged {
  readonly tree: StagedTree;
  /** In the order of a layer. */
  readonly entries: Iterable<Entry>;
}

/** The directory that is all of a selection, where its children come in the order of a layer. */
export function onlyDirectory(
  { exclude, parents }: CopyStep,
  roots: readonly SelectedRoot[],
): SelectedRoot | undefined {
  const [root, ...others] = roots;
  const isOnly = root?.entry.type === "directory" && others.length === 0;
  return isOnly && exclude.length === 0 && !parents ? root : undefined;
}

/** Whatever fails, the step meets it in its own time, and tells of it better. */
async function inPhase(name: string, { options }: Session, work: () => Promise<void>): Promise<void> {
  options.onEvent({ type: "phase", name, state: "started", time: Date.now() });
  try {
    await work();
  } catch {
    options.signal.throwIfAborted();
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

async function comesSoon(work: Promise<unknown>): Promise<boolean> {
  const late = setTimeout(PATIENCE, false, { ref: false });
  return Promise.race([
    work.then(
      () => true,
      () => true,
    ),
    late,
  ]);
}

/** False where nobody has a record of this copy; what is asked is remembered. What others have is not known. */
async function mayBeFound(
  step: CopyStep,
  { namespace, inputs }: { readonly namespace: string; readonly inputs: readonly Digest[] },
  { options: { cache, store } }: Session,
): Promise<boolean> {
  if (step.noCache === true) return false;
  if (cache.isShared) return true;
  const copy = stepDigest({ definition: stepDefinition(step), inputs });
  if ((await store.memo.get(namespace, copy)) !== undefined) return true;
  await store.memo.put(namespace, copy, Buffer.from("1"));
  return false;
}
