import type { CacheKey, Memo } from "@varve/cache";
import type { Step } from "@varve/graph";
import type { Digest } from "@varve/oci";
import { createCurrentBuild, type CurrentBuild, type SeenKeys } from "./current-build.ts";
import { describeCauses } from "./describe-cause.ts";
import { compareFileLists } from "./file-list.ts";
import { compareBuilds, type Comparison, type FoundCause } from "./find-causes.ts";
import { type Lineage, loadFileList, loadLast, loadLineage, saveLineage } from "./lineage.ts";
import type { Cause, FileChanges, MissReason } from "./miss-reason.ts";
import type { BuildNotes, StepNote } from "./step-note.ts";

/** Remembers what the steps of a build were made of, and says of a step that has to run why. */
export interface Explainer {
  /** `step` is looked up by this. */
  keyed(step: Step, seen: SeenKeys): void;
  /** `step` has its layer, of this id; a FROM its rootfs, of this digest. */
  resolved(step: Step, result: Digest): void;
  /** Why `step` was not found; it is keyed, and what it stands on is resolved. */
  reason(step: Step): Promise<MissReason>;
  /** False where an earlier build had the same step with the same sources, whatever it stood on. */
  isNew(step: Step): Promise<boolean>;
  /** Keeps what was seen for later builds. Writes nothing where the last build saw the same. */
  save(): Promise<void>;
}

/** An explainer of a build of `steps`; earlier builds are kept in `memo` under `name`. */
export function createExplainer(steps: readonly Step[], memo: Memo, name: Digest): Explainer {
  const build = createCurrentBuild(steps);
  let loading: Promise<Past> | undefined;
  const past = (): Promise<Past> => (loading ??= loadPast(memo, name, build));
  const changes = new Map<string, Promise<FileChanges | undefined>>();
  return {
    keyed: (step, seen) => build.keyed(step, seen),
    resolved: (step, result) => build.resolved(step, result),
    async reason(step) {
      if (step.noCache === true) return { kind: "no-cache", text: "--no-cache", causes: [] };
      const notes = await build.notes();
      const known = await past();
      const nameFiles = async ({ cause, inputs }: FoundCause): Promise<Cause> => {
        if (cause.type !== "files" || inputs === undefined) return cause;
        const pair = `${inputs.before} ${inputs.after}`;
        const files = changes.get(pair) ?? compareInputs(inputs, { build, memo, name, slots: known.lineage.slots });
        changes.set(pair, files);
        return withFiles(cause, await files);
      };
      return explain(notes, build.positionOf(step), { past: known, nameFiles });
    },
    async isNew(step) {
      await build.notes();
      const { comparisons } = await past();
      return !comparisons.some((comparison) => comparison.ownCauses(build.positionOf(step))?.length === 0);
    },
    async save() {
      const last = build.fingerprint();
      if ((await loadLast(memo, name)) === last) return;
      const notes = await build.notes();
      const files = new Map([...build.files].map(([digest, { list }]) => [digest, list]));
      const lineage = await loadLineage(memo, name);
      await saveLineage(memo, name, { lineage, build: structuredClone(notes), last, files });
    },
  };
}

/** Earlier builds beside this one. */
interface Past {
  readonly lineage: Lineage;
  /** The newest first. */
  readonly comparisons: readonly Comparison[];
  readonly byKey: ReadonlyMap<CacheKey, StepNote>;
}

async function loadPast(memo: Memo, name: Digest, build: CurrentBuild): Promise<Past> {
  const lineage = await loadLineage(memo, name);
  const notes = await build.notes();
  const oldestFirst = lineage.builds.toReversed().flat();
  return {
    lineage,
    comparisons: lineage.builds.map((before) => compareBuilds(notes, before)),
    byKey: new Map(oldestFirst.flatMap((note) => note.keys.map((key) => [key, note] as const))),
  };
}

interface Explaining {
  readonly past: Past;
  readonly nameFiles: (found: FoundCause) => Promise<Cause>;
}

async function explain(notes: BuildNotes, position: number, { past, nameFiles }: Explaining): Promise<MissReason> {
  const note = notes[position];
  if (note === undefined) throw new Error(`Cannot explain step ${position}: the build has ${notes.length}`);
  const same = note.keys.map((key) => past.byKey.get(key)).find((each) => each !== undefined);
  if (same !== undefined) return explainSame(same);
  const candidates = past.comparisons.flatMap((comparison) => {
    const causes = comparison.causes(position);
    return causes === undefined ? [] : [causes];
  });
  const [nearest] = candidates.toSorted((a, b) => a.length - b.length);
  if (nearest === undefined) return explainNew(note, past);
  if (nearest.length === 0) return { kind: "unknown", text: "a step beneath it has to run again", causes: [] };
  const causes = await Promise.all(nearest.map(nameFiles));
  return { kind: "changed", text: describeCauses(causes, note.stage), causes };
}

function explainSame({ result }: StepNote): MissReason {
  return result === undefined
    ? { kind: "unfinished", text: "did not finish the last time", causes: [] }
    : { kind: "evicted", text: "evicted: its result is no longer in the store", causes: [] };
}

function explainNew({ stage, platform, text }: StepNote, { lineage }: Past): MissReason {
  if (lineage.builds.length === 0) return { kind: "first-build", text: "first build", causes: [] };
  const hasPlatform = lineage.builds.flat().some((note) => note.platform === platform);
  if (!hasPlatform) return { kind: "first-build", text: `first build for ${platform}`, causes: [] };
  const hasStage = lineage.builds.flat().some((note) => note.stage === stage && note.kind !== "from");
  if (!hasStage) return { kind: "first-build", text: `first build of stage ${stage}`, causes: [] };
  return { kind: "changed", text: "new instruction", causes: [{ type: "instruction-added", after: text }] };
}

interface FileNames {
  readonly build: CurrentBuild;
  readonly memo: Memo;
  readonly name: Digest;
  readonly slots: Lineage["slots"];
}

/** What changed between two inputs; undefined where a list is not known. */
async function compareInputs(
  inputs: { readonly before: Digest; readonly after: Digest },
  { build, memo, name, slots }: FileNames,
): Promise<FileChanges | undefined> {
  const now = build.files.get(inputs.after);
  const before = await loadFileList(memo, name, { slots, digest: inputs.before });
  return now === undefined || before === undefined
    ? undefined
    : compareFileLists(before, await now.list(), now.isIgnored);
}

function withFiles(cause: Extract<Cause, { type: "files" }>, files: FileChanges | undefined): Cause {
  return files === undefined ? cause : { ...cause, files };
}
