import {
  type Dockerfile,
  type FromInstruction,
  type Instruction,
  parseTrigger,
  type Stage,
  type Warning,
} from "@varve/dockerfile";
import { type Image, OciError, parsePlatform, parseReference, type Platform } from "@varve/oci";
import { baseError } from "./base-error.ts";
import { dispatch, type DispatchContext, dispatchTriggers, type RunDefaults } from "./dispatch.ts";
import { GraphError } from "./errors.ts";
import { createImageSteps, type ImageSteps } from "./image-steps.ts";
import { findNamedContext, type NamedContext } from "./named-context.ts";
import { findTarget } from "./find-target.ts";
import { expandAt, expandGlobalArgs, recordingScope } from "./global-args.ts";
import { PROXY_ARGS, STEERING_ARGS } from "./platform-args.ts";
import { configOf, type StageState } from "./stage-state.ts";
import { contextState, imageState, inheritState, type StagePlace } from "./start-stage.ts";
import type { BuildGraph, FileSet, StageOutput } from "./step.ts";
import { sortSteps } from "./sort-steps.ts";
import { type ArgRecorder, createArgRecorder } from "./used-args.ts";

export interface GraphOptions {
  /** Stage to build, by name; undefined: the last one. */
  readonly target?: string | undefined;
  readonly platform: Platform;
  /** The platform was not asked for: an image made from another platform's base is for that one. */
  readonly platformIsImplied?: boolean;
  readonly buildPlatform: Platform;
  readonly buildArgs: ReadonlyMap<string, string>;
  /** `--label`. */
  readonly labels: Readonly<Record<string, string>>;
  /** By lower-case name. They stand for stages and images of that name. */
  readonly namedContexts: ReadonlyMap<string, NamedContext>;
  /** True, or names of the stages whose steps run again. */
  readonly noCache: boolean | readonly string[];
  readonly runDefaults: RunDefaults;
  /** Finds a base image; called once for each reachable reference and platform. */
  readonly resolveImage: (reference: string, platform: Platform) => Promise<Image>;
  readonly onWarning: (message: string) => void;
  /** Is told of rules of docs/checks.md that only a build can check. */
  readonly onCheck?: (warning: Warning) => void;
}

/**
 * The build graph of a Dockerfile's target for one platform. Stages that the target does not need are left out, and
 * their images are not asked for.
 * @throws GraphError, DockerfileError (expansion), and what `resolveImage` throws.
 */
export async function buildGraph(dockerfile: Dockerfile, options: GraphOptions): Promise<BuildGraph> {
  const targetIndex = findTarget(dockerfile, options.target);
  const used = new Set<string>();
  const builder = new GraphBuilder(dockerfile, options, { targetIndex, onArgUsed: (name) => used.add(name) });
  const output = await builder.stage(targetIndex);
  warnOfUnused(options, used);
  const labels =
    Object.keys(options.labels).length === 0 ? {} : { Labels: { ...output.config.Labels, ...options.labels } };
  return {
    target: {
      ...output,
      platform: options.platformIsImplied === true ? output.platform : options.platform,
      config: { ...output.config, ...labels },
    },
    steps: sortSteps(output.step),
    bases: builder.bases(),
    args: builder.args(),
  };
}

function warnOfUnused({ buildArgs, onWarning }: GraphOptions, used: ReadonlySet<string>): void {
  const silent = [...PROXY_ARGS, ...STEERING_ARGS];
  const unused = [...buildArgs.keys()].filter((name) => !used.has(name) && !silent.includes(name));
  if (unused.length > 0) onWarning(`One or more build-args [${unused.join(" ")}] were not consumed`);
}

interface BuilderContext {
  readonly targetIndex: number;
  readonly onArgUsed: (name: string) => void;
}

class GraphBuilder {
  readonly #dockerfile: Dockerfile;
  readonly #options: GraphOptions;
  readonly #context: BuilderContext;
  readonly #globals: ReadonlyMap<string, string>;
  readonly #args: ArgRecorder;
  /** Positions of the stages of each name, in lower case. */
  readonly #stagesByName: ReadonlyMap<string, readonly number[]>;
  readonly #stages = new Map<number, Promise<StageState>>();
  readonly #images: ImageSteps;

  constructor(dockerfile: Dockerfile, options: GraphOptions, context: BuilderContext) {
    this.#dockerfile = dockerfile;
    this.#options = options;
    this.#context = context;
    this.#stagesByName = stagesByName(dockerfile);
    const { resolveImage, onCheck } = options;
    this.#images = createImageSteps({ stages: dockerfile.stages, resolveImage, onCheck });
    const { platform, buildPlatform, buildArgs, target } = options;
    const name = target ?? dockerfile.stages[context.targetIndex]?.from.stageName;
    const { values, declared } = expandGlobalArgs(dockerfile, {
      platform,
      buildPlatform,
      buildArgs,
      target: name,
      onArgUsed: context.onArgUsed,
    });
    this.#globals = values;
    this.#args = createArgRecorder(declared);
    dockerfile.stages.forEach((stage, index) => this.#validate(stage, index));
  }

  async stage(index: number): Promise<StageOutput> {
    const state = await this.#state(index);
    const { step, platform, author, history, baseCreated } = state;
    return { step, platform, author, config: configOf(state), history, baseCreated };
  }

  args(): BuildGraph["args"] {
    return this.#args.list();
  }

  bases(): BuildGraph["bases"] {
    return this.#images.bases();
  }

  #expand(word: string, { location }: Instruction): string {
    return expandAt(word, { location, escape: this.#dockerfile.directives.escape, scope: this.#globals });
  }

  #state(index: number): Promise<StageState> {
    const known = this.#stages.get(index);
    if (known !== undefined) return known;
    const made = this.#buildStage(index);
    this.#stages.set(index, made);
    return made;
  }

  async #buildStage(index: number): Promise<StageState> {
    const stage = this.#dockerfile.stages[index];
    if (stage === undefined) throw new Error(`Cannot build stage ${index}: there is none`);
    const replaced = await this.#replacedStage(stage, index);
    if (replaced !== undefined) return replaced;
    const state = await this.#startStage(stage, index);
    const triggers = (state.config.OnBuild ?? []).map((trigger) => parseTrigger(trigger, stage.from.location));
    const sets = await this.#fileSets([...triggers, ...stage.instructions], index);
    const context = this.#dispatchContext(sets);
    dispatchTriggers(state, stage.from, context);
    for (const instruction of stage.instructions) dispatch(state, instruction, context);
    return state;
  }

  #dispatchContext(sets: ReadonlyMap<string, FileSet>): DispatchContext {
    return {
      resolveFrom(name, instruction) {
        const set = sets.get(name);
        if (set !== undefined) return set;
        throw new GraphError("STAGE_UNKNOWN", `Cannot copy from "${name}": variables can't name a stage or an image`, {
          location: instruction.location,
          word: name,
        });
      },
      buildArgs: this.#options.buildArgs,
      globals: this.#globals,
      escape: this.#dockerfile.directives.escape,
      runDefaults: this.#options.runDefaults,
      onArgUsed: this.#context.onArgUsed,
      args: this.#args,
    };
  }

  /** A stage whose name is that of a context is the context, and its instructions do not count. */
  async #replacedStage(stage: Stage, index: number): Promise<StageState | undefined> {
    const { from } = stage;
    const platform = this.#stagePlatform(from);
    const named = from.stageName === undefined ? undefined : this.#named(from.stageName, platform);
    if (named === undefined) return undefined;
    const state = await this.#fromNamed(stage, { named, index, platform });
    const { OnBuild: _, ...config } = state.config;
    return { ...state, config };
  }

  async #fromNamed(
    stage: Stage,
    { named, index, platform }: { readonly named: NamedContext; readonly index: number; readonly platform: Platform },
  ): Promise<StageState> {
    if (named.type === "context") return contextState(this.#place(stage, index), named.name, platform);
    const step = await this.#images.step(named.reference, { platform, instruction: stage.from });
    return imageState(this.#place(stage, index), step);
  }

  async #startStage(stage: Stage, index: number): Promise<StageState> {
    const { from } = stage;
    const name = this.#expand(from.image, from);
    const platform = this.#stagePlatform(from);
    this.#recordArgs(from);
    const base = this.#baseStage(name, index);
    if (base !== undefined) return inheritState(this.#place(stage, index), await this.#state(base));
    const named = this.#named(name, platform);
    if (named !== undefined) return this.#fromNamed(stage, { named, index, platform });
    const step = await this.#images.step(name, { platform, instruction: from });
    return imageState(this.#place(stage, index), step);
  }

  /**
   * What BuildKit says of every stage, also of those that the target does not need.
   * @throws GraphError, DockerfileError `BAD_EXPANSION`.
   */
  #validate({ from, instructions }: Stage, index: number): void {
    const name = this.#expand(from.image, from);
    if (name === "")
      throw new GraphError("BASE_INVALID", `Cannot use base image: base name (${from.image}) should not be blank`, {
        location: from.location,
        word: from.image,
        hint: "Declare the ARG before the first FROM, with a default",
      });
    this.#stagePlatform(from);
    if (name !== "scratch" && this.#baseStage(name, index) === undefined) this.#checkReference(name, from);
    for (const instruction of instructions)
      for (const source of sourceNames(instruction)) this.#refuseVariable(source, instruction);
  }

  #checkReference(reference: string, instruction: Instruction): void {
    try {
      parseReference(reference);
    } catch (cause) {
      throw baseError(cause, { reference, instruction, stages: this.#dockerfile.stages });
    }
  }

  #refuseVariable(name: string, { kind, location }: Instruction): void {
    if (!/\$./.test(name)) return;
    const flag =
      kind === "COPY" ? "variable expansion is not supported for --from" : "'from' doesn't support variable expansion";
    throw new GraphError("STAGE_UNKNOWN", `Cannot ${kind} from "${name}": ${flag}`, {
      location,
      word: name,
      hint: "Give the image a name with FROM … AS NAME, and use that",
    });
  }

  #recordArgs({ image, platform = "", location }: FromInstruction): void {
    const scope = recordingScope(this.#globals, (name) => this.#args.use(name));
    for (const word of [image, platform])
      expandAt(word, { location, escape: this.#dockerfile.directives.escape, scope });
  }

  #stagePlatform(from: FromInstruction): Platform {
    if (from.platform === undefined) return this.#options.platform;
    const text = this.#expand(from.platform, from);
    try {
      return parsePlatform(text);
    } catch (cause) {
      if (!(cause instanceof OciError)) throw cause;
      throw new GraphError(
        "BASE_INVALID",
        `Cannot use --platform "${text}": failed to parse platform; wanted os/architecture[/variant]`,
        { location: from.location, word: from.platform, cause },
      );
    }
  }

  /** The stage that FROM means: unlike elsewhere, the name has to be written as BuildKit keeps it, in lower case. */
  #baseStage(name: string, before: number): number | undefined {
    return name === name.toLowerCase() ? this.#findStage(name, before) : undefined;
  }

  /** An earlier stage of this name; the last of several. */
  #findStage(name: string, before: number): number | undefined {
    return lastBelow(this.#stagesByName.get(name.toLowerCase()) ?? [], before);
  }

  #named(name: string, platform: Platform): NamedContext | undefined {
    return findNamedContext(this.#options.namedContexts, name, platform);
  }

  #place(stage: Stage, index: number): StagePlace {
    const { noCache } = this.#options;
    return { stage, index, isSingle: this.#dockerfile.stages.length === 1, noCache };
  }

  /** The file sets that instructions copy or mount from, by the name that they use. */
  async #fileSets(instructions: readonly Instruction[], index: number): Promise<ReadonlyMap<string, FileSet>> {
    const names = new Map(
      instructions.flatMap((instruction) => sourceNames(instruction).map((name) => [name, instruction] as const)),
    );
    const sets = [...names].map(
      async ([name, instruction]) => [name, await this.#fileSet(name, { index, instruction })] as const,
    );
    return new Map(await Promise.all(sets));
  }

  /** Images are for the platform that is built, whatever the stage is for: as BuildKit has it. */
  async #fileSet(
    name: string,
    { index, instruction }: { readonly index: number; readonly instruction: Instruction },
  ): Promise<FileSet> {
    const { platform } = this.#options;
    const stage = this.#findStage(name, index) ?? this.#stageByNumber(name, { index, instruction });
    const named = this.#named(name, platform);
    if (named?.type === "context") return { type: "context", name: named.name };
    if (named === undefined && stage !== undefined) return { type: "step", step: (await this.#state(stage)).step };
    if (named === undefined) this.#refuseLaterStage(name, { index, instruction });
    return { type: "step", step: await this.#images.step(named?.reference ?? name, { platform, instruction }) };
  }

  #stageByNumber(
    name: string,
    { index, instruction }: { readonly index: number; readonly instruction: Instruction },
  ): number | undefined {
    if (!/^\d+$/.test(name)) return undefined;
    const number = Number(name);
    if (number < index) return number;
    const reason = number === index ? "it is the stage itself" : `there are ${index} stages before this one`;
    throw new GraphError("STAGE_UNKNOWN", `Cannot copy from stage ${name}: invalid stage index ${name}: ${reason}`, {
      location: instruction.location,
      word: name,
      hint: "Stages count from 0; only earlier ones can be copied from",
    });
  }

  #refuseLaterStage(
    name: string,
    { index, instruction }: { readonly index: number; readonly instruction: Instruction },
  ): void {
    const last = this.#stagesByName.get(name.toLowerCase())?.at(-1);
    if (last === undefined || last < index) return;
    throw new GraphError(
      "STAGE_UNKNOWN",
      `Cannot copy from stage "${name}": it does not stand before this one: circular dependency detected on stage: ${name}`,
      {
        location: instruction.location,
        word: name,
        hint: "Move the stage up",
      },
    );
  }
}

function stagesByName({ stages }: Dockerfile): ReadonlyMap<string, readonly number[]> {
  const positions = new Map<string, number[]>();
  for (const [index, { from }] of stages.entries()) {
    const name = from.stageName?.toLowerCase();
    if (name === undefined) continue;
    const known = positions.get(name);
    if (known === undefined) positions.set(name, [index]);
    else known.push(index);
  }
  return positions;
}

/** The largest of `ascending` numbers below `limit`, found by halving. */
function lastBelow(ascending: readonly number[], limit: number): number | undefined {
  let [low, high] = [0, ascending.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? limit) < limit) low = middle + 1;
    else high = middle;
  }
  return ascending[low - 1];
}

function sourceNames(instruction: Instruction): readonly string[] {
  if (instruction.kind === "COPY")
    return instruction.from === undefined || instruction.from === "" ? [] : [instruction.from];
  if (instruction.kind !== "RUN") return [];
  return instruction.mounts.flatMap(({ options }) =>
    options.flatMap(([name, value]) => (name === "from" && value !== undefined && value !== "" ? [value] : [])),
  );
}
