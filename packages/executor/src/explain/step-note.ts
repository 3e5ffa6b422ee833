import type { Ingredients } from "@varve/cache-key";
import { ingredientsOf } from "@varve/cache-key";
import type { CacheKey } from "@varve/cache";
import { type Step, stepDefinition, type StepOrigin } from "@varve/graph";
import { formatPlatform, type Digest } from "@varve/oci";
import { hideSecrets, hideUserinfo, hideValue } from "./hide-secrets.ts";

/** A file set that a step read. */
export type NotedInput =
  /** Of the context, a download or a repository: by its digest. */
  | { readonly type: "files" | "source"; readonly name: string; readonly digest: Digest }
  /** Of another step's file system: `step` is that step's position in the build. */
  | { readonly type: "step"; readonly name: string; readonly step: number };

/** What is remembered of one step of one build, so that a later build can tell what changed. Holds no secret. */
export interface StepNote {
  readonly kind: Step["kind"];
  /** Stage and platform. */
  readonly stage: string;
  readonly platform: string;
  /** In its stage; FROM is 1. */
  readonly position: number;
  /** The instruction as written. */
  readonly text: string;
  /** Position in the build of the step beneath. */
  readonly parent?: number;
  readonly definition: Ingredients;
  /** Variables that the instruction names, by name. */
  readonly variables: Readonly<Record<string, string>>;
  readonly buildArgs: readonly string[];
  readonly inputs: readonly NotedInput[];
  /** Under which it was looked up; the cheap one first. */
  readonly keys: readonly CacheKey[];
  /** Id of the layer it made, or of the base's rootfs; undefined where it did not get that far. */
  readonly result?: Digest;
  readonly failed?: boolean;
  /** Of a FROM. */
  readonly base?: { readonly reference: string; readonly digest?: Digest };
}

/** The steps of one build in the order of its graph: inputs before what reads them. */
export type BuildNotes = readonly StepNote[];

/** What is known of steps before they are resolved; inputs, keys and results come later. */
export function noteSteps(steps: readonly Step[]): StepNote[] {
  const positions = new Map(steps.map((step, position) => [step, position]));
  return steps.map((step) => noteStep(step, positions));
}

function noteStep(step: Step, positions: ReadonlyMap<Step, number>): StepNote {
  const platform = formatPlatform(step.platform);
  const empty = { platform, inputs: [], keys: [] };
  if (step.kind === "from") {
    const { source } = step;
    const reference = source.type === "image" ? source.reference : "scratch";
    const digest = source.type === "image" ? source.image.descriptor.digest : undefined;
    const base = { reference: hideUserinfo(reference), ...(digest === undefined ? {} : { digest }) };
    const words = { stage: "", position: 1, text: hideUserinfo(step.name) };
    return { ...empty, ...words, kind: step.kind, definition: {}, variables: {}, buildArgs: [], base };
  }
  const { stage, position, text, buildArgs } = step.origin;
  const definition = ingredientsOf({ definition: stepDefinition(step), inputs: [], parent: undefined });
  const parent = positions.get(step.parent);
  return {
    ...empty,
    kind: step.kind,
    stage,
    position,
    text: hideUserinfo(text),
    ...(parent === undefined ? {} : { parent }),
    definition: hideSecrets(definition),
    variables: namedVariables(step.origin),
    buildArgs,
  };
}

/** Variables that the words of the instruction name, with their values. */
function namedVariables({ text, scope }: StepOrigin): Readonly<Record<string, string>> {
  const names = [...text.matchAll(/\$\{?([A-Za-z_]\w*)/g)].map(([, name = ""]) => name);
  const known = names.flatMap((name) => {
    const value = scope.get(name);
    return value === undefined ? [] : [[name, hideValue(name, value)] as const];
  });
  return Object.fromEntries(known);
}
