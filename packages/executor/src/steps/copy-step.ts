import { type CopySource, type CopyStep, type Step, stepDefinition } from "@varve/graph";
import { digestFiles, type Entry, type FileTree, orderEntries, stackTrees } from "@varve/layer";
import type { Digest } from "@varve/oci";
import { digestOf, isDigest } from "@varve/oci";
import { contextInput } from "../copy/context-input.ts";
import { explainMissing } from "../copy/explain-missing.ts";
import { parseChmod } from "../copy/mode.ts";
import { namesOwner, type Owner, resolveOwner } from "../copy/owner.ts";
import { placeInOrder, placeSelection, type Placement } from "../copy/place.ts";
import { openArchive, placeArchive } from "../copy/place-archive.ts";
import { type SelectedRoot, selectSource } from "../copy/selection.ts";
import { selectionDigest } from "../copy/selection-digest.ts";
import { createStagedTree, type StagedTree } from "../copy/staged-tree.ts";
import { downloadFile } from "../copy/download.ts";
import { findRepository } from "../copy/git.ts";
import type { StepKey } from "../keys.ts";
import type { StepInput } from "../explain/current-build.ts";
import { hideUserinfo } from "../explain/hide-secrets.ts";
import { createStepKey } from "../keys.ts";
import type { Rootfs } from "../rootfs.ts";
import { type Session, undatedTime } from "../session.ts";
import { createEarlyPacking, type EarlyPacking, onlyDirectory, type Staging } from "./early-layer.ts";
import type { StepWork } from "../resolve.ts";

/** What a source selected, and how it is placed. */
interface PlacedSource {
  readonly roots: () => Promise<readonly SelectedRoot[]>;
  /** Archives among the roots are unpacked. */
  readonly unpack: boolean;
}

/** A source whose files are known, with the digest that stands for it in keys. */
interface OpenSource extends PlacedSource {
  readonly digest: Digest;
}

/** Everything of a COPY or ADD that needs its inputs; `resolve` gives a step's rootfs. */
export function createCopyWork(step: CopyStep, session: Session, resolve: (step: Step) => Promise<Rootfs>): StepWork {
  const definition = stepDefinition(step);
  const openBaseOf = (on: Step): Promise<FileTree> => openBase(step, session, () => resolve(on));
  const stage = (base: FileTree): Staging => startStaging(step, base, session);
  const early = createEarlyPacking(step, { session, resolve, openBase: openBaseOf, stage });
  const sources = lazy(() => openSources(step, { session, resolve, early }));
  const base = lazy(() => openBaseOf(step.parent));
  const staged = lazy(async () => placeSources(stage(await base()), await sources(), session));
  /** What is copied comes in the order of a layer here: nothing more of it has to be kept. */
  const directory = lazy(async () => {
    const [source, ...others] = await sources();
    return source === undefined || others.length > 0 ? undefined : onlyDirectory(step, await source.roots());
  });
  const view = lazy(async () => {
    // It is going to be asked why the layer has to be made: files are compared while they are packed.
    if (early.isBegun()) session.explainer.reason(step).catch(() => undefined);
    const layer = await early.layer();
    if (layer?.base === step.parent) return layer.view;
    const root = await directory();
    if (root === undefined) return (await staged()).viewDigest();
    const { tree, placement } = stage(await base());
    for (const _ of placeInOrder(tree, root, placement)) continue;
    return tree.viewDigest();
  });
  const hasStageSource = step.sources.some((source) => source.type === "path" && source.from.type === "step");
  const keyOf = async (inputs: readonly Digest[], parentDigest: Digest | undefined): Promise<StepKey> =>
    createStepKey({ definition, inputs, parent: parentDigest });
  const sourceDigests = async (): Promise<Digest[]> => (await sources()).map((source) => source.digest);
  return {
    cheapParts: async () => ({
      definition,
      inputs: await cheapInputs(step, sources),
      parent: step.link ? undefined : step.parent,
    }),
    preciseKey:
      step.link && !hasStageSource
        ? undefined
        : async () => keyOf(await sourceDigests(), step.link ? undefined : await view()),
    inputs: () =>
      Promise.all(step.sources.map((source, position) => noteSource(source, { position, session, sources }))),
    async make() {
      const layer = await early.layer();
      if (layer !== undefined && layer.view === (await view())) return { early: layer, entries: () => [] };
      const root = await directory();
      if (root === undefined) {
        const tree = await staged();
        return { entries: () => orderEntries(tree.entries()) };
      }
      const { tree, placement } = stage(await base());
      return { entries: () => placeInOrder(tree, root, placement) };
    },
    found: early.drop,
  };
}

interface NotedSource {
  readonly position: number;
  readonly session: Session;
  readonly sources: () => Promise<readonly OpenSource[]>;
}

/** Variables may stand in a query, whose values are no one's business. */
function withoutQuery(url: string): string {
  return url.split("?", 1)[0] ?? url;
}

/** A source as whoever explains keys wants it; a stage's files are not looked at for that. */
async function noteSource(source: CopySource, { position, session, sources }: NotedSource): Promise<StepInput> {
  if (source.type === "path" && source.from.type === "step")
    return { type: "step", name: source.path, step: source.from.step };
  const { digest, roots } = (await sources())[position]!;
  if (source.type !== "path")
    return {
      type: "source",
      name: source.type === "inline" ? source.name : withoutQuery(hideUserinfo(source.url)),
      digest,
    };
  const context = session.context(source.from.type === "context" ? source.from.name : "");
  return contextInput({ name: source.path, selection: { digest, roots }, source: context.source });
}

function lazy<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

/** Inputs by what is known without looking at files: a stage's rootfs instead of what is copied from it. */
async function cheapInputs(
  step: CopyStep,
  sources: () => Promise<readonly OpenSource[]>,
): Promise<readonly (Digest | Step)[]> {
  return Promise.all(
    step.sources.map(async (source, position) => {
      if (source.type === "path" && source.from.type === "step") return source.from.step;
      const open = (await sources())[position];
      if (open === undefined) throw new Error(`Cannot key step "${step.name}": source ${position} was not opened`);
      return open.digest;
    }),
  );
}

async function openBase(step: CopyStep, session: Session, parent: () => Promise<Rootfs>): Promise<FileTree> {
  if (step.link) return stackTrees([]);
  const needsNames = step.chown !== undefined && namesOwner(step.chown);
  const rootfs = await parent();
  return needsNames ? (await session.layers.extractedTree(rootfs)).tree : session.layers.tree(rootfs);
}

interface SourceContext {
  readonly step: CopyStep;
  readonly session: Session;
  readonly resolve: (step: Step) => Promise<Rootfs>;
  readonly early: EarlyPacking;
}

function openSources(step: CopyStep, context: Omit<SourceContext, "step">): Promise<readonly OpenSource[]> {
  return Promise.all(step.sources.map((source) => openSource(source, { step, ...context })));
}

async function openSource(source: CopySource, context: SourceContext): Promise<OpenSource> {
  const { step, session } = context;
  switch (source.type) {
    case "path":
      return openPath(source, context);
    case "inline":
      return openInline(source, undatedTime(session.options.epoch));
    case "http":
      return openDownload(source, context);
    case "git": {
      const { exclude, checksum } = step;
      const repository = await findRepository(source, { ...session.options, exclude, checksum });
      return { roots: async () => [await repository.root()], unpack: false, digest: repository.digest };
    }
    default:
      return source satisfies never;
  }
}

/** With a checksum the content is known before it is there: what is cached is not downloaded again. */
async function openDownload(
  { url }: Extract<CopySource, { type: "http" }>,
  { step, session }: SourceContext,
): Promise<OpenSource> {
  const { checksum } = step;
  const makeScratch = (): Promise<string> => session.options.store.makeTemporaryDirectory("tmp");
  const download = lazy(() => downloadFile(url, { ...session.options, checksum, makeScratch }));
  const roots = async (): Promise<readonly SelectedRoot[]> => {
    const { entry, name } = await download();
    return [fileRoot(entry, name)];
  };
  const digest = checksum !== undefined && isDigest(checksum) ? checksum : (await download()).digest;
  return { roots, unpack: step.unpack === true, digest };
}

function fileRoot(entry: Entry, name: string): SelectedRoot {
  return { name, entry, children: [], parents: false };
}

function openInline(source: Extract<CopySource, { type: "inline" }>, mtime: bigint): OpenSource {
  const bytes = Buffer.from(source.content);
  const digest = digestOf(bytes);
  const entry: Entry = {
    path: source.name,
    type: "file",
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: bytes.length,
    mtime,
    digest,
    content: { bytes },
  };
  return { roots: async () => [fileRoot(entry, source.name)], unpack: false, digest };
}

async function openPath(
  source: Extract<CopySource, { type: "path" }>,
  { step, session, resolve, early }: SourceContext,
): Promise<OpenSource> {
  const unpack = step.unpack ?? step.instruction === "ADD";
  const { exclude, parents } = step;
  const select = (tree: FileTree): readonly SelectedRoot[] =>
    explainMissing(() => selectSource(tree, source.path, { exclude, parents }), {
      verb: step.instruction,
      path: source.path,
      from: source.from,
      tree,
    });
  if (source.from.type === "context") {
    const words = ["copy", source.path, parents ? "parents" : "", ...exclude];
    const context = session.context(source.from.name);
    if (unpack || step.sources.length > 1) return { unpack, ...(await context.select({ words, select })) };
    const selection = await context.select({ words, select, reader: early.reader });
    if (selection.walked !== undefined) early.start(selection.digest, selection.walked);
    return { unpack, ...selection };
  }
  const { tree } = await session.layers.extractedTree(await resolve(source.from.step));
  const roots = await Promise.all(select(tree).map(withDigests));
  return { unpack, roots: async () => roots, digest: selectionDigest(roots) };
}

async function withDigests(root: SelectedRoot): Promise<SelectedRoot> {
  const [[entry = root.entry], children] = await Promise.all([
    digestFiles([root.entry]),
    digestFiles([...root.children]),
  ]);
  return { ...root, entry, children };
}

function startStaging(step: CopyStep, base: FileTree, { options }: Session): Staging {
  const tree = createStagedTree(base);
  const placement: Placement = {
    destination: step.destination,
    owner: stepOwner(step, base, tree),
    chmod: step.chmod === undefined ? undefined : parseChmod(step.chmod),
    createdTime: undatedTime(options.epoch),
  };
  return { tree, placement };
}

async function placeSources(
  { tree, placement }: Staging,
  sources: readonly PlacedSource[],
  session: Session,
): Promise<StagedTree> {
  for (const source of sources) {
    for (const root of await source.roots()) await placeRoot(tree, root, { placement, source, session });
  }
  return tree;
}

function stepOwner(step: CopyStep, base: FileTree, tree: StagedTree): Owner | undefined {
  if (step.chown === undefined) return undefined;
  return resolveOwner(step.chown, {
    tree: step.link ? undefined : base,
    remember: (question, answer) => tree.remember(question, answer),
  });
}

interface RootContext {
  readonly placement: Placement;
  readonly source: PlacedSource;
  readonly session: Session;
}

async function placeRoot(
  tree: StagedTree,
  root: SelectedRoot,
  { placement, source, session }: RootContext,
): Promise<void> {
  const archive = source.unpack ? await openArchive(root.entry, session) : undefined;
  if (archive === undefined) placeSelection(tree, root, placement);
  else placeArchive(tree, archive, placement);
}
