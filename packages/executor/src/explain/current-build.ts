import type { CacheKey } from "@varve/cache";
import type { Step } from "@varve/graph";
import type { Digest } from "@varve/oci";
import type { FileList } from "./file-list.ts";
import { fingerprintOf } from "./lineage.ts";
import { type BuildNotes, type NotedInput, noteSteps, type StepNote } from "./step-note.ts";

/** One thing that a step reads, as far as it was looked at for its key. */
export type StepInput =
  | { readonly type: "step"; readonly name: string; readonly step: Step }
  /** A download, a repository, a here-document. */
  | { readonly type: "source"; readonly name: string; readonly digest: Digest }
  | ContextInput;

/** Files of a build context. */
export interface ContextInput {
  readonly type: "files";
  readonly name: string;
  readonly digest: Digest;
  readonly list: () => Promise<FileList>;
  /** True for a path that the ignore file leaves out. */
  readonly isIgnored: (path: string) => boolean;
}

/** What a step was looked up by. */
export interface SeenKeys {
  readonly keys: readonly CacheKey[];
  readonly inputs: () => Promise<readonly StepInput[]>;
}

/** The build that goes on: what was seen of its steps, and notes of them as soon as someone asks. */
export interface CurrentBuild {
  keyed(step: Step, seen: SeenKeys): void;
  resolved(step: Step, result: Digest): void;
  /** Digest of cheap keys and results. */
  fingerprint(): string;
  positionOf(step: Step): number;
  /** Notes of all that was seen so far; the same list each time, brought up to date. */
  notes(): Promise<BuildNotes>;
  /** Context inputs of the notes, by digest. */
  readonly files: ReadonlyMap<Digest, ContextInput>;
}

/** A build of `steps`, of which nothing was seen yet. */
export function createCurrentBuild(steps: readonly Step[]): CurrentBuild {
  const positions = new Map(steps.map((step, position) => [step, position]));
  const seen = new Map<Step, SeenKeys>();
  const results = new Map<Step, Digest>();
  const files = new Map<Digest, ContextInput>();
  const unsettled = new Set<Step>();
  let notes: StepNote[] | undefined;
  let settling: Promise<unknown> = Promise.resolve();
  const noteInput = (input: StepInput): NotedInput => {
    if (input.type === "step") return { type: "step", name: input.name, step: positions.get(input.step) ?? -1 };
    if (input.type === "files") files.set(input.digest, input);
    return { type: input.type, name: input.name, digest: input.digest };
  };
  const settle = async (step: Step, list: StepNote[]): Promise<void> => {
    const [position, keyed, result] = [positions.get(step) ?? -1, seen.get(step), results.get(step)];
    const inputs = keyed === undefined ? [] : (await keyed.inputs()).map(noteInput);
    const more = { inputs, keys: keyed?.keys ?? [], ...(result === undefined ? {} : { result }) };
    list[position] = { ...list[position]!, ...more };
  };
  return {
    files,
    keyed(step, keys) {
      seen.set(step, keys);
      unsettled.add(step);
    },
    resolved(step, result) {
      results.set(step, result);
      unsettled.add(step);
    },
    fingerprint: () => fingerprintOf(steps.map((step) => [seen.get(step)?.keys[0], results.get(step)])),
    positionOf: (step) => positions.get(step) ?? -1,
    async notes() {
      const list = (notes ??= noteSteps(steps));
      const fresh = [...unsettled];
      unsettled.clear();
      settling = Promise.all([settling, ...fresh.map((step) => settle(step, list))]);
      await settling;
      return list;
    },
  };
}
