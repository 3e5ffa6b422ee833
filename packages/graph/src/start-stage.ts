import type { Stage } from "@varve/dockerfile";
import type { Platform } from "@varve/oci";
import { scratchStep } from "./image-steps.ts";
import { scopeOf } from "./scope.ts";
import {
  addStep,
  configOf,
  EMPTY_CONFIG,
  initialConfig,
  noAdditions,
  type StageState,
  variablesOf,
} from "./stage-state.ts";
import type { FileSet, FromStep } from "./step.ts";

/** A stage and where it stands, for the names of its steps and for whether they run again. */
export interface StagePlace {
  readonly stage: Stage;
  readonly index: number;
  /** The Dockerfile has no other stage. */
  readonly isSingle: boolean;
  /** True, or names of the stages whose steps run again. */
  readonly noCache: boolean | readonly string[];
}

/** A stage that begins where another one ends. */
export function inheritState(place: StagePlace, state: StageState): StageState {
  return {
    ...describePlace(place),
    step: state.step,
    config: configOf(state),
    additions: noAdditions(),
    history: [...state.history],
    author: state.author,
    platform: state.platform,
    baseCreated: state.baseCreated,
    scope: new Map(state.scope),
    args: new Map(state.args),
    variables: state.variables,
    hasCommand: false,
    steps: [],
  };
}

/** A stage that begins with an image, or with nothing. */
export function imageState(place: StagePlace, step: FromStep): StageState {
  const image = step.source.type === "image" ? step.source.image : undefined;
  const config = initialConfig(image === undefined ? EMPTY_CONFIG : (image.config.config ?? {}));
  return {
    ...describePlace(place),
    step,
    config,
    additions: noAdditions(),
    history: [...(image?.config.history ?? [])],
    author: image?.config.author,
    platform: step.platform,
    baseCreated: image?.config.created,
    scope: scopeOf(config.Env ?? []),
    args: new Map(),
    variables: undefined,
    hasCommand: false,
    steps: [],
  };
}

/** A stage that begins with the files of a context, on an empty file system. */
export function contextState(place: StagePlace, name: string, platform: Platform): StageState {
  const state = imageState(place, scratchStep(platform));
  const from: FileSet = { type: "context", name };
  addStep(state, {
    name: `[context ${name}] load`,
    location: place.stage.from.location,
    origin: {
      stage: state.label.trim(),
      position: 1,
      text: `FROM ${name}`,
      scope: variablesOf(state).scope,
      buildArgs: [],
    },
    platform,
    kind: "copy",
    parent: state.step,
    instruction: "COPY",
    sources: [{ type: "path", from, path: "/" }],
    destination: "/",
    chown: undefined,
    chmod: undefined,
    link: true,
    parents: false,
    exclude: [],
    checksum: undefined,
    unpack: undefined,
  });
  state.history.push({ created_by: `COPY / / # context ${name}` });
  return state;
}

const WITH_STEP = ["RUN", "COPY", "ADD", "WORKDIR"];

function describePlace({
  stage,
  index,
  isSingle,
  noCache,
}: StagePlace): Pick<StageState, "label" | "stepCount" | "noCache"> {
  const name = stage.from.stageName?.toLowerCase();
  const label = name ?? (isSingle ? "" : `stage-${index}`);
  const count = stage.instructions.filter(({ kind }) => WITH_STEP.includes(kind)).length;
  const again =
    noCache === true ||
    (noCache !== false && name !== undefined && noCache.some((each) => each.toLowerCase() === name));
  return { label: label === "" ? "" : `${label} `, stepCount: count + 1, noCache: again };
}
